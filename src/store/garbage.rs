//! Blobs that nothing names any more: deleted after the batch that made them garbage.

use std::future::Future;

use futures_util::FutureExt as _;

use super::meta::{Batch, MetaError, Space};
use super::{ObjectStore, StoreError};
use crate::fail_point;
use crate::id::BlobId;

/// Runs `work` beside its caller: what a drop begins nobody can wait for. Nothing may depend on
/// that it ends; what it leaves the next start finds.
pub(crate) fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    // Without a runtime the process is ending.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        drop(runtime.spawn(work));
    }
}

/// Runs `work` to its end, though whoever waits for it may go away.
pub(crate) async fn to_its_end<T, E>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return work.await;
    };
    runtime.spawn(work).await.unwrap_or_else(|error| {
        let source = error.into();
        Err(StoreError::Meta(MetaError::Engine { source }).into())
    })
}

impl ObjectStore {
    /// Deletes blobs that have a garbage row, and then the rows, for which nobody waits; those that are
    /// being read wait for their readers. A failure loses nothing: the row stays and names the blob.
    pub(crate) async fn discard(&self, ids: impl IntoIterator<Item = BlobId> + Send) {
        // A row that comes back after a power cut is one of a blob that is gone.
        let mut batch = Batch::lazy();
        let ids: Vec<_> = ids.into_iter().collect();
        for id in ids {
            if !self.pins().doom(id) {
                continue;
            }
            match self.blobs().delete(id).await {
                Ok(()) => {
                    fail_point::reach("garbage.unlinked");
                    batch.delete(Space::Garbage, id.as_bytes().to_vec());
                }
                Err(error) => tracing::warn!(blob = %id, %error, "a blob stays as garbage"),
            }
        }
        if batch.writes.is_empty() {
            return;
        }
        let store = self.clone();
        let mut forgetting = async move {
            if let Err(error) = store.meta().commit(batch).await {
                tracing::warn!(%error, "the garbage rows of deleted blobs stay");
            }
            fail_point::reach("garbage.forgotten");
        }
        .boxed();
        // Begun before anything that its caller does next, whoever ends it.
        if (&mut forgetting).now_or_never().is_none() {
            in_background(forgetting);
        }
    }

    /// [`Self::discard`] for who can't wait.
    pub(crate) fn discard_later(&self, ids: Vec<BlobId>) {
        if ids.is_empty() {
            return;
        }
        let store = self.clone();
        in_background(async move { store.discard(ids).await });
    }

    /// Deletes what earlier runs left as garbage.
    pub(crate) async fn discard_left_over(&self) -> Result<(), StoreError> {
        let rows = super::meta::walk(
            self.meta().as_ref(),
            Space::Garbage,
            super::meta::KeyRange::all(),
            Vec::new(),
            |ids: &mut Vec<BlobId>, key, _value| {
                ids.extend(<[u8; 16]>::try_from(key).ok().map(BlobId::from_bytes));
                super::meta::Step::Next
            },
        );
        self.discard(rows.await?).await;
        Ok(())
    }
}
