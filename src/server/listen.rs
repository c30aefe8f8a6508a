//! Accepts connections: a permit for each, and patience where the system refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that the system holds for us until we accept them.
const BACKLOG: u32 = 1024;

/// How long to wait after the first failed accept; doubled up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A socket that listens, and the number of connections that it may have open.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    permits: Arc<Semaphore>,
}

impl Listener {
    /// Listens on `address`.
    pub(super) fn bind(address: SocketAddr, connections_max: usize) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let connections_max = connections_max.min(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(connections_max));
        Ok(Self {
            socket: socket.listen(BACKLOG)?,
            permits,
        })
    }

    /// The address that was really taken.
    pub(super) fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection, once there is a permit for it. Cancelling loses nothing.
    pub(super) async fn accept(&self) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
        // The semaphore is never closed; without a permit there would only be no limit.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let mut backoff = BACKOFF_MIN;
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => return (stream, peer, permit),
                Err(error) => {
                    // Out of file descriptors, most likely: others will close theirs.
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }
}
