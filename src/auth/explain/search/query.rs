//! Parameters that came, went or were written in another way.

use std::borrow::Cow;

use super::super::super::canonical::{self, Pair, Pairs, encode};
use super::super::super::request::covered_pairs;
use super::draft::Draft;
use super::{Kind, Scene, Trial};

/// Parameters that are looked at one by one.
const PARAMETERS_MAX: usize = 64;

/// What mail programs, link scanners and trackers add.
const TRACKERS: &[&str] = &[
    "utm_", "fbclid", "gclid", "gbraid", "wbraid", "msclkid", "dclid", "mc_cid", "mc_eid", "_ga",
    "_gl", "_hs", "igshid", "yclid", "ref", "source", "cb", "nocache",
];

/// What SDKs sign into URLs, and some tools take out again.
const USUAL: &[(&str, &str)] = &[
    ("x-id", "GetObject"),
    ("x-id", "PutObject"),
    ("x-id", "UploadPart"),
    ("x-id", "HeadObject"),
    ("x-id", "DeleteObject"),
    ("x-amz-checksum-mode", "ENABLED"),
    ("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"),
    ("list-type", "2"),
    ("response-content-disposition", "attachment"),
    ("response-content-disposition", "inline"),
    ("versionId", "null"),
];

/// What a JavaScript SDK adds that has no body at hand: the checksum of nothing.
const EMPTY_CHECKSUM: &[(&str, &str)] = &[
    ("x-amz-checksum-crc32", "AAAAAA=="),
    ("x-amz-sdk-checksum-algorithm", "CRC32"),
];

