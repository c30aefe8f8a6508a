//! Faults that a request shows by itself, without a search.

use std::time::Duration;

use super::super::canonical;
use super::super::session;
use super::super::sigv4::{ALGORITHM, Credential};
use super::super::{SKEW_MAX, request::unsigned};
use super::claim::{Fields, Where, value};
use super::parts::words;
use super::{Cause, Kind, Known, Request};
use crate::clock::Timestamp;

const SIGNATURE_LEN: usize = 64;

/// All that is wrong, the worst first.
pub(super) fn of(request: &Request, known: &Known<'_>) -> Vec<Cause> {
    let pairs = canonical::pairs(&request.raw_query);
    let fields = Fields::of(request, &pairs);
    let mut said = Said {
        request,
        known,
        fields: &fields,
        causes: Vec::new(),
    };
    let twice = fields.place == Where::Header && value(&pairs, "X-Amz-Signature").is_some();
    if twice {
        said.add(
            Kind::ManyMechanisms,
            "It is signed twice: by its query and by an Authorization header.",
            "Send a presigned URL without the Authorization header of an SDK or a login.",
        );
    }
    if said.is_whole() {
        said.key();
        said.scope();
        said.time();
        said.headers();
    }
    said.causes
}

struct Said<'a> {
    request: &'a Request,
    known: &'a Known<'a>,
    fields: &'a Fields,
    causes: Vec<Cause>,
}

