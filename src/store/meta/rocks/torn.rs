//! A log whose last record a power cut tore.
//!
//! Every batch is synced before the next is written, so at most the last record of RocksDB's newest
//! log (and of its manifest) can be half there: some of its pages written, others not. It was never
//! answered. RocksDB drops it where the file simply ends, and refuses to open where a page in its
//! middle is missing, since that might as well be damage. Two things tell the one from the other:
//! behind a torn record nothing begins, and what was never written reads as zeros.
//! Format: <https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format>.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use super::log::{self, BLOCK_BYTES, HEADER_BYTES};

/// Files of logs that are used again name the log in each record's head.
const NUMBERED_HEADER_BYTES: usize = 11;
/// The smallest piece that a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// One piece of a record, within one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// Where the next begins.
    end: usize,
    first: bool,
    last: bool,
}

/// Cuts the torn record off the newest log and the manifest in `folder`; whether there was one.
pub(super) fn mend(folder: &Path) -> bool {
    let logs = [newest_log(folder), manifest(folder)];
    let mended = logs.into_iter().flatten().map(|log| match cut_off(&log) {
        Ok(mended) => mended,
        Err(error) => {
            tracing::error!(log = %log.display(), %error, "a torn log could not be mended");
            false
        }
    });
    mended.fold(false, |any, one| any | one)
}

fn cut_off(log: &Path) -> std::io::Result<bool> {
    let bytes = std::fs::read(log)?;
    let Some(keep) = torn_at(&bytes) else {
        return Ok(false);
    };
    let file = OpenOptions::new().write(true).open(log)?;
    file.set_len(u64::try_from(keep).unwrap_or(u64::MAX))?;
    file.sync_all()?;
    let dropped = bytes.len().saturating_sub(keep);
    tracing::warn!(log = %log.display(), dropped, "dropped a record that a power cut had torn");
    Ok(true)
}

fn newest_log(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.flatten();
    let logs = files.filter_map(|file| {
        let number = file.file_name().to_str()?.strip_suffix(".log")?.parse();
        number.ok().map(|number: u64| (number, file.path()))
    });
    logs.max().map(|(_number, path)| path)
}

fn manifest(folder: &Path) -> Option<PathBuf> {
    let current = std::fs::read_to_string(folder.join("CURRENT")).ok()?;
    let name = current.trim();
    name.starts_with("MANIFEST-").then(|| folder.join(name))
}

/// Where the whole records end, if what follows is one that was torn; none where it is not.
fn torn_at(log: &[u8]) -> Option<usize> {
    let (mut at, mut whole) = (0, 0);
    while let Some(piece) = piece_at(log, at) {
        at = piece.end;
        if piece.last {
            whole = at;
        }
    }
    let rest = log.get(whole..)?;
    let sectors = log.as_chunks::<SECTOR_BYTES>().0;
    let unwritten = |sector: &[u8; SECTOR_BYTES]| sector.iter().all(|byte| *byte == 0);
    let missing = sectors.iter().skip(at / SECTOR_BYTES).any(unwritten);
    let begun_later = (at.saturating_add(1)..log.len())
        .any(|later| piece_at(log, later).is_some_and(|piece| piece.first));
    (!rest.is_empty() && missing && !begun_later).then_some(whole)
}

/// The whole piece that begins at `at`, or in the next block where this one has no room for a head.
fn piece_at(log: &[u8], at: usize) -> Option<Piece> {
    let left = BLOCK_BYTES.checked_sub(at % BLOCK_BYTES)?;
    let at = if left < HEADER_BYTES { at + left } else { at };
    let block_end = (at / BLOCK_BYTES + 1) * BLOCK_BYTES;
    let header = *log.get(at..)?.first_chunk::<HEADER_BYTES>()?;
    let [.., l0, l1, kind] = header;
    let (first, last, head_bytes) = match kind {
        // Whole records; from 9 on, what RocksDB notes of the log itself: how it is compressed,
        // which one came before.
        1 | 9 | 10 | 130 => (true, true, HEADER_BYTES),
        2 => (true, false, HEADER_BYTES),
        3 => (false, false, HEADER_BYTES),
        4 => (false, true, HEADER_BYTES),
        5 | 11 | 131 => (true, true, NUMBERED_HEADER_BYTES),
        6 => (true, false, NUMBERED_HEADER_BYTES),
        7 => (false, false, NUMBERED_HEADER_BYTES),
        8 => (false, true, NUMBERED_HEADER_BYTES),
        _ => return None,
    };
    let end = at + head_bytes + usize::from(u16::from_le_bytes([l0, l1]));
    if end > block_end {
        return None;
    }
    // The checksum covers all from the kind on.
    let covered = log.get(at + HEADER_BYTES - 1..end)?;
    let fits = crc32c::crc32c(covered) == log::stated_crc(header);
    fits.then_some(Piece { end, first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(log: &mut Vec<u8>, mut record: &[u8]) {
        let mut first = true;
        loop {
            let left = BLOCK_BYTES - log.len() % BLOCK_BYTES;
            if left < HEADER_BYTES {
                log.resize(log.len() + left, 0);
                continue;
            }
            let (now, rest) = record.split_at(record.len().min(left - HEADER_BYTES));
            let kind = match (first, rest.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            let covered = [&[kind], now].concat();
            log.extend(log::masked(crc32c::crc32c(&covered)));
            log.extend(u16::try_from(now.len()).unwrap().to_le_bytes());
            log.extend(covered);
            (record, first) = (rest, false);
            if record.is_empty() {
                return;
            }
        }
    }

    /// Two records, and where the second begins.
    fn log() -> (Vec<u8>, usize) {
        let mut log = Vec::new();
        append(&mut log, &vec![7; 50_000]);
        let whole = log.len();
        append(&mut log, &vec![9; 90_000]);
        (log, whole)
    }

    #[test]
    fn a_page_that_is_missing_of_the_last_record_is_a_tear() {
        let (log, whole) = log();
        assert_eq!(torn_at(&log), None);
        for page in [whole / 4096 + 1, log.len() / 4096 - 1] {
            let mut torn = log.clone();
            torn[page * 4096..][..4096].fill(0);
            assert_eq!(torn_at(&torn), Some(whole), "page {page}");
        }
    }

    #[test]
    fn what_lies_before_another_record_or_was_changed_is_damage() {
        let (log, whole) = log();
        let mut damaged = log.clone();
        damaged[8192..12_288].fill(0);
        assert_eq!(torn_at(&damaged), None, "a record follows");
        let mut damaged = log.clone();
        damaged[whole + 20_000] ^= 1;
        assert_eq!(torn_at(&damaged), None, "nothing is missing");
    }

    #[test]
    fn rocksdb_writes_logs_that_are_read_here() {
        let folder = tempfile::tempdir().unwrap();
        let db = super::super::heal::open(folder.path(), true).unwrap();
        db.put([1; 10], vec![5; 100_000]).unwrap();
        db.put([2; 10], vec![6; 10]).unwrap();
        db.flush_wal(true).unwrap();
        let log = std::fs::read(newest_log(folder.path()).unwrap()).unwrap();
        let (mut at, mut records) = (0, 0);
        while let Some(piece) = piece_at(&log, at) {
            at = piece.end;
            records += usize::from(piece.last);
        }
        assert_eq!(at, log.len());
        assert!(records >= 2, "{records}");
        let manifest = std::fs::read(manifest(folder.path()).unwrap()).unwrap();
        assert_eq!(torn_at(&manifest), None);
        assert!(piece_at(&manifest, 0).is_some());
    }
}
