//! Traces of requests, as a collector gets them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{Server, plain_http};

/// Something that answers every request with 200 and keeps it.
struct Keeper {
    address: SocketAddr,
    kept: Arc<Mutex<Vec<(http::request::Parts, String)>>>,
    _tasks: JoinSet<()>,
}

impl Keeper {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept: Arc<Mutex<Vec<_>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let keep = Arc::clone(&kept);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let keep = Arc::clone(&keep);
                let answer = move |request: http::Request<Incoming>| {
                    let keep = Arc::clone(&keep);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let body = String::from_utf8(body.to_vec()).unwrap();
                        keep.lock().unwrap().push((head, body));
                        let answer = http::Response::new(Full::new(bytes::Bytes::from("{}")));
                        Ok::<_, Infallible>(answer)
                    }
                };
                connections.spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    let service = hyper::service::service_fn(answer);
                    http.serve_connection(TokioIo::new(stream), service)
                        .await
                        .ok();
                });
            }
        });
        Self {
            address,
            kept,
            _tasks: tasks,
        }
    }

    /// What was kept, once `enough` says so.
    async fn wait<T>(&self, enough: impl Fn(&[(http::request::Parts, String)]) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = enough(&self.kept.lock().unwrap()) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .unwrap()
    }
}

/// Every span of the bodies.
fn spans(kept: &[(http::request::Parts, String)]) -> Vec<Value> {
    let bodies = kept
        .iter()
        .map(|(_, body)| serde_json::from_str::<Value>(body).unwrap());
    let spans = bodies.flat_map(|body| {
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].clone();
        spans.as_array().unwrap().clone()
    });
    spans.collect()
}

fn attribute<'a>(span: &'a Value, name: &str) -> Option<&'a str> {
    let mut attributes = span["attributes"].as_array().unwrap().iter();
    let value = &attributes.find(|one| one["key"] == name)?["value"];
    value["stringValue"].as_str().or(value["intValue"].as_str())
}

fn configuration(collector: &str, ratio: &str, honours: bool) -> String {
    format!(
        "[telemetry]\notlp_endpoint = \"http://{collector}\"\nheaders = [\"x-tenant=files\"]\n\
         sampling_ratio = {ratio}\nhonour_traceparent = {honours}\n"
    )
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn a_trace_leads_from_the_request_to_its_callback() {
    let (collector, receiver) = (Keeper::start().await, Keeper::start().await);
    let settings = configuration(&collector.address.to_string(), "1.0", false);
    let callbacks = format!(
        "[[callback.endpoint]]\nname = \"app\"\nurl = \"http://{}/\"\n\
         secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwTbBwbVbXvGk=\"]\n\
         [[callback.rule]]\nendpoint = \"app\"\nevents = [\"s3:ObjectCreated:*\"]\n",
        receiver.address
    );
    let server = Server::start_with(&format!("{settings}{callbacks}")).await;
    let client = server.client();
    client
        .create_bucket()
        .bucket("traced")
        .send()
        .await
        .unwrap();
    let body = vec![1; 200_000];
    let put = client
        .put_object()
        .bucket("traced")
        .key("secret-name")
        .body(body.into());
    put.send().await.unwrap();
    let get = client.get_object().bucket("traced").key("none");
    get.send().await.unwrap_err();
    let spans = collector.wait(|kept| {
        let spans = spans(kept);
        let has = |name: &str| spans.iter().any(|span| span["name"] == name);
        (has("callback") && has("GetObject")).then_some(spans)
    });
    let spans = spans.await;
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let put = named("PutObject");
    assert_eq!(put["kind"], 2);
    assert_eq!(put["parentSpanId"], Value::Null);
    assert_eq!(attribute(put, "aws.s3.bucket"), Some("traced"));
    assert_eq!(attribute(put, "http.response.status_code"), Some("200"));
    assert_eq!(
        attribute(named("GetObject"), "error.type"),
        Some("NoSuchKey")
    );
    let of_put = |span: &&Value| span["traceId"] == put["traceId"];
    let within: Vec<_> = spans.iter().filter(of_put).collect();
    for step in [
        "authenticate",
        "authorise",
        "receive",
        "finish the blob",
        "commit",
        "callback",
    ] {
        let step = within
            .iter()
            .find(|span| span["name"] == step)
            .unwrap_or_else(|| panic!("{step}"));
        assert_eq!(step["parentSpanId"], put["spanId"], "{step}");
    }
    let call = within
        .iter()
        .find(|span| span["name"] == "callback")
        .unwrap();
    assert_eq!(attribute(call, "consign.callback.endpoint"), Some("app"));
    // The receiver goes on with it.
    let sent = receiver.wait(|kept| {
        let sent = kept.first()?.0.headers.get("traceparent")?;
        Some(sent.to_str().unwrap().to_owned())
    });
    let (trace, span) = (
        call["traceId"].as_str().unwrap(),
        call["spanId"].as_str().unwrap(),
    );
    assert_eq!(sent.await, format!("00-{trace}-{span}-01"));
    // Keys are told by a setting alone, and what is configured is sent along.
    let kept = collector.kept.lock().unwrap();
    for (head, body) in kept.iter() {
        assert_eq!(
            (head.uri.path(), &head.method),
            ("/v1/traces", &http::Method::POST)
        );
        assert_eq!(head.headers["content-type"], "application/json");
        assert_eq!(head.headers["x-tenant"], "files");
        assert!(!body.contains("secret-name"), "{body}");
    }
}

#[tokio::test]
async fn a_clients_parent_decides_where_it_is_honoured() {
    for honours in [true, false] {
        let collector = Keeper::start().await;
        let settings = configuration(&collector.address.to_string(), "0", honours);
        let mut server = Server::start_with(&settings).await;
        let asked = plain_http().get(format!("{}/traced/a", server.endpoint));
        asked.header("traceparent", PARENT).send().await.unwrap();
        plain_http().get(&server.endpoint).send().await.unwrap();
        // What is over is sent before the end.
        server.ask_to_stop();
        assert!(server.ended().await.success());
        let spans = spans(&collector.kept.lock().unwrap());
        let roots: Vec<_> = spans.iter().filter(|span| span["kind"] == 2).collect();
        assert_eq!(roots.len(), usize::from(honours), "{spans:?}");
        for root in roots {
            assert_eq!(root["traceId"], "0af7651916cd43dd8448eb211c80319c");
            assert_eq!(root["parentSpanId"], "b7ad6b7169203331");
        }
    }
}

#[tokio::test]
async fn a_collector_that_is_down_costs_spans_alone() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let settings = configuration(&address, "1", false) + "[admin]\nlisten = \"127.0.0.1:0\"\n";
    let server = Server::start_with(&settings).await;
    let client = server.client();
    client
        .create_bucket()
        .bucket("traced")
        .send()
        .await
        .unwrap();
    let announced = std::fs::read(server.data_folder().join("server.json")).unwrap();
    let announced: Value = serde_json::from_slice(&announced).unwrap();
    let metrics = format!("{}/metrics", announced["admin"].as_str().unwrap());
    let lost = async {
        loop {
            let told = plain_http()
                .get(&metrics)
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap();
            let lost = told
                .lines()
                .find_map(|line| line.strip_prefix("consign_trace_spans_dropped_total "));
            if lost.unwrap().parse::<f64>().unwrap() > 0.0 {
                return;
            }
            client.list_buckets().send().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), lost)
        .await
        .unwrap();
}
