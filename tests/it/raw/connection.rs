//! What a connection may do: stay open, wait for leave to send, stand still, outlive a stop.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire::{Ask, Signer, UNSIGNED, absent, ready};
use crate::support::{Server, bytes_of, plain_http};

/// Longer than any step takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// One end of a connection, and what came on it that no test has looked at yet.
struct Wire {
    stream: TcpStream,
    came: Vec<u8>,
}

impl Wire {
    async fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.authority()).await.unwrap();
        let came = Vec::new();
        Self { stream, came }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// More bytes; `false` at the end.
    async fn more(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.came);
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.expect("the server says nothing").unwrap_or(0) > 0
    }

    /// One head, to its empty line.
    async fn head(&mut self) -> String {
        loop {
            let end = self.came.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<_> = self.came.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            let text = String::from_utf8_lossy(&self.came).into_owned();
            assert!(self.more().await, "the connection ended after {text:?}");
        }
    }

    /// One answer: its head, and as many bytes as it says.
    async fn answer(&mut self) -> (String, Vec<u8>) {
        let head = self.head().await;
        let len = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().unwrap())
        });
        let len = len.unwrap_or(0);
        while self.came.len() < len {
            assert!(self.more().await, "the body was cut: {head}");
        }
        (head, self.came.drain(..len).collect())
    }

    /// All that still comes until the server closes.
    async fn rest(mut self) -> String {
        while self.more().await {}
        String::from_utf8_lossy(&self.came).into_owned()
    }
}

fn put(server: &Server, key: &str, body: &[u8]) -> Ask {
    let path = format!("/raw/{key}");
    Ask::new(server, "PUT", &path).body(body)
}

fn signed(ask: Ask) -> Ask {
    ask.authorized(&Signer::now(), UNSIGNED).0
}

fn forged(ask: Ask) -> Ask {
    let forger = Signer {
        secret: "guess".into(),
        ..Signer::now()
    };
    ask.authorized(&forger, UNSIGNED).0
}

#[tokio::test]
async fn a_connection_answers_one_request_after_another() {
    let server = ready().await;
    let get = |key: &str| signed(Ask::new(&server, "GET", &format!("/raw/{key}"))).bytes(true);
    let mut wire = Wire::open(&server).await;
    for round in 0..3 {
        let body = bytes_of(round, 70_000);
        wire.send(&signed(put(&server, "k", &body)).bytes(true))
            .await;
        assert!(wire.answer().await.0.starts_with("HTTP/1.1 200"));
        wire.send(&get("k")).await;
        assert!(wire.answer().await.1 == body);
        wire.send(&get("absent")).await;
        assert!(wire.answer().await.0.starts_with("HTTP/1.1 404"));
    }
    // Two at once, answered in their order.
    wire.send(&[get("absent"), get("k")].concat()).await;
    assert!(wire.answer().await.0.starts_with("HTTP/1.1 404"));
    assert!(wire.answer().await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_refused_body_is_never_read_as_a_request() {
    let server = ready().await;
    let smuggled = b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n".repeat(3);
    let refused = forged(put(&server, "k", &smuggled)).bytes(true);
    let mut wire = Wire::open(&server).await;
    wire.send(&refused).await;
    let (head, body) = wire.answer().await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    assert!(
        String::from_utf8(body)
            .unwrap()
            .contains("SignatureDoesNotMatch")
    );
    wire.stream.shutdown().await.ok();
    assert_eq!(wire.rest().await, "");
    absent(&server, "k").await;
}

#[tokio::test]
async fn a_client_that_waits_for_leave_gets_it_only_with_a_good_signature() {
    let server = ready().await;
    let waiting = |ask: Ask| ask.header("expect", "100-continue");
    let good = signed(waiting(put(&server, "good", b"hello"))).bytes(true);
    let mut wire = Wire::open(&server).await;
    wire.send(&good[..good.len() - 5]).await;
    assert!(wire.head().await.starts_with("HTTP/1.1 100"));
    wire.send(b"hello").await;
    assert!(wire.answer().await.0.starts_with("HTTP/1.1 200"));

    // Without a body there is no leave to give; the end of the connection says so.
    let empty = signed(waiting(put(&server, "empty", b""))).bytes(true);
    let mut wire = Wire::open(&server).await;
    wire.send(&empty).await;
    let (head, _) = wire.answer().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("connection: close\r\n"), "{head}");
    assert_eq!(wire.rest().await, "");

    let no_bucket = Ask::new(&server, "PUT", "/no-such-bucket/k").body(b"hello");
    let garbled = put(&server, "bad", b"hello").header("content-md5", "garbled");
    for (ask, status) in [
        (forged(waiting(put(&server, "bad", b"hello"))), 403),
        (waiting(put(&server, "bad", b"hello")), 403),
        (signed(waiting(no_bucket)), 404),
        (signed(waiting(garbled)), 400),
    ] {
        let bytes = ask.bytes(true);
        let mut wire = Wire::open(&server).await;
        wire.send(&bytes[..bytes.len() - 5]).await;
        let (head, body) = wire.answer().await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")),
            "{head}{body:?}"
        );
        assert!(head.contains("connection: close\r\n"), "{head}");
    }
    absent(&server, "bad").await;
}

