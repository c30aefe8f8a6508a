//! Walks that keep what they saw.

use std::sync::mpsc;

use bytes::Bytes;

use super::{KeyRange, MetaEngine, MetaError, Space, Step, Visitor};

/// Walks `range` with `visitor`'s state and gives it back: what the walk collected.
///
/// # Errors
/// What [`MetaEngine::walk`] fails with.
pub async fn walk<S: Send + 'static>(
    engine: &dyn MetaEngine,
    space: Space,
    range: KeyRange,
    state: S,
    mut visit: impl FnMut(&mut S, &[u8], &[u8]) -> Step + Send + 'static,
) -> Result<S, MetaError> {
    let (keep, kept) = mpsc::sync_channel(1);
    let mut state = Returned(Some(state), keep);
    let visitor: Visitor = Box::new(move |key, value| match &mut state.0 {
        Some(state) => visit(state, key, value),
        None => Step::Stop,
    });
    engine.walk(space, range, visitor).await?;
    kept.try_recv().map_err(|_lost| MetaError::Corrupt {
        reason: "a walk lost its state".into(),
    })
}

/// The state of a walk, which goes back once its visitor is dropped: a lock would be taken for every row.
struct Returned<S>(Option<S>, mpsc::SyncSender<S>);

impl<S> Drop for Returned<S> {
    fn drop(&mut self) {
        if let Some(state) = self.0.take() {
            // Who asked for the walk may have gone away.
            drop(self.1.try_send(state));
        }
    }
}

/// One row of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
}

/// The first `limit` rows of `range`, whose keys and values share one buffer.
///
/// # Errors
/// What [`MetaEngine::walk`] fails with.
pub async fn scan(
    engine: &dyn MetaEngine,
    space: Space,
    range: KeyRange,
    limit: usize,
) -> Result<Vec<Entry>, MetaError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let rows = (Vec::new(), Vec::new());
    let rows = walk(
        engine,
        space,
        range,
        rows,
        move |(bytes, lens): &mut (Vec<u8>, Vec<_>), key, value| {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
            lens.push((key.len(), value.len()));
            if lens.len() < limit {
                Step::Next
            } else {
                Step::Stop
            }
        },
    );
    let (bytes, lens) = rows.await?;
    let mut bytes = Bytes::from(bytes);
    let row = |(key, value)| Entry {
        key: bytes.split_to(key),
        value: bytes.split_to(value),
    };
    Ok(lens.into_iter().map(row).collect())
}
