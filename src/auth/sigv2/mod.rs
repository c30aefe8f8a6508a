//! Signature Version 2: on browser forms where S3 still takes it, in regions that are older than
//! Version 4, and on everything where a setting says so.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/HTTPPOSTForms.html>

mod request;
mod text;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};

use super::AuthSettings;
use super::sigv4::key_block;

pub(super) use request::{by_header, by_query, is_header};
pub use text::SUB_RESOURCES;

/// Regions that were there before 2014: later ones know Version 4 only.
const REGIONS: &[&str] = &[
    "ap-northeast-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "eu-west-1",
    "sa-east-1",
    "us-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

/// Whether forms of this version are taken.
pub(super) fn is_on_forms(settings: &AuthSettings) -> bool {
    settings.signature_v2 || REGIONS.contains(&settings.region.as_str())
}

/// The signature of `text`: HMAC-SHA1 in base64.
pub(super) fn sign(secret: &str, text: &str) -> String {
    let block = key_block(secret.as_bytes(), |long| Sha1::digest(long).to_vec());
    let mut mac = <Hmac<Sha1> as KeyInit>::new(&(*block).into());
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_2202() {
        let jefe = sign("Jefe", "what do ya want for nothing?");
        assert_eq!(jefe, "7/zfauXrL6LSdBbV8YTfnCWafHk=");
        let long = sign(
            &"a".repeat(80),
            "a key longer than a block is hashed first, so this differs from 64 times a",
        );
        assert_ne!(long, jefe);
    }
}
