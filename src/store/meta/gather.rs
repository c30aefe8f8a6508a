//! An engine whose batches wait until they are sent on as one: who makes millions of objects pays for the
//! way to the committer and back once in a thousand.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::{Batch, KeyRange, MetaEngine, MetaError, Space, Verified, Visitor};

/// An engine over another one. A batch counts as committed at once, but is not seen by reads before it is
/// sent on: it is for one writer, who changes no row twice in between.
#[derive(Debug)]
pub struct Gathering {
    engine: Arc<dyn MetaEngine>,
    waiting: Mutex<Batch>,
}

impl Gathering {
    /// Over this engine.
    pub fn over(engine: Arc<dyn MetaEngine>) -> Self {
        let waiting = Mutex::default();
        Self { engine, waiting }
    }

    /// Sends on what waits, as one batch: at once, whether or not its outcome is waited for.
    ///
    /// # Errors
    /// As [`MetaEngine::commit`]: none of what waited has changed anything then.
    pub fn send(&self) -> BoxFuture<'_, Result<(), MetaError>> {
        let batch = mem::take(&mut *self.waiting());
        self.engine.commit(batch)
    }

    fn waiting(&self) -> MutexGuard<'_, Batch> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetaEngine for Gathering {
    fn get(&self, space: Space, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>> {
        self.engine.get(space, key)
    }

    fn expunge(&self, spaces: &'static [Space]) -> BoxFuture<'_, Result<(), MetaError>> {
        self.engine.expunge(spaces)
    }

    fn walk(
        &self,
        space: Space,
        range: KeyRange,
        visit: Visitor,
    ) -> BoxFuture<'_, Result<(), MetaError>> {
        self.engine.walk(space, range, visit)
    }

    fn verify(
        &self,
        space: Space,
        from: Bytes,
        bytes_max: u64,
    ) -> BoxFuture<'_, Result<Verified, MetaError>> {
        self.engine.verify(space, from, bytes_max)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), MetaError>> {
        let mut waiting = self.waiting();
        waiting.assertions.extend(batch.assertions);
        waiting.writes.extend(batch.writes);
        ready(Ok(())).boxed()
    }

    fn check(&self) -> Result<(), MetaError> {
        self.engine.check()
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryEngine;
    use super::*;

    #[tokio::test]
    async fn batches_are_one_once_they_are_sent() {
        let engine: Arc<dyn MetaEngine> = Arc::new(MemoryEngine::default());
        let gathering = Gathering::over(Arc::clone(&engine));
        for key in ["a", "b"] {
            let mut batch = Batch::new();
            batch.assert_absent(Space::Objects, key);
            batch.put(Space::Objects, key, "1");
            gathering.commit(batch).await.unwrap();
        }
        assert_eq!(engine.get(Space::Objects, b"a").await.unwrap(), None);
        gathering.send().await.unwrap();
        for key in [b"a", b"b"] {
            let value = gathering.get(Space::Objects, key).await.unwrap();
            assert_eq!(value, Some("1".into()));
        }
    }

    #[tokio::test]
    async fn one_that_fails_takes_all_along() {
        let engine: Arc<dyn MetaEngine> = Arc::new(MemoryEngine::default());
        let gathering = Gathering::over(Arc::clone(&engine));
        let mut good = Batch::new();
        good.put(Space::Objects, "a", "1");
        let mut bad = Batch::new();
        bad.assert_unchanged(Space::Objects, "b", Some("2".into()));
        for batch in [good, bad] {
            gathering.commit(batch).await.unwrap();
        }
        let sent = gathering.send().await;
        assert!(matches!(sent, Err(MetaError::Conflict)), "{sent:?}");
        assert_eq!(engine.get(Space::Objects, b"a").await.unwrap(), None);
        gathering.send().await.unwrap();
    }
}
