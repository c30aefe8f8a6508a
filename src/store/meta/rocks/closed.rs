//! What the database left when it was closed: a log or a manifest that lost its end looks like one
//! that a crash has torn, so only who closed it well can say that nothing was torn.
//!
//! The note tells each file and its length, and belongs to the manifest of that time: RocksDB makes
//! a new one at every opening, so a note that was left behind counts no more.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::Durability;

const FILE: &str = "CLOSED";
/// The last line: without it the note was not written to its end.
const END: &str = "end";

/// Writes the note when it is dropped, which must be after the database.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) folder: PathBuf,
    pub(super) durability: Durability,
    pub(super) poisoned: Arc<OnceLock<Arc<str>>>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        // What was not synced may be shorter after a power cut, and then it is no damage.
        if self.durability == Durability::None || self.poisoned.get().is_some() {
            return;
        }
        if let Err(error) = write(&self.folder) {
            tracing::warn!(%error, "no note of the closed metadata could be left");
        }
    }
}

/// Leaves the note in a folder that no database has open.
///
/// # Errors
/// The system's.
pub fn write(folder: &Path) -> io::Result<()> {
    let mut text = std::fs::read_to_string(folder.join("CURRENT"))?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kept = [".log", ".sst", ".blob"]
            .iter()
            .any(|end| name.ends_with(end));
        if kept || text.lines().next() == Some(&name) {
            // A `String` takes everything.
            writeln!(text, "{} {name}", entry.metadata()?.len()).ok();
        }
    }
    text.push_str(END);
    let mut file = File::create(folder.join(FILE))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}

/// Takes the note away, now that the database is open: what was counted changes from here on.
pub(super) fn forget(folder: &Path) {
    let path = folder.join(FILE);
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        // It counts no more in any case: the manifest is another one.
        tracing::warn!(%error, path = %path.display(), "the note of closed metadata stays");
    }
}

/// Compares the folder, whose manifest is `manifest`, with the note; false where there is none.
///
/// # Errors
/// What is missing or has another length, in words.
pub(super) fn check(folder: &Path, manifest: &str) -> Result<bool, String> {
    let Ok(text) = std::fs::read_to_string(folder.join(FILE)) else {
        return Ok(false);
    };
    let mut lines = text.lines();
    if lines.next() != Some(manifest) || lines.next_back() != Some(END) {
        return Ok(false);
    }
    for (len, name) in lines.filter_map(|line| line.split_once(' ')) {
        match std::fs::metadata(folder.join(name)) {
            Ok(found) if found.len().to_string() == len => {}
            Ok(found) => {
                let found = found.len();
                return Err(format!(
                    "the file {name} has {found} bytes instead of {len}"
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(format!("the file {name} is missing"));
            }
            Err(error) => return Err(format!("the file {name}: {error}")),
        }
    }
    Ok(true)
}
