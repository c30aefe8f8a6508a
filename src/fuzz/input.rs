//! How a target reads its input: text that a person can write, and behind a mark the decisions of
//! the run.

use std::future::Future;

/// Parts the text from the decisions.
const MARK: &[u8] = b"\n%%";
/// Edits of one run.
const EDITS_MAX: usize = 4;

/// The text, and the decisions behind the last mark.
pub(super) fn split(data: &[u8]) -> (&[u8], Script<'_>) {
    let at = data.windows(MARK.len()).rposition(|three| three == MARK);
    match at {
        Some(at) => (&data[..at], Script(&data[at + MARK.len()..])),
        None => (data, Script(&[])),
    }
}

/// [`split`], where the text is one.
pub(super) fn split_text(data: &[u8]) -> Option<(&str, Script<'_>)> {
    let (text, script) = split(data);
    Some((std::str::from_utf8(text).ok()?, script))
}

/// Decisions; zeros where there are no more.
pub(super) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `count`; 0 where there is none.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let number = usize::from(self.byte()) << 8 | usize::from(self.byte());
        number.checked_rem(count).unwrap_or(0)
    }

    pub(super) fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// `bytes` in pieces of decided lengths; the last has all that is left.
    pub(super) fn cut(&mut self, bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let (mut pieces, mut left) = (Vec::new(), bytes);
        while !self.is_over() && !left.is_empty() {
            let (piece, rest) = left.split_at(usize::from(self.byte()).min(left.len()));
            if !piece.is_empty() {
                pieces.push(piece);
            }
            left = rest;
        }
        pieces.push(left);
        pieces
    }

    /// `text` with some decided edits, such as one who holds a signed request might make.
    pub(super) fn edit(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _edit in 0..=usize::from(self.byte()) % EDITS_MAX {
            self.edit_once(&mut bytes);
        }
        String::from_utf8(bytes).unwrap_or_else(|_no_utf8| text.to_owned())
    }

    fn edit_once(&mut self, bytes: &mut Vec<u8>) {
        let (kind, at) = (self.byte() % 9, self.below(bytes.len() + 1));
        let here = bytes.get(at).copied();
        match (kind, here) {
            (0, Some(_)) => bytes[at] = self.byte(),
            (1, _) => bytes.insert(at, self.byte()),
            (2, Some(_)) => drop(bytes.remove(at)),
            (3, Some(byte)) => bytes[at] = byte ^ 0x20,
            (4, Some(byte)) => {
                let lower = self.byte() & 1 == 1;
                let escape = if lower {
                    format!("%{byte:02x}")
                } else {
                    format!("%{byte:02X}")
                };
                drop(bytes.splice(at..=at, escape.into_bytes()));
            }
            (5, Some(b'%')) if bytes.len() > at + 2 => {
                let digits = &bytes[at + 1..at + 3];
                let byte = std::str::from_utf8(digits).ok();
                if let Some(byte) = byte.and_then(|two| u8::from_str_radix(two, 16).ok()) {
                    drop(bytes.splice(at..at + 3, [byte]));
                }
            }
            (6, Some(_)) => {
                let end = (at + 1 + self.below(16)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                let to = self.below(bytes.len() + 1);
                drop(bytes.splice(to..to, again));
            }
            (7, _) => {
                let mut pairs: Vec<_> = bytes.split(|byte| *byte == b'&').collect();
                let (one, two) = (self.below(pairs.len()), self.below(pairs.len()));
                pairs.swap(one, two);
                *bytes = pairs.join(&b'&');
            }
            (_, _) => {
                let word = WORDS[self.below(WORDS.len())];
                drop(bytes.splice(at..at, word.bytes()));
            }
        }
    }
}

/// What changes a request's meaning, if anything does.
const WORDS: &[&str] = &[
    "/",
    "//",
    "/../",
    "%2F",
    "%2f",
    "%00",
    "%",
    "+",
    "%20",
    "%2B",
    " ",
    "&",
    "=",
    "?",
    "&acl",
    "&versionId=null",
    "&x-amz-acl=public-read",
    "&x-consign-once=1",
    ":80",
    ":443",
    ",",
    ";",
    "\t",
    "  ",
    "\u{e4}",
    "&x-amz-meta-a=1",
    "&X-Amz-Expires=9",
];

/// Runs what is asynchronous to its end.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
