//! What verification by header and by query have in common.

use std::sync::Arc;

use crate::clock::Timestamp;

use super::canonical::{self, Pairs, Parts};
use super::sigv4::{self, Credential};
use super::{
    AccessKey, AuthError, AuthSettings, BodyProof, ChunkChain, Grant, KeyRing, Mismatch, Secret,
    SignedHead, Who, session,
};

/// What a request claims, read from its header or its query.
pub(super) struct Claim<'a> {
    pub(super) credential: Credential,
    /// Lower-case names, as listed.
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
    pub(super) amz_date: String,
    pub(super) signed_at: Timestamp,
    /// The value of `x-amz-content-sha256`, or the word that is meant.
    pub(super) payload: String,
    /// The session's token.
    pub(super) token: Option<String>,
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
    credential: &Credential,
    signed_at: Timestamp,
    settings: &AuthSettings,
) -> Result<(), ScopeFault> {
    let scope = &credential.scope;
    if scope.service != settings.service {
        return Err(ScopeFault::Service {
            given: scope.service.clone(),
            ours: settings.service,
        });
    }
    if scope.region != settings.region {
        let ours = settings.region.clone();
        return Err(ScopeFault::Region {
            given: scope.region.clone(),
            ours,
        });
    }
    if scope.day != signed_at.scope_day() {
        let signed = signed_at.scope_day();
        return Err(ScopeFault::Day {
            given: scope.day.clone(),
            signed,
        });
    }
    Ok(())
}

/// The `x-amz-*` headers, and `host`, that the signature does not cover.
pub(super) fn unsigned(head: &SignedHead<'_>, signed: &str) -> Vec<String> {
    let covers = |name: &str| signed.split(';').any(|listed| listed == name);
    let mut missing: Vec<String> = head
        .headers
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

/// The token in the head's own header.
pub(super) fn token_of_header(head: &SignedHead<'_>) -> Result<Option<String>, AuthError> {
    let mut given = head.headers.get_all("x-amz-security-token").iter();
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
    pairs: &Pairs,
    claim: &Claim<'_>,
    keys: &dyn KeyRing,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let proof = payload(&claim.payload)?;
    let (access_key, token) = (&claim.credential.access_key, claim.token.as_deref());
    let key = session::find(keys, access_key, token, now)?;
    // An unknown key costs as much time as a known one.
    let nobody = Secret::new("nobody");
    let secret = key.as_ref().map_or(&nobody, |key| &key.secret);
    let signing_key = secret.signing_key(&claim.credential.scope);
    let mut first = None;
    let mut matched = false;
    for host in hosts(head.authority) {
        let canonical = canonical_request(head, pairs, claim, &host);
        let string = sigv4::string_to_sign(&claim.amz_date, &claim.credential.scope, &canonical);
        matched |= sigv4::same(&sigv4::sign(&signing_key, &string), claim.signature);
        first.get_or_insert((string, canonical));
    }
    let key = known(key, claim)?;
    if !matched {
        let (string_to_sign, canonical_request) = first.unwrap_or_default();
        return Err(AuthError::Mismatch(Box::new(Mismatch {
            access_key: claim.credential.access_key.clone(),
            string_to_sign,
            signature: claim.signature.to_owned(),
            canonical_request: Some(canonical_request),
        })));
    }
    let chain = || {
        ChunkChain::new(
            signing_key,
            &claim.amz_date,
            &claim.credential.scope,
            claim.signature,
        )
    };
    let body = match proof {
        Payload::Unsigned => BodyProof::Unsigned,
        Payload::Sha256(digest) => BodyProof::Sha256(digest),
        Payload::Chunks { trailer } => BodyProof::SignedChunks {
            chain: chain(),
            trailer,
        },
        Payload::UnsignedTrailer => BodyProof::UnsignedTrailer,
    };
    let signature_age = Some(now.since(claim.signed_at));
    Ok(Grant {
        who: Who::Key(key),
        body,
        signature_age,
    })
}

fn known(key: Option<Arc<AccessKey>>, claim: &Claim<'_>) -> Result<Arc<AccessKey>, AuthError> {
    let access_key = || claim.credential.access_key.clone();
    key.ok_or_else(|| AuthError::UnknownKey {
        access_key: access_key(),
    })
}

fn canonical_request(
    head: &SignedHead<'_>,
    pairs: &Pairs,
    claim: &Claim<'_>,
    host: &str,
) -> String {
    let mut headers = Vec::new();
    let mut hoisted: Vec<&str> = Vec::new();
    for name in claim.signed.split(';') {
        let value = match name {
            "host" => Some(host.to_owned()),
            _ => canonical::header_value(head.headers, name),
        };
        // Some SDKs sign x-amz-* headers and then send them as query parameters.
        let value = value.or_else(|| {
            if !name.starts_with("x-amz-") {
                return None;
            }
            let (_, value) = pairs
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))?;
            hoisted.push(name);
            Some(String::from_utf8_lossy(value).into_owned())
        });
        // A signed header that did not come leaves no line, so the signature cannot match.
        headers.extend(value.map(|value| (name.to_owned(), value)));
    }
    let is = |n: &[u8], name: &str| n.eq_ignore_ascii_case(name.as_bytes());
    let kept = pairs.iter().filter(|(name, _)| {
        name != b"X-Amz-Signature" && !hoisted.iter().any(|hoisted| is(name, hoisted))
    });
    Parts {
        method: head.method.as_str(),
        path: &canonical::path(head.raw_path),
        query: &canonical::query(kept),
        headers: &headers,
        signed: claim.signed,
        payload: &claim.payload,
    }
    .text()
}

/// The authority as it came, and as a client may have signed it: a default port is optional.
fn hosts(authority: &str) -> Vec<String> {
    let mut hosts = vec![authority.to_owned()];
    for port in [":80", ":443"] {
        hosts.extend(authority.strip_suffix(port).map(str::to_owned));
    }
    let bare = authority
        .rsplit(']')
        .next()
        .is_some_and(|tail| !tail.contains(':'));
    if bare {
        hosts.extend([":80", ":443"].map(|port| format!("{authority}{port}")));
    }
    hosts
}

#[derive(Clone, Copy)]
enum Payload {
    Unsigned,
    Sha256([u8; 32]),
    Chunks { trailer: bool },
    UnsignedTrailer,
}

fn payload(value: &str) -> Result<Payload, AuthError> {
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
