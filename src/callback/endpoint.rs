//! A receiver, and one signed call of it: the only place that speaks HTTP to one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use tokio::sync::Semaphore;

use super::config::{CallbackError, EndpointConfig};
use super::network::{Reach, Resolver};
use super::sign::Signer;
use crate::clock::Timestamp;
use crate::id::MessageId;
use crate::metrics::Delivery;
use crate::trace::{self, Kind};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Calls under way to one receiver for which somebody waits.
const TURNS: usize = 64;

/// A receiver with what signs calls of it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) config: EndpointConfig,
    signer: Signer,
    client: reqwest::Client,
    reach: Reach,
    /// Those who wait for its answers take turns.
    pub(super) turns: Semaphore,
    pub(super) counts: Delivery,
}

/// What is posted.
#[derive(Debug)]
pub(super) struct Post {
    /// The same over all attempts: a receiver knows by it what it has seen.
    pub(super) id: MessageId,
    /// Which attempt it is, from 1.
    pub(super) attempt: u32,
    /// JSON.
    pub(super) body: String,
    /// When.
    pub(super) at: Timestamp,
    /// How long the whole call may take.
    pub(super) within: Duration,
    /// Of the answer's body so many bytes are read.
    pub(super) answer_bytes_max: usize,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Whether its type is JSON.
    pub(super) is_json: bool,
    /// When the receiver wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Result<Bytes, BodyFault>,
}

/// Why an answer's body is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// It goes on behind what is read of it.
    TooLong,
    /// It broke off, or took too long.
    Broken(String),
}

/// Why nothing came back.
#[derive(Debug)]
pub(super) struct NoAnswer {
    pub(super) error: String,
    /// Whether the receiver may have heard all the same.
    pub(super) maybe_heard: bool,
}

/// The client that all endpoints share: it follows no redirect, so that no receiver can send a
/// call where the operator did not.
///
/// # Errors
/// [`CallbackError::Client`].
pub(super) fn client(
    reach: &Reach,
    authorities: Authorities,
) -> Result<reqwest::Client, CallbackError> {
    client_by(Resolver::new(reach.clone()), authorities)
}

/// Whose word is taken for who a receiver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authorities {
    /// Those that the system trusts: hundreds of files to read.
    System,
    /// Nobody's: TLS is spoken with nobody.
    None,
}

impl Authorities {
    /// Those that calls of these URLs need.
    pub(super) fn of<'a>(mut urls: impl Iterator<Item = &'a str>) -> Self {
        let is_plain = |url: &str| reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "http");
        if urls.all(is_plain) {
            Self::None
        } else {
            Self::System
        }
    }
}

/// [`client`], which asks `resolver` where a name leads. No proxy is used, whatever the environment
/// says: it would resolve names by itself.
pub(super) fn client_by(
    resolver: Resolver,
    authorities: Authorities,
) -> Result<reqwest::Client, CallbackError> {
    // It fails only where a provider is installed already, which serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder = match authorities {
        Authorities::System => reqwest::Client::builder(),
        Authorities::None => reqwest::Client::builder().tls_certs_only([]),
    };
    builder
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(resolver))
        .user_agent(concat!("consign/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| CallbackError::Client(e.to_string()))
}

impl Endpoint {
    /// An endpoint that is called by `client` and counts its calls.
    ///
    /// # Errors
    /// What is wrong with its secrets.
    pub(super) fn new(
        config: &EndpointConfig,
        (client, reach): (&reqwest::Client, &Reach),
        counts: Delivery,
    ) -> Result<Self, CallbackError> {
        Ok(Self {
            config: config.clone(),
            signer: Signer::parse(&config.name, &config.secrets)?,
            client: client.clone(),
            reach: reach.clone(),
            turns: Semaphore::new(TURNS),
            counts,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// Posts once.
    pub(super) async fn post(&self, post: Post) -> Result<Answer, NoAnswer> {
        let begun = tokio::time::Instant::now();
        let mut span = trace::span("callback", Kind::Client);
        span.note("consign.callback.endpoint", self.name());
        let came = self.send(post).await;
        let success = came.as_ref().ok().map(|answer| answer.status.is_success());
        if let Ok(answer) = &came {
            span.note("http.response.status_code", answer.status.as_u16());
        }
        if success != Some(true) {
            span.fail();
        }
        drop(span);
        self.counts.called(begun.elapsed(), success);
        came
    }

    async fn send(&self, post: Post) -> Result<Answer, NoAnswer> {
        let id = format!("msg_{}", post.id);
        let refused = |error: String| NoAnswer {
            error,
            maybe_heard: false,
        };
        let url = reqwest::Url::parse(&self.config.url);
        let url = url.map_err(|error| refused(error.to_string()))?;
        let admitted = self.reach.admits_url(&url);
        admitted.map_err(|fault| refused(fault.to_string()))?;
        let signature = self.signer.sign(&id, post.at, post.body.as_bytes());
        let request = self
            .client
            .post(url)
            .headers(traced())
            .timeout(post.within)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", post.at.unix_s().to_string())
            .header("webhook-signature", signature)
            .header("consign-attempt", post.attempt.to_string())
            .body(post.body);
        let answer = request.send().await.map_err(|error| NoAnswer {
            maybe_heard: !error.is_connect(),
            error: describe(&error.without_url()),
        })?;
        Ok(Answer {
            status: answer.status(),
            is_json: is_json(answer.headers()),
            retry_after: retry_after(answer.headers(), post.at),
            body: read(answer, post.answer_bytes_max).await,
        })
    }
}

/// What lets the receiver go on with the trace, where there is one.
fn traced() -> HeaderMap {
    let parent = trace::carried();
    let parent = parent.and_then(|parent| HeaderValue::from_str(&parent).ok());
    HeaderMap::from_iter(parent.map(|parent| (TRACEPARENT, parent)))
}

async fn read(mut answer: reqwest::Response, bytes_max: usize) -> Result<Bytes, BodyFault> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(None) => return Ok(body.into()),
            Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) > bytes_max => {
                return Err(BodyFault::TooLong);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) => return Err(BodyFault::Broken(describe(&error.without_url()))),
        }
    }
}

/// `application/json`, or a type that is built on it.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next());
    let kind = kind.unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// An error with its causes: reqwest's own text says only that sending failed.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| Some(Timestamp::parse_http_date(text).ok()?.since(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_read_where_a_receiver_speaks_tls() {
        for (urls, authorities) in [
            (&[][..], Authorities::None),
            (&["http://app:8080/hooks"], Authorities::None),
            (&["http://app/", "HTTPS://app/"], Authorities::System),
            (&["no URL"], Authorities::System),
        ] {
            let found = Authorities::of(urls.iter().copied());
            assert_eq!(found, authorities, "{urls:?}");
        }
    }

    #[test]
    fn json_is_known_by_its_type() {
        for (kind, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("text/json", false),
            ("text/html", false),
            ("application/jsonp", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
            assert_eq!(is_json(&headers), json, "{kind}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
