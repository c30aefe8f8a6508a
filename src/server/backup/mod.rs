//! Backups: a checkpoint of the metadata, and every blob that it names, in another folder.
//!
//! While one is made nothing is deleted that the checkpoint names. It is whole as soon as its
//! manifest has its name, after everything else was synced: whatever interrupts it before leaves the
//! generations that were there.

mod files;
mod make;
mod manifest;
mod pace;
mod restore;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

pub use restore::{RestoreReport, restore};
pub use verify::{VerifyReport, verify};

pub(super) use make::{Source, clean, make};

use crate::server::{LockError, StartError};
use crate::store::StoreError;
use crate::store::blob::BlobError;
use crate::store::meta::MetaError;

/// Why there is no backup, or none can be brought back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder holds something else.
    #[error(
        "{} is no folder of backups: name an empty one, or one that `consign backup` made",
        path.display()
    )]
    NotBackups {
        /// The folder.
        path: PathBuf,
    },
    /// There is no generation, or not the one that is asked for.
    #[error("{} holds no whole backup{}", path.display(), .name.as_ref().map(|name| format!(" called {name}")).unwrap_or_default())]
    NoGeneration {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        name: Option<String>,
    },
    /// The backup would lie in what it is made of.
    #[error("{} lies in the data folder: a backup must lie elsewhere", path.display())]
    Inside {
        /// The folder.
        path: PathBuf,
    },
    /// What is brought back must not mix with what is there.
    #[error("{} is not empty: name a new folder for what is brought back", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not what it must be.
    #[error("{}: {what}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The server stops.
    #[error("it was interrupted")]
    Interrupted,
    /// A file operation failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried, on which path.
        doing: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// Another backup is made there, or the folder can't be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The metadata failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The blobs failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data folder can't be opened.
    #[error(transparent)]
    Start(#[from] Box<StartError>),
}

/// How a backup is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupOptions {
    /// Copy everything, even where the same file system would allow links.
    #[serde(default)]
    pub copy: bool,
    /// Leave out the keys of the data folder.
    #[serde(default)]
    pub without_keys: bool,
    /// How many generations are kept; without it, all.
    #[serde(default)]
    pub keep: Option<u32>,
    /// Bytes of blobs that are copied in a second; without it, as many as the disks give.
    #[serde(default)]
    pub bytes_per_second: Option<u64>,
}

/// What a backup did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// The new generation.
    pub generation: String,
    /// Blobs that it names.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that were not there before.
    pub new_blobs: u64,
    /// Bytes that were copied, of blobs and of metadata: links copy none.
    pub copied_bytes: u64,
    /// Files of keys that are in it.
    pub keys: Vec<String>,
    /// Blobs that are damaged or missing, and that no earlier backup has.
    pub damaged: Vec<String>,
    /// Generations that were removed.
    pub removed: Vec<String>,
}

/// How far a backup is; it may be read while it is made.
#[derive(Debug, Default)]
pub struct BackupProgress {
    blobs: AtomicU64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
}

impl BackupProgress {
    /// Blobs that are done.
    pub fn blobs(&self) -> u64 {
        self.blobs.load(Ordering::Relaxed)
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of all blobs.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total.load(Ordering::Relaxed)
    }

    fn expect(&self, bytes: u64) {
        self.bytes_total.store(bytes, Ordering::Relaxed);
    }

    fn count(&self, bytes: u64) {
        self.blobs.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Makes `folder` one of backups, if it is empty, and gives the token by which a server believes
/// that its caller may write there. The folder belongs to who owns the data folder.
///
/// # Errors
/// [`BackupError::NotBackups`] where it holds something else, [`BackupError::Inside`].
pub fn prepare(folder: &Path, data_dir: &Path) -> Result<String, BackupError> {
    // Before anything is made there; a server looks through links, too.
    if std::path::absolute(data_dir).is_ok_and(|data_dir| folder.starts_with(data_dir)) {
        let path = folder.to_owned();
        return Err(BackupError::Inside { path });
    }
    let (backups, token) = manifest::Backups::make(folder)?;
    files::give_to_owner_of(data_dir, &backups.folder)?;
    Ok(token)
}
