//! The object store: S3's rules, written once over two engines.

pub mod accounts;
pub mod blob;
pub mod bucket;
mod copy;
pub mod error;
pub mod fsck;
mod garbage;
pub mod hook;
pub mod keys;
pub(crate) mod keyspace;
pub mod lifecycle;
pub mod listing;
pub mod lock;
pub mod meta;
pub mod object;
pub mod once;
pub mod read;
pub mod record;
pub mod scrub;
pub mod seal;
pub mod settings;
pub mod stage;
pub mod sweep;
#[cfg(test)]
mod tests;
pub mod upload;
pub mod version;

use std::sync::Arc;

pub use bucket::{Bucket, BucketFacts, BucketPage, BucketQuery, NewBucket, Usage};
pub use error::StoreError;
pub use hook::{Change, CommitHook, EventName, NoHook, Origin};
pub use listing::{Line, ObjectQuery};
pub use object::{DeleteCondition, Deleted, NewObject, Object, WriteCondition, Written};
pub use record::{
    ETag, Extras, ObjectHeaders, ObjectPart, ObjectRecord, PartRecord, Seal, SealKind, UploadRecord,
};
pub use settings::{Settings, Versioning};
pub use stage::{Staged, Stager};
pub use sweep::SweepReport;
pub use upload::{
    ClaimedPart, Completion, ListedUpload, NewPart, NewUpload, PartPage, UploadMarker, UploadPage,
    UploadQuery,
};
pub use version::listing::{ListedVersion, VersionMarker, VersionPage, VersionQuery};
pub use version::{Rename, VersionRef};

use crate::clock::{Clock, Timestamp};
use blob::BlobStore;
use meta::{Batch, MetaEngine, MetaError, Space};

/// How often a batch that lost a race is decided anew.
const TRIES_MAX: u32 = 100;

const FORMAT_KEY: &[u8] = b"format";
const FORMAT_VERSION: u64 = 1;

/// What can be set.
#[derive(Debug, Clone, Copy)]
pub struct StoreSettings {
    /// Objects up to so many bytes are kept in the metadata engine.
    pub inline_bytes_max: usize,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            inline_bytes_max: 64 * 1024,
        }
    }
}

/// Buckets and objects over two engines; a clone is the same store.
#[derive(Debug, Clone)]
pub struct ObjectStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    meta: Arc<dyn MetaEngine>,
    blobs: Arc<dyn BlobStore>,
    clock: Arc<dyn Clock>,
    hook: Arc<dyn CommitHook>,
    settings: StoreSettings,
    decoded: bucket::Decoded,
    pins: read::Pins,
    scrub: scrub::ScrubMonitor,
    started: Timestamp,
}

impl ObjectStore {
    /// Opens the store, checks its format version and deletes the garbage of earlier runs.
    ///
    /// # Errors
    /// [`MetaError::Open`] where another version of Consign wrote it.
    pub async fn open(
        meta: Arc<dyn MetaEngine>,
        blobs: Arc<dyn BlobStore>,
        clock: Arc<dyn Clock>,
        hook: Arc<dyn CommitHook>,
        settings: StoreSettings,
    ) -> Result<Self, StoreError> {
        let store = Self::attach(meta, blobs, clock, hook, settings).await?;
        store.discard_left_over().await?;
        Ok(store)
    }

    /// [`Self::open`] that deletes nothing: for who only looks.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn attach(
        meta: Arc<dyn MetaEngine>,
        blobs: Arc<dyn BlobStore>,
        clock: Arc<dyn Clock>,
        hook: Arc<dyn CommitHook>,
        settings: StoreSettings,
    ) -> Result<Self, StoreError> {
        check_format(&*meta).await?;
        let started = clock.now();
        Ok(Self(Arc::new(Inner {
            started,
            meta,
            blobs,
            clock,
            hook,
            settings,
            decoded: bucket::Decoded::default(),
            pins: read::Pins::default(),
            scrub: scrub::ScrubMonitor::default(),
        })))
    }

    /// Whether the store can be read and takes writes: what a probe of readiness asks.
    ///
    /// # Errors
    /// [`StoreError::Meta`] or [`StoreError::Blob`] where it can't or doesn't.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.0.meta.check()?;
        self.0.blobs.writable()?;
        self.0.meta.get(Space::System, FORMAT_KEY).await.map(drop)?;
        Ok(())
    }

    /// The metadata engine.
    pub fn meta(&self) -> &Arc<dyn MetaEngine> {
        &self.0.meta
    }

    /// The blob store.
    pub fn blobs(&self) -> &Arc<dyn BlobStore> {
        &self.0.blobs
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// What rides in each change's batch.
    pub fn hook(&self) -> &Arc<dyn CommitHook> {
        &self.0.hook
    }

    /// When this run began.
    pub(crate) fn started(&self) -> Timestamp {
        self.0.started
    }

    /// What is known of damage, and how far the scrub is.
    pub fn scrub_monitor(&self) -> &scrub::ScrubMonitor {
        &self.0.scrub
    }

    pub(crate) fn pins(&self) -> &read::Pins {
        &self.0.pins
    }

    /// The settings.
    pub fn settings(&self) -> StoreSettings {
        self.0.settings
    }
}

/// The blob that a row of [`Space::Blobs`] is about.
pub fn read_blob_row(value: &[u8]) -> Option<blob::BlobRef> {
    record::decode(value, "a blob's row").ok()
}

/// Checks the format version, and writes it where the store is new.
async fn check_format(meta: &dyn MetaEngine) -> Result<(), StoreError> {
    let Some(raw) = meta.get(Space::System, FORMAT_KEY).await? else {
        let mut batch = Batch::new();
        batch.assert_absent(Space::System, FORMAT_KEY);
        batch.put(Space::System, FORMAT_KEY, record::encode(&FORMAT_VERSION)?);
        return Ok(meta.commit(batch).await?);
    };
    let found: u64 = record::decode(&raw, "the format version")?;
    if found == FORMAT_VERSION {
        return Ok(());
    }
    let reason = format!(
        "the data has format {found}, this program reads {FORMAT_VERSION}: use the Consign that \
         wrote it"
    );
    Err(MetaError::Open { reason }.into())
}
