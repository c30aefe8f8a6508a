//! Making a backup.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::manifest::{self, Backups, FileEntry, Generation, Manifest};
use super::pace::Pace;
use super::{BackupError, BackupOptions, BackupProgress, BackupReport, files};
use crate::clock::Clock;
use crate::config::Config;
use crate::id::BlobId;
use crate::server::FolderLock;
use crate::server::engines::Engines;
use crate::store::ObjectStore;
use crate::store::blob::files::{Adopted, Adoption, FileBlobs, Pacer};
use crate::store::blob::{BlobError, BlobRef, durable};
use crate::store::meta::{Space, rocks};

/// The checkpoint's place: in the data folder, so that it is made of links.
const CHECKPOINT: &str = "checkpoint";

/// Whose names end so are keys of the data folder.
const KEY_ENDS: [&str; 2] = ["-key.json", "-key.pem"];

/// A data folder that is open.
#[derive(Debug, Clone)]
pub(in crate::server) struct Source {
    pub(in crate::server) data_dir: PathBuf,
    pub(in crate::server) meta: Arc<rocks::RocksEngine>,
    pub(in crate::server) store: ObjectStore,
}

impl Source {
    pub(in crate::server) fn of(config: &Config, engines: &Engines, store: &ObjectStore) -> Self {
        Self {
            data_dir: config.data_dir.clone(),
            meta: Arc::clone(&engines.meta),
            store: store.clone(),
        }
    }
}

/// Removes what a backup left that was interrupted, at a start.
pub(in crate::server) fn clean(data_dir: &Path) {
    for name in [CHECKPOINT.to_owned(), format!("{CHECKPOINT}.tmp")] {
        if let Err(error) = files::remove_folder(&data_dir.join(name)) {
            tracing::warn!(%error, "an interrupted backup's checkpoint stays behind");
        }
    }
}

/// Makes a backup in `folder`, which must be one of backups that has this token.
///
/// # Errors
/// [`BackupError`]; no generation has come then, and none is gone.
pub(in crate::server) async fn make(
    source: Source,
    (folder, token): (PathBuf, String),
    options: BackupOptions,
    progress: Arc<BackupProgress>,
    stop: CancellationToken,
) -> Result<BackupReport, BackupError> {
    let backups = on_thread(move || Backups::open_with(&folder, &token)).await?;
    let _lock = FolderLock::take(&backups.folder)?;
    let data_dir = source.data_dir.clone();
    refuse_inside(&backups.folder, &data_dir)?;
    // Before the checkpoint: what it names stays until it was taken over.
    let hold = source.store.hold_garbage();
    let checkpoint = data_dir.join(CHECKPOINT);
    clean(&data_dir);
    source.meta.checkpoint(checkpoint.clone()).await?;
    let now = source.store.clock().now();
    let clock = Arc::clone(source.store.clock());
    let name = now.amz_date();
    let made = on_thread(move || {
        let mut work = Work::begin(&backups, &data_dir, options, clock)?;
        let new = Manifest::new(now.iso8601_ms());
        let generation = work.generation(&name)?;
        let report = work.fill(&generation, new, &checkpoint, (&progress, &stop));
        clean(&data_dir);
        let mut report = report?;
        report.removed = work.prune()?;
        Ok(report)
    })
    .await;
    drop(hold);
    made
}

fn refuse_inside(folder: &Path, data_dir: &Path) -> Result<(), BackupError> {
    let real = |path: &Path| {
        path.canonicalize()
            .map_err(|e| files::io("finding", path, e))
    };
    let path = real(folder)?;
    if path.starts_with(real(data_dir)?) {
        return Err(BackupError::Inside { path });
    }
    Ok(())
}

async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(BackupError::Io {
            doing: "making a backup".to_owned(),
            source: std::io::Error::other(error),
        })
    })
}

/// A backup that is being made; all of it blocks.
struct Work<'a> {
    backups: &'a Backups,
    data_dir: &'a Path,
    options: BackupOptions,
    pool: FileBlobs,
    from: FileBlobs,
    before: Vec<Generation>,
    /// Blobs that an interrupted backup may have left unsynced.
    doubtful: bool,
}