#[tokio::test]
async fn a_stop_finishes_the_upload_in_flight() {
    let mut server = ready().await;
    let body = bytes_of(5, 300_000);
    let ask = signed(put(&server, "k", &body).header("expect", "100-continue")).bytes(true);
    let (first, last) = ask.split_at(ask.len() - 100_000);
    let (head, first) = first.split_at(ask.len() - body.len());
    let idle = Wire::open(&server).await;
    let mut wire = Wire::open(&server).await;
    wire.send(head).await;
    assert!(wire.head().await.starts_with("HTTP/1.1 100"));
    wire.send(first).await;
    server.ask_to_stop();
    // A connection without a request ends at once: from here on the server is stopping. Its socket
    // closes on a task of its own; a connection that was still accepted ends like the idle one.
    assert_eq!(idle.rest().await, "");
    while let Ok(mut late) = TcpStream::connect(server.authority()).await {
        let ended = late.read_to_end(&mut Vec::new()).await;
        assert!(matches!(ended, Ok(0) | Err(_)));
    }
    wire.send(last).await;
    let (head, _) = wire.answer().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(wire.rest().await, "");
    assert!(server.ended().await.success());
    server.restart().await;
    let client = server.client();
    let got = client.get_object().bucket("raw").key("k").send().await;
    let got = got.unwrap().body.collect().await.unwrap();
    assert!(got.to_vec() == body);
}

#[tokio::test]
async fn a_head_has_a_limit_of_bytes_and_of_headers() {
    let server = ready().await;
    let large = "v".repeat(70_000);
    let answer = Ask::new(&server, "GET", "/raw").header("x-large", &large);
    assert_eq!(answer.send(&server).await.status, 431);
    let many = (0..300).fold(Ask::new(&server, "GET", "/raw"), |ask, number| {
        ask.header(&format!("x-{number}"), "v")
    });
    assert_eq!(many.send(&server).await.status, 431);
    let path = format!("/raw/{}", "k".repeat(70_000));
    let answer = Ask::new(&server, "GET", &path).send(&server).await;
    assert!(matches!(answer.status, 414 | 431), "{answer:?}");
    // The next one is served as ever.
    let fits = Ask::new(&server, "GET", "/raw").header("x-fits", &large[..8000]);
    signed(fits).expect(&server, 200, "").await;
}

#[tokio::test]
async fn a_client_that_stands_still_is_given_up() {
    let server =
        Server::start_with("[limits]\nhead_seconds = 1\nidle_seconds = 1\nbody_idle_seconds = 1\n")
            .await;
    let create = server.client().create_bucket().bucket("raw").send();
    create.await.unwrap();
    let half_a_head = async {
        let mut wire = Wire::open(&server).await;
        wire.send(b"GET / HTTP/1.1\r\nhost:").await;
        wire.rest().await
    };
    let between_requests = async {
        let mut wire = Wire::open(&server).await;
        wire.send(&signed(Ask::new(&server, "GET", "/raw")).bytes(true))
            .await;
        assert!(wire.answer().await.0.starts_with("HTTP/1.1 200"));
        wire.rest().await
    };
    let half_a_body = async {
        let ask = signed(put(&server, "k", b"hello")).bytes(true);
        let mut wire = Wire::open(&server).await;
        wire.send(&ask[..ask.len() - 2]).await;
        wire.rest().await
    };
    let (head, between, body) = tokio::join!(half_a_head, between_requests, half_a_body);
    // Where hyper says something at all, it is that the time is over.
    assert!(
        head.is_empty() || head.starts_with("HTTP/1.1 408"),
        "{head}"
    );
    assert_eq!(between, "");
    assert!(body.starts_with("HTTP/1.1 400"), "{body}");
    assert!(body.contains("<Code>RequestTimeout</Code>"), "{body}");
    absent(&server, "k").await;
}

#[tokio::test]
async fn a_large_body_that_is_refused_is_answered() {
    let server = ready().await;
    let http = plain_http();
    for _ in 0..5 {
        let url = format!("{}/raw/k", server.endpoint);
        let answer = http.put(url).body(vec![7; 8 << 20]).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 403);
        assert!(answer.text().await.unwrap().contains("AccessDenied"));
    }
}
