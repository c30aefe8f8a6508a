//! Signature Version 4: scopes, derived keys, the string to sign, and the comparison.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>

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
pub struct Scope {
    /// `20130524`.
    pub day: String,
    /// `us-east-1`.
    pub region: String,
    /// `s3`.
    pub service: String,
}

impl Scope {
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
pub struct Credential {
    /// The access key's public half.
    pub access_key: String,
    /// The scope.
    pub scope: Scope,
}

impl Credential {
    /// Reads `AKID/20130524/us-east-1/s3/aws4_request`.
    pub fn parse(text: &str) -> Option<Self> {
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
    digits(&Sha256::digest(data).into())
}

/// The key that `secret` yields for `scope`.
pub fn derive_key(secret: &str, scope: &Scope) -> Zeroizing<[u8; 32]> {
    let first = Zeroizing::new(format!("AWS4{secret}"));
    let day = Zeroizing::new(hmac(first.as_bytes(), scope.day.as_bytes()));
    let region = Zeroizing::new(hmac(day.as_slice(), scope.region.as_bytes()));
    let service = Zeroizing::new(hmac(region.as_slice(), scope.service.as_bytes()));
    Zeroizing::new(hmac(service.as_slice(), TERMINAL.as_bytes()))
}

/// What is signed for a request.
pub fn string_to_sign(amz_date: &str, scope: &Scope, canonical_request: &str) -> String {
    let digest = sha256_hex(canonical_request.as_bytes());
    [
        ALGORITHM,
        "\n",
        amz_date,
        "\n",
        &scope.text(),
        "\n",
        &digest,
    ]
    .concat()
}

/// The signature of `string` in hexadecimal.
pub fn sign(key: &[u8; 32], string: &str) -> String {
    digits(&hmac(key, string.as_bytes()))
}

/// A digest in hexadecimal: each request needs two.
fn digits(digest: &[u8; 32]) -> String {
    let mut digits = vec![0; 64];
    // As long as it must be, and ASCII.
    let _infallible = hex::encode_to_slice(digest, &mut digits);
    String::from_utf8(digits).unwrap_or_default()
}

/// Whether two signatures are one, in a time that tells nothing about where they differ.
pub fn same(ours: &str, theirs: &str) -> bool {
    ours.as_bytes().ct_eq(theirs.as_bytes()).into()
}
