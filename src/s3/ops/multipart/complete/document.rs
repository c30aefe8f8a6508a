//! The document that names an upload's parts.

use std::borrow::Cow;

use crate::checksum::Algorithm;
use crate::s3::error::{Code, S3Error};
use crate::s3::xml;
use crate::store::upload::PART_NUMBER_MAX;

/// The document's root.
const ROOT: &str = "CompleteMultipartUpload";

/// The element of a part's entity tag.
const ETAG: &str = "ETag";

/// What stands between elements where a document is written for people.
const SPACE: [char; 3] = [' ', '\t', '\n'];

/// Elements of a part that [`plain_part`] reads: its number, its tag and one checksum are usual.
const ELEMENTS_MAX: usize = 8;

/// Bytes of a part in a document, about: what is told of 10,000 is no text for each, and is moved once.
const PART_BYTES: usize = 64;

/// A mark around an entity tag, as most SDKs write it.
const QUOTE: &str = "&quot;";

/// A part as the document names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) number: u16,
    pub(super) etag: Cow<'a, str>,
    pub(super) checksums: Vec<(Algorithm, Cow<'a, str>)>,
}

/// The parts of the document, as they stand there.
pub(super) fn named_parts(listed: &[u8]) -> Result<Vec<Named<'_>>, S3Error> {
    if listed.is_empty() {
        let message = "You must specify at least one part";
        return Err(S3Error::because(Code::InvalidRequest, message));
    }
    let parts = match plain_parts(listed) {
        Some(parts) => parts,
        None => any_parts(listed)?,
    };
    if parts.is_empty() || parts.len() > usize::from(PART_NUMBER_MAX) {
        return Err(Code::MalformedXML.into());
    }
    parts.into_iter().map(Spelled::read).collect()
}

fn any_parts(listed: &[u8]) -> Result<Vec<Spelled<'static>>, S3Error> {
    let mut part = Spelled::default();
    let mut parts = Vec::new();
    xml::visit(listed, ROOT, |depth, name, text| match (depth, name) {
        (2, name) => part.hear(name, text.trim(), |text| Cow::Owned(text.to_owned())),
        (1, "Part") => parts.push(std::mem::take(&mut part)),
        (1, _) => part = Spelled::default(),
        _ => {}
    })?;
    Ok(parts)
}

/// What [`any_parts`] finds in a document as all SDKs write it, in a tenth of the time: of 10,000 parts, a
/// reader of XML takes longer than all the rest. None where there is anything else in it.
fn plain_parts(listed: &[u8]) -> Option<Vec<Spelled<'_>>> {
    let text = std::str::from_utf8(listed).ok()?;
    let (before, rest) = text.split_once('<')?;
    let (declaration, rest) = match rest.strip_prefix("?xml ") {
        Some(rest) => rest.split_once("?>")?,
        None => (before, text),
    };
    if !before.is_empty() || declaration.contains('<') {
        return None;
    }
    let rest = rest.trim_start_matches(SPACE).strip_prefix('<')?;
    let (attributes, mut rest) = rest.strip_prefix(ROOT)?.split_once('>')?;
    let namespace = attributes
        .strip_prefix(" xmlns=\"")
        .and_then(|rest| rest.strip_suffix('"'));
    if !attributes.is_empty() && namespace != Some(xml::NAMESPACE) {
        return None;
    }
    let parts_max = usize::from(PART_NUMBER_MAX);
    let mut parts = Vec::with_capacity(parts_max.min(rest.len() / PART_BYTES));
    loop {
        rest = rest.trim_start_matches(SPACE);
        let Some(behind) = rest.strip_prefix("<Part>") else {
            let end = rest.strip_prefix("</")?.strip_prefix(ROOT)?;
            let end = end.strip_prefix('>')?.trim_end_matches(SPACE);
            return end.is_empty().then_some(parts);
        };
        // Beyond what any document may have, that the parser of XML refuses.
        if parts.len() > parts_max {
            return None;
        }
        let part;
        (part, rest) = plain_part(behind)?;
        parts.push(part);
    }
}

