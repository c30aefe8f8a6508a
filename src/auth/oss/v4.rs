//! Version 4: as S3's, over another canonical request. The host is not signed unless the signer lists
//! it, a parameter without a value has no `=`, and the resource always begins with the bucket.
//!
//! <https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4>

use std::time::Duration;

use zeroize::Zeroizing;

use super::{
    Claim, Fault, Means, OssHead, canonical_headers, count, header, one, optional, token_of_header,
};
use crate::auth::canonical::{Pairs, encode};
use crate::auth::header::check_skew;
use crate::auth::sigv4::{hmac, sha256_hex};
use crate::auth::{
    AuthError, AuthSettings, AuthType, BodyProof, Grant, KeyRing, PRESIGN_SECONDS_MAX, SKEW_MAX,
    Secret,
};
use crate::clock::Timestamp;

pub(super) const ALGORITHM: &str = "OSS4-HMAC-SHA256";
const PRODUCT: &str = "oss";
const TERMINAL: &str = "aliyun_v4_request";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

pub(super) const VERSION: &str = "x-oss-signature-version";
pub(super) const CREDENTIAL: &str = "x-oss-credential";
pub(super) const DATE: &str = "x-oss-date";
pub(super) const SIGNATURE: &str = "x-oss-signature";
pub(super) const TOKEN: &str = "x-oss-security-token";
const EXPIRES: &str = "x-oss-expires";
const ADDITIONAL: &str = "x-oss-additional-headers";

pub(super) fn is_claimed(pairs: &Pairs<'_>) -> bool {
    [
        VERSION, CREDENTIAL, DATE, SIGNATURE, TOKEN, EXPIRES, ADDITIONAL,
    ]
    .iter()
    .any(|name| count(pairs, name) > 0)
}

/// Who signed, and for which day and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) access_key: String,
    day: String,
    region: String,
}

impl Credential {
    /// Reads `KEY/20231216/cn-hangzhou/oss/aliyun_v4_request` and judges it by what is served here.
    pub(super) fn read(
        text: &str,
        name: &'static str,
        signed_at: Timestamp,
        settings: &AuthSettings,
    ) -> Result<Self, AuthError> {
        let invalid = |message: String| AuthError::from(Fault::Invalid { name, message });
        let mut parts = text.rsplitn(5, '/');
        let mut next = || parts.next().unwrap_or_default();
        let (terminal, product, region, day, access_key) = (next(), next(), next(), next(), next());
        if terminal != TERMINAL || access_key.is_empty() {
            let form = format!("KEY/YYYYMMDD/REGION/{PRODUCT}/{TERMINAL}");
            return Err(invalid(format!(
                "The credential must be of the form {form}."
            )));
        }
        if product != PRODUCT {
            return Err(invalid(format!(
                "Invalid signing product in the credential: expecting {PRODUCT}."
            )));
        }
        if region != settings.region {
            let ours = &settings.region;
            return Err(invalid(format!(
                "Invalid signing region in the credential: expecting {ours}."
            )));
        }
        if day != signed_at.scope_day() {
            return Err(invalid(format!(
                "Invalid signing date in the credential: {day} is not the day of x-oss-date."
            )));
        }
        Ok(Self {
            access_key: access_key.to_owned(),
            day: day.to_owned(),
            region: region.to_owned(),
        })
    }

    fn scope(&self) -> String {
        format!("{}/{}/{PRODUCT}/{TERMINAL}", self.day, self.region)
    }

    /// The key that `secret` yields for this day and region.
    pub(super) fn signing_key(&self, secret: &Secret) -> Zeroizing<[u8; 32]> {
        let first = Zeroizing::new(format!("aliyun_v4{}", secret.expose()));
        let day = Zeroizing::new(hmac(first.as_bytes(), self.day.as_bytes()));
        let region = Zeroizing::new(hmac(day.as_slice(), self.region.as_bytes()));
        let product = Zeroizing::new(hmac(region.as_slice(), PRODUCT.as_bytes()));
        Zeroizing::new(hmac(product.as_slice(), TERMINAL.as_bytes()))
    }
}

/// What the `Authorization` header says behind its first word.
struct Authorization<'a> {
    credential: &'a str,
    additional: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Result<Self, AuthError> {
        let (mut credential, mut additional, mut signature) = (None, None, None);
        for item in text.split(',') {
            let (name, value) = item.trim().split_once('=').ok_or(Fault::Header)?;
            let place = match name {
                "Credential" => &mut credential,
                "AdditionalHeaders" => &mut additional,
                "Signature" => &mut signature,
                _ => return Err(Fault::Header.into()),
            };
            if place.replace(value).is_some() {
                return Err(Fault::Header.into());
            }
        }
        Ok(Self {
            credential: credential.ok_or(Fault::Header)?,
            additional: additional.unwrap_or_default(),
            signature: signature.ok_or(Fault::Header)?,
        })
    }
}

/// Verifies `OSS4-HMAC-SHA256 Credential=…, AdditionalHeaders=…, Signature=…`.
pub(super) fn of_header(
    head: &OssHead<'_>,
    pairs: &Pairs<'_>,
    text: &str,
    (keys, settings): (&dyn KeyRing, &AuthSettings),
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let authorization = Authorization::parse(text)?;
    let date = header(head.headers, DATE);
    let signed_at = Timestamp::parse_amz_date(&date).map_err(|_invalid| Fault::Date)?;
    let credential = Credential::read(
        authorization.credential,
        "Authorization",
        signed_at,
        settings,
    )?;
    check_skew(&date, signed_at, now)?;
    let payload = payload(head);
    let body = proof(&payload)?;
    let canonical = canonical_request(head, pairs, authorization.additional, &payload);
    let claim = Claim {
        access_key: &credential.access_key.clone(),
        token: token_of_header(head.headers)?,
        signature: authorization.signature,
        string_to_sign: string_to_sign(&date, &credential, &canonical),
        canonical_request: Some(canonical),
        means: Means::Sha256(credential),
        body,
        auth_type: AuthType::Header,
        age: Some(now.since(signed_at)),
    };
    claim.prove(keys, now)
}

