//! A secret access key: never shown, wiped when dropped, with its derived key of the day kept at hand.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use super::sigv4::{self, Scope};

/// The secret half of an access key.
pub struct Secret {
    text: Zeroizing<String>,
    // Deriving costs four HMACs; almost every request of a day asks for the same scope.
    derived: Mutex<Option<(Scope<'static>, Zeroizing<[u8; 32]>)>>,
}

impl Secret {
    /// Takes `text` into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: Zeroizing::new(text.into()),
            derived: Mutex::new(None),
        }
    }

    /// The secret itself: for storing it and for handing it to its owner once.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The key that signs within `scope`.
    pub(crate) fn signing_key(&self, scope: &Scope<'_>) -> Zeroizing<[u8; 32]> {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, key)) = derived.as_ref()
            && of == scope
        {
            return key.clone();
        }
        let key = sigv4::derive_key(&self.text, scope);
        *derived = Some((scope.clone().into_owned(), key.clone()));
        key
    }
}

impl Clone for Secret {
    fn clone(&self) -> Self {
        Self::new(self.text.as_str())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "Secret(***)");
    }

    #[test]
    fn the_kept_key_follows_the_scope() {
        let secret = Secret::new("hush");
        let scope = |day: &'static str| Scope {
            day: day.into(),
            region: "r".into(),
            service: "s3".into(),
        };
        let first = secret.signing_key(&scope("20130524"));
        assert_ne!(first, secret.signing_key(&scope("20130525")));
        assert_eq!(first, secret.signing_key(&scope("20130524")));
    }
}
