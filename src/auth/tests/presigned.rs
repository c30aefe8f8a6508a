//! Signatures in the query.

use super::*;

#[test]
fn each_fault_of_a_query_has_its_code() {
    type Spoil = fn(&mut Sent);
    let table: [(&str, Spoil); 16] = [
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("&X-Amz-Date", "&No");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query.push_str("&X-Amz-Expires=60");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query.push_str("&x-amz-date=1");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("=60", "=604801");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("=60", "=0");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("=60", "=-1");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("=60", "=x");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("%2Fs3", "%252Fs3");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("us-east-1", "far");
        }),
        ("SignatureDoesNotMatch", |s| {
            s.query = s.query.replace("=60", "=61");
        }),
        ("AccessDenied", |s| s.set("x-amz-copy-source", "/other/key")),
        ("InvalidToken", |s| {
            s.query.push_str("&X-Amz-Security-Token=t");
        }),
        ("InvalidRequest", |s| {
            s.query = "AWSAccessKeyId=a&Signature=b&Expires=1".into();
        }),
        ("AccessDenied", |s| {
            s.query = "AWSAccessKeyId=a&Expires=1".into();
        }),
        ("AccessDenied", |s| s.query = "Signature=a".into()),
        ("InvalidArgument", |s| {
            s.set("authorization", "AWS4-HMAC-SHA256 x");
        }),
    ];
    for (at, (code, spoil)) in table.into_iter().enumerate() {
        let mut sent = by_query(SK, HeaderMap::new(), 60);
        spoil(&mut sent);
        assert_eq!(sent.code(), code, "row {at}");
    }
}

#[test]
fn a_presigned_url_lives_to_the_second() {
    let sent = by_query(SK, HeaderMap::new(), 60);
    let secs = Duration::from_secs;
    for (now, outcome) in [
        (t0().minus(secs(901)), Some("Request is not yet valid")),
        (t0().minus(secs(900)), None),
        (t0().plus(secs(60)), None),
        (
            t0().plus(Duration::from_millis(60_001)),
            Some("Request has expired"),
        ),
    ] {
        let got = sent.judge(now).err().map(|e| e.to_string());
        assert_eq!(got.as_deref(), outcome, "{now:?}");
    }
}

/// As aws-sdk-js v2 signs: an `x-amz-*` header among the signed ones that only comes in the query.
#[test]
fn a_signed_header_may_come_as_a_parameter() {
    let sign = |value: &str| {
        let secret = Secret::new(SK);
        let signer = signer(&secret);
        let target = Target {
            method: "PUT",
            endpoint: "http://h",
            path: "/b/k",
            query: &[("x-amz-acl", value)],
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-acl", HeaderValue::from_str(value).unwrap());
        let url = presign_url(&signer, &target, &headers, 60, t0());
        let (path, query) = url.split_at("http://h".len()).1.split_once('?').unwrap();
        Sent {
            method: Method::PUT,
            path: path.into(),
            query: query.into(),
            headers: HeaderMap::new(),
            authority: "h".into(),
            bucket: None,
        }
    };
    assert_eq!(sign("private").code(), "ok");
    let mut altered = sign("private");
    altered.query = altered.query.replace("private", "public-read");
    assert_eq!(altered.code(), "SignatureDoesNotMatch");
    let mut contradicted = sign("private");
    contradicted.set("x-amz-acl", "public-read");
    assert_eq!(contradicted.code(), "SignatureDoesNotMatch");
}
