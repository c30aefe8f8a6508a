//! A blob store that fails when it is told to: what the rules above do then is tested with it.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::{BlobError, BlobRef, BlobStore, BlobStream, BlobWriter};
use crate::id::BlobId;

/// What can be told to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobAction {
    /// Beginning a blob.
    Create,
    /// Appending to one.
    Write,
    /// Publishing one.
    Finish,
    /// Opening one for reading.
    Read,
    /// Giving one a second name.
    Link,
    /// Deleting one.
    Delete,
}

/// How it fails; nothing is changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobFault {
    /// As if the disk were full.
    Full,
    /// As if the disk were broken.
    Io,
}

impl From<BlobFault> for BlobError {
    fn from(fault: BlobFault) -> Self {
        match fault {
            BlobFault::Full => Self::Full,
            BlobFault::Io => Self::Io {
                doing: "failing as told".into(),
                source: std::io::Error::other("told to fail"),
            },
        }
    }
}

/// Passes everything on to another store but what it was told to fail.
#[derive(Debug)]
pub struct FaultyBlobs {
    inner: Arc<dyn BlobStore>,
    plan: Arc<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    /// What fails, how, and how many such actions there are until then, itself included.
    faults: Mutex<Vec<(BlobAction, BlobFault, u64)>>,
}

impl Plan {
    /// Counts an action that happens now, and fails it where it was told to.
    fn pass(&self, action: BlobAction) -> Result<(), BlobError> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        for (_action, _fault, left) in faults.iter_mut().filter(|(of, ..)| *of == action) {
            *left = left.saturating_sub(1);
        }
        let due = faults
            .iter()
            .position(|(of, _fault, left)| *of == action && *left == 0);
        due.map_or(Ok(()), |at| Err(faults.swap_remove(at).1.into()))
    }
}

impl FaultyBlobs {
    /// Over `inner`, without a fault so far.
    pub fn new(inner: Arc<dyn BlobStore>) -> Self {
        Self {
            inner,
            plan: Arc::default(),
        }
    }

    /// Fails the `nth` such action from now on, where 1 is the next one.
    pub fn fail(&self, action: BlobAction, nth: u64, fault: BlobFault) {
        let mut faults = self
            .plan
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        faults.push((action, fault, nth));
    }
}

#[derive(Debug)]
struct FaultyWriter {
    inner: Box<dyn BlobWriter>,
    plan: Arc<Plan>,
}

impl BlobWriter for FaultyWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        async move {
            self.plan.pass(BlobAction::Write)?;
            self.inner.write(bytes).await
        }
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<BlobRef, BlobError>> {
        async move {
            self.plan.pass(BlobAction::Finish)?;
            self.inner.finish().await
        }
        .boxed()
    }
}

impl BlobStore for FaultyBlobs {
    fn create(
        &self,
        expected_len: Option<u64>,
    ) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, BlobError>> {
        async move {
            self.plan.pass(BlobAction::Create)?;
            let inner = self.inner.create(expected_len).await?;
            let writer = FaultyWriter {
                inner,
                plan: Arc::clone(&self.plan),
            };
            Ok(Box::new(writer) as Box<dyn BlobWriter>)
        }
        .boxed()
    }

    fn read(
        &self,
        blob: BlobRef,
        range: Range<u64>,
    ) -> BoxFuture<'_, Result<BlobStream, BlobError>> {
        async move {
            self.plan.pass(BlobAction::Read)?;
            self.inner.read(blob, range).await
        }
        .boxed()
    }

    fn link(&self, blobs: Vec<BlobRef>) -> BoxFuture<'_, Result<Vec<BlobRef>, BlobError>> {
        async move {
            self.plan.pass(BlobAction::Link)?;
            self.inner.link(blobs).await
        }
        .boxed()
    }

    fn delete(&self, id: BlobId) -> BoxFuture<'_, Result<(), BlobError>> {
        async move {
            self.plan.pass(BlobAction::Delete)?;
            self.inner.delete(id).await
        }
        .boxed()
    }

    fn verify(&self, blob: BlobRef) -> BoxFuture<'_, Result<(), BlobError>> {
        self.inner.verify(blob)
    }

    fn room(&self, bytes: u64) -> Result<(), BlobError> {
        self.inner.room(bytes)
    }

    fn writable(&self) -> Result<(), BlobError> {
        self.inner.writable()
    }

    fn list(&self) -> BoxStream<'_, Result<BlobId, BlobError>> {
        self.inner.list()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::super::conformance;
    use super::super::memory::MemoryBlobs;
    use super::*;

    fn store() -> FaultyBlobs {
        FaultyBlobs::new(Arc::new(MemoryBlobs::new()))
    }

    #[tokio::test]
    async fn without_a_fault_it_keeps_the_contract() {
        conformance::check(&store()).await;
    }

    #[tokio::test]
    async fn a_failed_write_or_finish_leaves_no_blob() {
        for action in [BlobAction::Write, BlobAction::Finish] {
            let store = store();
            store.fail(action, 1, BlobFault::Full);
            let mut writer = store.create(None).await.unwrap();
            let outcome = match writer.write(conformance::data(10)).await {
                Ok(()) => writer.finish().await.map(drop),
                Err(error) => Err(error),
            };
            assert!(matches!(outcome, Err(BlobError::Full)), "{action:?}");
            assert_eq!(store.list().count().await, 0, "{action:?}");
        }
    }

    #[tokio::test]
    async fn only_the_action_that_was_named_fails() {
        let store = store();
        store.fail(BlobAction::Delete, 2, BlobFault::Io);
        let blob = conformance::written(&store, &conformance::data(10)).await;
        store.delete(blob.id).await.unwrap();
        assert!(matches!(
            store.delete(blob.id).await,
            Err(BlobError::Io { .. })
        ));
        store.delete(blob.id).await.unwrap();
    }
}
