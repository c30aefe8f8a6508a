//! Requests that are signed by Version 2, in the header or in the query.

use std::time::Duration;

use crate::auth::canonical::Pairs;
use crate::auth::constraint::{self, Duties};
use crate::auth::header::{check_skew, date};
use crate::auth::presigned;
use crate::auth::request::{Payload, payload, token_of_header};
use crate::auth::{
    AuthError, AuthSettings, AuthType, BodyProof, Grant, KeyRing, Mismatch, SKEW_MAX, Secret,
    Signature, SignatureVersion, SignedHead, Who, session, sigv4,
};
use crate::clock::Timestamp;

use super::text::{header, strings_to_sign};

/// The word before the signature in the header.
const KIND: &str = "AWS";
const ACCESS_KEY: &str = "AWSAccessKeyId";
const SIGNATURE: &str = "Signature";
const EXPIRES: &str = "Expires";

/// Whether an `Authorization` header is one of this version.
pub(in crate::auth) fn is_header(value: &str) -> bool {
    let kind = value.split_whitespace().next();
    kind == Some(KIND)
}

/// What a request claims.
struct Claim<'a> {
    access_key: &'a str,
    signature: &'a str,
    /// The line of the date in the text that is signed.
    date: String,
    token: Option<String>,
    auth_type: AuthType,
    age: Option<Duration>,
}

/// Verifies a request by its `Authorization` header, whose value is `value`.
pub(in crate::auth) fn by_header(
    head: &SignedHead<'_>,
    pairs: &Pairs<'_>,
    value: &str,
    keys: &dyn KeyRing,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let claimed = value.trim().strip_prefix(KIND).unwrap_or_default().trim();
    let (access_key, signature) = claimed
        .split_once(':')
        .filter(|(access_key, signature)| !access_key.is_empty() && !signature.is_empty())
        .ok_or(AuthError::MalformedHeaderV2)?;
    let (sent, signed_at) = date(head)?;
    check_skew(&sent, signed_at, now)?;
    let claim = Claim {
        access_key,
        signature,
        // `x-amz-date` is among the headers that are signed: then this line is empty.
        date: if head.headers.contains_key("x-amz-date") {
            String::new()
        } else {
            header(head, "date").unwrap_or_default()
        },
        token: token_of_header(head)?,
        auth_type: AuthType::Header,
        age: Some(now.since(signed_at)),
    };
    prove(head, pairs, &claim, keys, now)
}

/// Verifies a request by its query.
pub(in crate::auth) fn by_query(
    head: &SignedHead<'_>,
    pairs: &Pairs<'_>,
    keys: &dyn KeyRing,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    if presigned::is_of_version_4(pairs) {
        return Err(AuthError::ManyMechanisms {
            value: String::new(),
        });
    }
    let one = |name: &str| {
        let mut found = pairs.iter().filter(|(n, _)| **n == *name.as_bytes());
        let value = found.next().map(|(_, value)| value);
        // Two values for one parameter: signer and verifier might each take another.
        let value = value.filter(|_| presigned::count(pairs, name) == 1);
        let text = value.and_then(|value| std::str::from_utf8(value).ok());
        text.ok_or(AuthError::SignatureV2Incomplete)
    };
    let (access_key, signature, expires) = (one(ACCESS_KEY)?, one(SIGNATURE)?, one(EXPIRES)?);
    check_expiry(expires, settings, now)?;
    check_lines(pairs)?;
    let claim = Claim {
        access_key,
        signature,
        date: expires.to_owned(),
        token: presigned::token(head, pairs)?,
        auth_type: AuthType::Query,
        // It tells when it ends, and not when it began.
        age: None,
    };
    prove(head, pairs, &claim, keys, now)
}

fn check_expiry(text: &str, settings: &AuthSettings, now: Timestamp) -> Result<(), AuthError> {
    let seconds: i64 = text
        .parse()
        .map_err(|_no_number| AuthError::ExpiresMalformed { value: text.into() })?;
    let expires = Timestamp::from_unix_s(seconds);
    if now > expires {
        return Err(AuthError::Expired {
            seconds: None,
            expires,
            server_time: now,
        });
    }
    // As a URL of Version 4: its signer's clock may be ahead of ours by that much.
    let longest = Duration::from_secs(settings.presign_seconds_max) + SKEW_MAX;
    if expires.since(now) > longest {
        return Err(AuthError::ExpiresTooFar {
            seconds: settings.presign_seconds_max,
        });
    }
    Ok(())
}

/// A header that came in the query is one line of the text that is signed: with an end of line in it
/// it would pass for two.
fn check_lines(pairs: &Pairs<'_>) -> Result<(), AuthError> {
    let of_header = |name: &[u8]| {
        let lead = name.get(..6).unwrap_or_default();
        lead.eq_ignore_ascii_case(b"x-amz-")
    };
    let breaks = |text: &[u8]| text.iter().any(u8::is_ascii_control);
    let mut of_headers = pairs.iter().filter(|(name, _)| of_header(name));
    match of_headers.find(|(name, value)| breaks(name) || name.contains(&b':') || breaks(value)) {
        None => Ok(()),
        Some((name, _)) => Err(AuthError::InvalidParameter {
            name: String::from_utf8_lossy(name).into_owned(),
        }),
    }
}

/// Proves `claim`: finds the key, computes the signature, compares.
fn prove(
    head: &SignedHead<'_>,
    pairs: &Pairs<'_>,
    claim: &Claim<'_>,
    keys: &dyn KeyRing,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    // This version signs no parameters that S3 did not know.
    constraint::refuse_unsigned(pairs.iter().map(|(name, _)| &**name))?;
    let body = body(&presigned::payload(head, pairs)?)?;
    let access_key = claim.access_key;
    let key = session::find(keys, access_key, claim.token.as_deref(), now)?;
    // An unknown key costs as much time as a known one.
    let nobody = Secret::new("nobody");
    let secret = key.as_ref().map_or(&nobody, |key| &key.secret);
    let (string_to_sign, other) = strings_to_sign(head, pairs, &claim.date);
    let is_of = |text: &str| sigv4::same(super::sign(secret.expose(), text), claim.signature);
    let matched = is_of(&string_to_sign) || other.as_deref().is_some_and(is_of);
    let key = key.ok_or_else(|| AuthError::UnknownKey {
        access_key: access_key.to_owned(),
    })?;
    if !matched {
        return Err(AuthError::Mismatch(Box::new(Mismatch {
            access_key: access_key.to_owned(),
            string_to_sign,
            signature: claim.signature.to_owned(),
            canonical_request: None,
        })));
    }
    Ok(Grant {
        who: Who::Key(key),
        body,
        signature: Some(Signature {
            version: SignatureVersion::V2,
            auth_type: claim.auth_type,
            age: claim.age,
        }),
        duties: Duties::default(),
    })
}

/// How the body is proven: this version knows no signed chunks.
fn body(value: &str) -> Result<BodyProof, AuthError> {
    match payload(value)? {
        Payload::Unsigned => Ok(BodyProof::Unsigned),
        Payload::Sha256(digest) => Ok(BodyProof::Sha256(digest)),
        Payload::UnsignedTrailer => Ok(BodyProof::UnsignedTrailer),
        Payload::Chunks { .. } => Err(AuthError::InvalidContentSha256 {
            value: value.to_owned(),
        }),
    }
}
