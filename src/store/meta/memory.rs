//! A metadata engine in memory: for tests, and the contract in its plainest form.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::{
    Assertion, Batch, KeyRange, MetaEngine, MetaError, Space, Step, Verified, Visitor, Write,
    read_counters,
};

type Rows = BTreeMap<(Space, Bytes), Bytes>;

/// An engine that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    rows: Mutex<Rows>,
}

impl MemoryEngine {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, Rows> {
        // A panic under the lock can't leave half a batch: every change follows all the checks.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetaEngine for MemoryEngine {
    fn get(&self, space: Space, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>> {
        let value = self
            .rows()
            .get(&(space, Bytes::copy_from_slice(key)))
            .cloned();
        ready(Ok(value)).boxed()
    }

    fn walk(
        &self,
        space: Space,
        range: KeyRange,
        mut visit: Visitor,
    ) -> BoxFuture<'_, Result<(), MetaError>> {
        // Held to the end: the walk sees one moment, and a visitor has no way back to the engine.
        let rows = self.rows();
        let mut start = range.start;
        let end = range.end;
        'seek: loop {
            let from = (Bound::Included((space, start.clone())), Bound::Unbounded);
            for ((of, key), value) in rows.range(from) {
                if *of != space || end.as_ref().is_some_and(|end| key >= end) {
                    break 'seek;
                }
                match visit(key, value) {
                    Step::Next => {}
                    Step::Stop => break 'seek,
                    Step::Seek(to) => {
                        start = to.max(key.clone());
                        continue 'seek;
                    }
                }
            }
            break;
        }
        ready(Ok(())).boxed()
    }

    fn verify(
        &self,
        space: Space,
        from: Bytes,
        bytes_max: u64,
    ) -> BoxFuture<'_, Result<Verified, MetaError>> {
        let mut bytes = 0_u64;
        let mut next = None;
        let rows = self.rows();
        for ((_space, key), value) in rows
            .range((space, from)..)
            .take_while(|row| row.0.0 == space)
        {
            if bytes >= bytes_max {
                next = Some(key.clone());
                break;
            }
            let row = key.len().saturating_add(value.len());
            bytes = bytes.saturating_add(row as u64);
        }
        ready(Ok(Verified { bytes, next })).boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), MetaError>> {
        let mut rows = self.rows();
        if !batch
            .assertions
            .iter()
            .all(|assertion| holds(&rows, assertion))
        {
            return ready(Err(MetaError::Conflict)).boxed();
        }
        for write in batch.writes {
            apply(&mut rows, write);
        }
        ready(Ok(())).boxed()
    }

    fn expunge(&self, _spaces: &'static [Space]) -> BoxFuture<'_, Result<(), MetaError>> {
        ready(Ok(())).boxed()
    }

    fn check(&self) -> Result<(), MetaError> {
        Ok(())
    }
}

fn holds(rows: &Rows, assertion: &Assertion) -> bool {
    match assertion {
        Assertion::Absent { space, key } => !rows.contains_key(&(*space, key.clone())),
        Assertion::Holds { space, key, value } => rows.get(&(*space, key.clone())) == Some(value),
        Assertion::Rows {
            space,
            range,
            rows: expected,
        } => {
            let from = rows.range((*space, range.start.clone())..);
            let found = from.take_while(|((of, key), _value)| {
                of == space && range.end.as_ref().is_none_or(|end| key < end)
            });
            let found = found.map(|((_space, key), value)| (key, value));
            found.eq(expected.iter().map(|row| (&row.key, &row.value)))
        }
    }
}

fn apply(rows: &mut Rows, write: Write) {
    match write {
        Write::Put { space, key, value } => {
            rows.insert((space, key), value);
        }
        Write::Delete { space, key } => {
            rows.remove(&(space, key));
        }
        Write::DeleteRange { space, start, end } => {
            rows.retain(|(of, key), _value| *of != space || *key < start || *key >= end);
        }
        Write::Add { space, key, deltas } => {
            let row = rows.entry((space, key)).or_default();
            let [a, b] = read_counters(row);
            let [da, db] = deltas;
            let sums = [a.saturating_add(da), b.saturating_add(db)];
            *row = sums.map(i64::to_le_bytes).concat().into();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn it_keeps_the_contract() {
        super::super::conformance::check(Arc::new(MemoryEngine::new())).await;
    }
}
