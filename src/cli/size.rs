//! Sizes as people write them.

/// Reads `500`, `10KiB`, `5MB`, `1GiB`.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text.strip_prefix(digits) {
        Some("" | "B") => 1,
        Some("KB") => 1000,
        Some("KiB" | "K") => 1024,
        Some("MB") => 1_000_000,
        Some("MiB" | "M") => 1024 * 1024,
        Some("GB") => 1_000_000_000,
        Some("GiB" | "G") => 1024 * 1024 * 1024,
        _ => return Err("must be a number and B, KB, KiB, MB, MiB, GB or GiB".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_ignored| "must begin with a number".to_owned())?;
    number
        .checked_mul(unit)
        .ok_or_else(|| "is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("500", 500),
            ("10KiB", 10_240),
            ("5MB", 5_000_000),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1 MB", "99999999999GiB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
