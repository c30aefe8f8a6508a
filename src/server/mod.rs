//! The server: sockets, limits, shutdown, and the wiring of all layers.

mod connection;
mod guard;
mod listen;
mod lock;
mod root_key;
mod run;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

pub use lock::{FolderLock, Holder, LockError, announced};
pub use root_key::{RootKeyError, load as load_root_key};

/// A running server.
#[derive(Debug)]
pub struct Server {}

/// How to reach a server that listens on `address` from the same machine.
pub fn endpoint_of(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        let loopback = match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    format!("http://{address}")
}
