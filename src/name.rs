//! Bucket names and object keys: valid once parsed, so that nothing deeper checks them again.

use std::fmt;

/// A general purpose bucket's name that keeps S3's rules.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(Box<str>);

/// An object's key: 1 to 1,024 bytes of UTF-8, with no other rule. It never reaches the file
/// system as a path, so `..`, `//` and a leading `/` are characters like any other.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Box<str>);

/// Why a text is no bucket name or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It breaks a rule for bucket names.
    #[error("the bucket name breaks S3's naming rules")]
    Bucket,
    /// It is longer than [`KEY_BYTES_MAX`].
    #[error("the key is longer than 1,024 bytes")]
    KeyTooLong,
    /// It is empty.
    #[error("the key is empty")]
    KeyEmpty,
}

/// Bytes of the longest key.
pub const KEY_BYTES_MAX: usize = 1024;

const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

impl BucketName {
    /// Checks `text` against the naming rules.
    ///
    /// # Errors
    /// [`InvalidName::Bucket`] where it breaks one.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let edge = |b: Option<&u8>| b.is_some_and(|b| inner(*b) && *b != b'-');
        // A label of DNS. S3's page names only "..", yet S3 refuses ".-" and "-." too.
        let label = |text: &str| edge(text.as_bytes().first()) && edge(text.as_bytes().last());
        let valid = (3..=63).contains(&text.len())
            && text.bytes().all(inner)
            && text.split('.').all(label)
            && text.parse::<std::net::Ipv4Addr>().is_err()
            && !RESERVED_PREFIXES
                .iter()
                .any(|prefix| text.starts_with(prefix))
            && !RESERVED_SUFFIXES
                .iter()
                .any(|suffix| text.ends_with(suffix));
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName::Bucket)
        }
    }

    /// A name that the store holds. It was judged when its bucket was made: a rule that came later
    /// must not hide the bucket, nor those that are listed with it.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ObjectKey {
    /// Checks the length of `text`.
    ///
    /// # Errors
    /// [`InvalidName::KeyEmpty`] or [`InvalidName::KeyTooLong`].
    pub fn parse(text: impl Into<Box<str>>) -> Result<Self, InvalidName> {
        let text = text.into();
        match text.len() {
            0 => Err(InvalidName::KeyEmpty),
            1..=KEY_BYTES_MAX => Ok(Self(text)),
            _ => Err(InvalidName::KeyTooLong),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! shown_as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

shown_as_text!(BucketName);
shown_as_text!(ObjectKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_keep_s3s_rules() {
        for good in [
            "abc",
            "my-bucket",
            "a.b.c",
            "123",
            "a1-b2.c3",
            &"a".repeat(63),
        ] {
            assert!(BucketName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            &"a".repeat(64),
            "Abc",
            "a_b_c",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "a.-b",
            "a-.b",
            "192.168.5.4",
            "xn--abc",
            "sthree-abc",
            "abc-s3alias",
            "abc--ol-s3",
            "a b c",
            "äbc",
        ] {
            assert!(BucketName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_bounded_in_bytes() {
        assert_eq!(ObjectKey::parse("").err(), Some(InvalidName::KeyEmpty));
        assert!(ObjectKey::parse("ä".repeat(512)).is_ok());
        assert_eq!(
            ObjectKey::parse("ä".repeat(513)).err(),
            Some(InvalidName::KeyTooLong)
        );
        assert_eq!(
            ObjectKey::parse("../a//b").map(|k| k.to_string()),
            Ok("../a//b".into())
        );
    }
}
