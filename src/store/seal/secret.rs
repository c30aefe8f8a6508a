//! Secrets of a few bytes, such as those of access keys: sealed in their rows, under a key that only
//! this is for.

use ring::aead::{Aad, Nonce};
use zeroize::Zeroizing;

use super::keyring::{MasterKey, MasterRing, cipher, derived};

/// The name of the derived key that seals secrets. No key of SSE-KMS can have it: theirs begin with `kms:`.
const SECRETS: &str = "secrets";
/// The name of the derived key that only tells one master key from another.
const MARK: &str = "mark";

/// A secret as it is stored. Its nonce is drawn at random: keys are made by hand, and 96 bits are enough
/// for four thousand million of them.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SealedSecret {
    #[cbor(n(0), with = "minicbor::bytes")]
    nonce: [u8; 12],
    #[cbor(n(1), with = "minicbor::bytes")]
    sealed: Vec<u8>,
}

/// No master key opens it: it was sealed by another one, or changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no master key opens it; an earlier one belongs into encryption.previous_master_keys")]
pub struct SecretLost;

impl MasterRing {
    /// Seals `secret` by the current master key. `context` says whose it is, and must be the same when it
    /// is opened: a row that was moved elsewhere opens nothing.
    ///
    /// # Errors
    /// [`SecretLost`], where the ring has no current key.
    pub fn seal(&self, secret: &[u8], context: &[u8]) -> Result<SealedSecret, SecretLost> {
        let master = self.current_key().ok_or(SecretLost)?;
        let key = derived(master, SECRETS).ok_or(SecretLost)?;
        let cipher = cipher(&key).ok_or(SecretLost)?;
        let nonce: [u8; 12] = crate::id::random();
        // With room for the tag: growing would leave a copy behind that nothing wipes.
        let mut sealed = Vec::with_capacity(secret.len().saturating_add(16));
        sealed.extend_from_slice(secret);
        let at = Nonce::assume_unique_for_key(nonce);
        let done = cipher.seal_in_place_append_tag(at, Aad::from(context), &mut sealed);
        done.map_err(|_length| SecretLost)?;
        Ok(SealedSecret { nonce, sealed })
    }

    /// The secret that was sealed, by whichever of the master keys.
    ///
    /// # Errors
    /// [`SecretLost`].
    pub fn open(
        &self,
        sealed: &SealedSecret,
        context: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SecretLost> {
        let current = self.current_key().into_iter();
        let mut masters = current.chain(self.every_key());
        let open = |master: &MasterKey| {
            let cipher = cipher(&derived(master, SECRETS)?)?;
            let mut bytes = Zeroizing::new(sealed.sealed.clone());
            let at = Nonce::assume_unique_for_key(sealed.nonce);
            let opened = cipher.open_in_place(at, Aad::from(context), bytes.as_mut_slice());
            let len = opened.ok()?.len();
            bytes.truncate(len);
            Some(bytes)
        };
        masters.find_map(open).ok_or(SecretLost)
    }

    /// What tells the current master key from every other, and nothing else of it.
    pub fn mark(&self) -> Option<[u8; 32]> {
        let key = derived(self.current_key()?, MARK)?;
        Some(*key.as_bytes())
    }

    /// A key for `purpose` alone, derived from the current master key.
    pub fn key_for(&self, purpose: &str) -> Option<Zeroizing<[u8; 32]>> {
        let key = derived(self.current_key()?, purpose)?;
        Some(Zeroizing::new(*key.as_bytes()))
    }

    /// The keys for `purpose` of all master keys, the current one's first.
    pub fn keys_for(&self, purpose: &str) -> Vec<Zeroizing<[u8; 32]>> {
        let masters = self.current_key().into_iter().chain(self.every_key());
        let derived = masters.filter_map(|master| derived(master, purpose));
        derived.map(|key| Zeroizing::new(*key.as_bytes())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(byte: u8) -> MasterRing {
        MasterRing::new("configured".into(), MasterKey::from_bytes([byte; 32]))
    }

    #[test]
    fn a_secret_comes_back_for_whom_it_was_sealed_only() {
        let sealed = ring(1).seal(b"hush-hush", b"key:A").unwrap();
        assert_eq!(*ring(1).open(&sealed, b"key:A").unwrap(), b"hush-hush");
        assert_eq!(ring(1).open(&sealed, b"key:B"), Err(SecretLost));
        assert_eq!(ring(2).open(&sealed, b"key:A"), Err(SecretLost));
        let mut forged = sealed.clone();
        forged.sealed[0] ^= 1;
        assert_eq!(ring(1).open(&forged, b"key:A"), Err(SecretLost));
        let again = ring(1).seal(b"hush-hush", b"key:A").unwrap();
        assert_ne!(again, sealed, "each seal has a nonce of its own");
        assert!(!sealed.sealed.windows(4).any(|bytes| bytes == b"hush"));
    }

    #[test]
    fn an_earlier_master_key_opens_and_seals_nothing_new() {
        let sealed = ring(1).seal(b"hush-hush", b"").unwrap();
        let both = ring(2).with("previous-0".into(), MasterKey::from_bytes([1; 32]));
        assert_eq!(*both.open(&sealed, b"").unwrap(), b"hush-hush");
        let again = both.seal(b"hush-hush", b"").unwrap();
        assert!(ring(2).open(&again, b"").is_ok());
        assert_eq!(ring(1).open(&again, b""), Err(SecretLost));
    }

    #[test]
    fn the_mark_tells_the_current_key_alone() {
        assert_eq!(ring(1).mark(), ring(1).mark());
        assert_ne!(ring(1).mark(), ring(2).mark());
        let both = ring(2).with("previous-0".into(), MasterKey::from_bytes([1; 32]));
        assert_eq!(both.mark(), ring(2).mark());
        assert_eq!(both.keys_for("x")[0], ring(2).key_for("x").unwrap());
        assert!(both.keys_for("x").contains(&ring(1).key_for("x").unwrap()));
        assert_ne!(ring(1).key_for("x"), ring(1).key_for("y"));
    }
}
