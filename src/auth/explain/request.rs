//! The request that is to be explained, however it was told.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::super::canonical;
use super::claim::Fields;
use super::{Known, SignedHead};
use crate::auth::Constraint;

/// Bytes of a request that is explained.
const BYTES_MAX: usize = 256 * 1024;
const HEADERS_MAX: usize = 256;

/// A request without its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// None where a URL alone is known.
    #[serde(with = "method", default)]
    pub method: Option<Method>,
    /// The host, with its port where it has one.
    pub authority: String,
    /// The path as it was sent.
    pub raw_path: String,
    /// The query as it was sent, without its `?`.
    #[serde(default)]
    pub raw_query: String,
    /// The headers.
    #[serde(with = "headers", default)]
    pub headers: HeaderMap,
    /// The SHA-256 of the body in hexadecimal, where the body is known.
    #[serde(default)]
    pub body_sha256: Option<String>,
}

/// Why a text is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// No URL.
    #[error("this is no URL: it must begin with http:// or https:// and name a host")]
    Url,
    /// The first line is none of HTTP.
    #[error("the first line must be METHOD /PATH HTTP/1.1")]
    RequestLine,
    /// A line is no header.
    #[error("line {0} is no header: it must be NAME: VALUE")]
    Header(usize),
    /// No host.
    #[error("there must be a Host header")]
    Host,
    /// Too much of it.
    #[error("the request is too large to be explained")]
    TooLarge,
}

impl Request {
    /// Reads a URL; `headers` are those that would be sent with it.
    ///
    /// # Errors
    /// [`InvalidRequest`].
    pub fn of_url(
        text: &str,
        method: Option<Method>,
        headers: HeaderMap,
    ) -> Result<Self, InvalidRequest> {
        if text.len() > BYTES_MAX {
            return Err(InvalidRequest::TooLarge);
        }
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or(InvalidRequest::Url)?;
        let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        let rest = rest.split('#').next().unwrap_or_default();
        let (place, raw_query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, raw_path) = match place.find('/') {
            Some(at) => place.split_at(at),
            None => (place, "/"),
        };
        if !is_http || authority.is_empty() || authority.contains(char::is_whitespace) {
            return Err(InvalidRequest::Url);
        }
        Ok(Self {
            method,
            authority: authority.to_owned(),
            raw_path: raw_path.to_owned(),
            raw_query: raw_query.to_owned(),
            headers,
            body_sha256: None,
        })
    }

    /// Reads the head of a request as it went over the wire.
    ///
    /// # Errors
    /// [`InvalidRequest`].
    pub fn of_head(text: &str) -> Result<Self, InvalidRequest> {
        if text.len() > BYTES_MAX {
            return Err(InvalidRequest::TooLarge);
        }
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let mut words = first.split_whitespace();
        let (method, target) = (words.next(), words.next());
        let method = method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let (Some(method), Some(target)) = (method, target) else {
            return Err(InvalidRequest::RequestLine);
        };
        let mut headers = HeaderMap::new();
        for (at, line) in lines.enumerate().take_while(|(_, line)| !line.is_empty()) {
            let invalid = InvalidRequest::Header(at + 2);
            let (name, value) = line.split_once(':').ok_or(invalid)?;
            let name = HeaderName::try_from(name.trim()).map_err(|_no_name| invalid)?;
            let value = HeaderValue::try_from(value.trim()).map_err(|_no_value| invalid)?;
            if headers.len() >= HEADERS_MAX {
                return Err(InvalidRequest::TooLarge);
            }
            headers.append(name, value);
        }
        let host = headers
            .get(http::header::HOST)
            .and_then(|host| host.to_str().ok());
        if let Some((_scheme, rest)) = target
            .split_once("://")
            .filter(|_| !target.starts_with('/'))
        {
            let url = format!("http://{rest}");
            return Self::of_url(&url, Some(method), headers);
        }
        if !target.starts_with('/') {
            return Err(InvalidRequest::RequestLine);
        }
        let authority = host.ok_or(InvalidRequest::Host)?.to_owned();
        let (raw_path, raw_query) = target.split_once('?').unwrap_or((target, ""));
        Ok(Self {
            method: Some(method),
            authority,
            raw_path: raw_path.to_owned(),
            raw_query: raw_query.to_owned(),
            headers,
            body_sha256: None,
        })
    }

