//! Version 1: HMAC-SHA1 over method, digest, type, date, `x-oss-*` headers and the resource.
//!
//! <https://www.alibabacloud.com/help/en/oss/developer-reference/include-signatures-in-the-authorization-header>

use std::time::Duration;

use super::{
    Claim, Fault, Means, OssHead, canonical_headers, count, header, one, optional, token_of_header,
};
use crate::auth::canonical::Pairs;
use crate::auth::header::check_skew;
use crate::auth::{AuthError, AuthSettings, AuthType, BodyProof, Grant, KeyRing};
use crate::clock::Timestamp;

pub(super) const ACCESS_KEY: &str = "OSSAccessKeyId";
const SIGNATURE: &str = "Signature";
const EXPIRES: &str = "Expires";
const TOKEN: &str = "security-token";

/// The parameters that are part of the resource: those of OSS's SDKs. Others are not signed, so none
/// of them may mean anything but how a listing is cut.
#[rustfmt::skip]
pub(super) const SUB_RESOURCES: &[&str] = &[
    "accessPoint", "accessPointPolicy", "acl", "append", "asyncFetch", "bucketArchiveDirectRead",
    "bucketInfo", "callback", "callback-var", "cloudboxes", "cname", "comp", "continuation-token",
    "cors", "delete", "encryption", "endTime", "group", "httpsConfig", "img", "inventory",
    "inventoryId", "lifecycle", "link", "live", "location", "logging", "metaQuery", "objectInfo",
    "objectMeta", "partNumber", "policy", "position", "publicAccessBlock", "qos", "qosInfo",
    "qosRequester", "redundancyTransition", "referer", "regionList", "replication",
    "replicationLocation", "replicationProgress", "requestPayment", "requesterQosInfo",
    "resourceGroup", "resourcePool", "resourcePoolBuckets", "resourcePoolInfo",
    "response-cache-control", "response-content-disposition", "response-content-encoding",
    "response-content-language", "response-content-type", "response-expires", "restore",
    "security-token", "sequential", "startTime", "stat", "status", "style", "styleName", "symlink",
    "tagging", "transferAcceleration", "uploadId", "uploads", "versionId", "versioning", "versions",
    "vod", "website", "worm", "wormExtend", "wormId", "x-oss-ac-forward-allow",
    "x-oss-ac-source-ip", "x-oss-ac-subnet-mask", "x-oss-ac-vpc-id", "x-oss-access-point-name",
    "x-oss-async-process", "x-oss-process", "x-oss-redundancy-transition-taskid",
    "x-oss-request-payer", "x-oss-target-redundancy-type", "x-oss-traffic-limit",
    "x-oss-write-get-object-response",
];

pub(super) fn is_claimed(pairs: &Pairs<'_>) -> bool {
    [ACCESS_KEY, SIGNATURE, TOKEN]
        .iter()
        .any(|name| count(pairs, name) > 0)
}

/// Verifies `OSS KEY:SIGNATURE`.
pub(super) fn of_header(
    head: &OssHead<'_>,
    pairs: &Pairs<'_>,
    text: &str,
    keys: &dyn KeyRing,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let (access_key, signature) = text.trim().split_once(':').ok_or(Fault::Header)?;
    let own = header(head.headers, "x-oss-date");
    let date = if own.is_empty() {
        header(head.headers, "date")
    } else {
        own
    };
    let signed_at = Timestamp::parse_http_date(&date).map_err(|_invalid| Fault::Date)?;
    check_skew(&date, signed_at, now)?;
    let claim = Claim {
        access_key,
        token: token_of_header(head.headers)?,
        means: Means::Sha1,
        signature,
        string_to_sign: string_to_sign(head, pairs, &date),
        canonical_request: None,
        body: BodyProof::Unsigned,
        auth_type: AuthType::Header,
        age: Some(now.since(signed_at)),
    };
    claim.prove(keys, now)
}

/// Verifies a signed URL, which is good until its `Expires`.
pub(super) fn of_query(
    head: &OssHead<'_>,
    pairs: &Pairs<'_>,
    keys: &dyn KeyRing,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let (access_key, signature) = (one(pairs, ACCESS_KEY)?, one(pairs, SIGNATURE)?);
    let date = one(pairs, EXPIRES)?;
    let invalid = |message: String| Fault::Invalid {
        name: EXPIRES,
        message,
    };
    let seconds = date
        .parse()
        .map_err(|_no_number| invalid("Expires must be a time in seconds.".to_owned()))?;
    let expires = Timestamp::from_unix_s(seconds);
    if now > expires {
        return Err(Fault::Expired {
            expires,
            server_time: now,
        }
        .into());
    }
    let most = settings.presign_seconds_max;
    if expires.since(now) > Duration::from_secs(most) {
        let message = format!("Expires must lie within {most} seconds from now.");
        return Err(invalid(message).into());
    }
    let claim = Claim {
        access_key,
        token: optional(pairs, TOKEN)?,
        means: Means::Sha1,
        signature,
        string_to_sign: string_to_sign(head, pairs, date),
        canonical_request: None,
        body: BodyProof::Unsigned,
        auth_type: AuthType::Query,
        age: None,
    };
    claim.prove(keys, now)
}

fn string_to_sign(head: &OssHead<'_>, pairs: &Pairs<'_>, date: &str) -> String {
    let lines = canonical_headers(head.headers, |name| name.starts_with("x-oss-")).concat();
    let (md5, kind) = (
        header(head.headers, "content-md5"),
        header(head.headers, "content-type"),
    );
    let (method, resource) = (head.method, resource(head, pairs));
    format!("{method}\n{md5}\n{kind}\n{date}\n{lines}{resource}")
}

fn resource(head: &OssHead<'_>, pairs: &Pairs<'_>) -> String {
    let mut resource = "/".to_owned();
    if let Some(bucket) = head.bucket {
        resource.push_str(bucket);
        resource.push('/');
        resource.push_str(head.key.unwrap_or_default());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut signed: Vec<(String, String)> = pairs
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .filter(|(name, _)| SUB_RESOURCES.contains(&name.as_str()))
        .collect();
    signed.sort();
    let mut mark = '?';
    for (name, value) in signed {
        resource.push(mark);
        resource.push_str(&name);
        if !value.is_empty() {
            resource.push('=');
            resource.push_str(&value);
        }
        mark = '&';
    }
    resource
}
