//! Signature Version 2: refused by a server that does not take it, and by policies that do not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;

use super::wire::{Ask, ready, ready_with};
use crate::support::{ACCESS_KEY, SECRET_KEY, Server};

fn sign(text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET_KEY.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

pub(crate) fn by_header(server: &Server, path: &str) -> Ask {
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000");
    let signature = sign(&format!("GET\n\n\n{date}\n{path}"));
    Ask::new(server, "GET", path)
        .header("date", &date.to_string())
        .header("authorization", &format!("AWS {ACCESS_KEY}:{signature}"))
}

pub(crate) fn by_query(server: &Server, path: &str) -> Ask {
    let expires = jiff::Timestamp::now().as_second() + 60;
    Ask::new(server, "GET", path)
        .query("AWSAccessKeyId", ACCESS_KEY)
        .query("Signature", &sign(&format!("GET\n\n\n{expires}\n{path}")))
        .query("Expires", &expires.to_string())
}

#[tokio::test]
async fn version_2_is_refused_unless_a_setting_says_otherwise() {
    let server = ready().await;
    for ask in [by_header(&server, "/raw"), by_query(&server, "/raw")] {
        let answer = ask.expect(&server, 400, "InvalidRequest").await;
        assert!(answer.text.contains("AWS4-HMAC-SHA256"), "{answer:?}");
    }
    let server = ready_with("signature_v2 = true\n").await;
    by_header(&server, "/raw").expect(&server, 200, "").await;
    by_query(&server, "/raw").expect(&server, 200, "").await;
    let answer = by_header(&server, "/-/admin/v1/keys");
    answer.expect(&server, 400, "InvalidRequest").await;
}

#[tokio::test]
async fn the_buckets_own_host_is_part_of_what_is_signed() {
    let server = ready_with("signature_v2 = true\n").await;
    let port = server.authority().rsplit(':').next().unwrap().to_owned();
    let hosted = |mut ask: Ask, bucket: &str| {
        ask.path = "/".to_owned();
        ask.headers[0].1 = format!("{bucket}.localhost:{port}");
        ask
    };
    let ask = hosted(by_header(&server, "/raw/"), "raw");
    ask.expect(&server, 200, "").await;
    let ask = hosted(by_query(&server, "/raw/"), "raw");
    ask.expect(&server, 200, "").await;
    let ask = hosted(by_query(&server, "/raw/"), "other");
    ask.expect(&server, 403, "SignatureDoesNotMatch").await;
}

#[tokio::test]
async fn a_policy_may_ask_how_a_request_was_signed() {
    let server = ready_with("signature_v2 = true\n").await;
    let deny = async |condition: serde_json::Value| {
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::raw", "Condition": {"StringEquals": condition},
        }]});
        let put = server.client().put_bucket_policy().bucket("raw");
        put.policy(policy.to_string()).send().await.unwrap();
    };
    let status = async |ask: Ask| ask.send(&server).await.status;
    let both = async || {
        let header = status(by_header(&server, "/raw")).await;
        (header, status(by_query(&server, "/raw")).await)
    };
    deny(json!({"s3:signatureversion": "AWS"})).await;
    assert_eq!(both().await, (403, 403));
    deny(json!({"s3:signatureversion": "AWS4-HMAC-SHA256"})).await;
    assert_eq!(both().await, (200, 200));
    deny(json!({"s3:authType": "REST-QUERY-STRING"})).await;
    assert_eq!(both().await, (200, 403));
    deny(json!({"s3:authType": "REST-HEADER"})).await;
    assert_eq!(both().await, (403, 200));
}