    /// The request without what could be used: of signatures and tokens only a beginning is left, of other
    /// secrets nothing.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let text = String::from_utf8_lossy(value.as_bytes());
            let shown = match name.as_str() {
                "authorization" => cut_authorization(&text),
                "x-amz-security-token" => cut(&text),
                "cookie" | "proxy-authorization" => super::CUT.to_owned(),
                name if name.ends_with("-customer-key") => super::CUT.to_owned(),
                _ => {
                    headers.append(name, value.clone());
                    continue;
                }
            };
            headers.extend(HeaderValue::try_from(shown).map(|shown| (name.clone(), shown)));
        }
        let pieces = self
            .raw_query
            .split('&')
            .map(|piece| match piece.split_once('=') {
                Some((name, value)) if is_secret(name) => format!("{name}={}", cut(value)),
                _ => piece.to_owned(),
            });
        Self {
            raw_query: pieces.collect::<Vec<_>>().join("&"),
            headers,
            ..self.clone()
        }
    }

    /// The access key that it names.
    pub fn access_key(&self) -> Option<String> {
        let fields = Fields::of(self, &canonical::pairs(&self.raw_query));
        let credential = fields.credential?;
        Some(credential.split('/').next()?.trim().to_owned())
    }

    /// Whether a session's token came with it.
    pub fn is_temporary(&self) -> bool {
        let fields = Fields::of(self, &canonical::pairs(&self.raw_query));
        fields.token.is_some()
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| name.as_str().len() + value.len());
        self.authority.len() + self.raw_path.len() + self.raw_query.len() + headers.sum::<usize>()
    }

    /// What a signature covers of it.
    pub(super) fn head<'a>(&'a self, method: &'a Method, known: &Known<'a>) -> SignedHead<'a> {
        SignedHead {
            method,
            raw_path: &self.raw_path,
            raw_query: &self.raw_query,
            headers: &self.headers,
            authority: &self.authority,
            elsewhere: known.elsewhere,
            bucket: known.resource.0,
            path: known.resource.1,
            payload: None,
            // From where it is sent, and to which operation, is not what a signature says.
            peer: None,
            heeds: Constraint::OF_OBJECT,
        }
    }
}

/// Parameters that let their bearer in.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // `amp;` and `%2D` are what becomes of a name on its way.
    name.ends_with("signature") || name.ends_with("token") || name.contains('%')
}

/// The beginning, and how long the whole was.
fn cut(value: &str) -> String {
    // Mail programs write "=3D" for "=".
    let (mark, value) = match value.strip_prefix("3D") {
        Some(rest) => ("3D", rest),
        None => ("", value),
    };
    let start: String = value.chars().take(super::SIGNATURE_DIGITS).collect();
    let len = value.chars().count();
    format!("{mark}{start}{}{len}", super::CUT)
}

/// `Authorization` with no more than the beginning of its signature.
fn cut_authorization(text: &str) -> String {
    let Some((kind, rest)) = text.split_once(' ') else {
        return super::CUT.to_owned();
    };
    if let Some((front, signature)) = rest.split_once("Signature=") {
        let behind = signature
            .find([',', ' '])
            .and_then(|at| signature.get(at..));
        return format!(
            "{kind} {front}Signature={}{}",
            cut(signature),
            behind.unwrap_or_default()
        );
    }
    match rest.split_once(':') {
        Some((access_key, signature)) => format!("{kind} {access_key}:{}", cut(signature)),
        None => format!("{kind} {}", super::CUT),
    }
}

mod method {
    use http::Method;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "serde asks for this form")]
    pub(super) fn serialize<S: Serializer>(
        method: &Option<Method>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        method.as_ref().map(Method::as_str).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Method>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let method = text.map(|text| Method::from_bytes(text.as_bytes()));
        method.transpose().map_err(D::Error::custom)
    }
}

mod headers {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use super::HEADERS_MAX;

    pub(super) fn serialize<S: Serializer>(headers: &HeaderMap, to: S) -> Result<S::Ok, S::Error> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let pairs: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), text(value)))
            .collect();
        pairs.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<HeaderMap, D::Error> {
        let pairs = Vec::<(String, String)>::deserialize(from)?;
        if pairs.len() > HEADERS_MAX {
            return Err(D::Error::custom("too many headers"));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::try_from(name).map_err(D::Error::custom)?;
            let value = HeaderValue::try_from(value).map_err(D::Error::custom)?;
            headers.append(name, value);
        }
        Ok(headers)
    }
}
