//! Copies that move no bytes: each blob of the source gets a second name.

use super::meta::Space;
use super::object::OBJECT_BYTES_MAX;
use super::record::Segment;
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
        let segments = &source.record.segments;
        let mut rows = Vec::new();
        for (id, _len) in segments.iter().filter_map(|segment| segment.inline()) {
            let row = self.meta().get(Space::Inline, id.as_bytes()).await?;
            rows.push(row.ok_or(StoreError::Superseded)?);
        }
        let blobs: Vec<_> = segments
            .iter()
            .filter_map(|segment| segment.blob())
            .collect();
        let linked = if blobs.is_empty() {
            Ok(Vec::new())
        } else {
            self.blobs().link(blobs).await
        };
        let linked = match linked {
            Err(BlobError::Missing { .. }) => return Err(StoreError::Superseded),
            linked => linked?,
        };
        // From here on nothing fails: each link has somebody who takes it away.
        let (mut rows, mut linked) = (rows.into_iter(), linked.into_iter());
        let piece = |segment: &Segment| {
            let bytes = match segment.inline() {
                Some(_row) => StagedBytes::Inline(rows.next()?),
                None => StagedBytes::Blob(linked.next()?),
            };
            Some(self.staged(bytes, segment.sealed()))
        };
        Ok(segments.iter().filter_map(piece).collect())
    }
}
