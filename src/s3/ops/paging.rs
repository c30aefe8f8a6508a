//! What every listing shares: how names are encoded, and the token that says where to go on.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::s3::{Query, S3Error};

/// How a listing writes keys, prefixes, delimiters and markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Plain,
    /// `encoding-type=url`, for keys that XML 1.0 can't hold.
    Url,
}

impl Encoding {
    /// Reads `encoding-type`.
    ///
    /// # Errors
    /// `InvalidArgument` where it is anything but `url`.
    pub fn parse(query: &Query) -> Result<Self, S3Error> {
        match query.get("encoding-type") {
            None => Ok(Self::Plain),
            Some("url") => Ok(Self::Url),
            Some(other) => {
                let message = "Invalid Encoding Method specified in Request";
                Err(S3Error::argument("encoding-type", other, message))
            }
        }
    }

    /// A name as the listing writes it: percent-encoded, save `/`. A space is `%20`, which every decoder
    /// of a form and of a URL reads.
    pub fn apply(self, name: &str) -> Cow<'_, str> {
        if self == Self::Plain {
            return Cow::Borrowed(name);
        }
        let mut out = String::with_capacity(name.len());
        for byte in name.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b'*' => {
                    out.push(char::from(byte));
                }
                // Writing into a String can't fail.
                other => drop(write!(out, "%{other:02X}")),
            }
        }
        Cow::Owned(out)
    }
}

/// The opaque token of the last name that was shown.
pub fn token(last: &str) -> String {
    STANDARD.encode(last)
}

/// The name behind a `continuation-token`; none where no token was given.
///
/// # Errors
/// `InvalidArgument` where it is none that we gave.
pub fn after_token(given: Option<&str>) -> Result<Option<String>, S3Error> {
    let Some(given) = given else {
        return Ok(None);
    };
    let bytes = STANDARD
        .decode(given)
        .ok()
        .filter(|bytes| !bytes.is_empty());
    let last = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    last.map(Some).ok_or_else(|| {
        let message = "The continuation token provided is incorrect";
        S3Error::argument("continuation-token", given, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_a_form() {
        assert_eq!(
            Encoding::Url.apply("a b/c+ü(1)~*"),
            "a%20b/c%2B%C3%BC%281%29%7E*"
        );
        assert_eq!(Encoding::Plain.apply("a b"), "a b");
        assert!(Encoding::parse(&Query::parse("encoding-type=x").unwrap()).is_err());
    }

    #[test]
    fn a_token_brings_its_name_back() {
        let query = format!("continuation-token={}", token("ü/ a").replace('+', "%2B"));
        let query = Query::parse(&query).unwrap();
        let given = query.get("continuation-token");
        assert_eq!(after_token(given).unwrap().as_deref(), Some("ü/ a"));
        assert_eq!(after_token(None).unwrap(), None);
        for bad in ["", "!"] {
            assert!(after_token(Some(bad)).is_err());
        }
    }
}
