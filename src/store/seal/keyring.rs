//! Master keys: they wrap the data keys of objects, and never seal an object's bytes themselves.
//!
//! A ring has one current key for SSE-S3, earlier ones that only unwrap (rotation: new objects take the
//! current key, old ones stay readable), and named keys for SSE-KMS.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::chunk::DataKey;

/// Leads the names of keys of SSE-KMS.
const NAMED: &str = "kms:";
/// The key of SSE-KMS that there always is.
const OWN_NAME: &str = "aws/s3";

/// A master key.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// The key that these bytes are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A data key as it is stored: sealed by the master key of that name.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct WrappedKey {
    /// The master key's name.
    #[n(0)]
    pub master: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    nonce: [u8; 12],
    #[cbor(n(2), with = "minicbor::bytes")]
    sealed: Vec<u8>,
}

/// Why a data key can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The ring has no key of that name.
    #[error("there is no master key {name:?}")]
    NoSuchMaster {
        /// Which.
        name: String,
    },
    /// It was wrapped by another key, or changed since.
    #[error("a data key can't be unwrapped with the master key {name:?}")]
    Unwrap {
        /// Which.
        name: String,
    },
}

/// The master keys of a server.
#[derive(Debug, Clone)]
pub struct MasterRing {
    current: String,
    keys: BTreeMap<String, MasterKey>,
    /// The names of SSE-KMS that there are; none admits every name.
    named: Option<BTreeSet<String>>,
}

impl MasterRing {
    /// A ring whose `current` key wraps new data keys of SSE-S3.
    pub fn new(current: String, key: MasterKey) -> Self {
        let keys = BTreeMap::from([(current.clone(), key)]);
        Self {
            current,
            keys,
            named: None,
        }
    }

    /// Adds a key: an earlier one, or a named one for SSE-KMS.
    #[must_use]
    pub fn with(mut self, name: String, key: MasterKey) -> Self {
        self.keys.insert(name, key);
        self
    }

    /// Which keys of SSE-KMS there are: each is derived from the current master key and its own name.
    /// Without a list every name is one.
    #[must_use]
    pub fn with_named(mut self, named: Option<BTreeSet<String>>) -> Self {
        self.named = named;
        self
    }

    /// The name of the key for new objects.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// Whether there is a key of that name.
    pub fn has(&self, name: &str) -> bool {
        self.keys.contains_key(name)
    }

    pub(super) fn current_key(&self) -> Option<&MasterKey> {
        self.keys.get(&self.current)
    }

    pub(super) fn every_key(&self) -> impl Iterator<Item = &MasterKey> {
        self.keys.values()
    }

    /// Wraps `key` with the master key of that name. `context` must be the same when it is
    /// unwrapped.
    ///
    /// # Errors
    /// [`RingError::NoSuchMaster`].
    pub fn wrap(&self, name: &str, key: &DataKey, context: &[u8]) -> Result<WrappedKey, RingError> {
        let master = self.key(name).ok_or_else(|| no_such_master(name))?;
        let cipher = cipher(&master).ok_or_else(|| unwrap_error(name))?;
        let nonce: [u8; 12] = crate::id::random();
        let mut sealed = key.as_bytes().to_vec();
        let at = Nonce::assume_unique_for_key(nonce);
        let done = cipher.seal_in_place_append_tag(at, Aad::from(context), &mut sealed);
        done.map_err(|_length| unwrap_error(name))?;
        Ok(WrappedKey {
            master: name.to_owned(),
            nonce,
            sealed,
        })
    }

    /// The data key that was wrapped. The master key's name is only a hint: after a rotation the same key
    /// may be called otherwise, and which one opens the data key proves itself.
    ///
    /// # Errors
    /// [`RingError`].
    pub fn unwrap(&self, wrapped: &WrappedKey, context: &[u8]) -> Result<DataKey, RingError> {
        let name = wrapped.master.as_str();
        let mut opened = self.candidates(name).filter_map(|master| {
            let mut bytes = Zeroizing::new(wrapped.sealed.clone());
            let at = Nonce::assume_unique_for_key(wrapped.nonce);
            let cipher = cipher(&master)?;
            let opened = cipher.open_in_place(at, Aad::from(context), bytes.as_mut_slice());
            let key = <[u8; 32]>::try_from(&*opened.ok()?).ok()?;
            Some(DataKey::from_bytes(key))
        });
        opened.next().ok_or_else(|| match self.key(name) {
            Some(_) => unwrap_error(name),
            None => no_such_master(name),
        })
    }