impl Said<'_> {
    fn add(&mut self, kind: Kind, what: impl Into<String>, fix: impl Into<String>) {
        self.causes.push(Cause {
            kind,
            proven: false,
            what: what.into(),
            fix: fix.into(),
        });
    }

    /// Whether the claim has all of its parts.
    fn is_whole(&mut self) -> bool {
        let fields = self.fields;
        let parts = [
            ("algorithm", &fields.algorithm),
            ("credential", &fields.credential),
            ("date", &fields.date),
            ("list of signed headers", &fields.signed),
            ("signature", &fields.signature),
        ];
        let missing: Vec<_> = parts.iter().filter(|(_, part)| part.is_none()).collect();
        let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
        let pairs = canonical::pairs(&self.request.raw_query);
        if value(&pairs, "AWSAccessKeyId").is_some() && fields.credential.is_none() {
            self.add(
                Kind::OtherAlgorithm,
                "It is signed by Signature Version 2 (AWSAccessKeyId in its query).",
                "Sign by Version 4; or let the server take both: signature_v2 = true. What is wrong with a \
                 signature of Version 2 is not looked for.",
            );
            return false;
        }
        let nothing = fields.credential.is_none() && fields.signature.is_none();
        let other = fields
            .algorithm
            .as_deref()
            .filter(|name| *name != ALGORITHM);
        if let Some(other) = other {
            let what = format!("It is signed by \"{other}\".");
            self.add(
                Kind::OtherAlgorithm,
                what,
                format!("Sign by {ALGORITHM} (Signature Version 4)."),
            );
            return false;
        }
        if nothing {
            self.add(
                Kind::Unsigned,
                "Nobody signed it: it has neither an Authorization header nor a signature in its query.",
                "Sign it; or let a bucket policy allow it to everybody.",
            );
            return false;
        }
        if !names.is_empty() {
            let what = format!(
                "It lacks its {}: the URL or the header was cut off.",
                names.join(", ")
            );
            self.add(
                Kind::Incomplete,
                what,
                "Use the whole URL: a shell cuts it at \"&\" unless it stands in quotes.",
            );
            return false;
        }
        self.length();
        true
    }

    /// A signature that was cut off, or has something behind it.
    fn length(&mut self) {
        let signature = self.fields.signature.as_deref().unwrap_or_default();
        let len = match signature.split_once(super::CUT) {
            Some((_start, len)) => len.parse().unwrap_or(SIGNATURE_LEN),
            None => signature.chars().count(),
        };
        if len != SIGNATURE_LEN {
            let what = format!("Its signature has {len} digits instead of {SIGNATURE_LEN}.");
            let kind = if len > SIGNATURE_LEN {
                Kind::UrlSurrounded
            } else {
                Kind::Incomplete
            };
            self.add(kind, what, "Use the whole URL, and nothing behind it.");
        }
    }

    fn credential(&self) -> Option<Credential<'static>> {
        Credential::parse(self.fields.credential.as_deref()?.trim()).map(Credential::into_owned)
    }

    fn key(&mut self) {
        let Some(credential) = self.credential() else {
            let what = "Its credential is not ACCESS-KEY/YYYYMMDD/REGION/s3/aws4_request.";
            self.add(
                Kind::Incomplete,
                what,
                "Sign with an SDK, or write the credential in this form.",
            );
            return;
        };
        let name = &*credential.access_key;
        let token = self.fields.token.as_deref();
        let found = self.known.keys.find(name);
        match (&found, token) {
            (Some(key), _) if key.disabled => {
                let what = format!("The key {name} (\"{}\") was switched off.", key.name);
                self.add(Kind::DisabledKey, what, format!("consign keys enable {name}"));
            }
            (Some(_), None) => {}
            (Some(_), Some(_)) => self.add(
                Kind::TokenInvalid,
                format!("A session's token came with {name}, which is a lasting key."),
                "Sign without the token: it belongs to another key (AWS_SESSION_TOKEN may be left from before).",
            ),
            (None, None) if name.starts_with(session::PREFIX) => self.add(
                Kind::TokenMissing,
                format!("{name} is a temporary key, and its session's token did not come."),
                "Give the signer all three: access key, secret and session token.",
            ),
            (None, None) => self.unknown(name),
            (None, Some(token)) if token.contains(super::CUT) => {}
            (None, Some(token)) => self.session(name, token),
        }
    }

    fn unknown(&mut self, name: &str) {
        let keys = self.known.keys.all();
        let near = keys.iter().find(|key| {
            key.access_key.eq_ignore_ascii_case(name.trim()) || key.access_key == name.trim()
        });
        if keys.iter().any(|key| key.secret.expose() == name) {
            self.add(
                Kind::SwappedKeys,
                "The credential holds a secret in the place of the access key.",
                "Exchange the two in the client's configuration, and rotate that key: its secret was sent.",
            );
            return;
        }
        let fix = near.map_or_else(
            || "Sign with a key of this server: consign keys list".to_owned(),
            |near| {
                format!(
                    "The key {} differs from it by its case or by blanks.",
                    near.access_key
                )
            },
        );
        self.add(
            Kind::UnknownKey,
            format!("This server has no key {name}."),
            fix,
        );
    }

    fn session(&mut self, name: &str, token: &str) {
        match session::find(self.known.keys, name, Some(token), self.known.now) {
            Ok(Some(_key)) => {}
            Ok(None) => self.add(
                Kind::TokenInvalid,
                format!("The session of {name} ended with the key that it was made by."),
                "Ask for temporary credentials again.",
            ),
            Err(super::AuthError::ExpiredToken) => self.add(
                Kind::TokenExpired,
                format!("The session of {name} is over."),
                "Ask for temporary credentials again.",
            ),
            Err(_other) => self.add(
                Kind::TokenInvalid,
                format!("The session's token is not that of {name}, or not one of this server."),
                "Give the signer access key, secret and session token of one answer.",
            ),
        }
    }

    fn scope(&mut self) {
        let Some(credential) = self.credential() else {
            return;
        };
        let scope = credential.scope;
        let (region, service) = (&self.known.settings.region, self.known.settings.service);
        if scope.region != *region {
            let what = format!(
                "It is signed for the region \"{}\"; this server's is \"{region}\".",
                scope.region
            );
            self.add(
                Kind::Region,
                what,
                format!("Sign for the region \"{region}\"."),
            );
        }
        if scope.service != service {
            let what = format!(
                "It is signed for the service \"{}\" instead of \"{service}\".",
                scope.service
            );
            self.add(
                Kind::Service,
                what,
                format!("Sign for the service \"{service}\"."),
            );
        }
        let signed_at = self.signed_at();
        if let Some(at) = signed_at.filter(|at| at.scope_day() != scope.day) {
            let what = format!(
                "Its credential is of the day {}, its date of {}.",
                scope.day,
                at.scope_day()
            );
            self.add(Kind::Day, what, "Take both from one moment, in UTC.");
        }
    }

    fn signed_at(&self) -> Option<Timestamp> {
        let date = self.fields.date.as_deref()?.trim();
        let amz = Timestamp::parse_amz_date(date);
        amz.or_else(|_no_amz| Timestamp::parse_http_date(date)).ok()
    }

    fn time(&mut self) {
        let Some(at) = self.signed_at() else {
            let what = "Its date is none: it must be like 20260131T235959Z.";
            self.add(
                Kind::Incomplete,
                what,
                "Sign with a date in this form, in UTC.",
            );
            return;
        };
        let now = self.known.now;
        let ahead = at.since(now);
        if ahead > SKEW_MAX {
            let what = format!("It was signed {} in the future.", words(ahead));
            self.add(
                Kind::Clock,
                what,
                "Set the clock of the signer, or of the server: both must be in UTC.",
            );
        }
        let seconds = self
            .fields
            .expires
            .as_deref()
            .and_then(|text| text.parse().ok());
        match (self.fields.place, seconds) {
            (Where::Header, _) if now.since(at) > SKEW_MAX => {
                let what = format!(
                    "It was signed {} ago; {} are allowed.",
                    words(now.since(at)),
                    words(SKEW_MAX)
                );
                self.add(Kind::Clock, what, "Send a request when it is signed, and set the clock of the signer or of the server.");
            }
            (Where::Query, Some(seconds)) => {
                let end = at.plus(Duration::from_secs(seconds));
                if now > end {
                    let what = format!(
                        "It expired {} ago: it was good for {}.",
                        words(now.since(end)),
                        words(Duration::from_secs(seconds))
                    );
                    self.add(
                        Kind::Expired,
                        what,
                        "Sign a new URL, or one that is good for longer (at most 7 days).",
                    );
                }
            }
            (Where::Query, None) => self.add(
                Kind::Incomplete,
                "X-Amz-Expires does not say for how many seconds it is good.",
                "Sign with X-Amz-Expires from 1 to 604800.",
            ),
            (Where::Header, _) => {}
        }
    }

    fn headers(&mut self) {
        let signed = self.fields.signed.as_deref().unwrap_or_default();
        let missing = unsigned(&self.request.headers, signed);
        if !missing.is_empty() {
            let what = format!(
                "It came with headers that must be signed and were not: {}.",
                missing.join(", ")
            );
            self.add(Kind::HeaderUnsigned, what, "Sign them, or leave them out.");
        }
        let headers = &self.request.headers;
        let has = |name: &str| canonical::header_value(headers, name).is_some();
        if self.fields.place == Where::Header && !has("x-amz-content-sha256") {
            self.add(
                Kind::ContentSha256Missing,
                "It came without x-amz-content-sha256, which tells the body's hash.",
                "Sign with S3's signer, not with that of other services.",
            );
        }
        let pairs = canonical::pairs(&self.request.raw_query);
        let names = signed
            .split(';')
            .filter(|name| !matches!(*name, "" | "host"));
        let absent: Vec<_> = names
            .filter(|name| !has(name) && value(&pairs, name).is_none())
            .map(str::to_owned)
            .collect();
        if !absent.is_empty() {
            let what = format!(
                "Headers were signed that did not come: {}.",
                absent.join(", ")
            );
            self.add(
                Kind::HeaderMissing,
                what,
                "Send them as they were signed, and let the proxy pass them on.",
            );
        }
        self.causes.extend(of_body(self.request));
    }
}

/// That the body is not the one whose hash was signed, where both are known.
pub(super) fn of_body(request: &Request) -> Option<Cause> {
    let ours = request.body_sha256.as_ref()?;
    let said = canonical::header_value(&request.headers, "x-amz-content-sha256")?;
    let is_hash = said.len() == SIGNATURE_LEN && said.bytes().all(|b| b.is_ascii_hexdigit());
    (is_hash && !said.eq_ignore_ascii_case(ours)).then(|| Cause {
        kind: Kind::ContentSha256,
        proven: true,
        what: format!("The body's SHA-256 is {ours}, and x-amz-content-sha256 says {said}."),
        fix: "Send the body that was signed, unchanged and whole.".to_owned(),
    })
}
