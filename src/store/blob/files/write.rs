//! Writing a blob: what has come is written and checksummed on a thread while the next bytes come,
//! so that the network, the digests and the disk work at the same time.

use std::fs::File;
use std::io::Write as _;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::super::block::BlockSums;
use super::super::durable::{self, Durability, io};
use super::super::{BlobError, BlobRef, BlobWriter};
use super::Place;
use crate::fail_point;

/// Bytes that may wait while the disk is at work on as many before them: this bounds an upload's memory,
/// half a MiB.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// Bytes that go to the disk's threads together: to wake one for each piece of the network cost more
/// than the writing.
const BATCH_BYTES: usize = 128 * 1024;

/// So often a blob of unknown length asks whether there is room for more of it.
const ROOM_BYTES: u64 = 4 * 1024 * 1024;

/// So often the disk is told to begin with what was written, so that the sync in the end finds little
/// left: of 16 MiB it took 10 ms else, and takes 1.
const AHEAD_BYTES: u64 = 1024 * 1024;

/// A blob being written.
#[derive(Debug)]
pub(super) struct FileWriter {
    file: Hands,
    /// What came while the disk was at work.
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

/// Who has the file: a thread has it only while there is something to write, so that no number of
/// clients that send slowly, or nothing at all, can use the threads up.
#[derive(Debug)]
enum Hands {
    Ours(Box<Staged>),
    Threads(JoinHandle<Result<Box<Staged>, BlobError>>),
    /// Nobody: a write failed, and took the file away.
    Gone,
}

impl FileWriter {
    pub(super) async fn create(
        place: Arc<Place>,
        expected_len: Option<u64>,
    ) -> Result<Self, BlobError> {
        let staged = super::on_blocking_thread(move || Staged::create(place, expected_len)).await?;
        Ok(Self {
            file: Hands::Ours(Box::new(staged)),
            waiting: Vec::new(),
            waiting_bytes: 0,
        })
    }

    async fn push(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.waiting_bytes = self.waiting_bytes.saturating_add(bytes.len());
        self.waiting.push(bytes);
        if self.waiting_bytes < BATCH_BYTES {
            return Ok(());
        }
        let busy = matches!(&self.file, Hands::Threads(work) if !work.is_finished());
        if busy && self.waiting_bytes < WAITING_BYTES_MAX {
            return Ok(());
        }
        let mut staged = self.take_file().await?;
        let pieces = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let work = move || staged.append_all(&pieces).map(|()| staged);
        self.file = Hands::Threads(tokio::task::spawn_blocking(work));
        Ok(())
    }

    /// The file, once the disk has what it was given before.
    async fn take_file(&mut self) -> Result<Box<Staged>, BlobError> {
        let source = match std::mem::replace(&mut self.file, Hands::Gone) {
            Hands::Ours(staged) => return Ok(staged),
            Hands::Threads(work) => match work.await {
                Ok(written) => return written,
                Err(error) => std::io::Error::other(error),
            },
            Hands::Gone => std::io::Error::other("an earlier write failed"),
        };
        Err(BlobError::Io {
            doing: "writing a blob".into(),
            source,
        })
    }

    /// Gives the upload up, and waits until nothing of it is left.
    #[cfg(test)]
    pub(super) async fn give_up(mut self) -> Result<(), BlobError> {
        self.take_file().await.map(drop)
    }
}

impl BlobWriter for FileWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        self.push(bytes).boxed()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<BlobRef, BlobError>> {
        async move {
            let mut staged = self.take_file().await?;
            let pieces = std::mem::take(&mut self.waiting);
            super::on_blocking_thread(move || {
                staged.append_all(&pieces)?;
                staged.publish()
            })
            .await
        }
        .boxed()
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        // What a thread has it drops itself. What is ours is deleted there too: a large file takes time.
        if let Hands::Ours(staged) = std::mem::replace(&mut self.file, Hands::Gone)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            drop(runtime.spawn_blocking(move || drop(staged)));
        }
    }
}

/// The file behind a writer. Dropped before it is published, it is removed.
#[derive(Debug)]
struct Staged {
    place: Arc<Place>,
    path: PathBuf,
    file: File,
    sums: BlockSums,
    /// Bytes for which there was room when it was asked last.
    granted: u64,
    /// Bytes that the disk was told to begin with.
    begun: u64,
    published: bool,
}

impl Staged {
    fn create(place: Arc<Place>, expected_len: Option<u64>) -> Result<Self, BlobError> {
        place.check()?;
        let granted = expected_len.unwrap_or(ROOM_BYTES);
        place.has_room(granted)?;
        let path = place.staging.join(Uuid::new_v4().simple().to_string());
        let file = File::create_new(&path).map_err(|error| io("creating", &path, error))?;
        fail_point::reach("blob.staged");
        let staged = Self {
            place,
            path,
            file,
            sums: BlockSums::default(),
            granted,
            begun: 0,
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

    fn append_all(&mut self, pieces: &[Bytes]) -> Result<(), BlobError> {
        for bytes in pieces {
            self.sums.update(bytes);
            if self.sums.bytes_seen() > self.granted {
                self.place.has_room(ROOM_BYTES)?;
                self.granted = self.sums.bytes_seen().saturating_add(ROOM_BYTES);
            }
            self.append(bytes)?;
            self.begin_writing();
        }
        Ok(())
    }

    /// Has the disk begin with what was written, and waits for nothing. Linux does that for pages
    /// that are said to be needed no more; those that are on their way stay in memory all the same.
    /// <https://man7.org/linux/man-pages/man2/posix_fadvise.2.html>
    fn begin_writing(&mut self) {
        let written = self.sums.bytes_seen();
        let more = NonZeroU64::new(written.saturating_sub(self.begun));
        let Some(more) = more.filter(|more| more.get() >= AHEAD_BYTES) else {
            return;
        };
        let advice = rustix::fs::Advice::DontNeed;
        if self.place.durability == Durability::Fsync
            && let Err(error) = rustix::fs::fadvise(&self.file, self.begun, Some(more), advice)
        {
            tracing::debug!(%error, "a blob's bytes wait for its sync");
        }
        self.begun = written;
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
        fail_point::reach("blob.written");
        let blob = BlobRef {
            id: self.place.new_id(),
            len,
        };
        let to = self.place.path(blob.id);
        self.place.check()?;
        let published = durable::publish(&self.file, &self.path, &to, self.place.durability);
        self.place.settled(published)?;
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
