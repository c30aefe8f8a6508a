//! Signed requests to an S3, ours or another.
//!
//! A URL library takes `..` in a key for a step upwards, so a plain connection is spoken to as it
//! is. Under TLS, keys with such parts are refused.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::sidecar::failed;
use crate::auth::Secret;
use crate::auth::presign::{Signer, Target, sign_header};
use crate::auth::sigv4::sha256_hex;
use crate::cli::CliError;
use crate::clock::{Clock as _, SystemClock};
use crate::config::RootKey;

/// How often a request is tried that fails for no reason of its own.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(300);

/// A bucket somewhere.
pub(super) struct Wire {
    endpoint: String,
    region: String,
    access_key: String,
    secret: Secret,
    bucket: String,
    tls: Option<reqwest::Client>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    drivers: Mutex<JoinSet<()>>,
}

/// A request to the bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Empty: the bucket itself.
    pub(super) key: &'a str,
    pub(super) query: Vec<(&'a str, &'a str)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An answer whose body is still to be read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Body,
}

enum Body {
    Plain(Incoming),
    Tls(reqwest::Response),
}

impl Answer {
    /// The next bytes.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, CliError> {
        match &mut self.body {
            Body::Tls(response) => response.chunk().await.map_err(failed),
            Body::Plain(body) => loop {
                let Some(frame) = body.frame().await else {
                    return Ok(None);
                };
                if let Ok(bytes) = frame.map_err(failed)?.into_data() {
                    return Ok(Some(bytes));
                }
            },
        }
    }

    /// All of a small body.
    pub(super) async fn all(mut self) -> Result<Vec<u8>, CliError> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

impl Wire {
    pub(super) fn new(
        (endpoint, tls): (&str, Option<reqwest::Client>),
        region: &str,
        key: &RootKey,
        bucket: &str,
    ) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            access_key: key.access_key.clone(),
            secret: Secret::new(key.secret_key.as_str()),
            bucket: bucket.to_owned(),
            tls,
            idle: Mutex::default(),
            drivers: Mutex::default(),
        }
    }

    /// Sends a request until it succeeds or is refused; an answer that is no success is an error,
    /// but for 404.
    pub(super) async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, CliError> {
        let mut last = None;
        for again in 0..TRIES {
            tokio::time::sleep(PAUSE.saturating_mul(again)).await;
            match self.send(ask).await {
                Ok(answer) if answer.status.is_server_error() => {
                    last = Some(refusal(answer).await);
                }
                Ok(answer) if answer.status.is_success() || answer.status == 404 => {
                    return Ok(answer);
                }
                Ok(answer) => return Err(refusal(answer).await),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| CliError::Usage("no try was made".to_owned())))
    }

    async fn send(&self, ask: &Ask<'_>) -> Result<Answer, CliError> {
        let path = match ask.key {
            "" => format!("/{}", self.bucket),
            key => format!("/{}/{key}", self.bucket),
        };
        let target = Target {
            method: ask.method.as_str(),
            endpoint: &self.endpoint,
            path: &path,
            query: &ask.query,
        };
        let signer = Signer {
            access_key: &self.access_key,
            secret: &self.secret,
            region: &self.region,
        };
        let mut headers = ask.headers.clone();
        let now = SystemClock.now();
        sign_header(&signer, &target, &mut headers, &sha256_hex(&ask.body), now);
        let (raw, query) = (target.raw_path(), target.raw_query());
        let url = if query.is_empty() {
            raw
        } else {
            format!("{raw}?{query}")
        };
        match &self.tls {
            Some(client) => self.send_tls(client, ask, &url, headers).await,
            None => {
                self.send_plain(ask, &url, headers, target.authority())
                    .await
            }
        }
    }

    async fn send_tls(
        &self,
        client: &reqwest::Client,
        ask: &Ask<'_>,
        url: &str,
        headers: HeaderMap,
    ) -> Result<Answer, CliError> {
        if ask.key.split('/').any(|part| matches!(part, "." | "..")) {
            let text = format!(
                "{:?} can't be asked for under TLS: its key has a part \"..\"",
                ask.key
            );
            return Err(CliError::Usage(text));
        }
        let request = client.request(ask.method.clone(), format!("{}{url}", self.endpoint));
        let sent = request.headers(headers).body(ask.body.clone()).send();
        let response = sent.await.map_err(failed)?;
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: Body::Tls(response),
        })
    }

    async fn send_plain(
        &self,
        ask: &Ask<'_>,
        url: &str,
        headers: HeaderMap,
        authority: &str,
    ) -> Result<Answer, CliError> {
        let mut request = Request::builder().method(&ask.method).uri(url);
        request = request.header("host", authority);
        request = request.header("content-length", ask.body.len());
        for (name, value) in &headers {
            if name != "host" {
                request = request.header(name, value);
            }
        }
        let request = request.body(Full::new(ask.body.clone())).map_err(failed)?;
        let mut sender = self.connection(authority).await?;
        let response = sender.send_request(request).await.map_err(failed)?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: Body::Plain(body),
        })
    }

    /// A connection that waits for a request, or a new one.
    async fn connection(&self, authority: &str) -> Result<SendRequest<Full<Bytes>>, CliError> {
        {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|one| !one.is_closed());
            if let Some(at) = idle.iter().position(SendRequest::is_ready) {
                return Ok(idle.swap_remove(at));
            }
        }
        let address = if authority.contains(':') {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
        self.drivers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spawn(async move {
                // A fault of the connection shows as the fault of its request.
                drop(connection.await);
            });
        sender.ready().await.map_err(failed)?;
        Ok(sender)
    }
}

/// What an answer that is no success says.
async fn refusal(answer: Answer) -> CliError {
    let status = answer.status;
    let body = answer.all().await.unwrap_or_default();
    let said = crate::s3::xml::parse_any(&body).ok();
    let text = |name| {
        said.as_ref()
            .and_then(|node| node.text_of(name))
            .unwrap_or_default()
    };
    CliError::Usage(format!("{status} {} {}", text("Code"), text("Message")))
}
