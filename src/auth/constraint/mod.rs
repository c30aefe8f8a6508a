//! What a signer demands beyond S3: parameters under one prefix, in a URL's query or a form's
//! fields, which the signature covers.
//!
//! The time and the address are judged here. The rest are [`Duties`], which whoever takes the bytes
//! and whoever makes the object must keep.

mod content_type;
mod fault;
mod parse;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::canonical;
use crate::clock::Timestamp;
use crate::network::Network;

pub use content_type::ContentTypes;
pub use fault::ConstraintFault;

/// What the names of all these parameters begin with.
pub const PREFIX: &str = "x-consign-";
/// Whether the uploader waits for the callback's answer: `sync` or `async`.
pub const MODE: &str = "x-consign-callback-mode";
/// What the names of a callback's variables begin with.
pub const VAR: &str = "x-consign-callback-var-";
/// Of a wrong value no more is told back.
const SHOWN_BYTES_MAX: usize = 256;

/// The kinds of demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// How many bytes may come.
    LengthRange,
    /// Of which types they may be.
    ContentType,
    /// It is for one successful use.
    Once,
    /// From when on it is valid.
    NotBefore,
    /// From where it may be used.
    SourceIp,
    /// What must come with the bytes.
    Require,
    /// Who is told, and what.
    Callback,
}

impl Constraint {
    /// What may be demanded of a request that stores an object.
    pub const OF_OBJECT: &[Self] = &[
        Self::LengthRange,
        Self::ContentType,
        Self::Once,
        Self::Require,
        Self::Callback,
    ];
    /// What may be demanded of a request that stores a part.
    pub const OF_PART: &[Self] = &[Self::LengthRange, Self::Once, Self::Require];

    /// The parameter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LengthRange => "x-consign-content-length-range",
            Self::ContentType => "x-consign-content-type",
            Self::Once => "x-consign-once",
            Self::NotBefore => "x-consign-not-before",
            Self::SourceIp => "x-consign-source-ip",
            Self::Require => "x-consign-require",
            Self::Callback => "x-consign-callback",
        }
    }
}

/// From how many bytes to how many; where it was narrowed it may be that nothing fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct LengthRange {
    /// The fewest.
    #[n(0)]
    pub min: u64,
    /// The most.
    #[n(1)]
    pub max: u64,
}

impl LengthRange {
    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            min: self.min.max(other.min),
            max: self.max.min(other.max),
        }
    }
}

/// One use of one signature: what was used has its row in the metadata.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Nonce {
    #[cbor(n(0), with = "minicbor::bytes")]
    digest: [u8; 32],
    #[n(1)]
    good_until: Timestamp,
}

impl Nonce {
    /// Of this signature by that key, which verifies until `good_until`.
    pub fn new(access_key: &str, signature: &str, good_until: Timestamp) -> Self {
        let digest = Sha256::new()
            .chain_update(access_key)
            .chain_update([0])
            .chain_update(signature);
        Self {
            digest: digest.finalize().into(),
            good_until,
        }
    }

    /// What tells it from others.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Until when its signature verifies; what began before may end later.
    pub const fn good_until(&self) -> Timestamp {
        self.good_until
    }
}

/// Whether the uploader waits for the callback's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum CallbackMode {
    /// No: it is delivered afterwards.
    #[default]
    #[n(0)]
    Async,
    /// Yes, and gets it.
    #[n(1)]
    Sync,
}

/// The endpoint that is told when the object is there.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct CallbackChoice {
    /// Its name in the configuration: a request can't name an address.
    #[n(0)]
    pub endpoint: String,
    /// What it is told beside the event.
    #[n(1)]
    pub vars: Vec<(String, String)>,
    /// Whether the uploader waits.
    #[n(2)]
    pub mode: CallbackMode,
}

/// Everything that was demanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    /// `x-consign-content-length-range`.
    pub length_range: Option<LengthRange>,
    /// `x-consign-content-type`.
    pub content_types: Option<ContentTypes>,
    /// `x-consign-once`.
    pub once: bool,
    /// `x-consign-not-before`.
    pub not_before: Option<Timestamp>,
    /// `x-consign-source-ip`.
    source_ip: Option<Vec<Network>>,
    /// `x-consign-require=checksum`.
    pub require_checksum: bool,
    /// `x-consign-callback` and what goes with it.
    pub callback: Option<CallbackChoice>,
}

/// What was demanded and is not judged yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Duties {
    /// How many bytes the object, or the part, may have.
    #[n(0)]
    pub length_range: Option<LengthRange>,
    /// Of which types it may be.
    #[n(1)]
    pub content_types: Option<ContentTypes>,
    /// The nonce that its success uses up.
    #[n(2)]
    pub once: Option<Nonce>,
    /// A checksum must come with the bytes.
    #[n(3)]
    pub require_checksum: bool,
    /// Who is told of it.
    #[n(4)]
    pub callback: Option<CallbackChoice>,
}

