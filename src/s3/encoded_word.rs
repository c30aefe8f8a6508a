//! Text in headers that is not plain ASCII: the encoded words of RFC 2047, as S3 takes and sends user
//! metadata. Which of the two encodings a text gets, and which characters it keeps, is as S3 does it.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of one word's encoded text: RFC 2047 allows 75 for the whole word.
const TEXT_MAX: usize = 63;

/// `text` as it can stand in a header: itself where it is plain.
pub fn encode(text: &str) -> Cow<'_, str> {
    let plain = |c: char| (c.is_ascii() && !c.is_ascii_control()) || c == '\t';
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let odd = text.chars().filter(|c| !plain(*c)).count();
    let mostly_plain = text.chars().count() - odd > odd;
    let mut words = Vec::new();
    push_words(text, if mostly_plain { q } else { b }, &mut words);
    Cow::Owned(words.join(" "))
}

/// `text` as a header in which [`decode`] finds it again, also where it looks like a word itself.
pub fn encode_literally(text: &str) -> Cow<'_, str> {
    if !text.contains("=?") {
        return encode(text);
    }
    let mut words = Vec::new();
    push_words(text, b, &mut words);
    Cow::Owned(words.join(" "))
}

/// One word, or as many as it takes: halves of halves, cut between characters.
fn push_words(text: &str, encoding: fn(&str) -> (char, String), words: &mut Vec<String>) {
    let (letter, encoded) = encoding(text);
    let count = text.chars().count();
    let middle = text.char_indices().nth(count / 2).map(|(at, _)| at);
    match middle.and_then(|at| text.split_at_checked(at)) {
        Some((left, right)) if encoded.len() > TEXT_MAX && !left.is_empty() => {
            push_words(left, encoding, words);
            push_words(right, encoding, words);
        }
        _ => words.push(format!("=?UTF-8?{letter}?{encoded}?=")),
    }
}

fn b(text: &str) -> (char, String) {
    ('B', STANDARD.encode(text))
}

fn q(text: &str) -> (char, String) {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('_'),
            b'=' | b'_' | b'?' | 0..=31 | 127.. => {
                // Writing to a String can't fail.
                let _infallible = write!(out, "={byte:02X}");
            }
            byte => out.push(char::from(byte)),
        }
    }
    ('Q', out)
}

/// `text` with its encoded words decoded. What is no word, or one that can't be read, stays as it is.
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains("=?") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut after_word = false;
    for piece in text.split_inclusive(' ') {
        let (word, space) = match piece.strip_suffix(' ') {
            Some(word) => (word, " "),
            None => (piece, ""),
        };
        let Some(decoded) = decoded_word(word) else {
            out.push_str(piece);
            after_word = false;
            continue;
        };
        // The space between two words only parts them.
        if after_word {
            out.pop();
        }
        out.push_str(&decoded);
        out.push_str(space);
        after_word = !space.is_empty();
    }
    Cow::Owned(out)
}

fn decoded_word(word: &str) -> Option<String> {
    let inner = word.strip_prefix("=?")?.strip_suffix("?=")?;
    let (charset, rest) = inner.split_once('?')?;
    let (encoding, text) = rest.split_once('?')?;
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(text).ok()?,
        "Q" | "q" => unquoted(text)?,
        _ => return None,
    };
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

fn unquoted(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'_' => out.push(b' '),
            b'=' => {
                let digits = [bytes.next()?, bytes.next()?];
                let mut byte = [0];
                hex::decode_to_slice(digits, &mut byte).ok()?;
                out.extend(byte);
            }
            byte => out.push(byte),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What S3 was seen to send for these.
    #[test]
    fn words_are_those_of_s3() {
        for (text, word) in [
            ("plain = _ ? ~\t", "plain = _ ? ~\t"),
            ("ÄMÄZÕÑ S3", "=?UTF-8?Q?=C3=84M=C3=84Z=C3=95=C3=91_S3?="),
            (
                "test_—_file%E2%80%94_é_2?.pdf",
                "=?UTF-8?Q?test=5F=E2=80=94=5Ffile%E2%80%94=5F=C3=A9=5F2=3F.pdf?=",
            ),
            ("\0\u{1}\u{2}\u{3}", "=?UTF-8?B?AAECAw==?="),
            ("\u{fffd}a\u{fffd}", "=?UTF-8?B?77+9Ye+/vQ==?="),
            (
                "a forged\r\nheader: x",
                "=?UTF-8?Q?a_forged=0D=0Aheader:_x?=",
            ),
        ] {
            assert_eq!(encode(text), word);
            assert_eq!(decode(word), text);
        }
        assert_eq!(decode("=?UTF-8?Q?actually-ascii?="), "actually-ascii");
        assert_eq!(
            decode("a =?utf-8?b?w6k=?= =?iso-8859-1?q?=E9?= b"),
            "a éé b"
        );
        for broken in [
            "=?UTF-8?B?=GGG?=",
            "=?UTF-8?Q?=G0?=",
            "=?koi8-r?B?YWJj?=",
            "=?x",
        ] {
            assert_eq!(decode(broken), broken);
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back_and_is_fit_for_a_header(text in "\\PC{0,80}|[\\x00-\\x7f]{0,40}") {
            let word = encode(&text);
            prop_assert!(word.chars().all(|c| (' '..='~').contains(&c) || c == '\t'));
            let literal = format!("=?UTF-8?Q?a?= {text}");
            let kept = encode_literally(&literal);
            prop_assert_eq!(decode(&kept), literal.as_str());
            if word != text {
                prop_assert_eq!(decode(&word), text.as_str());
            }
        }
    }
}
