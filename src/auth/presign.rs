//! The signer: for the command line, the admin client and the tests. It signs over the very
//! canonical forms that the verifier computes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};

use crate::clock::Timestamp;

use super::canonical::{self, Parts};
use super::sigv4::{self, ALGORITHM, Credential, SERVICE, Scope};
use super::{ChunkChain, Secret};

/// Whose signature is made, and for which region.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'a> {
    /// The key's public half.
    pub access_key: &'a str,
    /// The key's secret half.
    pub secret: &'a Secret,
    /// The region.
    pub region: &'a str,
}

/// What is to be signed.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The method.
    pub method: &'a str,
    /// `http://host:port`, without a path.
    pub endpoint: &'a str,
    /// The path, not encoded: `/bucket/key`.
    pub path: &'a str,
    /// The query's names and values, not encoded.
    pub query: &'a [(&'a str, &'a str)],
}

impl Target<'_> {
    /// The host, with its port where one is given.
    pub fn authority(&self) -> &str {
        self.endpoint
            .split_once("://")
            .map_or(self.endpoint, |(_, host)| host)
            .trim_end_matches('/')
    }

    /// The encoded path.
    pub fn raw_path(&self) -> String {
        if self.path.is_empty() {
            "/".into()
        } else {
            canonical::encode(self.path.as_bytes(), true)
        }
    }

    /// The encoded query, in canonical order.
    pub fn raw_query(&self) -> String {
        canonical::query(self.pairs().iter())
    }

    fn pairs(&self) -> canonical::Pairs<'_> {
        let pairs = self.query.iter();
        pairs
            .map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into()))
            .collect()
    }
}

impl Signer<'_> {
    /// What this signer's credential is at `at`.
    pub fn credential(&self, at: Timestamp) -> Credential<'_> {
        let scope = Scope {
            day: at.scope_day().into(),
            region: self.region.into(),
            service: SERVICE.into(),
        };
        Credential {
            access_key: self.access_key.into(),
            scope,
        }
    }

    fn sign(&self, parts: &Parts<'_>, at: Timestamp) -> String {
        let scope = self.credential(at).scope;
        let string = sigv4::string_to_sign(&at.amz_date(), &scope, &parts.text());
        sigv4::sign(&self.secret.signing_key(&scope), &string)
    }
}

/// Makes a URL that is good for `seconds` from `at`. `headers` must be sent along with the request.
pub fn presign_url(
    signer: &Signer<'_>,
    target: &Target<'_>,
    headers: &HeaderMap,
    seconds: u64,
    at: Timestamp,
) -> String {
    let lines = signed_lines(target, headers);
    let signed = names(&lines);
    let mut pairs = target.pairs();
    for (name, value) in [
        ("X-Amz-Algorithm", ALGORITHM.to_owned()),
        ("X-Amz-Credential", signer.credential(at).text()),
        ("X-Amz-Date", at.amz_date()),
        ("X-Amz-Expires", seconds.to_string()),
        ("X-Amz-SignedHeaders", signed.clone()),
    ] {
        pairs.push((name.as_bytes().into(), value.into_bytes().into()));
    }
    let path = target.raw_path();
    let query = canonical::query(pairs.iter());
    let payload = canonical::header_value(headers, "x-amz-content-sha256");
    let parts = Parts {
        method: target.method,
        path: &path,
        query: &query,
        headers: &lines,
        signed: &signed,
        payload: payload.as_deref().unwrap_or("UNSIGNED-PAYLOAD"),
    };
    let signature = signer.sign(&parts, at);
    let endpoint = target.endpoint.trim_end_matches('/');
    format!("{endpoint}{path}?{query}&X-Amz-Signature={signature}")
}

/// Adds `x-amz-date`, `x-amz-content-sha256` and `Authorization` to `headers`, all of which are
/// signed. `payload` is the body's SHA-256 in hexadecimal or one of the words that S3 allows.
/// Returns the chain from which the chunks of a streamed body go on.
pub fn sign_header(
    signer: &Signer<'_>,
    target: &Target<'_>,
    headers: &mut HeaderMap,
    payload: &str,
    at: Timestamp,
) -> ChunkChain {
    let date = at.amz_date();
    put(headers, "x-amz-date", &date);
    put(headers, "x-amz-content-sha256", payload);
    headers.remove(http::header::AUTHORIZATION);
    let lines = signed_lines(target, headers);
    let signed = names(&lines);
    let parts = Parts {
        method: target.method,
        path: &target.raw_path(),
        query: &target.raw_query(),
        headers: &lines,
        signed: &signed,
        payload,
    };
    let signature = signer.sign(&parts, at);
    let credential = signer.credential(at);
    let text = credential.text();
    let value =
        format!("{ALGORITHM} Credential={text},SignedHeaders={signed},Signature={signature}");
    put(headers, "authorization", &value);
    let key = signer.secret.signing_key(&credential.scope);
    ChunkChain::new(key, &date, &credential.scope, &signature)
}

/// The fields that a form needs beside its own: the policy in base64, and what signs it. `policy`
/// must have conditions for `x-amz-algorithm`, `x-amz-credential` and `x-amz-date` too.
pub fn sign_post(signer: &Signer<'_>, policy: &str, at: Timestamp) -> Vec<(String, String)> {
    let credential = signer.credential(at);
    let policy = STANDARD.encode(policy);
    let signature = sigv4::sign(&signer.secret.signing_key(&credential.scope), &policy);
    [
        ("policy", policy),
        ("x-amz-algorithm", ALGORITHM.to_owned()),
        ("x-amz-credential", credential.text()),
        ("x-amz-date", at.amz_date()),
        ("x-amz-signature", signature),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // Dates, digests and credentials are plain ASCII; what is not could not be signed either.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn signed_lines(target: &Target<'_>, headers: &HeaderMap) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = headers
        .keys()
        .filter(|name| *name != http::header::HOST)
        .filter_map(|name| {
            Some((
                name.as_str().to_owned(),
                canonical::header_value(headers, name.as_str())?.into_owned(),
            ))
        })
        .collect();
    lines.push(("host".into(), target.authority().into()));
    lines.sort();
    lines
}

fn names(lines: &[(String, String)]) -> String {
    lines
        .iter()
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(";")
}
