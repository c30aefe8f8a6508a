//! A request as it may have been signed.

use std::borrow::Cow;

use http::Method;

use super::super::super::Secret;
use super::super::super::canonical::{self, Pairs, Parts};
use super::super::super::request::{covered_headers, covered_pairs};
use super::super::super::sigv4::{self, Scope};
use super::super::Request;
use super::super::claim::Reading;

/// Every text that goes into a signature.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) signed: String,
    pub(super) payload: String,
    pub(super) amz_date: String,
    pub(super) scope: Scope<'static>,
}

impl Draft {
    /// The request as it came.
    pub(super) fn of(
        request: &Request,
        reading: &Reading,
        pairs: &Pairs<'_>,
        method: &Method,
    ) -> Self {
        let authority = &request.authority;
        let headers = covered_headers(&request.headers, pairs, &reading.signed, authority);
        let owned = |(name, value): (&str, Cow<'_, str>)| (name.to_owned(), value.into_owned());
        Self {
            method: method.to_string(),
            path: canonical::path(&request.raw_path).into_owned(),
            query: canonical::query(covered_pairs(pairs)),
            headers: headers.into_iter().map(owned).collect(),
            signed: reading.signed.clone(),
            payload: reading.payload.clone(),
            amz_date: reading.amz_date.clone(),
            scope: reading.credential.scope.clone(),
        }
    }

    /// The signature by `secret`.
    pub(super) fn signature(&self, secret: &Secret) -> String {
        let text = Parts {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            signed: &self.signed,
            payload: &self.payload,
        }
        .text();
        let string = sigv4::string_to_sign(&self.amz_date, &self.scope, &text);
        sigv4::sign(&secret.signing_key(&self.scope), &string)
    }

    /// The same with another value of a signed header, in its place among them; none leaves its line out.
    pub(super) fn with_header(&self, name: &str, value: Option<&str>) -> Self {
        let mut headers = Vec::new();
        for listed in self.signed.split(';') {
            let ours = self.headers.iter().find(|(name, _)| name == listed);
            let given = if listed == name {
                value.map(str::to_owned)
            } else {
                ours.map(|(_, value)| value.clone())
            };
            headers.extend(given.map(|value| (listed.to_owned(), value)));
        }
        Self {
            headers,
            ..self.clone()
        }
    }

    /// The same for another host and path.
    pub(super) fn at(&self, authority: &str, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self.with_header("host", Some(authority))
        }
    }

    /// The same with another canonical query.
    pub(super) fn with_query(&self, query: String) -> Self {
        Self {
            query,
            ..self.clone()
        }
    }

    /// The value of a signed header, as it came.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}
