//! What is told to the audit log: what the operator and owners of buckets change, and who was denied.

use std::fmt::Debug;
use std::net::IpAddr;

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde::Serialize;

use super::context::Service;
use super::error::{Code, S3Error};
use super::learned::Learned;
use super::reply::Reply;
use crate::clock::Timestamp;
use crate::id::RequestId;

/// Characters of a path that are kept.
const PATH_CHARS_MAX: usize = 1024;

/// Codes by which somebody was kept out. Others of status 403 tell of quotas, receivers and states.
const DENIALS: &[Code] = &[
    Code::AccessDenied,
    Code::AccessForbidden,
    Code::AuthorizationHeaderMalformed,
    Code::AuthorizationQueryParametersError,
    Code::ExpiredToken,
    Code::InvalidAccessKeyId,
    Code::InvalidSecurity,
    Code::InvalidToken,
    Code::MissingAuthenticationToken,
    Code::RequestTimeTooSkewed,
    Code::SignatureDoesNotMatch,
];

/// Why something is in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditKind {
    /// The administration was told to change something, and is about to.
    Asked,
    /// The administration changed something, or failed to.
    Admin,
    /// A bucket, or how it is set up, was changed.
    Bucket,
    /// Who may reach an object, or how long it is kept, was changed.
    Object,
    /// Somebody was kept out.
    Denied,
}

/// One event.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEntry {
    /// When it came, in ISO 8601.
    pub time: String,
    /// Why it is here.
    pub kind: AuditKind,
    /// The request's id.
    pub request: String,
    /// Where it came from.
    pub client: Option<IpAddr>,
    /// The public half of the key that was proved,
    pub key: Option<String>,
    /// and its name.
    pub name: Option<String>,
    /// What was asked for, by S3's name or the administration's.
    pub operation: Option<String>,
    /// The method,
    pub method: String,
    /// and the path as it came, without its query: that may hold a signature.
    pub path: String,
    /// What it is about, without secrets.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub about: serde_json::Map<String, serde_json::Value>,
    /// What was answered; none before.
    pub status: Option<u16>,
    /// The error's code.
    pub code: Option<&'static str>,
}

/// What keeps the audit log.
pub trait Auditor: Debug + Send + Sync {
    /// Takes an event which nobody waits for. Where too many come, some are only counted.
    fn note(&self, entry: AuditEntry);

    /// Takes an event and returns once it can't be lost any more.
    ///
    /// # Errors
    /// Where it can't be kept.
    fn record(&self, entry: AuditEntry) -> BoxFuture<'_, Result<(), String>>;
}

/// A change that belongs into the audit log.
#[derive(Debug, Clone)]
pub struct Deed {
    /// Of what kind it is.
    pub kind: AuditKind,
    /// What was asked for.
    pub operation: String,
    /// What it is about, without secrets.
    pub about: serde_json::Map<String, serde_json::Value>,
}

/// A request as the audit log tells of it.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) id: RequestId,
    pub(super) at: Timestamp,
    pub(super) client: Option<IpAddr>,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) learned: &'a Learned,
}

impl Asked<'_> {
    pub(super) fn entry(&self, kind: AuditKind, deed: Option<&Deed>) -> AuditEntry {
        let key = self.learned.by();
        AuditEntry {
            time: self.at.iso8601_ms(),
            kind,
            request: self.id.to_string(),
            client: self.client,
            key: key.map(|key| key.access_key.clone()),
            name: key.map(|key| key.name.clone()),
            operation: deed.map(|deed| deed.operation.clone()),
            method: self.method.to_string(),
            path: self.path.chars().take(PATH_CHARS_MAX).collect(),
            about: deed.map(|deed| deed.about.clone()).unwrap_or_default(),
            status: None,
            code: None,
        }
    }
}

/// Tells the audit log how a request ended, where that belongs there. What was changed is in the log before
/// it is answered.
///
/// # Errors
/// The request's own; `ServiceUnavailable` where a change can't be written down.
pub(super) async fn settle(
    service: &Service,
    asked: &Asked<'_>,
    outcome: Result<Reply, S3Error>,
) -> Result<Reply, S3Error> {
    let Some(auditor) = &service.audit else {
        return outcome;
    };
    let (status, code) = match &outcome {
        Ok(reply) => (reply.status, None),
        Err(error) => (error.code().wire().1, Some(error.code())),
    };
    let deed = asked.learned.deed();
    let entry = |kind| AuditEntry {
        status: Some(status.as_u16()),
        code: code.map(|code| code.wire().0),
        ..asked.entry(kind, deed)
    };
    if is_denial(status, code) {
        auditor.note(entry(AuditKind::Denied));
        return outcome;
    }
    if let Some(deed) = deed {
        let kept = auditor.record(entry(deed.kind)).await;
        kept.map_err(|error| {
            unkept(
                "The audit log can't be written: the request may have been carried out.",
                error,
            )
        })?;
    }
    outcome
}

/// Told where the audit log can't be written.
pub(super) fn unkept(message: &'static str, error: String) -> S3Error {
    S3Error::because(Code::ServiceUnavailable, message).caused_by(error)
}

fn is_denial(status: StatusCode, code: Option<Code>) -> bool {
    match code {
        Some(code) => DENIALS.contains(&code),
        // Other services than S3 have codes of their own.
        None => matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_kept_out_was_denied() {
        for (code, denied) in [
            (Code::SignatureDoesNotMatch, true),
            (Code::AccessDenied, true),
            (Code::ExpiredToken, true),
            (Code::QuotaExceeded, false),
            (Code::NoSuchKey, false),
            (Code::SlowDown, false),
        ] {
            assert_eq!(is_denial(code.wire().1, Some(code)), denied, "{code:?}");
        }
        assert!(is_denial(StatusCode::FORBIDDEN, None));
        assert!(!is_denial(StatusCode::NOT_FOUND, None));
    }
}
