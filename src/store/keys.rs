//! Access keys: made, listed, switched off and on, given a new secret; found in memory by each request.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use tokio::sync::Mutex;

use super::meta::{self, Batch, KeyRange, MetaEngine, MetaError, Space};
use super::record::{decode, encode};
use super::{StoreError, TRIES_MAX};
use crate::auth::{AccessKey, KeyRing, Scope, Secret};
use crate::clock::{Clock, Timestamp};
use crate::id::random;
use crate::name::BucketName;

const OWNER: &[u8] = b"owner";
/// Leads the rows that hold a key, by its public half.
const KEY_ROW: u8 = b'k';
/// Leads the rows that hold a public half, by the key's name.
const NAME_ROW: u8 = b'n';

const ACCESS_KEY_CHARS: std::ops::RangeInclusive<usize> = 3..=128;
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 8..=128;
const NAME_BYTES: std::ops::RangeInclusive<usize> = 1..=128;
const ROOT_NAME: &str = "root";

/// The key that may do everything; it comes from the configuration and is never stored.
#[derive(Debug, Clone)]
pub struct RootKey {
    /// Its public half.
    pub access_key: String,
    /// Its secret half.
    pub secret: Secret,
}

/// What a new key is given.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// What its owner calls it.
    pub name: String,
    /// Its public half; made up where there is none.
    pub access_key: Option<String>,
    /// Its secret half; made up where there is none.
    pub secret_key: Option<Secret>,
    /// It changes nothing.
    pub read_only: bool,
    /// It sees this bucket only.
    pub bucket: Option<String>,
    /// It sees only keys that begin so.
    pub prefix: Option<String>,
}

/// A key with its secret, which is shown this once.
#[derive(Debug, Clone)]
pub struct IssuedKey {
    /// The key.
    pub key: KeyInfo,
    /// Its secret half.
    pub secret: Secret,
}

/// A key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its public half.
    pub access_key: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// It was switched off.
    pub disabled: bool,
    /// To what it is limited.
    pub scope: Scope,
}

