//! The root key that a data folder makes for itself at the first start.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::RootKey;
use crate::id::random;

/// Where a data folder keeps its own root key.
const FILE: &str = "root-key.json";

/// Why the root key can't be had.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The system refused.
    #[error("can't use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no key.
    #[error("{} holds no key; delete it to have a new one made at the next start", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    access_key: String,
    secret_key: String,
}

/// The folder's own root key; none before its first start.
///
/// # Errors
/// [`RootKeyError`].
pub fn load(data_dir: &Path) -> Result<Option<RootKey>, RootKeyError> {
    let path = data_dir.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RootKeyError::Io { path, source }),
    };
    match serde_json::from_slice(&bytes) {
        Ok(Stored {
            access_key,
            secret_key,
        }) => Ok(Some(RootKey {
            access_key,
            secret_key,
        })),
        Err(_) => Err(RootKeyError::Invalid { path }),
    }
}

/// The folder's own root key, made if there is none; and whether it was made now.
///
/// # Errors
/// [`RootKeyError`].
pub(super) fn load_or_make(data_dir: &Path) -> Result<(RootKey, bool), RootKeyError> {
    if let Some(key) = load(data_dir)? {
        return Ok((key, false));
    }
    let key = RootKey {
        access_key: new_access_key(),
        secret_key: new_secret_key(),
    };
    let path = data_dir.join(FILE);
    store(&path, &key).map_err(|source| RootKeyError::Io { path, source })?;
    Ok((key, true))
}

fn store(path: &Path, key: &RootKey) -> std::io::Result<()> {
    let stored = Stored {
        access_key: key.access_key.clone(),
        secret_key: key.secret_key.clone(),
    };
    keep(path, &serde_json::to_vec_pretty(&stored)?)
}

/// Keeps a secret at `path`, for its owner only. It is there whole or not at all, and never takes
/// the place of another. Its name is durable once the start has synced the data folder.
pub(super) fn keep(path: &Path, secret: &[u8]) -> std::io::Result<()> {
    let mut staged = path.as_os_str().to_owned();
    staged.push(".new");
    let staged = PathBuf::from(staged);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&staged)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(secret)?;
    file.sync_all()?;
    // A link, not a rename: it never replaces a key that is already there.
    std::fs::hard_link(&staged, path)?;
    std::fs::remove_file(&staged)
}

/// A fresh access key id in AWS's form: `AKIA` and 16 of `A` to `Z` and `2` to `7`.
pub(super) fn new_access_key() -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letter = |byte: u8| {
        ALPHABET
            .get(usize::from(byte % 32))
            .map_or('A', |b| char::from(*b))
    };
    "AKIA"
        .chars()
        .chain(random::<16>().into_iter().map(letter))
        .collect()
}

/// A fresh secret of 40 characters, 240 bits.
pub(super) fn new_secret_key() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random::<30>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap(), None);
        let (key, new) = load_or_make(folder.path()).unwrap();
        assert!(new && key.access_key.len() == 20 && key.secret_key.len() == 40);
        assert_eq!(load_or_make(folder.path()).unwrap(), (key, false));
        let mode = std::fs::metadata(folder.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
