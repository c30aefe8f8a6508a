//! The requests, by what they ask for.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Area, SECONDS};

type Times = Family<Asked, Histogram, fn() -> Histogram>;

/// S3's codes for who can't prove to be who they say, or come too late.
const AUTH_FAILURES: &[&str] = &[
    "AuthorizationHeaderMalformed",
    "AuthorizationQueryParametersError",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingSecurityHeader",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "AccessDenied",
];

/// What all requests count into.
#[derive(Debug)]
pub struct Requests {
    /// By index; a row's handles are made when the first request of its kind is answered.
    operations: Box<[(String, OnceLock<Handles>)]>,
    in_flight: Gauge,
    abandoned: Counter,
    turned_away: Counter,
    broken: Counter,
    answered: Family<Ended, Counter>,
    errors: Family<Failed, Counter>,
    auth_failures: Family<Refused, Counter>,
    received: Family<Asked, Counter>,
    sent: Family<Asked, Counter>,
    cut: Family<Asked, Counter>,
    first: Times,
    whole: Times,
}

/// The handles of one operation.
#[derive(Debug)]
struct Handles {
    success: Counter,
    redirect: Counter,
    client_error: Counter,
    server_error: Counter,
    received: Counter,
    sent: Counter,
    cut: Counter,
    first: Histogram,
    whole: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    operation: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    operation: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    operation: String,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    reason: &'static str,
}

/// What is known when the answer's head is ready.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    /// The index of what was asked for; one without a name is not counted.
    pub operation: usize,
    /// The answer's status.
    pub status: u16,
    /// S3's code, where it failed.
    pub code: Option<&'static str>,
    /// Bytes of the request's body that came.
    pub received: u64,
    /// Bytes of the answer's body that are to be sent.
    pub due: u64,
}

/// A request that is not over. Dropped without an answer, it was abandoned.
#[derive(Debug)]
pub struct Running {
    requests: Arc<Requests>,
    began: Instant,
    /// The index of what was asked for, and the bytes that are still to be sent.
    ending: Option<(usize, u64)>,
    sent: u64,
}

impl Requests {
    /// For operations of these names, each known by its index.
    pub fn new(names: impl IntoIterator<Item = String>) -> Arc<Self> {
        let times = || Times::new_with_constructor(|| Histogram::new(SECONDS));
        let rows = names.into_iter().map(|name| (name, OnceLock::new()));
        Arc::new(Self {
            operations: rows.collect(),
            in_flight: Gauge::default(),
            abandoned: Counter::default(),
            turned_away: Counter::default(),
            broken: Counter::default(),
            answered: Family::default(),
            errors: Family::default(),
            auth_failures: Family::default(),
            received: Family::default(),
            sent: Family::default(),
            cut: Family::default(),
            first: times(),
            whole: times(),
        })
    }

    /// A request's head came.
    pub fn begin(self: &Arc<Self>) -> Running {
        self.in_flight.inc();
        Running {
            requests: Arc::clone(self),
            began: Instant::now(),
            ending: None,
            sent: 0,
        }
    }

    /// Whether no request is running.
    pub fn none_runs(&self) -> bool {
        self.in_flight.get() == 0
    }

    /// There were too many requests for one more.
    pub fn turned_away(&self) {
        self.turned_away.inc();
    }

    /// A request's body broke off, or paused for too long.
    pub fn body_broke(&self) {
        self.broken.inc();
    }

    fn handles(&self, operation: usize) -> Option<&Handles> {
        let (name, handles) = self.operations.get(operation)?;
        Some(handles.get_or_init(|| self.make(name)))
    }

    fn make(&self, name: &str) -> Handles {
        let asked = Asked {
            operation: name.to_owned(),
        };
        let ended = |outcome| {
            let operation = name.to_owned();
            self.answered
                .get_or_create_owned(&Ended { operation, outcome })
        };
        Handles {
            success: ended("success"),
            redirect: ended("redirect"),
            client_error: ended("client_error"),
            server_error: ended("server_error"),
            received: self.received.get_or_create_owned(&asked),
            sent: self.sent.get_or_create_owned(&asked),
            cut: self.cut.get_or_create_owned(&asked),
            first: self.first.get_or_create_owned(&asked),
            whole: self.whole.get_or_create_owned(&asked),
        }
    }

    fn failed(&self, operation: usize, code: &'static str) {
        let Some((name, _)) = self.operations.get(operation) else {
            return;
        };
        let operation = name.clone();
        self.errors.get_or_create(&Failed { operation, code }).inc();
        if AUTH_FAILURES.contains(&code) {
            let reason = Refused { reason: code };
            self.auth_failures.get_or_create(&reason).inc();
        }
    }
}

impl Running {
    /// Seconds and parts of one since the head came.
    pub fn elapsed(&self) -> std::time::Duration {
        self.began.elapsed()
    }

    /// The answer's head is ready.
    pub fn answered(&mut self, answered: &Answered) {
        self.ending = Some((answered.operation, answered.due));
        let Some(handles) = self.requests.handles(answered.operation) else {
            return;
        };
        let outcome = match answered.status {
            0..300 => &handles.success,
            300..400 => &handles.redirect,
            400..500 => &handles.client_error,
            500.. => &handles.server_error,
        };
        outcome.inc();
        handles.received.inc_by(answered.received);
        handles.first.observe(self.began.elapsed().as_secs_f64());
        if let Some(code) = answered.code {
            self.requests.failed(answered.operation, code);
        }
    }

    /// So many bytes of the answer's body went out.
    pub const fn sent(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// Bytes of the answer's body that went out so far.
    pub const fn sent_bytes(&self) -> u64 {
        self.sent
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.requests.in_flight.dec();
        let Some((operation, due)) = self.ending else {
            self.requests.abandoned.inc();
            return;
        };
        if let Some(handles) = self.requests.handles(operation) {
            handles.whole.observe(self.began.elapsed().as_secs_f64());
            handles.sent.inc_by(self.sent);
            if self.sent < due {
                handles.cut.inc();
            }
        }
    }
}

impl Area for Requests {
    fn register(&self, registry: &mut Registry) {
        let mut count = |name, help, family: &Family<Asked, Counter>| {
            registry.register(name, help, family.clone());
        };
        count("request_bytes", "Bytes of requests' bodies", &self.received);
        count("response_bytes", "Bytes of answers' bodies", &self.sent);
        count(
            "responses_cut",
            "Answers whose body was not sent to its end",
            &self.cut,
        );
        registry.register(
            "requests",
            "Requests answered, by what they asked for",
            self.answered.clone(),
        );
        registry.register(
            "request_errors",
            "Requests answered by an error, with its code of S3",
            self.errors.clone(),
        );
        registry.register(
            "auth_failures",
            "Requests refused for who sent them, by the code of S3",
            self.auth_failures.clone(),
        );
        registry.register(
            "request_first_byte_seconds",
            "Time from a request's head to that of its answer",
            self.first.clone(),
        );
        registry.register(
            "request_seconds",
            "Time from a request's head to the end of its answer",
            self.whole.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests whose answer is not over",
            self.in_flight.clone(),
        );
        registry.register(
            "requests_abandoned",
            "Requests whose client went away before there was an answer",
            self.abandoned.clone(),
        );
        registry.register(
            "requests_turned_away",
            "Requests beyond limits.requests or limits.connections, answered by SlowDown at once",
            self.turned_away.clone(),
        );
        registry.register(
            "request_bodies_broken",
            "Bodies of requests that broke off or paused for too long",
            self.broken.clone(),
        );
    }
}
