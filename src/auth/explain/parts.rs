//! What each part of a request means.

use std::borrow::Cow;
use std::time::Duration;

use super::super::canonical;
use super::super::session;
use super::super::sigv4::{ALGORITHM, Credential, EMPTY_SHA256};
use super::super::{PRESIGN_SECONDS_MAX, SKEW_MAX};
use super::claim::{Fields, Where};
use super::{Known, Part, Request};
use crate::clock::Timestamp;

/// Letters of a value that are shown.
const VALUE_CHARS_MAX: usize = 200;

/// What a signer may demand of an upload.
const DEMANDS: &[(&str, &str)] = &[
    (
        "x-consign-content-length-range",
        "how many bytes may come: the least and the most",
    ),
    ("x-consign-content-type", "which content types may come"),
    ("x-consign-once", "it is good for one successful upload"),
    ("x-consign-not-before", "it is not good before this time"),
    ("x-consign-source-ip", "from where it may be used"),
    ("x-consign-require", "what must come with the bytes"),
    ("x-consign-callback", "which endpoint is told of the upload"),
    (
        "x-consign-callback-mode",
        "whether the uploader waits for the endpoint's answer",
    ),
];

/// Every part, in the order in which one reads.
pub(super) fn of(request: &Request, known: &Known<'_>) -> Vec<Part> {
    let pairs = canonical::pairs(&request.raw_query);
    let fields = Fields::of(request, &pairs);
    let mut parts = Parts {
        request,
        known,
        fields: &fields,
        all: Vec::new(),
    };
    parts.target();
    if fields.credential.is_some() || fields.signature.is_some() {
        parts.claim();
        parts.time();
        parts.headers();
        parts.payload();
    }
    parts.parameters(&pairs);
    parts.all
}

struct Parts<'a> {
    request: &'a Request,
    known: &'a Known<'a>,
    fields: &'a Fields,
    all: Vec<Part>,
}

