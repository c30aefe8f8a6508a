//! Accepts connections: a permit for each, and patience where the system refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::{Connections, Open};

/// Connections that the system holds for us until we accept them.
const BACKLOG: u32 = 1024;

/// How long to wait after the first failed accept; doubled up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Connections that are being turned away at a time; beyond them one is closed without a word.
const REFUSALS_MAX: usize = 256;

/// A socket that listens, and the number of connections that it may have open.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    places: Places,
    refusals: Places,
    counts: Connections,
}

/// The room that a connection takes up until this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    /// Whether its requests are heard; one beyond the limit is only told that there are too many.
    pub(super) is_welcome: bool,
    _permit: OwnedSemaphorePermit,
    _open: Open,
}

/// How many of something there may be at a time, and how many there are.
#[derive(Debug, Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

impl Places {
    pub(super) fn new(all: usize) -> Self {
        let all = all.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(all)),
            all,
        }
    }

    /// A place until the permit is dropped; none where all are taken.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// How many there are at most.
    pub(super) const fn all(&self) -> usize {
        self.all
    }

    /// How many there are.
    pub(super) fn taken(&self) -> usize {
        self.all.saturating_sub(self.free.available_permits())
    }

    /// Whether so many are taken that idle connections should make room: three quarters.
    pub(super) fn are_scarce(&self) -> bool {
        self.free.available_permits() < self.all.div_ceil(4)
    }
}

impl Listener {
    /// Listens on `address`.
    pub(super) fn bind(address: SocketAddr, places: Places) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self {
            socket: socket.listen(BACKLOG)?,
            places,
            refusals: Places::new(REFUSALS_MAX),
            counts: Connections::default(),
        })
    }

    /// What its connections are counted into.
    pub(super) const fn counts(&self) -> &Connections {
        &self.counts
    }

    /// The address that was really taken.
    pub(super) fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn room(&self) -> Option<Room> {
        let welcome = self.places.take();
        let is_welcome = welcome.is_some();
        let Some(permit) = welcome.or_else(|| self.refusals.take()) else {
            self.counts.dropped();
            return None;
        };
        Some(Room {
            is_welcome,
            _permit: permit,
            _open: self.counts.opened(is_welcome),
        })
    }

    /// The next connection. Cancelling loses nothing.
    pub(super) async fn accept(&self) -> (TcpStream, SocketAddr, Room) {
        let mut backoff = BACKOFF_MIN;
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    if let Some(room) = self.room() {
                        return (stream, peer, room);
                    }
                }
                Err(error) => {
                    self.counts.fails();
                    // Out of file descriptors, most likely: others will close theirs.
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }
}
