//! Uploaders who wait: the app server's answer is theirs, and where there is none the object stays.

use std::collections::BTreeSet;

use serde_json::json as value;

use super::app::{App, Say, json, put, sent, server, sound, stored, told};
use crate::raw::form;
use crate::raw::wire::{Answer, Ask, Signer};
use crate::support::Server;

fn id_of(call: &super::app::Call) -> Say {
    json(&format!("{{\"id\":\"{}\"}}", call.key()))
}

fn is_answer(answer: &Answer, body: &str) {
    assert_eq!((answer.status, answer.body()), (200, body), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-amz-request-id").is_some(), "{answer:?}");
}

/// A whole upload in one part, completed by a request that nobody's SDK reads.
async fn complete(server: &Server, key: &str) -> Answer {
    let client = server.client();
    let begun = client.create_multipart_upload().bucket("raw").key(key);
    let id = begun.send().await.unwrap().upload_id.unwrap();
    let part = client.upload_part().bucket("raw").key(key).upload_id(&id);
    let part = part.part_number(1).body(b"meow".to_vec().into());
    let tag = part.send().await.unwrap().e_tag.unwrap();
    completed(server, key, &id, &tag).await
}

pub(super) async fn completed(server: &Server, key: &str, id: &str, tag: &str) -> Answer {
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let ask = Ask::new(server, "POST", &format!("/raw/{key}")).query("uploadId", id);
    let ask = ask.presigned(&Signer::now(), "600").body(parts.as_bytes());
    ask.send(server).await
}

#[tokio::test]
async fn the_app_servers_answer_is_the_uploaders_whatever_the_way() {
    let app = App::start(id_of).await;
    let server = server(&app.sync("on_failure = \"keep\"")).await;
    let md5 = Some("\"4a4be40c96ac6314e91d93f38043a634\""); // of "meow"

    let answer = sent(&server, "put", b"meow").await;
    is_answer(&answer, "{\"id\":\"put\"}");
    assert_eq!(answer.header("etag"), md5);

    let conditions = [
        value!({"key": "form"}),
        value!({"success_action_status": "201"}),
    ];
    let given = [("key", "form"), ("success_action_status", "201")];
    let fields = form::fields_by(&Signer::now(), &conditions, 60, &given);
    let answer = form::ask(&server, &fields, b"meow", "").send(&server).await;
    is_answer(&answer, "{\"id\":\"form\"}");
    assert_eq!(answer.header("etag"), md5);
    assert_eq!(stored(&server, "form").await.unwrap(), b"meow");

    let answer = complete(&server, "parts").await;
    is_answer(&answer, "{\"id\":\"parts\"}");
    assert!(
        answer.header("etag").unwrap().ends_with("-1\""),
        "{answer:?}"
    );

    let copy = Ask::new(&server, "PUT", "/raw/copy").header("x-amz-copy-source", "/raw/put");
    let answer = copy.presigned(&Signer::now(), "600").send(&server).await;
    is_answer(&answer, "{\"id\":\"copy\"}");
    assert_eq!(stored(&server, "copy").await.unwrap(), b"meow");

    let events = [
        "ObjectCreated:Put",
        "ObjectCreated:Post",
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectCreated:Copy",
    ];
    assert_eq!(app.heard.events(), events);
    // Each was heard once, and is done.
    assert_eq!(told(&server, "callbacks list")["callbacks"], value!([]));
    let done = told(&server, "callbacks list --state delivered");
    assert_eq!(done["callbacks"].as_array().unwrap().len(), 4);
    sound(&server);
}

/// What no uploader may get as an answer: with what it is told of it.
fn bad_answers(elsewhere: &str) -> Vec<(Say, &'static str)> {
    let long = format!("\"{}\"", "x".repeat(1024 * 1024));
    vec![
        (Say::Json(500, "{}".into()), "answered 500"),
        (Say::Json(201, "{}".into()), "answered 201"),
        (
            Say::Json(409, "{\"reason\":\"<full>\"}".into()),
            "answered 409: &lt;full&gt;",
        ),
        (
            Say::Other(200, "text/html", b"{}".to_vec()),
            "no content-type of JSON",
        ),
        (json("{"), "not valid JSON"),
        (json(&long), "longer than 1 MiB"),
        (Say::Elsewhere(elsewhere.to_owned()), "answered 302"),
        (Say::Never, "did not answer in time"),
    ]
}

#[tokio::test]
async fn a_kept_object_is_there_with_its_error_and_its_callback_goes_on() {
    let elsewhere = App::start(id_of).await;
    let bad = bad_answers(&format!("http://{}/hooks", elsewhere.address));
    let says: Vec<_> = bad.iter().map(|(say, _)| say.clone()).collect();
    let app = App::start(move |call| match call.attempt {
        1 => says[call.key().parse::<usize>().unwrap()].clone(),
        _ => Say::Other(204, "text/plain", Vec::new()),
    });
    let app = app.await;
    let server = server(&app.sync("answer_seconds = 1")).await;
    for (number, (_say, why)) in bad.iter().enumerate() {
        let key = number.to_string();
        let answer = sent(&server, &key, b"meow").await;
        assert_eq!(answer.status, 203, "{answer:?}");
        let (body, etag) = (answer.body(), answer.header("etag"));
        assert!(body.contains("<Code>CallbackFailed</Code>"), "{answer:?}");
        assert!(body.contains(why), "{why}: {answer:?}");
        assert!(!body.contains("127.0.0.1"), "{answer:?}");
        assert_eq!(etag, Some("\"4a4be40c96ac6314e91d93f38043a634\""));
        assert_eq!(stored(&server, &key).await.unwrap(), b"meow");
    }
    // Each is told once more, as the same message.
    let calls = app.heard.wait(|calls| calls.len() == 2 * bad.len()).await;
    let ids: BTreeSet<_> = calls.iter().map(|call| &call.id).collect();
    assert_eq!(ids.len(), bad.len());
    for (number, _) in bad.iter().enumerate() {
        let of_key = calls.iter().filter(|call| call.key() == number.to_string());
        let attempts: Vec<_> = of_key.map(|call| call.attempt).collect();
        assert_eq!(attempts, [1, 2]);
    }
    // No receiver sends a call where the operator did not.
    assert!(elsewhere.heard.calls().is_empty());
    sound(&server);
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_told_once_it_is() {
    let app = App::start(id_of).await;
    let (address, heard) = (app.address.to_string(), app.heard.clone());
    let configuration = app.sync("");
    app.die().await;
    let server = server(&configuration).await;
    let answer = sent(&server, "late", b"meow").await;
    assert_eq!(answer.status, 203, "{answer:?}");
    assert!(answer.body().contains("could not be reached"), "{answer:?}");
    let again = App::at(
        &address,
        heard,
        std::sync::Arc::new(|call| Box::pin(async move { id_of(&call) })),
    );
    let again = again.await;
    let calls = again.heard.wait(|calls| !calls.is_empty()).await;
    assert_eq!(calls[0].key(), "late");
    again.die().await;
}

#[tokio::test]
async fn a_request_chooses_to_wait_as_its_endpoint_says() {
    let app = App::start(|call| match call.key().as_str() {
        "no" => Say::Json(422, "{\"reason\":\"not today\"}".into()),
        _ => id_of(call),
    });
    let app = app.await;
    let configuration = app.configuration("on_failure = \"withdraw\"\nanswer_seconds = 3", "");
    let server = server(&configuration).await;
    let ask = |key: &str, mode: &str| {
        let ask = Ask::new(&server, "PUT", &format!("/raw/{key}"))
            .query("x-consign-callback", "app")
            .query("x-consign-callback-mode", mode)
            .query("x-consign-callback-var-user", "7");
        ask.presigned(&Signer::now(), "600").body(b"meow")
    };
    is_answer(&ask("yes", "sync").send(&server).await, "{\"id\":\"yes\"}");
    let refused = ask("no", "sync")
        .expect(&server, 403, "UploadRefused")
        .await;
    assert!(
        refused.body().contains("<Message>not today</Message>"),
        "{refused:?}"
    );
    assert_eq!(stored(&server, "no").await, None);
    // Nobody waits who does not want to.
    let plain = ask("plain", "async").send(&server).await;
    assert_eq!((plain.status, plain.body()), (200, ""));
    let calls = app.heard.wait(|calls| calls.len() == 3).await;
    for call in &calls {
        assert_eq!(call.body["Records"][0]["consign"]["vars"]["user"], "7");
    }
}

#[tokio::test]
async fn fifty_uploaders_at_once_get_each_its_own_answer() {
    let app = App::start(id_of).await;
    let server = server(&app.sync("on_failure = \"withdraw\"\nanswer_seconds = 60")).await;
    let keys: Vec<_> = (0..50).map(|number| format!("{number}")).collect();
    let asks: Vec<_> = keys.iter().map(|key| put(&server, key, b"meow")).collect();
    let all = asks.iter().map(|ask| ask.send(&server));
    let answers = futures_util::future::join_all(all).await;
    for (key, answer) in keys.iter().zip(&answers) {
        is_answer(answer, &format!("{{\"id\":\"{key}\"}}"));
        assert_eq!(stored(&server, key).await.unwrap(), b"meow");
    }
    assert_eq!(app.heard.calls().len(), 50);
    assert_eq!(told(&server, "quota raw")["objects"], 50);
    sound(&server);
}
