//! `consign listen`: a receiver of callbacks, for who writes one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{CliError, Common, block_on, text};
use crate::callback::{Secret, Signed, Verifier};
use crate::clock::{Clock as _, SystemClock};

/// Bytes of a callback's body that are taken: Consign sends a few thousand.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// Ids whose repetitions are counted, where the sender does not count attempts.
const IDS_MAX: usize = 100_000;

/// Receive callbacks here, verify them and show them: for developing an app
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    consign listen                                    with the secrets of ./consign.toml\n  \
    consign listen --secret whsec_… --status 503      a receiver that fails: watch the retries\n  \
    consign listen --answer '{\"id\": 7}'               answers as a synchronous callback's receiver\n  \
    consign listen --forward http://127.0.0.1:3000/hooks")]
pub(super) struct ListenArgs {
    #[command(flatten)]
    common: Common,
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The address
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// A secret to verify with, instead of those of the configuration's endpoints; may be repeated
    #[arg(long = "secret", value_name = "whsec_…")]
    secrets: Vec<String>,
    /// What to answer a verified callback with [default: 204, or 200 with --answer]
    #[arg(long, value_parser = clap::value_parser!(u16).range(200..=599))]
    status: Option<u16>,
    /// A JSON text, or a file that holds one, to answer with: what the uploader of a synchronous
    /// callback gets, or what a check before an upload decides
    #[arg(long, value_name = "JSON|FILE")]
    answer: Option<String>,
    /// Pass what is verified on to this address, and its answer back
    #[arg(long, value_name = "URL", conflicts_with_all = ["status", "answer"])]
    forward: Option<String>,
    /// Show each body whole
    #[arg(long)]
    body: bool,
    /// End after so many callbacks
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
}

/// What a receiver does with what comes.
struct Receiver {
    verifier: Option<Verifier>,
    status: StatusCode,
    answer: Option<Bytes>,
    forward: Option<(reqwest::Client, String)>,
    shows_body: bool,
    seen: Mutex<HashMap<String, u64>>,
    taken: watch::Sender<u64>,
}

pub(super) fn run(args: &ListenArgs) -> Result<ExitCode, CliError> {
    let receiver = Arc::new(receiver(args)?);
    let address = SocketAddr::new(args.address, args.port);
    block_on(listen(receiver, address, args.count))
}

fn receiver(args: &ListenArgs) -> Result<Receiver, CliError> {
    let answer = args.answer.as_deref().map(answer).transpose()?;
    let usual = if answer.is_some() { 200 } else { 204 };
    let status = args.status.unwrap_or(usual);
    let status =
        StatusCode::from_u16(status).map_err(|error| CliError::Usage(error.to_string()))?;
    let forward = args.forward.clone().map(|url| {
        // It fails only where a provider is installed already, which serves as well.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build();
        client.map(|client| (client, url))
    });
    let forward = forward.transpose();
    Ok(Receiver {
        verifier: verifier(args)?,
        status,
        answer,
        forward: forward.map_err(|error| CliError::Usage(error.to_string()))?,
        shows_body: args.body,
        seen: Mutex::default(),
        taken: watch::Sender::new(0),
    })
}

/// A verifier with the secrets that were given, or else with those of every configured endpoint.
fn verifier(args: &ListenArgs) -> Result<Option<Verifier>, CliError> {
    let secrets = if args.secrets.is_empty() {
        let config = args.common.load()?;
        let endpoints = config.callback.endpoints.into_iter();
        endpoints
            .flat_map(|endpoint| endpoint.secrets)
            .map(|secret| secret.to_string())
            .collect()
    } else {
        args.secrets.clone()
    };
    if secrets.is_empty() {
        return Ok(None);
    }
    let secrets: Vec<_> = secrets.into_iter().map(Secret::new).collect();
    let verifier = Verifier::new("consign listen", &secrets);
    let bad = "--secret takes \"whsec_\" and base64 of 24 to 64 random bytes";
    verifier
        .map(Some)
        .map_err(|_bad| CliError::Usage(bad.to_owned()))
}

