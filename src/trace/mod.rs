//! Traces in OpenTelemetry's sense: what a request did, and when, for the few requests that are sampled.
//!
//! A sampled request carries its [`Scope`] with its task, so that a span is one line wherever it is
//! taken, and nothing but a look at the task where the request is not sampled.

pub mod otlp;
mod parent;

use std::borrow::Cow;
use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::id::random;
use crate::metrics::Spans;
pub use parent::Parent;

/// Spans that wait to be exported; further ones are dropped, which is counted.
const WAITING_MAX: usize = 8192;

tokio::task_local! {
    static CURRENT: Option<Scope>;
}

/// Which requests are traced, and where their spans go.
#[derive(Debug)]
pub struct Tracer {
    /// A trace whose id's lower half is below it is taken.
    below: AtomicU64,
    honours_parents: AtomicBool,
    names_keys: AtomicBool,
    finished: mpsc::Sender<Finished>,
    counts: Spans,
}

/// What a tracer is told.
#[derive(Debug, Clone, Copy)]
pub struct TracerSettings {
    /// How many of all requests are traced: 1 is all, 0 none.
    pub sampling_ratio: f64,
    /// Whether a request's `traceparent` is its parent, and decides.
    pub honours_parents: bool,
    /// Whether keys of objects are told.
    pub names_keys: bool,
}

/// Which side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Neither: a step.
    Internal,
    /// It answers.
    Server,
    /// It asks.
    Client,
}

/// What is told of a span beside its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

/// A span that is over.
#[derive(Debug, Clone)]
pub struct Finished {
    trace: [u8; 16],
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    name: Cow<'static, str>,
    kind: Kind,
    start_ns: u64,
    end_ns: u64,
    attributes: Vec<(&'static str, Value)>,
    failed: bool,
}

/// The wall's time at one moment, from which others are reckoned.
#[derive(Debug, Clone, Copy)]
struct Base {
    unix_ms: u64,
    at: Instant,
}

impl Base {
    fn of(now: Timestamp) -> Self {
        Self {
            unix_ms: u64::try_from(now.unix_ms()).unwrap_or(0),
            at: Instant::now(),
        }
    }

    fn now_ns(self) -> u64 {
        let since = u64::try_from(self.at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.unix_ms.saturating_mul(1_000_000).saturating_add(since)
    }
}

/// A trace at work: what a task carries.
#[derive(Debug, Clone)]
pub struct Scope {
    tracer: Arc<Tracer>,
    base: Base,
    trace: [u8; 16],
    /// The innermost span that is open.
    innermost: Cell<[u8; 8]>,
}

impl Tracer {
    /// A tracer, and the spans that it finishes.
    pub fn new(settings: TracerSettings, counts: Spans) -> (Arc<Self>, mpsc::Receiver<Finished>) {
        let (finished, exported) = mpsc::channel(WAITING_MAX);
        let tracer = Self {
            below: AtomicU64::default(),
            honours_parents: AtomicBool::default(),
            names_keys: AtomicBool::default(),
            finished,
            counts,
        };
        tracer.configure(settings);
        (Arc::new(tracer), exported)
    }

    /// Judges by these settings from now on.
    pub fn configure(&self, settings: TracerSettings) {
        let below = threshold(settings.sampling_ratio);
        self.below.store(below, Ordering::Relaxed);
        let honours = settings.honours_parents;
        self.honours_parents.store(honours, Ordering::Relaxed);
        self.names_keys
            .store(settings.names_keys, Ordering::Relaxed);
    }

    /// Whether keys of objects are told.
    pub fn names_keys(&self) -> bool {
        self.names_keys.load(Ordering::Relaxed)
    }

    /// Begins the trace of a request, where it is one of those that are taken. `sent` is its `traceparent`.
    pub fn begin(self: &Arc<Self>, now: Timestamp, sent: Option<&str>) -> Option<Root> {
        let sent = sent.filter(|_| self.honours_parents.load(Ordering::Relaxed));
        let parent = sent.and_then(Parent::parse);
        let trace = parent.map_or_else(random, |parent| parent.trace);
        let drawn = trace.last_chunk().copied();
        let drawn = drawn.map_or(u64::MAX, u64::from_be_bytes);
        let below = self.below.load(Ordering::Relaxed);
        let taken = parent.map_or(drawn < below, |parent| parent.is_sampled);
        taken.then(|| {
            let scope = self.scope(now, trace, random());
            Root {
                start_ns: scope.base.now_ns(),
                id: scope.innermost.get(),
                parent: parent.map(|parent| parent.span),
                attributes: Vec::new(),
                scope,
            }
        })
    }

