//! Verifies Consign's callbacks: Standard Webhooks with the crates `base64`, `hmac` and `sha2`.
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};

const TOLERANCE_SECONDS: u64 = 5 * 60;

/// `header` finds a header by its lower-case name; `secrets` are the endpoint's `whsec_…` texts.
pub fn verify<'a>(body: &[u8], header: impl Fn(&str) -> Option<&'a str>, secrets: &[&str], now: u64) -> bool {
    let (Some(id), Some(at)) = (header("webhook-id"), header("webhook-timestamp")) else { return false };
    let fresh = at.parse().is_ok_and(|sent: u64| now.abs_diff(sent) <= TOLERANCE_SECONDS);
    if id.is_empty() || !fresh { return false } // an old one somebody else may have kept
    let given = header("webhook-signature").unwrap_or_default().split(' ');
    let given: Vec<_> = given.filter_map(|part| STANDARD.decode(part.strip_prefix("v1,")?).ok()).collect();
    secrets.iter().any(|secret| {
        let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap_or_default();
        let Ok(mac) = Hmac::<sha2::Sha256>::new_from_slice(&key) else { return false };
        let mac = mac.chain_update(format!("{id}.{at}.")).chain_update(body);
        given.iter().any(|one| mac.clone().verify_slice(one).is_ok()) // in constant time
    })
}
