//! Each fault of a signature, and what S3 calls it.

use super::wire::{Ask, Signer, UNSIGNED, absent, ready, sha256};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn faults_of_a_presigned_url() {
    let server = ready().await;
    let get = || Ask::new(&server, "GET", "/raw");
    let now = Signer::now();
    get().presigned(&now, "60").expect(&server, 200, "").await;
    get().expect(&server, 403, "AccessDenied").await;
    let old = get().presigned(&Signer::seconds_ago(120), "60");
    let answer = old.expect(&server, 403, "AccessDenied").await;
    assert!(answer.text.contains("Request has expired"), "{answer:?}");
    get()
        .presigned(&Signer::seconds_ago(-3600), "60")
        .expect(&server, 403, "AccessDenied")
        .await;
    for expires in ["0", "604801", "-1", "x", ""] {
        let ask = get().presigned(&now, expires);
        ask.expect(&server, 400, "AuthorizationQueryParametersError")
            .await;
    }
    let stranger = Signer {
        access_key: "AKIASTRANGER".into(),
        ..now.clone()
    };
    get()
        .presigned(&stranger, "60")
        .expect(&server, 403, "InvalidAccessKeyId")
        .await;
    let forger = Signer {
        secret: "guess".into(),
        ..now.clone()
    };
    let answer = get()
        .presigned(&forger, "60")
        .expect(&server, 403, "SignatureDoesNotMatch")
        .await;
    assert!(answer.text.contains("<StringToSign>"), "{answer:?}");
    let elsewhere = Signer {
        region: "eu-west-9".into(),
        ..now.clone()
    };
    let answer = get().presigned(&elsewhere, "60").send(&server).await;
    assert_eq!(answer.status, 400, "{answer:?}");

    let added = get().presigned(&now, "60").query("prefix", "x");
    added.expect(&server, 403, "SignatureDoesNotMatch").await;
    let header = get()
        .presigned(&now, "60")
        .header("x-amz-acl", "public-read");
    let answer = header.expect(&server, 403, "AccessDenied").await;
    assert!(
        answer.text.contains("<HeadersNotSigned>x-amz-acl"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_missing_or_doubled_parameter_is_refused() {
    let server = ready().await;
    let good = Ask::new(&server, "GET", "/raw").presigned(&Signer::now(), "60");
    for at in 0..good.query.len() {
        let mut missing = good.clone();
        let (name, value) = missing.query.remove(at);
        let answer = missing.send(&server).await;
        assert!(
            matches!(answer.status, 400 | 403),
            "without {name}: {answer:?}"
        );
        for second in [value.as_str(), "other"] {
            let answer = good.clone().query(&name, second).send(&server).await;
            assert!(
                matches!(answer.status, 400 | 403),
                "{name} twice: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn faults_of_an_authorization_header() {
    let server = ready().await;
    let put = || Ask::new(&server, "PUT", "/raw/k").body(b"hello");
    let now = Signer::now();
    let hash = sha256(b"hello");
    put()
        .authorized(&now, &hash)
        .0
        .expect(&server, 200, "")
        .await;
    put()
        .authorized(&now, UNSIGNED)
        .0
        .expect(&server, 200, "")
        .await;
    let client = server.client();
    client
        .delete_object()
        .bucket("raw")
        .key("k")
        .send()
        .await
        .unwrap();

    let other = put().authorized(&now, EMPTY).0;
    other
        .expect(&server, 400, "XAmzContentSHA256Mismatch")
        .await;
    for skew in [3600, -3600] {
        let ask = put().authorized(&Signer::seconds_ago(skew), &hash).0;
        ask.expect(&server, 403, "RequestTimeTooSkewed").await;
    }
    let elsewhere = Signer {
        region: "eu-west-9".into(),
        ..now.clone()
    };
    let answer = put().authorized(&elsewhere, &hash).0;
    let answer = answer
        .expect(&server, 400, "AuthorizationHeaderMalformed")
        .await;
    assert!(
        answer.text.contains("<Region>us-east-1</Region>"),
        "{answer:?}"
    );
    let extra = put().authorized(&now, &hash).0.header("x-amz-meta-a", "b");
    extra.expect(&server, 403, "AccessDenied").await;
    let both = put().presigned(&now, "60").authorized(&now, &hash).0;
    let answer = both.send(&server).await;
    assert!(matches!(answer.status, 400 | 403), "{answer:?}");
    absent(&server, "k").await;
}

#[tokio::test]
async fn a_body_must_be_what_was_promised() {
    let server = ready().await;
    let now = Signer::now();
    let put = || Ask::new(&server, "PUT", "/raw/k").body(b"hello");
    let short = put()
        .header("content-length", "9")
        .authorized(&now, UNSIGNED)
        .0;
    let answer = short.send(&server).await;
    assert!(matches!(answer.status, 0 | 400), "{answer:?}");
    let digest = put().header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==");
    digest
        .authorized(&now, UNSIGNED)
        .0
        .expect(&server, 400, "BadDigest")
        .await;
    let garbled = put().header("content-md5", "not base64");
    garbled
        .authorized(&now, UNSIGNED)
        .0
        .expect(&server, 400, "InvalidDigest")
        .await;
    let sum = put().header("x-amz-checksum-crc32", "AAAAAA==");
    sum.authorized(&now, UNSIGNED)
        .0
        .expect(&server, 400, "BadDigest")
        .await;
    absent(&server, "k").await;
    let waits = put()
        .header("expect", "100-continue")
        .authorized(&now, UNSIGNED)
        .0;
    assert!(waits.send(&server).await.text.contains("200 OK"));
}

#[tokio::test]
async fn what_is_not_honoured_is_said_by_name() {
    let server = ready().await;
    let now = Signer::now();
    for (method, path, parameter, operation) in [
        (
            "GET",
            "/raw",
            "analytics",
            "ListBucketAnalyticsConfigurations",
        ),
        ("PUT", "/raw", "replication", "PutBucketReplication"),
        ("GET", "/raw/k", "torrent", "GetObjectTorrent"),
        ("POST", "/raw/k", "restore", "RestoreObject"),
    ] {
        let ask = Ask::new(&server, method, path)
            .query(parameter, "")
            .presigned(&now, "60");
        let answer = ask.expect(&server, 501, "NotImplemented").await;
        assert!(answer.text.contains(operation), "{operation}: {answer:?}");
    }
    let option = Ask::new(&server, "PUT", "/raw/k").header("x-amz-storage-class", "GLACIER");
    let answer = option
        .authorized(&now, UNSIGNED)
        .0
        .expect(&server, 501, "NotImplemented")
        .await;
    assert!(answer.text.contains("x-amz-storage-class"), "{answer:?}");
    absent(&server, "k").await;
}

#[tokio::test]
async fn headers_that_came_in_the_query_count_as_headers() {
    let server = ready().await;
    let now = Signer::now();
    // The digest is that of nothing: some SDKs add it to every URL, and S3 ignores it there.
    let put = Ask::new(&server, "PUT", "/raw/k")
        .query("x-amz-meta-a", "b")
        .query("x-amz-checksum-crc32", "AAAAAA==")
        .query("x-amz-sdk-checksum-algorithm", "CRC32")
        .body(b"meow");
    put.presigned(&now, "60").expect(&server, 200, "").await;
    let head = server.client().head_object().bucket("raw").key("k");
    let head = head.send().await.unwrap();
    assert_eq!(head.metadata().unwrap()["a"], "b");
    let colder = Ask::new(&server, "PUT", "/raw/no").query("x-amz-storage-class", "GLACIER");
    let colder = colder.presigned(&now, "60");
    colder.expect(&server, 501, "NotImplemented").await;
    absent(&server, "no").await;
}
