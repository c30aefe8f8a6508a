//! A signed header that came otherwise, or not at all; and the body's hash.

use super::super::super::sigv4::EMPTY_SHA256;
use super::{Kind, Scene, Trial};

/// Values that clients and proxies put into headers by themselves.
const USUAL: &[(&str, &[&str])] = &[
    (
        "content-type",
        &[
            "application/octet-stream",
            "binary/octet-stream",
            "text/plain",
            "text/plain; charset=utf-8",
            "text/plain;charset=UTF-8",
            "application/x-www-form-urlencoded",
            "application/json",
            "application/json; charset=utf-8",
            "application/xml",
            "application/pdf",
            "application/zip",
            "image/jpeg",
            "image/png",
            "image/gif",
            "image/webp",
            "video/mp4",
            "text/html",
            "text/csv",
            "multipart/form-data",
        ],
    ),
    ("content-length", &["0"]),
    (
        "accept-encoding",
        &[
            "identity",
            "gzip",
            "gzip, deflate",
            "gzip,deflate",
            "gzip, deflate, br",
            "gzip, br",
            "*",
            "gzip, deflate, br, zstd",
            "identity, gzip",
        ],
    ),
    ("accept", &["*/*"]),
    ("connection", &["keep-alive", "close"]),
    ("cache-control", &["no-cache", "max-age=0"]),
    ("expect", &["100-continue"]),
    ("transfer-encoding", &["chunked"]),
    ("te", &["trailers"]),
    ("content-encoding", &["aws-chunked", "gzip"]),
    (
        "x-amz-acl",
        &["private", "public-read", "bucket-owner-full-control"],
    ),
    ("x-amz-checksum-crc32", &["AAAAAA=="]),
    (
        "x-amz-sdk-checksum-algorithm",
        &["CRC32", "CRC32C", "CRC64NVME", "SHA256", "SHA1"],
    ),
    ("x-amz-checksum-mode", &["ENABLED"]),
    ("x-amz-storage-class", &["STANDARD"]),
    ("x-amz-server-side-encryption", &["AES256", "aws:kms"]),
    (
        "x-amz-content-sha256",
        &[
            "UNSIGNED-PAYLOAD",
            EMPTY_SHA256,
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        ],
    ),
];

