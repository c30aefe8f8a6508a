//! What verification by header and by query have in common.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::HeaderMap;

use crate::clock::Timestamp;
use crate::public_url::without_port;

use super::canonical::{self, COMPARED_MAX, Pair, Pairs, Parts};
use super::constraint::{self, Proven};
use super::sigv4::{self, Credential};
use super::{
    AccessKey, AuthError, AuthSettings, AuthType, BodyProof, ChunkChain, Duties, Elsewhere, Grant,
    KeyRing, Mismatch, Place, Secret, Signature, SignatureVersion, SignedHead, Who, session,
};

/// What a request claims, read from its header or its query.
pub(super) struct Claim<'a> {
    pub(super) credential: Credential<'a>,
    /// Lower-case names, as listed.
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
    pub(super) amz_date: Cow<'a, str>,
    pub(super) signed_at: Timestamp,
    /// Until when it may be used.
    pub(super) good_until: Timestamp,
    /// The value of `x-amz-content-sha256`, or the word that is meant.
    pub(super) payload: Cow<'a, str>,
    /// The session's token.
    pub(super) token: Option<String>,
    pub(super) auth_type: AuthType,
}

/// What is wrong with a scope.
pub(super) enum ScopeFault {
    Region { given: String, ours: String },
    Service { given: String, ours: &'static str },
    Day { given: String, signed: String },
}

impl ScopeFault {
    /// S3's words for it.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Region { given, ours } => {
                format!("the region '{given}' is wrong; expecting '{ours}'")
            }
            Self::Service { given, ours } => {
                format!("incorrect service \"{given}\". This endpoint belongs to \"{ours}\".")
            }
            Self::Day { given, signed } => format!(
                "Invalid credential date \"{given}\". This date is not the same as X-Amz-Date: \
                 \"{signed}\"."
            ),
        }
    }

    /// The region to sign for, where that was the fault.
    pub(super) fn region(self) -> Option<String> {
        match self {
            Self::Region { ours, .. } => Some(ours),
            Self::Service { .. } | Self::Day { .. } => None,
        }
    }
}

/// Checks the scope against what we serve.
pub(super) fn check_scope(
    credential: &Credential<'_>,
    signed_at: Timestamp,
    settings: &AuthSettings,
) -> Result<(), ScopeFault> {
    let scope = &credential.scope;
    if scope.service != settings.service {
        return Err(ScopeFault::Service {
            given: scope.service.to_string(),
            ours: settings.service,
        });
    }
    if scope.region != settings.region {
        let ours = settings.region.clone();
        return Err(ScopeFault::Region {
            given: scope.region.to_string(),
            ours,
        });
    }
    let signed = signed_at.scope_day();
    if scope.day != signed {
        return Err(ScopeFault::Day {
            given: scope.day.to_string(),
            signed,
        });
    }
    Ok(())
}

/// The `x-amz-*` headers, and `host`, that the signature does not cover.
pub(super) fn unsigned(headers: &HeaderMap, signed: &str) -> Vec<String> {
    let mut listed = Names::default();
    for name in signed.split(';') {
        listed.insert(name);
    }
    let covers = |name: &str| listed.contains(name);
    let mut missing: Vec<String> = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| name.starts_with("x-amz-") && *name != "x-amz-content-sha256")
        .filter(|name| !covers(name))
        .map(str::to_owned)
        .collect();
    if !covers("host") {
        missing.push("host".into());
    }
    missing.sort();
    missing.dedup();
    missing
}

/// Names out of a list that may be long. Nearly none is, and a few are compared sooner than they are hashed.
#[derive(Default)]
struct Names<'a> {
    few: [Option<&'a str>; COMPARED_MAX],
    more: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    /// Takes one, unless it is there.
    fn insert(&mut self, name: &'a str) -> bool {
        if self.contains(name) {
            return false;
        }
        match self.few.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(name),
            None => _ = self.more.insert(name),
        }
        true
    }

    fn contains(&self, name: &str) -> bool {
        let few = self.few.iter().map_while(|place| *place);
        few.into_iter().any(|few| few == name)
            || (!self.more.is_empty() && self.more.contains(name))
    }
}

