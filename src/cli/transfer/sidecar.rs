//! `objects.jsonl`: what files can't tell of their objects.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::CliError;
use crate::store::blob::durable::{self, Durability};

const FILE: &str = "objects.jsonl";
/// The lines of an export that is under way.
const JOURNAL: &str = "objects.part.jsonl";

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Below the folder.
    pub(super) file: String,
    pub(super) len: u64,
    pub(super) sha256: String,
    pub(super) etag: String,
    pub(super) modified: String,
    /// Those that an object keeps for its readers, metadata included.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) tags: Vec<(String, String)>,
}

/// The objects of an earlier export, and of one that was interrupted.
pub(super) fn read(folder: &Path) -> Result<BTreeMap<String, Entry>, CliError> {
    let mut found = BTreeMap::new();
    for name in [FILE, JOURNAL] {
        let file = match File::open(folder.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        for line in BufReader::new(file).lines() {
            match serde_json::from_str::<Entry>(&line?) {
                Ok(entry) => drop(found.insert(entry.key.clone(), entry)),
                // The last line of a journal may be half written.
                Err(_half) if name == JOURNAL => {}
                Err(error) => {
                    let path = folder.join(name);
                    return Err(CliError::Usage(format!("{}: {error}", path.display())));
                }
            }
        }
    }
    Ok(found)
}

/// The lines of an export that is under way.
pub(super) struct Journal {
    file: File,
    folder: PathBuf,
}

impl Journal {
    pub(super) fn begin(folder: &Path) -> Result<Self, CliError> {
        let mut options = File::options();
        let path = folder.join(JOURNAL);
        let mut file = options.append(true).create(true).open(&path)?;
        // Behind a line that may be half written.
        file.write_all(b"\n")?;
        let folder = folder.to_owned();
        Ok(Self { file, folder })
    }

    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), CliError> {
        Ok(self.file.write_all(&line(entry)?)?)
    }

    /// Makes `entries` the whole export.
    pub(super) fn end(self, entries: &BTreeMap<String, Entry>) -> Result<(), CliError> {
        let staged = self.folder.join("objects.new");
        let mut file = File::create(&staged)?;
        for entry in entries.values() {
            file.write_all(&line(entry)?)?;
        }
        let durability = Durability::Fsync;
        durable::publish(&file, &staged, &self.folder.join(FILE), durability).map_err(failed)?;
        Ok(std::fs::remove_file(self.folder.join(JOURNAL))?)
    }
}

fn line(entry: &Entry) -> Result<Vec<u8>, CliError> {
    let mut line = serde_json::to_vec(entry).map_err(std::io::Error::from)?;
    line.push(b'\n');
    Ok(line)
}

pub(super) fn failed(error: impl std::error::Error) -> CliError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    CliError::Usage(text)
}
