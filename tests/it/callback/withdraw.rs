//! Uploads that need an app server's consent: without it, it is as if they had not happened.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use tokio::sync::{Notify, Semaphore};

use super::PATIENCE;
use super::app::{App, Call, Heard, Say, json, put, sent, server, sound, stored, told};
use super::sync::completed;
use crate::receiver::{Inbox, Receiver};
use crate::support::{Server, bytes_of};

/// Too large to lie beside its metadata.
const LARGE: usize = 300_000;
const POLL: Duration = Duration::from_millis(20);

fn withdraw(app: &App, rest: &str) -> String {
    app.sync(&format!(
        "on_failure = \"withdraw\"\nanswer_seconds = 1\n{rest}"
    ))
}

/// A server that tells a second receiver of everything.
async fn observed(app: &App, observer: &Receiver) -> Server {
    let other = observer
        .configuration("raw")
        .replace("\"app\"", "\"other\"");
    server(&withdraw(app, &other)).await
}

fn blobs(server: &Server) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let of_entry = |entry: std::fs::DirEntry| {
            if entry.file_type().unwrap().is_dir() {
                count(&entry.path())
            } else {
                1
            }
        };
        entries.map(of_entry).sum()
    }
    count(&server.data_folder().join("blobs"))
}

#[tokio::test]
async fn what_is_not_agreed_to_leaves_everything_as_it_was() {
    let answers = [
        (Say::Json(403, "{\"reason\":\"a & b\"}".into()), 403, false),
        (Say::Json(500, "{}".into()), 502, true),
        (Say::Other(200, "text/html", Vec::new()), 502, true),
        (json("{"), 502, true),
        (Say::Elsewhere("http://127.0.0.1:1/".into()), 502, true),
        (Say::Never, 502, true),
    ];
    let says: Vec<_> = answers.iter().map(|(say, ..)| say.clone()).collect();
    let app = App::start(move |call| match call.key().split_once('-') {
        Some((_, number)) if call.event() != "ObjectRemoved:Withdrawn" => {
            says[number.parse::<usize>().unwrap()].clone()
        }
        _ => json("{}"),
    });
    let app = app.await;
    let inbox = Arc::new(Inbox::default());
    let observer = Receiver::start("127.0.0.1:0", Arc::clone(&inbox), 0).await;
    let server = observed(&app, &observer).await;
    assert_eq!(sent(&server, "first", b"old").await.status, 200);
    let before = told(&server, "quota raw");
    let blobs_before = blobs(&server);
    for (number, (say, status, unclear)) in answers.iter().enumerate() {
        let heard = app.heard.calls().len();
        let key = format!("new-{number}");
        let code = if *status == 403 {
            "UploadRefused"
        } else {
            "UploadWithdrawn"
        };
        let ask = put(&server, &key, &bytes_of(1, LARGE));
        let answer = ask.expect(&server, *status, code).await;
        assert_eq!(
            answer.body().contains("a &amp; b"),
            *status == 403,
            "{answer:?}"
        );
        assert_eq!(stored(&server, &key).await, None, "{say:?}");
        assert_eq!(told(&server, "quota raw"), before, "{say:?}");
        // Who may believe in an object that is not there is told, and nobody else.
        let calls = if *unclear { heard + 2 } else { heard + 1 };
        let calls = app.heard.wait(|came| came.len() >= calls).await;
        let withdrawn: Vec<_> = calls[heard..].iter().filter_map(Call::withdraws).collect();
        let asked = calls[heard].id.as_str();
        assert_eq!(
            withdrawn,
            if *unclear { vec![asked] } else { vec![] },
            "{say:?}"
        );
    }
    let gone = async {
        while blobs(&server) > blobs_before {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("blobs are left over");
    let listed = told(&server, "callbacks list --state withdrawn");
    let listed = listed["callbacks"].as_array().unwrap();
    assert_eq!(listed.len(), answers.len());
    let id = listed[0]["id"].as_str().unwrap();
    let again = server.command(&["callbacks", "retry", id]);
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("was not made"),
        "{again:?}"
    );
    inbox.wait(PATIENCE, |keys| !keys.is_empty()).await;
    assert_eq!(inbox.keys(), ["first"]);
    sound(&server);
}

#[tokio::test]
async fn the_previous_version_is_there_all_along() {
    let gate = Arc::new(Semaphore::new(1));
    let app = gated(&gate).await;
    let server = server(&app.sync("on_failure = \"withdraw\"\nanswer_seconds = 30")).await;
    let enabled = BucketVersioningStatus::Enabled;
    let enabled = VersioningConfiguration::builder().status(enabled).build();
    let versioned = server.client().put_bucket_versioning().bucket("raw");
    let versioned = versioned.versioning_configuration(enabled);
    versioned.send().await.unwrap();
    assert_eq!(sent(&server, "k", b"old").await.status, 200);
    let (ask, heard) = (put(&server, "k", b"new"), Arc::clone(&app.heard));
    let (answer, ()) = tokio::join!(ask.send(&server), async {
        heard.wait(|calls| calls.len() == 2).await;
        assert_eq!(stored(&server, "k").await.unwrap(), b"old");
        let versions = server.client().list_object_versions().bucket("raw");
        assert_eq!(versions.send().await.unwrap().versions().len(), 1);
        let asked = told(&server, "callbacks list --state asked");
        assert_eq!(asked["callbacks"].as_array().unwrap().len(), 1);
        gate.add_permits(1);
    });
    assert_eq!((answer.status, answer.body()), (200, "{}"));
    assert_eq!(stored(&server, "k").await.unwrap(), b"new");
    // What the app server was told is what is there.
    let call = &app.heard.calls()[1];
    assert_eq!(
        answer.header("x-amz-version-id"),
        call.object()["versionId"].as_str()
    );
    assert_eq!(
        told(&server, "callbacks list --state asked")["callbacks"],
        serde_json::json!([])
    );
    sound(&server);
}

/// An app server that answers as many calls as there are permits.
async fn gated(gate: &Arc<Semaphore>) -> App {
    let gate = Arc::clone(gate);
    let script = Arc::new(move |_call: Call| {
        let gate = Arc::clone(&gate);
        let say: futures_util::future::BoxFuture<'static, Say> = Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            json("{}")
        });
        say
    });
    App::at("127.0.0.1:0", Arc::default(), script).await
}

