//! Frames of HTTP/2 that no client sends: one request with a trick in it, and floods.
//!
//! <https://www.rfc-editor.org/rfc/rfc9113#name-security-considerations>

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::case::Case;
use super::make;
use super::world::World;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [len[1], len[2], len[3], kind, flags];
    [&head, &stream.to_be_bytes()[..], payload].concat()
}

/// Header fields as HPACK's literals, never indexed.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            put_length(&mut out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn put_length(out: &mut Vec<u8>, len: usize) {
    let Some(mut rest) = len.checked_sub(127) else {
        out.push(u8::try_from(len).unwrap());
        return;
    };
    out.push(127);
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap());
}

/// What came of a connection.
#[derive(Debug, Default)]
struct Outcome {
    /// The bodies of all answers.
    text: String,
    resets: usize,
    /// The code of the `GOAWAY`, where one came.
    gone: Option<u32>,
    answers: usize,
    closed: bool,
}

impl Outcome {
    fn is_refusal(&self) -> bool {
        self.resets > 0 || self.gone.is_some() || self.closed || self.text.contains("<Code>")
    }

    /// A refusal without a document: h2 itself answers 431 so.
    fn is_bare(&self) -> bool {
        self.answers > 0 && self.text.is_empty()
    }
}

/// Sends `frames` and a ping behind them; reads until what it asks for is there, or nothing more comes.
async fn exchange(world: &World, frames: &[Vec<u8>], ends: impl Fn(&Outcome) -> bool) -> Outcome {
    let stream = TcpStream::connect(world.server.authority()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let start = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let send = async {
        let mut all = start.clone();
        for next in frames {
            all.extend_from_slice(next);
            if all.len() > 64 * 1024 && writer.write_all(&std::mem::take(&mut all)).await.is_err() {
                return writer;
            }
        }
        writer.write_all(&all).await.ok();
        writer
    };
    let mut outcome = Outcome::default();
    let receive = async {
        let mut came = Vec::new();
        while !ends(&outcome) {
            if reader.read_buf(&mut came).await.unwrap_or(0) == 0 {
                outcome.closed = true;
                return;
            }
            take_frames(&mut came, &mut outcome);
        }
    };
    // What is not read is an answer too: nothing came.
    let both = async { tokio::join!(send, receive) };
    tokio::time::timeout(PATIENCE, both).await.ok();
    outcome
}

fn take_frames(came: &mut Vec<u8>, outcome: &mut Outcome) {
    while came.len() >= 9 {
        let len = u32::from_be_bytes([0, came[0], came[1], came[2]]);
        let whole = 9 + usize::try_from(len).unwrap();
        if came.len() < whole {
            return;
        }
        let next: Vec<_> = came.drain(..whole).collect();
        let payload = &next[9..];
        match next[3] {
            DATA => outcome.text.push_str(&String::from_utf8_lossy(payload)),
            HEADERS => outcome.answers += 1,
            RST_STREAM => outcome.resets += 1,
            GOAWAY => outcome.gone = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap())),
            _ => {}
        }
    }
}

/// The target of a good URL for `method` and `path`.
fn target(world: &World, method: &str, path: &str) -> String {
    let case = Case {
        ask: format!("{method} {path}"),
        sign: "query".to_owned(),
        ..Case::default()
    };
    let bytes = make::bytes_of(&case, &world.values, world.signer(&case));
    let text = String::from_utf8(bytes).unwrap();
    text.split(' ').nth(1).unwrap().to_owned()
}

/// Names and values, in their order.
type Fields<'a> = Vec<(&'a str, &'a str)>;

fn fields<'a>(method: &'a str, host: &'a str, target: &'a str) -> Fields<'a> {
    vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", host),
        (":path", target),
    ]
}

fn request(fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, 1, &block(fields))
}

