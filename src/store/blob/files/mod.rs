//! Blobs as files on the local disk.
//!
//! A blob is written as `tmp/<random>` and published as `data/<xx>/<id>`, where `xx` is the id's
//! last byte: its random end, which spreads them evenly. Every folder is made and synced at the
//! start, so that publishing syncs one file and one folder. The folders are synced at every start:
//! an earlier one may have been killed between making and syncing them.

mod adopt;
mod buffers;
mod read;
mod uncached;
mod vitals;
mod write;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};

use super::durable::{self, Durability, io};
use super::room::Room;
use super::{BlobError, BlobRef, BlobStore, BlobStream, BlobWriter};
use crate::clock::Clock;
use crate::id::BlobId;
pub use adopt::{Adopted, Adoption, Pacer};
use buffers::Buffers;
use read::Source;
use uncached::Uncached;

/// How the system says that a file system can't do what it is asked.
const CAN_NOT: [std::io::ErrorKind; 3] = [
    std::io::ErrorKind::CrossesDevices,
    std::io::ErrorKind::PermissionDenied,
    std::io::ErrorKind::Unsupported,
];

pub use vitals::Vitals;

/// Blobs under one folder.
#[derive(Debug, Clone)]
pub struct FileBlobs {
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    staging: PathBuf,
    data: PathBuf,
    durability: Durability,
    clock: Arc<dyn Clock>,
    room: OnceLock<Room>,
    /// What a sync failed with: of that run, the last blob was before it.
    poisoned: OnceLock<Arc<str>>,
    /// How a flood of uploads is written.
    uncached: Uncached,
    /// What pieces are read into.
    buffers: Arc<Buffers>,
}

impl FileBlobs {
    /// Opens the blobs in `folder`, and removes what unfinished uploads of an earlier run left.
    /// The name of `folder` itself is for who called to make durable.
    ///
    /// # Errors
    /// [`BlobError`] where a folder can't be made, synced or cleaned.
    pub fn open(
        folder: &Path,
        durability: Durability,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BlobError> {
        let blobs = Self::at(folder, durability, clock);
        let (staging, data) = (&blobs.place.staging, &blobs.place.data);
        for path in [staging, data] {
            std::fs::create_dir_all(path).map_err(|e| io("making", path, e))?;
        }
        let there = std::fs::read_dir(data).map_err(|e| io("listing", data, e))?;
        let there = there.filter_map(|entry| Some(entry.ok()?.file_name()));
        let there: HashSet<OsString> = there.collect();
        let spread = (0..=u8::MAX).map(|last| format!("{last:02x}"));
        for name in spread.filter(|name| !there.contains(OsStr::new(name))) {
            let path = data.join(name);
            std::fs::create_dir(&path).map_err(|e| io("making", &path, e))?;
        }
        if durability == Durability::Fsync {
            durable::sync_folder(data)?;
            durable::sync_folder(folder)?;
        }
        let left = std::fs::read_dir(staging).map_err(|e| io("listing", staging, e))?;
        for file in left {
            let path = file.map_err(|e| io("listing", staging, e))?.path();
            std::fs::remove_file(&path).map_err(|e| io("removing", &path, e))?;
        }
        Ok(blobs)
    }

    /// Sees whether a file can get a second name, which copies need: not every file system has them, and
    /// none has them on another. A crash in between leaves an orphan like any other.
    ///
    /// # Errors
    /// [`BlobError::Io`] where it can't.
    pub fn check_links(&self) -> Result<(), BlobError> {
        let id = self.place.new_id();
        let (staged, place) = (self.place.staging.join(id.to_string()), self.place.path(id));
        // On a full disk, or one that is read only, what is stored must still be readable.
        if std::fs::write(&staged, []).is_err() {
            return Ok(());
        }
        let linked = std::fs::hard_link(&staged, &place);
        drop(std::fs::remove_file(&staged));
        drop(std::fs::remove_file(&place));
        match linked {
            Err(error) if CAN_NOT.contains(&error.kind()) => {
                let what = "linking (both must lie on one file system, which knows hard links) to";
                Err(io(what, &place, error))
            }
            _ => Ok(()),
        }
    }

    /// Has uploads leave free what `room` is to keep. What was said first counts.
    pub fn leave_free(&self, room: Room) {
        if self.place.room.set(room).is_err() {
            tracing::debug!("how much room to leave was said before");
        }
    }

    /// The blobs in `folder`, which is left as it is: for who only reads.
    pub fn at(folder: &Path, durability: Durability, clock: Arc<dyn Clock>) -> Self {
        let (staging, data) = (folder.join("tmp"), folder.join("data"));
        Self {
            place: Arc::new(Place {
                staging,
                data,
                durability,
                clock,
                room: OnceLock::new(),
                poisoned: OnceLock::new(),
                uncached: Uncached::default(),
                buffers: Buffers::new(read::PIECE_BYTES),
            }),
        }
    }
}

impl Place {
    fn path(&self, id: BlobId) -> PathBuf {
        let [.., last] = *id.as_bytes();
        self.data.join(format!("{last:02x}")).join(id.to_string())
    }

    /// Where and how `blob` is read.
    fn reading(&self, blob: BlobRef, source: Source) -> read::Place {
        read::Place {
            path: self.path(blob.id),
            blob,
            source,
            buffers: Arc::clone(&self.buffers),
        }
    }

