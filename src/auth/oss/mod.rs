//! Who may, in the words of Alibaba Cloud's OSS: pure functions like those for S3, over the same ring
//! of keys.
//!
//! [`authenticate`] and [`form::authenticate_form`] prove a request by OSS's Version 1 (HMAC-SHA1) or
//! Version 4 (`OSS4-HMAC-SHA256`). Every `x-oss-*` header is part of what either signs.
//!
//! <https://www.alibabacloud.com/help/en/oss/developer-reference/ddd-signatures-to-headers>

mod fault;
pub mod form;
#[cfg(test)]
mod tests;
mod v1;
mod v4;

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};

use crate::clock::Timestamp;

use super::canonical::{self, Pair, Pairs};
use super::constraint::{self, Duties};
use super::{
    AuthError, AuthSettings, AuthType, BodyProof, Grant, KeyRing, Mismatch, Secret, Signature,
    SignatureVersion, Who, anonymous, session, sigv2, sigv4,
};
pub use fault::Fault;
use v4::Credential;

/// What a signature of OSS covers of a request. Its resource is the bucket and the key, however the
/// host and the path name them.
#[derive(Debug, Clone, Copy)]
pub struct OssHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The bucket.
    pub bucket: Option<&'a str>,
    /// The key, decoded.
    pub key: Option<&'a str>,
    /// The query as it came over the wire, without its `?`.
    pub raw_query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The host, with its port where one was given.
    pub authority: &'a str,
}

/// By what a text is signed.
enum Means {
    /// Version 1.
    Sha1,
    /// Version 4.
    Sha256(Credential),
}

/// What is to be proved.
struct Claim<'a> {
    access_key: &'a str,
    token: Option<&'a str>,
    means: Means,
    signature: &'a str,
    string_to_sign: String,
    canonical_request: Option<String>,
    /// How the body is proved once the claim is.
    body: BodyProof,
    auth_type: AuthType,
    /// How long ago it was signed, where the request tells.
    age: Option<Duration>,
}

/// Whether a header or the query claims an identity in OSS's way, in whole or in part.
pub fn is_claimed(headers: &HeaderMap, raw_query: &str) -> bool {
    let pairs = canonical::pairs(raw_query);
    let kind = |value: &http::HeaderValue| {
        let kind = value
            .as_bytes()
            .split(|byte| *byte == b' ')
            .next()
            .unwrap_or_default();
        kind.get(..3)
            .is_some_and(|kind| kind.eq_ignore_ascii_case(b"oss"))
    };
    headers.get_all(AUTHORIZATION).iter().any(kind)
        || count(&pairs, v1::ACCESS_KEY) > 0
        || v4::is_claimed(&pairs)
}

/// Whether OSS takes a parameter of that name for what the request is about.
pub fn is_sub_resource(name: &str) -> bool {
    v1::SUB_RESOURCES.contains(&name)
}

/// Finds out who sent a request, by its header or its query.
///
/// # Errors
/// An [`AuthError`] where the request claims an identity that it does not prove.
pub fn authenticate(
    head: &OssHead<'_>,
    keys: &dyn KeyRing,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let pairs = canonical::pairs(head.raw_query);
    // What S3's signers may demand has no like in OSS.
    let names = head.headers.keys().map(|name| name.as_str().as_bytes());
    constraint::refuse_unsigned(names.chain(pairs.iter().map(|(name, _)| &**name)))?;
    let mut headers = head.headers.get_all(AUTHORIZATION).iter();
    let by_header = headers.next();
    let once = headers.next().is_none();
    match (by_header, v1::is_claimed(&pairs), v4::is_claimed(&pairs)) {
        (None, false, false) => Ok(anonymous()),
        (None, true, false) => v1::of_query(head, &pairs, keys, settings, now),
        (None, false, true) => v4::of_query(head, &pairs, keys, settings, now),
        (Some(value), false, false) if once => {
            let text = value.to_str().map_err(|_no_text| Fault::Header)?;
            match text.split_once(' ') {
                Some(("OSS", rest)) => v1::of_header(head, &pairs, rest, keys, now),
                Some((v4::ALGORITHM, rest)) => {
                    v4::of_header(head, &pairs, rest, (keys, settings), now)
                }
                // Only the kind is told back: the rest of the header may be worth stealing.
                Some((kind, _)) => Err(AuthError::UnsupportedType { value: kind.into() }),
                None => Err(Fault::Header.into()),
            }
        }
        _ => Err(Fault::Several.into()),
    }
}

