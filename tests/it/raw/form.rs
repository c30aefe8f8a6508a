//! Browser forms: each condition kept and broken, limits, and what comes after the file.

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;

use super::wire::{Answer, Ask, Signer, absent, ready};
use crate::support::{ACCESS_KEY, SECRET_KEY, Server};

const BOUNDARY: &str = "consign-boundary";

/// The fields of a form that signs `conditions`, those of the signature included.
fn fields(conditions: &[Value], expires_in: i64, given: &[(&str, &str)]) -> Vec<(String, String)> {
    fields_by(&Signer::now(), conditions, expires_in, given)
}

pub(crate) fn fields_by(
    now: &Signer,
    conditions: &[Value],
    expires_in: i64,
    given: &[(&str, &str)],
) -> Vec<(String, String)> {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(expires_in);
    let credential = format!("{}/{}", now.access_key, now.scope());
    let mut all = vec![
        json!({"bucket": "raw"}),
        json!({"x-amz-algorithm": "AWS4-HMAC-SHA256"}),
        json!({"x-amz-credential": credential}),
        json!({"x-amz-date": now.date}),
    ];
    all.extend_from_slice(conditions);
    let expiration = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let policy = json!({"expiration": expiration, "conditions": all}).to_string();
    let policy = base64::engine::general_purpose::STANDARD.encode(policy);
    let signature = now.sign(&policy);
    let own = [
        ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("x-amz-credential", credential),
        ("x-amz-date", now.date.clone()),
        ("policy", policy),
        ("x-amz-signature", signature),
    ];
    let given = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    given
        .chain(own.map(|(name, value)| (name.to_owned(), value)))
        .collect()
}

pub(crate) fn ask(server: &Server, fields: &[(String, String)], file: &[u8], after: &str) -> Ask {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cat.jpg\"\r\n\
         Content-Type: image/jpeg\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n{after}--{BOUNDARY}--\r\n").as_bytes());
    Ask::new(server, "POST", "/raw")
        .header(
            "content-type",
            &format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(&body)
}

async fn post(
    server: &Server,
    conditions: &[Value],
    given: &[(&str, &str)],
    status: u16,
    code: &str,
) -> Answer {
    let fields = fields(conditions, 60, given);
    ask(server, &fields, b"meow", "")
        .expect(server, status, code)
        .await
}

#[tokio::test]
async fn each_condition_kept_and_broken() {
    let server = ready().await;
    let any = || json!(["starts-with", "$key", ""]);
    post(
        &server,
        &[json!({"key": "exact"})],
        &[("key", "exact")],
        204,
        "",
    )
    .await;
    post(
        &server,
        &[json!(["eq", "$key", "e"])],
        &[("key", "e")],
        204,
        "",
    )
    .await;
    post(
        &server,
        &[json!(["starts-with", "$key", "u/"])],
        &[("key", "u/1")],
        204,
        "",
    )
    .await;
    for condition in [
        json!({"key": "exact"}),
        json!(["eq", "$key", "exact"]),
        json!(["starts-with", "$key", "user/"]),
    ] {
        let answer = post(&server, &[condition], &[("key", "no")], 403, "AccessDenied").await;
        assert!(
            answer.text.contains("Policy Condition failed"),
            "{answer:?}"
        );
    }
    for (low, high, status, code) in [
        (4, 4, 204, ""),
        (5, 9, 400, "EntityTooSmall"),
        (0, 3, 400, "EntityTooLarge"),
    ] {
        let range = json!(["content-length-range", low, high]);
        let key = if status == 204 { "fits" } else { "no" };
        post(&server, &[any(), range], &[("key", key)], status, code).await;
    }
    let extra = [("key", "no"), ("x-amz-meta-a", "b")];
    let answer = post(&server, &[any()], &extra, 403, "AccessDenied").await;
    assert!(answer.text.contains("Extra input fields"), "{answer:?}");
    post(
        &server,
        &[any()],
        &[("key", "ignored"), ("x-ignore-a", "b")],
        204,
        "",
    )
    .await;
    let bucket = [any(), json!({"bucket": "another"})];
    post(&server, &bucket, &[("key", "no")], 403, "AccessDenied").await;
    absent(&server, "no").await;
}

