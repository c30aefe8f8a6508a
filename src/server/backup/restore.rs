//! Bringing a backup back into a new folder.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::manifest::{Backups, Generation};
use super::{BackupError, BackupProgress, files};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::server::{FolderLock, engines};
use crate::store::blob::BlobError;
use crate::store::blob::durable::Durability;
use crate::store::blob::files::{Adoption, FileBlobs};
use crate::store::fsck::{FsckOptions, FsckProgress, FsckReport};
use crate::store::meta::rocks;
use crate::store::{NoHook, ObjectStore, StoreSettings};

/// The file without which the metadata is none: it comes last.
const CURRENT: &str = "CURRENT";

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Which generation.
    pub generation: String,
    /// When it was made.
    pub made: String,
    /// Blobs that were copied.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files of keys that came with it.
    pub keys: Vec<String>,
    /// What could not be brought back, in words.
    pub faults: Vec<String>,
    /// What the check of the new folder found.
    pub fsck: FsckReport,
}

/// Brings the newest generation, or the one of that name, into the data folder of `config`, which
/// must not exist or be empty. Until the last step no server would start there.
///
/// # Errors
/// [`BackupError`]; blobs that are damaged are faults of the report.
pub async fn restore(
    folder: &Path,
    generation: Option<&str>,
    config: &Config,
    progress: &Arc<BackupProgress>,
) -> Result<RestoreReport, BackupError> {
    let data_dir = config.data_dir.clone();
    if !files::list_if_there(&data_dir)?.is_empty() {
        return Err(BackupError::NotEmpty { path: data_dir });
    }
    let backups = Backups::open(folder)?;
    let generation = chosen(&backups, generation)?;
    files::make_private_folder(&data_dir)?;
    let lock = FolderLock::take(&data_dir)?;
    let (pool, to, progress) = (backups.pool(), data_dir.clone(), Arc::clone(progress));
    let copied = tokio::task::spawn_blocking(move || {
        let mut report = blobs(&pool, &generation, &to, &progress)?;
        metadata(&generation, &to, &mut report)?;
        Ok::<_, BackupError>(report)
    });
    let mut report = copied.await.map_err(|error| BackupError::Io {
        doing: "copying".to_owned(),
        source: std::io::Error::other(error),
    })??;
    report.fsck = check(config).await?;
    drop(lock);
    Ok(report)
}

fn chosen(backups: &Backups, name: Option<&str>) -> Result<Generation, BackupError> {
    let mut whole = backups.generations()?;
    let found = match name {
        None => whole.pop(),
        Some(name) => whole.into_iter().find(|one| one.name == name),
    };
    found.ok_or_else(|| BackupError::NoGeneration {
        path: backups.folder.clone(),
        name: name.map(str::to_owned),
    })
}

fn blobs(
    pool: &Path,
    generation: &Generation,
    data_dir: &Path,
    progress: &BackupProgress,
) -> Result<RestoreReport, BackupError> {
    // All files first: a list or a manifest that is damaged must not be half believed.
    for entry in &generation.manifest.files {
        files::check(&generation.folder, entry)?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let pool = FileBlobs::at(pool, Durability::None, Arc::clone(&clock));
    let into = FileBlobs::open(&data_dir.join("blobs"), Durability::None, clock)?;
    let mut report = RestoreReport {
        generation: generation.name.clone(),
        made: generation.manifest.made.clone(),
        blobs: 0,
        bytes: 0,
        keys: Vec::new(),
        faults: Vec::new(),
        fsck: FsckReport::default(),
    };
    progress.expect(generation.manifest.bytes);
    for blob in generation.blobs()? {
        // A copy: the new folder and the backup must not share what either may lose.
        match into.adopt(&pool, blob, Adoption::Copy, None) {
            Ok(_adopted) => {
                report.blobs = report.blobs.saturating_add(1);
                report.bytes = report.bytes.saturating_add(blob.len);
            }
            Err(error @ (BlobError::Missing { .. } | BlobError::Corrupt { .. })) => {
                report.faults.push(error.to_string());
            }
            Err(error) => return Err(error.into()),
        }
        progress.count(blob.len);
    }
    Ok(report)
}

fn metadata(
    generation: &Generation,
    data_dir: &Path,
    report: &mut RestoreReport,
) -> Result<(), BackupError> {
    let meta = data_dir.join("meta");
    files::make_private_folder(&meta)?;
    for entry in &generation.manifest.files {
        let from = generation.folder.join(&entry.path);
        let to = match entry.path.split_once('/') {
            Some(("meta", CURRENT)) => continue,
            Some(("meta", name)) => meta.join(name),
            Some(("keys", name)) => {
                report.keys.push(name.to_owned());
                data_dir.join(name)
            }
            _ => continue,
        };
        if entry.path.matches('/').count() != 1 || entry.path.contains("..") {
            let what = format!("it names a file that is none of a backup: {}", entry.path);
            return Err(BackupError::Invalid { path: from, what });
        }
        files::copy(&from, &to)?;
        let copied = files::entry(entry.path.clone(), &to, entry.modified)?;
        if copied != *entry {
            let what = "it was not copied as it is".to_owned();
            return Err(BackupError::Invalid { path: to, what });
        }
    }
    files::sync_all(data_dir)?;
    let current = generation.folder.join("meta").join(CURRENT);
    let bytes = std::fs::read(&current).map_err(|e| files::io("reading", &current, e))?;
    files::publish(&meta.join(CURRENT), &bytes)?;
    rocks::note_closed(&meta).map_err(|e| files::io("writing a note into", &meta, e))
}

/// Opens the new folder, as a server would, and looks whether everything is there.
async fn check(config: &Config) -> Result<FsckReport, BackupError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let opened = engines::open(config, &clock).await;
    let (meta, blobs) = opened.map_err(Box::new)?.split();
    let settings = StoreSettings {
        inline_bytes_max: config.inline_bytes_max,
    };
    let store = ObjectStore::attach(meta, blobs, clock, Arc::new(NoHook), settings).await?;
    // Every blob was compared with its checksums when it was copied.
    let options = FsckOptions { read_blobs: false };
    Ok(store.fsck(options, &FsckProgress::default()).await?)
}
