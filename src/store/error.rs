//! What the store can refuse or fail with.

use super::blob::BlobError;
use super::hook::Objection;
use super::meta::MetaError;
use super::seal::SecretLost;
use super::version::VersionRef;
use crate::clock::Timestamp;

/// A rule of S3 that a request broke, or an engine's failure.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No bucket has that name, or it was deleted meanwhile.
    #[error("the bucket does not exist")]
    NoSuchBucket,
    /// The bucket would hold more than it may.
    #[error("the bucket's quota would be exceeded")]
    QuotaExceeded,
    /// The name is taken.
    #[error("the bucket exists already")]
    BucketExists {
        /// By whom.
        owner: String,
    },
    /// The bucket still holds objects, versions or uploads.
    #[error("the bucket is not empty")]
    BucketNotEmpty {
        /// Whether it ever kept versions.
        versioned: bool,
    },
    /// Who must agree to the change refused.
    #[error("the change was refused by its receiver")]
    Refused {
        /// Why, in the receiver's own words.
        reason: Option<String>,
    },
    /// Who must agree to the change gave no answer in time, so that it was not made.
    #[error("the change was withdrawn: {why}")]
    Withdrawn {
        /// What was wrong.
        why: String,
    },
    /// No object has that key.
    #[error("the key does not exist")]
    NoSuchKey,
    /// The key has no such version.
    #[error("the version does not exist")]
    NoSuchVersion,
    /// What was asked for is a delete marker.
    #[error("the version {version} is a delete marker")]
    DeleteMarker {
        /// Which version it is.
        version: VersionRef,
        /// When it was made.
        modified: Timestamp,
        /// Whether that very version was asked for, not just what is current.
        named: bool,
    },
    /// The version is retained, or somebody holds it.
    #[error("the version is locked")]
    Locked,
    /// No upload has that id under that key: it was completed or aborted, or never was.
    #[error("the upload does not exist")]
    NoSuchUpload,
    /// A part is missing, or is not the one that the client means.
    #[error("part {number} is missing or is another one")]
    InvalidPart {
        /// Its number.
        number: u16,
    },
    /// The parts are not listed in ascending order.
    #[error("the parts are not in ascending order")]
    InvalidPartOrder,
    /// A part other than the last is too small.
    #[error("part {number} has {len} bytes, fewer than {min}")]
    PartTooSmall {
        /// Its number.
        number: u16,
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        min: u64,
    },
    /// The whole's checksum is not the one that the client expects.
    #[error("the checksum of the whole is not the expected one")]
    ChecksumMismatch,
    /// What was good for one use was used.
    #[error("it was used at {at:?}")]
    AlreadyUsed {
        /// When.
        at: Timestamp,
    },
    /// What was good for one use ended so late that nobody knows any more whether it was used.
    #[error("it ended too long after its signature had expired")]
    UsedTooLate,
    /// The object would be smaller than its signer allows.
    #[error("{len} bytes are fewer than {min}")]
    TooSmall {
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        min: u64,
    },
    /// A condition of the request does not hold.
    #[error("the condition {condition} does not hold")]
    PreconditionFailed {
        /// The header that carried it.
        condition: &'static str,
    },
    /// A condition is about an object that was written or deleted while the upload was under way.
    #[error("the object that {condition} is about changed during the upload")]
    ChangedDuringUpload {
        /// The header that carried it.
        condition: &'static str,
    },
    /// The whole's length is not the one that the client expects.
    #[error("the whole has {len} bytes, not {expected}")]
    LengthMismatch {
        /// Its length in bytes.
        len: u64,
        /// What the client expects.
        expected: u64,
    },
    /// The bucket keeps versions of its objects, or once did.
    #[error("the bucket keeps versions")]
    KeepsVersions,
    /// An object was to be renamed to what it is called.
    #[error("an object can't be renamed to its own key")]
    SameKey,
    /// A client's token names another rename than before.
    #[error("the token was used for another rename")]
    TokenReused,
    /// Other writers won a hundred times in a row.
    #[error("the key changes too often")]
    Conflict,
    /// The object was overwritten or deleted after its record was read: read it again.
    #[error("the object changed meanwhile")]
    Superseded,
    /// The object is larger than S3, or its signer, allows.
    #[error("{len} bytes are more than the {max} that are allowed")]
    TooLarge {
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// The metadata engine failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The blob store failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl StoreError {
    /// A stored value that can't be read.
    pub(crate) fn corrupt(what: &str) -> Self {
        let reason = format!("{what} can't be read");
        Self::Meta(MetaError::Corrupt { reason })
    }

    /// A secret that can't be sealed.
    pub(crate) fn seal(fault: SecretLost) -> Self {
        Self::Meta(MetaError::Engine {
            source: Box::new(fault),
        })
    }
}

impl From<Objection> for StoreError {
    fn from(objection: Objection) -> Self {
        match objection {
            Objection::Refused { reason } => Self::Refused { reason },
            Objection::Unanswered { why } => Self::Withdrawn { why },
            Objection::Meta(error) => Self::Meta(error),
        }
    }
}
