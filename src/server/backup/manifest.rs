//! What a backup holds, and where.
//!
//! ```text
//! BACKUP/
//!   consign-backup.json   makes the folder one of backups
//!   LOCK                  one backup at a time
//!   unfinished            while one is made: what lies in `blobs` may not be synced
//!   blobs/                every blob that a generation names, once
//!   generations/TIME/     meta/, keys/, blobs.txt; whole as soon as manifest.json is there
//! ```

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{BackupError, files};
use crate::id::BlobId;
use crate::store::blob::{BlobRef, durable};

const FORMAT: u32 = 1;
const MARKER: &str = "consign-backup.json";
const MANIFEST: &str = "manifest.json";
const BLOBS: &str = "blobs.txt";
/// Bytes of a marker: more is not ours.
const MARKER_BYTES_MAX: u64 = 4096;

/// A folder of backups.
#[derive(Debug, Clone)]
pub(super) struct Backups {
    pub(super) folder: PathBuf,
}

/// The file that makes a folder one of backups. Its token proves to a server that who names the
/// folder can write there: the root key alone must not choose where a server writes files.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format: u32,
    token: String,
}

/// One file of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// Below the generation's folder.
    pub(super) path: String,
    pub(super) len: u64,
    pub(super) sha256: String,
    /// When its source was changed last, in nanoseconds: whether it is the same the next time.
    #[serde(default)]
    pub(super) modified: u64,
}

/// A generation: a store as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// Which Consign made it.
    pub(super) version: String,
    pub(super) made: String,
    pub(super) blobs: u64,
    pub(super) bytes: u64,
    pub(super) files: Vec<FileEntry>,
    /// Blobs that were damaged or missing when it was made, and are not in it.
    pub(super) damaged: Vec<String>,
}

/// A generation that is whole.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
}

impl Backups {
    /// Makes `folder` one of backups, if it is empty, and gives its token.
    pub(super) fn make(folder: &Path) -> Result<(Self, String), BackupError> {
        let backups = Self {
            folder: folder.to_owned(),
        };
        if let Some(marker) = backups.marker()? {
            return Ok((backups, marker.token));
        }
        files::make_private_folder(folder)?;
        if !files::list(folder)?.is_empty() {
            return Err(BackupError::NotBackups {
                path: folder.to_owned(),
            });
        }
        let token = hex::encode(crate::id::random::<16>());
        let marker = Marker {
            format: FORMAT,
            token: token.clone(),
        };
        files::publish(&folder.join(MARKER), &json(&marker)?)?;
        Ok((backups, token))
    }

    /// The folder of backups at `folder`.
    pub(super) fn open(folder: &Path) -> Result<Self, BackupError> {
        let backups = Self {
            folder: folder.to_owned(),
        };
        let path = folder.to_owned();
        match backups.marker()? {
            Some(_marker) => Ok(backups),
            None => Err(BackupError::NotBackups { path }),
        }
    }

    /// As [`Self::open`], for who knows its token.
    pub(super) fn open_with(folder: &Path, token: &str) -> Result<Self, BackupError> {
        let backups = Self::open(folder)?;
        let known = backups
            .marker()?
            .is_some_and(|marker| marker.token == token);
        let path = folder.to_owned();
        if known {
            Ok(backups)
        } else {
            Err(BackupError::NotBackups { path })
        }
    }

    fn marker(&self) -> Result<Option<Marker>, BackupError> {
        let path = self.folder.join(MARKER);
        let Some(bytes) = files::read_if_there(&path, MARKER_BYTES_MAX)? else {
            return Ok(None);
        };
        let marker: Marker = parsed(&path, &bytes)?;
        known_format(&path, marker.format)?;
        Ok(Some(marker))
    }

    pub(super) fn pool(&self) -> PathBuf {
        self.folder.join("blobs")
    }

    pub(super) fn generations_folder(&self) -> PathBuf {
        self.folder.join("generations")
    }

    pub(super) fn unfinished(&self) -> PathBuf {
        self.folder.join("unfinished")
    }

