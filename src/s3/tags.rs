//! Sets of tags: read from a document, judged by S3's rules, written.

use std::collections::BTreeSet;

use super::error::{Code, S3Error};
use super::query::Query;
use super::xml::{self, Node, XmlWriter};

/// Characters of a tag's key, at most.
const KEY_CHARS_MAX: usize = 128;
/// Characters of a tag's value, at most.
const VALUE_CHARS_MAX: usize = 256;
/// Begins the keys that only AWS itself gives.
const RESERVED_PREFIX: &str = "aws:";

/// Bytes of a document of tags, at most: 50 of the longest, each character escaped.
pub const TAGGING_BYTES_MAX: u64 = 512 * 1024;

/// What is tagged: S3 words its refusals differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagged {
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

impl Tagged {
    const fn count_max(self) -> usize {
        match self {
            Self::Bucket => 50,
            Self::Object => 10,
        }
    }

    const fn too_many(self) -> &'static str {
        match self {
            Self::Bucket => "Bucket tag count cannot be greater than 50",
            Self::Object => "Object tags cannot be greater than 10",
        }
    }

    const fn reserved(self) -> &'static str {
        match self {
            Self::Bucket => "System tags cannot be added/updated by requester",
            Self::Object => "Your TagKey cannot be prefixed with aws:",
        }
    }
}

/// The tags of a `Tagging` document.
///
/// # Errors
/// `MalformedXML` where it is none, and what [`check`] refuses.
pub fn parse(document: &[u8], of: Tagged) -> Result<Vec<(String, String)>, S3Error> {
    let root = xml::parse(document, "Tagging")?;
    // A document without a set is S3's empty set.
    root.child("TagSet")
        .map_or_else(|| Ok(Vec::new()), |set| of_set(set, of))
}

/// The tags that are the children of `set`.
///
/// # Errors
/// As [`parse`].
pub fn of_set(set: &Node, of: Tagged) -> Result<Vec<(String, String)>, S3Error> {
    let mut tags = Vec::new();
    for tag in &set.children {
        if tag.name != "Tag" {
            return Err(Code::MalformedXML.into());
        }
        let (key, value) = (tag.required("Key")?, tag.required("Value")?);
        tags.push((key.to_owned(), value.to_owned()));
    }
    check(&tags, of)?;
    Ok(tags)
}

/// The tags of an `x-amz-tagging` header, which is encoded as a query.
///
/// # Errors
/// `InvalidArgument` where it is no query, and what [`check`] refuses.
pub fn of_header(text: &str) -> Result<Vec<(String, String)>, S3Error> {
    let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query \
                   parameters without tag name duplicates.";
    let invalid = || S3Error::argument("x-amz-tagging", text, message);
    let query = Query::parse(text).map_err(|_no_query| invalid())?;
    let tags: Vec<_> = query
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let names: BTreeSet<_> = tags.iter().map(|(key, _)| key).collect();
    if names.len() < tags.len() {
        return Err(invalid());
    }
    let fits =
        |(key, value): &(String, String)| fits(key, KEY_CHARS_MAX) && fits(value, VALUE_CHARS_MAX);
    if !tags.iter().all(fits) {
        return Err(invalid());
    }
    check(&tags, Tagged::Object)?;
    let mut tags = tags;
    tags.sort();
    Ok(tags)
}

/// Judges a set of tags.
///
/// # Errors
/// `BadRequest` for too many, `InvalidTag` that names the tag for one that breaks a rule.
pub fn check(tags: &[(String, String)], of: Tagged) -> Result<(), S3Error> {
    if tags.len() > of.count_max() {
        return Err(S3Error::because(Code::BadRequest, of.too_many()));
    }
    let invalid = |message: &'static str, key: &str| {
        S3Error::because(Code::InvalidTag, message).with("TagKey", key)
    };
    let mut seen = BTreeSet::new();
    for (key, value) in tags {
        if !seen.insert(key) {
            let message = "Cannot provide multiple Tags with the same key";
            return Err(invalid(message, key));
        }
        if key.starts_with(RESERVED_PREFIX) {
            return Err(invalid(of.reserved(), key));
        }
        if key.is_empty() || !fits(key, KEY_CHARS_MAX) {
            return Err(invalid("The TagKey you have provided is invalid", key));
        }
        if !fits(value, VALUE_CHARS_MAX) {
            let error = invalid("The TagValue you have provided is invalid", key);
            return Err(error.with("TagValue", value));
        }
    }
    Ok(())
}

