//! Delivers what the outbox holds: in order for each key, each endpoint on its own.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::{join, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::audit::{Attempt, attempt_key, finished_key};
use super::check::Checks;
use super::config::{CallbackConfig, CallbackError};
use super::dead;
use super::endpoint::{self, Answer, Authorities, Endpoint, Post};
use super::network::Reach;
use super::outbox::{Message, Outbox, State};
use super::retry;
use super::sign::Signer;
use crate::clock::{Clock, Timestamp, whole_ms};
use crate::fail_point;
use crate::id;
use crate::metrics::Deliveries;
use crate::store::meta::{Batch, KeyRange, MetaEngine, MetaError, Space, Step, walk};
use crate::trace::{self, Tracer};

/// Deliveries under way for one endpoint.
const FLYING_MAX: usize = 16;
/// Messages that one look takes into memory: several looks' worth, since a look reads the backlog.
const DUE_MAX: usize = 256;
/// News of a commit is heeded so rarely that looks take at most a tenth of the time.
const PAUSE_PER_LOOK: u32 = 9;
/// Keys that one look at an endpoint's queue keeps in mind: 8 bytes each.
const KEYS_SEEN_MAX: usize = 100_000;
/// Of an answer's body no more is read, only so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The pause after the metadata engine failed.
const PAUSE: Duration = Duration::from_secs(1);
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

type Wait = fn(u32, u8, Option<Duration>) -> Duration;

/// What a configuration says of callbacks, made ready.
#[derive(Debug)]
pub struct Prepared {
    pub(super) outbox: Outbox,
    pub(super) checks: Checks,
    endpoints: Vec<Arc<Endpoint>>,
}

impl Prepared {
    /// Judges a configuration.
    ///
    /// # Errors
    /// [`CallbackError`] says what is wrong with it.
    fn new(config: &CallbackConfig, counts: &Deliveries) -> Result<Self, CallbackError> {
        let outbox = Outbox::new(config)?;
        let reach = Reach::new(&config.networks);
        let urls = config
            .endpoints
            .iter()
            .map(|endpoint| endpoint.url.as_str());
        let client = endpoint::client(&reach, Authorities::of(urls))?;
        let endpoints = config.endpoints.iter().map(|config| {
            let counts = counts.of(&config.name);
            Endpoint::new(config, (&client, &reach), counts).map(Arc::new)
        });
        let endpoints = endpoints.collect::<Result<_, _>>()?;
        Ok(Self {
            outbox,
            checks: Checks::new(&config.checks),
            endpoints,
        })
    }

    pub(super) fn endpoint(&self, name: &str) -> Option<Arc<Endpoint>> {
        let mut named = self.endpoints.iter().filter(|one| one.name() == name);
        named.next().cloned()
    }
}

/// The callbacks of a server.
#[derive(Debug)]
pub struct Callbacks {
    configured: ArcSwap<Prepared>,
    /// Sent to where `configured` changed.
    changed: watch::Sender<()>,
    pub(super) counts: Deliveries,
    tracer: OnceLock<Arc<Tracer>>,
    pub(super) meta: Arc<dyn MetaEngine>,
    pub(super) clock: Arc<dyn Clock>,
    woken: watch::Sender<u64>,
    hasher: RandomState,
    wait: Wait,
    /// Ends what waits for answers.
    pub(super) stop: CancellationToken,
}

pub(super) struct Row {
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    pub(super) message: Message,
    pub(super) lane: u64,
}

/// What one look at a queue found.
#[derive(Default)]
struct Look {
    due: Vec<Row>,
    next: Option<Timestamp>,
    seen: HashSet<u64>,
}

pub(super) struct Outcome {
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
    pub(super) retry_after: Option<Duration>,
}

