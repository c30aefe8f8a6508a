//! Addresses as they may be written down: without what would let a reader use them.

use crate::auth::canonical::decode;

/// Parameters whose values prove something, or are secret: of S3, of Version 2 and of OSS.
const PROOFS: &[&str] = &[
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "signature",
    "x-oss-signature",
    "x-oss-credential",
    "x-oss-security-token",
    "security-token",
];
/// A part of the names of the clients' own keys, and of their digests.
const KEYS: &str = "customer-key";

const REDACTED: &str = "REDACTED";

/// `address` with the values of these parameters gone, wherever a query stands in it.
pub(super) fn redact(address: &str) -> String {
    let is_mark = |char: char| matches!(char, '?' | '&' | ';' | '#');
    let mut out = String::with_capacity(address.len());
    for piece in address.split_inclusive(is_mark) {
        let text = piece.trim_end_matches(is_mark);
        let mark = piece.get(text.len()..).unwrap_or_default();
        match text.split_once('=') {
            Some((name, _value)) if is_proof(name) => {
                out.push_str(name);
                out.push('=');
                out.push_str(REDACTED);
            }
            _ => out.push_str(text),
        }
        out.push_str(mark);
    }
    out
}

fn is_proof(name: &str) -> bool {
    // However it is written: an address within an address is encoded once more.
    let once = decode(name, true);
    let once = String::from_utf8_lossy(&once);
    let name = String::from_utf8_lossy(&decode(&once, true)).to_ascii_lowercase();
    PROOFS.contains(&name.as_str()) || name.contains(KEYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_and_keys_are_gone_and_the_rest_stays() {
        for (sent, kept) in [
            ("/b/k", "/b/k"),
            ("/b/k?x=1&y", "/b/k?x=1&y"),
            (
                "/b/k?X-Amz-Credential=AK%2F1&X-Amz-Date=d&X-Amz-Signature=abc&x-id=GetObject",
                "/b/k?X-Amz-Credential=REDACTED&X-Amz-Date=d&X-Amz-Signature=REDACTED&x-id=GetObject",
            ),
            ("/?x-amz-signature=abc", "/?x-amz-signature=REDACTED"),
            ("/?X-Amz-%53ignature=abc", "/?X-Amz-%53ignature=REDACTED"),
            (
                "/?X-Amz-%2553ignature=abc",
                "/?X-Amz-%2553ignature=REDACTED",
            ),
            (
                "/?AWSAccessKeyId=AK&Signature=a=b&Expires=1",
                "/?AWSAccessKeyId=AK&Signature=REDACTED&Expires=1",
            ),
            (
                "/?X-Amz-Security-Token=t;u=1",
                "/?X-Amz-Security-Token=REDACTED;u=1",
            ),
            (
                "/?x-amz-server-side-encryption-customer-key=AAAA",
                "/?x-amz-server-side-encryption-customer-key=REDACTED",
            ),
            (
                "https://a/b?x-oss-signature=s#Signature=t",
                "https://a/b?x-oss-signature=REDACTED#Signature=REDACTED",
            ),
            ("?&&=&=", "?&&=&="),
        ] {
            assert_eq!(redact(sent), kept, "{sent}");
        }
    }
}
