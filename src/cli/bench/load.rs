//! The load on single objects and on listings: connections that send one request after the other, signed
//! before the clock starts.

use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{Method, Request, Uri};

use super::Job;
use super::measure::{Outcome, Series, Watch};
use super::stream::Streamed;
use super::wire::{Check, Endpoint, Sending, Wire, failed, pattern, request, whole};
use super::work::Kind;
use crate::cli::{CliError, block_on};
use crate::clock::{Clock as _, SystemClock};

/// Objects that reads go round.
const OBJECTS_READ: usize = 64;
/// Bytes of objects that are put beforehand, at most, so that a run of large ones begins soon.
const PREPARED_BYTES_MAX: usize = 256 << 20;
/// Bytes that puts leave on the disk, at most.
const PUT_BYTES_MAX: usize = 8 << 30;
/// More requests than this in a second are not prepared for.
const RATE_MAX: usize = 20_000;
/// Objects are prepared for deletion for so many times the time of the run, at most: peers delete
/// faster than they put.
const PREPARING_TIMES: u32 = 3;
/// Connections that prepare and clean up.
const HELPERS: usize = 16;

/// What each request sends.
#[derive(Debug, Clone)]
pub(super) enum Sent {
    /// These bytes, to a presigned URL.
    Plain(Bytes),
    /// A body in chunks that is signed when it is sent.
    Streamed(Arc<Streamed>, Box<Endpoint>),
}

/// What each good answer holds.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    /// Nothing that is looked at.
    Status,
    /// These bytes.
    Bytes(Bytes),
    /// This length.
    Length(usize),
    /// Texts between a mark and `<`, others for each target.
    Texts(&'static str, Vec<Vec<String>>),
}

/// The requests of a run, given out one by one to whichever connection is free.
#[derive(Debug)]
pub(super) struct Supply {
    method: Method,
    /// What follows the host.
    targets: Vec<Uri>,
    pub(super) sent: Sent,
    pub(super) expected: Expected,
    /// They are given out again once all were.
    pub(super) round: bool,
    taken: AtomicUsize,
    /// One of them failed.
    over: AtomicBool,
}

impl Supply {
    /// Requests without a body, each sent once, of whose answers nothing is looked at.
    pub(super) fn new(method: Method, targets: Vec<Uri>) -> Self {
        Self {
            method,
            targets,
            sent: Sent::Plain(Bytes::new()),
            expected: Expected::Status,
            round: false,
            taken: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        }
    }

    fn next(&self) -> Option<usize> {
        if self.over.load(Ordering::Relaxed) {
            return None;
        }
        let at = self.taken.fetch_add(1, Ordering::Relaxed);
        if self.round {
            at.checked_rem(self.targets.len())
        } else {
            Some(at).filter(|at| *at < self.targets.len())
        }
    }

    /// So many of the targets were asked.
    fn used(&self) -> usize {
        self.taken.load(Ordering::Relaxed).min(self.targets.len())
    }

    fn request(&self, at: usize) -> Result<Option<Request<Sending>>, CliError> {
        let Some(target) = self.targets.get(at) else {
            return Ok(None);
        };
        match &self.sent {
            Sent::Plain(bytes) => {
                let body = whole(bytes.clone());
                let method = self.method.clone();
                Ok(Some(request(method, target.clone(), body, bytes.len())))
            }
            Sent::Streamed(streamed, endpoint) => streamed.put(endpoint, target.path()).map(Some),
        }
    }

    fn check(&self, at: usize) -> Check<'_> {
        match &self.expected {
            Expected::Status => Check::Status,
            Expected::Bytes(bytes) => Check::Bytes(bytes),
            Expected::Length(bytes) => Check::Length(*bytes),
            Expected::Texts(mark, texts) => {
                Check::Texts(mark, texts.get(at).map_or(&[], Vec::as_slice))
            }
        }
    }

    /// Sends what is there over `wire` until it or the time is at its end.
    async fn drive(&self, mut wire: Wire, until: Option<Instant>) -> Result<Series, CliError> {
        let mut series = Series::default();
        while until.is_none_or(|until| Instant::now() < until) {
            let Some(at) = self.next() else { break };
            let Some(request) = self.request(at)? else {
                break;
            };
            let asked = wire.ask(request, self.check(at)).await;
            let answer = asked.inspect_err(|_failed| self.over.store(true, Ordering::Relaxed))?;
            series.add(answer.took, answer.bytes);
        }
        Ok(series)
    }
}

/// Sends `supply` over `connections` until it or the time is at its end; also how long that took.
///
/// A connection stays on its thread, and each thread has a runtime of its own: nothing is handed from
/// one to the other, so that no wake-up of the client's is measured as the server's time.
pub(super) fn drive(
    endpoint: &Endpoint,
    supply: &Supply,
    connections: usize,
    time: Option<Duration>,
) -> Result<(Series, Duration), CliError> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = threads.min(connections).max(1);
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for thread in 0..threads {
            let share = (connections + thread) / threads;
            let start = &start;
            running.push(scope.spawn(move || share_of(endpoint, supply, share, (start, time))));
        }
        let mut all = Series::default();
        let mut span: Option<(Instant, Instant)> = None;
        let mut fault = None;
        for thread in running {
            let ended = thread.join();
            let ended = ended.map_err(|_panic| CliError::Usage("a connection broke down".into()));
            match ended.and_then(|done| done) {
                Ok((series, began, ended)) => {
                    all.extend(series);
                    span = Some(span.map_or((began, ended), |(first, last)| {
                        (first.min(began), last.max(ended))
                    }));
                }
                // The first one is told; those of the other threads may follow from it.
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        let took = span.map(|(began, ended)| ended.saturating_duration_since(began));
        fault.map_or_else(|| Ok((all, took.unwrap_or_default())), Err)
    })
}