/// The fields of a form that is signed as Version 2 has it.
fn fields_v2(conditions: &[Value], given: &[(&str, &str)]) -> Vec<(String, String)> {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
    let expiration = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut all = vec![json!({"bucket": "raw"})];
    all.extend_from_slice(conditions);
    let policy = json!({"expiration": expiration, "conditions": all}).to_string();
    let policy = base64::engine::general_purpose::STANDARD.encode(policy);
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET_KEY.as_bytes()).unwrap();
    mac.update(policy.as_bytes());
    let signature = mac.finalize().into_bytes();
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    let own = [
        ("AWSAccessKeyId", ACCESS_KEY.to_owned()),
        ("signature", signature),
        ("policy", policy),
    ];
    let given = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    given
        .chain(own.map(|(name, value)| (name.to_owned(), value)))
        .collect()
}

#[tokio::test]
async fn a_form_of_version_2_is_proven_too() {
    let server = ready().await;
    let conditions = [
        json!({"AcL": "private"}),
        json!(["StArTs-WiTh", "$KeY", "f"]),
    ];
    let good = fields_v2(&conditions, &[("kEy", "f1"), ("aCl", "private")]);
    ask(&server, &good, b"meow", "")
        .expect(&server, 204, "")
        .await;
    for (name, status, code) in [
        ("signature", 400, "InvalidArgument"),
        ("AWSAccessKeyId", 400, "InvalidArgument"),
    ] {
        let mut without = fields_v2(&conditions, &[("key", "f2"), ("acl", "private")]);
        without.retain(|(given, _)| given != name);
        ask(&server, &without, b"meow", "")
            .expect(&server, status, code)
            .await;
    }
    let mut forged = fields_v2(&conditions, &[("key", "f2"), ("acl", "private")]);
    forged[3].1 = forged[3].1.chars().rev().collect();
    ask(&server, &forged, b"meow", "")
        .expect(&server, 403, "SignatureDoesNotMatch")
        .await;
    absent(&server, "f2").await;
}

#[tokio::test]
async fn what_the_fields_say_is_kept_and_what_they_claim_is_checked() {
    let server = ready().await;
    let any = |name: &str| json!(["starts-with", format!("${name}"), ""]);
    let names = [
        "key",
        "Content-Type",
        "x-amz-meta-a",
        "x-amz-checksum-crc32",
    ];
    let conditions: Vec<Value> = names.iter().map(|name| any(name)).collect();
    let file = crate::support::bytes_of(7, 3 << 20);
    let crc = base64::engine::general_purpose::STANDARD.encode(crc(&file));
    let mut given = [
        ("key", "kept"),
        ("content-type", "image/png"),
        ("X-Amz-Meta-A", "b"),
        ("x-amz-checksum-crc32", crc.as_str()),
    ];
    ask(&server, &fields(&conditions, 60, &given), &file, "")
        .expect(&server, 204, "")
        .await;
    let got = server.client().get_object().bucket("raw").key("kept");
    let got = got.send().await.unwrap();
    assert_eq!(got.content_type(), Some("image/png"));
    assert_eq!(got.metadata().unwrap()["a"], "b");
    assert_eq!(got.body.collect().await.unwrap().into_bytes(), file);
    given[0].1 = "no";
    ask(&server, &fields(&conditions, 60, &given), b"other", "")
        .expect(&server, 400, "BadDigest")
        .await;
    given[3].1 = "AAAA";
    ask(&server, &fields(&conditions, 60, &given), &file, "")
        .expect(&server, 400, "InvalidRequest")
        .await;
    absent(&server, "no").await;
}

