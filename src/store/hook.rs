//! How callbacks ride in an object's batch while the store stays ignorant of them.

use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::meta::{Batch, MetaError};
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
    /// Who agreed to it, where somebody had to.
    pub consent: Option<&'a Consent>,
    /// When.
    pub at: Timestamp,
}

/// A message, committed with its change, whose answer the uploader waits for.
#[derive(Debug, Clone)]
pub struct Awaited {
    /// Its row's key.
    pub key: Bytes,
    /// Its row.
    pub value: Bytes,
    /// How long the uploader waits at most.
    pub within: Duration,
}

/// That a receiver agreed to a change which is not made yet. The row of its question stays until the
/// change's own batch takes it away, or until it is revoked: whoever dies in between, the receiver
/// hears of it.
#[derive(Debug, Clone)]
pub struct Consent {
    /// The key of the question's row in [`super::meta::Space::Outbox`].
    pub key: Bytes,
    /// The row.
    pub value: Bytes,
    /// What the audit is to say of it.
    pub attempt: Bytes,
    /// What the receiver answered.
    pub answer: Bytes,
    /// The sequence that the receiver was told of.
    pub sequence: u64,
    /// The version that it was told of.
    pub version: Option<VersionId>,
}

/// Why a change may not be made.
#[derive(Debug, thiserror::Error)]
pub enum Objection {
    /// The receiver said no.
    #[error("the receiver refused")]
    Refused {
        /// Why, in its own words.
        reason: Option<String>,
    },
    /// It gave no answer that counts.
    #[error("{why}")]
    Unanswered {
        /// What is wrong.
        why: String,
    },
    /// Metadata failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// What an uploader is told beside what the store says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing: nobody was to be waited for.
    Nothing,
    /// The receiver's answer: JSON.
    Answer(Bytes),
    /// The object is there, but its receiver gave no answer that counts, for this reason.
    Failed(String),
}

/// An upload whose bytes have not come yet.
#[derive(Debug, Clone, Copy)]
pub struct Proposed<'a> {
    /// S3's name of the operation.
    pub operation: &'static str,
    /// In which bucket.
    pub bucket: &'a Bucket,
    /// Under which key.
    pub key: &'a str,
    /// How many bytes it says it has.
    pub len: Option<u64>,
    /// Of which type it says they are.
    pub content_type: Option<&'a str>,
    /// Who asks for it.
    pub origin: &'a Origin,
}

/// Whether an upload may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It may not.
    Refused {
        /// Why, in the words of who refused it.
        reason: Option<String>,
    },
    /// Who must allow it can't be asked.
    Down,
}

/// Adds to the batch of each change.
pub trait CommitHook: Debug + Send + Sync {
    /// Adds what must become true together with `change`; gives back what its uploader waits for
    /// once it is durable.
    fn stage(&self, change: &Change<'_>, batch: &mut Batch) -> Option<Awaited>;

    /// Whether somebody must agree to what `by` does to the key, before it is done.
    fn must_agree(&self, _bucket: &Bucket, _key: &str, _by: &Origin) -> bool {
        false
    }

    /// Asks who must agree to `change`. What is agreed to is then made with the consent, or revoked.
    fn consult<'a>(
        &'a self,
        _change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<Option<Consent>, Objection>> {
        async { Ok(None) }.boxed()
    }

    /// What was agreed to is not made.
    fn revoke<'a>(&'a self, _consent: &'a Consent) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }

    /// Waits for the answer to what was committed.
    fn answer(&self, _awaited: Awaited) -> BoxFuture<'_, Told> {
        async { Told::Nothing }.boxed()
    }

    /// Whether an upload may begin.
    fn admit<'a>(&'a self, _upload: &'a Proposed<'a>) -> BoxFuture<'a, Verdict> {
        async { Verdict::Allowed }.boxed()
    }

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
    fn stage(&self, _change: &Change<'_>, _batch: &mut Batch) -> Option<Awaited> {
        None
    }
}