    fn check(&self) -> Result<(), BlobError> {
        let poisoned = self.poisoned.get().cloned();
        poisoned.map_or(Ok(()), |reason| Err(BlobError::Poisoned { reason }))
    }

    fn has_room(&self, bytes: u64) -> Result<(), BlobError> {
        self.room.get().map_or(Ok(()), |room| room.check(bytes))
    }

    /// Remembers a sync that failed: nothing is published any more.
    fn settled<T>(&self, outcome: Result<T, BlobError>) -> Result<T, BlobError> {
        if let Err(BlobError::Poisoned { reason }) = &outcome
            && self.poisoned.set(Arc::clone(reason)).is_ok()
        {
            tracing::error!(%reason, "no more blobs are taken until the next start");
        }
        outcome
    }

    /// All links lie in one folder, so that one sync keeps the names of all: those of a copy of 5 GiB in
    /// 640 parts, a folder each, took 0.4 s.
    fn link(&self, blobs: &[BlobRef]) -> Result<Vec<BlobRef>, BlobError> {
        self.check()?;
        let first = self.new_id();
        let name = |blob: &BlobRef| BlobRef {
            id: first.beside(self.clock.now()),
            len: blob.len,
        };
        let linked: Vec<_> = blobs.iter().map(name).collect();
        let both = blobs.iter().zip(&linked);
        let paths = both.map(|(blob, linked)| (self.path(blob.id), self.path(linked.id)));
        let paths: Vec<_> = paths.collect();
        match durable::publish_links(&paths, self.durability) {
            Ok(()) => Ok(linked),
            Err((at, error)) => match (self.settled(Err(error)), blobs.get(at)) {
                (Err(error), Some(blob)) => Err(missing_where_not_found(error, blob.id)),
                (settled, _) => settled,
            },
        }
    }

    fn new_id(&self) -> BlobId {
        BlobId::new(self.clock.now())
    }
}

impl BlobStore for FileBlobs {
    fn create(
        &self,
        expected_len: Option<u64>,
    ) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, BlobError>> {
        let place = Arc::clone(&self.place);
        async move {
            let writer = write::FileWriter::create(place, expected_len).await?;
            Ok(Box::new(writer) as Box<dyn BlobWriter>)
        }
        .boxed()
    }

    fn read(
        &self,
        blob: BlobRef,
        range: std::ops::Range<u64>,
    ) -> BoxFuture<'_, Result<BlobStream, BlobError>> {
        read::stream(self.place.reading(blob, Source::Any), range).boxed()
    }

    fn read_from_disk(&self, blob: BlobRef) -> BoxFuture<'_, Result<BlobStream, BlobError>> {
        let reading = self.place.reading(blob, Source::Disk);
        read::stream(reading, 0..blob.len).boxed()
    }

    fn link(&self, blobs: Vec<BlobRef>) -> BoxFuture<'_, Result<Vec<BlobRef>, BlobError>> {
        let place = Arc::clone(&self.place);
        on_blocking_thread(move || place.link(&blobs)).boxed()
    }

    fn delete(&self, id: BlobId) -> BoxFuture<'_, Result<(), BlobError>> {
        let path = self.place.path(id);
        on_blocking_thread(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io("deleting", &path, error))
            }
            Ok(()) | Err(_) => Ok(()),
        })
        .boxed()
    }

    fn verify(&self, blob: BlobRef) -> BoxFuture<'_, Result<(), BlobError>> {
        async move {
            let mut pieces = self.read_from_disk(blob).await?;
            while let Some(piece) = pieces.next().await {
                piece?;
            }
            Ok(())
        }
        .boxed()
    }

    fn room(&self, bytes: u64) -> Result<(), BlobError> {
        self.place.has_room(bytes)
    }

    fn writable(&self) -> Result<(), BlobError> {
        self.place.check()
    }

    fn list(&self) -> BoxStream<'_, Result<BlobId, BlobError>> {
        let folders = (0..=u8::MAX).map(|last| self.place.data.join(format!("{last:02x}")));
        futures_util::stream::iter(folders)
            .then(|folder| on_blocking_thread(move || ids_in(&folder)))
            .flat_map(|ids| {
                let rows = match ids {
                    Ok(ids) => ids.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                };
                futures_util::stream::iter(rows)
            })
            .boxed()
    }
}

fn ids_in(folder: &Path) -> Result<Vec<BlobId>, BlobError> {
    let files = std::fs::read_dir(folder).map_err(|error| io("listing", folder, error))?;
    let mut ids = Vec::new();
    for file in files {
        let name = file
            .map_err(|error| io("listing", folder, error))?
            .file_name();
        // A file that is not named like a blob is nobody's business here: it is left alone.
        ids.extend(name.to_str().and_then(BlobId::parse));
    }
    Ok(ids)
}

fn missing_where_not_found(error: BlobError, id: BlobId) -> BlobError {
    match error {
        BlobError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            BlobError::Missing { id }
        }
        other => other,
    }
}

/// Runs `work` where it may wait for the disk.
async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            let source = std::io::Error::other(error);
            Err(BlobError::Io {
                doing: "running a file operation".into(),
                source,
            })
        })
}

#[cfg(test)]
mod tests;