/// One thread's connections, which begin when those of all threads stand.
fn share_of(
    endpoint: &Endpoint,
    supply: &Supply,
    connections: usize,
    (start, time): (&Barrier, Option<Duration>),
) -> Result<(Series, Instant, Instant), CliError> {
    block_on(async {
        let mut connected = Vec::new();
        for _wire in 0..connections {
            connected.push(endpoint.connect().await);
        }
        // Whoever could not connect is waited for too.
        start.wait();
        let wires = connected.into_iter().collect::<Result<Vec<_>, _>>()?;
        let began = Instant::now();
        let until = time.map(|time| began + time);
        let drives = wires.into_iter().map(|wire| supply.drive(wire, until));
        let mut all = Series::default();
        for series in try_join_all(drives).await? {
            all.extend(series);
        }
        Ok((all, began, Instant::now()))
    })
}

/// The objects of a run: keys that no other run has, so that nothing is overwritten by chance.
struct Objects<'a> {
    endpoint: &'a Endpoint,
    prefix: String,
}

impl Objects<'_> {
    fn targets(&self, method: &Method, numbers: Range<usize>) -> Result<Vec<Uri>, CliError> {
        let signed = numbers.map(|number| {
            let path = format!("/{}/{}/{number:08}", self.endpoint.bucket, self.prefix);
            let url = self.endpoint.sign_query(method.as_str(), &path, &[]);
            Uri::try_from(url).map_err(failed)
        });
        signed.collect()
    }

    fn supply(&self, kind: Kind, numbers: Range<usize>) -> Result<Supply, CliError> {
        let targets = self.targets(&kind.method(), numbers)?;
        Ok(Supply::new(kind.method(), targets))
    }

    /// Puts the objects before the clock starts, for as long as `time`; tells how many.
    fn prepare(
        &self,
        bytes: &Bytes,
        count: usize,
        time: Option<Duration>,
    ) -> Result<usize, CliError> {
        let mut supply = self.supply(Kind::Put, 0..count)?;
        supply.sent = Sent::Plain(bytes.clone());
        drive(self.endpoint, &supply, HELPERS, time)?;
        Ok(supply.used())
    }

    /// Reads each of them: a run on what memory holds begins with none that has to come from the disk.
    fn read_once(&self, count: usize, expected: &Expected) -> Result<(), CliError> {
        let mut supply = self.supply(Kind::Get, 0..count)?;
        supply.expected = expected.clone();
        drive(self.endpoint, &supply, HELPERS, None).map(drop)
    }

    fn remove(&self, numbers: Range<usize>) -> Result<(), CliError> {
        drive(
            self.endpoint,
            &self.supply(Kind::Delete, numbers)?,
            HELPERS,
            None,
        )
        .map(drop)
    }
}

/// Prepares and measures a run on objects of one size, and removes them.
pub(super) fn measure(
    job: &Job,
    kind: Kind,
    bytes: usize,
    connections: usize,
) -> Result<Outcome, CliError> {
    let now = SystemClock.now().unix_ms();
    let objects = Objects {
        endpoint: &job.endpoint,
        prefix: format!("{}-{bytes}-{now:x}", job.run).replace(':', "-"),
    };
    let body = pattern(bytes);
    let fit = |most: usize| (most / bytes.max(1)).max(1).min(job.objects.max(1));
    let seconds = usize::try_from(job.time.as_secs()).unwrap_or(usize::MAX);
    let asked = seconds.saturating_add(1).saturating_mul(RATE_MAX);
    let there = match kind {
        Kind::Put => fit(PUT_BYTES_MAX).min(asked),
        Kind::Get | Kind::Head => {
            let count = fit(PREPARED_BYTES_MAX).min(OBJECTS_READ);
            objects.prepare(&body, count, None)?
        }
        Kind::Delete => {
            let count = fit(PREPARED_BYTES_MAX).min(asked);
            objects.prepare(&body, count, Some(job.time * PREPARING_TIMES))?
        }
    };
    let mut supply = objects.supply(kind, 0..there)?;
    supply.round = kind != Kind::Delete;
    match kind {
        Kind::Put => {
            supply.sent = match job.stream {
                Some(form) => {
                    let streamed = Arc::new(Streamed::new(form, &body));
                    Sent::Streamed(streamed, Box::new(job.endpoint.clone()))
                }
                None => Sent::Plain(body),
            };
        }
        Kind::Get => {
            supply.expected = Expected::Bytes(body);
            objects.read_once(there, &supply.expected)?;
        }
        Kind::Head => supply.expected = Expected::Length(bytes),
        Kind::Delete => {}
    }
    let watch = Watch::start(&job.pids);
    let (mut series, time) = drive(&job.endpoint, &supply, connections, Some(job.time))?;
    let spent = watch.stop();
    if kind == Kind::Put {
        series.bytes = bytes.saturating_mul(series.count());
    }
    match kind {
        Kind::Put => objects.remove(0..supply.used())?,
        Kind::Get | Kind::Head => objects.remove(0..there)?,
        Kind::Delete => objects.remove(supply.used()..there)?,
    }
    Ok(Outcome::new(job.run.to_string(), time, series, spent))
}
