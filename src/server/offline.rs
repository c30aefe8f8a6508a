//! What may be done to a data folder that no server holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::backup::{self, BackupError, BackupOptions, BackupProgress, BackupReport, Source};
use super::engines::{self, Engines};
use super::{FolderLock, Head, LockError, StartError, audit};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::name::BucketName;
use crate::store::fsck::{FsckOptions, FsckProgress, FsckReport};
use crate::store::{NoHook, ObjectStore, StoreError, StoreSettings};

/// Why a data folder can't be worked on.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// No server ever ran there.
    #[error("{} holds no data", path.display())]
    NoData {
        /// The folder.
        path: PathBuf,
    },
    /// It has no such bucket.
    #[error("there is no bucket {0}")]
    NoBucket(BucketName),
    /// It can't be opened.
    #[error(transparent)]
    Open(#[from] StartError),
    /// The work failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no backup, or none can be brought back.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// An open data folder that no server holds.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) engines: Engines,
    pub(super) store: ObjectStore,
    _lock: FolderLock,
}

pub(super) async fn open(config: &Config) -> Result<Opened, OfflineError> {
    let path = config.data_dir.clone();
    // Before the lock, which would make the folder.
    if !path.join("meta").is_dir() {
        return Err(OfflineError::NoData { path });
    }
    let lock = FolderLock::take(&path).map_err(|error: LockError| StartError::from(error))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engines = engines::open(config, &clock).await?;
    let (meta, blobs) = engines.split();
    let settings = StoreSettings {
        inline_bytes_max: config.inline_bytes_max,
    };
    let store = ObjectStore::attach(meta, blobs, clock, Arc::new(NoHook), settings).await?;
    Ok(Opened {
        engines,
        store,
        _lock: lock,
    })
}

/// Makes a backup of the data folder, which is held meanwhile, in `folder`.
///
/// # Errors
/// [`OfflineError`].
pub async fn backup(
    config: &Config,
    folder: &Path,
    options: BackupOptions,
    progress: Arc<BackupProgress>,
) -> Result<BackupReport, OfflineError> {
    let opened = open(config).await?;
    let token = backup::prepare(folder, &config.data_dir)?;
    let source = Source::of(config, &opened.engines, &opened.store);
    let (place, stop) = ((folder.to_owned(), token), CancellationToken::new());
    Ok(backup::make(source, place, options, progress, stop).await?)
}

/// The last line of the audit log that the metadata remember; none before the first.
///
/// # Errors
/// [`OfflineError`].
pub async fn audit_head(config: &Config) -> Result<Option<Head>, OfflineError> {
    let opened = open(config).await?;
    let (meta, _blobs) = opened.engines.split();
    let known = audit::known(&*meta).await;
    Ok(known.map_err(StartError::from)?)
}

/// Checks the store in the data folder, which is held meanwhile.
///
/// # Errors
/// [`OfflineError`].
pub async fn fsck(
    config: &Config,
    options: FsckOptions,
    progress: &Arc<FsckProgress>,
) -> Result<FsckReport, OfflineError> {
    let opened = open(config).await?;
    Ok(opened.store.fsck(options, progress).await?)
}