impl<'a> Work<'a> {
    fn begin(
        backups: &'a Backups,
        data_dir: &'a Path,
        options: BackupOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BackupError> {
        let none = durable::Durability::None;
        files::make_private_folder(&backups.pool())?;
        files::make_private_folder(&backups.generations_folder())?;
        for folder in backups.broken_off()? {
            files::remove_folder(&folder)?;
        }
        let doubtful = backups.unfinished().exists();
        files::publish(&backups.unfinished(), b"")?;
        Ok(Self {
            backups,
            data_dir,
            options,
            pool: FileBlobs::open(&backups.pool(), none, Arc::clone(&clock))?,
            from: FileBlobs::at(&data_dir.join("blobs"), none, clock),
            before: backups.generations()?,
            doubtful,
        })
    }

    /// A folder for the new generation, behind those that are there.
    fn generation(&self, name: &str) -> Result<Generation, BackupError> {
        let taken = |name: &str| self.before.iter().any(|one| one.name == name);
        let names = (1..u32::MAX).map(|again| format!("{name}-{again}"));
        let name = [name.to_owned()]
            .into_iter()
            .chain(names)
            .find(|name| !taken(name));
        let name = name.unwrap_or_default();
        let folder = self.backups.generations_folder().join(&name);
        files::make_private_folder(&folder)?;
        let manifest = Manifest::new(String::new());
        Ok(Generation {
            name,
            folder,
            manifest,
        })
    }

    fn fill(
        &mut self,
        generation: &Generation,
        mut manifest: Manifest,
        checkpoint: &Path,
        (progress, stop): (&BackupProgress, &CancellationToken),
    ) -> Result<BackupReport, BackupError> {
        let folder = &generation.folder;
        let blobs = blobs_of(checkpoint)?;
        progress.expect(bytes_of(&blobs));
        let mut report = BackupReport {
            generation: generation.name.clone(),
            blobs: blobs.len() as u64,
            bytes: bytes_of(&blobs),
            ..BackupReport::default()
        };
        let listed = if self.doubtful {
            self.listed()?
        } else {
            HashSet::new()
        };
        let pace = self.options.bytes_per_second;
        let pace = pace.map(|bytes_per_second| Pace::of(bytes_per_second, stop, Handle::current()));
        let spend = |bytes| {
            if let Some(pace) = &pace {
                pace.spend(bytes);
            }
        };
        let pacer: Option<Pacer<'_>> = pace.is_some().then_some(&spend);
        for blob in &blobs {
            if stop.is_cancelled() {
                return Err(BackupError::Interrupted);
            }
            self.blob(*blob, &listed, pacer, &mut report)?;
            progress.count(blob.len);
        }
        self.metadata(folder, checkpoint, &mut manifest, &mut report)?;
        if !self.options.without_keys {
            self.keys(folder, &mut manifest, &mut report)?;
        }
        manifest.files.push(manifest::write_blobs(folder, &blobs)?);
        (manifest.blobs, manifest.bytes) = (report.blobs, report.bytes);
        manifest.damaged.clone_from(&report.damaged);
        files::sync_all(&self.backups.folder)?;
        manifest::write(folder, &manifest)?;
        let unfinished = self.backups.unfinished();
        std::fs::remove_file(&unfinished).map_err(|e| files::io("removing", &unfinished, e))?;
        Ok(report)
    }

    fn blob(
        &self,
        blob: BlobRef,
        listed: &HashSet<BlobId>,
        pacer: Option<Pacer<'_>>,
        report: &mut BackupReport,
    ) -> Result<(), BackupError> {
        let doubtful = self.doubtful && !listed.contains(&blob.id) && self.pool.has(blob);
        if doubtful && self.pool.check(blob).is_err() {
            self.pool.remove(blob.id)?;
        }
        let how = if self.options.copy {
            Adoption::Copy
        } else {
            Adoption::LinkOrCopy
        };
        match self.pool.adopt(&self.from, blob, how, pacer) {
            Ok(Adopted::There) => {}
            Ok(adopted) => {
                report.new_blobs = report.new_blobs.saturating_add(1);
                if adopted == Adopted::Copied {
                    report.copied_bytes = report.copied_bytes.saturating_add(blob.len);
                }
            }
            // One rotten object must not keep all others from being saved.
            Err(error @ (BlobError::Missing { .. } | BlobError::Corrupt { .. })) => {
                tracing::error!(%error, "a damaged blob is not in the backup");
                report.damaged.push(blob.id.to_string());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The blobs of generations that are whole, and therefore synced.
    fn listed(&self) -> Result<HashSet<BlobId>, BackupError> {
        let mut listed = HashSet::new();
        for generation in &self.before {
            listed.extend(generation.blobs()?.into_iter().map(|blob| blob.id));
        }
        Ok(listed)
    }

    fn metadata(
        &self,
        folder: &Path,
        checkpoint: &Path,
        manifest: &mut Manifest,
        report: &mut BackupReport,
    ) -> Result<(), BackupError> {
        files::make_private_folder(&folder.join("meta"))?;
        let last = self.before.last();
        let of_last = last.map(|last| last.manifest.files.iter());
        let of_last: HashMap<_, _> = of_last
            .into_iter()
            .flatten()
            .map(|entry| (entry.path.as_str(), entry))
            .collect();
        for name in files::list(checkpoint)? {
            if name.starts_with("LOG") || name == "LOCK" {
                continue; // what the program told, and nothing that it holds
            }
            let (from, path) = (checkpoint.join(&name), format!("meta/{name}"));
            let to = folder.join(&path);
            let modified = files::modified(&from)?;
            let len = std::fs::metadata(&from)
                .map_err(|e| files::io("inspecting", &from, e))?
                .len();
            // Tables never change under their name: one of the last backup is linked from there.
            let same = |entry: &&&FileEntry| entry.len == len && entry.modified == modified;
            if let Some(last) = last
                && let Some(entry) = of_last.get(path.as_str()).filter(same)
                && std::fs::hard_link(last.folder.join(&path), &to).is_ok()
            {
                manifest.files.push((*entry).clone());
                continue;
            }
            if files::link_or_copy(&from, &to, !self.options.copy)? {
                report.copied_bytes = report.copied_bytes.saturating_add(len);
            }
            manifest.files.push(files::entry(path, &to, modified)?);
        }
        Ok(())
    }

    fn keys(
        &self,
        folder: &Path,
        manifest: &mut Manifest,
        report: &mut BackupReport,
    ) -> Result<(), BackupError> {
        files::make_private_folder(&folder.join("keys"))?;
        for name in files::list(self.data_dir)? {
            if !KEY_ENDS.iter().any(|end| name.ends_with(end)) {
                continue;
            }
            let path = format!("keys/{name}");
            let to = folder.join(&path);
            files::copy(&self.data_dir.join(&name), &to)?;
            manifest.files.push(files::entry(path, &to, 0)?);
            report.keys.push(name);
        }
        Ok(())
    }

    /// Removes the oldest generations, and the blobs that no other names.
    fn prune(&self) -> Result<Vec<String>, BackupError> {
        let Some(keep) = self.options.keep else {
            return Ok(Vec::new());
        };
        let mut kept = self.backups.generations()?;
        let keep = usize::try_from(keep.max(1)).unwrap_or(usize::MAX);
        let old: Vec<_> = kept.drain(..kept.len().saturating_sub(keep)).collect();
        for generation in &old {
            manifest::unmake(&generation.folder)?;
            files::remove_folder(&generation.folder)?;
        }
        let mut named = HashSet::new();
        for generation in &kept {
            named.extend(generation.blobs()?.into_iter().map(|blob| blob.id));
        }
        for id in self.pool.ids()? {
            if !named.contains(&id) {
                self.pool.remove(id)?;
            }
        }
        Ok(old.into_iter().map(|one| one.name).collect())
    }
}

/// The blobs that a checkpoint names.
fn blobs_of(checkpoint: &Path) -> Result<Vec<BlobRef>, BackupError> {
    let mut blobs = Vec::new();
    let mut unreadable = 0_u64;
    rocks::read_checkpoint(
        checkpoint,
        Space::Blobs,
        |_key, value| match crate::store::read_blob_row(value) {
            Some(blob) => blobs.push(blob),
            None => unreadable = unreadable.saturating_add(1),
        },
    )?;
    if unreadable > 0 {
        return Err(BackupError::Invalid {
            path: checkpoint.to_owned(),
            what: format!("{unreadable} rows of blobs can't be read: see `consign fsck`"),
        });
    }
    Ok(blobs)
}

fn bytes_of(blobs: &[BlobRef]) -> u64 {
    blobs
        .iter()
        .fold(0, |sum, blob| sum.saturating_add(blob.len))
}
