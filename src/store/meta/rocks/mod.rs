//! The embedded metadata engine: RocksDB, with one thread that commits.
//!
//! A dedicated thread takes all batches that wait, checks each one's assertions against the
//! database and the batches before it, and writes them as one with one sync: a sync costs the same
//! for one writer as for a hundred. It is also what makes assertions atomic, without a lock.

mod checkpoint;
mod closed;
mod committer;
mod damage;
mod heal;
mod log;
mod options;
mod overlay;
mod rest;
mod rows;
mod torn;
mod vitals;

pub use checkpoint::read_checkpoint;
pub use closed::write as note_closed;
pub use damage::{damaged, is_there};

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use rocksdb::{
    BottommostLevelCompaction, ColumnFamily, CompactOptions, DB, DBRawIterator, ErrorKind,
    ReadOptions, ReadTier,
};
use tokio::sync::oneshot;

use super::{Batch, KeyRange, MetaEngine, MetaError, Space, Step, Verified, Visitor};
use crate::metrics::Commits;
use closed::Closing;
use rows::{Known, Rows, Ticket};
pub use vitals::Vitals;

/// What a commit waits for before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The sync of the write-ahead log: an answered batch survives a power cut.
    #[default]
    Fsync,
    /// Nothing: a batch survives the process, not the machine. For test suites.
    None,
}

/// RocksDB behind the engine's contract.
#[derive(Debug)]
pub struct RocksEngine {
    shared: Arc<Shared>,
    /// None only while dropping: closing the channel ends the committer.
    submit: Option<mpsc::Sender<Submission>>,
    committer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// None only while it is closed to be opened anew: see [`heal`].
    db: ArcSwapOption<DB>,
    /// What was read of it lately.
    rows: Rows,
    /// Held while it is closed: who must have it waits here.
    reopening: Mutex<()>,
    poisoned: Arc<OnceLock<Arc<str>>>,
    /// The disk was full: no batch is taken until it is opened anew.
    full: AtomicBool,
    /// Batches that wait for the committer.
    queued: AtomicUsize,
    /// Groups written so far: with the number of batches it tells how many shared a sync.
    groups: AtomicU64,
    commits: Commits,
    /// Behind the database, since fields are dropped in this order.
    _closing: Closing,
}

/// A batch on its way to the committer, and where its outcome goes.
struct Submission {
    batch: Batch,
    answer: oneshot::Sender<Result<(), MetaError>>,
    begun: Instant,
}

impl RocksEngine {
    /// Opens the database in `folder`, making it where there is none.
    ///
    /// # Errors
    /// [`MetaError::Open`] where another process holds it, it can't be read or is damaged.
    pub fn open(folder: &Path, durability: Durability) -> Result<Self, MetaError> {
        let is_new = damage::look(folder)? == damage::Found::Nothing;
        let db = heal::open(folder, is_new).map_err(|error| damage::refused(folder, error))?;
        closed::forget(folder);
        let poisoned = Arc::new(OnceLock::new());
        let closing = Closing {
            folder: folder.to_owned(),
            durability,
            poisoned: Arc::clone(&poisoned),
        };
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            db: ArcSwapOption::from_pointee(db),
            rows: Rows::new(),
            reopening: Mutex::new(()),
            poisoned,
            full: AtomicBool::new(false),
            queued: AtomicUsize::new(0),
            groups: AtomicU64::new(0),
            commits: Commits::default(),
            _closing: closing,
        });
        let (submit, submissions) = mpsc::channel();
        let of_thread = Arc::clone(&shared);
        let committer = std::thread::Builder::new()
            .name("meta-committer".into())
            .spawn(move || committer::run(&of_thread, &submissions, durability))
            .map_err(other_error)?;
        Ok(Self {
            shared,
            submit: Some(submit),
            committer: Some(committer),
        })
    }

    /// What it counts.
    pub fn commits(&self) -> &Commits {
        &self.shared.commits
    }

    /// What can be asked of RocksDB while it is open.
    pub fn vitals(&self) -> Vitals {
        Vitals::of(&self.shared)
    }

    fn stopped(&self) -> MetaError {
        let reason = self.shared.poisoned.get().cloned();
        MetaError::Poisoned {
            reason: reason.unwrap_or_else(|| "the committer ended".into()),
        }
    }
}