/// The token in the head's own header.
pub(super) fn token_of_header(head: &SignedHead<'_>) -> Result<Option<String>, AuthError> {
    let name = "x-amz-security-token";
    if canonical::lacks(head.headers, name) {
        return Ok(None);
    }
    let mut given = head.headers.get_all(name).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(token), None) => {
            let token = token.to_str().map_err(|_no_text| AuthError::InvalidToken)?;
            Ok(Some(token.trim().to_owned()))
        }
        (Some(_), Some(_)) => Err(AuthError::InvalidToken),
    }
}

/// Proves `claim`: finds the key, computes the signature, compares.
pub(super) fn prove(
    head: &SignedHead<'_>,
    pairs: &Pairs<'_>,
    claim: &Claim<'_>,
    keys: &dyn KeyRing,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let proof = payload(&claim.payload)?;
    let (access_key, token) = (&claim.credential.access_key, claim.token.as_deref());
    let key = session::find(keys, access_key, token, now)?;
    // An unknown key costs as much time as a known one.
    let nobody = OnceCell::new();
    let secret = match &key {
        Some(key) => &key.secret,
        None => nobody.get_or_init(|| Secret::new("nobody")),
    };
    let signing_key = secret.signing_key(&claim.credential.scope);
    let computed = |authority: &str, raw_path: &str| {
        let canonical = canonical_request(head, pairs, claim, (authority, raw_path));
        let string = sigv4::string_to_sign(&claim.amz_date, &claim.credential.scope, &canonical);
        let is_ours = sigv4::same(sigv4::signature(&signing_key, &string), claim.signature);
        (is_ours, string, canonical)
    };
    let (fits, string_to_sign, canonical_request) = computed(head.authority, head.raw_path);
    let is_for = |place: &Place| computed(&place.authority, &place.raw_path).0;
    let matched = fits || others(head).iter().any(is_for);
    let key = known(key, claim)?;
    if !matched {
        return Err(AuthError::Mismatch(Box::new(Mismatch {
            access_key: claim.credential.access_key.to_string(),
            string_to_sign,
            signature: claim.signature.to_owned(),
            canonical_request: Some(canonical_request),
        })));
    }
    let duties = duties(head, pairs, claim, now)?;
    if let Some(name) = canonical::ambiguous(pairs) {
        return Err(AuthError::MalformedQuery {
            message: format!("{} was given more than once.", canonical::text(name)),
            region: None,
        });
    }
    let chain = || {
        ChunkChain::new(
            signing_key,
            &claim.amz_date,
            &claim.credential.scope,
            claim.signature,
        )
    };
    let body = proof.proven_by(chain);
    let signature = Signature {
        version: SignatureVersion::V4,
        auth_type: claim.auth_type,
        age: Some(now.since(claim.signed_at)),
    };
    Ok(Grant {
        who: Who::Key(key),
        body,
        signature: Some(signature),
        duties,
    })
}

/// What the signer demanded. All of the query is signed, so that nothing of it is a client's own.
fn duties(
    head: &SignedHead<'_>,
    pairs: &Pairs<'_>,
    claim: &Claim<'_>,
    now: Timestamp,
) -> Result<Duties, AuthError> {
    let proven = Proven {
        access_key: &claim.credential.access_key,
        signature: claim.signature,
        good_until: claim.good_until,
        now,
        peer: head.peer,
        heeds: head.heeds,
    };
    let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
    Ok(constraint::demanded(pairs, &proven)?)
}

fn known(key: Option<Arc<AccessKey>>, claim: &Claim<'_>) -> Result<Arc<AccessKey>, AuthError> {
    let access_key = || claim.credential.access_key.to_string();
    key.ok_or_else(|| AuthError::UnknownKey {
        access_key: access_key(),
    })
}

/// The parameters that a signature covers.
pub(super) fn covered_pairs<'a, 'p>(
    pairs: &'a Pairs<'p>,
) -> impl Iterator<Item = &'a Pair<'p>> + use<'a, 'p> {
    let pairs = pairs.iter();
    pairs.filter(|(name, _value)| **name != *b"X-Amz-Signature")
}

