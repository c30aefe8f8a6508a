//! What an operation may touch.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::access::{Caller, Policies};
use super::access_log::AccessLog;
use super::active::ActiveContent;
use super::admin::AdminHandler;
use super::audit::Auditor;
use super::body::{
    ChunkVerifier, Digest, Payload, Proof, ReceiveOptions, Sink, too_large, too_small,
};
use super::error::{Code, S3Error};
use super::explain::Refusals;
use super::head::Head;
use super::reach::Reach;
use super::reply::Reply;
use super::throttle::{Throttle, ThrottleSettings};
use crate::auth::constraint::{ConstraintFault, Duties};
use crate::auth::{
    AuthError, AuthSettings, BodyProof, ChunkChain, Denied, KeyRing, Signature, Who,
};
use crate::clock::{Clock, Timestamp};
use crate::id::RequestId;
use crate::metrics::{Format, Requests};
use crate::store::accounts::Accounts;
use crate::store::blob::BlobError;
use crate::store::meta::MetaError;
use crate::store::seal::{DataKey, MasterRing};
use crate::store::{EventName, ObjectStore, Origin, Staged, Stager, StoreError};
use crate::trace::{self, Kind, Tracer};

/// An account as answers show it.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The canonical user id.
    pub id: String,
    /// The name beside it.
    pub display_name: String,
}

/// What the server is told about itself.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// The region that signatures are for.
    pub region: String,
    /// By which hosts and paths the server is reached.
    pub reach: Arc<Reach>,
    /// Longest life of a presigned URL.
    pub presign_seconds_max: u64,
    /// Whether requests may be signed by Version 2 too.
    pub signature_v2: bool,
    /// What becomes of documents that could hold scripts.
    pub active_content: ActiveContent,
    /// A client that sends nothing for so long is given up.
    pub body_idle: Duration,
}

impl ServiceSettings {
    /// What the authentication of S3's own requests depends on.
    pub fn auth(&self) -> AuthSettings {
        AuthSettings {
            signature_v2: self.signature_v2,
            ..self.auth_v4(crate::auth::sigv4::SERVICE)
        }
    }

    /// What authentication depends on where Version 2 was never known: at `service`, and at the
    /// server's own paths.
    pub fn auth_v4(&self, service: &'static str) -> AuthSettings {
        AuthSettings {
            region: self.region.clone(),
            service,
            presign_seconds_max: self.presign_seconds_max,
            signature_v2: false,
        }
    }
}

/// The numbers of the whole server.
pub trait Numbers: fmt::Debug + Send + Sync {
    /// Tells them all.
    fn tell(&self, format: Format) -> BoxFuture<'_, String>;
}