    /// Master keys that may have wrapped what names `name`, the likeliest first.
    fn candidates<'a>(&'a self, name: &'a str) -> impl Iterator<Item = MasterKey> + 'a {
        let likeliest = self.key(name);
        let known = likeliest.is_some() || !name.starts_with(NAMED);
        let others = self.keys.values().filter(move |_key| known);
        let others = others.filter_map(move |key| match name.strip_prefix(NAMED) {
            Some(_) => derived(key, name),
            None => Some(key.clone()),
        });
        likeliest.into_iter().chain(others)
    }

    /// The key of that name: one of the ring, or one that is derived from the ring's current key, which
    /// is then called `kms:NAME`.
    fn key(&self, name: &str) -> Option<MasterKey> {
        if let Some(key) = self.keys.get(name) {
            return Some(key.clone());
        }
        let own = name.strip_prefix(NAMED)?;
        let known = |named: &BTreeSet<String>| own == OWN_NAME || named.contains(own);
        if !self.named.as_ref().is_none_or(known) {
            return None;
        }
        derived(self.current_key()?, name)
    }
}

pub(super) fn derived(master: &MasterKey, name: &str) -> Option<MasterKey> {
    let mac = Hmac::<Sha256>::new_from_slice(master.0.as_slice()).ok()?;
    let derived = mac.chain_update(name.as_bytes()).finalize().into_bytes();
    Some(MasterKey::from_bytes(derived.into()))
}

pub(super) fn cipher(master: &MasterKey) -> Option<LessSafeKey> {
    let unbound = UnboundKey::new(&AES_256_GCM, master.0.as_slice());
    unbound.ok().map(LessSafeKey::new)
}

fn no_such_master(name: &str) -> RingError {
    RingError::NoSuchMaster {
        name: name.strip_prefix(NAMED).unwrap_or(name).to_owned(),
    }
}

fn unwrap_error(name: &str) -> RingError {
    RingError::Unwrap {
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_key_comes_back_from_its_own_master_and_context_only() {
        let old = MasterKey::from_bytes([1; 32]);
        let ring = MasterRing::new("a".into(), old.clone());
        let key = DataKey::random();
        let wrapped = ring.wrap("a", &key, b"sse-s3").unwrap();
        assert_eq!(
            ring.unwrap(&wrapped, b"sse-s3").unwrap().as_bytes(),
            key.as_bytes()
        );
        assert!(ring.unwrap(&wrapped, b"other").is_err());
        let rotated = MasterRing::new("b".into(), MasterKey::from_bytes([2; 32]));
        let missing = rotated.unwrap(&wrapped, b"sse-s3");
        assert!(matches!(missing, Err(RingError::NoSuchMaster { name }) if name == "a"));
        let both = rotated.clone().with("a".into(), old);
        assert!(both.unwrap(&wrapped, b"sse-s3").is_ok());
        let forged = rotated.with("a".into(), MasterKey::from_bytes([3; 32]));
        assert!(forged.unwrap(&wrapped, b"sse-s3").is_err());
    }

    #[test]
    fn what_an_earlier_key_wrapped_opens_whatever_the_key_is_called_now() {
        let old = MasterKey::from_bytes([1; 32]);
        let key = DataKey::random();
        let before = MasterRing::new("configured".into(), old.clone());
        let after = MasterRing::new("configured".into(), MasterKey::from_bytes([2; 32]));
        let both = after.clone().with("previous-1".into(), old);
        for name in ["configured", "kms:uploads"] {
            let wrapped = before.wrap(name, &key, b"c").unwrap();
            assert_eq!(
                both.unwrap(&wrapped, b"c").unwrap().as_bytes(),
                key.as_bytes()
            );
            let lost = after.unwrap(&wrapped, b"c");
            assert!(matches!(lost, Err(RingError::Unwrap { .. })));
            let again = both.wrap(name, &key, b"c").unwrap();
            assert!(
                after.unwrap(&again, b"c").is_ok(),
                "new ones need the new key alone"
            );
        }
        let listed = both.with_named(Some(BTreeSet::from(["other".to_owned()])));
        let unlisted = before.wrap("kms:uploads", &key, b"c").unwrap();
        assert!(matches!(
            listed.unwrap(&unlisted, b"c"),
            Err(RingError::NoSuchMaster { name }) if name == "uploads"
        ));
    }
}
