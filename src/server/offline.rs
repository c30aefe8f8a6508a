//! What may be done to a data folder that no server holds.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Engines, FolderLock, LockError, StartError, engines};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
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
    /// It can't be opened.
    #[error(transparent)]
    Open(#[from] StartError),
    /// The work failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    let path = config.data_dir.clone();
    // Before the lock, which would make the folder.
    if !path.join("meta").join("CURRENT").is_file() {
        return Err(OfflineError::NoData { path });
    }
    let lock = FolderLock::take(&path).map_err(|error: LockError| StartError::from(error))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Engines { meta, blobs, .. } = engines(config, &clock).await?;
    let settings = StoreSettings {
        inline_bytes_max: config.inline_bytes_max,
    };
    let store = ObjectStore::attach(meta, blobs, clock, Arc::new(NoHook), settings).await?;
    let report = store.fsck(options, progress).await?;
    drop(store);
    drop(lock);
    Ok(report)
}