    /// Goes on with the trace that `carried` names, as [`carried`] told.
    pub fn resume(self: &Arc<Self>, now: Timestamp, carried: &str) -> Option<Scope> {
        let parent = Parent::parse(carried).filter(|parent| parent.is_sampled)?;
        Some(self.scope(now, parent.trace, parent.span))
    }

    fn scope(self: &Arc<Self>, now: Timestamp, trace: [u8; 16], span: [u8; 8]) -> Scope {
        Scope {
            tracer: Arc::clone(self),
            base: Base::of(now),
            trace,
            innermost: Cell::new(span),
        }
    }

    fn finish(&self, span: Finished) {
        if self.finished.try_send(span).is_err() {
            self.counts.dropped(1);
        }
    }
}

/// Of all 2^64 numbers so many are below it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of all numbers need not be exact; the cast saturates"
)]
fn threshold(ratio: f64) -> u64 {
    (ratio * u64::MAX as f64) as u64
}

/// Runs `work` within `scope`, if there is one.
pub fn within<F: Future>(scope: Option<Scope>, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(scope, work)
}

/// The trace of a request, which its server's span is the root of here.
#[derive(Debug)]
pub struct Root {
    scope: Scope,
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    start_ns: u64,
    attributes: Vec<(&'static str, Value)>,
}

impl Root {
    /// What the request's task carries.
    pub fn scope(&self) -> Scope {
        self.scope.clone()
    }

    /// Tells something of the request.
    pub fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((name, value.into()));
    }

    /// The request is over.
    pub fn end(self, name: String, failed: bool) {
        let end_ns = self.scope.base.now_ns();
        self.scope.tracer.finish(Finished {
            trace: self.scope.trace,
            id: self.id,
            parent: self.parent,
            name: name.into(),
            kind: Kind::Server,
            start_ns: self.start_ns,
            end_ns,
            attributes: self.attributes,
            failed,
        });
    }
}

/// A span that lasts until it is dropped; nothing where the task carries no scope.
#[derive(Debug)]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    scope: Scope,
    id: [u8; 8],
    parent: [u8; 8],
    name: &'static str,
    kind: Kind,
    start_ns: u64,
    attributes: Vec<(&'static str, Value)>,
    failed: bool,
}

/// Opens a span within the innermost one that the task carries.
pub fn span(name: &'static str, kind: Kind) -> Span {
    let open = |current: &Option<Scope>| {
        let scope = current.as_ref()?;
        let (id, parent) = (random(), scope.innermost.get());
        scope.innermost.set(id);
        Some(Box::new(Open {
            id,
            parent,
            name,
            kind,
            start_ns: scope.base.now_ns(),
            attributes: Vec::new(),
            failed: false,
            scope: scope.clone(),
        }))
    };
    Span(CURRENT.try_with(open).ok().flatten())
}

impl Span {
    /// Tells something of it.
    pub fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.attributes.push((name, value.into()));
        }
    }

    /// It failed.
    pub const fn fail(&mut self) {
        if let Some(open) = &mut self.0 {
            open.failed = true;
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(open) = self.0.take() else { return };
        // Spans end in the reverse order of their beginnings, or beside each other in a task that does
        // several things at once: then this one's parent is the better guess too.
        let restored = CURRENT.try_with(|current| {
            if let Some(scope) = current {
                scope.innermost.set(open.parent);
            }
        });
        // Outside of its task there is nothing to restore.
        restored.unwrap_or_default();
        let Open { scope, .. } = *open;
        let end_ns = scope.base.now_ns();
        scope.tracer.finish(Finished {
            trace: scope.trace,
            id: open.id,
            parent: Some(open.parent),
            name: open.name.into(),
            kind: open.kind,
            start_ns: open.start_ns,
            end_ns,
            attributes: open.attributes,
            failed: open.failed,
        });
    }
}