impl Drop for RocksEngine {
    fn drop(&mut self) {
        drop(self.submit.take());
        if let Some(committer) = self.committer.take() {
            // It ends once it has answered what waits; a panic in it was already reported.
            drop(committer.join());
        }
        self.shared.write_out();
    }
}

impl MetaEngine for RocksEngine {
    fn get(&self, space: Space, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>> {
        let ticket = match self.shared.rows.look(space, key) {
            Known::Value(value) => return ready(Ok(Some(value))).boxed(),
            Known::Nothing(ticket) => ticket,
        };
        // Most reads find their row in memory: those are answered here and now. Only what needs
        // the disk pays for another thread.
        if let Some(db) = self.shared.db.load_full() {
            match get(&db, space, key, ReadTier::BlockCache) {
                Ok(Lookup::Known(value)) => {
                    self.shared.keep(ticket, key, value.as_ref());
                    return ready(Ok(value)).boxed();
                }
                Ok(Lookup::OnDisk) => {}
                Err(error) => return ready(Err(error)).boxed(),
            }
        }
        let (shared, key) = (Arc::clone(&self.shared), Bytes::copy_from_slice(key));
        on_blocking_thread(move || {
            let value = get(&*shared.db()?, space, &key, ReadTier::All)?.value();
            shared.keep(ticket, &key, value.as_ref());
            Ok(value)
        })
    }

    fn walk(
        &self,
        space: Space,
        range: KeyRange,
        visit: Visitor,
    ) -> BoxFuture<'_, Result<(), MetaError>> {
        let shared = Arc::clone(&self.shared);
        on_blocking_thread(move || walk(&*shared.db()?, space, &range, visit))
    }

    fn verify(
        &self,
        space: Space,
        from: Bytes,
        bytes_max: u64,
    ) -> BoxFuture<'_, Result<Verified, MetaError>> {
        let shared = Arc::clone(&self.shared);
        on_blocking_thread(move || verify(&*shared.db()?, space, &from, bytes_max))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), MetaError>> {
        let (answer, outcome) = oneshot::channel();
        let submission = Submission {
            batch,
            answer,
            begun: Instant::now(),
        };
        self.shared.queued.fetch_add(1, Ordering::AcqRel);
        let sent = self.submit.as_ref().map(|submit| submit.send(submission));
        async move {
            match sent {
                Some(Ok(())) => outcome.await.unwrap_or_else(|_dropped| Err(self.stopped())),
                Some(Err(_)) | None => Err(self.stopped()),
            }
        }
        .boxed()
    }

    fn expunge(&self, spaces: &'static [Space]) -> BoxFuture<'_, Result<(), MetaError>> {
        let shared = Arc::clone(&self.shared);
        on_blocking_thread(move || expunge(&*shared.db()?, spaces))
    }

    fn rest(&self) -> BoxFuture<'_, Result<(), MetaError>> {
        // One that takes no batches is left as it is.
        if self.check().is_err() {
            return ready(Ok(())).boxed();
        }
        let shared = Arc::clone(&self.shared);
        on_blocking_thread(move || shared.rest())
    }

    fn check(&self) -> Result<(), MetaError> {
        let ended = self.committer.as_ref().is_none_or(JoinHandle::is_finished);
        if ended || self.shared.poisoned.get().is_some() {
            return Err(self.stopped());
        }
        if self.shared.full.load(Ordering::Acquire) {
            return Err(MetaError::Full);
        }
        Ok(())
    }
}

impl Shared {
    /// Keeps a row that was read.
    fn keep(&self, ticket: Option<Ticket>, key: &[u8], value: Option<&Bytes>) {
        if let (Some(ticket), Some(value)) = (ticket, value) {
            self.rows.keep(ticket, key, value);
        }
    }

