//! The `Range` header: RFC 9110, section 14, as far as S3 honours it.

use std::ops::Range;

use super::error::{Code, S3Error};

/// The bytes that `header` asks for of an object of `len` bytes; nothing where it asks for no part
/// that S3 would cut out (several ranges, another unit, nonsense): then the whole is served.
///
/// # Errors
/// `InvalidRange` where no byte of the object is in it.
pub fn resolve(header: &str, len: u64) -> Result<Option<Range<u64>>, S3Error> {
    let Some(asked) = parse(header) else {
        return Ok(None);
    };
    let range = match asked {
        Asked::Between(first, last) => first..last.saturating_add(1).min(len),
        Asked::From(first) => first..len,
        Asked::Last(count) => len.saturating_sub(count)..len,
    };
    if range.start < range.end {
        return Ok(Some(range));
    }
    Err(S3Error::new(Code::InvalidRange)
        .with("RangeRequested", header)
        .with("ActualObjectSize", len.to_string())
        .with_header("content-range", format!("bytes */{len}")))
}

/// The value of `Content-Range` for this part.
pub fn content_range(range: &Range<u64>, len: u64) -> String {
    format!(
        "bytes {}-{}/{len}",
        range.start,
        range.end.saturating_sub(1)
    )
}

enum Asked {
    Between(u64, u64),
    From(u64),
    Last(u64),
}

fn parse(header: &str) -> Option<Asked> {
    let (unit, range) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", count) => number(count).map(Asked::Last),
        (first, "") => number(first).map(Asked::From),
        (first, last) => {
            let in_order = in_order(first, last);
            let (first, last) = (number(first)?, number(last)?);
            in_order.then_some(Asked::Between(first, last))
        }
    }
}

/// Whether the first of two numbers is not the greater, however many digits they have.
fn in_order(first: &str, last: &str) -> bool {
    let [first, last] = [first, last].map(|digits| digits.trim_start_matches('0'));
    (first.len(), first) <= (last.len(), last)
}

fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // More digits than fit are simply past the end.
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_object() {
        for (header, expected) in [
            ("bytes=0-0", Some(0..1)),
            ("bytes=2-5", Some(2..6)),
            ("bytes=8-99", Some(8..10)),
            ("bytes=4-", Some(4..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-99", Some(0..10)),
            ("bytes=0-99999999999999999999999", Some(0..10)),
            ("bytes=0-1,3-4", None),
            ("bytes=5-2", None),
            ("bytes=0002-05", Some(2..6)),
            ("bytes=99999999999999999999999-9999999999999999999999", None),
            ("bytes=a-b", None),
            ("bytes=-", None),
            ("items=0-1", None),
        ] {
            assert_eq!(resolve(header, 10).unwrap(), expected, "{header}");
        }
        for (header, len) in [
            ("bytes=10-", 10),
            ("bytes=-0", 10),
            ("bytes=0-0", 0),
            ("bytes=-1", 0),
        ] {
            let error = resolve(header, len).unwrap_err();
            assert_eq!(error.code(), Code::InvalidRange, "{header}");
            assert!(error.names("ActualObjectSize"));
        }
    }
}