/// A JSON text, or what the file of that name holds.
fn answer(given: &str) -> Result<Bytes, CliError> {
    let is_json = |text: &str| serde_json::from_str::<Value>(text).is_ok();
    if is_json(given) {
        return Ok(given.to_owned().into());
    }
    let text = std::fs::read_to_string(given)
        .map_err(|error| CliError::Usage(format!("--answer is no JSON, and no file: {error}")))?;
    if is_json(&text) {
        return Ok(text.into());
    }
    Err(CliError::Usage(format!("{given} does not hold JSON")))
}

async fn listen(
    receiver: Arc<Receiver>,
    address: SocketAddr,
    count: Option<u64>,
) -> Result<ExitCode, CliError> {
    let listener = TcpListener::bind(address).await?;
    println!("Listening on http://{}/", listener.local_addr()?);
    if receiver.verifier.is_none() {
        println!("No secret is known, so nothing is verified: give --secret, or --config FILE.");
    }
    let mut taken = receiver.taken.subscribe();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                let (stream, _peer) = accepted?;
                connections.spawn(serve(Arc::clone(&receiver), stream));
            }
            Some(_ended) = connections.join_next() => {}
            Ok(_) = taken.wait_for(|taken| count.is_some_and(|count| *taken >= count)) => {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

async fn serve(receiver: Arc<Receiver>, stream: tokio::net::TcpStream) {
    let counted = Arc::clone(&receiver);
    let service = hyper::service::service_fn(move |request| {
        let receiver = Arc::clone(&receiver);
        async move { Ok::<_, Infallible>(receiver.take(request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    // One callback each: who waits for the last one ends once its answer is out.
    http.keep_alive(false);
    let served = http.serve_connection(TokioIo::new(stream), service).await;
    if served.is_ok() {
        let taken = &counted.taken;
        taken.send_modify(|taken| *taken = taken.saturating_add(1));
    }
}

impl Receiver {
    async fn take(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            println!("{}  a body that is too long, or broke off", now());
            return plain(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let body = body.to_bytes();
        let verdict = self.verdict(&head.headers, &body);
        let response = match &verdict {
            Ok(_word) => self.respond(&head.headers, &body).await,
            Err(_why) => plain(StatusCode::UNAUTHORIZED),
        };
        let status = response.status().as_u16();
        println!("{}", self.line(&head.headers, &body, &verdict, status));
        if self.shows_body {
            match serde_json::from_slice::<Value>(&body) {
                Ok(json) => println!("{json:#}"),
                Err(_none) => println!("{}", String::from_utf8_lossy(&body)),
            }
        }
        response
    }

    /// Whether the callback is what it says, in words.
    fn verdict(&self, headers: &HeaderMap, body: &[u8]) -> Result<&'static str, String> {
        let Some(verifier) = &self.verifier else {
            return Ok("NOT VERIFIED: no secret is known");
        };
        let signed = Signed {
            id: header(headers, "webhook-id"),
            timestamp: header(headers, "webhook-timestamp"),
            signature: header(headers, "webhook-signature"),
        };
        let verified = verifier.verify(signed, body, SystemClock.now());
        verified.map(|()| "verified").map_err(|why| why.to_string())
    }

    async fn respond(&self, headers: &HeaderMap, body: &Bytes) -> Response<Full<Bytes>> {
        if let Some((client, url)) = &self.forward {
            return forward(client, url, headers, body.clone()).await;
        }
        let mut response = plain(self.status);
        if let Some(answer) = &self.answer {
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            *response.body_mut() = Full::new(answer.clone());
        }
        response
    }

    /// One callback in one line.
    fn line(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        verdict: &Result<&'static str, String>,
        status: u16,
    ) -> String {
        let id = header(headers, "webhook-id").unwrap_or("no id");
        let attempt = match header(headers, "consign-attempt") {
            Some(attempt) => attempt.to_owned(),
            None => self.times(id).to_string(),
        };
        let verdict = match verdict {
            Ok(word) => (*word).to_owned(),
            Err(why) => format!("NOT VERIFIED: {why}"),
        };
        let what = describe(body);
        format!(
            "{}  {what}  {id} attempt {attempt}  {verdict}  -> {status}",
            now()
        )
    }

    /// How often that id came, this time included.
    fn times(&self, id: &str) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= IDS_MAX {
            seen.clear();
        }
        let times = seen.entry(id.to_owned()).or_default();
        *times = times.saturating_add(1);
        *times
    }
}

/// Passes a callback on as it came, and its answer back.
async fn forward(
    client: &reqwest::Client,
    url: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response<Full<Bytes>> {
    let mut request = client.post(url).body(body);
    for (name, value) in headers {
        let name = name.as_str();
        if name.starts_with("webhook-") || name.starts_with("consign-") || name == "content-type" {
            request = request.header(name, value);
        }
    }
    let answered = async {
        let answer = request.send().await?;
        let (status, kind) = (answer.status(), answer.headers().get(CONTENT_TYPE).cloned());
        Ok::<_, reqwest::Error>((status, kind, answer.bytes().await?))
    };
    match answered.await {
        Ok((status, kind, body)) => {
            let mut response = Response::new(Full::new(body));
            *response.status_mut() = status;
            response
                .headers_mut()
                .extend(kind.map(|kind| (CONTENT_TYPE, kind)));
            response
        }
        Err(error) => {
            println!("{}  could not forward: {error}", now());
            plain(StatusCode::BAD_GATEWAY)
        }
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn now() -> String {
    SystemClock.now().iso8601_s()
}

/// What a callback says has happened.
fn describe(body: &[u8]) -> String {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return format!("{} bytes that are no JSON", body.len());
    };
    let Some(record) = json.pointer("/Records/0") else {
        let event = [text(&json, "Event"), text(&json, "event")].concat();
        let bucket = [text(&json, "Bucket"), text(&json, "bucket")].concat();
        let key = text(&json, "key");
        let slash = if key.is_empty() { "" } else { "/" };
        return format!("{event}  {bucket}{slash}{key}");
    };
    let at = |path: &str| record.pointer(path).and_then(Value::as_str);
    let bucket = at("/s3/bucket/name").unwrap_or_default();
    let key = at("/s3/object/key").map(decoded).unwrap_or_default();
    let size = record.pointer("/s3/object/size").and_then(Value::as_u64);
    let size = size.map_or_else(String::new, |size| format!("  {size} bytes"));
    let event = text(record, "eventName");
    format!("{event}  {bucket}/{key}{size}")
}

/// A key as it was before S3's form encoding, with nothing in it that a terminal obeys.
fn decoded(key: &str) -> String {
    let bytes = crate::auth::canonical::decode(key, true);
    let text = String::from_utf8_lossy(&bytes);
    let shown = |one: char| if one.is_control() { '\u{fffd}' } else { one };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_described_in_words() {
        let record = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},
            "object":{"key":"a+b%2F%1B%C3%BC","size":5}}}]}"#;
        for (body, said) in [
            (record, "ObjectCreated:Put  b/a b/\u{fffd}ü  5 bytes"),
            (
                r#"{"Event":"s3:TestEvent","Bucket":"b"}"#,
                "s3:TestEvent  b",
            ),
            (
                r#"{"event":"consign:CheckUpload","bucket":"b","key":"k"}"#,
                "consign:CheckUpload  b/k",
            ),
            ("x", "1 bytes that are no JSON"),
        ] {
            assert_eq!(describe(body.as_bytes()), said);
        }
    }

    #[test]
    fn an_answer_is_json_or_a_file_of_it() {
        assert_eq!(answer("{\"a\": 1}").unwrap(), "{\"a\": 1}");
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
        std::fs::write(&good, "[1]").unwrap();
        std::fs::write(&bad, "{").unwrap();
        assert_eq!(answer(good.to_str().unwrap()).unwrap(), "[1]");
        assert!(answer(bad.to_str().unwrap()).is_err());
        assert!(answer("no-such-file").is_err());
    }
}
