//! Access keys: made, listed, switched off and on, given a new secret, removed; found in memory by
//! each request.

mod custody;
mod record;
mod ring;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::accounts::Accounts;
use super::garbage::to_its_end;
use super::meta::{self, Batch, KeyRange, MetaEngine, MetaError, Space};
use super::record::{decode, encode};
use super::seal::MasterRing;
use super::{StoreError, TRIES_MAX};
use crate::auth::policy::PolicyFault;
use crate::auth::session::SessionKey;
use crate::auth::{AccessKey, KeyRing, Scope, Secret};
use crate::clock::Clock;

pub use record::{IssuedKey, KeyInfo, NewKey};

use record::{KEY_ROW, KeyRecord, NAME_ROW, new_access_key, new_secret, row, validate};
use ring::Ring;

const ROOT_NAME: &str = "root";

/// The key that may do everything; it comes from the configuration and is never stored.
#[derive(Debug, Clone)]
pub struct RootKey {
    /// Its public half.
    pub access_key: String,
    /// Its secret half.
    pub secret: Secret,
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
    /// Its policy is no identity's policy.
    #[error("the policy is not valid: {0}")]
    InvalidPolicy(#[from] PolicyFault),
    /// No account answers to that word.
    #[error("there is no account {what}")]
    NoSuchAccount {
        /// What was looked for.
        what: String,
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

/// What becomes of a key.
enum Fate {
    Changed(Box<KeyRecord>),
    Removed,
}

/// The store's access keys and the root key.
pub struct Keys {
    meta: Arc<dyn MetaEngine>,
    clock: Arc<dyn Clock>,
    accounts: Arc<Accounts>,
    /// They seal the secrets that are stored.
    masters: MasterRing,
    root: String,
    ring: Ring,
    session_key: SessionKey,
    // Keeps the ring's changes in the order of their batches; what may change is judged by the batch.
    changing: Mutex<()>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl KeyRing for Keys {
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        self.ring.find(access_key)
    }

    fn named(&self, name: &str) -> Option<Arc<AccessKey>> {
        self.ring.named(name)
    }

    fn all(&self) -> Vec<Arc<AccessKey>> {
        self.ring.all()
    }

    fn session_key(&self) -> Option<&SessionKey> {
        Some(&self.session_key)
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
        accounts: Arc<Accounts>,
        root: RootKey,
        masters: MasterRing,
    ) -> Result<Arc<Self>, StoreError> {
        let session_key = custody::take(&*meta, &masters).await?;
        let owner = accounts.root().id.clone();
        let mut keys = Vec::new();
        let range = KeyRange::prefix([KEY_ROW].to_vec());
        for row in meta::scan(meta.as_ref(), Space::Keys, range, usize::MAX).await? {
            let record: KeyRecord = decode(&row.value, "an access key")?;
            keys.push(record.ring_entry(&owner, &masters));
        }
        let RootKey { access_key, secret } = root;
        // Last: a stored key of the same public half must not take its place.
        keys.push(Arc::new(AccessKey {
            access_key: access_key.clone(),
            name: ROOT_NAME.to_owned(),
            secret,
            disabled: false,
            scope: Scope::default(),
            root: true,
            owner,
            policy: None,
            temporary: None,
        }));
        Ok(Arc::new(Self {
            session_key,
            meta,
            clock,
            accounts,
            masters,
            root: access_key,
            ring: Ring::new(keys),
            changing: Mutex::new(()),
        }))
    }

    /// Whom keys belong to that name no account.
    fn owner(&self) -> &str {
        &self.accounts.root().id
    }

    /// The public half of the root key.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`KeyError::InvalidKey`], [`KeyError::InvalidPolicy`], [`KeyError::NoSuchAccount`], or [`KeyError::KeyExists`] where its
    /// name or public half is taken.
    pub async fn add(self: &Arc<Self>, new: NewKey) -> Result<IssuedKey, KeyError> {
        validate(&new)?;
        let keys = Arc::clone(self);
        to_its_end(async move { keys.add_now(new).await }).await
    }

    async fn add_now(&self, new: NewKey) -> Result<IssuedKey, KeyError> {
        let secret = new.secret_key.unwrap_or_else(new_secret);
        let owner = match new.account {
            None => None,
            Some(what) => match self.accounts.find(&what) {
                Some(account) => Some(account.id.clone()),
                None => return Err(KeyError::NoSuchAccount { what }),
            },
        };
        let mut record = KeyRecord {
            access_key: new.access_key.unwrap_or_else(new_access_key),
            name: new.name,
            plain: None,
            sealed: None,
            created: self.clock.now(),
            disabled: false,
            read_only: new.read_only,
            bucket: new.bucket,
            prefix: new.prefix,
            owner,
            policy: new.policy,
        };
        record.keep(&secret, &self.masters)?;
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
            key: record.info(self.owner()),
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
            keys.push(decode::<KeyRecord>(&row.value, "an access key")?.info(self.owner()));
        }
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(keys)
    }

    /// Switches the key of that name or public half off: from now on it signs nothing.
    ///
    /// # Errors
    /// [`KeyError::NoSuchAccessKey`].
    pub async fn disable(self: &Arc<Self>, which: &str) -> Result<KeyInfo, KeyError> {
        self.change(which, |mut record| {
            record.disabled = true;
            Ok(Fate::Changed(record))
        })
        .await
    }

    /// Switches the key of that name or public half on again.
    ///
    /// # Errors
    /// [`KeyError::NoSuchAccessKey`].
    pub async fn enable(self: &Arc<Self>, which: &str) -> Result<KeyInfo, KeyError> {
        self.change(which, |mut record| {
            record.disabled = false;
            Ok(Fate::Changed(record))
        })
        .await
    }

    /// Gives the key of that name or public half a new secret; the old one signs nothing any more.
    ///
    /// # Errors
    /// [`KeyError::NoSuchAccessKey`].
    pub async fn rotate(self: &Arc<Self>, which: &str) -> Result<IssuedKey, KeyError> {
        let secret = new_secret();
        let (new, masters) = (secret.clone(), self.masters.clone());
        let change = move |mut record: Box<KeyRecord>| {
            record.keep(&new, &masters)?;
            Ok(Fate::Changed(record))
        };
        let key = self.change(which, change).await?;
        Ok(IssuedKey { key, secret })
    }

    /// Forgets the key of that name or public half.
    ///
    /// # Errors
    /// [`KeyError::NoSuchAccessKey`].
    pub async fn remove(self: &Arc<Self>, which: &str) -> Result<KeyInfo, KeyError> {
        self.change(which, |_record| Ok(Fate::Removed)).await
    }

    /// Changes a key, though its caller may go away meanwhile: what was committed the ring shows.
    async fn change(
        self: &Arc<Self>,
        which: &str,
        change: impl Fn(Box<KeyRecord>) -> Result<Fate, StoreError> + Send + 'static,
    ) -> Result<KeyInfo, KeyError> {
        if which == self.root || which == ROOT_NAME {
            return Err(KeyError::RootKey);
        }
        let (keys, which) = (Arc::clone(self), which.to_owned());
        to_its_end(async move { keys.change_now(which, change).await }).await
    }

    async fn change_now(
        &self,
        which: String,
        change: impl Fn(Box<KeyRecord>) -> Result<Fate, StoreError> + Send,
    ) -> Result<KeyInfo, KeyError> {
        let _order = self.changing.lock().await;
        for _try in 0..TRIES_MAX {
            let Some((raw, record)) = self.stored(&which).await? else {
                return Err(KeyError::NoSuchAccessKey { what: which });
            };
            let at = row(KEY_ROW, &record.access_key);
            let mut batch = Batch::new();
            batch.assert_unchanged(Space::Keys, at.clone(), Some(raw));
            let fate = change(Box::new(record.clone()))?;
            match &fate {
                Fate::Changed(record) => batch.put(Space::Keys, at, encode(record.as_ref())?),
                Fate::Removed => batch
                    .delete(Space::Keys, at)
                    .delete(Space::Keys, row(NAME_ROW, &record.name)),
            };
            match self.meta.commit(batch).await {
                Ok(()) => return Ok(self.settle(&record, fate)),
                Err(MetaError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    fn settle(&self, old: &KeyRecord, fate: Fate) -> KeyInfo {
        match fate {
            Fate::Changed(record) => {
                self.show(&record);
                record.info(self.owner())
            }
            Fate::Removed => {
                if old.access_key != self.root {
                    self.ring.hide(&old.access_key);
                }
                old.info(self.owner())
            }
        }
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
        if record.access_key != self.root {
            self.ring
                .show(&record.ring_entry(self.owner(), &self.masters));
        }
    }
}
