//! The files of the audit log: named by the number of their first line, the last one is written.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::chain::{ChainKey, Fault, Head, judge};

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";
/// Bytes of a line: longer ones were not written by us.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// What a look at files found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// Lines that are good.
    pub lines: u64,
    /// The number of the first one.
    pub first: u64,
    /// The number of the last one.
    pub last: u64,
    /// A line at the very end that was never finished: a crash does that.
    pub torn: bool,
    /// The first fault.
    pub fault: Option<Found>,
    #[serde(skip)]
    pub(super) head: Option<Head>,
    #[serde(skip)]
    pub(super) good_bytes: u64,
}

/// A fault, and where it is.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// In which file,
    pub file: PathBuf,
    /// in which of its lines, from 1; 0: it is about the file as a whole.
    pub line: u64,
    /// What it is, in words.
    pub fault: String,
}

/// The files in `folder`, in the order of their lines.
pub(super) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
            found.push(path);
        }
    }
    // Numbers have as many digits each, so that the order of names is theirs.
    found.sort();
    Ok(found)
}

/// A new file whose first line will have that number. It is there for good once this returns.
pub(super) fn create(folder: &Path, seq: u64) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let mut options = OpenOptions::new();
    options.append(true).create_new(true).mode(0o600);
    // One of that name is there where somebody tampered with it: it stays as it is.
    let mut opened = Err(io::ErrorKind::AlreadyExists.into());
    for letter in std::iter::once(String::new()).chain(('a'..='z').map(String::from)) {
        let path = folder.join(format!("{PREFIX}{seq:020}{letter}{SUFFIX}"));
        opened = options.open(path);
        if !matches!(&opened, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
            break;
        }
    }
    let file = opened?;
    File::open(folder)?.sync_all()?;
    if let Some(parent) = folder.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(file)
}

/// The last file, to go on with; what a crash left behind its last good line is cut off.
pub(super) fn reopen(path: &Path, good_bytes: u64) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    if file.metadata()?.len() > good_bytes {
        file.set_len(good_bytes)?;
    }
    file.flush()?;
    file.sync_all()?;
    Ok(file)
}

/// Judges the lines of `files`, which follow each other, up to the first fault. `known` is the last line
/// that the server remembers.
///
/// # Errors
/// Where a file can't be read.
pub(super) fn verify(
    files: &[PathBuf],
    keys: &[ChainKey],
    known: Option<Head>,
) -> io::Result<Verdict> {
    let mut verdict = Verdict::default();
    let known = known.filter(|known| known.seq > 0);
    for path in files {
        verdict.good_bytes = 0;
        let before = verdict.lines;
        read(path, keys, known, &mut verdict)?;
        // Only the last file may end in the middle, or be empty still.
        let unfinished = verdict.torn || verdict.lines == before;
        if unfinished && verdict.fault.is_none() && Some(path) != files.last() {
            verdict.torn = false;
            verdict.fault = Some(found(path, 0, Fault::Malformed));
        }
        if verdict.fault.is_some() {
            break;
        }
    }
    if let Some(known) = known
        && verdict.fault.is_none()
        && verdict.last < known.seq
    {
        let fault = Fault::Missing { seq: known.seq };
        let file = files.last().cloned().unwrap_or_default();
        verdict.fault = Some(found(&file, 0, fault));
    }
    Ok(verdict)
}

fn read(
    path: &Path,
    keys: &[ChainKey],
    known: Option<Head>,
    verdict: &mut Verdict,
) -> io::Result<()> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut number = 0;
    loop {
        let mut line = Vec::new();
        let mut bounded = io::Read::take(&mut reader, LINE_BYTES_MAX);
        let len = bounded.read_until(b'\n', &mut line)?;
        if len == 0 {
            return Ok(());
        }
        number += 1;
        let Some((b'\n', text)) = line.split_last() else {
            // The end of what a crash interrupted, if nothing follows, and nobody was told of it.
            verdict.torn = reader.fill_buf()?.is_empty();
            if !verdict.torn {
                verdict.fault = Some(found(path, number, Fault::Malformed));
            }
            return Ok(());
        };
        let text = std::str::from_utf8(text).unwrap_or_default();
        let judged = judge(keys, verdict.head, text);
        let judged = judged.and_then(|head| match known {
            Some(known) if known.contradicts(&head) => Err(Fault::Replaced),
            _ => Ok(head),
        });
        match judged {
            Ok(head) => {
                if verdict.lines == 0 {
                    verdict.first = head.seq;
                }
                verdict.lines += 1;
                verdict.last = head.seq;
                verdict.head = Some(head);
                verdict.good_bytes += u64::try_from(len).unwrap_or(0);
            }
            Err(fault) => {
                verdict.fault = Some(found(path, number, fault));
                return Ok(());
            }
        }
    }
}

fn found(path: &Path, line: u64, fault: Fault) -> Found {
    Found {
        file: path.to_owned(),
        line,
        fault: fault.to_string(),
    }
}
