//! What a head of some kilobytes may cost whoever verifies it, before it is known who sent it.

use std::time::Instant;

use super::*;

fn refused(sent: &Sent) -> String {
    match sent.judge(t0()) {
        Err(AuthError::Mismatch(mismatch)) => mismatch.canonical_request.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_header_that_is_listed_a_thousand_times_is_signed_once() {
    let mut sent = by_header(AK, SK, "us-east-1", "UNSIGNED-PAYLOAD");
    sent.set("x-amz-meta-a", &"v".repeat(30_000));
    sent.authority = "h".repeat(10_000);
    let listed = "SignedHeaders=".to_owned() + &"x-amz-meta-a;host;".repeat(1000);
    sent.edit("SignedHeaders=", &listed);
    let text = refused(&sent);
    assert!(text.len() < 100_000, "{} bytes", text.len());
}

#[test]
fn headers_are_not_sought_among_all_parameters_one_by_one() {
    let mut sent = by_header(AK, SK, "us-east-1", "UNSIGNED-PAYLOAD");
    let names: Vec<_> = (0..3000).map(|n| format!("x-amz-{n};")).collect();
    sent.edit(
        "SignedHeaders=",
        &format!("SignedHeaders={}", names.concat()),
    );
    let pairs: Vec<_> = (0..10_000).map(|n| format!("{n}&")).collect();
    sent.query = pairs.concat();
    let began = Instant::now();
    refused(&sent);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}

#[test]
fn a_parameter_stands_in_one_line_and_has_one_value() {
    let by_query = |query: &[(&str, &str)], more: &str| {
        let secret = Secret::new(SK);
        let signer = signer(&secret);
        let target = Target {
            method: "GET",
            endpoint: "http://h",
            path: "/b/k",
            query,
        };
        let url = presign_url(&signer, &target, &HeaderMap::new(), 60, t0());
        let (path, query) = url
            .strip_prefix("http://h")
            .unwrap()
            .split_once('?')
            .unwrap();
        Sent {
            method: Method::GET,
            path: path.to_owned(),
            query: query.replace("SignedHeaders=host", &format!("SignedHeaders=host{more}")),
            headers: HeaderMap::new(),
            authority: "h".into(),
            bucket: None,
        }
    };
    let twice = [("versionId", "1"), ("versionId", "2")];
    assert_eq!(
        by_query(&twice, "").code(),
        "AuthorizationQueryParametersError"
    );
    let same = [("versionId", "1"), ("versionId", "1")];
    assert_eq!(by_query(&same, "").code(), "ok");
    let lines = [("x-amz-meta-a", "1\nx-amz-meta-b:2")];
    let text = refused(&by_query(&lines, "%3Bx-amz-meta-a"));
    assert!(!text.contains("\nx-amz-meta-b"), "{text}");
}