impl Scene<'_> {
    pub(super) fn parameters(&self, trial: &mut Trial<'_>) {
        self.added(trial);
        self.removed(trial);
        self.forms(trial);
    }

    /// The pairs that a signature covers as the request came.
    fn covered(&self) -> Pairs<'_> {
        covered_pairs(&self.pairs).cloned().collect()
    }

    fn added(&self, trial: &mut Trial<'_>) {
        let covered = self.covered();
        let is_tracker = |name: &str| TRACKERS.iter().any(|tracker| name.starts_with(tracker));
        for (at, (name, _)) in covered.iter().enumerate().take(PARAMETERS_MAX) {
            let name = String::from_utf8_lossy(name).into_owned();
            let others = covered.iter().enumerate().filter(|(other, _)| *other != at);
            let query = canonical::query(others.map(|(_, pair)| pair));
            let kind = if name.eq_ignore_ascii_case("x-amz-security-token") {
                Kind::TokenUnsigned
            } else {
                Kind::ParameterAdded
            };
            let scanner = if is_tracker(&name) {
                " A mail program, link scanner or tracker may have done it."
            } else {
                ""
            };
            trial.attempt(kind, &self.base.with_query(query), || {
                (
                    format!("The query parameter \"{name}\" was added after signing.{scanner}"),
                    "Add parameters before the URL is signed, or leave the signed URL as it is."
                        .to_owned(),
                )
            });
        }
        let of = |keep: &dyn Fn(&str) -> bool| {
            let kept = covered
                .iter()
                .filter(|(name, _)| keep(&String::from_utf8_lossy(name)));
            canonical::query(kept)
        };
        let ours = |name: &str| name.to_ascii_lowercase().starts_with("x-amz-");
        let groups: [&dyn Fn(&str) -> bool; 2] = [&|name| !is_tracker(name), &ours];
        for keep in groups {
            let names = covered
                .iter()
                .map(|(name, _)| String::from_utf8_lossy(name).into_owned());
            let names: Vec<_> = names.filter(|name| !keep(name)).collect();
            trial.attempt(Kind::ParameterAdded, &self.base.with_query(of(keep)), || {
                (
                    format!("Query parameters were added after signing: {}.", names.join(", ")),
                    "Add parameters before the URL is signed, or leave the signed URL as it is.".to_owned(),
                )
            });
        }
    }

    fn removed(&self, trial: &mut Trial<'_>) {
        let covered = self.covered();
        let with = |more: &[(&str, &str)]| {
            let more = more
                .iter()
                .map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()));
            let all: Pairs<'_> = covered.iter().cloned().chain(more).collect();
            self.base.with_query(canonical::query(all.iter()))
        };
        let [checksum, algorithm] = EMPTY_CHECKSUM else {
            return;
        };
        for more in [EMPTY_CHECKSUM, &[*checksum], &[*algorithm]] {
            trial.attempt(Kind::EmptyChecksum, &with(more), || {
                (
                    "It was signed with the checksum of an empty body (x-amz-checksum-crc32=AAAAAA==), as \
                     JavaScript SDKs sign it into URLs, and came without it."
                        .to_owned(),
                    "Leave the URL as it is; or make the SDK leave the checksum out: \
                     requestChecksumCalculation: \"WHEN_REQUIRED\"."
                        .to_owned(),
                )
            });
        }
        for (name, value) in USUAL {
            trial.attempt(Kind::ParameterRemoved, &with(&[(name, value)]), || {
                (
                    format!("The query parameter {name}={value} was signed and did not come."),
                    "Send the URL with every parameter that it was signed with.".to_owned(),
                )
            });
        }
    }

    fn forms(&self, trial: &mut Trial<'_>) {
        let covered = self.covered();
        let told = |what: &str| {
            let fix = "Sign the query in its canonical form: names and values encoded once, with %20 for a \
                       space and %2B for a plus, sorted, each with its \"=\".";
            (what.to_owned(), fix.to_owned())
        };
        let join = |parts: Vec<String>| self.base.with_query(parts.join("&"));
        let raw: Vec<_> = self.raw_pieces();
        let plain: Pairs<'_> = raw
            .iter()
            .map(|piece| {
                let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                (
                    canonical::decode(name, false),
                    canonical::decode(value, false),
                )
            })
            .collect();
        let drafts: [(Kind, Draft, &str); 6] = [
            (
                Kind::Plus,
                self.base.with_query(canonical::query(plain.iter())),
                "The query has a \"+\" that was signed as a plus (%2B): in a query it means a space.",
            ),
            (
                Kind::Plus,
                self.base.with_query(self.base.query.replace("%20", "+")),
                "A space in the query was signed as \"+\", where the canonical form has %20.",
            ),
            (
                Kind::DoubleEncoding,
                self.base
                    .with_query(canonical::query(again(&covered).iter())),
                "The query was encoded twice when it was signed.",
            ),
            (
                Kind::DoubleEncoding,
                self.base
                    .with_query(canonical::query(once_more(&covered).iter())),
                "The query came encoded twice: something between encoded it again.",
            ),
            (
                Kind::QueryForm,
                join(covered.iter().map(piece).collect()),
                "The query was signed in the order in which it was sent: it must be sorted.",
            ),
            (
                Kind::QueryForm,
                self.base.with_query(without_empty(&self.base.query)),
                "A parameter without a value was signed without its \"=\".",
            ),
        ];
        for (kind, draft, what) in drafts {
            trial.attempt(kind, &draft, || told(what));
        }
    }

    /// The parameters as they were sent, without the signature.
    fn raw_pieces(&self) -> Vec<&str> {
        let pieces = self.request.raw_query.split('&');
        let is_signature = |piece: &str| {
            let name = piece.split('=').next().unwrap_or_default();
            name.eq_ignore_ascii_case("X-Amz-Signature")
        };
        pieces
            .filter(|piece| !piece.is_empty() && !is_signature(piece))
            .collect()
    }
}

fn piece((name, value): &Pair<'_>) -> String {
    format!("{}={}", encode(name, false), encode(value, false))
}

fn again(pairs: &Pairs<'_>) -> Pairs<'static> {
    let encoded = |bytes: &[u8]| Cow::Owned(encode(bytes, false).into_bytes());
    pairs
        .iter()
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect()
}

fn once_more(pairs: &Pairs<'_>) -> Pairs<'static> {
    let decoded = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        Cow::Owned(canonical::decode(&text, false).into_owned())
    };
    pairs
        .iter()
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn without_empty(query: &str) -> String {
    let pieces = query
        .split('&')
        .map(|piece| piece.strip_suffix('=').unwrap_or(piece));
    pieces.collect::<Vec<_>>().join("&")
}