/// The fields of a request with one thing in them that must not be.
fn tricks<'a>(good: &[(&'a str, &'a str)], userinfo: &'a str) -> Vec<(&'static str, Fields<'a>)> {
    let with = |more: &[(&'static str, &'static str)]| [good, more].concat();
    let without = |name: &str| -> Fields<'a> {
        good.iter()
            .copied()
            .filter(|(other, _)| *other != name)
            .collect()
    };
    let instead = |name: &str, value: &'a str| -> Fields<'a> {
        let fields = good.iter().copied();
        let fields = fields.map(|(one, old)| (one, if one == name { value } else { old }));
        fields.collect()
    };
    vec![
        ("a second path", with(&[(":path", "/raw/secret")])),
        ("a second method", with(&[(":method", "DELETE")])),
        (
            "a pseudo-header after others",
            with(&[("x-a", "b"), (":authority", "evil")]),
        ),
        ("a pseudo-header that none knows", with(&[(":root", "yes")])),
        ("a status in a request", with(&[(":status", "200")])),
        ("no method", without(":method")),
        ("no path", without(":path")),
        ("no host", without(":authority")),
        ("an empty path", instead(":path", "")),
        ("a path of another form", instead(":path", "raw/k")),
        ("a star", instead(":path", "*")),
        (
            "a method with a space",
            instead(":method", "GET /raw/secret"),
        ),
        ("userinfo", instead(":authority", userinfo)),
        ("another host", instead(":authority", "evil.example")),
        (
            "another host beside it",
            with(&[("host", "raw.s3.evil.example")]),
        ),
        (
            "a name in upper case",
            with(&[("X-Amz-Acl", "public-read")]),
        ),
        (
            "a name with a line in it",
            with(&[("x-a\r\nx-amz-acl", "b")]),
        ),
        (
            "a value with a line in it",
            with(&[("x-a", "b\r\nx-amz-acl: c")]),
        ),
        ("a value with NUL", with(&[("x-a", "b\0c")])),
        ("a connection's header", with(&[("connection", "upgrade")])),
        (
            "an encoding of transfer",
            with(&[("transfer-encoding", "chunked")]),
        ),
        ("an upgrade", with(&[("upgrade", "h2c")])),
        ("te", with(&[("te", "gzip")])),
        (
            "a header that nobody signed",
            with(&[("x-amz-copy-source", "/raw/secret")]),
        ),
        (
            "two lengths",
            with(&[("content-length", "0"), ("content-length", "5")]),
        ),
    ]
}

#[tokio::test]
async fn a_request_with_a_trick_in_it_is_refused() {
    let world = World::begin("").await;
    let host = world.server.authority().to_owned();
    let url = target(&world, "GET", "/raw/k");
    let good = fields("GET", &host, &url);
    let is_answered = |outcome: &Outcome| outcome.is_refusal() || outcome.text.len() == 10;
    let control = exchange(&world, &[request(&good, END_STREAM)], is_answered).await;
    assert_eq!(control.text, "0123456789", "{control:?}");
    let userinfo = format!("user@{host}");
    for (what, fields) in tricks(&good, &userinfo) {
        let outcome = exchange(&world, &[request(&fields, END_STREAM)], is_answered).await;
        assert!(outcome.is_refusal(), "{what}: {outcome:?}");
        assert!(!outcome.text.contains("0123"), "{what}: {outcome:?}");
    }
    world.is_well().await;
}

#[tokio::test]
async fn a_length_that_is_not_the_bodys_stores_nothing() {
    let world = World::begin("").await;
    let before = world.snapshot().await;
    let host = world.server.authority().to_owned();
    for (length, flags) in [
        ("3", END_STREAM),
        ("9", END_STREAM),
        ("-1", END_STREAM),
        ("5x", 1),
    ] {
        let url = target(&world, "PUT", "/raw/case-h2");
        let mut fields = fields("PUT", &host, &url);
        fields.push(("content-length", length));
        let frames = [request(&fields, 0), frame(DATA, flags, 1, b"hello")];
        let outcome = exchange(&world, &frames, Outcome::is_refusal).await;
        assert!(outcome.is_refusal(), "{length}: {outcome:?}");
    }
    // Half a body, and a stream that is taken back.
    let url = target(&world, "PUT", "/raw/case-h2");
    let mut fields = fields("PUT", &host, &url);
    fields.push(("content-length", "10"));
    let frames = [
        request(&fields, 0),
        frame(DATA, 0, 1, b"hello"),
        frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()),
        frame(PING, 0, 0, &[0; 8]),
        frame(DATA, 0, 0, b"a connection has no body"),
    ];
    let outcome = exchange(&world, &frames, |outcome| outcome.gone.is_some()).await;
    assert!(outcome.gone.is_some() || outcome.closed, "{outcome:?}");
    assert_eq!(world.snapshot().await, before);
    world.is_well().await;
}

