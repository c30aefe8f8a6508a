//! The areas below requests: connections, commits, deliveries.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Area, SECONDS};

/// The connections of a socket.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    open: Gauge,
    accepted: Counter,
    /// Accepted only to be told that there are too many.
    unwelcome: Counter,
    /// Closed without a word.
    dropped: Counter,
    failed: Counter,
}

/// A connection that is counted as open until this is dropped.
#[derive(Debug)]
pub struct Open(Gauge);

impl Connections {
    /// One was accepted, to be heard or to be turned away.
    pub fn opened(&self, is_welcome: bool) -> Open {
        self.accepted.inc();
        self.open.inc();
        if !is_welcome {
            self.unwelcome.inc();
        }
        Open(self.open.clone())
    }

    /// There are too many even of those that are turned away.
    pub fn dropped(&self) {
        self.dropped.inc();
    }

    /// The system did not let us accept one.
    pub fn fails(&self) {
        self.failed.inc();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Area for Connections {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "connections_open",
            "Connections that are open",
            self.open.clone(),
        );
        registry.register(
            "connections_accepted",
            "Connections accepted",
            self.accepted.clone(),
        );
        registry.register(
            "connections_turned_away",
            "Connections beyond limits.connections, whose requests are answered by SlowDown",
            self.unwelcome.clone(),
        );
        registry.register(
            "connections_dropped",
            "Connections closed without a word, since too many were being turned away",
            self.dropped.clone(),
        );
        registry.register(
            "connections_failed",
            "Connections that the system did not let the server accept",
            self.failed.clone(),
        );
    }
}

/// The commits of the metadata engine.
#[derive(Debug, Clone)]
pub struct Commits {
    /// Seconds from a batch's submission to its answer.
    batches: Histogram,
    /// Seconds of a group's one write.
    syncs: Histogram,
    /// Batches of a group.
    sizes: Histogram,
    conflicts: Counter,
    failures: Counter,
}

impl Default for Commits {
    fn default() -> Self {
        Self {
            batches: Histogram::new(SECONDS),
            syncs: Histogram::new(SECONDS),
            sizes: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]),
            conflicts: Counter::default(),
            failures: Counter::default(),
        }
    }
}

impl Commits {
    /// A group of `batches` was written within `time`.
    pub fn group(&self, batches: u32, time: Duration) {
        self.sizes.observe(batches.into());
        self.syncs.observe(time.as_secs_f64());
    }

    /// A batch was answered `time` after it had been submitted.
    pub fn batch(&self, time: Duration) {
        self.batches.observe(time.as_secs_f64());
    }

    /// A batch asserted what does not hold.
    pub fn conflict(&self) {
        self.conflicts.inc();
    }

    /// A group could not be written.
    pub fn failure(&self) {
        self.failures.inc();
    }
}

impl Area for Commits {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "meta_commit_seconds",
            "Time from a batch's submission to its answer",
            self.batches.clone(),
        );
        registry.register(
            "meta_sync_seconds",
            "Time of one write to the log and its sync, which a group of batches shares",
            self.syncs.clone(),
        );
        registry.register(
            "meta_group_batches",
            "Batches that shared one sync",
            self.sizes.clone(),
        );
        registry.register(
            "meta_conflicts",
            "Batches whose assertions did not hold, and which were decided anew or refused",
            self.conflicts.clone(),
        );
        registry.register(
            "meta_failures",
            "Groups of batches that could not be written",
            self.failures.clone(),
        );
    }
}

/// The calls of callbacks' receivers.
#[derive(Debug, Clone)]
pub struct Deliveries {
    attempts: Family<Attempt, Counter>,
    seconds: Family<Receiver, Histogram, fn() -> Histogram>,
    dead: Family<Receiver, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Receiver {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    endpoint: String,
    outcome: &'static str,
}

impl Default for Deliveries {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            dead: Family::default(),
        }
    }
}

impl Deliveries {
    /// Those of one endpoint, which is the configuration's.
    pub fn of(&self, endpoint: &str) -> Delivery {
        let attempts = |outcome| {
            let endpoint = endpoint.to_owned();
            let attempt = Attempt { endpoint, outcome };
            self.attempts.get_or_create_owned(&attempt)
        };
        let receiver = Receiver {
            endpoint: endpoint.to_owned(),
        };
        Delivery {
            delivered: attempts("delivered"),
            refused: attempts("refused"),
            unanswered: attempts("unanswered"),
            seconds: self.seconds.get_or_create_owned(&receiver),
            dead: self.dead.get_or_create_owned(&receiver),
        }
    }
}

impl Area for Deliveries {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "callback_attempts",
            "Calls of a receiver: answered with 2xx, with another status, or not answered",
            self.attempts.clone(),
        );
        registry.register(
            "callback_seconds",
            "Time of a call of a receiver",
            self.seconds.clone(),
        );
        registry.register(
            "callback_deaths",
            "Messages whose attempts were used up",
            self.dead.clone(),
        );
    }
}

/// The calls of one receiver.
#[derive(Debug, Clone)]
pub struct Delivery {
    delivered: Counter,
    refused: Counter,
    unanswered: Counter,
    seconds: Histogram,
    dead: Counter,
}

impl Delivery {
    /// A call took `time`; whether the receiver's answer was a success, if it answered.
    pub fn called(&self, time: Duration, success: Option<bool>) {
        self.seconds.observe(time.as_secs_f64());
        match success {
            Some(true) => self.delivered.inc(),
            Some(false) => self.refused.inc(),
            None => self.unanswered.inc(),
        };
    }

    /// A message's attempts are used up.
    pub fn died(&self) {
        self.dead.inc();
    }
}

/// The records of the access log.
#[derive(Debug, Clone, Default)]
pub struct Records {
    written: Counter,
    dropped: Counter,
    failed: Counter,
}

impl Records {
    /// One was written.
    pub fn written(&self) {
        self.written.inc();
    }

    /// There was no room for one more to wait.
    pub fn dropped(&self) {
        self.dropped.inc();
    }

    /// One could not be written.
    pub fn failed(&self) {
        self.failed.inc();
    }
}

impl Area for Records {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "access_records_written",
            "Records of requests written to access_log.file",
            self.written.clone(),
        );
        registry.register(
            "access_records_dropped",
            "Records that were lost, since the file could not be written as fast as they came",
            self.dropped.clone(),
        );
        registry.register(
            "access_records_failed",
            "Records that could not be written",
            self.failed.clone(),
        );
    }
}

/// The spans of traces.
#[derive(Debug, Clone, Default)]
pub struct Spans {
    exported: Counter,
    dropped: Counter,
}

impl Spans {
    /// So many were taken by the collector.
    pub fn exported(&self, spans: u64) {
        self.exported.inc_by(spans);
    }

    /// So many were lost: there was no room, or the collector did not take them.
    pub fn dropped(&self, spans: u64) {
        self.dropped.inc_by(spans);
    }
}

impl Area for Spans {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "trace_spans_exported",
            "Spans that the collector took",
            self.exported.clone(),
        );
        registry.register(
            "trace_spans_dropped",
            "Spans that were lost, since there was no room or the collector did not take them",
            self.dropped.clone(),
        );
    }
}
