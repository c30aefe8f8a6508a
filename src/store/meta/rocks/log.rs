//! Whether a log of RocksDB is whole: what it would drop without a word. Its write-ahead logs and its
//! manifests have this form.
//!
//! A crash may tear the last record, which was never answered: RocksDB drops it. It does the same
//! where a flipped bit only makes a record look torn, or like one of another log, and with it goes
//! all that follows. The two can be told apart: a torn record has its checksum at no length.
//!
//! The form: <https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format>.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

/// No record's piece crosses the border of two blocks.
pub(super) const BLOCK_BYTES: usize = 32 * 1024;
/// A masked CRC32C of all behind the length, the length (two bytes), the type.
pub(super) const HEADER_BYTES: usize = 4 + 2 + 1;

/// A record in one piece, or the first of its pieces.
const BEGINS: [u8; 2] = [1, 2];
/// Those, and the pieces that follow.
const KINDS: [u8; 4] = [1, 2, 3, 4];

/// Looks through the log at `path`.
///
/// # Errors
/// What is wrong, in words, where a whole record would be lost; the system's error.
pub(super) fn check(path: &Path) -> io::Result<Result<(), String>> {
    let mut file = File::open(path)?;
    let mut bad = None;
    let mut start = 0_u64;
    loop {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let read = (&mut file)
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut block)?;
        let found = scan(&block);
        // A record is synced before the next one begins: the bad one had been whole, too.
        let followed = bad.is_some() && found.begins;
        bad = bad.or(found.bad.map(|at| start.saturating_add(at)));
        if let Some(at) = bad
            && (found.was_whole || followed)
        {
            return Ok(Err(format!(
                "the record at byte {at} is not the one that was written"
            )));
        }
        if read < BLOCK_BYTES {
            return Ok(Ok(()));
        }
        start = start.saturating_add(BLOCK_BYTES as u64);
    }
}

/// What a block holds.
#[derive(Debug, Default)]
struct Found {
    /// Where the first bad record is.
    bad: Option<u64>,
    /// Whether that one was whole once.
    was_whole: bool,
    /// Whether a record begins before it.
    begins: bool,
}

fn scan(block: &[u8]) -> Found {
    let mut found = Found::default();
    let mut at = 0;
    while block.len().saturating_sub(at) >= HEADER_BYTES {
        let Some(record) = Record::read(block, at).filter(Record::holds) else {
            let rest = block.get(at..).unwrap_or_default();
            found.bad = Some(at as u64);
            found.was_whole = was_whole(rest) || is_wiped(rest);
            return found;
        };
        found.begins |= BEGINS.contains(&record.kind);
        at = record.range.end;
    }
    found
}

/// Whether the record at the start of `bytes` is whole but for its own length or type.
fn was_whole(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return false;
    };
    let stated = stated_crc(*header);
    KINDS.into_iter().any(|kind| {
        let mut crc = crc32c::crc32c(&[kind]);
        rest.iter().any(|byte| {
            crc = crc32c::crc32c_append(crc, &[*byte]);
            crc == stated
        })
    })
}

/// Whether the header is gone altogether, though a record begins behind it.
fn is_wiped(bytes: &[u8]) -> bool {
    let wiped = bytes.first_chunk() == Some(&[0; HEADER_BYTES]);
    let begins = |at| {
        let record = Record::read(bytes, at);
        record.is_some_and(|record| BEGINS.contains(&record.kind) && record.holds())
    };
    wiped && (HEADER_BYTES..bytes.len()).any(begins)
}

struct Record<'a> {
    crc: u32,
    kind: u8,
    payload: &'a [u8],
    range: Range<usize>,
}

impl<'a> Record<'a> {
    /// The record whose header stands at `at`, if it ends within `bytes`.
    fn read(bytes: &'a [u8], at: usize) -> Option<Self> {
        let header = bytes.get(at..)?.first_chunk::<HEADER_BYTES>()?;
        let [.., a, b, kind] = *header;
        let from = at.checked_add(HEADER_BYTES)?;
        let end = from.checked_add(usize::from(u16::from_le_bytes([a, b])))?;
        Some(Self {
            crc: stated_crc(*header),
            kind,
            payload: bytes.get(from..end)?,
            range: at..end,
        })
    }

    fn holds(&self) -> bool {
        KINDS.contains(&self.kind) && crc_of(self.kind, self.payload) == self.crc
    }
}

/// The checksum of a record: over its type and what it holds.
fn crc_of(kind: u8, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload)
}

/// A header's checksum as it was before it was stored: RocksDB masks them, since logs may hold logs.
pub(super) fn stated_crc(header: [u8; HEADER_BYTES]) -> u32 {
    let [a, b, c, d, ..] = header;
    let masked = u32::from_le_bytes([a, b, c, d]);
    masked.wrapping_sub(0xa282_ead8).rotate_left(15)
}

/// A checksum as a header states it.
#[cfg(test)]
pub(super) fn masked(crc: u32) -> [u8; 4] {
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(payload.len()).unwrap();
        [
            &masked(crc_of(kind, payload))[..],
            &len.to_le_bytes(),
            &[kind],
            payload,
        ]
        .concat()
    }

    fn verdict(log: &[u8]) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, log).unwrap();
        check(&path).unwrap()
    }

    #[test]
    fn a_torn_end_is_no_damage_and_a_changed_header_is() {
        let records = [
            record(1, b"the first batch"),
            record(1, b"the second"),
            record(1, b"last"),
        ];
        let log = records.concat();
        for end in 0..=log.len() {
            assert_eq!(verdict(&log[..end]), Ok(()), "{end}");
        }
        let starts = [0, records[0].len(), records[0].len() + records[1].len()];
        for start in starts {
            // The length and the type: RocksDB sees to the rest.
            for bit in (start + 4) * 8..(start + HEADER_BYTES) * 8 {
                let mut bad = log.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(verdict(&bad).is_err(), "bit {bit}");
            }
        }
        let mut wiped = log.clone();
        wiped[..20].fill(0);
        assert!(verdict(&wiped).is_err());
    }

    #[test]
    fn a_record_that_follows_in_a_later_block_proves_the_bad_one() {
        let room = BLOCK_BYTES - 2 * HEADER_BYTES - 10;
        let block = [record(1, &[7; 10]), record(2, &vec![8; room])].concat();
        assert_eq!(block.len(), BLOCK_BYTES);
        let torn = |next: &[u8]| {
            let mut log = [&block, next].concat();
            log[HEADER_BYTES + 10..BLOCK_BYTES].fill(0);
            verdict(&log)
        };
        // The end of the record that was torn.
        assert_eq!(torn(&record(4, b"its end")), Ok(()));
        let ended = [record(4, b"its end"), record(1, b"the next")].concat();
        assert!(torn(&ended).is_err());
    }
}
