//! The dialect of OSS where it is not spoken, and what its mixture with S3's gets.

use crate::support::{ACCESS_KEY, Server, plain_http};

async fn asked(server: &Server, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let url = format!("{}{path}", server.endpoint);
    let mut request = plain_http().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap())
}

#[tokio::test]
async fn the_dialect_is_off_unless_it_is_asked_for() {
    let server = Server::start().await;
    let signed = format!("OSS {ACCESS_KEY}:AAAA");
    let (status, text) = asked(&server, "/abc/d", &[("authorization", &signed)]).await;
    assert_eq!(status, 400);
    assert!(text.contains("Unsupported Authorization Type"), "{text}");
    let (status, _text) = asked(&server, "/-/oss/callback-key.pem", &[]).await;
    assert_eq!(status, 405);
    assert!(!server.data_folder().join("oss-callback-key.pem").exists());
}

#[tokio::test]
async fn a_request_speaks_one_dialect() {
    let server = Server::start_with("dialects = [\"oss\"]").await;
    let url = format!("/abc/d?OSSAccessKeyId={ACCESS_KEY}&Expires=1&Signature=A");
    for (path, header) in [
        (url.as_str(), ("x-amz-date", "1")),
        (&format!("{url}&X-Amz-Signature=1"), ("accept", "*/*")),
        (&format!("{url}&AWSAccessKeyId=1"), ("accept", "*/*")),
        (&format!("{url}&x-oss-signature=1"), ("accept", "*/*")),
        (url.as_str(), ("authorization", "OSS a:b")),
        (
            url.as_str(),
            ("authorization", "AWS4-HMAC-SHA256 Credential=a"),
        ),
    ] {
        let (status, text) = asked(&server, path, &[header]).await;
        assert_eq!(status, 400, "{path} {header:?}: {text}");
        assert!(text.contains("<Code>InvalidArgument</Code>"), "{text}");
        assert!(!text.contains("Credential"), "{text}");
    }
    // One of S3's is S3's, whatever OSS would call its parameters.
    let (status, text) = asked(
        &server,
        "/abc/d?Signature=A&Expires=1&AWSAccessKeyId=1",
        &[],
    )
    .await;
    assert_eq!(status, 400);
    assert!(text.contains("AWS4-HMAC-SHA256"), "{text}");
    let (status, key) = asked(&server, "/-/oss/callback-key.pem", &[]).await;
    assert_eq!(status, 200);
    assert!(key.starts_with("-----BEGIN PUBLIC KEY-----"), "{key}");
}