/// What is sent, and what it is.
type Flood = (&'static str, Vec<Vec<u8>>);

fn many(one: Vec<u8>) -> Vec<Vec<u8>> {
    vec![one; 200_000]
}

/// Lists of headers that have no end or no bound; `good` is what they begin with.
fn floods_of_headers(good: &[u8]) -> Vec<Flood> {
    let large = "v".repeat(16_000);
    let open = |frames: Vec<Vec<u8>>| [vec![frame(HEADERS, 0, 1, good)], frames].concat();
    vec![
        (
            "a list of headers without a bound",
            vec![
                frame(HEADERS, END_STREAM, 1, good),
                frame(CONTINUATION, 0, 1, &block(&[("x-a", large.as_str())])),
                frame(CONTINUATION, 0, 1, &block(&[("x-b", large.as_str())])),
                frame(CONTINUATION, 0, 1, &block(&[("x-c", large.as_str())])),
                frame(CONTINUATION, 0, 1, &block(&[("x-d", large.as_str())])),
                frame(
                    CONTINUATION,
                    END_HEADERS,
                    1,
                    &block(&[("x-e", large.as_str())]),
                ),
            ],
        ),
        (
            "headers that go on for ever",
            open(many(frame(CONTINUATION, 0, 1, &block(&[("x-a", "b")])))),
        ),
        (
            "empty continuations",
            open(many(frame(CONTINUATION, 0, 1, b""))),
        ),
    ]
}

/// Streams and frames without a bound, and frames that are none.
fn floods_of_frames(good: &[u8], put: &[u8]) -> Vec<Flood> {
    let ids = |many: u32| (0..many).map(|number| 2 * number + 1);
    let reset = 8_u32.to_be_bytes();
    vec![
        (
            "rapid resets",
            ids(20_000)
                .flat_map(|id| {
                    let begin = frame(HEADERS, END_HEADERS | END_STREAM, id, good);
                    [begin, frame(RST_STREAM, 0, id, &reset)]
                })
                .collect(),
        ),
        (
            "more streams than there may be",
            ids(2_000)
                .map(|id| frame(HEADERS, END_HEADERS, id, put))
                .collect(),
        ),
        (
            "empty pieces of a body",
            [
                vec![frame(HEADERS, END_HEADERS, 1, put)],
                many(frame(DATA, 0, 1, b"")),
            ]
            .concat(),
        ),
        (
            "a frame that is too large",
            vec![frame(DATA, 0, 1, &vec![0; 1 << 20])],
        ),
        (
            "a window beyond its bound",
            many(frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ),
        (
            "no window at all",
            vec![frame(WINDOW_UPDATE, 0, 0, &[0; 4])],
        ),
        (
            "a stream with an even number",
            vec![frame(HEADERS, END_HEADERS | END_STREAM, 2, good)],
        ),
        (
            "HPACK that is none",
            vec![frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 64])],
        ),
        (
            "settings of a wrong length",
            vec![frame(SETTINGS, 0, 0, &[0; 5])],
        ),
    ]
}

/// Rapid resets are CVE-2023-44487, continuations CVE-2024-27316, empty `DATA` RUSTSEC-2026-0258.
#[tokio::test]
async fn a_flood_ends_its_connection_and_nothing_else() {
    let world = World::begin("").await;
    let host = world.server.authority().to_owned();
    let url = target(&world, "GET", "/raw/k");
    let good = block(&fields("GET", &host, &url));
    let put = target(&world, "PUT", "/raw/case-h2");
    let put = block(&fields("PUT", &host, &put));
    let floods = floods_of_headers(&good).into_iter();
    let floods = floods.chain(floods_of_frames(&good, &put));
    for (what, frames) in floods {
        let outcome = exchange(&world, &frames, |outcome| {
            outcome.gone.is_some() || outcome.resets > 0 || outcome.is_bare()
        })
        .await;
        let refused = outcome.is_refusal() || outcome.is_bare();
        assert!(refused, "{what}: {outcome:?}");
        assert!(
            outcome.answers < 10_000,
            "{what}: {} answers",
            outcome.answers
        );
    }
    // Floods that mean nothing cost nothing: the request behind them is answered, or they end.
    for (what, one) in [
        ("pings", frame(PING, 0, 0, &[7; 8])),
        ("settings", frame(SETTINGS, 0, 0, &[])),
    ] {
        let frames = [
            many(one),
            vec![frame(HEADERS, END_HEADERS | END_STREAM, 1, &good)],
        ]
        .concat();
        let ends = |outcome: &Outcome| outcome.is_refusal() || outcome.text.len() == 10;
        let outcome = exchange(&world, &frames, ends).await;
        assert!(
            outcome.is_refusal() || outcome.text == "0123456789",
            "{what}: {outcome:?}"
        );
    }
    world.is_well().await;
}