/// Everything that requests share.
pub struct Service {
    /// The objects.
    pub store: ObjectStore,
    /// The access keys.
    pub keys: Arc<dyn KeyRing>,
    /// The accounts.
    pub accounts: Arc<Accounts>,
    /// The settings.
    pub settings: ServiceSettings,
    /// The keys that wrap those of objects.
    pub masters: MasterRing,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The buckets' policies as they were read.
    pub policies: Policies,
    /// Who is told to slow down.
    pub throttle: Arc<Throttle>,
    /// The last requests whose signature was refused.
    pub refusals: Arc<Refusals>,
    /// The records of requests on their way.
    pub access_log: Arc<AccessLog>,
    /// What requests are counted into.
    pub requests: Arc<Requests>,
    /// What traces requests, where somebody wants traces.
    pub tracer: Option<Arc<Tracer>>,
    /// The numbers of the whole server, where somebody tells them.
    pub numbers: Option<Arc<dyn Numbers>>,
    /// What keeps the audit log, where there is one.
    pub audit: Option<Arc<dyn Auditor>>,
    /// The administration, where there is one.
    pub admin: Option<Arc<dyn AdminHandler>>,
    /// What the dialect of OSS stands on; none where it is not spoken.
    pub oss: Option<Arc<dyn super::oss::Callbacks>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// One verified request.
#[derive(Debug)]
pub struct Call {
    /// Everything that requests share.
    pub service: Arc<Service>,
    /// The request's head.
    pub head: Head,
    /// Who sent it.
    pub who: Who,
    /// Its body, unread.
    pub body: Payload,
    /// Its name.
    pub id: RequestId,
    /// Where it came from.
    pub peer: Option<SocketAddr>,
    /// How it was signed.
    pub signature: Option<Signature>,
    /// What its signer demanded that is to be kept.
    pub duties: Duties,
}

/// One form upload, of which nothing is verified yet.
#[derive(Debug)]
pub struct FormCall {
    /// Everything that requests share.
    pub service: Arc<Service>,
    /// The request's head.
    pub head: Head,
    /// The form, unread.
    pub body: Payload,
    /// Its name.
    pub id: RequestId,
    /// Where it came from.
    pub peer: Option<SocketAddr>,
}

impl FormCall {
    /// A form upload of that name, which came from there.
    pub(super) fn of(
        service: Arc<Service>,
        head: Head,
        body: Payload,
        (id, peer): (RequestId, Option<SocketAddr>),
    ) -> Self {
        Self {
            service,
            head,
            body,
            id,
            peer,
        }
    }
}

/// Proves and stores a form upload.
pub type FormHandler = fn(FormCall) -> BoxFuture<'static, Result<Reply, S3Error>>;

/// Answers a request whoever sends it.
pub type OpenHandler = fn(Arc<Service>, Head) -> BoxFuture<'static, Result<Reply, S3Error>>;

/// Runs one operation.
pub type Handler = fn(Call) -> BoxFuture<'static, Result<Reply, S3Error>>;

impl Service {
    /// The same under other settings: requests that have begun keep those that they began with.
    #[must_use]
    pub fn reconfigured(
        &self,
        settings: ServiceSettings,
        throttle: ThrottleSettings,
        masters: MasterRing,
        oss: Option<Arc<dyn super::oss::Callbacks>>,
    ) -> Self {
        Self {
            store: self.store.clone(),
            keys: Arc::clone(&self.keys),
            accounts: Arc::clone(&self.accounts),
            settings,
            masters,
            clock: Arc::clone(&self.clock),
            policies: Policies::default(),
            throttle: Arc::new(self.throttle.reconfigured(throttle)),
            refusals: Arc::clone(&self.refusals),
            access_log: Arc::clone(&self.access_log),
            requests: Arc::clone(&self.requests),
            tracer: self.tracer.clone(),
            numbers: self.numbers.clone(),
            audit: self.audit.clone(),
            admin: self.admin.clone(),
            oss,
        }
    }

    /// The number of the account of that canonical id; empty where no account has it.
    pub fn number_of(&self, id: &str) -> String {
        let account = self.accounts.by_id(id);
        account.map_or_else(String::new, |account| account.number.clone())
    }

    /// The account of that canonical id; an id that no account has stands for itself.
    pub fn owner(&self, id: &str) -> Owner {
        let account = self.accounts.by_id(id);
        Owner {
            id: id.to_owned(),
            display_name: account.map_or_else(|| id.to_owned(), |account| account.name.clone()),
        }
    }
}

impl Call {
    /// The caller's account.
    pub fn owner(&self) -> Owner {
        self.service.owner(self.who.owner())
    }

    /// Who asks, and how, for judgements that the route alone can't make.
    pub fn caller(&self) -> Caller<'_> {
        Caller {
            service: &self.service,
            who: &self.who,
            head: &self.head,
            peer: self.peer,
            signature: self.signature,
        }
    }

    /// What the store notes with a change.
    pub fn origin(&self, event: EventName) -> Origin {
        origin(self.id, &self.who, self.peer, event).bound_by(&self.duties)
    }
}

