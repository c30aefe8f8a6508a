//! Writing a blob: pieces go through a bounded channel to a thread that writes and checksums them,
//! so that the network, the digests and the disk work at the same time.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::super::block::BlockSums;
use super::super::durable::{self, io};
use super::super::{BlobError, BlobRef, BlobWriter};
use super::Place;

/// Pieces that may wait for the disk; with pieces of a socket's read size, well under a megabyte.
const PIECES_WAITING_MAX: usize = 8;

/// A blob being written.
#[derive(Debug)]
pub(super) struct FileWriter {
    /// None once the thread has stopped taking pieces.
    pieces: Option<mpsc::Sender<Piece>>,
    thread: JoinHandle<Result<BlobRef, BlobError>>,
}

enum Piece {
    Bytes(Bytes),
    /// No more follow: publish. A channel that closes without it is an upload given up.
    End,
}

impl FileWriter {
    pub(super) async fn create(
        place: Arc<Place>,
        expected_len: Option<u64>,
    ) -> Result<Self, BlobError> {
        let staged = super::on_blocking_thread(move || Staged::create(place, expected_len)).await?;
        let (pieces, arriving) = mpsc::channel(PIECES_WAITING_MAX);
        let thread = tokio::task::spawn_blocking(move || staged.fill(arriving));
        Ok(Self {
            pieces: Some(pieces),
            thread,
        })
    }

    async fn send(&mut self, piece: Piece) -> Result<(), BlobError> {
        if let Some(pieces) = &self.pieces
            && pieces.send(piece).await.is_ok()
        {
            return Ok(());
        }
        // The thread stops taking pieces only where it failed: its result says how.
        self.pieces = None;
        self.outcome().await.map(drop)
    }

    /// Drops the channel as a dropped writer does, and waits for what the thread makes of it.
    #[cfg(test)]
    pub(super) async fn give_up(mut self) -> Result<BlobRef, BlobError> {
        self.pieces = None;
        self.outcome().await
    }

    async fn outcome(&mut self) -> Result<BlobRef, BlobError> {
        (&mut self.thread).await.unwrap_or_else(|error| {
            let source = std::io::Error::other(error);
            Err(BlobError::Io {
                doing: "writing a blob".into(),
                source,
            })
        })
    }
}

impl BlobWriter for FileWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        self.send(Piece::Bytes(bytes)).boxed()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<BlobRef, BlobError>> {
        async move {
            self.send(Piece::End).await?;
            self.outcome().await
        }
        .boxed()
    }
}

/// The file behind a writer. Dropped before it is published, it is removed.
#[derive(Debug)]
struct Staged {
    place: Arc<Place>,
    path: PathBuf,
    file: File,
    sums: BlockSums,
    published: bool,
}

impl Staged {
    fn create(place: Arc<Place>, expected_len: Option<u64>) -> Result<Self, BlobError> {
        let path = place.staging.join(Uuid::new_v4().simple().to_string());
        let file = File::create_new(&path).map_err(|error| io("creating", &path, error))?;
        let staged = Self {
            place,
            path,
            file,
            sums: BlockSums::default(),
            published: false,
        };
        if let Some(len) = expected_len {
            staged.reserve(len)?;
        }
        Ok(staged)
    }

    /// Asks for the room at once: a disk that is too full says so before the client has sent
    /// everything, and the file lies in one piece.
    fn reserve(&self, len: u64) -> Result<(), BlobError> {
        let bytes = len.saturating_add(super::super::block::Footer::bytes(len));
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, 0, bytes) {
            Err(error) if error == rustix::io::Errno::NOSPC => Err(BlobError::Full),
            // Some file systems can't reserve; writing will tell.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn fill(mut self, mut arriving: mpsc::Receiver<Piece>) -> Result<BlobRef, BlobError> {
        while let Some(piece) = arriving.blocking_recv() {
            let Piece::Bytes(bytes) = piece else {
                return self.publish();
            };
            self.sums.update(&bytes);
            self.append(&bytes)?;
        }
        let source = std::io::Error::other("the upload was given up");
        Err(io("writing", &self.path, source))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.file
            .write_all(bytes)
            .map_err(|error| io("writing", &self.path, error))
    }

    fn publish(mut self) -> Result<BlobRef, BlobError> {
        let sums = std::mem::take(&mut self.sums);
        let len = sums.bytes_seen();
        self.append(&sums.into_footer())?;
        let blob = BlobRef {
            id: self.place.new_id(),
            len,
        };
        let to = self.place.path(blob.id);
        durable::publish(&self.file, &self.path, &to, self.place.durability)?;
        self.published = true;
        Ok(blob)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        // A publication that failed after its rename leaves an orphan, which the sweep finds.
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "a staged file stays behind");
        }
    }
}
