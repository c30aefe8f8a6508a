//! What a request says of its own signature, read as far as it can be read: a claim that the server
//! refuses at once is explained all the same.

use std::borrow::Cow;

use super::super::canonical::{self, Pairs};
use super::super::sigv4::Credential;
use super::Request;
use crate::clock::Timestamp;

/// Where the signature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    Header,
    Query,
}

/// A claim as it stands in a request.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) credential: Credential<'static>,
    pub(super) signed: String,
    /// It may be cut: what was kept of it.
    pub(super) signature: String,
    pub(super) amz_date: String,
    pub(super) payload: String,
    pub(super) token: Option<String>,
}

impl Reading {
    /// The claim; none where something that the search needs is not there.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let pairs = canonical::pairs(&request.raw_query);
        let fields = Fields::of(request, &pairs);
        let credential = Credential::parse(fields.credential.as_deref()?.trim())?.into_owned();
        let date = fields.date.as_deref()?.trim();
        let amz_date = match Timestamp::parse_amz_date(date) {
            Ok(_) => date.to_owned(),
            Err(_other) => Timestamp::parse_http_date(date).ok()?.amz_date(),
        };
        let header = canonical::header_value(&request.headers, "x-amz-content-sha256");
        let payload = header
            .map(Cow::into_owned)
            .or_else(|| value(&pairs, "x-amz-content-sha256"));
        let payload = payload.unwrap_or_else(|| match fields.place {
            Where::Query => "UNSIGNED-PAYLOAD".to_owned(),
            Where::Header => request.body_sha256.clone().unwrap_or_default(),
        });
        Some(Self {
            credential,
            signed: fields.signed?,
            signature: fields.signature?,
            amz_date,
            payload,
            token: fields.token,
        })
    }
}

/// The fields of a claim, each as it came.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) place: Where,
    pub(super) algorithm: Option<String>,
    pub(super) credential: Option<String>,
    pub(super) signed: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) date: Option<String>,
    pub(super) expires: Option<String>,
    pub(super) token: Option<String>,
}

impl Fields {
    pub(super) fn of(request: &Request, pairs: &Pairs<'_>) -> Self {
        let headers = &request.headers;
        let header = |name: &str| canonical::header_value(headers, name).map(Cow::into_owned);
        let query = |name: &str| value(pairs, name);
        let token = query("X-Amz-Security-Token").or_else(|| header("x-amz-security-token"));
        let Some(text) = header("authorization") else {
            return Self {
                place: Where::Query,
                algorithm: query("X-Amz-Algorithm"),
                credential: query("X-Amz-Credential"),
                signed: query("X-Amz-SignedHeaders"),
                signature: query("X-Amz-Signature"),
                date: query("X-Amz-Date"),
                expires: query("X-Amz-Expires"),
                token,
            };
        };
        let (kind, rest) = text.split_once(' ').unwrap_or((text.as_str(), ""));
        let field = |name: &str| {
            let mut parts = rest.split(',').map(str::trim);
            parts.find_map(|part| Some(part.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
        };
        Self {
            place: Where::Header,
            algorithm: Some(kind.to_owned()),
            credential: field("Credential"),
            signed: field("SignedHeaders"),
            signature: field("Signature"),
            date: header("x-amz-date").or_else(|| header("date")),
            expires: None,
            token,
        }
    }
}

/// The first parameter of that name, in whatever case.
pub(super) fn value(pairs: &Pairs<'_>, name: &str) -> Option<String> {
    let is = |found: &[u8]| found.eq_ignore_ascii_case(name.as_bytes());
    let (_, value) = pairs.iter().find(|(name, _)| is(name))?;
    Some(String::from_utf8_lossy(value).into_owned())
}
