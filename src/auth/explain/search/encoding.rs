//! The path, written in another way.

use super::super::super::canonical::{self, encode};
use super::{Kind, Scene, Trial};

/// Slashes that may have been one of two.
const SLASHES_MAX: usize = 32;

/// Characters that some signers leave as they are, where S3 encodes them.
const PLAIN: &[&str] = &[
    "!'()*",
    "!$&'()*+,;=:@",
    "+",
    ":",
    "@",
    "=",
    ",",
    "$&+,:;=@",
    "()",
    "!",
];

impl Scene<'_> {
    pub(super) fn encodings(&self, trial: &mut Trial<'_>) {
        self.pluses(trial);
        self.doubled(trial);
        self.slashes(trial);
        self.letters(trial);
    }

    fn path(&self, trial: &mut Trial<'_>, kind: Kind, path: &str, told: (&str, &str)) {
        let draft = super::draft::Draft {
            path: path.to_owned(),
            ..self.base.clone()
        };
        trial.attempt(kind, &draft, || (told.0.to_owned(), told.1.to_owned()));
    }

    fn pluses(&self, trial: &mut Trial<'_>) {
        let path = self.base.path.as_str();
        let fix = "In a path a space is %20 and a plus is %2B (or +): encode the key with a function for \
                   paths, not with one for forms.";
        self.path(
            trial,
            Kind::Plus,
            &path.replace("%2B", "%20"),
            (
                "The key was signed with a space (%20) and came with a plus.",
                fix,
            ),
        );
        self.path(
            trial,
            Kind::Plus,
            &path.replace("%20", "%2B"),
            (
                "The key was signed with a plus (%2B) and came with a space.",
                fix,
            ),
        );
        self.path(
            trial,
            Kind::Plus,
            &path.replace("%20", "+"),
            ("A space in the key was signed as \"+\".", fix),
        );
        self.path(
            trial,
            Kind::Plus,
            &path.replace("%2B", "+"),
            (
                "A plus in the key was signed as \"+\", where the canonical form has %2B.",
                fix,
            ),
        );
    }

    fn doubled(&self, trial: &mut Trial<'_>) {
        let path = self.base.path.as_str();
        let decoded = canonical::decode(path, false);
        self.path(trial, Kind::DoubleEncoding, &encode(path.as_bytes(), true), (
            "The path was encoded twice when it was signed, as other services than S3 want it; or something \
             between decoded it once.",
            "Sign the path encoded once (an SDK's S3 signer does); let the proxy pass the path on as it came \
             (nginx: proxy_pass without a path behind the host).",
        ));
        self.path(trial, Kind::DoubleEncoding, &canonical::path(&String::from_utf8_lossy(&decoded)), (
            "The path came encoded twice: something between encoded it again, or the client encoded an \
             encoded key.",
            "Use the signed URL as it is: encode no part of it again.",
        ));
        self.path(
            trial,
            Kind::Encoding,
            &String::from_utf8_lossy(&decoded),
            (
                "The path was signed without encoding it.",
                "Sign the path as it is sent: percent-encoded, with / left.",
            ),
        );
    }

    fn slashes(&self, trial: &mut Trial<'_>) {
        let path = self.base.path.as_str();
        let fix = "Sign the very path that is sent: to S3 \"//\", \".\" and \"..\" are part of a key. Keep the \
                   proxy from folding them (nginx: merge_slashes off).";
        self.path(
            trial,
            Kind::Normalisation,
            &normalised(path),
            (
                "The path was folded (\"//\", \".\" or \"..\") when it was signed.",
                fix,
            ),
        );
        for (at, _) in path.match_indices('/').take(SLASHES_MAX) {
            let (front, end) = path.split_at_checked(at).unwrap_or_default();
            self.path(trial, Kind::Normalisation, &format!("{front}/{end}"), (
                "It was signed with \"//\" in its path, which came as one: something between folded it.",
                fix,
            ));
        }
        let told = (
            "It was signed with a slash at the end of its path, or came with one that was not signed.",
            "A slash at the end is part of a key: use the signed URL as it is.",
        );
        self.path(trial, Kind::TrailingSlash, &format!("{path}/"), told);
        self.path(
            trial,
            Kind::TrailingSlash,
            path.strip_suffix('/').unwrap_or("/"),
            told,
        );
        let key = path.get(1..).and_then(|rest| rest.split_once('/'));
        if let Some((bucket, key)) = key {
            self.path(
                trial,
                Kind::Encoding,
                &format!("/{bucket}/{}", key.replace('/', "%2F")),
                (
                    "The slashes of the key were signed as %2F.",
                    "Leave the slashes of a key as they are.",
                ),
            );
        }
    }

    fn letters(&self, trial: &mut Trial<'_>) {
        let path = self.base.path.as_str();
        let fix =
            "Encode every byte but A-Z a-z 0-9 - . _ ~ and /, with capital digits (%C3, not %c3).";
        for plain in PLAIN {
            let mut left = path.to_owned();
            for one in plain.bytes() {
                left = left.replace(&format!("%{one:02X}"), &char::from(one).to_string());
            }
            self.path(
                trial,
                Kind::Encoding,
                &left,
                (
                    "Some characters of the path were signed as they are, which S3 encodes.",
                    fix,
                ),
            );
        }
        self.path(
            trial,
            Kind::Encoding,
            &path.replace('~', "%7E"),
            ("A ~ in the path was signed as %7E.", fix),
        );
        self.path(
            trial,
            Kind::Encoding,
            &lower_escapes(path),
            (
                "The escapes of the path were signed with small digits.",
                fix,
            ),
        );
        self.path(
            trial,
            Kind::Encoding,
            &path.to_lowercase(),
            (
                "The path was signed in small letters.",
                "Keys tell small letters from capitals: sign the path that is sent.",
            ),
        );
    }
}

/// As other services than S3 want it (RFC 3986, section 5.2.4).
fn normalised(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", kept.join("/"))
}

fn lower_escapes(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut left: u8 = 0;
    for one in path.chars() {
        if one == '%' {
            left = 3;
        }
        text.push(if left > 0 {
            one.to_ascii_lowercase()
        } else {
            one
        });
        left = left.saturating_sub(1);
    }
    text
}
