//! Browser forms: each condition kept and broken, limits, and what comes after the file.

use base64::Engine;
use serde_json::{Value, json};

use super::wire::{Answer, Ask, Signer, absent, ready};
use crate::support::Server;

const BOUNDARY: &str = "consign-boundary";

/// The fields of a form that signs `conditions`, those of the signature included.
fn fields(conditions: &[Value], expires_in: i64, given: &[(&str, &str)]) -> Vec<(String, String)> {
    let now = Signer::now();
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

fn ask(server: &Server, fields: &[(String, String)], file: &[u8], after: &str) -> Ask {
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
