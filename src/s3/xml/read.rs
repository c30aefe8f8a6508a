//! Reads a small XML document into a tree, within limits.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::s3::error::{Code, S3Error};

/// Elements in each other, at most: S3's deepest document has five.
const DEPTH_MAX: usize = 16;
/// Elements of one document, at most: `CompleteMultipartUpload` of 10,000 parts has about 80,000.
const NODES_MAX: usize = 120_000;

/// An element.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, without a namespace prefix.
    pub name: String,
    /// Its `xsi:type`, as it stands there.
    pub kind: Option<String>,
    /// Its own text.
    pub text: String,
    /// The elements in it, in order.
    pub children: Vec<Node>,
}

impl Node {
    /// The first element of that name in it.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All elements of that name in it.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first element of that name in it.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The text of an element that must be there.
    ///
    /// # Errors
    /// `MalformedXML` where it isn't.
    pub fn required(&self, name: &str) -> Result<&str, S3Error> {
        self.text_of(name).ok_or(S3Error::new(Code::MalformedXML))
    }
}

/// Reads `bytes`, whose root must be `root`.
///
/// # Errors
/// `MalformedXML` for anything that is no XML, has a document type or is deeper or bigger than any
/// document of S3.
pub fn parse(bytes: &[u8], root: &str) -> Result<Node, S3Error> {
    match tree(bytes) {
        Some(node) if node.name == root => Ok(node),
        _ => Err(S3Error::new(Code::MalformedXML)),
    }
}

/// Reads a document of ours, whatever its root.
///
/// # Errors
/// `InternalError` for what is none.
pub fn parse_any(bytes: &[u8]) -> Result<Node, S3Error> {
    tree(bytes).ok_or(S3Error::new(Code::InternalError))
}

fn tree(bytes: &[u8]) -> Option<Node> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Node> = Vec::new();
    let mut root = None;
    let mut nodes = 0_usize;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                nodes += 1;
                if root.is_some() || open.len() >= DEPTH_MAX || nodes > NODES_MAX {
                    return None;
                }
                open.push(named(&start));
            }
            Event::Empty(start) => {
                nodes += 1;
                if root.is_some() || open.len() >= DEPTH_MAX || nodes > NODES_MAX {
                    return None;
                }
                close(named(&start), &mut open, &mut root);
            }
            Event::End(_) => {
                let mut node = open.pop()?;
                if !node.children.is_empty() {
                    // What stands between elements is white space.
                    node.text.clear();
                }
                close(node, &mut open, &mut root);
            }
            Event::Text(found) => push(&found.xml10_content(), &mut open)?,
            Event::CData(found) => push(&found.xml10_content(), &mut open)?,
            Event::GeneralRef(found) => {
                let mut utf8 = [0; 4];
                let character = match found.resolve_char_ref().ok()? {
                    Some(character) => character,
                    None => predefined(&found)?,
                };
                push(character.encode_utf8(&mut utf8), &mut open)?;
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::DocType(_) => return None,
            Event::Eof => return if open.is_empty() { root } else { None },
        }
    }
}

fn predefined(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

fn named(start: &BytesStart<'_>) -> Node {
    let name = start.local_name().into_inner().to_owned();
    // The one attribute that means something in a document of S3.
    let mut attributes = start.attributes();
    let kind = attributes.with_checks(false).flatten();
    let mut kind = kind.filter(|attribute| attribute.key.as_ref() == "xsi:type");
    Node {
        name,
        kind: kind.next().map(|attribute| attribute.value.into_owned()),
        ..Node::default()
    }
}

fn close(node: Node, open: &mut [Node], root: &mut Option<Node>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(node),
        None => *root = Some(node),
    }
}

fn push(text: &str, open: &mut [Node]) -> Option<()> {
    match open.last_mut() {
        Some(node) => node.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_a_tree() {
        let xml = b"<?xml version=\"1.0\"?>\n<Delete xmlns=\"x\"> <Object><Key>a&amp;&#98;<![CDATA[<]]></Key></Object>\n<Quiet/></Delete>\n";
        let tree = parse(xml, "Delete").unwrap();
        assert_eq!(
            tree.child("Object").and_then(|o| o.text_of("Key")),
            Some("a&b<")
        );
        assert_eq!(tree.text_of("Quiet"), Some(""));
        let typed = b"<Grantee xmlns:xsi=\"x\" xsi:type='Group'/>";
        let typed = parse(typed, "Grantee").unwrap();
        assert_eq!(typed.kind.as_deref(), Some("Group"));
        assert_eq!(tree.all("Object").count(), 1);
    }

    #[test]
    fn what_is_no_document_of_s3_is_refused() {
        let deep = "<a>".repeat(17) + &"</a>".repeat(17);
        for xml in [
            "",
            "a",
            "<a>",
            "<a></b>",
            "<a/><a/>",
            "<b/>",
            "<a>&e;</a>",
            &deep,
            "<a/>x",
            "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
        ] {
            assert_eq!(
                parse(xml.as_bytes(), "a").unwrap_err().code(),
                Code::MalformedXML,
                "{xml}"
            );
        }
    }
}
