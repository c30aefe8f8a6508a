//! An app server whose answers a test writes, and what a test asks of Consign beside it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::PATIENCE;
use crate::raw::wire::{Answer, Ask, Signer};
use crate::receiver::SECRET;
use crate::support::Server;

/// What a test's app server answers.
#[derive(Debug, Clone)]
pub(super) enum Say {
    /// This status, with JSON.
    Json(u16, String),
    /// This status, content type and body.
    Other(u16, &'static str, Vec<u8>),
    /// A redirect to there.
    Elsewhere(String),
    /// Never anything.
    Never,
}

pub(super) fn json(text: &str) -> Say {
    Say::Json(200, text.to_owned())
}

/// One call that came, verified.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) body: Value,
}

impl Call {
    fn record(&self) -> &Value {
        &self.body["Records"][0]
    }

    /// The event's name, of whichever kind.
    pub(super) fn event(&self) -> String {
        let name = self.record()["eventName"].as_str();
        let name = name.or_else(|| self.body["event"].as_str());
        name.unwrap_or_default().to_owned()
    }

    pub(super) fn key(&self) -> String {
        let key = self.record()["s3"]["object"]["key"].as_str();
        let key = key.or_else(|| self.body["key"].as_str());
        key.unwrap_or_default().to_owned()
    }

    pub(super) fn object(&self) -> &Value {
        &self.record()["s3"]["object"]
    }

    /// The message that it takes back.
    pub(super) fn withdraws(&self) -> Option<&str> {
        self.record()["consign"]["withdraws"].as_str()
    }
}

type Script = Arc<dyn Fn(Call) -> BoxFuture<'static, Say> + Send + Sync>;

/// What came, which outlives the app server.
#[derive(Debug, Default)]
pub(super) struct Heard {
    calls: Mutex<Vec<Call>>,
    changed: Notify,
}

impl Heard {
    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    pub(super) fn events(&self) -> Vec<String> {
        self.calls().iter().map(Call::event).collect()
    }

    /// The calls, once `enough` says so of them.
    pub(super) async fn wait(&self, enough: impl Fn(&[Call]) -> bool) -> Vec<Call> {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                let calls = self.calls();
                if enough(&calls) {
                    return calls;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_late| panic!("calls are missing; these came: {:?}", self.calls()))
    }
}

/// An app server that lives until it is dropped.
#[derive(Debug)]
pub(super) struct App {
    pub(super) address: SocketAddr,
    pub(super) heard: Arc<Heard>,
    tasks: JoinSet<()>,
}

impl App {
    /// One that answers at once.
    pub(super) async fn start(script: impl Fn(&Call) -> Say + Send + Sync + 'static) -> Self {
        let script: Script = Arc::new(move |call| {
            let say = script(&call);
            Box::pin(async move { say })
        });
        Self::at("127.0.0.1:0", Arc::default(), script).await
    }

    pub(super) async fn at(address: &str, heard: Arc<Heard>, script: Script) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&heard), script));
        Self {
            address,
            heard,
            tasks,
        }
    }

    /// Dies: the port refuses from now on.
    pub(super) async fn die(mut self) {
        self.tasks.shutdown().await;
    }

    /// The endpoint `app` with these settings of its own, and what follows it.
    pub(super) fn configuration(&self, settings: &str, rest: &str) -> String {
        format!(
            "[[callback.endpoint]]\nname = \"app\"\nurl = \"http://{}/hooks\"\n\
             secrets = [\"{SECRET}\"]\n{settings}\n{rest}\n",
            self.address
        )
    }

    /// A rule by which the uploaders to `raw` wait.
    pub(super) fn sync(&self, settings: &str) -> String {
        let rule = "[[callback.rule]]\nendpoint = \"app\"\nbucket = \"raw\"\nmode = \"sync\"\n";
        self.configuration("", &format!("{rule}{settings}"))
    }
}

async fn serve(listener: TcpListener, heard: Arc<Heard>, script: Script) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (heard, script) = (Arc::clone(&heard), Arc::clone(&script));
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let (heard, script) = (Arc::clone(&heard), Arc::clone(&script));
            async move { Ok::<_, Infallible>(answer(request, &heard, &script).await) }
        });
        connections.spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            // A server that is killed in the middle of a call is part of the test.
            http.serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

async fn answer(
    request: http::Request<Incoming>,
    heard: &Heard,
    script: &Script,
) -> http::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers[name].to_str().unwrap().to_owned();
    let body = body.collect().await.unwrap().to_bytes();
    let webhook = Webhook::new(SECRET).unwrap();
    webhook.verify(&body, &head.headers).unwrap();
    let call = Call {
        id: header("webhook-id"),
        attempt: header("consign-attempt").parse().unwrap(),
        body: serde_json::from_slice(&body).unwrap(),
    };
    heard.calls.lock().unwrap().push(call.clone());
    heard.changed.notify_waiters();
    let response = http::Response::builder();
    let response = match script(call).await {
        Say::Json(status, text) => response
            .status(status)
            .header("content-type", "application/json")
            .body(text.into()),
        Say::Other(status, kind, body) => response
            .status(status)
            .header("content-type", kind)
            .body(body.into()),
        Say::Elsewhere(to) => response
            .status(302)
            .header("location", to)
            .body(Full::default()),
        Say::Never => std::future::pending().await,
    };
    response.unwrap()
}

/// A server with the bucket `raw` and this configuration.
pub(super) async fn server(configuration: &str) -> Server {
    let server = Server::start_with(configuration).await;
    let client = server.client();
    client.create_bucket().bucket("raw").send().await.unwrap();
    server
}

/// An upload as somebody sends it who was given a URL.
pub(super) fn put(server: &Server, key: &str, body: &[u8]) -> Ask {
    let ask = Ask::new(server, "PUT", &format!("/raw/{key}"));
    ask.presigned(&Signer::now(), "600").body(body)
}

pub(super) async fn sent(server: &Server, key: &str, body: &[u8]) -> Answer {
    put(server, key, body).send(server).await
}

/// The object's bytes; none where there is no object.
pub(super) async fn stored(server: &Server, key: &str) -> Option<Vec<u8>> {
    let got = server.client().get_object().bucket("raw").key(key);
    let got = got.send().await.ok()?;
    Some(got.body.collect().await.unwrap().to_vec())
}

/// What a command tells in JSON.
pub(super) fn told(server: &Server, line: &str) -> Value {
    let mut arguments: Vec<_> = line.split(' ').collect();
    arguments.push("--json");
    let output = server.command(&arguments);
    assert!(output.status.success(), "{line}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// That nothing of the store is damaged, and that nothing is left over.
pub(super) fn sound(server: &Server) {
    let report = told(server, "fsck --read-blobs");
    assert_eq!(report["findings"], serde_json::json!([]), "{report}");
    assert_eq!(report["leftover_files"], 0, "{report}");
}
