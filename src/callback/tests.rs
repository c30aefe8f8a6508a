//! Delivery to real sockets, over an engine in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::event::tests::event;
use super::{CallbackConfig, Callbacks, Message, State};
use crate::clock::SystemClock;
use crate::id::MessageId;
use crate::store::meta::{
    Assertion, Batch, KeyRange, MetaEngine, MetaError, Space, Step, Verified, Visitor, Write,
};

#[derive(Debug, Default)]
struct Rows(Mutex<BTreeMap<(Space, Bytes), Bytes>>);

impl MetaEngine for Rows {
    fn get(&self, space: Space, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>> {
        let key = (space, Bytes::copy_from_slice(key));
        async move { Ok(self.0.lock().unwrap().get(&key).cloned()) }.boxed()
    }

    fn walk(
        &self,
        space: Space,
        range: KeyRange,
        mut visit: Visitor,
    ) -> BoxFuture<'_, Result<(), MetaError>> {
        async move {
            let rows = self.0.lock().unwrap().clone();
            for ((of, key), value) in rows.range((space, range.start)..) {
                let past = range.end.as_ref().is_some_and(|end| key >= end);
                if *of != space || past || visit(key, value) == Step::Stop {
                    break;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn verify(
        &self,
        _space: Space,
        _from: Bytes,
        _bytes_max: u64,
    ) -> BoxFuture<'_, Result<Verified, MetaError>> {
        panic!("callbacks leave that to the scrub");
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), MetaError>> {
        async move {
            let mut rows = self.0.lock().unwrap();
            for assertion in batch.assertions {
                let Assertion::Holds { space, key, value } = assertion else {
                    panic!("callbacks assert only what holds");
                };
                if rows.get(&(space, key)) != Some(&value) {
                    return Err(MetaError::Conflict);
                }
            }
            for write in batch.writes {
                match write {
                    Write::Put { space, key, value } => rows.insert((space, key), value),
                    Write::Delete { space, key } => rows.remove(&(space, key)),
                    Write::DeleteRange { .. } => panic!("callbacks end one by one"),
                    Write::Add { .. } => panic!("callbacks count nothing"),
                };
            }
            Ok(())
        }
        .boxed()
    }

    fn expunge(&self, _spaces: &'static [Space]) -> BoxFuture<'_, Result<(), MetaError>> {
        async { Ok(()) }.boxed()
    }

    fn check(&self) -> Result<(), MetaError> {
        Ok(())
    }
}

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// A receiver that answers each request with what `status` says of the key and its attempt.
async fn receiver(
    tasks: &mut JoinSet<()>,
    status: fn(&str, usize) -> u16,
) -> (String, mpsc::UnboundedReceiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (heard, hears) = mpsc::unbounded_channel();
    tasks.spawn(async move {
        let mut tries: HashMap<String, usize> = HashMap::new();
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (mut text, mut part) = (String::new(), [0; 4096]);
            // The body is one line of JSON, whose end is known by its braces.
            while !text.ends_with("]}") {
                let read = socket.read(&mut part).await.unwrap();
                text.push_str(std::str::from_utf8(&part[..read]).unwrap());
            }
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let mut headers = http::HeaderMap::new();
            for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
                let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
                headers.insert(name, value.parse().unwrap());
            }
            let webhook = standardwebhooks::Webhook::new(SECRET).unwrap();
            webhook.verify(body.as_bytes(), &headers).unwrap();
            let json: serde_json::Value = serde_json::from_str(body).unwrap();
            let object = &json["Records"][0]["s3"]["object"];
            let key = object["key"].as_str().unwrap().to_owned();
            let count = tries.entry(key.clone()).or_default();
            *count += 1;
            let status = status(&key, *count);
            let answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
            let sequencer = object["sequencer"].as_str().unwrap().to_owned();
            heard
                .send((key, sequencer.trim_start_matches('0').to_owned()))
                .unwrap();
        }
    });
    (url, hears)
}

fn callbacks(meta: &Arc<Rows>, urls: &[(&str, &str)], attempts: u32) -> Arc<Callbacks> {
    let endpoints = urls.iter().map(|(name, url)| {
        serde_json::json!({"name": name, "url": url, "secrets": [SECRET], "attempts": attempts})
    });
    let rules = urls.iter().map(|(name, _)| {
        serde_json::json!({"endpoint": name, "bucket": "*", "events": ["s3:ObjectCreated:*"]})
    });
    let config = serde_json::json!({
        "endpoints": endpoints.collect::<Vec<_>>(), "rules": rules.collect::<Vec<_>>(),
    });
    let config: CallbackConfig = serde_json::from_value(config).unwrap();
    let wait = |_, _, _| Duration::from_millis(1);
    let meta: Arc<dyn MetaEngine> = Arc::<Rows>::clone(meta);
    Arc::new(Callbacks::with_wait(&config, meta, Arc::new(SystemClock), wait).unwrap())
}

async fn change(callbacks: &Callbacks, key: &str, sequence: u64) {
    let mut batch = Batch::new();
    assert!(
        callbacks
            .configured()
            .outbox
            .stage(&event(key, sequence), None, &mut batch)
            .is_none()
    );
    callbacks.meta.commit(batch).await.unwrap();
    callbacks.committed();
}

fn start(tasks: &mut JoinSet<()>, callbacks: &Arc<Callbacks>) -> CancellationToken {
    let (stop, callbacks) = (CancellationToken::new(), Arc::clone(callbacks));
    let stopped = stop.clone();
    tasks.spawn(async move { callbacks.run(stopped).await });
    stop
}

async fn ids(callbacks: &Callbacks, state: State) -> Vec<MessageId> {
    let list = callbacks.list(state, None, 100).await.unwrap();
    let ids = list["callbacks"].as_array().unwrap().iter();
    ids.map(|row| MessageId::parse(row["id"].as_str().unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn a_failing_key_waits_in_order_and_delays_no_other() {
    let mut tasks = JoinSet::new();
    let fails_twice = |key: &str, attempt| {
        if key == "bad" && attempt < 3 {
            503
        } else {
            204
        }
    };
    let (url, mut hears) = receiver(&mut tasks, fails_twice).await;
    let callbacks = callbacks(&Arc::default(), &[("app", &url)], 9);
    for (key, sequence) in [("bad", 1), ("bad", 2), ("good", 3)] {
        change(&callbacks, key, sequence).await;
    }
    start(&mut tasks, &callbacks);
    let (mut bad, mut good) = (Vec::new(), Vec::new());
    while bad.len() + good.len() < 5 {
        let (key, sequence) = hears.recv().await.unwrap();
        if key == "bad" {
            bad.push(sequence);
        } else {
            good.push(sequence);
        }
    }
    assert_eq!(bad, ["1", "1", "1", "2"]);
    assert_eq!(good, ["3"]);
}

#[tokio::test]
async fn a_dead_endpoint_delays_no_other_and_its_dead_letter_can_be_retried() {
    let mut tasks = JoinSet::new();
    let (down, mut down_hears) =
        receiver(&mut tasks, |_, attempt| if attempt < 3 { 410 } else { 200 }).await;
    let (up, mut up_hears) = receiver(&mut tasks, |_, _| 200).await;
    let callbacks = callbacks(&Arc::default(), &[("down", &down), ("up", &up)], 2);
    change(&callbacks, "k", 1).await;
    let stop = start(&mut tasks, &callbacks);
    up_hears.recv().await.unwrap();
    down_hears.recv().await.unwrap();
    down_hears.recv().await.unwrap();
    stop.cancel(); // what is under way is recorded before `run` returns
    tasks.join_next().await.unwrap().unwrap();
    let dead = ids(&callbacks, State::Dead).await;
    assert_eq!(dead.len(), 1);
    let counts = async || {
        let backlog = callbacks.backlog().await.unwrap();
        (backlog.waiting(), backlog.dead())
    };
    assert_eq!(counts().await, (0, 1));
    let shown = callbacks.show(dead[0]).await.unwrap();
    assert_eq!(shown["audit"].as_array().unwrap().len(), 2);
    assert_eq!(shown["audit"][1]["status"], 410);
    callbacks.retry(dead[0]).await.unwrap();
    assert_eq!(counts().await, (1, 0));
    let stop = start(&mut tasks, &callbacks);
    down_hears.recv().await.unwrap();
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
    assert_eq!(ids(&callbacks, State::Dead).await, []);
    assert_eq!(ids(&callbacks, State::Delivered).await.len(), 2);
}

/// A release that gave dead messages no rows of their own left them among the delivered ones.
#[tokio::test]
async fn what_died_under_an_earlier_release_is_found() {
    let meta: Arc<Rows> = Arc::default();
    let mut batch = Batch::new();
    for number in 0..1200 {
        let mut message = Message::new(if number % 2 == 0 { "a" } else { "b" }, event("k", number));
        let is_dead = number % 100 == 7;
        message.state = if is_dead {
            State::Dead
        } else {
            State::Delivered
        };
        let key = super::audit::finished_key(message.id);
        batch.put(Space::Deliveries, key, message.encode());
    }
    meta.commit(batch).await.unwrap();
    let none: [(&str, &str); 0] = [];
    let callbacks = callbacks(&meta, &none, 1);
    for _twice in 0..2 {
        callbacks.index_dead().await.unwrap();
        assert_eq!(ids(&callbacks, State::Dead).await.len(), 12);
        assert_eq!(callbacks.backlog().await.unwrap().dead(), 12);
    }
    let of_b = callbacks.list(State::Dead, Some("b"), 5).await.unwrap();
    assert_eq!(of_b["callbacks"].as_array().unwrap().len(), 5);
    let of_a = callbacks.list(State::Dead, Some("a"), 5).await.unwrap();
    assert_eq!(of_a["callbacks"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn what_was_queued_before_a_restart_is_delivered_after_it() {
    let mut tasks = JoinSet::new();
    let meta = Arc::default();
    let before = callbacks(&meta, &[("app", "http://127.0.0.1:1/")], 9);
    change(&before, "k", 7).await;
    drop(before);
    let (url, mut hears) = receiver(&mut tasks, |_, _| 200).await;
    start(&mut tasks, &callbacks(&meta, &[("app", &url)], 9));
    assert_eq!(
        hears.recv().await.unwrap(),
        ("k".to_owned(), "7".to_owned())
    );
}
