//! The engines in the data folder, and whether both are of one data folder.

use std::path::Path;
use std::sync::Arc;

use super::StartError;
use crate::clock::Clock;
use crate::config::{Config, Durability};
use crate::metrics::Commits;
use crate::store::blob::files::{self, FileBlobs};
use crate::store::blob::room::Room;
use crate::store::blob::{BlobStore, durable};
use crate::store::meta::{self, KeyRange, MetaEngine, MetaError, Space, rocks};

/// What objects lie in, and what it tells of itself.
#[derive(Debug)]
pub(super) struct Engines {
    pub(super) meta: Arc<rocks::RocksEngine>,
    pub(super) blobs: Arc<FileBlobs>,
    pub(super) commits: Commits,
    pub(super) of_meta: rocks::Vitals,
    pub(super) of_blobs: files::Vitals,
}

impl Engines {
    /// As the store wants them.
    pub(super) fn split(&self) -> (Arc<dyn MetaEngine>, Arc<dyn BlobStore>) {
        let (meta, blobs) = (Arc::clone(&self.meta), Arc::clone(&self.blobs));
        (meta, blobs)
    }
}

/// Opens them.
///
/// # Errors
/// [`StartError::Meta`] and [`StartError::Blob`]; where one of the two is missing, nothing is made
/// in its place: the sweep would take all blobs for orphans, or every object would have lost its bytes.
pub(super) async fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Engines, StartError> {
    let (of_meta, of_blobs) = match config.durability {
        Durability::Fsync => (rocks::Durability::Fsync, durable::Durability::Fsync),
        Durability::None => (rocks::Durability::None, durable::Durability::None),
    };
    let (dir, at) = (config.data_dir.clone(), Arc::clone(clock));
    let (meta_dir, blob_dir) = (dir.join("meta"), dir.join("blobs"));
    let had_blobs = blob_dir.join("data").is_dir();
    let of_blob_dir = blob_dir.clone();
    let opened = on_blocking_thread(move || {
        if had_blobs && !rocks::is_there(&meta_dir)? && has_blobs(&of_blob_dir) {
            return Err(lost(&meta_dir, "the metadata of the blobs beside it is missing").into());
        }
        Ok(rocks::RocksEngine::open(&meta_dir, of_meta)?)
    });
    let meta = opened.await?;
    if !had_blobs {
        let named = meta::scan(&meta, Space::Blobs, KeyRange::all(), 1).await?;
        if !named.is_empty() {
            return Err(lost(&blob_dir, "the blobs that the metadata names are missing").into());
        }
    }
    let blobs = on_blocking_thread(move || {
        let blobs = FileBlobs::open(&blob_dir, of_blobs, at)?;
        blobs.check_links()?;
        Ok(blobs)
    });
    let blobs = blobs.await?;
    let folders = vec![dir.join("meta"), dir.join("blobs")];
    blobs.leave_free(Room::new(folders, config.limits.free_bytes_min));
    Ok(Engines {
        commits: meta.commits().clone(),
        of_meta: meta.vitals(),
        of_blobs: blobs.vitals(),
        meta: Arc::new(meta),
        blobs: Arc::new(blobs),
    })
}

/// Makes durable what the data folder holds by now: keys, engines, and its own name. Nothing was
/// answered yet, and no key was shown. An earlier start may have been killed before it came so far.
///
/// # Errors
/// [`StartError::Blob`].
pub(super) async fn sync_names(config: &Config) -> Result<(), StartError> {
    if config.durability == Durability::None {
        return Ok(());
    }
    let dir = config.data_dir.clone();
    on_blocking_thread(move || {
        durable::sync_folder(&dir)?;
        Ok(durable::sync_parents(&dir)?)
    })
    .await
}

fn lost(folder: &Path, what: &str) -> MetaError {
    rocks::damaged(folder, what)
}

/// Whether any blob lies there.
fn has_blobs(folder: &Path) -> bool {
    let folders = std::fs::read_dir(folder.join("data")).into_iter().flatten();
    let files = folders
        .flatten()
        .flat_map(|folder| std::fs::read_dir(folder.path()));
    files.flatten().next().is_some()
}

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| MetaError::Engine {
        source: error.into(),
    })?
}
