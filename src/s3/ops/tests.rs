use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};

use crate::auth::Who;
use crate::auth::constraint::Duties;
use crate::clock::SystemClock;
use crate::id::RequestId;
use crate::s3::body::{Payload, Proof};
use crate::s3::context::{Call, Service};
use crate::s3::route::Serve;
use crate::s3::{Code, Head, Reply, Route, S3Error, fixture, handle};
use crate::store::meta::MetaEngine;
use crate::store::meta::fault::{FaultyEngine, MetaFault};
use crate::store::meta::memory::MemoryEngine;

async fn service() -> Arc<Service> {
    service_over(Arc::new(MemoryEngine::new())).await
}

async fn service_over(meta: Arc<dyn MetaEngine>) -> Arc<Service> {
    fixture::service_over(meta, Arc::new(SystemClock))
        .await
        .unwrap()
}

async fn call(
    service: &Arc<Service>,
    line: &str,
    headers: &[(&'static str, &str)],
    body: &'static str,
) -> Result<Reply, S3Error> {
    let (method, uri) = line.split_once(' ').unwrap();
    let mut request = http::Request::builder().method(method).uri(uri);
    request = request
        .header("host", "h")
        .header("content-length", body.len());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let head = Head::parse(&request.body(()).unwrap().into_parts().0, &[]).unwrap();
    let idle = Duration::from_secs(5);
    let body = Full::new(Bytes::from_static(body.as_bytes()));
    let body = Payload::new(body, head.headers.clone(), Proof::Unsigned, idle);
    let root = fixture::root_key(&service.accounts.root().id);
    let Some(Serve::Head { run, .. }) = Route::of(&head).unwrap().serve else {
        panic!("{line} is not served");
    };
    run(Call {
        service: Arc::clone(service),
        head,
        who: Who::Key(Arc::new(root)),
        body,
        id: RequestId::random(),
        peer: None,
        signature: None,
        duties: Duties::default(),
    })
    .await
}

async fn text(reply: Reply) -> String {
    let bytes = reply.body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn an_objects_life() {
    let s = service().await;
    let refused = call(&s, "PUT /abc/d", &[], "x").await.unwrap_err();
    assert_eq!(refused.code(), Code::NoSuchBucket);
    assert_eq!(call(&s, "PUT /abc", &[], "").await.unwrap().status, 200);
    assert_eq!(call(&s, "PUT /abc", &[], "").await.unwrap().status, 200);
    let buckets = text(call(&s, "GET /", &[], "").await.unwrap()).await;
    assert!(buckets.contains("<Name>abc</Name>"), "{buckets}");
    for (key, body) in [("d", "0123456789"), ("e/f", "abc"), ("e/g", "")] {
        let put = call(&s, &format!("PUT /abc/{key}"), &[], body).await;
        assert!(put.unwrap().headers.contains_key("etag"));
    }
    let absent = [("if-none-match", "*")];
    let taken = call(&s, "PUT /abc/d", &absent, "x").await.unwrap_err();
    assert_eq!(taken.code(), Code::PreconditionFailed);
    let part = call(&s, "GET /abc/d", &[("range", "bytes=2-4")], "").await;
    assert_eq!(text(part.unwrap()).await, "234");
    assert_eq!(
        text(call(&s, "GET /abc/e/f", &[], "").await.unwrap()).await,
        "abc"
    );
    let head = call(&s, "HEAD /abc/d", &[], "").await.unwrap();
    assert_eq!(head.headers["content-length"], "10");
    let list = call(&s, "GET /abc?list-type=2&delimiter=/", &[], "").await;
    let list = text(list.unwrap()).await;
    assert!(list.contains("<KeyCount>2</KeyCount>"), "{list}");
    assert!(list.contains("<Prefix>e/</Prefix>"), "{list}");
    let full = call(&s, "DELETE /abc", &[], "").await.unwrap_err();
    assert_eq!(full.code(), Code::BucketNotEmpty);
    assert_eq!(
        call(&s, "DELETE /abc/d", &[], "").await.unwrap().status,
        204
    );
    let gone = call(&s, "GET /abc/d", &[], "").await.unwrap_err();
    assert!(gone.code() == Code::NoSuchKey && gone.names("Key"));
    let several = "<Delete><Object><Key>e/f</Key></Object><Object><Key>e/g</Key></Object></Delete>";
    let unguarded = call(&s, "POST /abc?delete", &[], several)
        .await
        .unwrap_err();
    assert_eq!(unguarded.code(), Code::InvalidRequest);
    let crc = crate::checksum::Algorithm::Crc32;
    let crc = crate::checksum::Checksum::full(crc, crc.digest(several.as_bytes())).base64();
    let guard = [("x-amz-checksum-crc32", crc.as_str())];
    let deleted = call(&s, "POST /abc?delete", &guard, several).await.unwrap();
    assert!(text(deleted).await.contains("<Key>e/g</Key>"));
    assert_eq!(call(&s, "DELETE /abc", &[], "").await.unwrap().status, 204);
}

fn inner<'a>(document: &'a str, element: &str) -> &'a str {
    let (start, end) = (format!("<{element}>"), format!("</{element}>"));
    let (_, rest) = document.split_once(&start).unwrap();
    rest.split_once(&end).unwrap().0
}

async fn check_part_two(s: &Arc<Service>) {
    let part = call(s, "GET /abc/d%2Fe?partNumber=2", &[], "")
        .await
        .unwrap();
    assert_eq!(part.status, 206);
    assert_eq!(part.headers["x-amz-mp-parts-count"], "1");
    assert_eq!(text(part).await, "bytes");
    let both = [("range", "bytes=0-1")];
    let both = call(s, "GET /abc/d%2Fe?partNumber=2", &both, "").await;
    assert_eq!(both.unwrap_err().code(), Code::InvalidRequest);
}

#[tokio::test]
async fn an_uploads_life() {
    let s = service().await;
    call(&s, "PUT /abc", &[], "").await.unwrap();
    let begun = call(&s, "POST /abc/d%2Fe?uploads", &[], "").await.unwrap();
    let begun = text(begun).await;
    let id = inner(&begun, "UploadId");
    let about = |method: &str, more: &str| format!("{method} /abc/d%2Fe?uploadId={id}{more}");
    let put = about("PUT", "&partNumber=2");
    let crc = [("x-amz-sdk-checksum-algorithm", "CRC32")];
    let part = call(&s, &put, &crc, "bytes").await.unwrap();
    assert!(part.headers.contains_key("x-amz-checksum-crc32"));
    let etag = part.headers["etag"].to_str().unwrap();
    for number in ["0", "10001"] {
        let line = about("PUT", &format!("&partNumber={number}"));
        let refused = call(&s, &line, &[], "x").await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let other = "PUT /abc/d?partNumber=1&uploadId=x";
    let other = call(&s, other, &[], "x").await.unwrap_err();
    assert!(other.code() == Code::NoSuchUpload && other.names("UploadId"));

    let parts = text(call(&s, &about("GET", ""), &[], "").await.unwrap()).await;
    assert_eq!(inner(&parts, "NextPartNumberMarker"), "2");
    assert!(!parts.contains("Checksum"), "{parts}");
    let uploads = call(&s, "GET /abc?uploads&delimiter=/", &[], "").await;
    let uploads = text(uploads.unwrap()).await;
    assert!(
        uploads.contains("<CommonPrefixes><Prefix>d/</Prefix>"),
        "{uploads}"
    );
    let uploads = text(call(&s, "GET /abc?uploads", &[], "").await.unwrap()).await;
    assert_eq!(inner(&uploads, "NextUploadIdMarker"), id);

    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let list: &'static str = list.leak();
    let complete = about("POST", "");
    let size = [("x-amz-mp-object-size", "4")];
    let refused = call(&s, &complete, &size, list).await.unwrap_err();
    assert!(
        refused.message().contains("what was computed: 5"),
        "{refused}"
    );
    let refused = call(
        &s,
        &complete,
        &[("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")],
        list,
    )
    .await;
    assert_eq!(refused.unwrap_err().code(), Code::BadDigest);
    let mut answers = Vec::new();
    for _again in 0..2 {
        answers.push(text(call(&s, &complete, &[], list).await.unwrap()).await);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(inner(&answers[0], "Location"), "http://h/abc/d%2Fe");
    assert_eq!(inner(&answers[0], "ChecksumType"), "FULL_OBJECT");
    assert!(answers[0].contains("<ChecksumCRC64NVME>"), "{}", answers[0]);

    check_part_two(&s).await;
    let gone = call(&s, &about("DELETE", ""), &[], "").await.unwrap_err();
    assert_eq!(gone.code(), Code::NoSuchUpload);
}

#[tokio::test]
async fn a_condition_about_what_changed_during_the_upload_is_a_conflict() {
    let s = service().await;
    call(&s, "PUT /abc", &[], "").await.unwrap();
    let begin = async || {
        let begun = call(&s, "POST /abc/d?uploads", &[], "").await.unwrap();
        let begun = text(begun).await;
        let id = inner(&begun, "UploadId").to_owned();
        let part = format!("PUT /abc/d?partNumber=1&uploadId={id}");
        let part = call(&s, &part, &[], "x").await.unwrap();
        let etag = part.headers["etag"].to_str().unwrap().to_owned();
        let list = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
             </CompleteMultipartUpload>"
        );
        let list: &'static str = list.leak();
        (format!("POST /abc/d?uploadId={id}"), list, etag)
    };
    let (complete, list, etag) = begin().await;
    let is_it = [("if-match", etag.as_str())];
    let absent = call(&s, &complete, &is_it, list).await.unwrap_err();
    assert_eq!(absent.code(), Code::NoSuchKey);
    call(&s, "PUT /abc/d", &[], "x").await.unwrap();
    let changed = call(&s, &complete, &is_it, list).await.unwrap_err();
    assert_eq!(changed.code(), Code::ConditionalRequestConflict);
    assert!(changed.names("Condition") && changed.names("Key"));

    let (complete, list, _etag) = begin().await;
    let none = [("if-none-match", "*")];
    let there = call(&s, &complete, &none, list).await.unwrap_err();
    assert_eq!(there.code(), Code::PreconditionFailed);
    call(&s, "DELETE /abc/d", &[], "").await.unwrap();
    let deleted = call(&s, &complete, &none, list).await.unwrap_err();
    assert_eq!(deleted.code(), Code::ConditionalRequestConflict);
    let (complete, list, _etag) = begin().await;
    assert!(call(&s, &complete, &none, list).await.is_ok());
}

#[tokio::test]
async fn a_condition_is_judged_before_the_body_is_read() {
    let s = service().await;
    call(&s, "PUT /abc", &[], "").await.unwrap();
    call(&s, "PUT /abc/d", &[], "x").await.unwrap();
    // The broken digest would be found with the first byte of the body.
    let broken = ("content-md5", "no digest");
    for (condition, key, code) in [
        (("if-none-match", "*"), "d", Code::PreconditionFailed),
        (("if-match", "\"other\""), "d", Code::PreconditionFailed),
        (("if-match", "*"), "e", Code::NoSuchKey),
        (("if-none-match", "*"), "e", Code::InvalidDigest),
        (("if-match", "*"), "d", Code::InvalidDigest),
    ] {
        let put = call(&s, &format!("PUT /abc/{key}"), &[condition, broken], "y").await;
        assert_eq!(put.unwrap_err().code(), code, "{condition:?} {key}");
    }
}

#[tokio::test]
async fn a_server_whose_metadata_takes_no_more_batches_is_not_ready() {
    let engine = Arc::new(FaultyEngine::new(Arc::new(MemoryEngine::new())));
    let s = service_over(engine.clone()).await;
    let ready = async || {
        let request = http::Request::get("/-/ready").header("host", "h");
        let request = request.body(Full::new(Bytes::new())).unwrap();
        handle(s.clone(), request, None, RequestId::random()).await
    };
    assert_eq!(ready().await.status(), 200);
    engine.fail_commit(1, MetaFault::Poisoned { applied: false });
    call(&s, "PUT /abc", &[], "").await.unwrap_err();
    assert_eq!(ready().await.status(), 503);
}
