//! The canonical request: the one text that signer and verifier must both arrive at.
//!
//! S3 encodes a path exactly once and normalises nothing: `//` and `..` are part of a key.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

use http::HeaderMap;

/// A query's names and values, decoded, in the order in which they came.
pub type Pairs<'a> = Vec<Pair<'a>>;

/// A name and its value. Most stand in the query as they are.
pub type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// So many names are compared with each other: that is sooner done than hashing them.
pub(super) const COMPARED_MAX: usize = 16;

/// Bytes that what a canonical request has beside path and query has room in, without growing.
const REST_BYTES: usize = 256;

/// Bytes that a presigned query has room in, encoded, without growing.
const QUERY_BYTES: usize = 512;

/// Characters that stand for themselves wherever they are.
#[expect(
    clippy::indexing_slicing,
    reason = "a constant: a byte beyond the table would not compile"
)]
const UNRESERVED: [bool; 256] = {
    let mut unreserved = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        unreserved[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    unreserved
};

/// Decodes `%XX`; a `%` that begins no escape stands for itself.
pub fn decode(text: &str, plus_is_space: bool) -> Cow<'_, [u8]> {
    let mut rest = text.as_bytes();
    // Most names and values hold nothing to decode.
    if !is_coded(rest) {
        return Cow::Borrowed(rest);
    }
    let mut out = Vec::with_capacity(rest.len());
    while let Some(run) = rest.iter().position(|byte| matches!(byte, b'%' | b'+')) {
        let (plain, behind) = rest.split_at(run);
        out.extend_from_slice(plain);
        let escaped = match behind {
            &[b'%', high, low, ref after @ ..] => nibbles(high, low).map(|byte| (byte, after)),
            _ => None,
        };
        let (byte, after) = match (escaped, behind) {
            (Some(escaped), _) => escaped,
            (None, [b'+', after @ ..]) if plus_is_space => (b' ', after),
            (None, [other, after @ ..]) => (*other, after),
            (None, []) => break,
        };
        out.push(byte);
        rest = after;
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// Whether there is anything to decode. All bytes are looked at, since the compiler looks at sixteen at once
/// where it needn't stop.
pub fn is_coded(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(false, |coded, byte| coded | matches!(byte, b'%' | b'+'))
}

/// The byte that two hexadecimal digits are.
pub fn nibbles(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

/// Encodes all but the unreserved characters, and `/` too unless `keep_slash`.
pub fn encode(bytes: &[u8], keep_slash: bool) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    encode_onto(&mut out, bytes, keep_slash);
    text_of(out)
}

/// What was encoded, as the text that it is.
fn text_of(encoded: Vec<u8>) -> String {
    // ASCII: it holds unreserved characters and escapes.
    String::from_utf8(encoded).unwrap_or_default()
}

fn is_plain(byte: u8, keep_slash: bool) -> bool {
    let unreserved = UNRESERVED.get(usize::from(byte));
    unreserved.is_some_and(|unreserved| *unreserved) || (keep_slash && byte == b'/')
}

fn encode_onto(out: &mut Vec<u8>, bytes: &[u8], keep_slash: bool) {
    let mut rest = bytes;
    loop {
        // What needs no escape is copied in one run.
        let run = rest.iter().position(|byte| !is_plain(*byte, keep_slash));
        let (plain, behind) = rest.split_at(run.unwrap_or(rest.len()));
        out.extend_from_slice(plain);
        let Some((escaped, after)) = behind.split_first() else {
            return;
        };
        let digit = |nibble: u8| if nibble < 10 { b'0' } else { b'A' - 10 } + nibble;
        out.extend_from_slice(&[b'%', digit(escaped >> 4), digit(escaped & 0xF)]);
        rest = after;
    }
}

/// The canonical form of a path as it came over the wire.
pub fn path(raw: &str) -> Cow<'_, str> {
    if raw.is_empty() {
        Cow::Borrowed("/")
    } else if is_canonical(raw.as_bytes()) {
        // As most clients send it.
        Cow::Borrowed(raw)
    } else {
        Cow::Owned(encode(&decode(raw, false), true))
    }
}

/// Whether all that must be escaped in a path is, as it must be, and nothing else.
fn is_canonical(mut path: &[u8]) -> bool {
    loop {
        let Some(run) = path.iter().position(|byte| !is_plain(*byte, true)) else {
            return true;
        };
        path = match path.get(run..) {
            Some(&[b'%', high, low, ref after @ ..]) => {
                let is_upper = !high.is_ascii_lowercase() && !low.is_ascii_lowercase();
                match nibbles(high, low) {
                    Some(byte) if is_upper && !is_plain(byte, true) => after,
                    _ => return false,
                }
            }
            _ => return false,
        };
    }
}

/// Takes a query string apart.
pub fn pairs(raw: &str) -> Pairs<'_> {
    let mut pairs = Vec::with_capacity(COMPARED_MAX.min(raw.len()));
    pairs.extend(pieces(raw).map(|(name, value)| (decode(name, true), decode(value, true))));
    pairs
}