impl Callbacks {
    /// Judges the configuration and makes ready to deliver. `stop` ends what waits for answers.
    ///
    /// # Errors
    /// [`CallbackError`] says what is wrong with it.
    pub fn new(
        config: &CallbackConfig,
        meta: Arc<dyn MetaEngine>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, CallbackError> {
        let callbacks = Self::with_wait(config, meta, clock, retry::wait)?;
        Ok(Arc::new(Self { stop, ..callbacks }))
    }

    /// Judges a configuration alone.
    ///
    /// # Errors
    /// As [`Callbacks::new`].
    pub fn check(config: &CallbackConfig) -> Result<(), CallbackError> {
        Outbox::new(config)?;
        config
            .endpoints
            .iter()
            .try_for_each(|endpoint| Signer::parse(&endpoint.name, &endpoint.secrets).map(drop))
    }

    pub(super) fn with_wait(
        config: &CallbackConfig,
        meta: Arc<dyn MetaEngine>,
        clock: Arc<dyn Clock>,
        wait: Wait,
    ) -> Result<Self, CallbackError> {
        let counts = Deliveries::default();
        let configured = ArcSwap::from_pointee(Prepared::new(config, &counts)?);
        let (woken, hasher) = (watch::Sender::new(0), RandomState::new());
        Ok(Self {
            configured,
            changed: watch::Sender::new(()),
            counts,
            tracer: OnceLock::new(),
            meta,
            clock,
            woken,
            hasher,
            wait,
            stop: CancellationToken::new(),
        })
    }

    /// Goes on with the traces of requests in the calls that they lead to.
    pub fn trace_by(&self, tracer: Arc<Tracer>) {
        if self.tracer.set(tracer).is_err() {
            tracing::debug!("callbacks are traced already");
        }
    }

    /// What is configured at the moment: whoever asks twice may see a change in between.
    pub(super) fn configured(&self) -> Arc<Prepared> {
        self.configured.load_full()
    }

    /// Judges another configuration, and makes it ready.
    ///
    /// # Errors
    /// As [`Callbacks::new`].
    pub fn prepare(&self, config: &CallbackConfig) -> Result<Prepared, CallbackError> {
        Prepared::new(config, &self.counts)
    }

    /// Takes another configuration. Calls under way end as they began; what waits for an endpoint that
    /// is gone stays, and goes on once there is one of that name.
    pub fn configure(&self, prepared: Prepared) {
        self.configured.store(Arc::new(prepared));
        self.changed.send_replace(());
    }

    /// The endpoints' names, as configured.
    pub fn endpoint_names(&self) -> Vec<String> {
        let configured = self.configured();
        let names = configured.endpoints.iter().map(|one| one.name().to_owned());
        names.collect()
    }

    pub(super) fn endpoint(&self, name: &str) -> Option<Arc<Endpoint>> {
        self.configured.load().endpoint(name)
    }

    /// Tells the deliverer that a batch was committed.
    pub fn committed(&self) {
        self.woken
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Delivers until `stop`; then takes nothing new and returns once what is under way is done.
    pub async fn run(&self, stop: CancellationToken) {
        if let Err(error) = self.index_dead().await {
            tracing::warn!(%error, "could not find the callbacks that are dead");
        }
        join(self.serve_all(&stop), self.prune_often(&stop)).await;
    }

    /// Serves the endpoints that there are, and begins anew where the configuration changes.
    async fn serve_all(&self, stop: &CancellationToken) {
        let mut changed = self.changed.subscribe();
        while !stop.is_cancelled() {
            // Before the look: a change during it is one more round.
            changed.mark_unchanged();
            let configured = self.configured();
            let until = stop.child_token();
            let endpoints = configured.endpoints.iter();
            let all = join_all(endpoints.map(|endpoint| self.serve(endpoint, &until)));
            let end = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    // The sender is ours: it is there as long as we are.
                    _ = changed.changed() => {}
                }
                until.cancel();
            };
            join(all, end).await;
        }
    }

