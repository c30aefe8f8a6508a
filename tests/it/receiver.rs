//! An app server that takes callbacks and verifies them with the published Standard Webhooks library.
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwTbBwbVbXvGk=";

/// What was received, which outlives the receiver's deaths as an app's database would.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// The first body under each `webhook-id`, and how often it came.
    messages: Mutex<BTreeMap<String, (serde_json::Value, u32)>>,
    faults: Mutex<Vec<String>>,
    changed: Notify,
}

impl Inbox {
    /// The decoded keys that callbacks named, one for each distinct id, in order of id.
    pub(crate) fn keys(&self) -> Vec<String> {
        let messages = self.messages.lock().unwrap();
        messages.values().map(|(body, _)| key_of(body)).collect()
    }

    pub(crate) fn bodies(&self) -> Vec<serde_json::Value> {
        let messages = self.messages.lock().unwrap();
        messages.values().map(|(body, _)| body.clone()).collect()
    }

    /// Waits until `enough` says so of the keys.
    pub(crate) async fn wait(&self, patience: Duration, enough: impl Fn(&[String]) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if enough(&self.keys()) {
                    return;
                }
                changed.await;
            }
        };
        let in_time = tokio::time::timeout(patience, waiting).await.is_ok();
        assert!(
            in_time,
            "callbacks are missing; these came: {:?}",
            self.keys()
        );
        let faults = self.faults.lock().unwrap();
        assert!(faults.is_empty(), "{faults:?}");
    }

    fn take(&self, headers: &http::HeaderMap, body: &[u8]) -> http::StatusCode {
        if let Err(error) = Webhook::new(SECRET).unwrap().verify(body, headers) {
            self.faults
                .lock()
                .unwrap()
                .push(format!("not verified: {error}: {headers:?}"));
            return http::StatusCode::UNAUTHORIZED;
        }
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        let mut messages = self.messages.lock().unwrap();
        let entry = messages
            .entry(id.clone())
            .or_insert_with(|| (body.clone(), 0));
        if entry.0 != body {
            self.faults
                .lock()
                .unwrap()
                .push(format!("{id} came with two bodies"));
        }
        entry.1 += 1;
        self.changed.notify_waiters();
        http::StatusCode::NO_CONTENT
    }
}

/// The key that an S3 event names, decoded from its form encoding; a test event names none.
fn key_of(body: &serde_json::Value) -> String {
    let raw = body["Records"][0]["s3"]["object"]["key"].as_str();
    let raw = raw.unwrap_or_default();
    let mut bytes = Vec::new();
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// A receiver that lives until it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    tasks: JoinSet<()>,
}

impl Receiver {
    /// Port 0 takes a free one; `first_fails` requests are answered 500.
    pub(crate) async fn start(address: &str, inbox: Arc<Inbox>, first_fails: u32) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, inbox, first_fails));
        Self { address, tasks }
    }

    /// Dies: the port refuses from now on.
    pub(crate) async fn die(mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) fn configuration(&self, bucket: &str) -> String {
        format!(
            "[[callback.endpoint]]\nname = \"app\"\nurl = \"http://{}/hooks\"\n\
             secrets = [\"{SECRET}\"]\n\n[[callback.rule]]\nendpoint = \"app\"\n\
             bucket = \"{bucket}\"\nevents = [\"s3:ObjectCreated:*\"]\n",
            self.address
        )
    }
}

async fn serve(listener: TcpListener, inbox: Arc<Inbox>, first_fails: u32) {
    let failing = Arc::new(Mutex::new(first_fails));
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let inbox = Arc::clone(&inbox);
        let failing = Arc::clone(&failing);
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let inbox = Arc::clone(&inbox);
            let failing = Arc::clone(&failing);
            async move {
                let (head, body) = request.into_parts();
                let status = match body.collect().await {
                    Err(_) => http::StatusCode::BAD_REQUEST,
                    Ok(_) if fails(&failing) => http::StatusCode::INTERNAL_SERVER_ERROR,
                    Ok(body) => inbox.take(&head.headers, &body.to_bytes()),
                };
                let mut answer = http::Response::new(Full::new(Bytes::new()));
                *answer.status_mut() = status;
                Ok::<_, Infallible>(answer)
            }
        });
        connections.spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            // A server that is killed in the middle of a delivery is part of the test.
            http.serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

fn fails(left: &Mutex<u32>) -> bool {
    let mut left = left.lock().unwrap();
    let fails = *left > 0;
    *left = left.saturating_sub(1);
    fails
}