/// What the store notes with a change.
pub(super) fn origin(
    id: RequestId,
    who: &Who,
    peer: Option<SocketAddr>,
    event: EventName,
) -> Origin {
    Origin {
        request_id: id,
        principal: who.owner().to_owned(),
        source_ip: peer.map(|peer| peer.ip()),
        event,
        callback: None,
        once: None,
    }
}

/// What has come and waits for its commit.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub staged: Staged,
    /// What they are.
    pub digest: Digest,
}

impl Payload {
    /// Reads the object's bytes into the store's antechamber and judges them.
    ///
    /// # Errors
    /// As [`Payload::receive_into`], and what the store fails with.
    pub async fn receive(
        self,
        store: &ObjectStore,
        want: ReceiveOptions,
        key: Option<&DataKey>,
    ) -> Result<Received, S3Error> {
        let len = Some(self.announced_len()?);
        let mut stager = match key {
            Some(key) => store.stage_sealed(len, key)?,
            None => store.stage(len),
        };
        let span = trace::span("receive", Kind::Internal);
        let digest = self.receive_into(&mut stager, want).await?;
        drop(span);
        Ok(Received {
            staged: stager.finish().await?,
            digest,
        })
    }
}

impl Sink for Stager {
    async fn write(&mut self, bytes: bytes::Bytes) -> Result<(), S3Error> {
        Self::write(self, bytes).await.map_err(S3Error::from)
    }
}

impl ChunkVerifier for ChunkChain {
    fn chunk(&mut self, sha256: [u8; 32], signature: &str) -> bool {
        self.verify_chunk(sha256, signature)
    }

    fn trailer(&mut self, sha256: [u8; 32], signature: &str) -> bool {
        self.verify_trailer(sha256, signature)
    }
}

impl From<BodyProof> for Proof {
    fn from(proof: BodyProof) -> Self {
        match proof {
            BodyProof::Unsigned => Self::Unsigned,
            BodyProof::Sha256(sha256) => Self::Sha256(sha256),
            BodyProof::SignedChunks { chain, trailer } => Self::SignedChunks {
                verifier: Box::new(chain),
                trailer,
            },
            BodyProof::UnsignedTrailer => Self::UnsignedTrailer,
        }
    }
}

impl From<AuthError> for S3Error {
    fn from(error: AuthError) -> Self {
        let (code, message, details) = error.wire();
        let code = Code::from_name(code).unwrap_or(Code::AccessDenied);
        details
            .into_iter()
            .fold(Self::because(code, message), |error, (name, value)| {
                error.with(name, value)
            })
    }
}

impl From<ConstraintFault> for S3Error {
    fn from(fault: ConstraintFault) -> Self {
        AuthError::from(fault).into()
    }
}

impl From<Denied> for S3Error {
    fn from(_denied: Denied) -> Self {
        Self::new(Code::AccessDenied)
    }
}

/// What is said of a delete marker: asked for by its name it can only be deleted, otherwise it says
/// that there is no object.
fn delete_marker(version: &str, modified: Timestamp, named: bool) -> S3Error {
    let error = if named {
        S3Error::new(Code::MethodNotAllowed)
            .with("ResourceType", "DeleteMarker")
            .with_header("allow", "DELETE")
            .with_header("last-modified", modified.http_date())
    } else {
        S3Error::new(Code::NoSuchKey)
    };
    error
        .with_header("x-amz-delete-marker", "true")
        .with_header("x-amz-version-id", version)
}

/// What is said of a signature that was good for one upload: when that was made, or that the upload
/// ended so late that nobody knows any more.
fn used_up(at: Option<Timestamp>) -> S3Error {
    match at {
        Some(at) => S3Error::because(
            Code::AccessDenied,
            "x-consign-once: this signature was good for one upload, which was made",
        )
        .with("UsedAt", at.iso8601_ms()),
        None => S3Error::because(
            Code::AccessDenied,
            "x-consign-once: the upload ended too long after its signature had expired",
        ),
    }
}

