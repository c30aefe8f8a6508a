//! A metadata engine that fails when it is told to: what the rules above do then is tested with it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Batch, KeyRange, MetaEngine, MetaError, Space, Verified, Visitor};

/// How a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaFault {
    /// As if another writer had been faster; nothing is changed.
    Conflict,
    /// As if the disk were full; nothing is changed.
    Full,
    /// As if a write had failed: this and every later commit is refused.
    Poisoned {
        /// Whether the batch is there all the same, as after a sync that failed late.
        applied: bool,
    },
}

/// Passes everything on to another engine but the commits it was told to fail.
#[derive(Debug)]
pub struct FaultyEngine {
    inner: Arc<dyn MetaEngine>,
    plan: Mutex<Plan>,
    is_slow: bool,
}

#[derive(Debug, Default)]
struct Plan {
    /// Commits seen so far.
    seen: u64,
    /// Which commits fail, and how.
    faults: Vec<(u64, MetaFault)>,
    poisoned: bool,
}

impl FaultyEngine {
    /// Over `inner`, without a fault so far.
    pub fn new(inner: Arc<dyn MetaEngine>) -> Self {
        Self {
            inner,
            plan: Mutex::default(),
            is_slow: false,
        }
    }

    /// The same, whose commits wait as for a committer: what others read meanwhile is from before.
    pub fn slow(inner: Arc<dyn MetaEngine>) -> Self {
        let is_slow = true;
        Self {
            is_slow,
            ..Self::new(inner)
        }
    }

    /// Fails the `nth` commit from now on, where 1 is the next one.
    pub fn fail_commit(&self, nth: u64, fault: MetaFault) {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let at = plan.seen.saturating_add(nth);
        plan.faults.push((at, fault));
    }

    /// How many commits were asked for.
    pub fn commits(&self) -> u64 {
        self.plan
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .seen
    }

    /// The fault of the commit that comes now.
    fn next(&self) -> Option<MetaFault> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.seen = plan.seen.saturating_add(1);
        if plan.poisoned {
            return Some(MetaFault::Poisoned { applied: false });
        }
        let now = plan.seen;
        let found = plan.faults.iter().find(|(at, _fault)| *at == now);
        let fault = found.map(|(_at, fault)| *fault);
        plan.poisoned = matches!(fault, Some(MetaFault::Poisoned { .. }));
        fault
    }
}

impl MetaEngine for FaultyEngine {
    fn get(&self, space: Space, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>> {
        self.inner.get(space, key)
    }

    fn walk(
        &self,
        space: Space,
        range: KeyRange,
        visit: Visitor,
    ) -> BoxFuture<'_, Result<(), MetaError>> {
        self.inner.walk(space, range, visit)
    }

    fn verify(
        &self,
        space: Space,
        from: Bytes,
        bytes_max: u64,
    ) -> BoxFuture<'_, Result<Verified, MetaError>> {
        self.inner.verify(space, from, bytes_max)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), MetaError>> {
        async move {
            match self.next() {
                None => {
                    if self.is_slow {
                        tokio::task::yield_now().await;
                    }
                    self.inner.commit(batch).await
                }
                Some(MetaFault::Conflict) => Err(MetaError::Conflict),
                Some(MetaFault::Full) => Err(MetaError::Full),
                Some(MetaFault::Poisoned { applied }) => {
                    if applied {
                        self.inner.commit(batch).await?;
                    }
                    Err(told_to_fail())
                }
            }
        }
        .boxed()
    }

    fn expunge(&self, spaces: &'static [Space]) -> BoxFuture<'_, Result<(), MetaError>> {
        self.inner.expunge(spaces)
    }

    fn rest(&self) -> BoxFuture<'_, Result<(), MetaError>> {
        self.inner.rest()
    }

    fn check(&self) -> Result<(), MetaError> {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        if plan.poisoned {
            return Err(told_to_fail());
        }
        self.inner.check()
    }
}

fn told_to_fail() -> MetaError {
    MetaError::Poisoned {
        reason: "told to fail".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::super::memory::MemoryEngine;
    use super::*;

    fn engine() -> FaultyEngine {
        FaultyEngine::new(Arc::new(MemoryEngine::default()))
    }

    fn batch(key: &'static str) -> Batch {
        let mut batch = Batch::new();
        batch.put(Space::System, key, "value");
        batch
    }

    async fn has(engine: &FaultyEngine, key: &str) -> bool {
        engine
            .get(Space::System, key.as_bytes())
            .await
            .unwrap()
            .is_some()
    }

    #[tokio::test]
    async fn without_a_fault_it_keeps_the_contract() {
        conformance::check(Arc::new(engine())).await;
    }

    #[tokio::test]
    async fn only_the_commit_that_was_named_fails_and_changes_nothing() {
        let engine = engine();
        engine.fail_commit(2, MetaFault::Full);
        engine.commit(batch("a")).await.unwrap();
        assert!(matches!(
            engine.commit(batch("b")).await,
            Err(MetaError::Full)
        ));
        engine.commit(batch("c")).await.unwrap();
        assert!(has(&engine, "a").await && !has(&engine, "b").await && has(&engine, "c").await);
        assert_eq!(engine.commits(), 3);
    }

    #[tokio::test]
    async fn a_poisoned_engine_takes_no_more_batches() {
        let engine = engine();
        engine.fail_commit(1, MetaFault::Poisoned { applied: true });
        assert!(engine.check().is_ok());
        for key in ["a", "b"] {
            let outcome = engine.commit(batch(key)).await;
            assert!(matches!(outcome, Err(MetaError::Poisoned { .. })));
        }
        assert!(has(&engine, "a").await && !has(&engine, "b").await);
        assert!(matches!(engine.check(), Err(MetaError::Poisoned { .. })));
    }
}
