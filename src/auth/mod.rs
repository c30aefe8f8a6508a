//! Who may: pure functions over a request's head, a ring of keys and a time.
//!
//! [`authenticate`] and [`post_form::authenticate_form`] are the only makers of a [`Grant`], so an
//! operation that holds one runs for a verified caller. [`may`] then judges what the caller asks.

pub mod acl;
mod action;
pub mod canonical;
mod chunk;
pub mod constraint;
mod error;
pub mod explain;
mod header;
pub mod oss;
pub mod policy;
pub mod post_form;
pub mod post_policy;
pub mod presign;
mod presigned;
mod request;
mod secret;
pub mod session;
mod signature;
pub mod sigv2;
pub mod sigv4;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};

use crate::clock::Timestamp;

pub use action::{Action, Denied, Scope, may};
pub use chunk::ChunkChain;
use constraint::{Constraint, Duties};
pub use error::{AuthError, Details, Mismatch};
use policy::OwnPolicy;
pub use secret::Secret;
use session::{SessionKey, Temporary};
pub use signature::{AuthType, Signature, SignatureVersion};

/// How far a request's clock may be from ours.
pub const SKEW_MAX: Duration = Duration::from_secs(15 * 60);
/// The longest life of a presigned URL that S3 allows: a week.
pub const PRESIGN_SECONDS_MAX: u64 = 604_800;

/// What a signature covers of a request.
#[derive(Debug, Clone, Copy)]
pub struct SignedHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as it came over the wire.
    pub raw_path: &'a str,
    /// The query as it came over the wire, without its `?`.
    pub raw_query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The host, with its port where one was given.
    pub authority: &'a str,
    /// Where else it may have been signed for.
    pub elsewhere: Option<&'a dyn Elsewhere>,
    /// The bucket, where the host names it,
    pub bucket: Option<&'a str>,
    /// and the path, without what a proxy knows it under: what it is about, wherever it was sent.
    pub path: &'a str,
    /// The body's SHA-256 in hexadecimal, where it was read before: other services than S3 sign it
    /// without a header that tells it.
    pub payload: Option<&'a str>,
    /// Where it came from.
    pub peer: Option<IpAddr>,
    /// What of a signer's demands the operation can keep.
    pub heeds: &'a [Constraint],
}

/// A host, with its port where one is given, and a path as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The host.
    pub authority: String,
    /// The path.
    pub raw_path: String,
}

/// Where else the same request may be sent. A signature for any of these places is good for it, so
/// none may be among them that would mean another bucket or key.
pub trait Elsewhere: fmt::Debug + Sync {
    /// The places, of which there are few.
    fn places(&self) -> Vec<Place>;
}

/// Where access keys are found.
pub trait KeyRing: Send + Sync {
    /// The key of that name, switched off or not.
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>>;

    /// The key that its owner calls so, switched off or not.
    fn named(&self, _name: &str) -> Option<Arc<AccessKey>> {
        None
    }

    /// Every key, where a search may ask for them.
    fn all(&self) -> Vec<Arc<AccessKey>> {
        Vec::new()
    }

    /// What seals the tokens of sessions; none where there are no sessions.
    fn session_key(&self) -> Option<&SessionKey> {
        None
    }
}

/// An access key and what it is for.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// Its public half.
    pub access_key: String,
    /// What its owner calls it.
    pub name: String,
    /// Its secret half.
    pub secret: Secret,
    /// It was switched off.
    pub disabled: bool,
    /// To what it is limited.
    pub scope: Scope,
    /// It may do everything.
    pub root: bool,
    /// The canonical id of whom its objects belong to.
    pub owner: String,
    /// What it may do within its scope; a key without one may do all that its account may.
    pub policy: Option<Arc<OwnPolicy>>,
    /// What makes it temporary; none in a key that lasts.
    pub temporary: Option<Box<Temporary>>,
}

