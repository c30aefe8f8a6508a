//! Which bucket and key a request is about: by path, or by host and path.

use std::borrow::Cow;

use super::error::{Code, S3Error};
use super::query::decoded;
use crate::name::{BucketName, InvalidName, KEY_BYTES_MAX, ObjectKey};
use crate::public_url::without_port;

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The bucket, where it names one.
    pub bucket: Option<BucketName>,
    /// The object, where it names one.
    pub key: Option<ObjectKey>,
    /// Whether the bucket's name is part of the host's.
    pub virtual_host: bool,
}

/// How much a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// No bucket.
    Service,
    /// A bucket.
    Bucket,
    /// A bucket and a key.
    Object,
}

impl Target {
    /// Reads the host and the raw path.
    ///
    /// # Errors
    /// `InvalidBucketName`, `InvalidURI` or `KeyTooLongError`.
    pub fn parse(authority: &str, raw_path: &str, domains: &[String]) -> Result<Self, S3Error> {
        let path = raw_path.strip_prefix('/').unwrap_or(raw_path);
        let (virtual_host, bucket, key) = match bucket_of_host(authority, domains) {
            Some(bucket) => (true, Cow::Borrowed(bucket), path),
            // The one operation whose path is its own name.
            None if path.is_empty() || path == "WriteGetObjectResponse" => {
                return Ok(Self {
                    bucket: None,
                    key: None,
                    virtual_host: false,
                });
            }
            None => {
                let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
                (false, decoded(bucket, false).ok_or(Code::InvalidURI)?, key)
            }
        };
        let name = BucketName::parse(&bucket).map_err(|_invalid| {
            S3Error::new(Code::InvalidBucketName).with("BucketName", &*bucket)
        })?;
        Ok(Self {
            bucket: Some(name),
            key: parse_key(key)?,
            virtual_host,
        })
    }

    /// How much it names.
    pub const fn level(&self) -> Level {
        match (&self.bucket, &self.key) {
            (None, _) => Level::Service,
            (Some(_), None) => Level::Bucket,
            (Some(_), Some(_)) => Level::Object,
        }
    }
}

/// A key from a body or a form field, checked like one from a path.
///
/// # Errors
/// `KeyTooLongError`, or `UserKeyMustBeSpecified` where it is empty.
pub fn key_from_text(text: &str) -> Result<ObjectKey, S3Error> {
    ObjectKey::parse(text).map_err(|invalid| match invalid {
        InvalidName::KeyEmpty | InvalidName::Bucket => S3Error::new(Code::UserKeyMustBeSpecified),
        InvalidName::KeyTooLong => too_long(text.len()),
    })
}

fn parse_key(raw: &str) -> Result<Option<ObjectKey>, S3Error> {
    if raw.is_empty() {
        return Ok(None);
    }
    let text = decoded(raw, false).ok_or(Code::InvalidURI)?;
    key_from_text(&text).map(Some)
}

fn too_long(bytes: usize) -> S3Error {
    S3Error::new(Code::KeyTooLongError)
        .with("Size", bytes.to_string())
        .with("MaxSizeAllowed", KEY_BYTES_MAX.to_string())
}

/// The bucket in front of one of the server's domains or of `localhost`.
pub(super) fn bucket_of_host<'a>(authority: &'a str, domains: &[String]) -> Option<&'a str> {
    let host = without_port(authority);
    if domains
        .iter()
        .any(|domain| host.eq_ignore_ascii_case(domain))
    {
        return None;
    }
    bucket_under(authority, domains).or_else(|| bucket_under(authority, &["localhost"]))
}

/// The bucket in front of one of these domains.
pub(super) fn bucket_under<'a>(authority: &'a str, domains: &[impl AsRef<str>]) -> Option<&'a str> {
    let host = without_port(authority);
    let under = |domain: &str| {
        let at = host.len().checked_sub(domain.len())?;
        let (front, end) = host.split_at_checked(at)?;
        let bucket = front.strip_suffix('.')?;
        (end.eq_ignore_ascii_case(domain) && !bucket.is_empty()).then_some(bucket)
    };
    // A domain under another one is the longer match: `s3.eu.example` under `eu.example`.
    let found = domains
        .iter()
        .filter_map(|domain| under(domain.as_ref()))
        .min_by_key(|bucket| bucket.len())?;
    // Read last, since most hosts are addresses, which are under nothing.
    let is_address = host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
    (!is_address).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, path: &str) -> (Option<String>, Option<String>) {
        let target = Target::parse(host, path, &["s3.example.com".into()]).unwrap();
        (
            target.bucket.map(|b| b.to_string()),
            target.key.map(|k| k.to_string()),
        )
    }

    #[test]
    fn the_bucket_stands_in_the_path_or_in_the_host() {
        let is = |bucket: &str, key: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            (some(bucket), some(key))
        };
        for (host, path, expected) in [
            ("127.0.0.1:9000", "/", is("", "")),
            ("127.0.0.1:9000", "/abc", is("abc", "")),
            ("[::1]:9000", "/abc/", is("abc", "")),
            ("localhost:9000", "/abc/a//../b", is("abc", "a//../b")),
            ("s3.example.com", "/abc/a%2Fb%20+", is("abc", "a/b +")),
            ("abc.s3.example.com:80", "/abc/d", is("abc", "abc/d")),
            ("a.b.c.S3.Example.com", "//d", is("a.b.c", "/d")),
            ("abc.localhost:9000", "/", is("abc", "")),
            ("other.host", "/abc/%252F", is("abc", "%2F")),
        ] {
            assert_eq!(target(host, path), expected, "{host} {path}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused_by_name() {
        let long = format!("/abc/{}", "a".repeat(1025));
        for (path, code) in [
            ("/AB", Code::InvalidBucketName),
            ("/abc/%ff", Code::InvalidURI),
            ("/abc/%2", Code::InvalidURI),
            (long.as_str(), Code::KeyTooLongError),
        ] {
            assert_eq!(
                Target::parse("h", path, &[]).unwrap_err().code(),
                code,
                "{path}"
            );
        }
    }
}
