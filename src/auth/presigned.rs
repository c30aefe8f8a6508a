//! Authentication by query parameters: presigned URLs.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use std::borrow::Cow;
use std::time::Duration;

use crate::clock::Timestamp;

use super::canonical::{self, Pair, Pairs};
use super::request::{Claim, ScopeFault, check_scope, prove, token_of_header, unsigned};
use super::sigv4::{ALGORITHM, Credential};
use super::{
    AuthError, AuthSettings, AuthType, Grant, KeyRing, PRESIGN_SECONDS_MAX, SKEW_MAX, SignedHead,
    sigv2,
};

const NAMES: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
];
const V2_NAMES: [&str; 2] = ["AWSAccessKeyId", "Signature"];
const TOKEN: &str = "X-Amz-Security-Token";
const MISSING: &str = "Query-string authentication version 4 requires the X-Amz-Algorithm, \
     X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires \
     parameters.";
const MALFORMED_CREDENTIAL: &str = "Error parsing the X-Amz-Credential parameter; the Credential \
     is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";

/// Whether the query claims to authenticate the request, in whole or in part. The case of a name
/// does not matter here: half a claim must never pass for none.
pub(super) fn is_claimed(pairs: &Pairs<'_>) -> bool {
    let claims = || NAMES.iter().chain(&V2_NAMES).chain([&TOKEN]);
    let is_one = |name: &[u8]| claims().any(|claim| name.eq_ignore_ascii_case(claim.as_bytes()));
    pairs.iter().any(|(name, _value)| is_one(name))
}

/// Whether the query has parameters that mean Version 4 and nothing else.
pub(super) fn is_of_version_4(pairs: &Pairs<'_>) -> bool {
    // A date may be a header that was moved there.
    let own = NAMES.iter().filter(|name| **name != "X-Amz-Date");
    own.into_iter().any(|name| count(pairs, name) > 0)
}

/// The parameters of that name, in whatever case.
fn named<'a, 'p>(pairs: &'a Pairs<'p>, name: &str) -> impl Iterator<Item = &'a Pair<'p>> {
    pairs
        .iter()
        .filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
}

/// How often the query has a parameter of that name, in whatever case.
pub(super) fn count(pairs: &Pairs<'_>, name: &str) -> usize {
    named(pairs, name).count()
}

