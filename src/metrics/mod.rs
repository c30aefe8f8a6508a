//! What is measured, for Prometheus.
//!
//! Each layer holds the counters of its own area (`Requests`, `Commits`, …) by typed handles: nothing
//! is looked up where it counts. What need not be counted is read when it is asked for: a
//! [`Reading`]. Labels are names of ours or of the configuration's, never a client's, so that nobody
//! can make series without end.

mod area;
mod reading;
mod requests;

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

pub use area::{Commits, Connections, Deliveries, Delivery, Open, Records, Spans};
pub use reading::Reading;
pub use requests::{Answered, Requests, Running};

/// What every name begins with, those of the process apart.
const PREFIX: &str = "consign";

/// The counters of one area.
pub trait Area {
    /// Makes them known under their names.
    fn register(&self, registry: &mut Registry);
}

/// In which form numbers are told.
///
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own text.
    Text,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Format {
    /// The best of those that `accept`, the header of a request, names.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All areas.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Those of these areas.
    pub fn of(areas: &[&dyn Area]) -> Self {
        let mut registry = Registry::default();
        for area in areas {
            area.register(registry.sub_registry_with_prefix(PREFIX));
        }
        Self { registry }
    }

    /// Everything that is known now, with these `readings`.
    pub fn text(&self, format: Format, readings: Vec<Reading>) -> String {
        let mut more = Registry::default();
        more.register_collector(Box::new(reading::Readings(readings)));
        let mut told = String::new();
        // Writing to a string can't fail.
        let written = match format {
            Format::Text => prometheus_text::encode(&mut told, &self.registry)
                .and_then(|()| prometheus_text::encode(&mut told, &more)),
            Format::OpenMetrics => text::encode_registry(&mut told, &self.registry)
                .and_then(|()| text::encode(&mut told, &more)),
        };
        debug_assert!(written.is_ok(), "a metric could not be written");
        told
    }
}

/// Buckets of times in seconds: from what memory answers to what nobody waits for.
const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    120.0,
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn both_forms_tell_the_same_numbers() {
        let connections = Connections::default();
        let _open = connections.opened(true);
        let metrics = Metrics::of(&[&connections]);
        let readings = || {
            vec![
                Reading::gauge("process_open_fds", "Open files", 7),
                Reading::counter("consign_x_seconds", "Seconds", 1.5).labelled("kind", "a\"b\n"),
            ]
        };
        let text = metrics.text(Format::Text, readings());
        assert!(
            text.contains("\nconsign_connections_accepted_total 1\n"),
            "{text}"
        );
        assert!(text.contains("\nprocess_open_fds 7.0\n"), "{text}");
        let labelled = "\nconsign_x_seconds_total{kind=\"a\\\"b\\n\"} 1.5\n";
        assert!(text.contains(labelled), "{text}");
        let open = metrics.text(Format::OpenMetrics, readings());
        assert!(open.contains("\nconsign_connections_open 1\n"), "{open}");
        assert!(open.contains(labelled), "{open}");
        assert!(open.ends_with("\n# EOF\n"), "{open}");
        assert_eq!(open.matches("# EOF").count(), 1);
    }

    #[test]
    fn who_asks_for_openmetrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Text);
        assert_eq!(Format::accepted(""), Format::Text);
    }

    #[test]
    fn a_request_is_counted_from_its_head_to_the_end_of_its_answer() {
        let requests = Requests::new(["PutObject".to_owned(), "Unknown".to_owned()]);
        let told = |requests: &Requests| Metrics::of(&[requests]).text(Format::Text, Vec::new());
        let mut running = requests.begin();
        assert!(told(&requests).contains("consign_requests_in_flight 1\n"));
        running.answered(&Answered {
            operation: 0,
            status: 503,
            code: Some("SlowDown"),
            received: 10,
            due: 5,
        });
        running.sent(3);
        drop(running);
        let text = told(&requests);
        for line in [
            "consign_requests_in_flight 0",
            "consign_requests_total{operation=\"PutObject\",outcome=\"server_error\"} 1",
            "consign_requests_total{operation=\"PutObject\",outcome=\"success\"} 0",
            "consign_request_errors_total{operation=\"PutObject\",code=\"SlowDown\"} 1",
            "consign_request_bytes_total{operation=\"PutObject\"} 10",
            "consign_response_bytes_total{operation=\"PutObject\"} 3",
            "consign_responses_cut_total{operation=\"PutObject\"} 1",
            "consign_request_first_byte_seconds_count{operation=\"PutObject\"} 1",
            "consign_request_seconds_count{operation=\"PutObject\"} 1",
            "consign_requests_abandoned_total 0",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
        }
        assert!(!text.contains("Unknown"), "{text}");
        drop(requests.begin());
        assert!(told(&requests).contains("consign_requests_abandoned_total 1\n"));
    }

    #[test]
    fn a_refused_signature_is_counted_by_its_reason() {
        let requests = Requests::new(["GetObject".to_owned()]);
        let mut running = requests.begin();
        let answered = |code| Answered {
            operation: 0,
            status: 403,
            code: Some(code),
            received: 0,
            due: 0,
        };
        running.answered(&answered("SignatureDoesNotMatch"));
        requests.begin().answered(&answered("NoSuchKey"));
        let text = Metrics::of(&[&*requests]).text(Format::Text, Vec::new());
        let counted = "consign_auth_failures_total{reason=\"SignatureDoesNotMatch\"} 1\n";
        assert!(text.contains(counted), "{text}");
        assert_eq!(text.matches("auth_failures_total{").count(), 1, "{text}");
    }

    #[test]
    fn a_commit_is_counted_alone_and_in_its_group() {
        let commits = Commits::default();
        commits.group(3, Duration::from_millis(2));
        commits.batch(Duration::from_millis(4));
        let text = Metrics::of(&[&commits]).text(Format::Text, Vec::new());
        assert!(text.contains("consign_meta_group_batches_sum 3"), "{text}");
        assert!(
            text.contains("consign_meta_sync_seconds_bucket{le=\"0.0025\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("consign_meta_commit_seconds_count 1"),
            "{text}"
        );
    }
}
