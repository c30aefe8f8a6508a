//! Files of backups: private, compared by their SHA-256, whole as soon as they have their name.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::BackupError;
use super::manifest::FileEntry;
use crate::store::blob::durable::{self, Durability};

/// Only who owns it may look.
const PRIVATE_FOLDER: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

pub(super) fn io(doing: &str, path: &Path, source: std::io::Error) -> BackupError {
    BackupError::Io {
        doing: format!("{doing} {}", path.display()),
        source,
    }
}

pub(super) fn make_private_folder(path: &Path) -> Result<(), BackupError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(PRIVATE_FOLDER);
    builder
        .create(path)
        .map_err(|error| io("making", path, error))
}

/// The names in a folder.
pub(super) fn list(folder: &Path) -> Result<Vec<String>, BackupError> {
    let wrong = |error| io("listing", folder, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        names.push(
            entry
                .map_err(wrong)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    Ok(names)
}

pub(super) fn list_if_there(folder: &Path) -> Result<Vec<String>, BackupError> {
    if folder.is_dir() {
        list(folder)
    } else {
        Ok(Vec::new())
    }
}

pub(super) fn read_if_there(path: &Path, max: u64) -> Result<Option<Vec<u8>>, BackupError> {
    let wrong = |error| io("reading", path, error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes).map_err(wrong)?;
    Ok(Some(bytes))
}

/// Writes a file that has its name only once it is whole and synced.
pub(super) fn publish(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let staged = path.with_extension("part");
    let mut options = File::options();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(PRIVATE_FILE);
    let mut file = options
        .open(&staged)
        .map_err(|error| io("creating", &staged, error))?;
    file.write_all(bytes)
        .map_err(|error| io("writing", &staged, error))?;
    Ok(durable::publish(&file, &staged, path, Durability::Fsync)?)
}

/// A file's length and digest.
pub(super) fn entry(path: String, file: &Path, modified: u64) -> Result<FileEntry, BackupError> {
    let mut reader = File::open(file).map_err(|error| io("opening", file, error))?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; 256 * 1024];
    let mut len = 0_u64;
    loop {
        let read = reader
            .read(&mut piece)
            .map_err(|error| io("reading", file, error))?;
        if read == 0 {
            break;
        }
        len = len.saturating_add(read as u64);
        digest.update(piece.get(..read).unwrap_or_default());
    }
    let sha256 = hex::encode(digest.finalize());
    Ok(FileEntry {
        path,
        len,
        sha256,
        modified,
    })
}

/// Whether the generation in `folder` has the file as its manifest tells it.
pub(super) fn check(folder: &Path, told: &FileEntry) -> Result<(), BackupError> {
    let path = folder.join(&told.path);
    let found = entry(told.path.clone(), &path, told.modified)?;
    if found == *told {
        return Ok(());
    }
    let what = if found.len == told.len {
        "it is not the one that was written".to_owned()
    } else {
        format!("it has {} bytes instead of {}", found.len, told.len)
    };
    Err(BackupError::Invalid { path, what })
}

/// When a file was changed last, in nanoseconds.
pub(super) fn modified(path: &Path) -> Result<u64, BackupError> {
    let found = std::fs::metadata(path).map_err(|error| io("inspecting", path, error))?;
    let seconds = u64::try_from(found.mtime()).unwrap_or_default();
    let nanos = u64::try_from(found.mtime_nsec()).unwrap_or_default();
    Ok(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Copies a file that only its owner may read.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    std::fs::copy(from, to).map_err(|error| io("copying", from, error))?;
    let private = Permissions::from_mode(PRIVATE_FILE);
    std::fs::set_permissions(to, private).map_err(|error| io("protecting", to, error))
}

/// Links a file, or copies it where it can't be linked or must not be; whether it was copied.
pub(super) fn link_or_copy(from: &Path, to: &Path, link: bool) -> Result<bool, BackupError> {
    if link && std::fs::hard_link(from, to).is_ok() {
        return Ok(false);
    }
    copy(from, to).map(|()| true)
}

/// Waits until everything in the folder's file system is on the disk.
pub(super) fn sync_all(folder: &Path) -> Result<(), BackupError> {
    let file = File::open(folder).map_err(|error| io("opening", folder, error))?;
    rustix::fs::syncfs(&file).map_err(|error| io("syncing", folder, error.into()))
}

pub(super) fn remove_folder(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("removing", path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Gives a folder and what is in it to the data folder's owner: a server that is not root must be
/// able to write where root's command prepared a place.
pub(super) fn give_to_owner_of(data_dir: &Path, folder: &Path) -> Result<(), BackupError> {
    if !data_dir.exists() {
        return Ok(()); // it lies on another machine: its server will say whether it can write
    }
    let owner = |path: &Path| std::fs::metadata(path).map_err(|e| io("inspecting", path, e));
    let (wanted, found) = (owner(data_dir)?, owner(folder)?);
    if wanted.uid() == found.uid() {
        return Ok(());
    }
    let paths = list(folder)?.into_iter().map(|name| folder.join(name));
    for path in paths.chain([folder.to_owned()]) {
        std::os::unix::fs::chown(&path, Some(wanted.uid()), Some(wanted.gid()))
            .map_err(|error| io("changing the owner of", &path, error))?;
    }
    Ok(())
}
