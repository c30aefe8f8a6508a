//! Walks a space in pages, so that a check that takes hours holds nothing open.

use bytes::Bytes;

use super::super::StoreError;
use super::super::meta::{self, Entry, KeyRange, MetaEngine, Space, Step};

const PAGE_ROWS: usize = 1000;

/// The rows of a space, page by page.
pub(in crate::store) struct Pages {
    space: Space,
    range: KeyRange,
}

impl Pages {
    pub(in crate::store) const fn of(space: Space) -> Self {
        let range = KeyRange::all();
        Self { space, range }
    }

    /// The rows from the key `start` on.
    pub(in crate::store) const fn from(space: Space, start: Bytes) -> Self {
        let range = KeyRange { start, end: None };
        Self { space, range }
    }

    /// The next rows; none where there are no more.
    pub(in crate::store) async fn next(
        &mut self,
        meta: &dyn MetaEngine,
    ) -> Result<Option<Vec<Entry>>, StoreError> {
        let rows = meta::scan(meta, self.space, self.range.clone(), PAGE_ROWS).await?;
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        self.range.start = Bytes::from([last.key.as_ref(), &[0]].concat());
        Ok(Some(rows))
    }
}

/// Each 16-byte key of a space, with what `read` makes of its value; other keys are passed over.
pub(super) async fn ids<T: Send + 'static>(
    meta: &dyn MetaEngine,
    space: Space,
    read: impl Fn(&[u8]) -> T + Send + 'static,
) -> Result<Vec<([u8; 16], T)>, StoreError> {
    let visit = move |found: &mut Vec<([u8; 16], T)>, key: &[u8], value: &[u8]| {
        found.extend(<[u8; 16]>::try_from(key).ok().map(|id| (id, read(value))));
        Step::Next
    };
    Ok(meta::walk(meta, space, KeyRange::all(), Vec::new(), visit).await?)
}
