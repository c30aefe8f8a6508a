//! A server that dies, or is stopped, while an uploader waits.

use std::sync::Arc;

use super::app::{App, Call, Heard, Say, json, put, sent, server, sound, stored, told};
use crate::support::{Server, bytes_of};

const LARGE: usize = 300_000;

/// An app server that says nothing to a first call about `k`, and yes to everything else.
async fn silent_at_first(address: &str, heard: Arc<Heard>) -> App {
    let script = Arc::new(|call: Call| {
        let silent = call.key() == "k" && call.attempt == 1 && call.withdraws().is_none();
        let say: futures_util::future::BoxFuture<'static, Say> =
            Box::pin(async move { if silent { Say::Never } else { json("{}") } });
        say
    });
    App::at(address, heard, script).await
}

/// Kills the server in the middle of a call about `k`, which `first` was the object of.
async fn killed(settings: &str, first: &[u8]) -> (Server, App, Call) {
    let app = silent_at_first("127.0.0.1:0", Arc::default()).await;
    let mut server = server(&app.sync(settings)).await;
    // A copy is another event, so that the app server takes it.
    assert_eq!(sent(&server, "old", first).await.status, 200);
    let body = bytes_of(4, LARGE);
    let ask = put(&server, "k", &body);
    let heard = Arc::clone(&app.heard);
    let calls = tokio::select! {
        answer = ask.send(&server) => panic!("{answer:?}"),
        calls = heard.wait(|calls| calls.iter().any(|call| call.key() == "k")) => calls,
    };
    server.kill();
    server.restart().await;
    let call = calls.into_iter().find(|call| call.key() == "k").unwrap();
    (server, app, call)
}

#[tokio::test]
async fn a_kept_object_survives_the_server_and_its_callback_too() {
    let (server, app, first) = killed("answer_seconds = 1", b"old").await;
    assert_eq!(stored(&server, "k").await.unwrap(), bytes_of(4, LARGE));
    // The same message once more, though its first attempt was never written down.
    drop(app.heard.wait(|calls| calls.len() == 3).await);
    let calls = app.heard.calls();
    assert_eq!((&calls[2].id, calls[2].key()), (&first.id, "k".to_owned()));
    assert_eq!(told(&server, "quota raw")["objects"], 2);
    sound(&server);
}

#[tokio::test]
async fn an_upload_that_nobody_agreed_to_ends_with_the_server() {
    let (server, app, first) =
        killed("on_failure = \"withdraw\"\nanswer_seconds = 1", b"old").await;
    assert_eq!(stored(&server, "k").await, None);
    let calls = app.heard.wait(|calls| calls.len() == 3).await;
    assert_eq!(calls[2].event(), "ObjectRemoved:Withdrawn");
    assert_eq!(calls[2].withdraws(), Some(first.id.as_str()));
    assert_ne!(calls[2].id, first.id);
    assert_eq!(stored(&server, "k").await, None);
    let usage = told(&server, "quota raw");
    assert_eq!((&usage["objects"], &usage["bytes"]), (&1.into(), &3.into()));
    // The upload tried again is another one.
    let waiting = put(&server, "k2", b"new").send(&server).await;
    assert_eq!(waiting.status, 200, "{waiting:?}");
    sound(&server);
}

#[tokio::test]
async fn a_stop_ends_what_waits() {
    for (settings, status, there) in [("", 203, true), ("on_failure = \"withdraw\"\n", 502, false)]
    {
        let app = silent_at_first("127.0.0.1:0", Arc::default()).await;
        let settings = format!("{settings}answer_seconds = 60");
        let mut server = server(&app.sync(&settings)).await;
        let ask = put(&server, "k", b"new");
        let (answer, ()) = tokio::join!(ask.send(&server), async {
            app.heard.wait(|calls| calls.len() == 1).await;
            server.ask_to_stop();
        });
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(server.ended().await.success());
        server.restart().await;
        assert_eq!(stored(&server, "k").await.is_some(), there);
        let calls = app.heard.wait(|calls| calls.len() == 2).await;
        let (first, next) = (&calls[0], &calls[1]);
        if there {
            assert_eq!((next.attempt, &next.id), (2, &first.id));
        } else {
            assert_eq!(next.withdraws(), Some(first.id.as_str()));
        }
        sound(&server);
    }
}
