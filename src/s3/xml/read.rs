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

/// Reads `bytes`, whose root must be `root`, without keeping it: `ended` hears of each element when it
/// ends how deep it lies (the root: 0), its name and its own text. For lists of thousands.
///
/// # Errors
/// As [`parse`]; what was heard until then means nothing.
pub fn visit(
    bytes: &[u8],
    root: &str,
    mut ended: impl FnMut(usize, &str, &str),
) -> Result<(), S3Error> {
    let mut is_root = false;
    let read = elements(bytes, |depth, told| {
        if let Told::End { name, text } = told {
            is_root = name == root; // the last one to end
            ended(depth, name, text);
        }
    });
    match read {
        Some(()) if is_root => Ok(()),
        _ => Err(S3Error::new(Code::MalformedXML)),
    }
}

fn tree(bytes: &[u8]) -> Option<Node> {
    let mut open: Vec<Node> = Vec::new();
    let mut root = None;
    elements(bytes, |_depth, told| match told {
        Told::Start(start) => open.push(named(start)),
        Told::End { text, .. } => {
            let Some(mut node) = open.pop() else {
                return; // every end has its start
            };
            text.clone_into(&mut node.text);
            match open.last_mut() {
                Some(parent) => parent.children.push(node),
                None => root = Some(node),
            }
        }
    })?;
    root
}

/// What is heard of an element.
enum Told<'a> {
    Start(&'a BytesStart<'a>),
    /// What stands between elements is white space, and no element's text.
    End {
        name: &'a str,
        text: &'a str,
    },
}

/// An element that has not ended.
struct Open {
    /// Where its text begins.
    text: usize,
    has_elements: bool,
}

/// Reads a document within limits, and tells of each element how deep it lies.
fn elements(bytes: &[u8], mut tell: impl FnMut(usize, Told<'_>)) -> Option<()> {
    let mut reader = Reader::from_str(std::str::from_utf8(bytes).ok()?);
    let mut open: Vec<Open> = Vec::new();
    // The texts of all elements that have not ended, one behind the other.
    let mut texts = String::new();
    let mut nodes = 0_usize;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                begin(&mut open, &mut nodes, texts.len())?;
                tell(open.len() - 1, Told::Start(&start));
            }
            Event::Empty(start) => {
                begin(&mut open, &mut nodes, texts.len())?;
                open.pop();
                tell(open.len(), Told::Start(&start));
                let (name, text) = (start.local_name().into_inner(), "");
                tell(open.len(), Told::End { name, text });
            }
            Event::End(end) => {
                let Open { text, has_elements } = open.pop()?;
                let own = texts.get(text..).filter(|_text| !has_elements);
                let (name, own) = (end.local_name().into_inner(), own.unwrap_or_default());
                tell(open.len(), Told::End { name, text: own });
                texts.truncate(text);
            }
            Event::Text(found) => push(&found.xml10_content(), &open, &mut texts)?,
            Event::CData(found) => push(&found.xml10_content(), &open, &mut texts)?,
            Event::GeneralRef(found) => {
                let mut utf8 = [0; 4];
                let character = match found.resolve_char_ref().ok()? {
                    Some(character) => character,
                    None => predefined(&found)?,
                };
                push(character.encode_utf8(&mut utf8), &open, &mut texts)?;
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::DocType(_) => return None,
            Event::Eof => return (open.is_empty() && nodes > 0).then_some(()),
        }
    }
}

/// An element begins, unless it would be a second root or one too many.
fn begin(open: &mut Vec<Open>, nodes: &mut usize, text: usize) -> Option<()> {
    match open.last_mut() {
        Some(parent) => parent.has_elements = true,
        None if *nodes > 0 => return None,
        None => {}
    }
    *nodes += 1;
    let has_elements = false;
    open.push(Open { text, has_elements });
    (open.len() <= DEPTH_MAX && *nodes <= NODES_MAX).then_some(())
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

fn push(text: &str, open: &[Open], texts: &mut String) -> Option<()> {
    if !open.is_empty() {
        texts.push_str(text);
        return Some(());
    }
    // Around the root only white space stands.
    text.trim().is_empty().then_some(())
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
    fn a_visit_hears_of_ends() {
        let xml = "<A> <B>x<!-- -->&lt;</B><C> <D/> </C>y</A>";
        let mut heard = Vec::new();
        let hear = |depth, name: &str, text: &str| heard.push(format!("{depth}{name}={text}"));
        visit(xml.as_bytes(), "A", hear).unwrap();
        assert_eq!(heard, ["1B=x<", "2D=", "1C=", "0A="]);
        for bad in ["<B/>", "<A>", "<A><B></A>", "<A/><A/>", ""] {
            let read = visit(bad.as_bytes(), "A", |_depth, _name, _text| {});
            assert_eq!(read.unwrap_err().code(), Code::MalformedXML, "{bad}");
        }
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
