//! A request without its body.

use std::sync::Arc;

use http::{HeaderMap, Method, request::Parts};

use super::error::{Code, S3Error};
use super::hoist::hoist;
use super::learned::Learned;
use super::query::Query;
use super::reach::Arrival;
use super::target::Target;
use crate::auth::canonical::{encode, lacks};
use crate::auth::constraint::refuse_headers;
use crate::auth::{Elsewhere, SignedHead};
use crate::name::{BucketName, ObjectKey};

/// A request without its body: what was sent, and what it means.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its method.
    pub method: Method,
    /// What it is about.
    pub target: Target,
    /// Its decoded query, without the headers in it.
    pub query: Query,
    /// Its headers, and those that came in the query: who reads the body asks for them too.
    pub headers: Arc<HeaderMap>,
    /// How it reached us.
    pub arrival: Arrival,
    /// Who sent it, once that is known.
    pub learned: Learned,
    /// The query as it was sent, without `?`.
    pub raw_query: String,
}

impl Head {
    /// Reads `parts`.
    ///
    /// # Errors
    /// `InvalidRequest` without a host or with more than one, `InvalidArgument` for a signer's demand
    /// in a header, `NotImplemented` for a coding of the transfer other than `chunked`; what
    /// [`Target::parse`] and [`Query::parse`] refuse.
    pub fn parse(parts: &Parts, domains: &[String]) -> Result<Self, S3Error> {
        let arrival = arrival(parts)?;
        let target = Target::parse(arrival.authority(), arrival.path(), domains)?;
        Self::about(parts, arrival, target)
    }

    /// Reads `parts` of a request to the server itself, whose path names no bucket.
    ///
    /// # Errors
    /// As [`Head::parse`].
    pub fn of_server(parts: &Parts) -> Result<Self, S3Error> {
        Self::about(
            parts,
            arrival(parts)?,
            Target {
                bucket: None,
                key: None,
                virtual_host: false,
            },
        )
    }

    fn about(parts: &Parts, arrival: Arrival, target: Target) -> Result<Self, S3Error> {
        refuse_headers(&parts.headers)?;
        check_transfer(&parts.headers)?;
        let raw_query = parts.uri.query().unwrap_or_default();
        let mut query = Query::parse(raw_query)?;
        let mut headers = parts.headers.clone();
        hoist(&mut query, &mut headers)?;
        Ok(Self {
            method: parts.method.clone(),
            target,
            query,
            headers: Arc::new(headers),
            raw_query: raw_query.to_owned(),
            arrival,
            learned: parts.extensions.get().cloned().unwrap_or_default(),
        })
    }

    /// What a signature covers of it. `sent` are the headers as they came; `payload` is the body's
    /// SHA-256 where the service signs it so. It comes from nowhere and heeds none of a signer's
    /// demands unless the caller says so.
    pub fn signed<'a>(&'a self, sent: &'a HeaderMap, payload: Option<&'a str>) -> SignedHead<'a> {
        SignedHead {
            method: &self.method,
            raw_path: self.arrival.raw_path(),
            raw_query: &self.raw_query,
            headers: sent,
            authority: self.arrival.authority(),
            elsewhere: Some(&self.arrival as &dyn Elsewhere),
            bucket: self
                .target
                .bucket
                .as_ref()
                .filter(|_bucket| self.target.virtual_host)
                .map(BucketName::as_str),
            path: self.arrival.path(),
            payload,
            peer: None,
            heeds: &[],
        }
    }

    /// A header's text, where it is there.
    ///
    /// # Errors
    /// `InvalidArgument` where its bytes are no UTF-8.
    pub fn header(&self, name: &str) -> Result<Option<&str>, S3Error> {
        header(&self.headers, name)
    }

    /// The address of `key`, as its client would write it. S3 encodes its slashes.
    pub fn object_url(&self, bucket: &str, key: &ObjectKey) -> String {
        let key = encode(key.as_str().as_bytes(), false);
        self.arrival.url_of(bucket, &key)
    }

    /// The bucket.
    ///
    /// # Errors
    /// `InvalidURI` where the request names none (its route demands one).
    pub fn bucket(&self) -> Result<&BucketName, S3Error> {
        self.target
            .bucket
            .as_ref()
            .ok_or(S3Error::new(Code::InvalidURI))
    }

    /// The key.
    ///
    /// # Errors
    /// `InvalidURI` where the request names none (its route demands one).
    pub fn key(&self) -> Result<&ObjectKey, S3Error> {
        self.target
            .key
            .as_ref()
            .ok_or(S3Error::new(Code::InvalidURI))
    }
}

/// Other codings would be read by hyper as if they were not there, and by a proxy perhaps not.
fn check_transfer(headers: &HeaderMap) -> Result<(), S3Error> {
    let mut codings = headers.get_all(http::header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(S3Error::unsupported_option("Transfer-Encoding")),
    }
}

/// How the request reached us: seen through proxies where [`super::handle`] did so, else as it stands.
pub(super) fn arrival(parts: &Parts) -> Result<Arrival, S3Error> {
    let seen = Learned::arrival(parts).cloned();
    seen.map_or_else(|| Arrival::of(&Arc::default(), parts, None), Ok)
}

/// A header's text, where it is there.
///
/// # Errors
/// `InvalidArgument` where its bytes are no UTF-8.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, S3Error> {
    if lacks(headers, name) {
        return Ok(None);
    }
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(text.trim())),
        Err(_no_utf8) => Err(S3Error::argument(
            name,
            "",
            format!("The header {name} is not valid UTF-8."),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_coding_of_the_transfer_is_known() {
        let check = |codings: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for coding in codings {
                headers.append("transfer-encoding", coding.parse().unwrap());
            }
            check_transfer(&headers).is_ok()
        };
        assert!(check(&[]) && check(&["chunked"]) && check(&["Chunked"]));
        for codings in [
            &["gzip, chunked"][..],
            &["chunked, chunked"],
            &["chunked", "chunked"],
            &["identity", "chunked"],
            &[""],
        ] {
            assert!(!check(codings), "{codings:?}");
        }
    }
}