/// What is said where a receiver did not agree to an upload; anything else is a fault of ours.
fn not_agreed(error: StoreError) -> S3Error {
    match error {
        StoreError::Refused { reason: None } => S3Error::new(Code::UploadRefused),
        StoreError::Refused {
            reason: Some(reason),
        } => S3Error::because(Code::UploadRefused, reason),
        error @ (StoreError::Meta(MetaError::Poisoned { .. })
        | StoreError::Blob(BlobError::Poisoned { .. })) => S3Error::because(
            Code::ServiceUnavailable,
            "The disk failed to keep what was written: until the server is started anew it only reads.",
        )
        .caused_by(error),
        StoreError::Withdrawn { why } => S3Error::because(
            Code::UploadWithdrawn,
            format!("{} {why}.", Code::UploadWithdrawn.message()),
        ),
        other => S3Error::internal(other),
    }
}

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSuchBucket => Self::new(Code::NoSuchBucket),
            StoreError::QuotaExceeded => Self::new(Code::QuotaExceeded),
            StoreError::BucketExists { .. } => Self::new(Code::BucketAlreadyExists),
            StoreError::BucketNotEmpty { versioned: false } => Self::new(Code::BucketNotEmpty),
            StoreError::BucketNotEmpty { versioned: true } => Self::because(
                Code::BucketNotEmpty,
                "The bucket you tried to delete is not empty. You must delete all versions in the \
                 bucket.",
            ),
            StoreError::NoSuchKey => Self::new(Code::NoSuchKey),
            StoreError::NoSuchVersion => Self::new(Code::NoSuchVersion),
            StoreError::AlreadyUsed { at } => used_up(Some(at)),
            StoreError::UsedTooLate => used_up(None),
            StoreError::Locked => Self::because(
                Code::AccessDenied,
                "Access Denied because object protected by object lock.",
            ),
            StoreError::DeleteMarker {
                version,
                modified,
                named,
            } => delete_marker(&version.to_string(), modified, named),
            StoreError::KeepsVersions => Self::because(
                Code::InvalidBucketState,
                "Objects can be renamed only in a bucket whose versioning was never enabled.",
            ),
            StoreError::SameKey => Self::because(
                Code::InvalidRequest,
                "This rename request is illegal because it is trying to rename an object to \
                 itself.",
            ),
            StoreError::TokenReused => Self::new(Code::IdempotencyParameterMismatch),
            StoreError::NoSuchUpload => Self::new(Code::NoSuchUpload),
            StoreError::InvalidPart { number } => {
                Self::new(Code::InvalidPart).with("PartNumber", number.to_string())
            }
            StoreError::InvalidPartOrder => Self::new(Code::InvalidPartOrder),
            StoreError::PartTooSmall { number, len, min } => Self::new(Code::EntityTooSmall)
                .with("PartNumber", number.to_string())
                .with("ProposedSize", len.to_string())
                .with("MinSizeAllowed", min.to_string()),
            StoreError::TooSmall { len, min } => too_small(len, min),
            StoreError::ChangedDuringUpload { condition } => {
                Self::new(Code::ConditionalRequestConflict).with("Condition", condition)
            }
            StoreError::LengthMismatch { len, expected } => Self::because(
                Code::InvalidRequest,
                format!(
                    "The provided 'x-amz-mp-object-size' header value {expected} \
                     does not match what was computed: {len}"
                ),
            ),
            StoreError::ChecksumMismatch => Self::new(Code::BadDigest),
            StoreError::PreconditionFailed { condition } => {
                Self::new(Code::PreconditionFailed).with("Condition", condition)
            }
            StoreError::Conflict => Self::new(Code::ConditionalRequestConflict),
            StoreError::TooLarge { len, max } => too_large(len, max),
            StoreError::Meta(MetaError::Full) | StoreError::Blob(BlobError::Full) => {
                Self::new(Code::InsufficientStorage)
            }
            other => not_agreed(other),
        }
    }
}
