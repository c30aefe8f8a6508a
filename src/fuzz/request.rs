//! Requests in the targets' input: a line `METHOD HOST PATH`, a line with the query, lines of
//! headers; an empty line and the body.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use crate::s3::Head;

/// Domains of the server: other hosts' paths begin with the bucket.
pub(super) const DOMAIN: &str = "s3.example";

/// A request as it goes over the wire.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub(super) method: Method,
    pub(super) host: String,
    /// Encoded.
    pub(super) path: String,
    /// Encoded, without its `?`.
    pub(super) query: String,
    pub(super) headers: HeaderMap,
}

impl Wire {
    /// Reads the head of a request, and what stands behind it.
    pub(super) fn parse(text: &str) -> Option<(Self, &str)> {
        let (line, rest) = text.split_once('\n')?;
        let (query, rest) = rest.split_once('\n').unwrap_or((rest, ""));
        let (lines, body) = match rest.strip_prefix('\n') {
            Some(body) => ("", body),
            None => rest.split_once("\n\n").unwrap_or((rest, "")),
        };
        let mut words = line.splitn(3, ' ');
        let method = Method::from_bytes(words.next()?.as_bytes()).ok()?;
        let (host, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = HeaderMap::new();
        for line in lines.lines().take(64) {
            let (name, value) = line.split_once(':')?;
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_bytes(value.trim().as_bytes()).ok()?);
        }
        let query = query.to_owned();
        Some((
            Self {
                method,
                host,
                path,
                query,
                headers,
            },
            body,
        ))
    }

    /// The request as the server is given it; none where HTTP could not carry it.
    pub(super) fn parts(&self) -> Option<Parts> {
        let target = match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        };
        if !target.starts_with('/') || self.path.contains(['?', '#']) {
            return None;
        }
        let uri = Uri::builder().path_and_query(target).build().ok()?;
        let mut request = Request::builder().method(&self.method).uri(uri);
        *request.headers_mut()? = self.headers.clone();
        let request = request.header("host", self.host.as_str()).body(()).ok()?;
        Some(request.into_parts().0)
    }

    /// What the server makes of it.
    pub(super) fn head(&self) -> Option<(Parts, Head)> {
        let parts = self.parts()?;
        let head = Head::parse(&parts, &[DOMAIN.to_owned()]).ok()?;
        Some((parts, head))
    }
}

/// What a request means to those who act on it. Of a parameter's values the first counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    method: Method,
    target: crate::s3::Target,
    query: std::collections::BTreeMap<String, String>,
    headers: Vec<(String, String)>,
}

impl Meaning {
    /// That of `head`; of its headers, those of which `counts` holds.
    pub(super) fn of(head: &Head, counts: impl Fn(&str) -> bool) -> Self {
        let mut query = std::collections::BTreeMap::new();
        for (name, value) in head.query.iter() {
            let _first = query
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        let names = head.headers.keys().map(HeaderName::as_str);
        let mut headers: Vec<_> = names
            .filter(|name| counts(name))
            .map(|name| (name.to_owned(), folded(&head.headers, name)))
            .collect();
        headers.sort();
        Self {
            method: head.method.clone(),
            target: head.target.clone(),
            query,
            headers,
        }
    }
}

/// A header's values, of which signatures regard blanks as one and repeats as a list.
fn folded(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter();
    let values = values.map(|value| {
        let bytes = value.as_bytes().split(|byte| matches!(byte, b' ' | b'\t'));
        let words = bytes.filter(|word| !word.is_empty());
        words
            .map(|word| word.escape_ascii().to_string())
            .collect::<Vec<_>>()
            .join(" ")
    });
    values.collect::<Vec<_>>().join(",")
}
