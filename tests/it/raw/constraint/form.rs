//! The same demands as fields of a form, each of which its policy must cover; and `in`, `not-in`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::form::{ask, fields_by};
use super::super::wire::{Answer, Signer, absent, ready};
use super::PATIENCE;
use crate::receiver::{Inbox, Receiver};
use crate::support::Server;

/// A form for the key `k` that demands `demands`, each in its policy and as a field.
async fn post(
    server: &Server,
    demands: &[(&str, &str)],
    more: &[Value],
    sent: &[(&str, &str)],
) -> Answer {
    let mut conditions = vec![json!({"key": "k"})];
    conditions.extend(demands.iter().map(|(name, value)| json!({*name: value})));
    conditions.extend_from_slice(more);
    let given: Vec<_> = [("key", "k")].iter().chain(sent).copied().collect();
    let fields = fields_by(&Signer::now(), &conditions, 60, &given);
    ask(server, &fields, b"meow", "").send(server).await
}

#[tokio::test]
async fn each_demand_of_a_form_is_kept() {
    let server = ready().await;
    let any_type = [json!(["starts-with", "$content-type", ""])];
    for (name, value, kind, status, code) in [
        ("x-consign-content-length-range", "4,4", "a/b", 204, ""),
        (
            "x-consign-content-length-range",
            "5,9",
            "a/b",
            400,
            "EntityTooSmall",
        ),
        (
            "x-consign-content-length-range",
            "0,3",
            "a/b",
            400,
            "EntityTooLarge",
        ),
        ("x-consign-content-type", "image/*", "image/png", 204, ""),
        (
            "x-consign-content-type",
            "image/*",
            "text/html",
            403,
            "AccessDenied",
        ),
        (
            "x-consign-content-type",
            "image/*",
            "image/png,text/html",
            403,
            "AccessDenied",
        ),
        (
            "x-consign-require",
            "checksum",
            "a/b",
            400,
            "InvalidRequest",
        ),
        ("x-consign-source-ip", "127.0.0.1", "a/b", 204, ""),
        (
            "x-consign-source-ip",
            "192.0.2.0/24",
            "a/b",
            403,
            "AccessDenied",
        ),
        ("x-consign-not-before", "20200101T000000Z", "a/b", 204, ""),
        (
            "x-consign-not-before",
            "20990101T000000Z",
            "a/b",
            403,
            "AccessDenied",
        ),
        (
            "x-consign-callback",
            "nobody",
            "a/b",
            400,
            "InvalidArgument",
        ),
        ("x-consign-ones", "1", "a/b", 400, "InvalidArgument"),
        ("X-Consign-Once", "1", "a/b", 400, "InvalidArgument"),
    ] {
        let demand = [(name, value)];
        let sent = [(name, value), ("content-type", kind)];
        let answer = post(&server, &demand, &any_type, &sent).await;
        assert_eq!(answer.status, status, "{name}={value}: {answer:?}");
        assert!(answer.text.contains(code), "{name}={value}: {answer:?}");
    }
    server
        .client()
        .delete_object()
        .bucket("raw")
        .key("k")
        .send()
        .await
        .unwrap();
    // Left out by the client, added by the client, changed by the client.
    let demand = [("x-consign-require", "checksum")];
    for (demands, sent) in [
        (&demand[..], &[][..]),
        (&[], &demand),
        (&demand, &[("x-consign-require", "none")]),
    ] {
        let answer = post(&server, demands, &[], sent).await;
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    let unsigned = [
        ("key".to_owned(), "k".to_owned()),
        ("x-consign-once".to_owned(), "1".to_owned()),
    ];
    ask(&server, &unsigned, b"meow", "")
        .expect(&server, 403, "AccessDenied")
        .await;
    // The address of a form is not signed.
    let fields = fields_by(&Signer::now(), &[json!({"key": "k"})], 60, &[("key", "k")]);
    let by_query = ask(&server, &fields, b"meow", "").query("x-consign-once", "1");
    by_query.expect(&server, 403, "AccessDenied").await;
    absent(&server, "k").await;
}

#[tokio::test]
async fn a_policy_may_be_good_for_one_upload() {
    let server = ready().await;
    let conditions = [json!({"key": "k"}), json!({"x-consign-once": "1"})];
    let given = [("key", "k"), ("x-consign-once", "1")];
    let fields = fields_by(&Signer::now(), &conditions, 60, &given);
    let form = ask(&server, &fields, b"meow", "");
    let all = futures_util::future::join_all((0..64).map(|_| form.send(&server))).await;
    assert_eq!(
        all.iter().filter(|answer| answer.status == 204).count(),
        1,
        "{all:?}"
    );
    assert_eq!(
        all.iter().filter(|answer| answer.status == 403).count(),
        63,
        "{all:?}"
    );
    form.expect(&server, 403, "AccessDenied").await;
}

#[tokio::test]
async fn in_and_not_in_are_conditions_as_oss_has_them() {
    let server = ready().await;
    let one_of = json!(["in", "$content-type", ["image/png", "image/gif"]]);
    let none_of = json!(["not-in", "$content-type", ["text/html"]]);
    let cached = json!(["not-in", "$cache-control", ["no-cache", "no-store"]]);
    for (condition, sent, status) in [
        (&one_of, Some(("content-type", "image/png")), 204),
        (&one_of, Some(("content-type", "image/jpeg")), 403),
        (&one_of, Some(("content-type", "image/png,text/html")), 403),
        (&one_of, None, 403),
        (&none_of, Some(("content-type", "image/png")), 204),
        (&none_of, Some(("content-type", "text/html")), 403),
        (
            &none_of,
            Some(("content-type", "text/HTML; charset=utf-8")),
            403,
        ),
        (&none_of, None, 204),
        (&cached, Some(("cache-control", "max-age=60")), 204),
        (&cached, Some(("cache-control", "no-store")), 403),
    ] {
        let sent: Vec<_> = sent.into_iter().collect();
        let answer = post(&server, &[], std::slice::from_ref(condition), &sent).await;
        assert_eq!(answer.status, status, "{condition} {sent:?}: {answer:?}");
    }
}

#[tokio::test]
async fn the_policy_chooses_who_is_told_and_the_uploader_what() {
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
    let demand = [("x-consign-callback", "app")];
    let theirs = json!(["starts-with", "$x-consign-callback-var-title", ""]);
    let sent = [demand[0], ("x-consign-callback-var-title", "my cat")];
    assert_eq!(post(&server, &demand, &[theirs], &sent).await.status, 204);
    inbox.wait(PATIENCE, |came| came == ["k"]).await;
    let body = inbox.bodies().remove(0);
    assert_eq!(body["Records"][0]["consign"]["vars"]["title"], "my cat");
}
