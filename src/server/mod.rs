//! The server: sockets, limits, shutdown, and the wiring of all layers.

mod connection;
mod guard;
mod listen;
mod lock;
mod root_key;
mod run;

pub use lock::{FolderLock, Holder, LockError, announced};
pub use root_key::{RootKeyError, load as load_root_key};

/// A running server.
#[derive(Debug)]
pub struct Server {}