/// The names and values of a query as they were sent.
pub fn pieces(raw: &str) -> impl Iterator<Item = (&str, &str)> {
    // Byte by byte: to find a mark in texts as short as these, `str`'s own search takes longer.
    let until = |text: &str, mark: u8| text.bytes().position(|byte| byte == mark);
    let mut rest = raw;
    std::iter::from_fn(move || {
        let mut piece = "";
        while piece.is_empty() {
            if rest.is_empty() {
                return None;
            }
            let end = until(rest, b'&').unwrap_or(rest.len());
            piece = rest.get(..end)?;
            rest = rest.get(end.saturating_add(1)..).unwrap_or_default();
        }
        let end = until(piece, b'=').unwrap_or(piece.len());
        let value = piece.get(end.saturating_add(1)..).unwrap_or_default();
        Some((piece.get(..end)?, value))
    })
}

/// The canonical form of `pairs`, sorted by encoded name and value.
///
/// All are encoded into one text, and what is sorted are their places in it: a text for each name and each
/// value took two thirds more.
pub fn query<'a, 'p: 'a>(pairs: impl Iterator<Item = &'a Pair<'p>>) -> String {
    let mut encoded = Vec::with_capacity(QUERY_BYTES);
    let mut places = Vec::with_capacity(COMPARED_MAX);
    for (name, value) in pairs {
        let begin = encoded.len();
        encode_onto(&mut encoded, name, false);
        let middle = encoded.len();
        encode_onto(&mut encoded, value, false);
        places.push((begin..middle, middle..encoded.len()));
    }
    let encoded = text_of(encoded);
    let text = |place: &Range<usize>| encoded.get(place.clone()).unwrap_or_default();
    let both = |(name, value): &(Range<usize>, Range<usize>)| (text(name), text(value));
    places.sort_unstable_by(|one, other| both(one).cmp(&both(other)));
    let marks = places.len().saturating_mul(2);
    let mut joined = String::with_capacity(encoded.len().saturating_add(marks));
    for (name, value) in places.iter().map(both) {
        if !joined.is_empty() {
            joined.push('&');
        }
        joined.push_str(name);
        joined.push('=');
        joined.push_str(value);
    }
    joined
}

/// Whether no header has this name, in lower case. Few headers are compared with it sooner than `HeaderMap` has read
/// and hashed it.
pub fn lacks(headers: &HeaderMap, name: &str) -> bool {
    if headers.keys_len() > COMPARED_MAX {
        return !headers.contains_key(name);
    }
    !headers.keys().any(|other| other.as_str() == name)
}

/// A header's values as one: trimmed, inner runs of spaces folded, repeats joined by commas.
pub fn header_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    if lacks(headers, name) {
        return None;
    }
    let mut values = headers.get_all(name).iter();
    let mut joined = fold(values.next()?.as_bytes());
    for value in values {
        let joined = joined.to_mut();
        joined.push(',');
        joined.push_str(&fold(value.as_bytes()));
    }
    Some(joined)
}

fn fold(value: &[u8]) -> Cow<'_, str> {
    // Most values have nothing to fold.
    if !value.iter().any(|byte| matches!(byte, b' ' | b'\t')) {
        return text(value);
    }
    let words = value.split(|byte| matches!(byte, b' ' | b'\t'));
    let mut folded = String::with_capacity(value.len());
    for word in words.filter(|word| !word.is_empty()) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(&text(word));
    }
    Cow::Owned(folded)
}

/// A header's bytes as text. Those that are no UTF-8 are written out behind a character that no header
/// can hold: as one replacement for all, they could be exchanged under one signature.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _infallible = write!(out, "\u{1}{byte:02x}");
        }
    }
    Cow::Owned(out)
}

/// A parameter that has two values. The canonical query does not tell which came first, so that whoever
/// holds a signed one could choose which of them counts.
pub(super) fn ambiguous<'a>(pairs: &'a Pairs<'_>) -> Option<&'a [u8]> {
    // A dozen are compared sooner than they are hashed; a long query may not cost its length squared.
    if pairs.len() <= COMPARED_MAX {
        let mut later = pairs.as_slice();
        while let Some(((name, value), rest)) = later.split_first() {
            let other = |(n, v): &&Pair<'_>| n.eq_ignore_ascii_case(name) && v != value;
            if let Some((name, _value)) = rest.iter().find(other) {
                return Some(name);
            }
            later = rest;
        }
        return None;
    }
    let mut values = HashMap::with_capacity(pairs.len());
    pairs.iter().find_map(|(name, value)| {
        let earlier = values.insert(name.to_ascii_lowercase(), value);
        earlier
            .is_some_and(|earlier| earlier != value)
            .then_some(&**name)
    })
}

/// What the canonical request is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a, Name = String, Value = String> {
    /// The method.
    pub method: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// The canonical query.
    pub query: &'a str,
    /// Lower-case names and folded values of the headers that are signed, in order.
    pub headers: &'a [(Name, Value)],
    /// The names of the signed headers, as the signer listed them.
    pub signed: &'a str,
    /// The payload's SHA-256 or the word that stands for it.
    pub payload: &'a str,
}

