//! Authentication by the `Authorization` header.

use std::borrow::Cow;

use crate::clock::Timestamp;

use super::canonical::{self, Pairs};
use super::request::{Claim, ScopeFault, check_scope, prove, token_of_header, unsigned};
use super::sigv4::{ALGORITHM, Credential};
use super::{AuthError, AuthSettings, AuthType, Grant, KeyRing, SKEW_MAX, SignedHead, sigv2};

/// Verifies a request by its `Authorization` header, whose value is `value`.
pub(super) fn authenticate(
    head: &SignedHead<'_>,
    pairs: &Pairs<'_>,
    value: &str,
    keys: &dyn KeyRing,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    if settings.signature_v2 && sigv2::is_header(value) {
        return sigv2::by_header(head, pairs, value, keys, now);
    }
    let fields = Fields::parse(value)?;
    let credential = Credential::parse(fields.credential).ok_or_else(|| {
        malformed(
            "the Credential is mal-formed; expecting \
             \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
        )
    })?;
    let token = token_of_header(head)?;
    let (_sent, signed_at) = date(head)?;
    let amz_date = signed_at.amz_date();
    check_scope(&credential, signed_at, settings).map_err(scope_fault)?;
    check_skew(&amz_date, signed_at, now)?;
    let payload = head
        .payload
        .map(Cow::Borrowed)
        .or_else(|| canonical::header_value(head.headers, "x-amz-content-sha256"))
        .ok_or(AuthError::MissingContentSha256)?;
    let missing = unsigned(head.headers, fields.signed);
    if !missing.is_empty() {
        return Err(AuthError::HeadersNotSigned(missing));
    }
    let Fields {
        signed, signature, ..
    } = fields;
    let claim = Claim {
        credential,
        signed,
        signature,
        amz_date: Cow::Owned(amz_date),
        signed_at,
        good_until: signed_at.plus(SKEW_MAX),
        payload,
        token,
        auth_type: AuthType::Header,
    };
    prove(head, pairs, &claim, keys, now)
}

struct Fields<'a> {
    credential: &'a str,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Fields<'a> {
    fn parse(value: &'a str) -> Result<Self, AuthError> {
        let value = value.trim();
        let (kind, rest) = value.split_once(' ').unwrap_or((value, ""));
        match kind {
            ALGORITHM => {}
            "AWS" => return Err(AuthError::SignatureV2),
            "AWS4-ECDSA-P256-SHA256" => {
                return Err(AuthError::Ecdsa {
                    header: "Authorization",
                });
            }
            other => {
                return Err(AuthError::UnsupportedType {
                    value: other.into(),
                });
            }
        }
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for piece in rest
            .split(',')
            .map(str::trim)
            .filter(|piece| !piece.is_empty())
        {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(malformed(&format!("{name} was given twice.")));
            }
        }
        let need = |field: Option<&'a str>, name: &str| {
            let why = || malformed(&format!("the authorization header requires {name}."));
            field.filter(|value| !value.is_empty()).ok_or_else(why)
        };
        Ok(Self {
            credential: need(credential, "three components: Credential")?,
            signed: need(signed, "three components: SignedHeaders")?,
            signature: need(signature, "three components: Signature")?,
        })
    }
}

/// When it was signed, as `x-amz-date` or else `Date` tells: as it was sent, and what it means.
pub(super) fn date(head: &SignedHead<'_>) -> Result<(String, Timestamp), AuthError> {
    let text = canonical::header_value(head.headers, "x-amz-date")
        .or_else(|| canonical::header_value(head.headers, "date"))
        .ok_or(AuthError::MissingDate)?;
    let at = Timestamp::parse_amz_date(&text)
        .or_else(|_not_amz| Timestamp::parse_http_date(&text))
        .ok()
        // Before 1970 nobody signed anything.
        .filter(|at| at.unix_ms() >= 0)
        .ok_or(AuthError::MissingDate)?;
    Ok((text.into_owned(), at))
}

/// Refuses a request whose clock differs too much from ours; `sent` is its time as it was sent.
pub(super) fn check_skew(sent: &str, at: Timestamp, now: Timestamp) -> Result<(), AuthError> {
    if now.since(at) > SKEW_MAX || at.since(now) > SKEW_MAX {
        return Err(AuthError::TimeTooSkewed {
            request_time: sent.to_owned(),
            server_time: now,
        });
    }
    Ok(())
}

fn malformed(reason: &str) -> AuthError {
    AuthError::MalformedHeader {
        reason: reason.to_owned(),
        region: None,
    }
}

fn scope_fault(fault: ScopeFault) -> AuthError {
    AuthError::MalformedHeader {
        reason: fault.reason(),
        region: fault.region(),
    }
}
