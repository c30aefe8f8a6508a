//! Turns what a handler gave into the answer on the wire: the headers that each answer of S3 has,
//! and the document of an error.

use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, SERVER};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};

use super::error::{Code, S3Error};
use super::oss::{self, answer::keep_error};
use super::reply::{Reply, ReplyBody};
use crate::id::{RequestId, host_id};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const OSS_REQUEST_ID: HeaderName = HeaderName::from_static("x-oss-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// The answer to a request of that method.
pub fn render(
    id: RequestId,
    method: &Method,
    outcome: Result<Reply, S3Error>,
) -> Response<ReplyBody> {
    let mut reply = outcome.unwrap_or_else(|error| error_reply(id, &of_method(error, method)));
    keep_error(method, &mut reply);
    let bodiless = reply.status == StatusCode::NO_CONTENT
        || reply.status == StatusCode::NOT_MODIFIED
        || reply.status.is_informational();
    if *method == Method::HEAD || bodiless {
        // The length is that of the body which GET would have got; an error says nothing of it.
        let len = reply.body.len();
        let failed = reply.status.is_client_error() || reply.status.is_server_error();
        if failed {
            reply.headers.remove(CONTENT_LENGTH);
        } else if !bodiless && !reply.headers.contains_key(CONTENT_LENGTH) {
            reply.headers.insert(CONTENT_LENGTH, len.into());
        }
        reply.body = ReplyBody::empty();
    }
    let mut response = Response::new(reply.body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("Consign"));
    // Each dialect has its own name for this.
    if headers.contains_key(OSS_REQUEST_ID) {
        return response;
    }
    for (name, value) in [(REQUEST_ID, id.to_string()), (HOST_ID, host_id(id))] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

/// The store knows that a delete marker can't be had, but not what was asked of it.
fn of_method(error: S3Error, method: &Method) -> S3Error {
    if error.code() == Code::MethodNotAllowed && !error.names("Method") {
        return error.with("Method", method.as_str());
    }
    error
}

fn error_reply(id: RequestId, error: &S3Error) -> Reply {
    let (name, status) = error.code().wire();
    let is_fault = !matches!(error.code(), Code::NotImplemented | Code::SlowDown);
    if status.is_server_error() && is_fault {
        let cause = std::error::Error::source(error)
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(%id, code = name, cause, "the request failed");
    }
    if let Some(host) = error.oss_host() {
        return oss::answer::error_reply(id, error, host);
    }
    let mut reply = Reply::empty(status);
    for (name, value) in error.headers() {
        if let Ok(value) = HeaderValue::from_str(value) {
            reply.headers.insert(HeaderName::from_static(name), value);
        }
    }
    if status == StatusCode::METHOD_NOT_ALLOWED && !reply.headers.contains_key(ALLOW) {
        // RFC 9110 demands it with this status.
        reply.headers.insert(
            ALLOW,
            HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE"),
        );
    }
    reply
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    reply.body = ReplyBody::full(error.document(id, &host_id(id)));
    reply
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn text(response: Response<ReplyBody>) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_error_is_a_document_that_names_the_request() {
        let id = RequestId::random();
        let error = || S3Error::new(Code::NoSuchKey).with("Key", "a<b");
        let response = render(id, &Method::GET, Err(error()));
        assert_eq!(response.status(), 404);
        assert_eq!(
            response.headers()["x-amz-request-id"],
            id.to_string().as_str()
        );
        assert_eq!(
            text(response).await,
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>\
                 <Message>The specified key does not exist.</Message><Key>a&lt;b</Key>\
                 <RequestId>{id}</RequestId><HostId>consign-{id}</HostId></Error>"
            )
        );
        assert_eq!(text(render(id, &Method::HEAD, Err(error()))).await, "");
        let refused = S3Error::new(Code::MethodNotAllowed).with("ResourceType", "DeleteMarker");
        let refused = text(render(id, &Method::PUT, Err(refused))).await;
        assert!(refused.contains("<Method>PUT</Method>"), "{refused}");
    }

    #[tokio::test]
    async fn head_keeps_the_length_of_the_body_that_it_leaves_out() {
        let reply = Reply::full("text/plain", "12345");
        let response = render(RequestId::random(), &Method::HEAD, Ok(reply));
        assert_eq!(response.headers()["content-length"], "5");
        assert_eq!(text(response).await, "");
    }
}