    /// The generations that are whole, oldest first.
    pub(super) fn generations(&self) -> Result<Vec<Generation>, BackupError> {
        let folder = self.generations_folder();
        let mut found = Vec::new();
        for name in files::list_if_there(&folder)? {
            let folder = folder.join(&name);
            let path = folder.join(MANIFEST);
            let Some(bytes) = files::read_if_there(&path, u64::MAX)? else {
                continue;
            };
            let manifest: Manifest = parsed(&path, &bytes)?;
            known_format(&path, manifest.format)?;
            found.push(Generation {
                name,
                folder,
                manifest,
            });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The folders of generations that are not whole.
    pub(super) fn broken_off(&self) -> Result<Vec<PathBuf>, BackupError> {
        let folder = self.generations_folder();
        let names = files::list_if_there(&folder)?.into_iter();
        let folders = names.map(|name| folder.join(name));
        Ok(folders
            .filter(|folder| !folder.join(MANIFEST).is_file())
            .collect())
    }
}

impl Generation {
    /// The blobs that it names.
    pub(super) fn blobs(&self) -> Result<Vec<BlobRef>, BackupError> {
        let path = self.folder.join(BLOBS);
        let text = std::fs::read_to_string(&path).map_err(|e| files::io("reading", &path, e))?;
        let invalid = || BackupError::Invalid {
            path: path.clone(),
            what: "it is no list of blobs".to_owned(),
        };
        let blob = |line: &str| {
            let (id, len) = line.split_once(' ')?;
            Some(BlobRef {
                id: BlobId::parse(id)?,
                len: len.parse().ok()?,
            })
        };
        text.lines()
            .map(|line| blob(line).ok_or_else(invalid))
            .collect()
    }
}

/// Writes the list of a generation's blobs.
pub(super) fn write_blobs(folder: &Path, blobs: &[BlobRef]) -> Result<FileEntry, BackupError> {
    let path = folder.join(BLOBS);
    let file = std::fs::File::create(&path).map_err(|e| files::io("creating", &path, e))?;
    let mut file = std::io::BufWriter::new(file);
    let written = blobs
        .iter()
        .try_for_each(|blob| writeln!(file, "{} {}", blob.id, blob.len));
    written
        .and_then(|()| file.flush())
        .map_err(|e| files::io("writing", &path, e))?;
    files::entry(BLOBS.to_owned(), &path, 0)
}

/// Makes a generation whole.
pub(super) fn write(folder: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    files::publish(&folder.join(MANIFEST), &json(manifest)?)
}

/// Makes a generation one that is not whole: the first step of its removal.
pub(super) fn unmake(folder: &Path) -> Result<(), BackupError> {
    let path = folder.join(MANIFEST);
    std::fs::remove_file(&path).map_err(|e| files::io("removing", &path, e))?;
    Ok(durable::sync_folder(folder)?)
}

impl Manifest {
    pub(super) fn new(made: String) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made,
            blobs: 0,
            bytes: 0,
            files: Vec::new(),
            damaged: Vec::new(),
        }
    }
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, BackupError> {
    serde_json::to_vec_pretty(value).map_err(|error| BackupError::Io {
        doing: "writing JSON".to_owned(),
        source: error.into(),
    })
}

fn parsed<T: for<'a> Deserialize<'a>>(path: &Path, bytes: &[u8]) -> Result<T, BackupError> {
    serde_json::from_slice(bytes).map_err(|error| BackupError::Invalid {
        path: path.to_owned(),
        what: error.to_string(),
    })
}

fn known_format(path: &Path, format: u32) -> Result<(), BackupError> {
    if format == FORMAT {
        return Ok(());
    }
    Err(BackupError::Invalid {
        path: path.to_owned(),
        what: format!("it has format {format}, this program reads {FORMAT}: use a newer Consign"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_can_read_the_folder_may_have_a_server_write_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("backups");
        let guessed = Backups::open_with(&place, "guessed");
        assert!(matches!(guessed, Err(BackupError::NotBackups { .. })));
        assert!(!place.exists());
        let (_backups, token) = Backups::make(&place).unwrap();
        assert_eq!(Backups::make(&place).unwrap().1, token);
        assert!(Backups::open_with(&place, &token).is_ok());
        assert!(Backups::open_with(&place, "guessed").is_err());
        std::fs::write(folder.path().join("other"), "").unwrap();
        assert!(Backups::make(folder.path()).is_err());
        let newer = Marker {
            format: FORMAT + 1,
            token: token.clone(),
        };
        std::fs::write(place.join(MARKER), json(&newer).unwrap()).unwrap();
        let said = Backups::open_with(&place, &token).unwrap_err().to_string();
        assert!(said.contains("use a newer Consign"), "{said}");
    }
}
