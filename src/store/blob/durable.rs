//! The one door through which a staged file becomes a durable blob.
//!
//! Syncing, renaming and syncing the folder belong together: whoever could call one of them alone
//! would sooner or later forget another.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

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

/// Makes the bytes of `file`, which is staged under that name, durable, gives it the name `place`, and makes
/// the name durable.
///
/// # Errors
/// [`BlobError::Full`], [`BlobError::Io`] or [`BlobError::Poisoned`]; the file may then be under either
/// name.
pub fn publish(
    file: &File,
    staged: &Path,
    place: &Path,
    durability: Durability,
) -> Result<(), BlobError> {
    name(&sync(file, staged, durability)?, staged, place)
}

/// That a file's bytes are durable, as far as they are to be: without it no file gets its name.
#[derive(Debug)]
pub struct Synced(Durability);

/// The first half of [`publish`], for who has something else to wait for before the second.
///
/// # Errors
/// [`BlobError::Full`] or [`BlobError::Poisoned`].
pub fn sync(file: &File, staged: &Path, durability: Durability) -> Result<Synced, BlobError> {
    if durability == Durability::Fsync {
        file.sync_data()
            .map_err(|error| unsynced("syncing", staged, error))?;
    }
    fail_point::reach("blob.synced");
    Ok(Synced(durability))
}

/// The second half of [`publish`].
///
/// # Errors
/// As [`publish`].
pub fn name(synced: &Synced, staged: &Path, place: &Path) -> Result<(), BlobError> {
    let Synced(durability) = *synced;
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

/// Gives each finished blob a second name, durably: from the first path of a pair to the second.
///
/// # Errors
/// Which pair failed, and how: [`BlobError::Full`], [`BlobError::Io`] or [`BlobError::Poisoned`]. No
/// link is left then, as far as they can be taken back.
pub fn publish_links(
    links: &[(PathBuf, PathBuf)],
    durability: Durability,
) -> Result<(), (usize, BlobError)> {
    let done = link_all(links, durability);
    if let Err((at, _error)) = &done {
        for (_from, place) in links.iter().take(*at) {
            if let Err(error) = std::fs::remove_file(place) {
                tracing::warn!(path = %place.display(), %error, "a link stays until the sweep");
            }
        }
    }
    done
}

fn link_all(
    links: &[(PathBuf, PathBuf)],
    durability: Durability,
) -> Result<(), (usize, BlobError)> {
    for (at, (from, place)) in links.iter().enumerate() {
        let linked = std::fs::hard_link(from, place);
        linked.map_err(|error| (at, io("linking to", place, error)))?;
        fail_point::reach("link.linked");
    }
    let mut folders = BTreeSet::new();
    for (_from, place) in links {
        if folders.insert(place.parent()) {
            sync_folder_of(place, durability).map_err(|error| (links.len(), error))?;
        }
    }
    fail_point::reach("link.published");
    Ok(())
}

/// Makes the names in `folder` durable.
///
/// # Errors
/// [`BlobError::Full`] or [`BlobError::Poisoned`].
pub fn sync_folder(folder: &Path) -> Result<(), BlobError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| unsynced("syncing the folder", folder, error))
}

fn sync_folder_of(path: &Path, durability: Durability) -> Result<(), BlobError> {
    if durability == Durability::None {
        return Ok(());
    }
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))
}

/// Makes the name of `folder` durable, and those of all folders above it: any of them may be new.
/// Those above that may not be read were there before us.
///
/// # Errors
/// [`BlobError::Full`] or [`BlobError::Poisoned`].
pub fn sync_parents(folder: &Path) -> Result<(), BlobError> {
    use std::io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem};
    let whole = std::path::absolute(folder).map_err(|error| io("finding", folder, error))?;
    for above in whole.ancestors().skip(1) {
        let synced = File::open(above).and_then(|above| above.sync_all());
        match synced.map_err(|error| (error.kind(), error)) {
            Ok(()) | Err((PermissionDenied | ReadOnlyFilesystem | InvalidInput, _)) => {}
            Err((_, error)) => return Err(unsynced("syncing the folder", above, error)),
        }
    }
    Ok(())
}

/// After a failed sync the kernel may have dropped what it could not write, and a later one that
/// succeeds proves nothing. A disk that was full is another matter: what met it is refused.
fn unsynced(doing: &str, path: &Path, source: std::io::Error) -> BlobError {
    match io(doing, path, source) {
        BlobError::Io { doing, source } => BlobError::Poisoned {
            reason: format!("{doing}: {source}").into(),
        },
        full => full,
    }
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
