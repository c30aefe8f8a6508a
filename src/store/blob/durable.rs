//! The one door through which a staged file becomes a durable blob.
//!
//! Syncing, renaming and syncing the folder belong together: whoever could call one of them alone
//! would sooner or later forget another.

use std::fs::File;
use std::path::Path;

use super::BlobError;
use crate::fail_point;

/// What finishing a blob waits for before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The disk: an answered blob survives a power cut.
    #[default]
    Fsync,
    /// Nothing: a blob survives the process, not the machine. For test suites.
    None,
}

/// Makes the bytes of `staged` durable, gives the file the name `place`, and makes the name durable.
///
/// # Errors
/// [`BlobError::Full`] or [`BlobError::Io`]; the file may then be under either name.
pub fn publish(
    file: &File,
    staged: &Path,
    place: &Path,
    durability: Durability,
) -> Result<(), BlobError> {
    if durability == Durability::Fsync {
        file.sync_data()
            .map_err(|error| io("syncing", staged, error))?;
    }
    fail_point::reach("blob.synced");
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that renames"
    )]
    std::fs::rename(staged, place).map_err(|error| io("renaming to", place, error))?;
    fail_point::reach("blob.renamed");
    sync_folder_of(place, durability)?;
    fail_point::reach("blob.published");
    Ok(())
}

/// Gives the finished blob at `from` a second name, durably.
///
/// # Errors
/// [`BlobError::Full`] or [`BlobError::Io`].
pub fn publish_link(from: &Path, place: &Path, durability: Durability) -> Result<(), BlobError> {
    std::fs::hard_link(from, place).map_err(|error| io("linking to", place, error))?;
    fail_point::reach("link.linked");
    sync_folder_of(place, durability)?;
    fail_point::reach("link.published");
    Ok(())
}

/// Makes `folder` and every missing one above it, durably.
///
/// # Errors
/// [`BlobError::Full`] or [`BlobError::Io`].
pub fn make_folder(folder: &Path, durability: Durability) -> Result<(), BlobError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        make_folder(parent, durability)?;
    }
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(io("making", folder, error))
        }
        Ok(()) | Err(_) => sync_folder_of(folder, durability),
    }
}

/// Makes the names in `folder` durable.
///
/// # Errors
/// [`BlobError::Full`] or [`BlobError::Io`].
pub fn sync_folder(folder: &Path) -> Result<(), BlobError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| io("syncing the folder", folder, error))
}

fn sync_folder_of(path: &Path, durability: Durability) -> Result<(), BlobError> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if durability == Durability::None {
        return Ok(());
    }
    sync_folder(folder)
}

/// Names what failed on which path, and tells a full disk from the rest.
pub(super) fn io(doing: &str, path: &Path, source: std::io::Error) -> BlobError {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match source.kind() {
        StorageFull | QuotaExceeded => BlobError::Full,
        _ => BlobError::Io {
            doing: format!("{doing} {}", path.display()),
            source,
        },
    }
}
