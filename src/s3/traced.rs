//! What the trace of a request tells of it, by the names that OpenTelemetry gives such things.
//!
//! <https://opentelemetry.io/docs/specs/semconv/object-stores/s3/>

use std::net::SocketAddr;

use http::request::Parts;

use super::access_log::Answered;
use super::context::Service;
use super::ending::Trace;
use super::head::Head;
use crate::clock::Timestamp;
use crate::id::RequestId;
use crate::trace::Root;

/// The trace of the request of `parts`, where it is one of those that are taken.
pub(super) fn begin(
    service: &Service,
    parts: &Parts,
    (id, now): (RequestId, Timestamp),
    client: Option<SocketAddr>,
) -> Option<Root> {
    let tracer = service.tracer.as_ref()?;
    let sent = parts.headers.get("traceparent");
    let sent = sent.and_then(|value| value.to_str().ok());
    let mut root = tracer.begin(now, sent)?;
    root.note("rpc.system", "aws-api");
    root.note("rpc.service", "S3");
    root.note("http.request.method", parts.method.as_str());
    root.note("aws.request_id", id.to_string());
    if let Some(client) = client {
        root.note("client.address", client.ip().to_string());
    }
    // Paths and queries are told by no other name: they hold signatures and keys.
    if let Ok(head) = Head::parse(parts, service.settings.reach.domains()) {
        if let Some(bucket) = &head.target.bucket {
            root.note("aws.s3.bucket", bucket.as_str());
        }
        if let Some(key) = head.target.key.as_ref().filter(|_| tracer.names_keys()) {
            root.note("aws.s3.key", key.as_str());
        }
    }
    Some(root)
}

/// The same once the head of its answer is ready.
pub(super) fn answered(mut root: Root, answered: &Answered<'_>) -> Box<Trace> {
    let name = answered.asked.name();
    root.note("rpc.method", name.as_str());
    root.note("http.response.status_code", answered.status);
    if let Some(code) = answered.code {
        root.note("error.type", code);
    }
    Box::new(Trace {
        root,
        name,
        // A client's fault is no failure of the server's.
        failed: answered.status >= 500,
    })
}
