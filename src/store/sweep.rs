//! What an earlier run left: blobs that no batch ever named, uploads of buckets that are gone.

use futures_util::TryStreamExt as _;

use super::meta::Space;
use super::{ObjectStore, StoreError};
use crate::fail_point;

/// What a sweep found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Blobs looked at.
    pub blobs: u64,
    /// Orphans deleted.
    pub deleted: u64,
}

impl ObjectStore {
    /// Ends the uploads of buckets that are gone, and deletes blobs that no row names and that are
    /// older than this run. Younger ones may be on their way into a batch.
    ///
    /// # Errors
    /// What the engines fail with.
    pub async fn sweep(&self) -> Result<SweepReport, StoreError> {
        self.end_abandoned_uploads().await?;
        fail_point::reach("sweep.begun");
        let mut report = SweepReport::default();
        let mut ids = self.blobs().list();
        while let Some(id) = ids.try_next().await? {
            report.blobs = report.blobs.saturating_add(1);
            // In this order: who lets go of a blob has named it before. What a reader keeps is
            // garbage that it deletes itself.
            if id.created() >= self.started() || self.pins().keeps(id) {
                continue;
            }
            let named = self.meta().get(Space::Blobs, id.as_bytes()).await?;
            if named.is_some() {
                continue;
            }
            self.blobs().delete(id).await?;
            fail_point::reach("sweep.deleted");
            report.deleted = report.deleted.saturating_add(1);
        }
        Ok(report)
    }
}
