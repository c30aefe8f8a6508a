//! Access keys: made, listed, switched off and on, given a new secret, removed.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Asked};
use crate::auth::Secret;
use crate::s3::AdminError;
use crate::store::keys::{IssuedKey, KeyError, KeyInfo, NewKey};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    name: String,
    account: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
    #[serde(default)]
    read_only: bool,
    bucket: Option<String>,
    prefix: Option<String>,
    policy: Option<String>,
}

/// One key, by its public half or its name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    key: String,
}

impl Admin {
    pub(super) async fn answer_keys(&self, asked: &Asked<'_>) -> Result<Value, AdminError> {
        let keys = &self.keys;
        let which = || asked.json::<Which>().map(|which| which.key);
        match (asked.method, asked.path) {
            (&Method::GET, "keys") => self.list_keys().await,
            (&Method::POST, "keys") => {
                let add: Add = asked.json()?;
                Ok(self.issued(&keys.add(add.into()).await?))
            }
            (&Method::POST, "keys/disable") => Ok(self.shown(&keys.disable(&which()?).await?)),
            (&Method::POST, "keys/enable") => Ok(self.shown(&keys.enable(&which()?).await?)),
            (&Method::POST, "keys/rotate") => Ok(self.issued(&keys.rotate(&which()?).await?)),
            (&Method::POST, "keys/remove") => Ok(self.shown(&keys.remove(&which()?).await?)),
            _ => Err(asked.unknown()),
        }
    }

    async fn list_keys(&self) -> Result<Value, AdminError> {
        let account = self.accounts.root();
        let root = json!({
            "access_key": self.keys.root(),
            "name": "root",
            "account": account.name,
            "canonical_id": account.id,
            "arn": account.arn(),
            "root": true,
            "disabled": false,
        });
        let stored = self.keys.list().await?;
        let keys: Vec<_> = std::iter::once(root)
            .chain(stored.iter().map(|key| self.shown(key)))
            .collect();
        Ok(json!({ "keys": keys }))
    }

    /// A key without its secret.
    fn shown(&self, key: &KeyInfo) -> Value {
        let account = self.accounts.by_id(&key.owner);
        json!({
            "access_key": key.access_key,
            "name": key.name,
            "account": account.as_ref().map(|account| &account.name),
            "canonical_id": key.owner,
            "arn": account.as_ref().map(|account| account.user_arn(&key.name)),
            "created": key.created.iso8601_ms(),
            "root": false,
            "disabled": key.disabled,
            "read_only": key.scope.read_only,
            "bucket": key.scope.bucket,
            "prefix": key.scope.prefix,
            "policy": key.policy,
        })
    }

    /// A key with its secret, this once.
    fn issued(&self, issued: &IssuedKey) -> Value {
        let mut value = self.shown(&issued.key);
        if let Some(fields) = value.as_object_mut() {
            let secret = issued.secret.expose().into();
            fields.insert("secret_key".to_owned(), secret);
        }
        value
    }
}

impl From<Add> for NewKey {
    fn from(add: Add) -> Self {
        Self {
            name: add.name,
            account: add.account,
            access_key: add.access_key,
            secret_key: add.secret_key.map(Secret::new),
            read_only: add.read_only,
            bucket: add.bucket,
            prefix: add.prefix,
            policy: add.policy,
        }
    }
}

impl From<KeyError> for AdminError {
    fn from(error: KeyError) -> Self {
        let text = error.to_string();
        match error {
            KeyError::NoSuchAccessKey { .. } | KeyError::NoSuchAccount { .. } => {
                Self::NotFound(text)
            }
            KeyError::KeyExists { .. }
            | KeyError::InvalidKey { .. }
            | KeyError::InvalidPolicy(_)
            | KeyError::RootKey => Self::Invalid(text),
            KeyError::Store(_) => Self::Failed(text),
        }
    }
}
