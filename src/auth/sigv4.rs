//! Signature Version 4: scopes, derived keys, the string to sign, and the comparison.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The only algorithm that is served.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The last word of every scope.
pub const TERMINAL: &str = "aws4_request";
/// The only service that is served.
pub const SERVICE: &str = "s3";
/// SHA-256 of nothing, in hexadecimal.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Where and when a derived key is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope<'a> {
    /// `20130524`.
    pub day: Cow<'a, str>,
    /// `us-east-1`.
    pub region: Cow<'a, str>,
    /// `s3`.
    pub service: Cow<'a, str>,
}

impl Scope<'_> {
    /// The same, which stands on nothing else.
    pub fn into_owned(self) -> Scope<'static> {
        Scope {
            day: Cow::Owned(self.day.into_owned()),
            region: Cow::Owned(self.region.into_owned()),
            service: Cow::Owned(self.service.into_owned()),
        }
    }

    /// `20130524/us-east-1/s3/aws4_request`.
    pub fn text(&self) -> String {
        [
            &self.day,
            "/",
            &self.region,
            "/",
            &self.service,
            "/",
            TERMINAL,
        ]
        .concat()
    }
}

/// Who signed, and for which scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential<'a> {
    /// The access key's public half.
    pub access_key: Cow<'a, str>,
    /// The scope.
    pub scope: Scope<'a>,
}

impl<'a> Credential<'a> {
    /// Reads `AKID/20130524/us-east-1/s3/aws4_request`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.rsplitn(5, '/');
        let terminal = parts.next()?;
        let service = parts.next()?;
        let region = parts.next()?;
        let day = parts.next()?;
        let access_key = parts.next()?;
        let is_day = day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit());
        if terminal != TERMINAL || access_key.is_empty() || !is_day {
            return None;
        }
        let scope = Scope {
            day: day.into(),
            region: region.into(),
            service: service.into(),
        };
        Some(Self {
            access_key: access_key.into(),
            scope,
        })
    }

    /// The same, which stands on nothing else.
    pub fn into_owned(self) -> Credential<'static> {
        Credential {
            access_key: Cow::Owned(self.access_key.into_owned()),
            scope: self.scope.into_owned(),
        }
    }

    /// The text that [`Self::parse`] reads.
    pub fn text(&self) -> String {
        format!("{}/{}", self.access_key, self.scope.text())
    }
}

/// HMAC-SHA256.
pub fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let block = key_block(key, |long| Sha256::digest(long).to_vec());
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&(*block).into());
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// HMAC's own rule for keys, done here because a key of a whole block cannot be refused.
pub(super) fn key_block(key: &[u8], digest: impl Fn(&[u8]) -> Vec<u8>) -> Zeroizing<[u8; 64]> {
    let mut block = Zeroizing::new([0u8; 64]);
    if let Some(start) = block.get_mut(..key.len()) {
        start.copy_from_slice(key);
    } else {
        let short = Zeroizing::new(digest(key));
        block
            .iter_mut()
            .zip(short.iter())
            .for_each(|(to, from)| *to = *from);
    }
    block
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(data: &[u8]) -> String {
    text_of(&digits(&Sha256::digest(data).into())).to_owned()
}

/// The key that `secret` yields for `scope`.
pub fn derive_key(secret: &str, scope: &Scope<'_>) -> Zeroizing<[u8; 32]> {
    let first = Zeroizing::new(format!("AWS4{secret}"));
    let day = Zeroizing::new(hmac(first.as_bytes(), scope.day.as_bytes()));
    let region = Zeroizing::new(hmac(day.as_slice(), scope.region.as_bytes()));
    let service = Zeroizing::new(hmac(region.as_slice(), scope.service.as_bytes()));
    Zeroizing::new(hmac(service.as_slice(), TERMINAL.as_bytes()))
}

/// What is signed for a request.
pub fn string_to_sign(amz_date: &str, scope: &Scope<'_>, canonical_request: &str) -> String {
    let digest = digits(&Sha256::digest(canonical_request.as_bytes()).into());
    [
        ALGORITHM,
        "\n",
        amz_date,
        "\n",
        &scope.text(),
        "\n",
        text_of(&digest),
    ]
    .concat()
}

/// The signature of `string` in hexadecimal.
pub fn sign(key: &[u8; 32], string: &str) -> String {
    text_of(&signature(key, string)).to_owned()
}

/// The same where nobody keeps it.
pub(super) fn signature(key: &[u8; 32], string: &str) -> [u8; 64] {
    digits(&hmac(key, string.as_bytes()))
}

/// A digest in hexadecimal: each request needs two.
fn digits(digest: &[u8; 32]) -> [u8; 64] {
    let mut digits = [0; 64];
    // As long as it must be.
    let _infallible = hex::encode_to_slice(digest, &mut digits);
    digits
}

/// Digits, which are ASCII.
fn text_of(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

/// Whether two signatures are one, in a time that tells nothing about where they differ.
pub fn same(ours: impl AsRef<[u8]>, theirs: &str) -> bool {
    ours.as_ref().ct_eq(theirs.as_bytes()).into()
}
