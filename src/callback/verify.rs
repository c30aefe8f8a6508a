//! Verifies a callback as its receiver does, and says why it can't be trusted.

use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::config::{CallbackError, Secret};
use super::sign::Signer;
use crate::clock::Timestamp;

/// How far the sender's clock may be from the receiver's: what Standard Webhooks ask for.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The headers of a callback that its signature is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signed<'a> {
    /// `webhook-id`.
    pub id: Option<&'a str>,
    /// `webhook-timestamp`.
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`.
    pub signature: Option<&'a str>,
}

/// Why a callback can't be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header is missing.
    #[error("it has no {0} header")]
    Missing(&'static str),
    /// The time is none.
    #[error("its webhook-timestamp is no number of seconds")]
    NotATime,
    /// It was signed too long ago: somebody may have kept it.
    #[error("it was signed {0} seconds ago, more than 300: an old one, or a clock is wrong")]
    Old(u64),
    /// It was signed in the future.
    #[error("it was signed {0} seconds in the future, more than 300: a clock is wrong")]
    Early(u64),
    /// There is no signature of version 1.
    #[error("its webhook-signature has no signature of version 1 (\"v1,…\")")]
    NoSignature,
    /// No signature is by a secret that is known.
    #[error("no secret that is known here made its signature: another secret, or an altered body")]
    Differs,
}

/// What callbacks are verified with.
#[derive(Debug)]
pub struct Verifier(Signer);

impl Verifier {
    /// A verifier that knows these `whsec_…` secrets; several during a rotation.
    ///
    /// # Errors
    /// [`CallbackError::NoSecret`] or [`CallbackError::BadSecret`], which name `of`.
    pub fn new(of: &str, secrets: &[Secret]) -> Result<Self, CallbackError> {
        Signer::parse(of, secrets).map(Self)
    }

    /// Judges a callback with `body`, which came at `now`. Compares in constant time.
    ///
    /// # Errors
    /// [`VerifyError`] says why it can't be trusted.
    pub fn verify(
        &self,
        signed: Signed<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        let missing = VerifyError::Missing;
        let id = signed.id.ok_or(missing("webhook-id"))?;
        let at = signed.timestamp.ok_or(missing("webhook-timestamp"))?;
        let at: i64 = at.parse().map_err(|_none| VerifyError::NotATime)?;
        let given = signed.signature.ok_or(missing("webhook-signature"))?;
        let (distance, tolerance) = (now.unix_s().abs_diff(at), TOLERANCE.as_secs());
        if distance > tolerance {
            let early = at > now.unix_s();
            let why = if early {
                VerifyError::Early
            } else {
                VerifyError::Old
            };
            return Err(why(distance));
        }
        let wanted = self.0.sign(id, Timestamp::from_unix_s(at), body);
        let ours: Vec<_> = wanted.split(' ').map(str::as_bytes).collect();
        let mut given = given.split(' ').filter(|one| one.starts_with("v1,"));
        let mut seen = false;
        let same = given.any(|one| {
            seen = true;
            ours.iter().any(|our| one.as_bytes().ct_eq(our).into())
        });
        match (same, seen) {
            (true, _) => Ok(()),
            (false, true) => Err(VerifyError::Differs),
            (false, false) => Err(VerifyError::NoSignature),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_table_of_the_kits_is_judged_as_they_judge_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/vectors/callback.json");
        let rows: Vec<Value> =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for row in rows {
            let secrets = row["secrets"].as_array().unwrap().iter();
            let secrets: Vec<_> = secrets
                .map(|secret| Secret::new(secret.as_str().unwrap().to_owned()))
                .collect();
            let header = |name: &str| row["headers"].get(name).and_then(Value::as_str);
            let signed = Signed {
                id: header("webhook-id"),
                timestamp: header("webhook-timestamp"),
                signature: header("webhook-signature"),
            };
            let verifier = Verifier::new("app", &secrets).unwrap();
            let now = Timestamp::from_unix_s(row["now"].as_i64().unwrap());
            let judged = verifier.verify(signed, row["body"].as_str().unwrap().as_bytes(), now);
            let name = &row["name"];
            assert_eq!(
                Some(judged.is_ok()),
                row["valid"].as_bool(),
                "{name}: {judged:?}"
            );
        }
    }
}
