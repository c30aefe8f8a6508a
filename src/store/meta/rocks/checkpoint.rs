//! A database as it is at one moment, in another folder: what a backup is made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::DB;
use rocksdb::checkpoint::Checkpoint;

use super::{MetaError, RocksEngine, Space, engine_error, on_blocking_thread, options};

impl RocksEngine {
    /// Puts the database, with every batch that was answered, into `folder`, which must not exist
    /// yet: by links where that is the same file system.
    ///
    /// # Errors
    /// What RocksDB fails with.
    pub async fn checkpoint(&self, folder: PathBuf) -> Result<(), MetaError> {
        let shared = Arc::clone(&self.shared);
        on_blocking_thread(move || {
            let db = shared.db()?;
            let checkpoint = Checkpoint::new(&*db).map_err(engine_error)?;
            checkpoint.create_checkpoint(folder).map_err(engine_error)
        })
        .await
    }
}

/// Shows `visit` every row of a space of the checkpoint in `folder`.
///
/// # Errors
/// What RocksDB fails with.
pub fn read_checkpoint(
    folder: &Path,
    space: Space,
    mut visit: impl FnMut(&[u8], &[u8]),
) -> Result<(), MetaError> {
    let options = options::database(false);
    let families = options::families();
    let db = DB::open_cf_descriptors_read_only(&options, folder, families, false);
    let db = db.map_err(engine_error)?;
    let family = db
        .cf_handle(space.name())
        .ok_or_else(|| MetaError::Corrupt {
            reason: format!("the column family {} is missing", space.name()),
        })?;
    let mut rows = db.raw_iterator_cf(family);
    rows.seek_to_first();
    while let Some((key, value)) = rows.item() {
        visit(key, value);
        rows.next();
    }
    rows.status().map_err(engine_error)
}