    /// The database, for who may wait while it is opened anew.
    fn db(&self) -> Result<Arc<DB>, MetaError> {
        loop {
            if let Some(db) = self.db.load_full() {
                return Ok(db);
            }
            if let Some(reason) = self.poisoned.get().cloned() {
                return Err(MetaError::Poisoned { reason });
            }
            drop(
                self.reopening
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }
}

fn family(db: &DB, space: Space) -> Result<&ColumnFamily, MetaError> {
    db.cf_handle(space.name())
        .ok_or_else(|| MetaError::Corrupt {
            reason: format!("the column family {} is missing", space.name()),
        })
}

fn get(db: &DB, space: Space, key: &[u8], tier: ReadTier) -> Result<Lookup, MetaError> {
    let mut options = ReadOptions::default();
    options.set_read_tier(tier);
    match db.get_pinned_cf_opt(family(db, space)?, key, &options) {
        Ok(value) => Ok(Lookup::Known(
            value.map(|value| Bytes::copy_from_slice(&value)),
        )),
        Err(error) if error.kind() == ErrorKind::Incomplete => Ok(Lookup::OnDisk),
        Err(error) => Err(engine_error(error)),
    }
}

fn walk(db: &DB, space: Space, range: &KeyRange, mut visit: Visitor) -> Result<(), MetaError> {
    let mut rows = iterate(db, space, range)?;
    while let Some((key, value)) = rows.item() {
        match visit(key, value) {
            Step::Next => rows.next(),
            Step::Stop => return Ok(()),
            Step::Seek(to) => rows.seek(to),
        }
    }
    rows.status().map_err(engine_error)
}

fn verify(db: &DB, space: Space, from: &[u8], bytes_max: u64) -> Result<Verified, MetaError> {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    // What requests read often must stay in memory.
    options.fill_cache(false);
    let mut rows = db.raw_iterator_cf_opt(family(db, space)?, options);
    let mut bytes = 0_u64;
    rows.seek(from);
    while let Some((key, value)) = rows.item() {
        if bytes >= bytes_max {
            let next = Some(Bytes::copy_from_slice(key));
            return Ok(Verified { bytes, next });
        }
        let row = key.len().saturating_add(value.len());
        bytes = bytes.saturating_add(row as u64);
        rows.next();
    }
    rows.status().map_err(engine_error)?;
    Ok(Verified { bytes, next: None })
}

fn expunge(db: &DB, spaces: &[Space]) -> Result<(), MetaError> {
    // The log is shared: it goes once every family's part of it is in a file.
    for space in Space::ALL {
        let flushed = db.flush_cf(family(db, space)?);
        flushed.map_err(engine_error)?;
    }
    let mut options = CompactOptions::default();
    // Else the last level, where the oldest rows are, might be left as it is.
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    for space in spaces {
        let all = None::<&[u8]>;
        db.compact_range_cf_opt(family(db, *space)?, all, all, &options);
    }
    Ok(())
}

/// An iterator that stands on the first row of `range` and ends with it.
fn iterate<'a>(db: &'a DB, space: Space, range: &KeyRange) -> Result<DBRawIterator<'a>, MetaError> {
    let mut options = ReadOptions::default();
    if let Some(end) = &range.end {
        options.set_iterate_upper_bound(end.to_vec());
    }
    let mut rows = db.raw_iterator_cf_opt(family(db, space)?, options);
    rows.seek(&range.start);
    Ok(rows)
}

/// What a read of one tier found.
enum Lookup {
    /// The row's value, or that there is none.
    Known(Option<Bytes>),
    /// Only the disk can tell.
    OnDisk,
}

impl Lookup {
    fn value(self) -> Option<Bytes> {
        match self {
            Self::Known(value) => value,
            Self::OnDisk => None, // a read of all tiers never says so
        }
    }
}

/// Runs `work` where it may wait for the disk.
fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MetaError> + Send + 'static,
) -> BoxFuture<'static, Result<T, MetaError>> {
    let running = tokio::task::spawn_blocking(work);
    async move {
        running
            .await
            .unwrap_or_else(|error| Err(other_error(error)))
    }
    .boxed()
}

fn other_error(error: impl std::error::Error + Send + Sync + 'static) -> MetaError {
    MetaError::Engine {
        source: Box::new(error),
    }
}

fn engine_error(error: rocksdb::Error) -> MetaError {
    match error.kind() {
        ErrorKind::Corruption => MetaError::Corrupt {
            reason: error.into_string(),
        },
        _ if is_full(error.as_ref()) => MetaError::Full,
        _ => other_error(error),
    }
}

/// RocksDB tells a full disk only in words: its sub-code, or the text of the system's error.
fn is_full(text: &str) -> bool {
    text.contains("No space left on device") || text.starts_with("IO error: No space left")
}

#[cfg(test)]
mod tests;
