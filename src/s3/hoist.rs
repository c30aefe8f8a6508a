//! Headers that came as query parameters: SDKs put `x-amz-*` headers there when they presign a URL,
//! and S3 takes them for the headers that they are.

use std::collections::HashSet;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::S3Error;
use super::query::Query;
use crate::checksum::Algorithm;

/// Parameters that are about the signature itself.
const AUTHENTICATION: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// What the names of S3's own headers begin with.
const AMZ: &str = "x-amz-";

/// Conditions that a signer may put upon an upload. Unheeded, they would let it overwrite.
const CONDITIONS: &[&str] = &["if-match", "if-none-match"];

/// Moves what is a header from `query` to `headers`. One that came as a header too is left as it is.
///
/// # Errors
/// `InvalidArgument` for what can't be a header.
pub(super) fn hoist(query: &mut Query, headers: &mut HeaderMap) -> Result<(), S3Error> {
    let found = query.take(is_header);
    // Most queries have none.
    if found.is_empty() {
        return Ok(());
    }
    let signed = query.get("X-Amz-SignedHeaders").unwrap_or_default();
    let signed = signed.to_ascii_lowercase();
    // Version 2 has no list: it covers all of them.
    let all = query.has("AWSAccessKeyId");
    let listed: HashSet<&str> = signed.split(';').collect();
    let covers = |name: &str| all || listed.contains(name);
    let sent: Vec<HeaderName> = headers.keys().cloned().collect();
    for (name, value) in found {
        let lower = name.to_ascii_lowercase();
        if is_about_bytes(&lower) && !covers(&lower) {
            // Who presigns has no bytes yet: SDKs add the digest of nothing, and S3 ignores it.
            continue;
        }
        let parsed = (
            HeaderName::from_bytes(lower.as_bytes()),
            HeaderValue::from_bytes(value.as_bytes()),
        );
        let (Ok(header), Ok(text)) = parsed else {
            let message = format!("The value of {name} can't stand in a header.");
            return Err(S3Error::argument(name, value, message));
        };
        if !sent.contains(&header) {
            headers.append(header, text);
        }
    }
    Ok(())
}

/// Whether a parameter of that name, in whatever case, is meant as a header.
fn is_header(name: &str) -> bool {
    let is_among = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
    let start = name.get(..AMZ.len());
    let amz = start.is_some_and(|start| start.eq_ignore_ascii_case(AMZ));
    (amz && !is_among(AUTHENTICATION)) || is_among(CONDITIONS)
}

fn is_about_bytes(name: &str) -> bool {
    name == "x-amz-sdk-checksum-algorithm" || Algorithm::from_header(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hoisted(query: &str, sent: &[(&'static str, &str)]) -> (Vec<String>, Vec<String>) {
        let mut query = Query::parse(query).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, value.parse().unwrap());
        }
        hoist(&mut query, &mut headers).unwrap();
        let left = query.iter().map(|(name, _)| name.to_owned()).collect();
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}={}", value.to_str().unwrap())
        };
        (left, headers.iter().map(text).collect())
    }

    #[test]
    fn parameters_that_are_headers_become_headers() {
        let (left, headers) = hoisted("X-Amz-Meta-A=1&x-id=PutObject&X-Amz-Date=d", &[]);
        assert_eq!(left, ["x-id", "X-Amz-Date"]);
        assert_eq!(headers, ["x-amz-meta-a=1"]);
        let (_, headers) = hoisted("x-amz-acl=public-read", &[("x-amz-acl", "private")]);
        assert_eq!(headers, ["x-amz-acl=private"]);
        let (left, headers) = hoisted("If-None-Match=%2A", &[]);
        assert!(left.is_empty() && headers == ["if-none-match=*"]);
        let (_, headers) = hoisted("x-amz-checksum-mode=ENABLED", &[]);
        assert_eq!(headers, ["x-amz-checksum-mode=ENABLED"]);
    }

    #[test]
    fn a_digest_counts_only_where_it_is_signed_as_a_header() {
        let digest = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32";
        let (left, headers) = hoisted(digest, &[]);
        assert!(left.is_empty() && headers.is_empty());
        let listed = format!("{digest}&X-Amz-SignedHeaders=host%3Bx-amz-checksum-crc32");
        let (_, headers) = hoisted(&listed, &[]);
        assert_eq!(headers, ["x-amz-checksum-crc32=AAAAAA=="]);
    }

    #[test]
    fn what_can_not_be_a_header_is_refused() {
        for query in ["x-amz-meta-a=1%0D%0Ab:2", "x-amz-meta-%20=1"] {
            let mut query = Query::parse(query).unwrap();
            assert!(hoist(&mut query, &mut HeaderMap::new()).is_err());
        }
    }
}
