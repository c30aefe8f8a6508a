//! What a signer demands beyond S3: each demand kept, and each spoiled in every way.

mod bytes;
mod form;
mod once;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use super::wire::{Answer, Ask, Signer, UNSIGNED, absent, ready};
use crate::receiver::{Inbox, Receiver};
use crate::support::Server;

const PATIENCE: Duration = Duration::from_secs(60);

/// A URL that demands `demands`, for this method and path.
fn presigned(server: &Server, method: &'static str, path: &str, demands: &[(&str, &str)]) -> Ask {
    let ask = Ask::new(server, method, path);
    let ask = demands
        .iter()
        .fold(ask, |ask, (name, value)| ask.query(name, value));
    ask.presigned(&Signer::now(), "600")
}

async fn put(server: &Server, key: &str, demands: &[(&str, &str)], body: &[u8]) -> Answer {
    let ask = presigned(server, "PUT", &format!("/raw/{key}"), demands);
    ask.body(body).send(server).await
}

#[tokio::test]
async fn what_is_not_exactly_demanded_by_the_signer_is_refused() {
    let server = ready().await;
    for (demands, says) in [
        (&[("x-consign-ones", "1")][..], "x-consign-ones is unknown"),
        (&[("X-Consign-Once", "1")], "lower case"),
        (&[("x-consign-once", "")], "must not be empty"),
        (
            &[("x-consign-once", "1"), ("x-consign-once", "1")],
            "more than once",
        ),
        (&[("x-consign-callback", "nobody")], "configuration"),
    ] {
        let answer = put(&server, "no", demands, b"meow").await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let named = format!("<ArgumentName>{}</ArgumentName>", demands[0].0);
        for part in ["<Code>InvalidArgument</Code>", &named, says] {
            assert!(answer.text.contains(part), "{part}: {answer:?}");
        }
    }
    // Signed in the header, the query is covered too.
    let ask = Ask::new(&server, "PUT", "/raw/no").query("x-consign-ones", "1");
    let (ask, _) = ask.authorized(&Signer::now(), UNSIGNED);
    ask.expect(&server, 400, "InvalidArgument").await;
    absent(&server, "no").await;
}

#[tokio::test]
async fn what_no_signature_covers_is_refused() {
    let server = ready().await;
    let demand = ("x-consign-not-before", "20200101T000000Z");
    let added = presigned(&server, "PUT", "/raw/no", &[]).query(demand.0, demand.1);
    added
        .body(b"meow")
        .expect(&server, 403, "SignatureDoesNotMatch")
        .await;
    let mut altered = presigned(&server, "PUT", "/raw/no", &[demand]);
    altered.query[0].1 = "20200101T000001Z".to_owned();
    altered
        .body(b"meow")
        .expect(&server, 403, "SignatureDoesNotMatch")
        .await;
    let mut taken = presigned(&server, "PUT", "/raw/no", &[demand]);
    taken.query.remove(0);
    taken
        .body(b"meow")
        .expect(&server, 403, "SignatureDoesNotMatch")
        .await;
    for header in [demand.0, "X-Consign-Anything"] {
        let ask = presigned(&server, "PUT", "/raw/no", &[]).header(header, demand.1);
        ask.body(b"meow")
            .expect(&server, 400, "InvalidArgument")
            .await;
        let ask = Ask::new(&server, "PUT", "/raw/no").header(header, demand.1);
        let (ask, _) = ask.authorized(&Signer::now(), UNSIGNED);
        ask.body(b"meow")
            .expect(&server, 400, "InvalidArgument")
            .await;
        let anybody = Ask::new(&server, "GET", "/raw/no").header(header, demand.1);
        anybody.expect(&server, 400, "InvalidArgument").await;
    }
    for (method, path) in [
        ("PUT", "/raw/no"),
        ("GET", "/"),
        ("POST", "/raw"),
        ("GET", "/raw"),
    ] {
        let anybody = Ask::new(&server, method, path).query(demand.0, demand.1);
        let answer = anybody
            .body(b"meow")
            .expect(&server, 403, "AccessDenied")
            .await;
        assert!(
            answer.text.contains("not covered by a signature"),
            "{answer:?}"
        );
    }
    absent(&server, "no").await;
}

#[tokio::test]
async fn what_an_operation_can_not_keep_is_refused_by_name() {
    let server = ready().await;
    for (method, path) in [
        ("GET", "/raw/k"),
        ("HEAD", "/raw/k"),
        ("DELETE", "/raw/k"),
        ("GET", "/raw"),
        ("GET", "/"),
    ] {
        for demand in [
            ("x-consign-once", "1"),
            ("x-consign-content-length-range", "0,1"),
            ("x-consign-content-type", "a/b"),
            ("x-consign-require", "checksum"),
            ("x-consign-callback", "app"),
        ] {
            let answer = presigned(&server, method, path, &[demand])
                .send(&server)
                .await;
            assert_eq!(answer.status, 400, "{method} {path} {demand:?}");
            let says = format!("{} can't be demanded of this operation", demand.0);
            assert!(
                method == "HEAD" || answer.text.contains(&says),
                "{answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_time_and_the_address_are_those_that_the_signer_demanded() {
    let server = ready().await;
    let seconds = |from_now: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(from_now);
        at.strftime("%Y%m%dT%H%M%SZ").to_string()
    };
    let (past, future) = (seconds(-1), seconds(300));
    for (name, value, status) in [
        ("x-consign-not-before", past.as_str(), 200),
        ("x-consign-not-before", future.as_str(), 403),
        ("x-consign-source-ip", "127.0.0.0/8", 200),
        ("x-consign-source-ip", "::1,127.0.0.1", 200),
        ("x-consign-source-ip", "10.0.0.0/8,192.0.2.7,::1", 403),
    ] {
        let answer = put(&server, "k", &[(name, value)], b"meow").await;
        assert_eq!(answer.status, status, "{name}={value}: {answer:?}");
        // They mean the same on every operation.
        let get = presigned(&server, "GET", "/raw/k", &[(name, value)])
            .send(&server)
            .await;
        assert_eq!(get.status, status, "{name}={value}: {get:?}");
        assert!(status == 200 || answer.text.contains(name), "{answer:?}");
    }
}

#[tokio::test]
async fn the_signer_chooses_who_is_told_and_what() {
    let inbox = Arc::new(Inbox::default());
    let receiver = Receiver::start("127.0.0.1:0", Arc::clone(&inbox), 0).await;
    let server = Server::start_with(&receiver.configuration("elsewhere")).await;
    server
        .client()
        .create_bucket()
        .bucket("raw")
        .send()
        .await
        .unwrap();
    let demands = [
        ("x-consign-callback", "app"),
        ("x-consign-callback-mode", "async"),
        ("x-consign-callback-var-user_id", "é 7&"),
    ];
    assert_eq!(put(&server, "untold", &[], b"meow").await.status, 200);
    assert_eq!(put(&server, "told", &demands, b"meow").await.status, 200);
    inbox
        .wait(PATIENCE, |came| came.contains(&"told".to_owned()))
        .await;
    let [body] = &inbox.bodies()[..] else {
        panic!("{:?}", inbox.bodies());
    };
    assert_eq!(body["Records"][0]["consign"]["vars"]["user_id"], "é 7&");
}