/// Verifies a signed URL.
pub(super) fn of_query(
    head: &OssHead<'_>,
    pairs: &Pairs<'_>,
    keys: &dyn KeyRing,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    check_version(one(pairs, VERSION)?)?;
    let (date, signature) = (one(pairs, DATE)?, one(pairs, SIGNATURE)?);
    let signed_at = Timestamp::parse_amz_date(date).map_err(|_invalid| Fault::Date)?;
    let credential = Credential::read(one(pairs, CREDENTIAL)?, CREDENTIAL, signed_at, settings)?;
    let seconds = lifetime(one(pairs, EXPIRES)?, settings)?;
    if signed_at.since(now) > SKEW_MAX {
        return Err(AuthError::NotYetValid {
            begins: signed_at,
            server_time: now,
        });
    }
    // The skew makes no URL live longer than its signer meant it to.
    let expires = signed_at.plus(Duration::from_secs(seconds));
    if now > expires {
        return Err(Fault::Expired {
            expires,
            server_time: now,
        }
        .into());
    }
    let token = match (optional(pairs, TOKEN)?, token_of_header(head.headers)?) {
        (Some(_), Some(_)) => return Err(AuthError::InvalidToken),
        (by_query, by_header) => by_query.or(by_header),
    };
    let additional = optional(pairs, ADDITIONAL)?.unwrap_or_default();
    let payload = payload(head);
    let body = proof(&payload)?;
    let canonical = canonical_request(head, pairs, additional, &payload);
    let claim = Claim {
        access_key: &credential.access_key.clone(),
        token,
        signature,
        string_to_sign: string_to_sign(date, &credential, &canonical),
        canonical_request: Some(canonical),
        means: Means::Sha256(credential),
        body,
        auth_type: AuthType::Query,
        age: Some(now.since(signed_at)),
    };
    claim.prove(keys, now)
}

/// Only the one version is served that has this parameter.
pub(super) fn check_version(version: &str) -> Result<(), AuthError> {
    if version == ALGORITHM {
        return Ok(());
    }
    Err(Fault::Invalid {
        name: VERSION,
        message: format!("x-oss-signature-version only supports \"{ALGORITHM}\"."),
    }
    .into())
}

fn lifetime(text: &str, settings: &AuthSettings) -> Result<u64, AuthError> {
    let max = settings.presign_seconds_max.min(PRESIGN_SECONDS_MAX);
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (1..=max).contains(seconds));
    seconds.ok_or_else(|| {
        let message = format!("x-oss-expires must be a number of seconds from 1 to {max}.");
        Fault::Invalid {
            name: EXPIRES,
            message,
        }
        .into()
    })
}

fn payload(head: &OssHead<'_>) -> String {
    let payload = header(head.headers, "x-oss-content-sha256");
    if payload.is_empty() {
        UNSIGNED.to_owned()
    } else {
        payload
    }
}

fn proof(payload: &str) -> Result<BodyProof, AuthError> {
    if payload == UNSIGNED {
        return Ok(BodyProof::Unsigned);
    }
    let mut digest = [0; 32];
    hex::decode_to_slice(payload, &mut digest).map_err(|_no_hex| Fault::Invalid {
        name: "x-oss-content-sha256",
        message: format!("x-oss-content-sha256 must be {UNSIGNED} or a SHA-256 in hexadecimal."),
    })?;
    Ok(BodyProof::Sha256(digest))
}

fn string_to_sign(date: &str, credential: &Credential, canonical: &str) -> String {
    let (scope, digest) = (credential.scope(), sha256_hex(canonical.as_bytes()));
    format!("{ALGORITHM}\n{date}\n{scope}\n{digest}")
}

fn canonical_request(
    head: &OssHead<'_>,
    pairs: &Pairs<'_>,
    additional: &str,
    payload: &str,
) -> String {
    let mut listed: Vec<&str> = additional
        .split(';')
        .filter(|name| !name.is_empty())
        .collect();
    listed.sort_unstable();
    let always =
        |name: &str| name.starts_with("x-oss-") || matches!(name, "content-type" | "content-md5");
    let signed = |name: &str| always(name) || listed.contains(&name);
    let mut lines = canonical_headers(head.headers, signed);
    // HTTP/2 has the host elsewhere.
    if listed.contains(&"host") && !head.headers.contains_key("host") {
        lines.push(format!("host:{}\n", head.authority));
        lines.sort_unstable();
    }
    let mut path = "/".to_owned();
    if let Some(bucket) = head.bucket {
        path.push_str(&encode(bucket.as_bytes(), false));
        path.push('/');
        path.push_str(&encode(head.key.unwrap_or_default().as_bytes(), true));
    }
    let (method, query) = (head.method, query(pairs));
    let (lines, listed) = (lines.concat(), listed.join(";"));
    format!("{method}\n{path}\n{query}\n{lines}\n{listed}\n{payload}")
}

fn query(pairs: &Pairs<'_>) -> String {
    let mut encoded: Vec<(String, String)> = pairs
        .iter()
        .filter(|(name, _)| **name != *SIGNATURE.as_bytes())
        .map(|(name, value)| (encode(name, false), encode(value, false)))
        .collect();
    encoded.sort();
    let joined: Vec<String> = encoded
        .into_iter()
        .map(|(name, value)| {
            if value.is_empty() {
                name
            } else {
                format!("{name}={value}")
            }
        })
        .collect();
    joined.join("&")
}
