//! Whole requests to a whole service in memory.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};

use super::input::{block_on, split, split_text};
use super::request::Wire;
use super::signed::{now, sign};
use crate::checksum::Algorithm;
use crate::clock::ManualClock;
use crate::id::RequestId;
use crate::s3::context::Service;
use crate::s3::fixture::service_over;
use crate::s3::{ReplyBody, handle, xml};
use crate::store::meta::memory::MemoryEngine;

/// Requests of one run.
const REQUESTS_MAX: usize = 4;
/// Bytes of an answer to requests of some hundred bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

async fn service() -> Arc<Service> {
    let clock = Arc::new(ManualClock::at(now()));
    service_over(Arc::new(MemoryEngine::new()), clock)
        .await
        .unwrap()
}

async fn send(
    service: &Arc<Service>,
    wire: &Wire,
    body: &[u8],
) -> Option<(StatusCode, HeaderMap, Bytes)> {
    let parts = wire.parts()?;
    let body = Full::new(Bytes::copy_from_slice(body));
    let peer = "203.0.113.7:1".parse().ok();
    let request = Request::from_parts(parts, body);
    let answer: Response<ReplyBody> =
        handle(Arc::clone(service), request, peer, RequestId::random()).await;
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.expect("an answer's body").to_bytes();
    Some((head.status, head.headers, bytes))
}

/// A request by the root key, with what S3 demands of its body.
fn wire(line: &str, body: &[u8]) -> Wire {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (mut wire, _rest) = Wire::parse(&format!("{method} h {path}\n{query}\n")).unwrap();
    let mut set =
        |name: &'static str, value: String| drop(wire.headers.insert(name, value.parse().unwrap()));
    set("content-length", body.len().to_string());
    if !body.is_empty() {
        let crc = crate::checksum::Checksum::full(Algorithm::Crc32, Algorithm::Crc32.digest(body));
        set("x-amz-checksum-crc32", crc.text());
    }
    sign(&wire, true).unwrap()
}

async fn ask(service: &Arc<Service>, line: &str, body: &[u8]) -> (StatusCode, HeaderMap, Bytes) {
    send(service, &wire(line, body), body).await.unwrap()
}

/// What is answered to a request, whatever it is, must be an answer.
fn check(wire: &Wire, status: StatusCode, headers: &HeaderMap, body: &Bytes) {
    let shown = || format!("{wire:?}\n{status} {headers:?}\n{}", body.escape_ascii());
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{}", shown());
    assert!(
        body.len() < ANSWER_BYTES_MAX,
        "{} bytes: {wire:?}",
        body.len()
    );
    let is_xml = headers
        .get("content-type")
        .is_some_and(|kind| kind == "application/xml");
    if !status.is_success() && is_xml && !body.is_empty() {
        assert!(xml::parse_any(body).is_ok(), "{}", shown());
    }
    if let Some(len) = headers.get("content-length")
        && wire.method != http::Method::HEAD
        && status != StatusCode::NOT_MODIFIED
    {
        assert_eq!(len.to_str().unwrap(), body.len().to_string(), "{}", shown());
    }
}

/// Up to four requests, parted by a line `---`; those whose decision says so are signed by the root.
pub(super) fn requests(data: &[u8]) {
    let Some((text, mut script)) = split_text(data) else {
        return;
    };
    block_on(async {
        let service = service().await;
        for line in ["PUT /bucket", "PUT /bucket/key"] {
            let (status, _, body) = ask(&service, line, b"").await;
            assert!(status.is_success(), "{body:?}");
        }
        for text in text.split("\n---\n").take(REQUESTS_MAX) {
            let Some((mut asked, body)) = Wire::parse(text) else {
                return;
            };
            if !asked.headers.contains_key("content-length") {
                asked.headers.insert("content-length", body.len().into());
            }
            let wire = match script.byte() % 4 {
                0 | 1 => sign(&asked, true),
                2 => sign(&asked, false),
                _ => Some(asked),
            };
            let Some(wire) = wire else {
                return;
            };
            if let Some((status, headers, answer)) = send(&service, &wire, body.as_bytes()).await {
                check(&wire, status, &headers, &answer);
            }
        }
    });
}

/// Documents that set something: where they are put, and whether they are got again.
const DOCUMENTS: &[(&str, bool)] = &[
    ("/bucket?cors", true),
    ("/bucket?lifecycle", true),
    ("/bucket?website", true),
    ("/bucket?tagging", true),
    ("/bucket?versioning", true),
    ("/bucket?encryption", true),
    ("/bucket?acl", true),
    ("/bucket?logging", true),
    ("/bucket?notification", true),
    ("/bucket?object-lock", true),
    ("/bucket?ownershipControls", true),
    ("/bucket?publicAccessBlock", true),
    ("/bucket?requestPayment", true),
    ("/bucket?policy", true),
    ("/bucket/key?tagging", true),
    ("/bucket/key?acl", true),
    ("/bucket/key?retention", true),
    ("/bucket/key?legal-hold", true),
    ("/bucket?delete", false),
    ("/bucket/key?uploadId=UPLOAD", false),
    ("/made", false),
];

/// A document; the first decision says for what. What is accepted is told again, and taken again as
/// it is told, to the same effect.
pub(super) fn documents(data: &[u8]) {
    let (body, mut script) = split(data);
    let (path, is_got) = DOCUMENTS[script.below(DOCUMENTS.len())];
    block_on(async {
        let service = service().await;
        for line in ["PUT /bucket", "PUT /bucket/key"] {
            ask(&service, line, b"").await;
        }
        if path.contains("object-lock") || path.contains("retention") || path.contains("legal-hold")
        {
            let on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
            let lock = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";
            ask(&service, "PUT /bucket?versioning", on).await;
            ask(&service, "PUT /bucket?object-lock", lock).await;
        }
        let method = if path.contains("delete") || path.contains("UPLOAD") {
            "POST"
        } else {
            "PUT"
        };
        let mut path = path.to_owned();
        if path.contains("UPLOAD") {
            let (_, _, begun) = ask(&service, "POST /bucket/key?uploads", b"").await;
            let begun = xml::parse_any(&begun).unwrap();
            path = path.replace("UPLOAD", begun.text_of("UploadId").unwrap());
        }
        let put = wire(&format!("{method} {path}"), body);
        let (status, headers, answer) = send(&service, &put, body).await.unwrap();
        check(&put, status, &headers, &answer);
        if is_got && status.is_success() {
            check_told(&service, &path, body).await;
        }
    });
}

async fn check_told(service: &Arc<Service>, path: &str, body: &[u8]) {
    let shown = |text: &Bytes| text.escape_ascii().to_string();
    let (status, _, told) = ask(service, &format!("GET {path}"), b"").await;
    // An empty set is one that is not there.
    if status == StatusCode::NOT_FOUND {
        return;
    }
    assert!(
        status.is_success(),
        "{path} {} {}",
        body.escape_ascii(),
        shown(&told)
    );
    let (status, _, answer) = ask(service, &format!("PUT {path}"), &told).await;
    assert!(
        status.is_success(),
        "{path}\n{}\n{}\n{}",
        body.escape_ascii(),
        shown(&told),
        shown(&answer)
    );
    let (_, _, again) = ask(service, &format!("GET {path}"), b"").await;
    assert_eq!(
        shown(&again),
        shown(&told),
        "{path} {}",
        body.escape_ascii()
    );
}