impl Parts<'_> {
    fn add(&mut self, name: &str, value: &str, meaning: impl Into<String>, holds: Option<bool>) {
        let mut shown: String = value.chars().take(VALUE_CHARS_MAX).collect();
        if shown.len() < value.len() {
            shown.push_str(super::CUT);
        }
        self.all.push(Part {
            name: name.to_owned(),
            value: shown,
            meaning: meaning.into(),
            holds,
        });
    }

    fn target(&mut self) {
        let request = self.request;
        if let Some(method) = &request.method {
            self.add("method", method.as_str(), "", None);
        }
        self.add("host", &request.authority, "where it was sent", None);
        let (bucket, key) = self.known.target;
        if let Some(bucket) = bucket {
            self.add("bucket", bucket, "", None);
        }
        if let Some(key) = key {
            self.add("key", key, "", None);
        }
        if bucket.is_none() {
            self.add("path", &request.raw_path, "", None);
        }
    }

    fn claim(&mut self) {
        let fields = self.fields;
        let place = match fields.place {
            Where::Query => "in the query: a presigned URL, good for whoever has it",
            Where::Header => "in the Authorization header: good for this one request",
        };
        let digits = fields.signature.as_deref().unwrap_or_default();
        let digits: String = digits.chars().take(super::SIGNATURE_DIGITS).collect();
        self.add("signature", &(digits + super::CUT), place, None);
        if let Some(algorithm) = &fields.algorithm {
            let holds = algorithm == ALGORITHM;
            let meaning = if holds {
                "Signature Version 4"
            } else {
                "not served here"
            };
            self.add("algorithm", algorithm, meaning, Some(holds));
        }
        let Some(text) = &fields.credential else {
            return;
        };
        let Some(credential) = Credential::parse(text.trim()) else {
            self.add(
                "credential",
                "",
                "must be ACCESS-KEY/YYYYMMDD/REGION/s3/aws4_request",
                Some(false),
            );
            return;
        };
        self.key(&credential.access_key);
        let scope = &credential.scope;
        let day = self.signed_at().map(Timestamp::scope_day);
        self.add(
            "day",
            &scope.day,
            "the day for which its key was derived",
            day.map(|day| day == scope.day),
        );
        let ours = &self.known.settings.region;
        let holds = scope.region == *ours;
        let meaning = if holds {
            "this server's".to_owned()
        } else {
            format!("this server's is {ours}")
        };
        self.add("region", &scope.region, meaning, Some(holds));
        let holds = scope.service == self.known.settings.service;
        self.add("service", &scope.service, "", Some(holds));
    }

    fn key(&mut self, access_key: &str) {
        let temporary = self.fields.token.is_some() || access_key.starts_with(session::PREFIX);
        let keys = self.known.keys;
        match keys.find(access_key) {
            Some(key) if key.disabled => {
                let meaning = format!("the key \"{}\", which was switched off", key.name);
                self.add("access key", access_key, meaning, Some(false));
            }
            Some(key) => {
                let meaning = if key.name.is_empty() {
                    String::new()
                } else {
                    format!("the key \"{}\"", key.name)
                };
                self.add("access key", access_key, meaning, Some(true));
            }
            None if temporary => self.add("access key", access_key, "a temporary key", None),
            // It may be a secret that stands in the wrong place.
            None if keys
                .all()
                .iter()
                .any(|key| key.secret.expose() == access_key) =>
            {
                self.add(
                    "access key",
                    super::CUT,
                    "a secret in the place of an access key",
                    Some(false),
                );
            }
            None => self.add("access key", access_key, "nobody's here", Some(false)),
        }
        if let Some(token) = &self.fields.token {
            let start: String = token.chars().take(super::SIGNATURE_DIGITS).collect();
            self.add(
                "session token",
                &(start + super::CUT),
                "belongs to a temporary key",
                None,
            );
        }
    }

    fn signed_at(&self) -> Option<Timestamp> {
        let date = self.fields.date.as_deref()?.trim();
        let amz = Timestamp::parse_amz_date(date);
        amz.or_else(|_no_amz| Timestamp::parse_http_date(date)).ok()
    }

    fn time(&mut self) {
        let now = self.known.now;
        let Some(at) = self.signed_at() else {
            let date = self.fields.date.clone().unwrap_or_default();
            self.add(
                "signed at",
                &date,
                "no date: it must be like 20260131T235959Z",
                Some(false),
            );
            return;
        };
        let ago = relative(at, now);
        let in_time = at.since(now) <= SKEW_MAX;
        let fresh = self.fields.place == Where::Query || now.since(at) <= SKEW_MAX;
        self.add("signed at", &at.iso8601_s(), ago, Some(in_time && fresh));
        let Some(text) = self.fields.expires.clone() else {
            return;
        };
        let Ok(seconds) = text.parse::<u64>() else {
            self.add("expires", &text, "must be a number of seconds", Some(false));
            return;
        };
        let (life, max) = (
            Duration::from_secs(seconds),
            self.known.settings.presign_seconds_max,
        );
        let end = at.plus(life);
        let left = if now > end {
            format!("ended {} ago", words(now.since(end)))
        } else {
            format!("{} left", words(end.since(now)))
        };
        let meaning = format!(
            "good for {}, until {}: {left}",
            words(life),
            end.iso8601_s()
        );
        let bounds = 1..=max.min(PRESIGN_SECONDS_MAX);
        let holds = now <= end && bounds.contains(&seconds);
        self.add("expires", &text, meaning, Some(holds));
    }

    fn headers(&mut self) {
        let signed = self.fields.signed.clone().unwrap_or_default();
        self.add(
            "signed headers",
            &signed,
            "must come as they were signed",
            None,
        );
        let pairs = canonical::pairs(&self.request.raw_query);
        for name in signed
            .split(';')
            .filter(|name| !matches!(*name, "" | "host" | "authorization"))
        {
            let came = canonical::header_value(&self.request.headers, name);
            let came = came.or_else(|| super::claim::value(&pairs, name).map(Cow::Owned));
            let secret = name.ends_with("-customer-key")
                || name == "x-amz-security-token"
                || name == "cookie";
            match came {
                Some(_secret) if secret => self.add(name, super::CUT, "came", Some(true)),
                Some(value) => self.add(name, &value, "came", Some(true)),
                None => self.add(name, "", "was signed and did not come", Some(false)),
            }
        }
        for name in super::super::request::unsigned(&self.request.headers, &signed) {
            self.add(&name, "", "must be signed and is not", Some(false));
        }
    }

    fn payload(&mut self) {
        let value = canonical::header_value(&self.request.headers, "x-amz-content-sha256");
        let (value, meaning) = match value.as_deref() {
            None if self.fields.place == Where::Query => {
                ("UNSIGNED-PAYLOAD", "the body is not signed")
            }
            None => ("", "x-amz-content-sha256 is missing"),
            Some(EMPTY_SHA256) => (EMPTY_SHA256, "the hash of an empty body"),
            Some(text @ "UNSIGNED-PAYLOAD") => (text, "the body is not signed"),
            Some(text) if text.starts_with("STREAMING-") => {
                (text, "the body comes in chunks (aws-chunked)")
            }
            Some(text) => (text, "the body's SHA-256"),
        };
        let (value, holds) = (value.to_owned(), (!value.is_empty()).then_some(true));
        self.add("body", &value, meaning, holds.or(Some(false)));
    }

    fn parameters(&mut self, pairs: &canonical::Pairs<'_>) {
        for (name, value) in pairs {
            let name = String::from_utf8_lossy(name).into_owned();
            let value = String::from_utf8_lossy(value).into_owned();
            let lower = name.to_ascii_lowercase();
            let demand = DEMANDS.iter().find(|(demand, _)| *demand == lower);
            let meaning = match (lower.as_str(), demand) {
                (_, Some((_, meaning))) => (*meaning).to_owned(),
                (var, None) if var.starts_with("x-consign-callback-var-") => "what the endpoint is told".to_owned(),
                (other, None) if other.starts_with("x-consign-") => "no constraint that this server knows".to_owned(),
                ("x-amz-checksum-crc32", _) if value == "AAAAAA==" => {
                    "the checksum of nothing, which a JavaScript SDK signs into URLs: ignored here, refused by \
                     other servers once bytes come"
                        .to_owned()
                }
                (own, None) if own.starts_with("x-amz-") && is_own(own) => continue,
                (_, None) => "part of what is signed".to_owned(),
            };
            self.add(&name, &value, meaning, None);
        }
    }
}

/// Parameters of the signature itself, which are told by their meaning.
fn is_own(name: &str) -> bool {
    [
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-signedheaders",
        "x-amz-signature",
        "x-amz-security-token",
    ]
    .contains(&name)
}

fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("in {}", words(at.since(now)))
    } else {
        format!("{} ago", words(now.since(at)))
    }
}

/// `2 hours 5 minutes`: the two largest units.
pub(super) fn words(time: Duration) -> String {
    let mut left = time.as_secs();
    let mut said = Vec::new();
    for (unit, seconds) in [
        ("day", 86_400),
        ("hour", 3600),
        ("minute", 60),
        ("second", 1),
    ] {
        let count = left / seconds;
        left %= seconds;
        let more = if count == 1 { "" } else { "s" };
        if count > 0 {
            said.push(format!("{count} {unit}{more}"));
        } else if !said.is_empty() {
            break;
        }
    }
    said.truncate(2);
    if said.is_empty() {
        "0 seconds".to_owned()
    } else {
        said.join(" ")
    }
}
