//! What is stored of an access key, and what a new one may be.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::KeyError;
use crate::auth::policy::OwnPolicy;
use crate::auth::{AccessKey, Scope, Secret};
use crate::clock::Timestamp;
use crate::id::random;
use crate::name::BucketName;
use crate::store::StoreError;
use crate::store::seal::{MasterRing, SealedSecret, SecretLost};

/// Leads the rows that hold a key, by its public half.
pub(super) const KEY_ROW: u8 = b'k';
/// Leads the rows that hold a public half, by the key's name.
pub(super) const NAME_ROW: u8 = b'n';

const ACCESS_KEY_CHARS: std::ops::RangeInclusive<usize> = 3..=128;
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 8..=128;
const NAME_BYTES: std::ops::RangeInclusive<usize> = 1..=128;

/// Blanks do not count for IAM's limit, which the reader knows; but they are kept.
const POLICY_BYTES_MAX: usize = 32 * 1024;

/// What a new key is given.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// What its owner calls it.
    pub name: String,
    /// Its public half; made up where there is none.
    pub access_key: Option<String>,
    /// Its secret half; made up where there is none.
    pub secret_key: Option<Secret>,
    /// Whom it acts for: an account's id, number, email address or name; none: the server's owner.
    pub account: Option<String>,
    /// It changes nothing.
    pub read_only: bool,
    /// It sees this bucket only.
    pub bucket: Option<String>,
    /// It sees only keys that begin so.
    pub prefix: Option<String>,
    /// What it may do, in IAM's policy language; none: all that its account may.
    pub policy: Option<String>,
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
    /// The canonical id of the account that it acts for.
    pub owner: String,
    /// When it was made.
    pub created: Timestamp,
    /// It was switched off.
    pub disabled: bool,
    /// To what it is limited.
    pub scope: Scope,
    /// What it may do, in IAM's policy language.
    pub policy: Option<String>,
}

/// A key's row.
#[derive(Clone, minicbor::Encode, minicbor::Decode)]
pub(super) struct KeyRecord {
    #[n(0)]
    pub(super) access_key: String,
    #[n(1)]
    pub(super) name: String,
    /// Its secret as it once was stored.
    #[n(2)]
    pub(super) plain: Option<String>,
    #[n(3)]
    pub(super) created: Timestamp,
    #[n(4)]
    pub(super) disabled: bool,
    #[n(5)]
    pub(super) read_only: bool,
    #[n(6)]
    pub(super) bucket: Option<String>,
    #[n(7)]
    pub(super) prefix: Option<String>,
    /// The canonical id of its account; none in keys of the server's owner.
    #[n(8)]
    pub(super) owner: Option<String>,
    /// Its own policy, as it was given.
    #[n(9)]
    pub(super) policy: Option<String>,
    /// Its secret.
    #[n(10)]
    pub(super) sealed: Option<SealedSecret>,
}

impl KeyRecord {
    /// Its secret.
    pub(super) fn secret(&self, masters: &MasterRing) -> Result<Secret, SecretLost> {
        match (&self.sealed, &self.plain) {
            (Some(sealed), _) => {
                let opened = masters.open(sealed, &self.context())?;
                let text = std::str::from_utf8(&opened).map_err(|_not_ours| SecretLost)?;
                Ok(Secret::new(text))
            }
            (None, Some(plain)) => Ok(Secret::new(plain.as_str())),
            (None, None) => Err(SecretLost),
        }
    }

    /// Takes `secret` into the record, sealed.
    pub(super) fn keep(&mut self, secret: &Secret, masters: &MasterRing) -> Result<(), StoreError> {
        let sealed = masters.seal(secret.expose().as_bytes(), &self.context());
        self.sealed = Some(sealed.map_err(StoreError::seal)?);
        self.plain = None;
        Ok(())
    }

    /// A secret opens in the row of its own key only.
    fn context(&self) -> Vec<u8> {
        [b"access-key:", self.access_key.as_bytes()].concat()
    }

    /// A key without a secret.
    #[cfg(test)]
    pub(super) fn for_test(access_key: &str) -> Self {
        Self {
            access_key: access_key.to_owned(),
            name: access_key.to_lowercase(),
            plain: None,
            created: Timestamp::from_unix_s(0),
            disabled: false,
            read_only: false,
            bucket: None,
            prefix: None,
            owner: None,
            policy: None,
            sealed: None,
        }
    }

    fn scope(&self) -> Scope {
        Scope {
            read_only: self.read_only,
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
        }
    }

    pub(super) fn info(&self, root: &str) -> KeyInfo {
        KeyInfo {
            access_key: self.access_key.clone(),
            name: self.name.clone(),
            owner: self.owner.as_deref().unwrap_or(root).to_owned(),
            created: self.created,
            disabled: self.disabled,
            scope: self.scope(),
            policy: self.policy.clone(),
        }
    }

    pub(super) fn ring_entry(&self, root: &str, masters: &MasterRing) -> Arc<AccessKey> {
        let secret = self.secret(masters);
        if let Err(fault) = &secret {
            tracing::error!(key = self.name, %fault, "a key's secret can't be read: it is refused");
        }
        let policy = self.policy.as_deref().map(OwnPolicy::parse).transpose();
        if let Err(fault) = &policy {
            tracing::error!(key = self.name, %fault, "a key's policy can't be read: it is refused");
        }
        Arc::new(AccessKey {
            access_key: self.access_key.clone(),
            name: self.name.clone(),
            // A policy that can't be read must not become no policy, which would allow all.
            disabled: self.disabled || policy.is_err() || secret.is_err(),
            // What nobody knows signs nothing, even if somebody switches it on.
            secret: secret.unwrap_or_else(|_lost| new_secret()),
            scope: self.scope(),
            root: false,
            owner: self.owner.as_deref().unwrap_or(root).to_owned(),
            policy: policy.ok().flatten().map(Arc::new),
            temporary: None,
        })
    }
}

pub(super) fn row(kind: u8, what: &str) -> Vec<u8> {
    [&[kind], what.as_bytes()].concat()
}

pub(super) fn validate(new: &NewKey) -> Result<(), KeyError> {
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
    if let Some(policy) = &new.policy {
        if policy.len() > POLICY_BYTES_MAX {
            return refuse("a key's policy has at most 32 KiB, blanks included");
        }
        OwnPolicy::parse(policy)?;
    }
    Ok(())
}

/// `CK` and 90 random bits in Base32.
pub(super) fn new_access_key() -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digit = |byte: u8| DIGITS.get(usize::from(byte % 32)).copied().unwrap_or(b'A');
    let digits = random::<18>()
        .into_iter()
        .map(|byte| char::from(digit(byte)));
    "CK".chars().chain(digits).collect()
}

/// 240 random bits in Base64.
pub(super) fn new_secret() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(random::<30>()))
}
