//! Opening, and opening anew after the disk was full.
//!
//! RocksDB takes nothing more once a write met a full disk, and its `Resume` has no binding. To close
//! and open it does the same and more: the log is read back, so that what is in it is decided, and
//! everything of it is written to tables and synced.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rocksdb::{DB, ErrorKind, FlushOptions};

use super::{Shared, family, is_full, options, torn};
use crate::store::meta::Space;

/// Room that opening wants beside what the log holds.
const ROOM_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of logs that are left to the next start, which reads a MiB of them in 8 ms.
const LOG_LEFT_BYTES: u64 = 2 * 1024 * 1024;

/// How long to wait before asking again whether readers are done.
const READERS_PAUSE: Duration = Duration::from_millis(1);

/// Opens the database in `folder`; where a power cut tore the log's last record, without it.
pub(super) fn open(folder: &Path, is_new: bool) -> Result<DB, rocksdb::Error> {
    let open = || DB::open_cf_descriptors(&options::database(is_new), folder, options::families());
    match open() {
        Err(error) if error.kind() == ErrorKind::Corruption && torn::mend(folder) => open(),
        opened => opened,
    }
}

impl Shared {
    /// Takes no more batches until the next start.
    pub(super) fn poison(&self, reason: String) {
        tracing::error!(%reason, "the metadata takes no more writes until the next start");
        if self.poisoned.set(reason.into()).is_err() {
            tracing::debug!("the engine was already stopped");
        }
    }

    /// Notes that a write met a full disk.
    pub(super) fn fill(&self, why: &str) {
        if !self.full.swap(true, Ordering::AcqRel) {
            tracing::error!(
                why,
                "the disk is full: the metadata takes no writes meanwhile"
            );
        }
    }

    /// Whether work in the background failed, which RocksDB tells nobody: it may have stopped.
    pub(super) fn background_failed(&self) -> bool {
        let db = self.db.load_full();
        let count = db.and_then(|db| {
            db.property_int_value(rocksdb::properties::BACKGROUND_ERRORS)
                .ok()
                .flatten()
        });
        count.is_some_and(|count| count > 0)
    }

    /// Opens the database anew if there is room for it. Readers wait meanwhile.
    pub(super) fn heal(&self) {
        if !has_room(&self.folder) {
            return;
        }
        let waiting = self
            .reopening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(db) = self.db.swap(None) {
            close(db);
        }
        match open(&self.folder, false) {
            Ok(db) => {
                // A batch that nobody was told of may be in the log, and counts from now on.
                self.rows.forget();
                self.db.store(Some(Arc::new(db)));
                self.full.store(false, Ordering::Release);
                tracing::info!("the disk has room again: the metadata takes writes");
            }
            Err(error) => self.read_only(error.as_ref()),
        }
        drop(waiting);
    }

    /// Before it is closed for good: writes to tables what is only in the log and in memory, so that the
    /// next start need not.
    pub(super) fn write_out(&self) {
        let poisoned = self.poisoned.get().is_some();
        let Some(db) = self.db.load_full().filter(|_db| !poisoned) else {
            return;
        };
        if log_bytes(&self.folder) <= LOG_LEFT_BYTES {
            return;
        }
        let families = Space::ALL.into_iter().map(|space| family(&db, space));
        let families = families.filter_map(Result::ok).collect::<Vec<_>>();
        if let Err(error) = db.flush_cfs_opt(&families, &FlushOptions::default()) {
            tracing::warn!(%error, "the log is left to the next start");
        }
    }

    /// Goes on reading where opening failed; whether to try once more depends on why.
    fn read_only(&self, why: &str) {
        if !is_full(why) {
            self.poison(why.to_owned());
        }
        let (database, families) = (options::database(false), options::families());
        match DB::open_cf_descriptors_read_only(&database, &self.folder, families, false) {
            Ok(db) => {
                self.rows.forget();
                self.db.store(Some(Arc::new(db)));
            }
            Err(error) => self.poison(error.into_string()),
        }
    }
}

/// Closes the database once nobody reads any more.
fn close(mut db: Arc<DB>) {
    loop {
        match Arc::try_unwrap(db) {
            Ok(last) => return drop(last),
            Err(shared) => db = shared,
        }
        std::thread::sleep(READERS_PAUSE);
    }
}

/// Whether what the log holds could be written to tables.
pub(super) fn has_room(folder: &Path) -> bool {
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return true;
    };
    let wanted = log_bytes(folder).saturating_add(ROOM_BYTES);
    disk.f_bavail.saturating_mul(disk.f_frsize) >= wanted
}

/// Bytes of all logs.
fn log_bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let logs = files.filter(|file| file.path().extension().is_some_and(|kind| kind == "log"));
    let bytes = logs.filter_map(|file| file.metadata().ok().map(|about| about.len()));
    bytes.fold(0, u64::saturating_add)
}
