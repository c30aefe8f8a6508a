//! An app server that hears callbacks, verifies them, and fails a tenth of them once.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::model::{Due, Place, State};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwTbBwbVbXvGk=";
/// Of so many messages one is refused when it first comes.
const FAILS_ONE_OF: u64 = 10;

/// What events are told apart by here.
const KINDS: [&str; 2] = ["ObjectCreated", "ObjectRemoved"];

/// A message that the app server took.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) event: String,
    request: String,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) etag: String,
    version: String,
    sequencer: String,
    /// The message that it takes back.
    pub(crate) withdraws: Option<String>,
}

#[derive(Debug, Default)]
struct Heard {
    /// By `webhook-id`.
    messages: BTreeMap<String, Message>,
    /// Ids whose first attempt was refused.
    refused: BTreeSet<String>,
    /// The last sequencer of each key.
    last: BTreeMap<(String, String), String>,
    attempts: u64,
    faults: Vec<String>,
}

/// The app server, which outlives the storage server's deaths.
#[derive(Debug)]
pub(crate) struct App {
    address: std::net::SocketAddr,
    inbox: Arc<Inbox>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Inbox {
    heard: Mutex<Heard>,
    changed: Notify,
}

impl App {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inbox = Arc::new(Inbox::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&inbox)));
        Self {
            address,
            inbox,
            _tasks: tasks,
        }
    }

    /// What the storage server is told of it.
    pub(crate) fn configuration(&self) -> String {
        let endpoint = format!(
            "[[callback.endpoint]]\nname = \"app\"\nurl = \"http://{}/hooks\"\nsecrets = [\"{SECRET}\"]\n",
            self.address
        );
        let rule = |more: &str| format!("[[callback.rule]]\nendpoint = \"app\"\n{more}\n");
        let told = |bucket: &str| {
            let events = "events = [\"s3:ObjectCreated:*\", \"s3:ObjectRemoved:*\"]";
            rule(&format!("bucket = \"{bucket}\"\n{events}"))
        };
        let asked = "bucket = \"asked\"\nmode = \"sync\"\nanswer_seconds = 1\n";
        let keep = rule(&format!("{asked}prefix = \"keep/\""));
        let withdraw = rule(&format!(
            "{asked}prefix = \"withdraw/\"\non_failure = \"withdraw\""
        ));
        [endpoint, told("raw"), told("kept"), keep, withdraw].concat()
    }

    /// Distinct messages, and attempts to deliver them.
    pub(crate) fn counts(&self) -> (usize, u64) {
        let heard = self.inbox.heard.lock().unwrap();
        (heard.messages.len(), heard.attempts)
    }

    pub(crate) fn assert_no_faults(&self) {
        let heard = self.inbox.heard.lock().unwrap();
        assert!(heard.faults.is_empty(), "{}", heard.faults.join("\n"));
    }

    /// All messages, once `missing` names nothing any more.
    pub(crate) async fn wait(
        &self,
        patience: Duration,
        missing: impl Fn(&BTreeMap<String, Message>) -> Vec<String>,
    ) -> BTreeMap<String, Message> {
        let waiting = async {
            loop {
                let changed = self.inbox.changed.notified();
                let messages = self.inbox.heard.lock().unwrap().messages.clone();
                if missing(&messages).is_empty() {
                    return messages;
                }
                changed.await;
                // A look costs more than a message: several at once.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if let Ok(messages) = tokio::time::timeout(patience, waiting).await {
            return messages;
        }
        let messages = self.inbox.heard.lock().unwrap().messages.clone();
        panic!("callbacks are missing: {:#?}", missing(&messages));
    }
}