/// Names and folded values of the headers that a signature covers, in the order in which `signed` lists
/// them.
pub(super) fn covered_headers<'a>(
    sent: &'a HeaderMap,
    pairs: &'a Pairs<'_>,
    signed: &'a str,
    authority: &'a str,
) -> Vec<(&'a str, Cow<'a, str>)> {
    let (mut headers, mut seen) = (Vec::new(), Names::default());
    let moved = OnceCell::new();
    for name in signed.split(';') {
        // Listed twice it leaves one line: else a head of some kilobytes would make megabytes of text.
        if !seen.insert(name) {
            continue;
        }
        let value = match name {
            "host" => Some(Cow::Borrowed(authority)),
            _ => canonical::header_value(sent, name),
        };
        // aws-sdk-js v2 signs x-amz-* headers that only come as query parameters, and those as well.
        let value = value.or_else(|| {
            if !name.starts_with("x-amz-") {
                return None;
            }
            let value = *moved.get_or_init(|| by_name(pairs)).get(name.as_bytes())?;
            header_text(value)
        });
        // A signed header that did not come leaves no line, so the signature cannot match.
        headers.extend(value.map(|value| (name, value)));
    }
    headers
}

/// The first value of each parameter, by its name in lower case.
fn by_name<'a>(pairs: &'a Pairs<'_>) -> HashMap<Vec<u8>, &'a [u8]> {
    let latest_first = pairs.iter().rev();
    latest_first
        .map(|(name, value)| (name.to_ascii_lowercase(), &**value))
        .collect()
}

/// A parameter's value as the line of a header: one that breaks the line would pass for two.
fn header_text(value: &[u8]) -> Option<Cow<'_, str>> {
    let plain = !value.iter().any(u8::is_ascii_control);
    plain.then(|| canonical::text(value))
}

fn canonical_request(
    head: &SignedHead<'_>,
    pairs: &Pairs<'_>,
    claim: &Claim<'_>,
    (authority, raw_path): (&str, &str),
) -> String {
    Parts {
        method: head.method.as_str(),
        path: &canonical::path(raw_path),
        query: &canonical::query(covered_pairs(pairs)),
        headers: &covered_headers(head.headers, pairs, claim.signed, authority),
        signed: claim.signed,
        payload: &claim.payload,
    }
    .text()
}

/// Where a client may have signed for, beside what came: a default port is optional, and the operator
/// may have declared more.
fn others(head: &SignedHead<'_>) -> Vec<Place> {
    let here = other_ports(head.authority);
    let here = here.into_iter().map(|authority| Place {
        authority,
        raw_path: head.raw_path.to_owned(),
    });
    let elsewhere = head.elsewhere.map(Elsewhere::places).unwrap_or_default();
    here.chain(elsewhere).collect()
}

/// The authority with a default port where it has none, and without the one that it has.
fn other_ports(authority: &str) -> Vec<String> {
    let ports = [":80", ":443"];
    if without_port(authority) == authority {
        return ports.map(|port| format!("{authority}{port}")).to_vec();
    }
    let bare = ports.iter().filter_map(|port| authority.strip_suffix(port));
    bare.map(str::to_owned).collect()
}

/// What `x-amz-content-sha256` says of the body.
#[derive(Clone, Copy)]
pub(super) enum Payload {
    Unsigned,
    Sha256([u8; 32]),
    Chunks { trailer: bool },
    UnsignedTrailer,
}

impl Payload {
    /// How the body is to be proven, where its chunks are signed by `chain`.
    fn proven_by(self, chain: impl FnOnce() -> ChunkChain) -> BodyProof {
        match self {
            Self::Unsigned => BodyProof::Unsigned,
            Self::Sha256(digest) => BodyProof::Sha256(digest),
            Self::Chunks { trailer } => BodyProof::SignedChunks {
                chain: chain(),
                trailer,
            },
            Self::UnsignedTrailer => BodyProof::UnsignedTrailer,
        }
    }
}

/// Reads `x-amz-content-sha256`.
pub(super) fn payload(value: &str) -> Result<Payload, AuthError> {
    match value {
        "UNSIGNED-PAYLOAD" => Ok(Payload::Unsigned),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Payload::Chunks { trailer: false }),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Payload::Chunks { trailer: true }),
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Payload::UnsignedTrailer),
        _ if value.starts_with("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD") => {
            Err(AuthError::Ecdsa {
                header: "x-amz-content-sha256",
            })
        }
        _ => {
            let mut digest = [0; 32];
            match hex::decode_to_slice(value, &mut digest) {
                Ok(()) => Ok(Payload::Sha256(digest)),
                Err(_not_hex) => Err(AuthError::InvalidContentSha256 {
                    value: value.to_owned(),
                }),
            }
        }
    }
}
