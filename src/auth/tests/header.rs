//! Signatures in the header.

use super::*;

#[test]
fn a_wrong_secret_never_passes_whatever_the_payload() {
    for payload in [
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        sigv4::EMPTY_SHA256,
    ] {
        assert_eq!(
            by_header(AK, SK, "us-east-1", payload).code(),
            "ok",
            "{payload}"
        );
        assert_eq!(
            by_header(AK, "x", "us-east-1", payload).code(),
            "SignatureDoesNotMatch"
        );
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-amz-content-sha256",
            HeaderValue::from_str(payload).unwrap(),
        );
        assert_eq!(by_query(SK, headers.clone(), 60).code(), "ok", "{payload}");
        assert_eq!(
            by_query("x", headers, 60).code(),
            "SignatureDoesNotMatch",
            "{payload}"
        );
    }
}

#[test]
fn each_fault_of_a_header_has_its_code() {
    type Spoil = fn(&mut Sent);
    let table: [(&str, Spoil); 19] = [
        ("SignatureDoesNotMatch", |s| s.method = Method::GET),
        ("SignatureDoesNotMatch", |s| s.path.push('x')),
        ("SignatureDoesNotMatch", |s| s.query.push_str("&x=1")),
        ("SignatureDoesNotMatch", |s| s.authority = "other".into()),
        ("SignatureDoesNotMatch", |s| {
            s.set("content-type", "text/html");
        }),
        ("SignatureDoesNotMatch", |s| {
            drop(s.headers.remove("content-type"));
        }),
        ("AccessDenied", |s| s.set("x-amz-copy-source", "/other/key")),
        ("AccessDenied", |s| s.edit(";host", "")),
        ("AccessDenied", |s| drop(s.headers.remove("x-amz-date"))),
        ("AccessDenied", |s| s.set("x-amz-date", "yesterday")),
        ("RequestTimeTooSkewed", |s| {
            s.set("x-amz-date", "20130524T001501Z");
        }),
        ("InvalidRequest", |s| {
            drop(s.headers.remove("x-amz-content-sha256"));
        }),
        ("InvalidArgument", |s| {
            s.set("x-amz-content-sha256", "nonsense");
        }),
        ("AuthorizationHeaderMalformed", |s| s.edit("/s3/", "/sts/")),
        ("AuthorizationHeaderMalformed", |s| {
            s.edit("aws4_request", "aws5");
        }),
        ("AuthorizationHeaderMalformed", |s| {
            s.edit("20130524", "20130525");
        }),
        ("AuthorizationHeaderMalformed", |s| {
            s.edit("Signature=", "Nothing=");
        }),
        ("InvalidRequest", |s| s.set("authorization", "AWS ak:sig")),
        ("InvalidArgument", |s| s.set("authorization", "Bearer hush")),
    ];
    for (at, (code, spoil)) in table.into_iter().enumerate() {
        let mut sent = by_header(AK, SK, "us-east-1", "UNSIGNED-PAYLOAD");
        spoil(&mut sent);
        assert_eq!(sent.code(), code, "row {at}");
    }
    assert_eq!(
        by_header("NOBODY", SK, "us-east-1", "UNSIGNED-PAYLOAD").code(),
        "InvalidAccessKeyId"
    );
    assert_eq!(
        by_header("DISABLED", SK, "us-east-1", "UNSIGNED-PAYLOAD").code(),
        "InvalidAccessKeyId"
    );
    let far = by_header(AK, SK, "far", "UNSIGNED-PAYLOAD")
        .judge(t0())
        .unwrap_err()
        .wire();
    assert_eq!(far.2, [("Region", "us-east-1".to_owned())]);
}
