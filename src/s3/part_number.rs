//! `partNumber`: one part of an object, as its upload numbered it.

use std::ops::Range;

use super::error::{Code, S3Error};
use crate::checksum::{Checksum, Coverage};
use crate::store::ObjectRecord;
use crate::store::upload::PART_NUMBER_MAX;

/// A part of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedPart {
    /// Its bytes in the object.
    pub range: Range<u64>,
    /// How many parts the object has, where it was uploaded in parts.
    pub count: Option<usize>,
    /// What there is to check its bytes with.
    pub checksum: Option<Checksum>,
}

/// Reads a part's number.
///
/// # Errors
/// `InvalidArgument` where no part can have it.
pub fn parse(text: &str) -> Result<u16, S3Error> {
    // Rust's own parser takes a sign too.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    let number = number.filter(|number| (1..=PART_NUMBER_MAX).contains(number));
    number.ok_or_else(|| {
        let message = "Part number must be an integer between 1 and 10000, inclusive";
        S3Error::argument("partNumber", text, message)
    })
}

impl NumberedPart {
    /// The object's part of that number. What was put whole is its own part 1.
    ///
    /// # Errors
    /// `InvalidPartNumber` where it has none.
    pub fn of(number: u16, record: &ObjectRecord) -> Result<Self, S3Error> {
        let Some(parts) = &record.parts else {
            if number != 1 {
                return Err(missing(number, 1));
            }
            return Ok(Self {
                range: 0..record.len,
                count: None,
                checksum: record.checksum.clone(),
            });
        };
        let mut start = 0_u64;
        for part in parts {
            let end = start.saturating_add(part.len);
            if part.number == number {
                let range = start..end;
                let composite = |whole: &&Checksum| whole.coverage == Coverage::Composite;
                let checksum = match record.checksum.as_ref().filter(composite) {
                    Some(_) => part.checksum.clone().map(|checksum| Checksum {
                        coverage: Coverage::Composite,
                        ..checksum
                    }),
                    // One over all bytes says something of a part only where that is all bytes.
                    None => record.checksum.clone().filter(|_| range == (0..record.len)),
                };
                return Ok(Self {
                    range,
                    count: Some(parts.len()),
                    checksum,
                });
            }
            start = end;
        }
        Err(missing(number, parts.len()))
    }
}

fn missing(number: u16, count: usize) -> S3Error {
    S3Error::new(Code::InvalidPartNumber)
        .with("PartNumberRequested", number.to_string())
        .with("ActualPartCount", count.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Algorithm, composite};
    use crate::store::{ETag, ObjectPart};

    fn record(parts: Option<&[(u16, u64)]>, coverage: Coverage) -> ObjectRecord {
        let nought = || Checksum::full(Algorithm::Crc32, vec![0; 4]);
        let part = |(number, len): &(u16, u64)| ObjectPart {
            number: *number,
            len: *len,
            checksum: Some(nought()),
        };
        let whole = match coverage {
            Coverage::FullObject => nought(),
            Coverage::Composite => composite(Algorithm::Crc32, [&[0_u8; 4][..]; 2]),
        };
        ObjectRecord {
            checksum: Some(whole),
            parts: parts.map(|parts| parts.iter().map(part).collect()),
            ..ObjectRecord::new(
                "o".into(),
                crate::clock::Timestamp::from_unix_s(0),
                1,
                ETag::md5([0; 16]),
                (10, Vec::new()),
            )
        }
    }

    #[test]
    fn parts_are_found_by_their_number() {
        let whole = record(None, Coverage::FullObject);
        let first = NumberedPart::of(1, &whole).unwrap();
        assert_eq!((first.range, first.count), (0..10, None));
        assert!(first.checksum.is_some());
        let beyond = NumberedPart::of(2, &whole).unwrap_err();
        assert_eq!(beyond.code(), Code::InvalidPartNumber);
        let parts = record(Some(&[(2, 7), (5, 3)]), Coverage::Composite);
        let last = NumberedPart::of(5, &parts).unwrap();
        assert_eq!((last.range, last.count), (7..10, Some(2)));
        let own = last.checksum.unwrap();
        assert_eq!(
            (own.coverage, own.text()),
            (Coverage::Composite, "AAAAAA==".into())
        );
        assert!(NumberedPart::of(1, &parts).is_err());
    }

    #[test]
    fn a_full_checksum_is_not_that_of_a_part() {
        let shown = |parts| {
            let parts = record(Some(parts), Coverage::FullObject);
            NumberedPart::of(1, &parts).unwrap().checksum.is_some()
        };
        assert!(!shown(&[(1, 7), (2, 3)]));
        assert!(shown(&[(1, 10)]));
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!((parse("1").unwrap(), parse("10000").unwrap()), (1, 10_000));
        for bad in ["0", "10001", "-1", "x", ""] {
            assert_eq!(parse(bad).unwrap_err().code(), Code::InvalidArgument);
        }
    }
}