    async fn prune_often(&self, stop: &CancellationToken) {
        loop {
            if let Err(error) = self.prune().await {
                tracing::warn!(%error, "could not prune the audit of callbacks");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PRUNE_EVERY) => {}
            }
        }
    }

    async fn serve(&self, endpoint: &Endpoint, stop: &CancellationToken) {
        let mut woken = self.woken.subscribe();
        let mut flying = FuturesUnordered::new();
        // Keys under way or about to be: the next message of each waits.
        let mut busy: HashSet<u64> = HashSet::new();
        let mut due: VecDeque<Row> = VecDeque::new();
        let mut heed = tokio::time::Instant::now();
        loop {
            let stopping = stop.is_cancelled();
            if stopping && flying.is_empty() {
                return;
            }
            let mut next = None;
            if !stopping && due.is_empty() && flying.len() < FLYING_MAX {
                woken.mark_unchanged(); // before the look: what is committed during it wakes again
                let began = tokio::time::Instant::now();
                match self.look(endpoint, &busy).await {
                    Ok(look) => {
                        next = look.next;
                        busy.extend(look.due.iter().map(|row| row.lane));
                        due.extend(look.due);
                    }
                    Err(error) => {
                        tracing::error!(%error, "could not read the outbox");
                        next = Some(self.clock.now().plus(PAUSE));
                    }
                }
                heed = tokio::time::Instant::now() + began.elapsed() * PAUSE_PER_LOOK;
            }
            while !stopping && flying.len() < FLYING_MAX {
                let Some(row) = due.pop_front() else { break };
                flying.push(self.deliver(endpoint, row));
            }
            let idle = !stopping && flying.len() < FLYING_MAX;
            let pause = next.map_or(PRUNE_EVERY, |due| due.since(self.clock.now()));
            tokio::select! {
                Some(lane) = flying.next() => { busy.remove(&lane); }
                Ok(()) = news(&mut woken, heed), if idle => {}
                () = tokio::time::sleep(pause), if idle => {}
                () = stop.cancelled(), if !stopping => {}
            }
        }
    }

    /// Finds up to [`DUE_MAX`] messages that are due, at most one for each key: its oldest.
    async fn look(&self, endpoint: &Endpoint, busy: &HashSet<u64>) -> Result<Look, MetaError> {
        let prefix = [endpoint.config.name.as_bytes(), &[0]].concat();
        let (now, hasher, busy) = (self.clock.now(), self.hasher.clone(), busy.clone());
        let visit = move |look: &mut Look, key: &[u8], value: &[u8]| {
            let Some(message) = Message::decode(value) else {
                tracing::error!(key = %hex::encode(key), "an outbox row can't be read");
                return Step::Next;
            };
            // Two keys that share a lane only wait for each other.
            let lane = hasher.hash_one((&message.event.bucket, &message.event.key));
            if !look.seen.insert(lane) || busy.contains(&lane) {
                return Step::Next;
            }
            if message.next_attempt > now {
                let sooner = look.next.is_none_or(|next| message.next_attempt < next);
                look.next = if sooner {
                    Some(message.next_attempt)
                } else {
                    look.next
                };
            } else {
                let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                look.due.push(Row {
                    key,
                    value,
                    message,
                    lane,
                });
            }
            let full = look.due.len() >= DUE_MAX || look.seen.len() >= KEYS_SEEN_MAX;
            if full { Step::Stop } else { Step::Next }
        };
        let range = KeyRange::prefix(prefix);
        walk(
            self.meta.as_ref(),
            Space::Outbox,
            range,
            Look::default(),
            visit,
        )
        .await
    }

    /// Makes one attempt and records it; gives back the lane that is free again.
    async fn deliver(&self, endpoint: &Endpoint, row: Row) -> u64 {
        let lane = row.lane;
        let recorded = if row.message.state == State::Asked {
            self.abandoned(row).await
        } else {
            let begun = tokio::time::Instant::now();
            fail_point::reach("deliver.due");
            let outcome = self.post(endpoint, &row.message).await;
            fail_point::reach("deliver.answered");
            let ms = whole_ms(begun.elapsed());
            self.record(endpoint, row, outcome, ms).await
        };
        fail_point::reach("deliver.recorded");
        match recorded {
            Ok(()) => {}
            Err(MetaError::Conflict) => tracing::debug!("a message was changed meanwhile"),
            Err(error) => {
                tracing::error!(%error, "could not record a delivery; it will be made again");
                tokio::time::sleep(PAUSE).await;
            }
        }
        lane
    }

    /// Writes down what came of an attempt, and what is to come of the message.
    pub(super) async fn record(
        &self,
        endpoint: &Endpoint,
        row: Row,
        outcome: Outcome,
        ms: u64,
    ) -> Result<(), MetaError> {
        let (now, mut message) = (self.clock.now(), row.message);
        message.attempts = message.attempts.saturating_add(1);
        message.last_error.clone_from(&outcome.error);
        let counted = message
            .attempts
            .saturating_sub(message.forgiven.unwrap_or(0));
        message.state = match outcome.error {
            None => State::Delivered,
            Some(_) if counted >= endpoint.config.attempts => State::Dead,
            Some(_) => State::Pending,
        };
        let mut batch = Batch::new();
        batch.assert_unchanged(Space::Outbox, row.key.clone(), Some(row.value));
        if message.state == State::Pending {
            let [jitter] = id::random::<1>();
            message.next_attempt = now.plus((self.wait)(counted, jitter, outcome.retry_after));
            batch.put(Space::Outbox, row.key, message.encode());
        } else {
            message.next_attempt = now;
            batch.delete(Space::Outbox, row.key);
            batch.put(
                Space::Deliveries,
                finished_key(message.id),
                message.encode(),
            );
        }
        if message.state == State::Dead {
            dead::note(&message, &mut batch);
        }
        let attempt = Attempt {
            at: now,
            status: outcome.status,
            error: outcome.error,
            ms,
        };
        let key = attempt_key(message.id, message.attempts);
        batch.put(Space::Deliveries, key, attempt.encode());
        self.meta.commit(batch).await?;
        if message.state == State::Dead {
            tracing::warn!(id = %message.id, endpoint = %message.endpoint, "a callback is dead");
            endpoint.counts.died();
        }
        Ok(())
    }

    async fn post(&self, endpoint: &Endpoint, message: &Message) -> Outcome {
        let sent = endpoint.post(Post {
            id: message.id,
            attempt: message.attempts.saturating_add(1),
            body: message.event.json().to_string(),
            at: self.clock.now(),
            within: Duration::from_secs(endpoint.config.timeout_seconds),
            answer_bytes_max: ANSWER_BYTES_MAX,
        });
        let tracer = self.tracer.get();
        let traced = tracer.zip(message.trace.as_deref());
        let scope = traced.and_then(|(tracer, carried)| tracer.resume(self.clock.now(), carried));
        match trace::within(scope, sent).await {
            Ok(Answer {
                status,
                retry_after,
                ..
            }) => Outcome {
                status: Some(status.as_u16()),
                error: (!status.is_success()).then(|| format!("the receiver answered {status}")),
                retry_after,
            },
            Err(none) => Outcome {
                status: None,
                error: Some(none.error),
                retry_after: None,
            },
        }
    }
}

/// Waits for a commit, but not before `heed`.
async fn news(
    woken: &mut watch::Receiver<u64>,
    heed: tokio::time::Instant,
) -> Result<(), watch::error::RecvError> {
    tokio::time::sleep_until(heed).await;
    woken.changed().await
}