/// Why a key can't be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key has that name or public half.
    #[error("there is a key {what} already")]
    KeyExists {
        /// The name or public half.
        what: String,
    },
    /// What was asked for is no key.
    #[error("{reason}")]
    InvalidKey {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No stored key has that name or public half.
    #[error("there is no key {what}")]
    NoSuchAccessKey {
        /// What was looked for.
        what: String,
    },
    /// The root key is set by the configuration.
    #[error("the root key is set by the configuration, not here")]
    RootKey,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<MetaError> for KeyError {
    fn from(error: MetaError) -> Self {
        Self::Store(error.into())
    }
}

#[derive(Clone, minicbor::Encode, minicbor::Decode)]
struct KeyRecord {
    #[n(0)]
    access_key: String,
    #[n(1)]
    name: String,
    #[n(2)]
    secret: String,
    #[n(3)]
    created: Timestamp,
    #[n(4)]
    disabled: bool,
    #[n(5)]
    read_only: bool,
    #[n(6)]
    bucket: Option<String>,
    #[n(7)]
    prefix: Option<String>,
}

impl KeyRecord {
    fn scope(&self) -> Scope {
        Scope {
            read_only: self.read_only,
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
        }
    }

    fn info(&self) -> KeyInfo {
        KeyInfo {
            access_key: self.access_key.clone(),
            name: self.name.clone(),
            created: self.created,
            disabled: self.disabled,
            scope: self.scope(),
        }
    }

    fn ring_entry(&self, owner: &str) -> Arc<AccessKey> {
        Arc::new(AccessKey {
            access_key: self.access_key.clone(),
            name: self.name.clone(),
            secret: Secret::new(self.secret.as_str()),
            disabled: self.disabled,
            scope: self.scope(),
            root: false,
            owner: owner.to_owned(),
        })
    }
}

/// The store's access keys and the root key.
pub struct Keys {
    meta: Arc<dyn MetaEngine>,
    clock: Arc<dyn Clock>,
    owner: String,
    root: String,
    ring: ArcSwap<HashMap<String, Arc<AccessKey>>>,
    // Keeps the ring's changes in the order of their batches; what may change is judged by the batch.
    changing: Mutex<()>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl KeyRing for Keys {
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        self.ring.load().get(access_key).cloned()
    }
}

impl Keys {
    /// Reads the stored keys and adds the root key to them.
    ///
    /// # Errors
    /// What the engine fails with.
    pub async fn open(
        meta: Arc<dyn MetaEngine>,
        clock: Arc<dyn Clock>,
        root: RootKey,
    ) -> Result<Arc<Self>, StoreError> {
        let owner = owner(meta.as_ref()).await?;
        let mut ring = HashMap::new();
        let range = KeyRange::prefix([KEY_ROW].to_vec());
        for row in meta::scan(meta.as_ref(), Space::Keys, range, usize::MAX).await? {
            let record: KeyRecord = decode(&row.value, "an access key")?;
            ring.insert(record.access_key.clone(), record.ring_entry(&owner));
        }
        let RootKey { access_key, secret } = root;
        let entry = AccessKey {
            access_key: access_key.clone(),
            name: ROOT_NAME.to_owned(),
            secret,
            disabled: false,
            scope: Scope::default(),
            root: true,
            owner: owner.clone(),
        };
        ring.insert(access_key.clone(), Arc::new(entry));
        Ok(Arc::new(Self {
            meta,
            clock,
            owner,
            root: access_key,
            ring: ArcSwap::from_pointee(ring),
            changing: Mutex::new(()),
        }))
    }

    /// The canonical id of whom everything here belongs to: 64 hexadecimal digits.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`KeyError::InvalidKey`], or [`KeyError::KeyExists`] where its name or public half is taken.
    pub async fn add(&self, new: NewKey) -> Result<IssuedKey, KeyError> {
        validate(&new)?;
        let secret = new.secret_key.unwrap_or_else(new_secret);
        let record = KeyRecord {
            access_key: new.access_key.unwrap_or_else(new_access_key),
            name: new.name,
            secret: secret.expose().to_owned(),
            created: self.clock.now(),
            disabled: false,
            read_only: new.read_only,
            bucket: new.bucket,
            prefix: new.prefix,
        };
        let _order = self.changing.lock().await;
        for what in [&record.access_key, &record.name] {
            // A name that is another key's public half would make two keys answer to one word.
            if *what == self.root || what == ROOT_NAME || self.stored(what).await?.is_some() {
                return Err(KeyError::KeyExists { what: what.clone() });
            }
        }
        let mut batch = Batch::new();
        for what in [&record.access_key, &record.name] {
            batch.assert_absent(Space::Keys, row(KEY_ROW, what));
            batch.assert_absent(Space::Keys, row(NAME_ROW, what));
        }
        let value = encode(&record)?;
        batch.put(Space::Keys, row(KEY_ROW, &record.access_key), value);
        let access_key = Bytes::copy_from_slice(record.access_key.as_bytes());
        batch.put(Space::Keys, row(NAME_ROW, &record.name), access_key);
        match self.meta.commit(batch).await {
            Ok(()) => {}
            Err(MetaError::Conflict) => return Err(KeyError::KeyExists { what: record.name }),
            Err(error) => return Err(error.into()),
        }
        self.show(&record);
        Ok(IssuedKey {
            key: record.info(),
            secret,
        })
    }

    /// The stored keys by name, without their secrets.
    ///
    /// # Errors
    /// What the engine fails with.
    pub async fn list(&self) -> Result<Vec<KeyInfo>, KeyError> {
        let range = KeyRange::prefix([KEY_ROW].to_vec());
        let rows = meta::scan(self.meta.as_ref(), Space::Keys, range, usize::MAX).await?;
        let mut keys = Vec::new();
        for row in rows {
            keys.push(decode::<KeyRecord>(&row.value, "an access key")?.info());
        }
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(keys)
    }

    /// Switches the key of that name or public half off: from now on it signs nothing.
    ///
    /// # Errors
    /// [`KeyError::NoSuchAccessKey`].
    pub async fn disable(&self, which: &str) -> Result<KeyInfo, KeyError> {
        let record = self.change(which, |record| record.disabled = true).await?;
        Ok(record.info())
    }

    /// Switches the key of that name or public half on again.
    ///
    /// # Errors
    /// [`KeyError::NoSuchAccessKey`].
    pub async fn enable(&self, which: &str) -> Result<KeyInfo, KeyError> {
        let record = self.change(which, |record| record.disabled = false).await?;
        Ok(record.info())
    }

    /// Gives the key of that name or public half a new secret; the old one signs nothing any more.
    ///
    /// # Errors
    /// [`KeyError::NoSuchAccessKey`].
    pub async fn rotate(&self, which: &str) -> Result<IssuedKey, KeyError> {
        let secret = new_secret();
        let text = secret.expose().to_owned();
        let record = self
            .change(which, |record| record.secret.clone_from(&text))
            .await?;
        Ok(IssuedKey {
            key: record.info(),
            secret,
        })
    }

    async fn change(
        &self,
        which: &str,
        change: impl Fn(&mut KeyRecord),
    ) -> Result<KeyRecord, KeyError> {
        if which == self.root || which == ROOT_NAME {
            return Err(KeyError::RootKey);
        }
        let _order = self.changing.lock().await;
        for _try in 0..TRIES_MAX {
            let found = self.stored(which).await?;
            let what = || which.to_owned();
            let (raw, mut record) =
                found.ok_or_else(|| KeyError::NoSuchAccessKey { what: what() })?;
            change(&mut record);
            let at = row(KEY_ROW, &record.access_key);
            let mut batch = Batch::new();
            batch.assert_unchanged(Space::Keys, at.clone(), Some(raw));
            batch.put(Space::Keys, at, encode(&record)?);
            match self.meta.commit(batch).await {
                Ok(()) => {
                    self.show(&record);
                    return Ok(record);
                }
                Err(MetaError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The key of that public half or name, with the bytes that were read.
    async fn stored(&self, which: &str) -> Result<Option<(Bytes, KeyRecord)>, KeyError> {
        let mut raw = self.meta.get(Space::Keys, &row(KEY_ROW, which)).await?;
        if raw.is_none()
            && let Some(access_key) = self.meta.get(Space::Keys, &row(NAME_ROW, which)).await?
        {
            let at = [&[KEY_ROW], access_key.as_ref()].concat();
            raw = self.meta.get(Space::Keys, &at).await?;
        }
        let Some(raw) = raw else { return Ok(None) };
        let record = decode(&raw, "an access key")?;
        Ok(Some((raw, record)))
    }

    fn show(&self, record: &KeyRecord) {
        if record.access_key == self.root {
            return;
        }
        let entry = record.ring_entry(&self.owner);
        self.ring.rcu(|ring| {
            let mut ring = HashMap::clone(ring);
            ring.insert(entry.access_key.clone(), Arc::clone(&entry));
            ring
        });
    }
}

fn row(kind: u8, what: &str) -> Vec<u8> {
    [&[kind], what.as_bytes()].concat()
}

/// The store's owner, made up at the first start and the same ever after.
async fn owner(meta: &dyn MetaEngine) -> Result<String, StoreError> {
    for _try in 0..TRIES_MAX {
        if let Some(raw) = meta.get(Space::System, OWNER).await? {
            return decode(&raw, "the owner's id");
        }
        let made = hex::encode(random::<32>());
        let mut batch = Batch::new();
        batch.assert_absent(Space::System, OWNER);
        batch.put(Space::System, OWNER, encode(&made)?);
        match meta.commit(batch).await {
            Ok(()) => return Ok(made),
            Err(MetaError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict)
}

fn validate(new: &NewKey) -> Result<(), KeyError> {
    let refuse = |reason| Err(KeyError::InvalidKey { reason });
    let named = NAME_BYTES.contains(&new.name.len()) && !new.name.contains(char::is_control);
    if !named {
        return refuse("a key's name has 1 to 128 bytes and no control characters");
    }
    // A slash would end it within a credential scope.
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"_.-".contains(&c);
    if let Some(text) = &new.access_key
        && !(ACCESS_KEY_CHARS.contains(&text.len()) && text.bytes().all(plain))
    {
        return refuse("an access key has 3 to 128 letters, digits, dots, dashes or underscores");
    }
    if let Some(text) = new.secret_key.as_ref().map(Secret::expose)
        && !(SECRET_CHARS.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic()))
    {
        return refuse("a secret key has 8 to 128 visible ASCII characters");
    }
    if new
        .bucket
        .as_deref()
        .is_some_and(|name| BucketName::parse(name).is_err())
    {
        return refuse("the key's bucket is not a bucket's name");
    }
    if new.prefix.as_deref() == Some("") {
        return refuse("an empty prefix limits nothing: leave it out");
    }
    Ok(())
}

/// `CK` and 90 random bits in Base32.
fn new_access_key() -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digit = |byte: u8| DIGITS.get(usize::from(byte % 32)).copied().unwrap_or(b'A');
    let digits = random::<18>()
        .into_iter()
        .map(|byte| char::from(digit(byte)));
    "CK".chars().chain(digits).collect()
}

/// 240 random bits in Base64.
fn new_secret() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(random::<30>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::store::meta::memory::MemoryEngine;

    async fn open(meta: &Arc<MemoryEngine>) -> Arc<Keys> {
        let root = RootKey {
            access_key: "ROOTKEY".into(),
            secret: Secret::new("hush-hush"),
        };
        let meta: Arc<dyn MetaEngine> = Arc::<MemoryEngine>::clone(meta);
        Keys::open(meta, Arc::new(SystemClock), root).await.unwrap()
    }

    fn named(name: &str) -> NewKey {
        NewKey {
            name: name.into(),
            ..NewKey::default()
        }
    }

    #[tokio::test]
    async fn a_key_outlives_a_restart_and_so_does_the_owner() {
        let meta = Arc::new(MemoryEngine::new());
        let keys = open(&meta).await;
        let new = NewKey {
            read_only: true,
            bucket: Some("photos".into()),
            ..named("web")
        };
        let made = keys.add(new).await.unwrap();
        assert_eq!(
            (made.key.access_key.len(), made.secret.expose().len()),
            (20, 40)
        );
        let again = open(&meta).await;
        assert_eq!((again.owner(), again.owner().len()), (keys.owner(), 64));
        for ring in [keys, again] {
            let found = ring.find(&made.key.access_key).unwrap();
            assert_eq!(found.secret.expose(), made.secret.expose());
            assert_eq!((found.scope.read_only, found.root), (true, false));
            assert!(ring.find("ROOTKEY").unwrap().root);
            assert_eq!(ring.list().await.unwrap(), std::slice::from_ref(&made.key));
        }
    }

    #[tokio::test]
    async fn a_key_is_switched_off_and_on_and_given_a_new_secret() {
        let keys = open(&Arc::new(MemoryEngine::new())).await;
        let made = keys.add(named("web")).await.unwrap();
        let access_key = &made.key.access_key;
        keys.disable("web").await.unwrap();
        assert!(keys.find(access_key).unwrap().disabled);
        keys.enable(access_key).await.unwrap();
        assert!(!keys.find(access_key).unwrap().disabled);
        let rotated = keys.rotate("web").await.unwrap();
        assert_ne!(rotated.secret.expose(), made.secret.expose());
        let found = keys.find(access_key).unwrap();
        assert_eq!(found.secret.expose(), rotated.secret.expose());
        let missing = keys.disable("nobody").await;
        assert!(matches!(missing, Err(KeyError::NoSuchAccessKey { .. })));
        assert!(matches!(
            keys.disable("ROOTKEY").await,
            Err(KeyError::RootKey)
        ));
    }

    #[tokio::test]
    async fn a_taken_word_or_an_unfit_one_makes_no_key() {
        let keys = open(&Arc::new(MemoryEngine::new())).await;
        let own = NewKey {
            access_key: Some("MINE".into()),
            ..named("web")
        };
        keys.add(own.clone()).await.unwrap();
        for (access_key, name) in [
            ("MINE", "other"),
            ("OTHER", "web"),
            ("web", "other"),
            ("OTHER", "MINE"),
            ("ROOTKEY", "other"),
            ("OTHER", "root"),
        ] {
            let new = NewKey {
                access_key: Some(access_key.into()),
                ..named(name)
            };
            let refused = keys.add(new).await;
            assert!(
                matches!(refused, Err(KeyError::KeyExists { .. })),
                "{access_key} {name}"
            );
        }
        let slash = NewKey {
            access_key: Some("a/b/c".into()),
            ..named("x")
        };
        let short = NewKey {
            secret_key: Some(Secret::new("short")),
            ..named("x")
        };
        let bucket = NewKey {
            bucket: Some("NO".into()),
            ..named("x")
        };
        for new in [named(""), slash, short, bucket] {
            assert!(matches!(
                keys.add(new).await,
                Err(KeyError::InvalidKey { .. })
            ));
        }
        assert_eq!(keys.list().await.unwrap().len(), 1);
    }
}