/// The part whose elements `rest` begins with, and what follows its end.
fn plain_part(mut rest: &str) -> Option<(Spelled<'_>, &str)> {
    let mut part = Spelled::default();
    for _element in 0..ELEMENTS_MAX {
        rest = rest.trim_start_matches(SPACE).strip_prefix('<')?;
        if let Some(behind) = rest.strip_prefix("/Part>") {
            return Some((part, behind));
        }
        let (name, behind) = split_at_first(rest, |byte| !byte.is_ascii_alphanumeric())?;
        let (text, behind) = split_at_first(behind.strip_prefix('>')?, |byte| byte == b'<')?;
        rest = behind
            .strip_prefix("</")?
            .strip_prefix(name)?
            .strip_prefix('>')?;
        let text = text.trim();
        let quoted = || text.strip_prefix(QUOTE)?.strip_suffix(QUOTE);
        // The marks around a tag are no part of it.
        let unquoted = if name == ETAG { quoted() } else { None };
        let text = unquoted.unwrap_or(text);
        if text.bytes().any(|byte| matches!(byte, b'\r' | b'&')) {
            return None;
        }
        part.hear(name, text, Cow::Borrowed);
    }
    None
}

/// What stands before the first byte that is so, and the rest. Names and values are short: they are looked
/// through sooner than a search is prepared.
fn split_at_first(text: &str, is_so: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    text.split_at_checked(text.bytes().position(is_so)?)
}

/// A part's texts; of several of one name the first counts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Spelled<'a> {
    number: Option<Cow<'a, str>>,
    etag: Option<Cow<'a, str>>,
    checksums: Vec<(Algorithm, Cow<'a, str>)>,
}

impl<'a> Spelled<'a> {
    fn hear<'t>(&mut self, name: &str, text: &'t str, keep: impl FnOnce(&'t str) -> Cow<'a, str>) {
        match name {
            "PartNumber" => self.number = self.number.take().or_else(|| Some(keep(text))),
            ETAG => {
                let tag = || Some(keep(text.trim_matches('"')));
                self.etag = self.etag.take().or_else(tag);
            }
            _ => {
                let mut all = Algorithm::ALL.into_iter();
                if let Some(algorithm) = all.find(|algorithm| algorithm.element() == name) {
                    self.checksums.push((algorithm, keep(text)));
                }
            }
        }
    }

