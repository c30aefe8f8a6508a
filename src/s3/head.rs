//! A request without its body.

use http::{HeaderMap, Method, request::Parts};

use super::error::{Code, S3Error};
use super::hoist::hoist;
use super::query::Query;
use super::target::Target;
use crate::auth::SignedHead;
use crate::auth::canonical::encode;
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
    /// Its headers, and those that came in the query.
    pub headers: HeaderMap,
    /// The path as it was sent: signatures are over this.
    pub raw_path: String,
    /// The query as it was sent, without `?`.
    pub raw_query: String,
    /// The `Host` header, or HTTP/2's `:authority`.
    pub authority: String,
}

impl Head {
    /// Reads `parts`.
    ///
    /// # Errors
    /// `BadRequest` without a host; what [`Target::parse`] and [`Query::parse`] refuse.
    pub fn parse(parts: &Parts, domains: &[String]) -> Result<Self, S3Error> {
        let target = Target::parse(authority(parts)?, parts.uri.path(), domains)?;
        Self::about(parts, target)
    }

    /// Reads `parts` of a request to the server itself, whose path names no bucket.
    ///
    /// # Errors
    /// As [`Head::parse`].
    pub fn of_server(parts: &Parts) -> Result<Self, S3Error> {
        Self::about(
            parts,
            Target {
                bucket: None,
                key: None,
                virtual_host: false,
            },
        )
    }

    fn about(parts: &Parts, target: Target) -> Result<Self, S3Error> {
        let raw_query = parts.uri.query().unwrap_or_default();
        let mut query = Query::parse(raw_query)?;
        let mut headers = parts.headers.clone();
        hoist(&mut query, &mut headers)?;
        Ok(Self {
            method: parts.method.clone(),
            target,
            query,
            headers,
            raw_path: parts.uri.path().to_owned(),
            raw_query: raw_query.to_owned(),
            authority: authority(parts)?.to_owned(),
        })
    }

    /// What a signature covers of it. `sent` are the headers as they came; `payload` is the body's
    /// SHA-256 where the service signs it so.
    pub fn signed<'a>(&'a self, sent: &'a HeaderMap, payload: Option<&'a str>) -> SignedHead<'a> {
        SignedHead {
            method: &self.method,
            raw_path: &self.raw_path,
            raw_query: &self.raw_query,
            headers: sent,
            authority: &self.authority,
            payload,
        }
    }

    /// A header's text, where it is there.
    ///
    /// # Errors
    /// `InvalidArgument` where its bytes are no UTF-8.
    pub fn header(&self, name: &str) -> Result<Option<&str>, S3Error> {
        header(&self.headers, name)
    }

    /// The address of `key`, as far as the client's own request tells it. S3 encodes its slashes.
    pub fn object_url(&self, bucket: &str, key: &ObjectKey) -> String {
        let proto = self.headers.get("x-forwarded-proto");
        let secure = proto.is_some_and(|proto| proto == "https");
        let scheme = if secure { "https" } else { "http" };
        let (host, key) = (&self.authority, encode(key.as_str().as_bytes(), false));
        if self.target.virtual_host {
            format!("{scheme}://{host}/{key}")
        } else {
            format!("{scheme}://{host}/{bucket}/{key}")
        }
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

/// The `Host` header, or HTTP/2's `:authority`.
pub(super) fn authority(parts: &Parts) -> Result<&str, S3Error> {
    let host = parts
        .headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());
    host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
        .ok_or_else(|| S3Error::because(Code::InvalidRequest, "Missing Host header"))
}

/// A header's text, where it is there.
///
/// # Errors
/// `InvalidArgument` where its bytes are no UTF-8.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, S3Error> {
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
