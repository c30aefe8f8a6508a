//! `consign listen` hears what a server tells, and `consign callbacks send --test` tells it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout};

use super::{json, make_bucket, put, refused, run, text, try_run};
use crate::receiver::SECRET;
use crate::support::{Server, plain_http};

const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn configuration(port: u16) -> String {
    format!(
        "[[callback.endpoint]]\nname = \"app\"\nurl = \"http://127.0.0.1:{port}/hooks\"\n\
         secrets = [\"{SECRET}\"]\n[[callback.rule]]\nendpoint = \"app\"\nbucket = \"uploads\"\n"
    )
}

/// A listener at work: it has bound its port.
struct Listener {
    child: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Listener {
    fn begin(server: &Server, arguments: &[&str]) -> Self {
        let mut child = server.begin(&[&["listen"], arguments].concat());
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        let address = first.strip_prefix("Listening on ").unwrap_or_else(|| {
            let mut error = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut error)
                .unwrap();
            panic!("{first}{error}")
        });
        let address = address.trim().to_owned();
        Self {
            child,
            output,
            address,
        }
    }

    /// All that it says until it ends.
    fn end(mut self) -> String {
        let mut said = String::new();
        self.output.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        said
    }
}

#[tokio::test]
async fn a_listener_shows_what_it_verified_with_the_servers_secrets() {
    let port = free_port();
    let server = Server::start_with(&configuration(port)).await;
    let listener = Listener::begin(&server, &["--port", &port.to_string(), "--count", "2"]);
    make_bucket(&server.client(), "uploads").await;
    let sent = json(&server, "callbacks send --test app --bucket uploads");
    assert_eq!((&sent["status"], &sent["error"]), (&204.into(), &().into()));
    assert_eq!(put(&server.client(), "uploads", "a b").await, Ok(()));
    let said = listener.end();
    let id = text(&sent, "id");
    let trial = format!("s3:TestEvent  uploads  {id} attempt 1  verified  -> 204");
    assert!(said.contains(&trial), "{said}");
    let upload = "ObjectCreated:Put  uploads/a b  5 bytes  msg_";
    assert!(said.contains(upload), "{said}");
    assert_eq!(
        said.matches("attempt 1  verified  -> 204").count(),
        2,
        "{said}"
    );
    assert!(!said.contains("whsec"), "{said}");
}

#[tokio::test]
async fn a_listener_says_why_it_trusts_nothing() {
    let port = free_port();
    let server = Server::start_with(&configuration(port)).await;
    let port = port.to_string();
    let arguments = ["--port", &port, "--secret", OTHER, "--count", "2", "--body"];
    let listener = Listener::begin(&server, &arguments);
    let address = listener.address.clone();
    let output = try_run(&server, "callbacks send --test app");
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("status    401 after "), "{printed}");
    let bare = plain_http().post(address).body("{}").send().await.unwrap();
    assert_eq!(bare.status(), 401);
    let said = listener.end();
    assert!(
        said.contains("NOT VERIFIED: no secret that is known"),
        "{said}"
    );
    assert!(
        said.contains("NOT VERIFIED: it has no webhook-id header  -> 401"),
        "{said}"
    );
    assert!(said.contains("\"Event\": \"s3:TestEvent\""), "{said}");
}

#[tokio::test]
async fn a_listener_answers_as_it_is_told_or_as_another_receiver_does() {
    let port = free_port();
    let server = Server::start_with(&configuration(port)).await;
    let answers = [&["--answer", "{\"id\": 7}"][..], &["--status", "503"]];
    let (answered, failed) = (
        "{\"id\": 7}",
        "the receiver answered 503 Service Unavailable",
    );
    for (arguments, status, answer) in [(answers[0], 200, answered), (answers[1], 503, "")] {
        let all = [
            &["--port", "0", "--secret", SECRET, "--count", "1"],
            arguments,
        ]
        .concat();
        let behind = Listener::begin(&server, &all);
        let (port, to) = (port.to_string(), behind.address.clone());
        let front = ["--port", &port, "--count", "1", "--forward", &to];
        let front = Listener::begin(&server, &front);
        let output = try_run(&server, "callbacks send --test app --json");
        let sent: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(sent["status"], status);
        assert_eq!(text(&sent, "answer"), answer);
        let (error, sync) = (sent["error"].as_str(), text(&sent, "synchronous"));
        assert_eq!(error, (status == 503).then_some(failed));
        assert_eq!(sync.starts_with("would be"), status == 200, "{sync}");
        for said in [front.end(), behind.end()] {
            assert!(said.contains(&format!("verified  -> {status}")), "{said}");
        }
    }
    assert!(refused(&server, "callbacks send --test ap").contains("\"ap\""));
    assert!(refused(&server, "listen --port 0 --secret x").contains("whsec_"));
    assert!(refused(&server, "listen --port 0 --answer nothing").contains("no file"));
    // Nobody listens any more.
    let output = try_run(&server, "callbacks send --test app");
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("status    none"), "{printed}");
    assert!(run(&server, "callbacks list").contains("ENDPOINT"));
}
