//! Copies that move no bytes: each blob of the source gets a second name.

use super::meta::Space;
use super::object::OBJECT_BYTES_MAX;
use super::stage::StagedBytes;
use super::{Object, ObjectStore, Staged, StoreError};
use crate::store::blob::BlobError;

impl ObjectStore {
    /// Bytes of a new object that are those of `source`, without copying its blobs. They lead
    /// nowhere until a batch names them, and go away if none does.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] where the source's bytes went away after it was read: find it
    /// anew.
    pub async fn link(&self, source: &Object) -> Result<Vec<Staged>, StoreError> {
        let (len, max) = (source.record.len, OBJECT_BYTES_MAX);
        if len > max {
            return Err(StoreError::TooLarge { len, max });
        }
        let mut pieces = Vec::with_capacity(source.record.segments.len());
        for segment in &source.record.segments {
            let bytes = match (segment.inline(), segment.blob()) {
                (Some((id, _len)), _) => {
                    let row = self.meta().get(Space::Inline, id.as_bytes()).await?;
                    StagedBytes::Inline(row.ok_or(StoreError::Superseded)?)
                }
                (None, Some(blob)) => match self.blobs().link(blob).await {
                    Ok(linked) => StagedBytes::Blob(linked),
                    Err(BlobError::Missing { .. }) => return Err(StoreError::Superseded),
                    Err(error) => return Err(error.into()),
                },
                (None, None) => continue,
            };
            pieces.push(self.staged(bytes, segment.sealed()));
        }
        Ok(pieces)
    }
}
