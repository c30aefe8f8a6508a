//! Signs as Standard Webhooks say: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::config::{CallbackError, Secret};
use crate::clock::Timestamp;
use crate::config::SECRET_BYTES;

/// An endpoint's keys.
pub struct Signer(Vec<Zeroizing<Vec<u8>>>);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(******)")
    }
}

impl Signer {
    /// Reads the secrets of the endpoint that is named `of`.
    ///
    /// # Errors
    /// [`CallbackError::NoSecret`] or [`CallbackError::BadSecret`].
    pub fn parse(of: &str, secrets: &[Secret]) -> Result<Self, CallbackError> {
        let bad = || CallbackError::BadSecret(of.to_owned());
        let key = |text: &str| {
            let key = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
            SECRET_BYTES
                .contains(&key.len())
                .then(|| Zeroizing::new(key))
        };
        let keys: Vec<_> = secrets
            .iter()
            .map(|s| key(s.reveal()).ok_or_else(bad))
            .collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(CallbackError::NoSecret(of.to_owned()));
        }
        Ok(Self(keys))
    }

    /// The value of `webhook-signature`: one signature for each secret. Empty only where HMAC
    /// refuses a key, which it does for none.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let head = format!("{id}.{}.", at.unix_s());
        let signatures = self.0.iter().filter_map(|key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
            mac.update(head.as_bytes());
            mac.update(body);
            Some(format!(
                "v1,{}",
                STANDARD.encode(mac.finalize().into_bytes())
            ))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(secrets: &[String]) -> Result<Signer, CallbackError> {
        let secrets: Vec<_> = secrets.iter().cloned().map(Secret::new).collect();
        Signer::parse("app", &secrets)
    }

    fn secret(bytes: usize, fill: u8) -> String {
        format!("whsec_{}", STANDARD.encode(vec![fill; bytes]))
    }

    #[test]
    fn each_secret_makes_the_signature_that_the_standard_library_makes() {
        let secrets = [secret(24, 1), secret(64, 2)];
        let signer = parse(&secrets).unwrap();
        let signature = signer.sign("msg_1", Timestamp::from_unix_s(1_700_000_000), b"{}");
        let expected = secrets.map(|secret| {
            let webhook = standardwebhooks::Webhook::new(&secret).unwrap();
            webhook.sign("msg_1", 1_700_000_000, b"{}").unwrap()
        });
        assert_eq!(signature, expected.join(" "));
    }

    #[test]
    fn weak_or_malformed_secrets_are_refused_and_never_shown() {
        for bad in [
            secret(23, 1),
            secret(65, 1),
            "whsec_!".into(),
            STANDARD.encode([1; 32]),
        ] {
            assert!(parse(&[bad]).is_err());
        }
        assert_eq!(
            parse(&[]).err(),
            Some(CallbackError::NoSecret("app".into()))
        );
        let one = Secret::new(secret(24, 1));
        assert!(!format!("{one:?}").contains("whsec"));
    }
}
