//! Writing a blob: what has come is written and checksummed on a thread while the next bytes come,
//! so that the network, the digests and the disk work at the same time.

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Write as _};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::super::block::BlockSums;
use super::super::durable::{self, Durability, Synced, io};
use super::super::{BlobError, BlobRef, BlobWriter};
use super::Place;
#[cfg(test)]
use crate::backlog::Held;
use crate::backlog::{Backlog, Bounds, Work};
use crate::fail_point;

/// So often a blob of unknown length asks whether there is room for more of it.
const ROOM_BYTES: u64 = 4 * 1024 * 1024;

/// So often the disk is told to begin with what was written, so that the sync in the end finds little
/// left: of 16 MiB it took 10 ms else, and takes 1.
const AHEAD_BYTES: u64 = 1024 * 1024;

/// Shorter uploads stay in memory however many come: they are read more often, and a MiB that passed through took
/// a tenth longer.
const LARGE_BYTES: u64 = 4 * 1024 * 1024;

/// A blob being written.
#[derive(Debug)]
pub(super) struct FileWriter {
    file: Hands,
    backlog: Arc<Backlog<Bytes>>,
    /// Bytes that are still to come, where that is known.
    missing: Option<u64>,
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
            backlog: Backlog::new(Bounds::UPLOAD),
            missing: expected_len,
        })
    }

    async fn push(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        let len = bytes.len();
        let mut work = self.backlog.push(bytes, len);
        if let Some(missing) = &mut self.missing {
            *missing = missing.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
            if *missing == 0 {
                work = work.or(self.backlog.end(1));
            }
        }
        if let Some(work) = work {
            let staged = self.take_file().await?;
            let work = move || staged.write(work);
            self.file = Hands::Threads(tokio::task::spawn_blocking(work));
        }
        self.backlog.room().await;
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

    /// Whether what has come is synced already, once the disk has it.
    #[cfg(test)]
    pub(super) async fn is_whole(&mut self) -> Result<bool, BlobError> {
        let staged = self.take_file().await?;
        let is_whole = staged.whole.is_some();
        self.file = Hands::Ours(staged);
        Ok(is_whole)
    }

    /// As if all uploads together held much.
    #[cfg(test)]
    pub(super) fn in_a_flood(mut self) -> Self {
        static ALL: Held = Held::new(0);
        let bounds = Bounds {
            all: &ALL,
            ..Bounds::UPLOAD
        };
        self.backlog = Backlog::new(bounds);
        self
    }

    /// Whether what came last was not to stay in memory, once the disk has it.
    #[cfg(test)]
    pub(super) async fn passes_memory(&mut self) -> Result<bool, BlobError> {
        let staged = self.take_file().await?;
        let passes = staged.passes_memory();
        self.file = Hands::Ours(staged);
        Ok(passes)
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
            let rest = self.backlog.rest();
            super::on_blocking_thread(move || {
                staged.append_all(rest)?;
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
    expected_len: Option<u64>,
    sums: BlockSums,
    /// The beginning of a block, which is written with its rest: the file system has less to do for whole
    /// pages, and many of them at once. A MiB, its sync and its names took 1.34 ms of CPU in calls of 64 KiB
    /// that ended anywhere, 1.07 in calls of 192 KiB, and 0.95 where these ended with a block.
    unwritten: Vec<Bytes>,
    whole: Option<Whole>,
    /// Bytes for which there was room when it was asked last.
    granted: u64,
    /// Bytes that the disk was told to begin with.
    begun: u64,
    /// Whether more is uploaded than written, by all together.
    is_flood: bool,
    published: bool,
}

/// A blob that lacks but its name.
#[derive(Debug)]
struct Whole {
    len: u64,
    synced: Synced,
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
            expected_len,
            sums: BlockSums::default(),
            unwritten: Vec::new(),
            whole: None,
            granted,
            begun: 0,
            is_flood: false,
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

    /// Writes what waits until nothing does. What is whole then is synced at once: the disk is at work
    /// while the last bytes are hashed.
    fn write(mut self: Box<Self>, mut work: Work<Bytes>) -> Result<Box<Self>, BlobError> {
        while let Some(pieces) = work.take() {
            self.is_flood = work.all_hold_much();
            self.append_all(pieces)?;
        }
        if self.whole.is_none() && self.expected_len == Some(self.sums.bytes_seen()) {
            self.whole = Some(self.complete()?);
        }
        Ok(self)
    }

    fn append_all(&mut self, pieces: Vec<Bytes>) -> Result<(), BlobError> {
        for bytes in &pieces {
            self.sums.update(bytes);
        }
        let is_more = |len| self.sums.bytes_seen() > len;
        if self.expected_len.is_some_and(is_more) {
            let source = ErrorKind::InvalidInput.into();
            return Err(io("writing more than was announced to", &self.path, source));
        }
        if self.sums.bytes_seen() > self.granted {
            self.place.has_room(ROOM_BYTES)?;
            self.granted = self.sums.bytes_seen().saturating_add(ROOM_BYTES);
        }
        self.unwritten.extend(pieces);
        let kept = split_last(&mut self.unwritten, self.sums.open_bytes());
        let blocks = std::mem::replace(&mut self.unwritten, kept);
        self.append(&blocks)?;
        self.begin_writing();
        Ok(())
    }

    /// Has the disk begin with what was written, and waits for nothing. Linux does that for pages
    /// that are said to be needed no more; those that are on their way stay in memory all the same.
    /// <https://man7.org/linux/man-pages/man2/posix_fadvise.2.html>
    fn begin_writing(&mut self) {
        let unwritten = u64::try_from(self.sums.open_bytes()).unwrap_or(u64::MAX);
        let written = self.sums.bytes_seen().saturating_sub(unwritten);
        if self.passes_memory() && !self.place.uncached.is_refused() {
            // It was told with the bytes themselves.
            self.begun = written;
            return;
        }
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

    fn append(&mut self, pieces: &[Bytes]) -> Result<(), BlobError> {
        let mut slices: Vec<_> = pieces.iter().map(|bytes| IoSlice::new(bytes)).collect();
        let mut rest = slices.as_mut_slice();
        // Takes empty ones off the front: of those alone nothing could be written.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.write_some(rest) {
                Ok(0) => {
                    let source = ErrorKind::WriteZero.into();
                    return Err(io("writing", &self.path, source));
                }
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(io("writing", &self.path, error)),
            }
        }
        Ok(())
    }

    /// Whether memory is not to keep what is written: of large uploads what comes in a flood.
    fn passes_memory(&self) -> bool {
        let len = self.expected_len.unwrap_or(self.sums.bytes_seen());
        let is_durable = self.place.durability == Durability::Fsync;
        self.is_flood && len >= LARGE_BYTES && is_durable
    }

    /// Writes some of `pieces`.
    fn write_some(&self, pieces: &[IoSlice<'_>]) -> std::io::Result<usize> {
        if self.passes_memory()
            && let Some(bytes) = self.place.uncached.write(&self.file, pieces)?
        {
            return Ok(bytes);
        }
        (&self.file).write_vectored(pieces)
    }

    fn complete(&mut self) -> Result<Whole, BlobError> {
        let len = self.sums.bytes_seen();
        let mut last = std::mem::take(&mut self.unwritten);
        last.push(self.sums.footer().into());
        self.append(&last)?;
        fail_point::reach("blob.written");
        self.place.check()?;
        let synced = durable::sync(&self.file, &self.path, self.place.durability);
        let synced = self.place.settled(synced)?;
        Ok(Whole { len, synced })
    }

    fn publish(mut self) -> Result<BlobRef, BlobError> {
        let whole = match self.whole.take() {
            Some(whole) => whole,
            None => self.complete()?,
        };
        let blob = BlobRef {
            id: self.place.new_id(),
            len: whole.len,
        };
        let to = self.place.path(blob.id);
        self.place.check()?;
        let named = durable::name(&whole.synced, &self.path, &to);
        self.place.settled(named)?;
        self.published = true;
        Ok(blob)
    }
}

/// Takes the last `len` bytes off `pieces`.
fn split_last(pieces: &mut Vec<Bytes>, mut len: usize) -> Vec<Bytes> {
    let mut last = Vec::new();
    while len > 0
        && let Some(mut piece) = pieces.pop()
    {
        let stays = piece.len().saturating_sub(len);
        len = len.saturating_sub(piece.len());
        last.push(piece.split_off(stays));
        if stays > 0 {
            pieces.push(piece);
        }
    }
    last.reverse();
    last
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        // A publication that failed after its rename leaves an orphan, which the sweep finds.
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "a staged file stays behind");
        }
    }
}
