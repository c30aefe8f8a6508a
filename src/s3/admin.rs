//! The administration's requests: signed like any other, by the root key, with JSON both ways.

use std::fmt::Debug;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};

use super::body::{Payload, Proof};
use super::context::Service;
use super::error::{Code, S3Error};
use super::head::Head;
use super::reply::{Reply, ReplyBody};
use crate::auth::{Action, BodyProof, Grant, may};

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
    ) -> BoxFuture<'_, Result<serde_json::Value, AdminError>>;
}

/// Answers an administration request.
pub(super) async fn answer(
    service: &Service,
    head: Head,
    path: &str,
    grant: Grant,
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

const fn status_of(error: &AdminError) -> StatusCode {
    match error {
        AdminError::NotFound(_) => StatusCode::NOT_FOUND,
        AdminError::Invalid(_) => StatusCode::BAD_REQUEST,
        AdminError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