/// The proven request that carries the demands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proven<'a> {
    pub(super) access_key: &'a str,
    pub(super) signature: &'a str,
    /// Until when the signature verifies.
    pub(super) good_until: Timestamp,
    pub(super) now: Timestamp,
    pub(super) peer: Option<IpAddr>,
    /// What the operation can keep.
    pub(super) heeds: &'a [Constraint],
}

/// Whether the demands among `pairs` are some that an operation which heeds these keeps: for who
/// signs.
///
/// # Errors
/// [`ConstraintFault::Invalid`] that names the first that is not.
pub fn check<'a>(
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    heeds: &[Constraint],
) -> Result<(), ConstraintFault> {
    Constraints::parse(pairs)?.check_heeded(heeds)
}

/// The demands among `pairs`, which the signature of `by` covers.
pub(super) fn demanded<'a>(
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    by: &Proven<'_>,
) -> Result<Duties, ConstraintFault> {
    Constraints::parse(pairs)?.judge(by)
}

/// Refuses demands that no signature covers.
///
/// # Errors
/// [`ConstraintFault::Unsigned`] that names the first.
pub fn refuse_unsigned<'a>(
    mut names: impl Iterator<Item = &'a [u8]>,
) -> Result<(), ConstraintFault> {
    match names.find(|name| is_ours(name)) {
        None => Ok(()),
        Some(name) => Err(ConstraintFault::Unsigned { name: shown(name) }),
    }
}

/// [`refuse_unsigned`] of a query as it was sent.
///
/// # Errors
/// As [`refuse_unsigned`].
pub fn refuse_unsigned_query(raw_query: &str) -> Result<(), ConstraintFault> {
    let pairs = canonical::pairs(raw_query);
    refuse_unsigned(pairs.iter().map(|(name, _)| &**name))
}

/// Refuses demands in headers: a client could add them, or a proxy take them away.
///
/// # Errors
/// [`ConstraintFault::Invalid`] that names the first.
pub fn refuse_headers(headers: &HeaderMap) -> Result<(), ConstraintFault> {
    let found = headers.iter().find(|(name, _)| is_ours(name.as_ref()));
    match found {
        None => Ok(()),
        Some((name, value)) => Err(invalid(
            name.as_ref(),
            value.as_bytes(),
            "must stand in the URL's query, or be a field of a form, where the signature covers it",
        )),
    }
}

fn is_ours(name: &[u8]) -> bool {
    let start = name.get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX.as_bytes()))
}

fn invalid(name: &[u8], value: &[u8], reason: &str) -> ConstraintFault {
    ConstraintFault::Invalid {
        name: shown(name),
        value: shown(value),
        reason: reason.to_owned(),
    }
}

fn shown(bytes: &[u8]) -> String {
    let cut = bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes);
    String::from_utf8_lossy(cut).into_owned()
}

impl Constraints {
    fn judge(self, by: &Proven<'_>) -> Result<Duties, ConstraintFault> {
        self.check_heeded(by.heeds)?;
        if let Some(not_before) = self.not_before.filter(|begins| by.now < *begins) {
            return Err(ConstraintFault::TooEarly {
                not_before,
                server_time: by.now,
            });
        }
        if let Some(networks) = &self.source_ip {
            let inside = |peer| networks.iter().any(|network| network.contains(peer));
            if !by.peer.is_some_and(inside) {
                return Err(ConstraintFault::WrongSourceIp { address: by.peer });
            }
        }
        let nonce = || Nonce::new(by.access_key, by.signature, by.good_until);
        Ok(Duties {
            length_range: self.length_range,
            content_types: self.content_types,
            once: self.once.then(nonce),
            require_checksum: self.require_checksum,
            callback: self.callback,
        })
    }

    /// What the operation can't keep must not look as if it were.
    fn check_heeded(&self, heeds: &[Constraint]) -> Result<(), ConstraintFault> {
        for (there, constraint) in [
            (self.length_range.is_some(), Constraint::LengthRange),
            (self.content_types.is_some(), Constraint::ContentType),
            (self.once, Constraint::Once),
            (self.require_checksum, Constraint::Require),
            (self.callback.is_some(), Constraint::Callback),
        ] {
            if there && !heeds.contains(&constraint) {
                let name = constraint.name().as_bytes();
                return Err(invalid(name, b"", "can't be demanded of this operation"));
            }
        }
        Ok(())
    }
}