impl Means {
    /// How a policy calls it: by AWS's version of the same strength.
    const fn version(&self) -> SignatureVersion {
        match self {
            Self::Sha1 => SignatureVersion::V2,
            Self::Sha256(_) => SignatureVersion::V4,
        }
    }

    fn sign(&self, secret: &Secret, text: &str) -> String {
        match self {
            Self::Sha1 => sigv2::sign(secret.expose(), text),
            Self::Sha256(credential) => sigv4::sign(&credential.signing_key(secret), text),
        }
    }
}

impl Claim<'_> {
    /// Who signed this.
    fn prove(self, keys: &dyn KeyRing, now: Timestamp) -> Result<Grant, AuthError> {
        let signature = Signature {
            version: self.means.version(),
            auth_type: self.auth_type,
            age: self.age,
        };
        let key = session::find(keys, self.access_key, self.token, now)?;
        // An unknown key costs as much time as a known one.
        let nobody = Secret::new("nobody");
        let secret = key.as_ref().map_or(&nobody, |key| &key.secret);
        let ours = self.means.sign(secret, &self.string_to_sign);
        let matched = sigv4::same(&ours, self.signature);
        let access_key = self.access_key.to_owned();
        let key = key.ok_or_else(|| AuthError::UnknownKey {
            access_key: access_key.clone(),
        })?;
        if matched {
            return Ok(Grant {
                who: Who::Key(key),
                body: self.body,
                signature: Some(signature),
                duties: Duties::default(),
            });
        }
        Err(AuthError::Mismatch(Box::new(Mismatch {
            access_key,
            string_to_sign: self.string_to_sign,
            signature: self.signature.to_owned(),
            canonical_request: self.canonical_request,
        })))
    }
}

/// How many parameters have that name, in any case: half a claim must never pass for none.
fn count(pairs: &Pairs<'_>, name: &str) -> usize {
    let named = |(found, _): &&Pair<'_>| found.eq_ignore_ascii_case(name.as_bytes());
    pairs.iter().filter(named).count()
}

/// The one parameter of that name. Of two, signer and verifier might each take another.
fn one<'a>(pairs: &'a Pairs<'_>, name: &'static str) -> Result<&'a str, AuthError> {
    optional(pairs, name)?.ok_or_else(|| Fault::Missing { name }.into())
}

/// The parameter of that name, which may stand once.
fn optional<'a>(pairs: &'a Pairs<'_>, name: &'static str) -> Result<Option<&'a str>, AuthError> {
    if count(pairs, name) > 1 {
        return Err(Fault::Repeated { name }.into());
    }
    let found = pairs.iter().find(|(found, _)| **found == *name.as_bytes());
    let text = found.map(|(_, value)| std::str::from_utf8(value));
    let text = text.transpose();
    text.map_err(|_no_utf8| Fault::Missing { name }.into())
}

/// The token of a session that came as a header; SDKs call it by either name.
fn token_of_header(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    let names = ["x-oss-security-token", "security-token"];
    let mut given = names.iter().flat_map(|name| headers.get_all(*name).iter());
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(token), None) => {
            let token = token.to_str().map_err(|_no_text| AuthError::InvalidToken)?;
            Ok(Some(token.trim()).filter(|token| !token.is_empty()))
        }
        (Some(_), Some(_)) => Err(AuthError::InvalidToken),
    }
}

/// A header's values as they are signed: trimmed, repeats joined by commas; empty without one.
fn header(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter();
    let values = values.map(|value| canonical::text(value.as_bytes()).trim().to_owned());
    values.collect::<Vec<_>>().join(",")
}

/// The headers that are signed, `name:value` a line, in the order of their names.
fn canonical_headers(headers: &HeaderMap, signed: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
    names.retain(|name| signed(name));
    names.sort_unstable();
    let line = |name| format!("{name}:{}\n", header(headers, name));
    names.into_iter().map(line).collect()
}