/// An app server that answers a call about a body of so many bytes once that one's turn came.
async fn in_turn(turns: [(u64, Arc<Notify>); 2]) -> App {
    let script = Arc::new(move |call: Call| {
        let size = call.object()["size"].as_u64();
        let asked = call.attempt == 1 && call.event() == "ObjectCreated:Put";
        let turn = turns.iter().find(|(len, _)| asked && Some(*len) == size);
        let turn = turn.map(|(_, turn)| Arc::clone(turn));
        let say: futures_util::future::BoxFuture<'static, Say> = Box::pin(async move {
            if let Some(turn) = turn {
                turn.notified().await;
            }
            json("{}")
        });
        say
    });
    App::at("127.0.0.1:0", Arc::default(), script).await
}

/// Two uploads of one key, asked about at the same time: the second is agreed to first.
async fn crossed(conditional: bool) -> (Server, App, [u16; 2], Vec<Call>) {
    let turns = [(1, Arc::new(Notify::new())), (2, Arc::new(Notify::new()))];
    let app = in_turn(turns.clone()).await;
    let server = server(&app.sync("on_failure = \"withdraw\"\nanswer_seconds = 30")).await;
    let ask = |body: &[u8]| {
        let ask = crate::raw::wire::Ask::new(&server, "PUT", "/raw/k");
        let ask = if conditional {
            ask.header("if-none-match", "*")
        } else {
            ask
        };
        ask.presigned(&crate::raw::wire::Signer::now(), "600")
            .body(body)
    };
    let (one, two) = (ask(b"1"), ask(b"22"));
    let heard: Arc<Heard> = Arc::clone(&app.heard);
    let second = async {
        heard.wait(|calls| calls.len() == 1).await;
        let (answer, ()) = tokio::join!(two.send(&server), async {
            heard.wait(|calls| calls.len() == 2).await;
            turns[1].1.notify_one();
        });
        turns[0].1.notify_one();
        answer
    };
    let (first, second) = tokio::join!(one.send(&server), second);
    let calls = heard.wait(|calls| calls.len() == 3).await;
    (server, app, [first.status, second.status], calls)
}

