//! The server's numbers, for Prometheus.

use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::context::Service;
use super::error::{Code, S3Error};
use super::reply::{Reply, ReplyBody};
use crate::metrics::Format;

/// Where they are, at each of the server's sockets.
pub(super) const PATH: &str = "/-/metrics";
/// Where Prometheus looks by itself: no bucket's name where there are no buckets.
pub(super) const USUAL_PATH: &str = "/metrics";

/// Tells them, in the form that the request prefers.
///
/// # Errors
/// `NotImplemented` where nobody tells them.
pub(super) async fn answer(service: &Service, parts: &Parts) -> Result<Reply, S3Error> {
    let numbers = service.numbers.as_ref();
    let numbers = numbers.ok_or_else(|| S3Error::new(Code::NotImplemented))?;
    let accept = parts.headers.get(http::header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let mut reply = Reply {
        body: ReplyBody::full(numbers.tell(format).await),
        ..Reply::empty(StatusCode::OK)
    };
    let kind = HeaderValue::from_static(format.content_type());
    reply.headers.insert(http::header::CONTENT_TYPE, kind);
    Ok(reply)
}
