//! Orphans: blobs that an earlier run finished and no batch ever named.

use futures_util::TryStreamExt as _;

use super::meta::Space;
use super::{ObjectStore, StoreError};

/// What a sweep found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Blobs looked at.
    pub blobs: u64,
    /// Orphans deleted.
    pub deleted: u64,
}

impl ObjectStore {
    /// Deletes blobs that no row names and that are older than this run. Younger ones may be on
    /// their way into a batch.
    ///
    /// # Errors
    /// What the engines fail with.
    pub async fn sweep(&self) -> Result<SweepReport, StoreError> {
        let mut report = SweepReport::default();
        let mut ids = self.blobs().list();
        while let Some(id) = ids.try_next().await? {
            report.blobs = report.blobs.saturating_add(1);
            let young = id.created() >= self.started();
            let named = self.meta().get(Space::Blobs, id.as_bytes());
            // A pinned blob is garbage that its last reader deletes.
            if young || named.await?.is_some() || !self.pins().doom(id) {
                continue;
            }
            self.blobs().delete(id).await?;
            report.deleted = report.deleted.saturating_add(1);
        }
        Ok(report)
    }
}