impl Message {
    fn read(body: &Value) -> Self {
        let record = &body["Records"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &record["s3"]["object"];
        Self {
            event: text(&record["eventName"]),
            request: text(&record["responseElements"]["x-amz-request-id"]),
            bucket: text(&record["s3"]["bucket"]["name"]),
            // No key here has a character that needs more.
            key: text(&object["key"]).replace("%2F", "/"),
            etag: text(&object["eTag"]),
            version: text(&object["versionId"]),
            sequencer: text(&object["sequencer"]),
            withdraws: record["consign"]["withdraws"].as_str().map(str::to_owned),
        }
    }
}

/// The callbacks that are due and did not come.
pub(crate) fn missing(dues: &BTreeSet<Due>, messages: &BTreeMap<String, Message>) -> Vec<String> {
    let mut came = BTreeSet::new();
    for message in messages.values() {
        let Message {
            request,
            key,
            etag,
            version,
            ..
        } = message.clone();
        let kind = KINDS
            .into_iter()
            .find(|kind| message.event.starts_with(kind));
        came.extend(kind.map(|kind| Due::OfRequest(request, key.clone(), kind)));
        came.insert(Due::OfObject(key.clone(), etag));
        came.insert(Due::OfVersion(key, version));
    }
    let missing = dues.difference(&came);
    missing.map(|due| format!("{due:?}")).collect()
}

/// What is wrong with the messages that came: one change told under two ids, or one that never was.
pub(crate) fn wrong(state: &State, messages: &BTreeMap<String, Message>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut told = BTreeMap::new();
    for (id, message) in messages {
        let Message {
            event,
            request,
            key,
            ..
        } = message;
        // A request's versions are told one by one.
        let change = (event, request, key, &message.version);
        if let Some(other) = told.insert(change, id) {
            wrong.push(format!("{message:?} came as {id} and as {other}"));
        }
        let bucket = ["raw", "kept"]
            .into_iter()
            .find(|bucket| *bucket == message.bucket);
        let issued = |bucket: &'static str| {
            let place: Place = (bucket, key.clone());
            state.issued.contains(&(place, message.etag.clone()))
        };
        if event.starts_with("ObjectCreated") && bucket.is_some_and(|bucket| !issued(bucket)) {
            wrong.push(format!("{message:?} tells of what nobody wrote"));
        }
    }
    wrong
}

async fn serve(listener: TcpListener, inbox: Arc<Inbox>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let inbox = Arc::clone(&inbox);
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let inbox = Arc::clone(&inbox);
            async move { Ok::<_, Infallible>(answer(request, &inbox).await) }
        });
        connections.spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            // A server that is killed in the middle of a delivery is part of the test.
            http.serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: http::Request<Incoming>, inbox: &Inbox) -> http::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let status = match body.collect().await {
        Err(_) => 400,
        Ok(body) => inbox
            .heard
            .lock()
            .unwrap()
            .take(&head.headers, &body.to_bytes()),
    };
    inbox.changed.notify_waiters();
    let answer = http::Response::builder().status(status);
    let answer = answer.header("content-type", "application/json");
    answer.body(Full::from("{}")).unwrap()
}

impl Heard {
    fn take(&mut self, headers: &http::HeaderMap, body: &[u8]) -> u16 {
        self.attempts += 1;
        if let Err(error) = Webhook::new(SECRET).unwrap().verify(body, headers) {
            self.faults
                .push(format!("not verified: {error}: {headers:?}"));
            return 401;
        }
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        let message = Message::read(&serde_json::from_slice(body).unwrap());
        if let Some(known) = self.messages.get(&id) {
            if *known != message {
                self.faults
                    .push(format!("{id} came with two bodies: {known:?} {message:?}"));
            }
            return 200;
        }
        let lot = crate::body::md5_of(id.as_bytes())[0];
        if u64::from(lot) % FAILS_ONE_OF == 0 && self.refused.insert(id.clone()) {
            return 500;
        }
        // What uploaders wait for overtakes the rest. The end of one version leaves the current one as
        // it is: two of them may be committed in another order than they were decided in.
        let of_version = message.bucket == "kept" && message.event == "ObjectRemoved:Delete";
        if message.bucket != "asked" && !of_version {
            let place = (message.bucket.clone(), message.key.clone());
            let last = self.last.insert(place, message.sequencer.clone());
            if last.as_ref().is_some_and(|last| *last > message.sequencer) {
                self.faults.push(format!("{message:?} came after {last:?}"));
            }
        }
        self.messages.insert(id, message);
        200
    }
}