/// Verifies a request by its query.
pub(super) fn authenticate(
    head: &SignedHead<'_>,
    pairs: &Pairs<'_>,
    keys: &dyn KeyRing,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    if V2_NAMES.iter().any(|name| count(pairs, name) > 0) {
        if settings.signature_v2 {
            return sigv2::by_query(head, pairs, keys, settings, now);
        }
        let mut needed = V2_NAMES.iter().chain(&["Expires"]);
        let whole = needed.all(|name| count(pairs, name) > 0);
        return Err(if whole {
            AuthError::SignatureV2
        } else {
            AuthError::SignatureV2Incomplete
        });
    }
    let params = Params::read(pairs)?;
    match params.algorithm {
        ALGORITHM => {}
        "AWS4-ECDSA-P256-SHA256" => {
            return Err(AuthError::Ecdsa {
                header: "X-Amz-Algorithm",
            });
        }
        _ => return Err(fault("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")),
    }
    let credential =
        Credential::parse(params.credential).ok_or_else(|| fault(MALFORMED_CREDENTIAL))?;
    let token = token(head, pairs)?;
    let signed_at = Timestamp::parse_amz_date(params.date).map_err(|_invalid| {
        fault("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    })?;
    let seconds = lifetime(params.expires, settings)?;
    check_scope(&credential, signed_at, settings).map_err(scope_fault)?;
    let good_until = signed_at.plus(Duration::from_secs(seconds));
    check_time(signed_at, seconds, now)?;
    let missing = unsigned(head.headers, params.signed);
    if !missing.is_empty() {
        return Err(AuthError::HeadersNotSigned(missing));
    }
    let claim = Claim {
        credential,
        signed: params.signed,
        signature: params.signature,
        amz_date: Cow::Borrowed(params.date),
        signed_at,
        good_until,
        payload: payload(head, pairs)?,
        token,
        auth_type: AuthType::Query,
    };
    prove(head, pairs, &claim, keys, now)
}

struct Params<'a> {
    algorithm: &'a str,
    credential: &'a str,
    signature: &'a str,
    date: &'a str,
    signed: &'a str,
    expires: &'a str,
}

impl<'a> Params<'a> {
    fn read(pairs: &'a Pairs<'_>) -> Result<Self, AuthError> {
        let one = |name: &str| {
            let is_exact = |n: &[u8]| n == name.as_bytes();
            let mut found = named(pairs, name);
            match (found.next(), found.next()) {
                (Some((n, value)), None) if is_exact(n) => {
                    std::str::from_utf8(value).map_err(|_not_utf8| fault(MISSING))
                }
                // Two values for one parameter: signer and verifier might each take another.
                (Some(_), Some(_)) if pairs.iter().any(|(n, _value)| is_exact(n)) => {
                    Err(fault(&format!("{name} was given more than once.")))
                }
                _ => Err(fault(MISSING)),
            }
        };
        Ok(Self {
            algorithm: one("X-Amz-Algorithm")?,
            credential: one("X-Amz-Credential")?,
            signature: one("X-Amz-Signature")?,
            date: one("X-Amz-Date")?,
            signed: one("X-Amz-SignedHeaders")?,
            expires: one("X-Amz-Expires")?,
        })
    }
}

fn lifetime(text: &str, settings: &AuthSettings) -> Result<u64, AuthError> {
    let max = settings.presign_seconds_max.min(PRESIGN_SECONDS_MAX);
    let seconds: i64 = text
        .parse()
        .map_err(|_not_a_number| fault("X-Amz-Expires should be a number"))?;
    match u64::try_from(seconds) {
        Err(_negative) => Err(fault("X-Amz-Expires must be non-negative")),
        Ok(0) => Err(fault("X-Amz-Expires must be at least 1 second")),
        Ok(seconds) if seconds > PRESIGN_SECONDS_MAX => Err(fault(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given \
             X-Amz-Expires must be less than 604800 seconds",
        )),
        Ok(seconds) if seconds > max => Err(fault(&format!(
            "X-Amz-Expires must be less than {max} seconds on this server"
        ))),
        Ok(seconds) => Ok(seconds),
    }
}

fn check_time(signed_at: Timestamp, seconds: u64, now: Timestamp) -> Result<(), AuthError> {
    if signed_at.since(now) > SKEW_MAX {
        return Err(AuthError::NotYetValid {
            begins: signed_at,
            server_time: now,
        });
    }
    // The skew makes no URL live longer than its signer meant it to.
    let expires = signed_at.plus(Duration::from_secs(seconds));
    if now > expires {
        return Err(AuthError::Expired {
            seconds: Some(seconds),
            expires,
            server_time: now,
        });
    }
    Ok(())
}

/// The session's token, which stands once: in the query, or in a header that was signed.
pub(super) fn token(head: &SignedHead<'_>, pairs: &Pairs<'_>) -> Result<Option<String>, AuthError> {
    let by_header = token_of_header(head)?;
    match (count(pairs, TOKEN), by_header) {
        (0, by_header) => Ok(by_header),
        (1, None) => {
            let is = |name: &[u8]| name.eq_ignore_ascii_case(TOKEN.as_bytes());
            let found = pairs.iter().find(|(name, _)| is(name));
            let token = found.and_then(|(_, value)| String::from_utf8(value.to_vec()).ok());
            token.map(Some).ok_or(AuthError::InvalidToken)
        }
        _ => Err(AuthError::InvalidToken),
    }
}

/// The payload's hash: from the header, from the query, or else the body is not signed.
pub(super) fn payload<'a>(
    head: &SignedHead<'a>,
    pairs: &'a Pairs<'_>,
) -> Result<Cow<'a, str>, AuthError> {
    if let Some(payload) = head.payload {
        return Ok(Cow::Borrowed(payload));
    }
    if let Some(value) = canonical::header_value(head.headers, "x-amz-content-sha256") {
        return Ok(value);
    }
    let name: &[u8] = b"x-amz-content-sha256";
    let mut found = pairs.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (None, _) => Ok("UNSIGNED-PAYLOAD".into()),
        (Some((_, value)), None) => Ok(String::from_utf8_lossy(value)),
        (Some(_), Some(_)) => Err(fault("X-Amz-Content-Sha256 was given more than once.")),
    }
}

fn fault(message: &str) -> AuthError {
    AuthError::MalformedQuery {
        message: message.to_owned(),
        region: None,
    }
}

fn scope_fault(fault: ScopeFault) -> AuthError {
    let reason = fault.reason();
    AuthError::MalformedQuery {
        message: match fault {
            ScopeFault::Day { .. } => reason,
            ScopeFault::Region { .. } | ScopeFault::Service { .. } => {
                format!("Error parsing the X-Amz-Credential parameter; {reason}")
            }
        },
        region: fault.region(),
    }
}