/// The innermost span that the task carries, as `traceparent` names it.
///
/// <https://www.w3.org/TR/trace-context/#traceparent-header>
pub fn carried() -> Option<String> {
    let told = |current: &Option<Scope>| {
        let scope = current.as_ref()?;
        let parent = Parent {
            trace: scope.trace,
            span: scope.innermost.get(),
            is_sampled: true,
        };
        Some(parent.to_string())
    };
    CURRENT.try_with(told).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracer(ratio: f64, honours: bool) -> (Arc<Tracer>, mpsc::Receiver<Finished>) {
        let settings = TracerSettings {
            sampling_ratio: ratio,
            honours_parents: honours,
            names_keys: false,
        };
        Tracer::new(settings, Spans::default())
    }

    const NOW: Timestamp = Timestamp::from_unix_s(1_700_000_000);
    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    #[tokio::test]
    async fn spans_nest_and_what_is_carried_names_the_innermost() {
        let (tracer, mut finished) = tracer(1.0, false);
        let mut root = tracer.begin(NOW, Some(SENT)).unwrap();
        root.note("a", "b");
        let told = within(Some(root.scope()), async {
            let outer = span("outer", Kind::Internal);
            tokio::task::yield_now().await;
            let mut inner = span("inner", Kind::Client);
            inner.fail();
            let told = carried();
            drop(inner);
            drop(outer);
            drop(span("next", Kind::Internal));
            told
        });
        let told = told.await.unwrap();
        root.end("PutObject".to_owned(), false);
        let mut next = || finished.try_recv().unwrap();
        let (inner, outer, last, root) = (next(), next(), next(), next());
        assert_eq!((inner.name.as_ref(), inner.failed), ("inner", true));
        assert_eq!(inner.parent, Some(outer.id));
        assert_eq!(outer.parent, Some(root.id));
        assert_eq!(last.parent, Some(root.id));
        assert_eq!((root.parent, root.name.as_ref()), (None, "PutObject"));
        assert!(root.start_ns <= inner.start_ns && inner.end_ns <= root.end_ns);
        assert_eq!(root.start_ns / 1_000_000_000, 1_700_000_000);
        assert!(told.contains(&hex::encode(inner.id)), "{told}");
        assert!(told.contains(&hex::encode(root.trace)), "{told}");
        assert!(
            !told.contains("0af7651916cd43dd"),
            "a stranger's parent counts: {told}"
        );
    }

    #[tokio::test]
    async fn a_parent_counts_where_it_is_honoured_and_only_there() {
        let (tracer, mut finished) = tracer(0.0, true);
        assert!(tracer.begin(NOW, None).is_none());
        assert!(tracer.begin(NOW, Some(UNSAMPLED)).is_none());
        assert!(tracer.begin(NOW, Some("nonsense")).is_none());
        tracer
            .begin(NOW, Some(SENT))
            .unwrap()
            .end("x".to_owned(), true);
        let root = finished.try_recv().unwrap();
        assert_eq!(hex::encode(root.trace), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(
            root.parent.map(hex::encode).as_deref(),
            Some("b7ad6b7169203331")
        );
        assert!(root.failed);
    }

    #[tokio::test]
    async fn nothing_is_done_where_nothing_is_traced() {
        let (tracer, mut finished) = tracer(0.0, false);
        assert!(tracer.begin(NOW, Some(SENT)).is_none());
        assert!(span("x", Kind::Internal).0.is_none());
        within(None, async {
            assert!(span("x", Kind::Internal).0.is_none());
        })
        .await;
        assert_eq!(carried(), None);
        assert!(finished.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_trace_goes_on_elsewhere() {
        let (tracer, mut finished) = tracer(0.0, false);
        assert!(tracer.resume(NOW, UNSAMPLED).is_none());
        let scope = tracer.resume(NOW, SENT);
        within(scope, async { drop(span("callback", Kind::Client)) }).await;
        let span = finished.try_recv().unwrap();
        assert_eq!(
            span.parent.map(hex::encode).as_deref(),
            Some("b7ad6b7169203331")
        );
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let counts = Spans::default();
        let settings = TracerSettings {
            sampling_ratio: 1.0,
            honours_parents: false,
            names_keys: false,
        };
        let (tracer, _finished) = Tracer::new(settings, counts.clone());
        for _span in 0..=WAITING_MAX {
            tracer.begin(NOW, None).unwrap().end("x".to_owned(), false);
        }
        let metrics = crate::metrics::Metrics::of(&[&counts]);
        let text = metrics.text(crate::metrics::Format::Text, Vec::new());
        assert!(
            text.contains("consign_trace_spans_dropped_total 1\n"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn other_settings_count_from_the_next_request_on() {
        let (tracer, _finished) = tracer(0.0, false);
        assert!(tracer.begin(NOW, Some(SENT)).is_none());
        tracer.configure(TracerSettings {
            sampling_ratio: 0.0,
            honours_parents: true,
            names_keys: true,
        });
        assert!(tracer.begin(NOW, Some(SENT)).is_some());
        assert!(tracer.begin(NOW, None).is_none());
        assert!(tracer.names_keys());
    }

    #[test]
    fn so_many_are_taken_as_the_ratio_says() {
        assert_eq!(threshold(0.0), 0);
        assert_eq!(threshold(1.0), u64::MAX);
        assert_eq!(threshold(0.5) >> 60, 8);
    }
}