fn fits(text: &str, chars_max: usize) -> bool {
    let may = |c: char| {
        c.is_alphanumeric() || "_.:/=+-@".contains(c) || (c.is_whitespace() && !c.is_control())
    };
    text.chars().count() <= chars_max && text.chars().all(may)
}

/// The `Tagging` document of these tags.
pub fn document(tags: &[(String, String)]) -> XmlWriter {
    let mut document = XmlWriter::new("Tagging");
    document.element("TagSet", |document| {
        for (key, value) in tags {
            document.element("Tag", |document| {
                document.text("Key", key).text("Value", value);
            });
        }
    });
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(tags: &str, of: Tagged) -> Result<Vec<(String, String)>, S3Error> {
        parse(
            format!("<Tagging><TagSet>{tags}</TagSet></Tagging>").as_bytes(),
            of,
        )
    }

    fn tag(key: &str, value: &str) -> String {
        format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>")
    }

    #[test]
    fn a_set_is_read_and_written() {
        let sent = tag("a b", "") + &tag("ü/漢", "x=@1");
        let tags = parsed(&sent, Tagged::Bucket).unwrap();
        assert_eq!(
            tags,
            [
                ("a b".into(), String::new()),
                ("ü/漢".into(), "x=@1".into())
            ]
        );
        assert!(document(&tags).finish().contains(&sent));
        assert!(parsed("", Tagged::Bucket).unwrap().is_empty());
    }

    #[test]
    fn a_document_without_a_set_is_an_empty_one_and_a_header_is_a_query() {
        assert_eq!(parse(b"<Tagging/>", Tagged::Object).unwrap(), []);
        let broken = of_header("key1=val1,key2=val2").unwrap_err();
        assert_eq!(broken.code(), Code::InvalidArgument);
        let reserved = of_header("aws%3Ax=1").unwrap_err();
        assert_eq!(reserved.code(), Code::InvalidTag);
    }

    #[test]
    fn refusals_are_worded_as_by_s3() {
        let refused = |tags: &str, of| {
            let error = parsed(tags, of).unwrap_err();
            (error.code().wire().0, error.message().to_owned())
        };
        let bucket = Tagged::Bucket;
        for (tags, message) in [
            (
                tag("Key1,Key2", ""),
                "The TagKey you have provided is invalid",
            ),
            (tag("", ""), "The TagKey you have provided is invalid"),
            (
                tag(&"k".repeat(129), ""),
                "The TagKey you have provided is invalid",
            ),
            (
                tag("k", &"v".repeat(257)),
                "The TagValue you have provided is invalid",
            ),
            (tag("k", "a,b"), "The TagValue you have provided is invalid"),
            (
                tag("aws:x", ""),
                "System tags cannot be added/updated by requester",
            ),
            (
                tag("k", "1") + &tag("k", "2"),
                "Cannot provide multiple Tags with the same key",
            ),
        ] {
            assert_eq!(refused(&tags, bucket), ("InvalidTag", message.into()));
        }
        let many = |n: usize| (0..n).map(|i| tag(&i.to_string(), "")).collect::<String>();
        assert_eq!(refused(&many(51), bucket).0, "BadRequest");
        assert_eq!(refused(&many(11), Tagged::Object).0, "BadRequest");
        assert!(parsed(&many(50), bucket).is_ok());
        for malformed in ["<Tag><Key>k</Key></Tag>", "<Tag><Value>k</Value></Tag>"] {
            assert_eq!(refused(malformed, bucket).0, "MalformedXML");
        }
    }
}