#[tokio::test]
async fn whoever_is_agreed_to_last_overwrites_and_the_app_server_learns_the_order() {
    let (server, _app, statuses, calls) = crossed(false).await;
    assert_eq!(statuses, [200, 200]);
    assert_eq!(stored(&server, "k").await.unwrap(), b"1");
    // The first upload came to stand behind the second: that is told anew.
    assert_eq!(calls[2].event(), "ObjectCreated:Put");
    assert_eq!(calls[2].object()["size"], 1);
    let sequencer = |call: &Call| call.object()["sequencer"].as_str().unwrap().to_owned();
    assert!(sequencer(&calls[2]) > sequencer(&calls[1]), "{calls:?}");
    sound(&server);
}

#[tokio::test]
async fn of_two_that_must_find_nothing_one_is_withdrawn() {
    let (server, _app, statuses, calls) = crossed(true).await;
    assert_eq!(statuses, [412, 200]);
    assert_eq!(stored(&server, "k").await.unwrap(), b"22");
    assert_eq!(calls[2].withdraws(), Some(calls[0].id.as_str()));
    sound(&server);
}

#[tokio::test]
async fn a_completion_that_is_refused_can_be_tried_again() {
    let app = App::start(|_call| Say::Json(402, "{\"reason\":\"pay first\"}".into()));
    let app = app.await;
    let server = server(&withdraw(&app, "")).await;
    let client = server.client();
    let begun = client.create_multipart_upload().bucket("raw").key("k");
    let id = begun.send().await.unwrap().upload_id.unwrap();
    let part = client.upload_part().bucket("raw").key("k").upload_id(&id);
    let part = part.part_number(1).body(bytes_of(2, LARGE).into());
    let tag = part.send().await.unwrap().e_tag.unwrap();
    for _ in 0..2 {
        let refused = completed(&server, "k", &id, &tag).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        assert!(refused.body().contains("pay first"), "{refused:?}");
    }
    assert_eq!(stored(&server, "k").await, None);
    let parts = client.list_parts().bucket("raw").key("k").upload_id(&id);
    assert_eq!(parts.send().await.unwrap().parts().len(), 1);
    let (address, heard) = (app.address.to_string(), Arc::clone(&app.heard));
    app.die().await;
    let script = Arc::new(|_call: Call| {
        let say: futures_util::future::BoxFuture<'static, Say> =
            Box::pin(async { json("{\"paid\":true}") });
        say
    });
    let app = App::at(&address, heard, script).await;
    let done = completed(&server, "k", &id, &tag).await;
    assert_eq!((done.status, done.body()), (200, "{\"paid\":true}"));
    assert_eq!(stored(&server, "k").await.unwrap(), bytes_of(2, LARGE));
    // Completed again, it answers as S3 does: nobody is asked twice.
    let again = completed(&server, "k", &id, &tag).await;
    assert!(
        again.body().contains("CompleteMultipartUploadResult"),
        "{again:?}"
    );
    assert_eq!(app.heard.calls().len(), 3);
    sound(&server);
}

#[tokio::test]
async fn an_uploader_who_goes_away_has_uploaded_nothing() {
    let app = App::start(|call| match call.event().as_str() {
        "ObjectRemoved:Withdrawn" => json("{}"),
        _ => Say::Never,
    });
    let app = app.await;
    let server = server(&app.sync("on_failure = \"withdraw\"\nanswer_seconds = 2")).await;
    let ask = put(&server, "k", &bytes_of(3, LARGE));
    let gone = async {
        tokio::select! {
            answer = ask.send(&server) => panic!("{answer:?}"),
            _heard = app.heard.wait(|calls| calls.len() == 1) => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .unwrap();
    let calls = app.heard.wait(|calls| calls.len() == 2).await;
    assert_eq!(calls[1].withdraws(), Some(calls[0].id.as_str()));
    assert_eq!(stored(&server, "k").await, None);
    sound(&server);
}
