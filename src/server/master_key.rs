//! The master keys that wrap objects' data keys: from the configuration, or made by the data folder
//! for itself.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::root_key::{self, RootKeyError};
use crate::config::EncryptionSettings;
use crate::store::seal::{MasterKey, MasterRing};

/// Where a data folder keeps its own master keys.
const FILE: &str = "master-key.json";

/// The keys by name, in base64. `current` seals what is new; the others only open: to rotate, add a
/// key and name it.
#[derive(Serialize, Deserialize)]
struct Stored {
    current: String,
    keys: std::collections::BTreeMap<String, String>,
}

/// The folder's master keys, or the one that the configuration gives.
///
/// # Errors
/// [`RootKeyError`], where the file can't be read or made.
pub(super) fn load_or_make(
    data_dir: &Path,
    settings: &EncryptionSettings,
) -> Result<MasterRing, RootKeyError> {
    let path = data_dir.join(FILE);
    if settings.master_key.is_none() && !path.exists() {
        make(&path).map_err(|source| RootKeyError::Io { path, source })?;
    }
    load(data_dir, settings)
}

/// The folder's master keys, which are there already, or the one that the configuration gives.
///
/// # Errors
/// As [`load_or_make`].
pub(super) fn load(
    data_dir: &Path,
    settings: &EncryptionSettings,
) -> Result<MasterRing, RootKeyError> {
    let named = settings.kms_keys.as_ref();
    let named = named.map(|names| names.iter().cloned().collect());
    let previous = settings.previous_master_keys.iter().enumerate();
    let with_previous = |ring| {
        previous.fold(ring, |ring: MasterRing, (at, key)| {
            ring.with(format!("previous-{at}"), MasterKey::from_bytes(*key))
        })
    };
    if let Some(key) = &settings.master_key {
        let key = MasterKey::from_bytes(*key);
        let ring = MasterRing::new("configured".to_owned(), key);
        return Ok(with_previous(ring).with_named(named));
    }
    let path = data_dir.join(FILE);
    let io = |source| RootKeyError::Io {
        path: path.clone(),
        source,
    };
    let bytes = std::fs::read(&path).map_err(io)?;
    let invalid = || RootKeyError::Invalid { path: path.clone() };
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|_json| invalid())?;
    let mut ring: Option<MasterRing> = None;
    let key = |text: &str| {
        let bytes = STANDARD.decode(text).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(MasterKey::from_bytes).ok_or_else(invalid)
    };
    if let Some(text) = stored.keys.get(&stored.current) {
        ring = Some(MasterRing::new(stored.current.clone(), key(text)?));
    }
    for (name, text) in &stored.keys {
        let key = key(text)?;
        ring = ring.map(|ring| ring.with(name.clone(), key));
    }
    Ok(with_previous(ring.ok_or_else(invalid)?).with_named(named))
}

fn make(path: &Path) -> std::io::Result<()> {
    let key = STANDARD.encode(crate::id::random::<32>());
    let stored = Stored {
        current: "1".to_owned(),
        keys: [("1".to_owned(), key)].into(),
    };
    root_key::keep(path, &serde_json::to_vec_pretty(&stored)?)
}