impl AccessKey {
    /// What narrows its rights where it is a session's.
    pub fn session_policy(&self) -> Option<&OwnPolicy> {
        self.temporary.as_deref()?.policy.as_ref()
    }
}

/// What authentication depends on beside the request.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// The region that requests must be signed for,
    pub region: String,
    /// and the service.
    pub service: &'static str,
    /// The longest life of a presigned URL, at most [`PRESIGN_SECONDS_MAX`].
    pub presign_seconds_max: u64,
    /// Whether requests may be signed by Version 2 too.
    pub signature_v2: bool,
}

/// Who is calling.
#[derive(Debug, Clone)]
pub enum Who {
    /// The holder of a key.
    Key(Arc<AccessKey>),
    /// Somebody.
    Anonymous,
}

/// How the body of the request is to be proven.
#[derive(Debug, Clone)]
pub enum BodyProof {
    /// Not at all.
    Unsigned,
    /// It has this SHA-256.
    Sha256([u8; 32]),
    /// It is `aws-chunked`, and each chunk is signed.
    SignedChunks {
        /// The chain that the chunks go on from.
        chain: ChunkChain,
        /// A signed trailer follows.
        trailer: bool,
    },
    /// It is `aws-chunked` with an unsigned trailer.
    UnsignedTrailer,
}

/// A caller who is who they say, and how their body is proven. Only this module makes one.
#[derive(Debug, Clone)]
pub struct Grant {
    who: Who,
    body: BodyProof,
    signature: Option<Signature>,
    duties: Duties,
}

impl Grant {
    /// Who is calling.
    pub const fn who(&self) -> &Who {
        &self.who
    }

    /// How the body is to be proven.
    pub const fn body(&self) -> &BodyProof {
        &self.body
    }

    /// How it was signed; none for an anonymous request.
    pub const fn signature(&self) -> Option<Signature> {
        self.signature
    }

    /// What its signer demanded that is not judged yet.
    pub const fn duties(&self) -> &Duties {
        &self.duties
    }

    /// The caller, the proof and the duties, apart.
    pub fn into_parts(self) -> (Who, BodyProof, Duties) {
        (self.who, self.body, self.duties)
    }
}

impl Who {
    /// The key that is calling.
    pub const fn key(&self) -> Option<&Arc<AccessKey>> {
        match self {
            Self::Key(key) => Some(key),
            Self::Anonymous => None,
        }
    }

    /// The canonical id of the caller; `anonymous` for nobody.
    pub fn owner(&self) -> &str {
        self.key().map_or("anonymous", |key| &key.owner)
    }
}

/// Finds out who sent a request, by its header or its query.
///
/// # Errors
/// An [`AuthError`] where the request claims an identity that it does not prove.
pub fn authenticate(
    head: &SignedHead<'_>,
    keys: &dyn KeyRing,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let pairs = canonical::pairs(head.raw_query);
    let by_query = presigned::is_claimed(&pairs);
    let mut headers = head.headers.get_all(http::header::AUTHORIZATION).iter();
    match (headers.next(), headers.next(), by_query) {
        (None, _, false) => {
            constraint::refuse_unsigned(pairs.iter().map(|(name, _)| &**name))?;
            Ok(anonymous())
        }
        (None, _, true) => presigned::authenticate(head, &pairs, keys, settings, now),
        (Some(value), None, false) => {
            let text = value.to_str().map_err(|_| AuthError::InvalidHeader {
                name: "Authorization",
            })?;
            header::authenticate(head, &pairs, text, keys, settings, now)
        }
        (Some(value), _, _) => {
            // Only the kind is told back: the rest of the header may be worth stealing.
            let kind = value
                .to_str()
                .ok()
                .and_then(|v| v.split_whitespace().next());
            Err(AuthError::ManyMechanisms {
                value: kind.unwrap_or_default().into(),
            })
        }
    }
}

fn anonymous() -> Grant {
    Grant {
        who: Who::Anonymous,
        body: BodyProof::Unsigned,
        signature: None,
        duties: Duties::default(),
    }
}
