//! How callbacks ride in an object's batch while the store stays ignorant of them.

use std::fmt::Debug;
use std::net::IpAddr;

use super::meta::Batch;
use super::record::ObjectRecord;
use crate::clock::Timestamp;
use crate::id::{RequestId, VersionId};
use crate::name::ObjectKey;

// What a hook is shown: it knows of the store nothing else.
pub use super::bucket::Bucket;
pub use super::settings::{NotificationRule, covers};
pub use crate::auth::constraint::{CallbackChoice, CallbackMode};
use crate::auth::constraint::{Duties, Nonce};

/// What happened to an object, by S3's names of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventName {
    /// `ObjectCreated:Put`.
    ObjectCreatedPut,
    /// `ObjectCreated:Post`.
    ObjectCreatedPost,
    /// `ObjectCreated:Copy`.
    ObjectCreatedCopy,
    /// `ObjectCreated:CompleteMultipartUpload`.
    ObjectCreatedCompleteMultipartUpload,
    /// `ObjectAcl:Put`.
    ObjectAclPut,
    /// `ObjectTagging:Put`.
    ObjectTaggingPut,
    /// `ObjectTagging:Delete`.
    ObjectTaggingDelete,
    /// `ObjectRemoved:Delete`.
    ObjectRemovedDelete,
    /// `ObjectRemoved:DeleteMarkerCreated`.
    ObjectRemovedDeleteMarkerCreated,
    /// `LifecycleExpiration:Delete`.
    LifecycleExpirationDelete,
    /// `LifecycleExpiration:DeleteMarkerCreated`.
    LifecycleExpirationDeleteMarkerCreated,
}

impl EventName {
    /// Every event that the store raises.
    pub const ALL: [Self; 11] = [
        Self::ObjectCreatedPut,
        Self::ObjectCreatedPost,
        Self::ObjectCreatedCopy,
        Self::ObjectCreatedCompleteMultipartUpload,
        Self::ObjectAclPut,
        Self::ObjectTaggingPut,
        Self::ObjectTaggingDelete,
        Self::ObjectRemovedDelete,
        Self::ObjectRemovedDeleteMarkerCreated,
        Self::LifecycleExpirationDelete,
        Self::LifecycleExpirationDeleteMarkerCreated,
    ];

    /// S3's name, without the `s3:` of a rule.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ObjectCreatedPut => "ObjectCreated:Put",
            Self::ObjectCreatedPost => "ObjectCreated:Post",
            Self::ObjectCreatedCopy => "ObjectCreated:Copy",
            Self::ObjectCreatedCompleteMultipartUpload => "ObjectCreated:CompleteMultipartUpload",
            Self::ObjectAclPut => "ObjectAcl:Put",
            Self::ObjectTaggingPut => "ObjectTagging:Put",
            Self::ObjectTaggingDelete => "ObjectTagging:Delete",
            Self::ObjectRemovedDelete => "ObjectRemoved:Delete",
            Self::ObjectRemovedDeleteMarkerCreated => "ObjectRemoved:DeleteMarkerCreated",
            Self::LifecycleExpirationDelete => "LifecycleExpiration:Delete",
            Self::LifecycleExpirationDeleteMarkerCreated => {
                "LifecycleExpiration:DeleteMarkerCreated"
            }
        }
    }

    /// What a deletion counts as where it leaves a delete marker.
    pub(super) const fn with_marker(self) -> Self {
        match self {
            Self::ObjectRemovedDelete => Self::ObjectRemovedDeleteMarkerCreated,
            Self::LifecycleExpirationDelete => Self::LifecycleExpirationDeleteMarkerCreated,
            other => other,
        }
    }
}

/// Who asked for a change, and as what it counts.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The request.
    pub request_id: RequestId,
    /// Who signed it.
    pub principal: String,
    /// Where it came from.
    pub source_ip: Option<IpAddr>,
    /// What it is.
    pub event: EventName,
    /// Whom its signer wants to be told, beside those whom rules name.
    pub callback: Option<CallbackChoice>,
    /// What it uses up.
    pub once: Option<Nonce>,
}

impl Origin {
    /// The same, by a request whose signer demanded this.
    #[must_use]
    pub fn bound_by(self, duties: &Duties) -> Self {
        Self {
            callback: duties.callback.clone(),
            once: duties.once.clone(),
            ..self
        }
    }
}

/// One change of an object, about to be committed.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What happens.
    pub event: EventName,
    /// In which bucket.
    pub bucket: &'a Bucket,
    /// To which key.
    pub key: &'a ObjectKey,
    /// The new object or delete marker; none for a removal.
    pub object: Option<&'a ObjectRecord>,
    /// The version that came or went; none for the null version.
    pub version: Option<VersionId>,
    /// Grows with each change of the key.
    pub sequence: u64,
    /// Who asked for it.
    pub origin: &'a Origin,
    /// When.
    pub at: Timestamp,
}

/// Adds to the batch of each change.
pub trait CommitHook: Debug + Send + Sync {
    /// Adds what must become true together with `change`.
    fn stage(&self, change: &Change<'_>, batch: &mut Batch);

    /// Whether an endpoint of that name is there.
    fn knows(&self, _endpoint: &str) -> bool {
        false
    }

    /// Adds the message that tells a rule's receiver that it will be told.
    fn stage_test(
        &self,
        _bucket: &Bucket,
        _rule: &NotificationRule,
        _by: &Origin,
        _at: Timestamp,
        _batch: &mut Batch,
    ) {
    }

    /// A batch that `stage` saw is durable.
    fn committed(&self) {}
}

/// Adds nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHook;

impl CommitHook for NoHook {
    fn stage(&self, _change: &Change<'_>, _batch: &mut Batch) {}
}
