//! A changed configuration, while the server runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{json, make_bucket, put, put_bytes, refused, run};
use crate::receiver::{Inbox, Receiver};
use crate::support::{Server, bytes_of, plain_http, until};

const PATIENCE: Duration = Duration::from_secs(120);

/// What a URL that is good for an hour is answered; its command heeds no file.
async fn asked_for_an_hour(server: &Server) -> u16 {
    let url = run(
        server,
        "presign get uploads/a --expires 1h --config /dev/null",
    );
    let answer = plain_http().get(url.trim()).send().await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn what_can_change_changes_and_the_rest_is_named() {
    let server = Server::start_with("presign_seconds_max = 7200\n").await;
    make_bucket(&server.client(), "uploads").await;
    put(&server.client(), "uploads", "a").await.unwrap();
    assert_eq!(asked_for_an_hour(&server).await, 200);

    server.configure("presign_seconds_max = 60\ninline_bytes_max = 7\n[limits]\nrequests = 7\n");
    let told = run(&server, "reload");
    assert_eq!(
        told,
        "Reloaded.\ninline_bytes_max needs a restart.\nlimits.requests needs a restart.\n"
    );
    assert_eq!(asked_for_an_hour(&server).await, 400);
    // As at its start, so that nothing waits any more.
    server.configure("presign_seconds_max = 7200\n");
    let told = json(&server, "reload");
    assert_eq!(told["waiting_for_restart"], serde_json::json!([]));
    assert_eq!(asked_for_an_hour(&server).await, 200);
}

#[tokio::test]
async fn a_faulty_configuration_changes_nothing() {
    let server = Server::start_with("presign_seconds_max = 7200\n").await;
    make_bucket(&server.client(), "uploads").await;
    put(&server.client(), "uploads", "a").await.unwrap();
    for (faulty, says) in [
        ("presign_seconds_max = 60\nlisen = \":1\"\n", "did you mean"),
        (
            "presign_seconds_max = 60\n[log]\nlevel = \"in=fo=x\"\n",
            "log.level",
        ),
        (
            "presign_seconds_max = 60\n[[callback.rule]]\nendpoint = \"none\"\nevents = [\"s3:*\"]\n",
            "none",
        ),
        (
            "presign_seconds_max = 60\n[[callback.endpoint]]\nname = \"b d\"\nurl = \"http://x/\"\n\
             secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwTbBwbVbXvGk=\"]\n",
            "b d",
        ),
    ] {
        server.configure(faulty);
        let said = refused(&server, "reload --config /dev/null");
        assert!(said.contains(says), "{faulty}: {said}");
        assert_eq!(asked_for_an_hour(&server).await, 200, "{faulty}");
    }
    server.logs("everything is as before").await;
}

#[tokio::test]
async fn a_signal_reloads_too() {
    let server = Server::start().await;
    make_bucket(&server.client(), "uploads").await;
    put(&server.client(), "uploads", "a").await.unwrap();
    server.configure("presign_seconds_max = 60\n");
    server.hang_up();
    until("the new limit holds", async || {
        asked_for_an_hour(&server).await == 400
    })
    .await;
}

#[tokio::test]
async fn callbacks_go_where_the_new_configuration_says() {
    let (first, second) = (Arc::new(Inbox::default()), Arc::new(Inbox::default()));
    let one = Receiver::start("127.0.0.1:0", Arc::clone(&first), 0).await;
    let two = Receiver::start("127.0.0.1:0", Arc::clone(&second), 0).await;
    let server = Server::start().await;
    make_bucket(&server.client(), "uploads").await;
    put(&server.client(), "uploads", "nobody").await.unwrap();
    for (receiver, inbox, key) in [(&one, &first, "one"), (&two, &second, "two")] {
        server.configure(&receiver.configuration("uploads"));
        run(&server, "reload");
        put(&server.client(), "uploads", key).await.unwrap();
        inbox.wait(PATIENCE, |came| !came.is_empty()).await;
    }
    server.configure("");
    run(&server, "reload");
    put(&server.client(), "uploads", "nobody").await.unwrap();
    assert_eq!(
        (first.keys(), second.keys()),
        (vec!["one".to_owned()], vec!["two".to_owned()])
    );
}

#[tokio::test]
async fn a_request_that_has_begun_ends_as_it_began() {
    let server = Server::start().await;
    make_bucket(&server.client(), "uploads").await;
    let url = run(&server, "presign put uploads/a --expires 1h");
    let path = url.trim().strip_prefix(&server.endpoint).unwrap();
    let authority = server.authority();
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-length: 6\r\n\
         expect: 100-continue\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut leave = [0; 25];
    stream.read_exact(&mut leave).await.unwrap();
    assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").await.unwrap();
    server.configure("presign_seconds_max = 60\nlog.level = \"warn\"\n");
    run(&server, "reload");
    stream.write_all(b"def").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn commands_name_the_region_of_the_server_at_work() {
    let server = Server::start().await;
    make_bucket(&server.client(), "uploads").await;
    put(&server.client(), "uploads", "a").await.unwrap();
    server.configure("region = \"eu-central-1\"\n");
    let told = run(&server, "reload");
    assert_eq!(told, "Reloaded.\nregion needs a restart.\n");
    // The commands read the same file; the server keeps to what it began with.
    assert_eq!(json(&server, "status")["ready"], true);
    let url = run(&server, "presign get uploads/a");
    assert!(url.contains("us-east-1"), "{url}");
    let got = plain_http().get(url.trim()).send().await.unwrap();
    assert_eq!(got.status(), 200);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().display();
    run(&server, &format!("export uploads {folder}"));
}

#[tokio::test]
async fn a_scrub_heeds_another_rate_while_it_runs() {
    let server = Server::start_with("[scrub]\nbytes_per_second = 1\n").await;
    make_bucket(&server.client(), "uploads").await;
    let large = bytes_of(1, 200_000);
    let made = put_bytes(&server.client(), "uploads", "large", large).await;
    made.unwrap();
    let mut scrub = server.begin(&["scrub", "--now"]);
    while json(&server, "scrub")["running"] != true {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(scrub.try_wait().unwrap().is_none());
    server.configure("[scrub]\nbytes_per_second = 0\n");
    run(&server, "reload");
    until("the scrub ends", async || {
        scrub.try_wait().unwrap().is_some()
    })
    .await;
    assert_eq!(json(&server, "scrub")["passes"], 1);
}

#[tokio::test]
async fn logs_are_written_and_documents_shown_as_the_new_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let settings = |format: &str, more: &str| {
        let log = log.display();
        format!("{more}\n[access_log]\nfile = \"{log}\"\nformat = \"{format}\"\n")
    };
    let server = Server::start_with(&settings("json", "")).await;
    make_bucket(&server.client(), "uploads").await;
    let page = server.client().put_object().bucket("uploads").key("a");
    let page = page.content_type("text/html").body(b"<p>".to_vec().into());
    page.send().await.unwrap();
    let url = run(&server, "presign get uploads/a");
    let shown = async || plain_http().get(url.trim()).send().await.unwrap();
    assert!(
        shown()
            .await
            .headers()
            .contains_key("content-security-policy")
    );
    let lines = || std::fs::read_to_string(&log).unwrap_or_default();
    let wait = async |what: &str| {
        until(what, async || lines().contains(what)).await;
    };
    wait("\"operation\":\"GetObject\"").await;
    let more = "active_content = \"allow\"\n[audit]\nfile_bytes = 1";
    server.configure(&settings("aws", more));
    run(&server, "reload");
    assert!(
        !shown()
            .await
            .headers()
            .contains_key("content-security-policy")
    );
    wait(" REST.GET.OBJECT a ").await;
    for name in ["one", "two"] {
        run(&server, &format!("keys add {name}"));
    }
    let audit = std::fs::read_dir(server.data_folder().join("audit")).unwrap();
    assert!(audit.count() >= 3, "each line has a file of its own");
    assert!(run(&server, "audit verify").contains("Nobody tampered"));
}
