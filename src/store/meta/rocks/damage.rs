//! Damage that RocksDB does not see when it opens, or answers with a new and empty database.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::MetaError;
use super::{closed, log};

/// What every such error ends with.
const ADVICE: &str = "Nothing was changed. Keep a copy of the data folder, delete nothing in it, \
    and bring a backup into a new folder: consign restore BACKUP --data-dir NEW";

/// A folder that may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// There is nothing in it yet.
    Nothing,
    /// A database.
    Database,
}

/// The error of a folder that is not as it was left, with what to do.
pub fn damaged(folder: &Path, what: &str) -> MetaError {
    let folder = folder.display();
    MetaError::Open {
        reason: format!("{folder} is damaged: {what}. {ADVICE}"),
    }
}

/// Whether a database is in `folder`.
///
/// # Errors
/// [`MetaError::Open`] where one was, and is damaged.
pub fn is_there(folder: &Path) -> Result<bool, MetaError> {
    Ok(look(folder)? == Found::Database)
}

/// Looks at the files before RocksDB does.
///
/// # Errors
/// [`MetaError::Open`] with what is damaged, and what to do.
pub(super) fn look(folder: &Path) -> Result<Found, MetaError> {
    let files = match files(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    let any = |end: &str| {
        files
            .iter()
            .any(|file| file.extension() == Some(OsStr::new(end)))
    };
    let current = match std::fs::read_to_string(folder.join("CURRENT")) {
        Ok(current) => current,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // RocksDB would begin anew here, and delete what it does not know.
            return match ["log", "sst", "blob"].into_iter().find(|end| any(end)) {
                None => Ok(Found::Nothing),
                Some(_end) => Err(damaged(folder, "the file CURRENT is missing")),
            };
        }
        Err(error) => return Err(damaged(folder, &format!("the file CURRENT: {error}"))),
    };
    let manifest = current.strip_suffix('\n').and_then(manifest_number);
    let Some((name, number)) = manifest else {
        return Err(damaged(folder, "the file CURRENT names no manifest"));
    };
    if !folder.join(name).is_file() {
        return Err(damaged(folder, &format!("the file {name} is missing")));
    }
    let noted = closed::check(folder, name).map_err(|what| damaged(folder, &what))?;
    // A log is there from the first opening on. Before its end, the manifest is the first.
    if !noted && number > 1 && !any("log") {
        return Err(damaged(folder, "its write-ahead log is missing"));
    }
    let logs = files
        .iter()
        .filter(|file| file.extension() == Some(OsStr::new("log")));
    for log in logs.cloned().chain([folder.join(name)]) {
        let checked = log::check(&log).map_err(|error| unreadable(&log, &error))?;
        let name = log.file_name().unwrap_or_default().to_string_lossy();
        checked.map_err(|what| damaged(folder, &format!("the log {name}: {what}")))?;
    }
    Ok(Found::Database)
}

/// What RocksDB's own refusal means.
pub(super) fn refused(folder: &Path, error: rocksdb::Error) -> MetaError {
    let text = error.into_string();
    let reason = if text.contains("LOCK") {
        format!("another process holds {}: {text}", folder.display())
    } else if text.contains("olumn families not opened") {
        let folder = folder.display();
        format!("{folder} was written by a newer Consign ({text}): use that one, or a newer one")
    } else if text.starts_with("IO error") && !text.contains("No such file") {
        format!("{}: {text}", folder.display())
    } else {
        return damaged(folder, &text);
    };
    MetaError::Open { reason }
}

fn unreadable(path: &Path, error: &std::io::Error) -> MetaError {
    let reason = format!("{}: {error}", path.display());
    MetaError::Open { reason }
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// The name of a manifest, and its number.
fn manifest_number(name: &str) -> Option<(&str, u64)> {
    let number = name.strip_prefix("MANIFEST-")?;
    Some((name, number.parse().ok()?))
}
