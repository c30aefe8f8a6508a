//! Patterns of media types.

use crate::auth::policy::glob::Glob;

/// Patterns such as `image/*`, one of which a `Content-Type` must match.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct ContentTypes(#[n(0)] Vec<String>);

/// Patterns at most.
const PATTERNS_MAX: usize = 32;

impl ContentTypes {
    /// Reads patterns between commas. Each is a media type without parameters, in which `*` stands
    /// for any characters of a token, or none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let patterns: Vec<String> = text.split(',').map(str::to_ascii_lowercase).collect();
        let good = patterns
            .iter()
            .all(|pattern| essence(pattern) == Some(pattern));
        (good && patterns.len() <= PATTERNS_MAX).then_some(Self(patterns))
    }

    /// Whether `content_type` is a media type that matches. Its parameters do not count. What
    /// readers might take for several types matches nothing: a browser that is sent
    /// `image/png, text/html` shows HTML.
    pub fn admit(&self, content_type: &str) -> bool {
        if content_type.contains(',') {
            return false;
        }
        let Some(found) = essence(content_type).filter(|found| !found.contains('*')) else {
            return false;
        };
        let found = found.to_ascii_lowercase();
        self.0
            .iter()
            .any(|pattern| Glob::spelled(pattern).matches_text(&found))
    }

    /// The patterns, as they were given.
    pub fn text(&self) -> String {
        self.0.join(",")
    }
}

/// `type/subtype`, without parameters; none where it is not that.
fn essence(text: &str) -> Option<&str> {
    let essence = text.split(';').next()?.trim_end_matches([' ', '\t']);
    let (kind, subtype) = essence.split_once('/')?;
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
    (is_token(kind) && is_token(subtype)).then_some(essence)
}

/// A character of a token, as RFC 9110 has it; `*`, which stands in patterns, is one.
const fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\''
        | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_type_matches_whatever_its_case_and_parameters() {
        for (patterns, given, admitted) in [
            ("image/*", "image/png", true),
            ("image/*", "IMAGE/PNG", true),
            ("IMAGE/*", "image/svg+xml; charset=utf-8", true),
            ("image/*,application/pdf", "application/pdf", true),
            ("image/*,application/pdf", "application/pdfx", false),
            ("application/*+json", "application/ld+json", true),
            ("application/*+json", "application/json", false),
            ("*/*", "a/b", true),
            ("image/png", "image/png ;q=1", true),
            ("image/*", "image/", false),
            ("image/*", "image", false),
            ("image/*", "", false),
            ("image/*", "image/*", false),
            ("image/*", "image/png, text/html", false),
            ("image/*", "image/png;a=b,text/html", false),
            ("image/*", "image/png/../html", false),
            ("image/*", "image/p ng", false),
            ("image/*", " image/png", false),
            ("image/*", "text/html;image/png", false),
        ] {
            let patterns = ContentTypes::parse(patterns).unwrap();
            assert_eq!(patterns.admit(given), admitted, "{patterns:?} {given}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "", "*", "image", "image/", "/png", "image/*,", "a/b/c", "a /b", "a/b, c/d", "a/b;c=d",
        ] {
            assert_eq!(ContentTypes::parse(text), None, "{text}");
        }
        let many = vec!["a/b"; PATTERNS_MAX + 1].join(",");
        assert_eq!(ContentTypes::parse(&many), None);
    }

    proptest! {
        #[test]
        fn a_pattern_of_one_kind_admits_that_kind_alone(
            kind in "[a-z]{1,9}", other in "[a-z]{1,9}", subtype in "[a-z0-9.+-]{1,20}"
        ) {
            let pattern = ContentTypes::parse(&format!("{kind}/*")).unwrap();
            let given = format!("{other}/{subtype}");
            prop_assert_eq!(pattern.admit(&given), kind == other);
        }

        #[test]
        fn whatever_comes_is_judged_without_a_fault(patterns in ".{0,60}", given in ".{0,60}") {
            if let Some(patterns) = ContentTypes::parse(&patterns) {
                let admitted = patterns.admit(&given);
                prop_assert!(!admitted || given.matches('/').count() >= 1);
            }
        }

        #[test]
        fn a_comma_is_never_admitted(before in "[a-z]{1,9}", after in ".{0,20}") {
            let all = ContentTypes::parse("*/*").unwrap();
            let given = format!("{before}/{before},{after}");
            prop_assert!(!all.admit(&given));
        }
    }
}
