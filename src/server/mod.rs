//! The server: sockets, limits, shutdown, and the wiring of all layers.
/// A running server.
#[derive(Debug)]
pub struct Server {}