impl Scene<'_> {
    pub(super) fn headers(&self, trial: &mut Trial<'_>) {
        let names: Vec<_> = self.base.signed.split(';').map(str::to_owned).collect();
        for name in names.iter().filter(|name| *name != "host") {
            self.header(trial, name);
        }
        self.hashes(trial);
        self.dates(trial);
    }

    fn header(&self, trial: &mut Trial<'_>, name: &str) {
        let came = self.base.header(name);
        for value in self.candidates(name) {
            let draft = self.base.with_header(name, value.as_deref());
            let is_empty_checksum =
                name.starts_with("x-amz-checksum-crc32") || name == "x-amz-sdk-checksum-algorithm";
            let kind = match came {
                None if is_empty_checksum => Kind::EmptyChecksum,
                None => Kind::HeaderMissing,
                Some(_) => Kind::HeaderChanged,
            };
            trial.attempt(kind, &draft, || told(name, value.as_deref(), came));
        }
    }

    /// What the signer may have seen; none is no line at all.
    fn candidates(&self, name: &str) -> Vec<Option<String>> {
        let mut found = vec![None, Some(String::new())];
        let usual = USUAL.iter().find(|(usual, _)| *usual == name);
        let usual = usual.map_or(&[][..], |(_, values)| values);
        found.extend(usual.iter().map(|value| Some((*value).to_owned())));
        let lines: Vec<_> = self.request.headers.get_all(name).iter().collect();
        let texts: Vec<_> = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
            .collect();
        found.push(Some(texts.join(", ")));
        found.push(Some(texts.join(",")));
        for text in &texts {
            let without_parameters = text.split(';').next().unwrap_or_default();
            let forms = [
                text.clone(),
                text.to_lowercase(),
                text.trim().to_owned(),
                without_parameters.trim().to_owned(),
                format!("{text};charset=UTF-8"),
                format!("{text}; charset=UTF-8"),
                format!("{text}; charset=utf-8"),
                format!("{text};charset=utf-8"),
                text.trim_matches('"').to_owned(),
                text.replace(' ', ""),
            ];
            found.extend(forms.map(Some));
        }
        found
    }

    fn hashes(&self, trial: &mut Trial<'_>) {
        let header = self.base.header("x-amz-content-sha256").map(str::to_owned);
        let words = [
            "UNSIGNED-PAYLOAD",
            EMPTY_SHA256,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "",
        ];
        let words = words.map(str::to_owned);
        for hash in self.request.body_sha256.iter().chain(&header).chain(&words) {
            let draft = super::draft::Draft {
                payload: hash.clone(),
                ..self.base.clone()
            };
            trial.attempt(Kind::ContentSha256, &draft, || {
                let came = &self.base.payload;
                (
                    format!("The body's hash was signed as \"{hash}\", and the request says \"{came}\"."),
                    "Sign what x-amz-content-sha256 says: the body's SHA-256, or UNSIGNED-PAYLOAD where the \
                     body is not known (as in URLs)."
                        .to_owned(),
                )
            });
        }
    }

    fn dates(&self, trial: &mut Trial<'_>) {
        let date = self
            .request
            .headers
            .get("date")
            .and_then(|date| date.to_str().ok());
        let Some(date) = date else {
            return;
        };
        let read = crate::clock::Timestamp::parse_http_date(date);
        let amz = read
            .map(crate::clock::Timestamp::amz_date)
            .unwrap_or_default();
        for amz_date in [amz, date.to_owned()] {
            let draft = super::draft::Draft {
                amz_date,
                ..self.base.clone()
            };
            trial.attempt(Kind::Date, &draft, || {
                (
                    format!("It was signed with the time of its Date header ({date})."),
                    "Sign the time of x-amz-date: where it is there, Date does not count."
                        .to_owned(),
                )
            });
        }
    }
}

fn told(name: &str, signed: Option<&str>, came: Option<&str>) -> (String, String) {
    let what = match (signed, came) {
        (_, None)
            if name.starts_with("x-amz-checksum") || name == "x-amz-sdk-checksum-algorithm" =>
        {
            format!(
                "The checksum of an empty body was signed as the header {name}, as JavaScript SDKs do, and did \
             not come."
            )
        }
        (Some(value), None) => {
            format!("The header {name} was signed as \"{value}\" and did not come.")
        }
        (None, Some(_)) => {
            format!("The header {name} is listed as signed, but was not there when it was signed.")
        }
        (Some(""), Some(came)) => {
            format!("The header {name} was signed empty and came as \"{came}\".")
        }
        (Some(value), Some(came)) => {
            format!("The header {name} was signed as \"{value}\" and came as \"{came}\".")
        }
        (None, None) => format!("The header {name} is listed as signed and was never there."),
    };
    let fix = match (name, came) {
        ("content-type", _) => {
            "Send the Content-Type that was signed, or sign without one.".to_owned()
        }
        ("x-amz-checksum-crc32" | "x-amz-sdk-checksum-algorithm", _) => {
            "Make the SDK leave the checksum out: requestChecksumCalculation: \"WHEN_REQUIRED\"."
                .to_owned()
        }
        (
            "accept-encoding" | "user-agent" | "connection" | "content-length" | "expect" | "te",
            _,
        ) => format!(
            "A proxy changes {name}: leave it out of the signed headers, or let the proxy pass it on."
        ),
        (_, None) => format!("Send {name} as it was signed, and let the proxy pass it on."),
        (_, Some(_)) => format!("Send {name} as it was signed, and let no proxy change it."),
    };
    (what, fix)
}
