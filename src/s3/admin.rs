//! The administration's requests: signed like any other, by the root key, with JSON both ways.

use std::fmt::Debug;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::Value;

use super::audit::{Asked, AuditKind, Deed, unkept};
use super::body::{Payload, Proof};
use super::context::Service;
use super::error::{Code, S3Error};
use super::head::Head;
use super::learned::Learned;
use super::reply::{Reply, ReplyBody};
use crate::auth::{Action, BodyProof, Grant, may};

/// What of an order is written down.
const TOLD: &[&str] = &[
    "access_key",
    "account",
    "bucket",
    "bytes",
    "email",
    "id",
    "key",
    "name",
    "objects",
    "policy",
    "prefix",
    "read_only",
    "state",
];

/// Characters of each that are written down.
const TOLD_CHARS_MAX: usize = 256;

/// Bytes of an administration request's body.
const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// Why the administration refuses.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

/// What the server lets its operator do while it runs.
pub trait AdminHandler: Debug + Send + Sync {
    /// Answers a verified request of the root key; `path` begins behind `/-/admin/v1/`.
    fn handle(
        &self,
        method: Method,
        path: String,
        query: String,
        body: Bytes,
    ) -> BoxFuture<'_, Result<Value, AdminError>>;
}

/// Answers an administration request.
pub(super) async fn answer(
    service: &Service,
    head: Head,
    path: &str,
    (grant, peer, parts): (Grant, Option<SocketAddr>, &Parts),
    body: impl FnOnce(Proof) -> Payload,
) -> Result<Reply, S3Error> {
    may(grant.who(), Action::Administer, None, None)?;
    let Some(admin) = &service.admin else {
        return Err(S3Error::new(Code::NotImplemented));
    };
    let (_who, proof, _none) = grant.into_parts();
    // A body that nothing proves could be anyone's order.
    if !matches!(proof, BodyProof::Sha256(_)) {
        return Err(S3Error::because(
            Code::InvalidRequest,
            "The body's SHA-256 must be signed.",
        ));
    }
    let body = body(proof.into()).bytes(BODY_BYTES_MAX).await?;
    let changes = !matches!(head.method, Method::GET | Method::HEAD) && path != "explain";
    if changes {
        announce(service, &head, (path, &body), (peer, parts)).await?;
    }
    let outcome = admin
        .handle(head.method, path.to_owned(), head.raw_query, body)
        .await;
    let (status, value) = match outcome {
        Ok(value) => (StatusCode::OK, value),
        Err(error) => (
            status_of(&error),
            serde_json::json!({ "error": error.to_string() }),
        ),
    };
    let reply = Reply {
        body: ReplyBody::full(value.to_string()),
        ..Reply::empty(status)
    };
    Ok(reply.with_static("content-type", "application/json"))
}

/// Writes down what is about to be changed: where that can't be done, nothing is.
async fn announce(
    service: &Service,
    head: &Head,
    (path, body): (&str, &[u8]),
    (peer, parts): (Option<SocketAddr>, &Parts),
) -> Result<(), S3Error> {
    let deed = Deed {
        kind: AuditKind::Admin,
        operation: cut(&format!("{} {path}", head.method)),
        about: told(body),
    };
    head.learned.does(deed.clone());
    let (Some(auditor), Some(id)) = (&service.audit, Learned::id(parts)) else {
        return Ok(());
    };
    let asked = Asked {
        id,
        at: service.clock.now(),
        client: peer.map(|peer| peer.ip()),
        method: &head.method,
        path: parts.uri.path(),
        learned: &head.learned,
    };
    let kept = auditor
        .record(asked.entry(AuditKind::Asked, Some(&deed)))
        .await;
    kept.map_err(|error| unkept("The audit log can't be written: nothing was done.", error))
}

/// What of an order may be written down: never its secrets.
fn told(body: &[u8]) -> serde_json::Map<String, Value> {
    let Ok(Value::Object(order)) = serde_json::from_slice(body) else {
        return serde_json::Map::new();
    };
    let told = order.into_iter().filter_map(|(name, value)| {
        let short = match value {
            Value::String(text) => cut(&text).into(),
            Value::Bool(_) | Value::Number(_) => value,
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        TOLD.contains(&name.as_str()).then_some((name, short))
    });
    told.collect()
}

/// As much of a text as a line of the audit log takes.
fn cut(text: &str) -> String {
    text.chars().take(TOLD_CHARS_MAX).collect()
}

const fn status_of(error: &AdminError) -> StatusCode {
    match error {
        AdminError::NotFound(_) => StatusCode::NOT_FOUND,
        AdminError::Invalid(_) => StatusCode::BAD_REQUEST,
        AdminError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
