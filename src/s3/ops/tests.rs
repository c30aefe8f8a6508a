use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};

use crate::auth::{AccessKey, KeyRing, Scope, Secret, Who};
use crate::clock::SystemClock;
use crate::id::RequestId;
use crate::s3::body::{Payload, Proof};
use crate::s3::context::{Call, Service, ServiceSettings};
use crate::s3::route::Serve;
use crate::s3::{Code, Head, Reply, Route, S3Error};
use crate::store::accounts::Accounts;
use crate::store::blob::memory::MemoryBlobs;
use crate::store::meta::memory::MemoryEngine;
use crate::store::{NoHook, ObjectStore, StoreSettings};

struct NoKeys;

impl KeyRing for NoKeys {
    fn find(&self, _access_key: &str) -> Option<Arc<AccessKey>> {
        None
    }
}

async fn service() -> Arc<Service> {
    let clock = Arc::new(SystemClock);
    let (meta, blobs) = (Arc::new(MemoryEngine::new()), Arc::new(MemoryBlobs::new()));
    let settings = StoreSettings {
        inline_bytes_max: 4,
    };
    let accounts = Accounts::open(meta.clone(), clock.clone()).await.unwrap();
    let store = ObjectStore::open(meta, blobs, clock.clone(), Arc::new(NoHook), settings);
    Arc::new(Service {
        store: store.await.unwrap(),
        keys: Arc::new(NoKeys),
        accounts,
        settings: ServiceSettings {
            region: "eu-west-1".into(),
            domains: Vec::new(),
            presign_seconds_max: 1,
            body_idle: Duration::from_secs(5),
        },
        clock,
        admin: None,
    })
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
    let root = AccessKey {
        access_key: "AK".into(),
        name: "n".into(),
        secret: Secret::new("s"),
        disabled: false,
        scope: Scope::default(),
        root: true,
        owner: service.accounts.root().id.clone(),
    };
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
    let again = call(&s, "PUT /abc", &[], "").await.unwrap_err();
    assert_eq!(again.code(), Code::BucketAlreadyOwnedByYou);
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
