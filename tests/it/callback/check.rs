//! Uploads that an app server must allow before they begin.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::app::{App, Say, json, put, sent, server, stored};
use crate::raw::form;
use crate::raw::wire::{Ask, Signer};
use crate::support::Server;

const YES: &str = "{\"allow\":true}";

fn check(settings: &str) -> String {
    format!("[[callback.check]]\nendpoint = \"app\"\nbucket = \"raw\"\n{settings}\n")
}

async fn checked(app: &App, settings: &str) -> Server {
    server(&app.configuration("", &check(settings))).await
}

#[tokio::test]
async fn the_app_server_is_asked_before_the_first_byte_whatever_the_way() {
    let app = App::start(|_call| json(YES)).await;
    let server = checked(&app, "prefix = \"in/\"").await;
    let ask = put(&server, "in/put", b"meow").header("content-type", "image/png");
    assert_eq!(ask.send(&server).await.status, 200);
    assert_eq!(sent(&server, "out", b"meow").await.status, 200);

    let conditions = [serde_json::json!({"key": "in/form"})];
    let fields = form::fields_by(&Signer::now(), &conditions, 60, &[("key", "in/form")]);
    let posted = form::ask(&server, &fields, b"meow", "").send(&server).await;
    assert_eq!(posted.status, 204);

    let client = server.client();
    let begun = client
        .create_multipart_upload()
        .bucket("raw")
        .key("in/parts");
    let id = begun.send().await.unwrap().upload_id.unwrap();
    let part = client
        .upload_part()
        .bucket("raw")
        .key("in/parts")
        .upload_id(&id);
    let part = part.part_number(1).body(b"meow".to_vec().into());
    part.send().await.unwrap();
    let copy = client
        .copy_object()
        .bucket("raw")
        .key("in/copy")
        .copy_source("raw/out");
    copy.send().await.unwrap();

    let calls = app.heard.calls();
    let asked: Vec<_> = calls
        .iter()
        .map(|call| {
            assert_eq!(
                (call.event().as_str(), call.attempt),
                ("consign:CheckUpload", 1)
            );
            let body = &call.body;
            assert_eq!(
                (&body["bucket"], &body["sourceIp"]),
                (&"raw".into(), &"127.0.0.1".into())
            );
            assert!(
                body["principal"]
                    .as_str()
                    .is_some_and(|who| who.len() == 64),
                "{body}"
            );
            (
                call.key(),
                body["operation"].as_str().unwrap().to_owned(),
                body["size"].as_u64(),
            )
        })
        .collect();
    let row = |key: &str, operation: &str, size| (key.to_owned(), operation.to_owned(), size);
    assert_eq!(
        asked,
        [
            row("in/put", "PutObject", Some(4)),
            row("in/form", "PostObject", None),
            row("in/parts", "CreateMultipartUpload", None),
            row("in/copy", "CopyObject", Some(4)),
        ]
    );
    assert_eq!(calls[0].body["contentType"], "image/png");
}

#[tokio::test]
async fn a_refusal_gives_its_reason_and_takes_no_byte() {
    let app = App::start(|call| match call.key().as_str() {
        "why" => json("{\"allow\":false,\"reason\":\"no <more> than 5 & not today\"}"),
        _ => json("{\"allow\":false}"),
    });
    let app = app.await;
    let server = checked(&app, "").await;
    let ask = put(&server, "why", b"meow").header("expect", "100-continue");
    // No leave to send is given: the answer is the first that comes.
    let bytes = ask.bytes(false);
    let head = bytes.strip_suffix(b"meow").unwrap();
    let mut stream = TcpStream::connect(server.authority()).await.unwrap();
    stream.write_all(head).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let reason = "<Message>no &lt;more&gt; than 5 &amp; not today</Message>";
    assert!(
        answer.contains("<Code>AccessDenied</Code>") && answer.contains(reason),
        "{answer}"
    );

    let begun = server
        .client()
        .create_multipart_upload()
        .bucket("raw")
        .key("parts");
    assert!(begun.send().await.is_err());
    let conditions = [serde_json::json!({"key": "form"})];
    let fields = form::fields_by(&Signer::now(), &conditions, 60, &[("key", "form")]);
    let posted = form::ask(&server, &fields, b"meow", "");
    let posted = posted.expect(&server, 403, "AccessDenied").await;
    assert!(posted.body().contains("refused by the check"), "{posted:?}");
    for key in ["why", "form"] {
        assert_eq!(stored(&server, key).await, None);
    }
    let uploads = server.client().list_multipart_uploads().bucket("raw");
    assert!(uploads.send().await.unwrap().uploads().is_empty());
}

#[tokio::test]
async fn the_same_question_is_asked_once_within_its_time() {
    for (seconds, asked) in [(300, 3), (0, 4)] {
        let app = App::start(|call| match call.key().as_str() {
            "no" => json("{\"allow\":false}"),
            _ => json(YES),
        });
        let app = app.await;
        let server = checked(&app, &format!("cache_seconds = {seconds}")).await;
        for (key, body, status) in [
            ("a", &b"meow"[..], 200),
            ("a", b"miau", 200),
            ("a", b"longer", 200),
            ("no", b"meow", 403),
        ] {
            assert_eq!(sent(&server, key, body).await.status, status);
        }
        assert_eq!(app.heard.calls().len(), asked, "cache_seconds = {seconds}");
    }
}

#[tokio::test]
async fn an_app_server_that_is_down_refuses_or_allows_as_the_operator_says() {
    let says = [
        Say::Json(500, YES.into()),
        Say::Json(401, "{\"allow\":false,\"reason\":\"bad signature\"}".into()),
        Say::Other(200, "text/plain", YES.as_bytes().to_vec()),
        json("{\"allow\":\"yes\"}"),
        json("[]"),
        Say::Elsewhere("http://127.0.0.1:1/".into()),
        Say::Never,
    ];
    for (setting, status) in [("refuse", 503), ("allow", 200)] {
        let script = says.clone();
        let app = App::start(move |call| script[call.key().parse::<usize>().unwrap()].clone());
        let app = app.await;
        let server = checked(&app, &format!("seconds = 1\nwhen_down = \"{setting}\"")).await;
        for (number, say) in says.iter().enumerate() {
            let answer = sent(&server, &number.to_string(), b"meow").await;
            assert_eq!(answer.status, status, "{say:?}: {answer:?}");
            let retry = answer.header("retry-after");
            assert_eq!(retry, (status == 503).then_some("5"), "{answer:?}");
        }
        app.die().await;
        let answer = sent(&server, "gone", b"meow").await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn a_check_and_a_waiting_uploader_go_together() {
    let app = App::start(|call| match call.event().as_str() {
        "consign:CheckUpload" => json(YES),
        _ => json("{\"id\":7}"),
    });
    let app = app.await;
    let rule = "[[callback.rule]]\nendpoint = \"app\"\nbucket = \"raw\"\nmode = \"sync\"\n";
    let server = server(&app.configuration("", &format!("{}{rule}", check("")))).await;
    let ask = Ask::new(&server, "PUT", "/raw/k")
        .query("x-consign-callback", "app")
        .query("x-consign-callback-var-user", "7");
    let ask = ask.presigned(&Signer::now(), "600").body(b"meow");
    let answer = ask.send(&server).await;
    assert_eq!((answer.status, answer.body()), (200, "{\"id\":7}"));
    let calls = app.heard.calls();
    assert_eq!(
        app.heard.events(),
        ["consign:CheckUpload", "ObjectCreated:Put"]
    );
    assert_eq!(calls[0].body["vars"]["user"], "7");
}