impl<Name: AsRef<str>, Value: AsRef<str>> Parts<'_, Name, Value> {
    /// The canonical request.
    pub fn text(&self) -> String {
        let Self {
            method,
            path,
            query,
            headers,
            signed,
            payload,
        } = self;
        let lens = [path.len(), query.len(), signed.len(), REST_BYTES];
        let mut text = String::with_capacity(lens.into_iter().fold(0, usize::saturating_add));
        let mut add = |pieces: [&str; 4]| pieces.iter().for_each(|piece| text.push_str(piece));
        add([method, "\n", path, "\n"]);
        add([query, "\n", "", ""]);
        for (name, value) in *headers {
            add([name.as_ref(), ":", value.as_ref(), "\n"]);
        }
        add(["\n", signed, "\n", payload]);
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_encoded_once_and_never_normalised() {
        for (raw, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("/a//b", "/a//b"),
            ("/a/../b/.", "/a/../b/."),
            ("/a%2Fb", "/a/b"),
            ("/a%2fb%7e", "/a/b~"),
            ("/a+b", "/a%2Bb"),
            ("/a b", "/a%20b"),
            ("/100%", "/100%25"),
            ("/%zz", "/%25zz"),
            ("/%25", "/%25"),
            ("/ä", "/%C3%A4"),
            ("/test$file.text", "/test%24file.text"),
            ("/(a)!*'", "/%28a%29%21%2A%27"),
            ("/%28a%29/%C3%A4%20", "/%28a%29/%C3%A4%20"),
            ("/%c3%A4", "/%C3%A4"),
            ("/%41%7E", "/A~"),
            ("/a%2", "/a%252"),
            ("/a%2%20", "/a%252%20"),
        ] {
            assert_eq!(path(raw), canonical, "{raw}");
        }
    }

    #[test]
    fn a_query_is_sorted_and_encoded() {
        for (raw, canonical) in [
            ("", ""),
            ("lifecycle", "lifecycle="),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("a=b+c", "a=b%20c"),
            ("a+b=c", "a%20b=c"),
            ("a=b%2Bc", "a=b%2Bc"),
            ("a=b=c", "a=b%3Dc"),
            ("&&a=1&", "a=1"),
            ("a=/", "a=%2F"),
            ("a=%", "a=%25"),
            ("prefix=J&max-keys=2", "max-keys=2&prefix=J"),
        ] {
            assert_eq!(query(pairs(raw).iter()), canonical, "{raw}");
        }
    }

    #[test]
    fn header_values_are_folded_and_joined() {
        let mut headers = HeaderMap::new();
        headers.append("x-amz-a", http::HeaderValue::from_static("  b   c "));
        headers.append("x-amz-a", http::HeaderValue::from_static("d"));
        assert_eq!(header_value(&headers, "x-amz-a").as_deref(), Some("b c,d"));
        assert_eq!(header_value(&headers, "x-amz-b"), None);
        headers.insert("x-amz-b", http::HeaderValue::from_static("\tb\t\tc"));
        assert_eq!(header_value(&headers, "x-amz-b").as_deref(), Some("b c"));
    }

    #[test]
    fn bytes_that_are_no_text_are_not_taken_for_each_other() {
        let canonical = |bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-a", http::HeaderValue::from_bytes(bytes).unwrap());
            header_value(&headers, "x-amz-a").unwrap().into_owned()
        };
        assert_eq!(canonical("ä  ü".as_bytes()), "ä ü");
        assert_ne!(canonical(b"\xff"), canonical(b"\xfe"));
        assert_ne!(canonical(b"\xe4 \xfc"), canonical(b"\xe4 \xfd"));
        assert_ne!(canonical(b"\xff"), canonical("\u{fffd}".as_bytes()));
    }

    #[test]
    fn a_parameter_of_two_values_is_ambiguous() {
        let found = |raw| ambiguous(&pairs(raw)).map(<[u8]>::to_vec);
        assert_eq!(found("a=1&b=1&a=1"), None);
        assert_eq!(found("a=1&b=1&a=2"), Some(b"a".to_vec()));
        assert_eq!(
            found("x-amz-acl=a&X-Amz-Acl=b"),
            Some(b"X-Amz-Acl".to_vec())
        );
        let many: Vec<_> = (0..=COMPARED_MAX).map(|n| format!("n{n}=1")).collect();
        let many = many.join("&");
        assert_eq!(found(&many), None);
        assert_eq!(found(&format!("{many}&N3=2")), Some(b"N3".to_vec()));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(bytes: Vec<u8>, keep: bool) {
            let encoded = encode(&bytes, keep);
            prop_assert_eq!(&*decode(&encoded, true), bytes);
        }

        #[test]
        fn canonical_forms_are_fixed_points(raw in "[ -~]{0,40}") {
            let once = path(&raw);
            prop_assert_eq!(path(&once), once.clone());
            let once = query(pairs(&raw).iter());
            prop_assert_eq!(query(pairs(&once).iter()), once.clone());
        }
    }
}