/// CRC-32, bit by bit.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let step = |crc: u32, _bit| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), step);
    (!bytes.iter().fold(u32::MAX, byte)).to_be_bytes()
}

#[tokio::test]
async fn what_is_no_form_and_what_nobody_signed() {
    let server = ready().await;
    Ask::new(&server, "POST", "/raw")
        .header("content-type", "text/plain")
        .body(b"meow")
        .expect(&server, 412, "PreconditionFailed")
        .await;
    let key = [("key".to_owned(), "no".to_owned())];
    ask(&server, &key, b"meow", "")
        .expect(&server, 403, "AccessDenied")
        .await;
    let any = [json!(["starts-with", "$key", ""])];
    let mut truncated = ask(&server, &fields(&any, 60, &[("key", "no")]), b"meow", "");
    truncated.body.truncate(truncated.body.len() - 8);
    truncated.expect(&server, 400, "MalformedPOSTRequest").await;
    absent(&server, "no").await;
}

#[tokio::test]
async fn the_answer_is_what_the_form_asks_for() {
    let server = ready().await;
    let any = json!(["starts-with", "$key", ""]);
    let status = json!(["starts-with", "$success_action_status", ""]);
    for (asked, given) in [("200", 200), ("201", 201), ("204", 204), ("418", 204)] {
        let fields = [("key", "k/${filename}"), ("success_action_status", asked)];
        let answer = post(&server, &[any.clone(), status.clone()], &fields, given, "").await;
        if given == 201 {
            assert!(answer.text.contains("<Key>k/cat.jpg</Key>"), "{answer:?}");
        }
    }
    let redirect = json!({"success_action_redirect": "http://app.example/done?a=b"});
    let fields = [
        ("key", "k"),
        ("success_action_redirect", "http://app.example/done?a=b"),
    ];
    let answer = post(&server, &[any, redirect], &fields, 303, "").await;
    assert!(
        answer
            .text
            .contains("http://app.example/done?a=b&bucket=raw&key=k&etag=")
    );
}

#[tokio::test]
async fn a_form_that_is_old_forged_or_garbled() {
    let server = ready().await;
    let any = [json!(["starts-with", "$key", ""])];
    let old = fields(&any, -60, &[("key", "no")]);
    let answer = ask(&server, &old, b"meow", "")
        .expect(&server, 403, "AccessDenied")
        .await;
    assert!(answer.text.contains("Policy expired"), "{answer:?}");
    let mut garbled = fields(&any, 60, &[("key", "no")]);
    for (name, value) in &mut garbled {
        if name == "policy" {
            "%%%".clone_into(value);
        }
    }
    ask(&server, &garbled, b"meow", "")
        .expect(&server, 403, "SignatureDoesNotMatch")
        .await;
    for missing in ["policy", "x-amz-signature", "x-amz-credential", "key"] {
        let mut fields = fields(&any, 60, &[("key", "no")]);
        fields.retain(|(name, _)| name != missing);
        let answer = ask(&server, &fields, b"meow", "").send(&server).await;
        assert!(
            matches!(answer.status, 400 | 403),
            "without {missing}: {answer:?}"
        );
    }
    absent(&server, "no").await;
}

#[tokio::test]
async fn fields_after_the_file_do_not_count_and_huge_ones_are_refused() {
    let server = ready().await;
    let any = [json!(["starts-with", "$key", ""])];
    let after =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nlate\r\n");
    let good = fields(&any, 60, &[("key", "early")]);
    ask(&server, &good, b"meow", &after)
        .expect(&server, 204, "")
        .await;
    absent(&server, "late").await;
    let huge = "x".repeat(1 << 20);
    let huge = fields(&any, 60, &[("key", "no"), ("x-ignore-huge", &huge)]);
    let answer = ask(&server, &huge, b"meow", "").send(&server).await;
    assert!(matches!(answer.status, 0 | 400), "{answer:?}");
    absent(&server, "no").await;
}