    fn read(self) -> Result<Named<'a>, S3Error> {
        let malformed = || S3Error::new(Code::MalformedXML);
        let text = self.number.ok_or_else(malformed)?;
        let number = text.parse::<i32>().map_err(|_no_number| malformed())?;
        if number < 1 {
            let message = "PartNumber must be >= 1";
            return Err(S3Error::argument("PartNumber", text, message));
        }
        Ok(Named {
            // No part has a number beyond the highest, so that this one is missing all the same.
            number: u16::try_from(number).unwrap_or(u16::MAX),
            etag: self.etag.ok_or_else(malformed)?,
            checksums: self.checksums,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Algorithm::Sha256;

    #[test]
    fn a_document_names_parts_or_is_malformed() {
        let list =
            |parts: &str| format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let sha = "<ChecksumSHA256>x</ChecksumSHA256>";
        let part = format!(
            "<Part><ETag>&quot;ab&quot;</ETag><PartNumber>2</PartNumber>{sha}<Size>9</Size></Part>"
        );
        let named = Named {
            number: 2,
            etag: "ab".into(),
            checksums: vec![(Sha256, "x".into())],
        };
        assert_eq!(named_parts(list(&part).as_bytes()).unwrap(), [named]);
        for (bad, code) in [
            ("", Code::MalformedXML),
            (
                "<Part><PartNumber>1</PartNumber></Part>",
                Code::MalformedXML,
            ),
            ("<Part><ETag>a</ETag></Part>", Code::MalformedXML),
            (
                "<Part><ETag>a</ETag><PartNumber>x</PartNumber></Part>",
                Code::MalformedXML,
            ),
            (
                "<Part><ETag>a</ETag><PartNumber>0</PartNumber></Part>",
                Code::InvalidArgument,
            ),
        ] {
            let refused = named_parts(list(bad).as_bytes()).unwrap_err();
            assert_eq!(refused.code(), code, "{bad}");
        }
        assert_eq!(named_parts(b"").unwrap_err().code(), Code::InvalidRequest);
        assert!(named_parts(b"<Other/>").is_err());
    }

    #[test]
    fn a_plain_document_is_read_as_any() {
        let part = "<Part><ETag>&quot;ab&quot;</ETag>\n <PartNumber> 2 </PartNumber></Part>";
        let other = "<Part><PartNumber>3</PartNumber><ChecksumSHA256>x</ChecksumSHA256></Part>";
        let wrap = |parts: &str| format!("<{ROOT}>{parts}</{ROOT}>");
        let declared = "<?xml version='1.0' encoding=\"UTF-8\"?>\n";
        let spaced = format!(
            "<{ROOT} xmlns=\"{}\">\n{part} {other}\n</{ROOT}>\n",
            xml::NAMESPACE
        );
        let twice = "<Part><ETag>\"b>\"</ETag><ETag>c</ETag><Other></Other>\
             <PartNumber>1</PartNumber><PartNumber>2</PartNumber></Part>";
        let marked = "<Part><ETag> &quot; \"d\"&quot; </ETag></Part><Part><ETag>\"</ETag></Part>";
        let plain = [
            wrap(part),
            format!("{declared}{spaced}"),
            wrap(twice),
            wrap(marked),
            wrap(""),
        ];
        let first = named_parts(plain[2].as_bytes()).unwrap();
        assert_eq!((first[0].number, &*first[0].etag), (1, "b>"));
        for document in &plain {
            let found = plain_parts(document.as_bytes()).unwrap();
            assert_eq!(found, any_parts(document.as_bytes()).unwrap(), "{document}");
        }
        // Whatever else there is, and whatever is wrong, the parser of XML judges.
        let commented = part.replace("<ETag>", "<!-- --><ETag>");
        let many = ["<Part>", &"<A>a</A>".repeat(9), "</Part>"].concat();
        let marked = "<Part><PartNumber>&quot;1&quot;</PartNumber></Part>";
        let odd = [
            wrap(&commented),
            wrap("<Part><ETag><![CDATA[a]]></ETag></Part>"),
            wrap("<Part><ETag>a&amp;b</ETag></Part>"),
            wrap("<Part><ETag a='b'>c</ETag></Part>"),
            wrap("<Part><ETag>a\rb</ETag></Part>"),
            wrap("<Part><ETag>a</Etag></Part>"),
            wrap("<Part><ETag/></Part>"),
            wrap(marked),
            wrap("<Part><a:ETag>b</a:ETag></Part>"),
            wrap("<Part>"),
            wrap("<Other/>"),
            wrap(part) + "x",
            wrap(&many),
            wrap(&"<Part></Part>".repeat(10_002)),
            format!("<!DOCTYPE a>{}", wrap(part)),
            format!("<{ROOT} xmlns='x'>{part}</{ROOT}>"),
            format!("x{}", wrap(part)),
            wrap(part).replace('\n', "\r\n"),
            wrap(part).replace(&format!("</{ROOT}>"), ""),
        ];
        for document in &odd {
            assert_eq!(plain_parts(document.as_bytes()), None, "{document}");
        }
        for document in &plain {
            for at in 0..document.len() {
                for byte in [b'<', b'>', b'/', b'&', b' ', b'x'] {
                    let mut changed = document.clone().into_bytes();
                    changed[at] = byte;
                    if let Some(found) = plain_parts(&changed) {
                        let text = String::from_utf8_lossy(&changed);
                        assert_eq!(any_parts(&changed).ok(), Some(found), "{text}");
                    }
                }
            }
        }
    }
}
