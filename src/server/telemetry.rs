//! Sends finished spans to a collector, beside all requests: a collector that is down costs spans alone.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Background, StartError};
use crate::callback::Callbacks;
use crate::config::TelemetrySettings;
use crate::metrics::Spans;
use crate::trace::{Finished, Tracer, TracerSettings, otlp};

/// Spans of one request to the collector.
const BATCH_MAX: usize = 512;
/// How long a first span waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long the collector may take.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(10);
/// The same once the server stops.
const LAST_TIME_MAX: Duration = Duration::from_secs(1);

/// The way to a collector.
#[derive(Debug)]
struct Exporter {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
    service: String,
    counts: Spans,
}

/// What traces requests and the calls that they lead to, where a collector is configured.
///
/// # Errors
/// [`StartError::Telemetry`] where a header can't be sent.
pub(super) fn start(
    settings: &TelemetrySettings,
    Background { tasks, stop, .. }: &Background,
    callbacks: &Callbacks,
) -> Result<(Option<Arc<Tracer>>, Spans), StartError> {
    let counts = Spans::default();
    let Some(endpoint) = &settings.otlp_endpoint else {
        return Ok((None, counts));
    };
    // It fails only where a provider is installed already, which serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("consign/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| StartError::Telemetry(error.to_string()))?;
    let exporter = Exporter {
        client,
        url: format!("{}/v1/traces", endpoint.trim_end_matches('/')),
        headers: headers(&settings.headers)?,
        service: settings.service_name.clone(),
        counts: counts.clone(),
    };
    let (tracer, finished) = Tracer::new(tracer_of(settings), counts.clone());
    tasks.spawn(exporter.run(finished, stop.clone()));
    callbacks.trace_by(Arc::clone(&tracer));
    Ok((Some(tracer), counts))
}

/// Which requests are traced.
pub(super) const fn tracer_of(settings: &TelemetrySettings) -> TracerSettings {
    TracerSettings {
        sampling_ratio: settings.sampling_ratio,
        honours_parents: settings.honour_traceparent,
        names_keys: settings.keys,
    }
}

fn headers(configured: &[(String, String)]) -> Result<HeaderMap, StartError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in configured {
        let wrong = || StartError::Telemetry(format!("\"{name}\" can't be sent as a header"));
        let header: HeaderName = name.parse().map_err(|_invalid| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_invalid| wrong())?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

impl Exporter {
    async fn run(self, mut finished: mpsc::Receiver<Finished>, stop: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                received = finished.recv_many(&mut batch, BATCH_MAX) => if received == 0 { return },
            }
            let more = async {
                while batch.len() < BATCH_MAX {
                    let room = BATCH_MAX.saturating_sub(batch.len());
                    if finished.recv_many(&mut batch, room).await == 0 {
                        return;
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                _either = tokio::time::timeout(GATHER, more) => {}
            }
            if stop.is_cancelled() {
                break;
            }
            self.export(&batch, EXPORT_TIME_MAX).await;
            batch.clear();
        }
        // What is over by now; requests that are still under way end untold.
        while let Ok(span) = finished.try_recv() {
            batch.push(span);
        }
        for some in batch.chunks(BATCH_MAX) {
            self.export(some, LAST_TIME_MAX).await;
        }
    }

    /// Sends these once: what is not taken is lost, so that nothing piles up.
    async fn export(&self, spans: &[Finished], time: Duration) {
        let request = self
            .client
            .post(&self.url)
            .headers(self.headers.clone())
            .timeout(time)
            .body(otlp::encode(&self.service, spans));
        let answered = request.send().await.map(|answer| answer.status());
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        match answered {
            Ok(status) if status.is_success() => self.counts.exported(count),
            refused => {
                let why = refused.map_or_else(
                    |error| error.without_url().to_string(),
                    |status| format!("it answered {status}"),
                );
                self.counts.dropped(count);
                tracing::debug!(count, why, "the collector did not take spans");
            }
        }
    }
}
