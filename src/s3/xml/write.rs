//! Writes XML, element after element.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::NAMESPACE;
use crate::clock::Timestamp;
use crate::store::ETag;

/// A document in the making. Elements come out in the order in which they are put in.
#[derive(Debug)]
pub struct XmlWriter {
    out: String,
    root: Cow<'static, str>,
    /// The last time that was told, as text: what is listed together was often put in one second.
    second: Option<(Timestamp, String)>,
}

impl XmlWriter {
    /// A document whose root is in S3's namespace.
    pub fn new(root: &'static str) -> Self {
        Self::within(NAMESPACE, root)
    }

    /// A document whose root is in that namespace.
    pub fn within(namespace: &str, root: &'static str) -> Self {
        let mut out = String::with_capacity(1024);
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<");
        out.push_str(root);
        out.push_str(" xmlns=\"");
        out.push_str(namespace);
        out.push_str("\">");
        let root = Cow::Borrowed(root);
        let second = None;
        Self { out, root, second }
    }

    /// A document without a namespace, as S3's errors are.
    pub fn plain(root: impl Into<Cow<'static, str>>) -> Self {
        let root = root.into();
        let mut out = String::with_capacity(512);
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<");
        out.push_str(&root);
        out.push('>');
        let second = None;
        Self { out, root, second }
    }

    /// A run of elements that is to go into a document whose beginning is known only later.
    pub const fn part() -> Self {
        Self {
            out: String::new(),
            root: Cow::Borrowed(""),
            second: None,
        }
    }

    /// The elements of a part.
    pub fn append(&mut self, part: &Self) -> &mut Self {
        self.out.push_str(&part.out);
        self
    }

    /// `<name>value</name>`, escaped.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.tag("<", name);
        escape(value, &mut self.out);
        self.tag("</", name)
    }

    /// `<name>value</name>` for what needs no escaping: numbers and truth values.
    pub fn value(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.tag("<", name);
        // Writing to a String can't fail.
        let _infallible = write!(self.out, "{value}");
        self.tag("</", name)
    }

    /// The element where there is a value, nothing where there is none.
    pub fn optional(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// `<name>"tag"</name>`: an entity tag with its quotes.
    pub fn etag(&mut self, name: &str, etag: &ETag) -> &mut Self {
        self.tag("<", name);
        self.inner_etag(etag);
        self.tag("</", name)
    }

    /// `<name>time</name>`, to the second as S3 tells it, so that it is the same time as a
    /// `Last-Modified`.
    pub fn time(&mut self, name: &str, time: Timestamp) -> &mut Self {
        self.tag("<", name);
        self.inner_time(time);
        self.tag("</", name)
    }

    /// An element of elements.
    pub fn element(&mut self, name: &str, inner: impl FnOnce(&mut Self)) -> &mut Self {
        self.tag("<", name);
        inner(self);
        self.tag("</", name)
    }

    /// An element with attributes and elements.
    pub fn element_with(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
        inner: impl FnOnce(&mut Self),
    ) -> &mut Self {
        self.out.push('<');
        self.out.push_str(name);
        for (attribute, value) in attributes {
            self.out.push(' ');
            self.out.push_str(attribute);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        self.out.push('>');
        inner(self);
        self.tag("</", name)
    }

    /// Text of the element that is open, escaped: for a root that is nothing but text.
    pub fn inner_text(&mut self, value: &str) -> &mut Self {
        escape(value, &mut self.out);
        self
    }

    /// An entity tag with its quotes, in the element that is open.
    pub fn inner_etag(&mut self, etag: &ETag) -> &mut Self {
        self.out.push_str("&quot;");
        etag.write_to(&mut self.out);
        self.out.push_str("&quot;");
        self
    }

    /// A time as [`Self::time`] tells it, in the element that is open.
    pub fn inner_time(&mut self, time: Timestamp) -> &mut Self {
        let second = time.truncated_to_s();
        let told = self.second.take().filter(|(last, _text)| *last == second);
        let told = told.unwrap_or_else(|| (second, second.iso8601_ms()));
        self.out.push_str(&told.1);
        self.second = Some(told);
        self
    }

    /// A number, in the element that is open.
    pub fn inner_number(&mut self, number: u64) -> &mut Self {
        self.out.push_str(itoa::Buffer::new().format(number));
        self
    }

    /// Tags as they stand: of a listing's lines, which are a thousand times the same, in a third of the time
    /// that tag after tag takes.
    pub fn markup(&mut self, tags: &'static str) -> &mut Self {
        self.out.push_str(tags);
        self
    }

    /// The document.
    pub fn finish(mut self) -> String {
        let root = std::mem::take(&mut self.root);
        self.tag("</", &root);
        self.out
    }

    fn tag(&mut self, open: &str, name: &str) -> &mut Self {
        self.out.push_str(open);
        self.out.push_str(name);
        self.out.push('>');
        self
    }
}

/// Escapes what XML 1.0 can carry; what it can't carry at all becomes U+FFFD (clients that have
/// such keys ask for `encoding-type=url`).
fn escape(value: &str, out: &mut String) {
    // Most texts hold nothing of the kind, which shows in their bytes: U+FFFE and U+FFFF begin with 0xEF. Every
    // byte is looked at, so that the compiler takes many at once.
    let is_plain = |b: u8| (b >= b' ') & !matches!(b, b'<' | b'>' | b'&' | b'"' | 0xEF);
    if value.bytes().fold(true, |plain, b| plain & is_plain(b)) {
        out.push_str(value);
        return;
    }
    for c in value.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_their_order_and_are_escaped() {
        let mut xml = XmlWriter::new("A");
        xml.etag("T", &ETag::multipart([0xA7; 16], 3));
        xml.text("B", "a<&>b\"\r\u{1}\u{ffff}ü")
            .value("C", 7)
            .optional("D", None);
        let mut part = XmlWriter::part();
        part.value("F", true);
        xml.element("E", |xml| {
            xml.append(&part);
        });
        assert_eq!(
            xml.finish(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <A xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <T>&quot;a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7-3&quot;</T>\
             <B>a&lt;&amp;&gt;b&quot;&#13;\u{fffd}\u{fffd}ü</B><C>7</C><E><F>true</F></E></A>"
        );
    }
}
