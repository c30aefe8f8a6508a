//! The audit log: who changed what, and who was kept out, in lines that can't be changed unseen.
//!
//! A thread of its own writes them, in their order. A change is answered only once its line is on the disk
//! and the metadata remember the line as the chain's last: so lines at the end can't be cut off
//! unseen either. Who is denied may come as often as they like: beyond [`DENIALS_PER_MINUTE`] they are
//! only counted.

mod chain;
mod files;
#[cfg(test)]
mod tests;
mod vitals;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{StartError, master_key};
use crate::clock::Clock;
use crate::config::{Config, Durability};
use crate::s3::audit::{AuditEntry, Auditor};
use crate::store::meta::{Batch, MetaEngine, MetaError, Space};
use crate::store::seal::MasterRing;

use chain::{ChainKey, PURPOSE, line};
pub use chain::{Fault, Head};
pub use files::{Found, Verdict};
pub(super) use vitals::Vitals;

/// Where a data folder keeps it.
const FOLDER: &str = "audit";
/// Where the metadata remember the last line.
const HEAD: &[u8] = b"audit-head";
/// Events that wait to be written: who waits for theirs waits to hand it in, too.
const WAITING_MAX: usize = 1024;
/// Lines for those who were denied, in a minute.
const DENIALS_PER_MINUTE: u32 = 100;
/// How long denials that are only counted wait for their line.
const COUNTED_TIME: Duration = Duration::from_secs(10);

/// What is written, and who waits for it.
struct Order {
    fields: String,
    done: Option<oneshot::Sender<Result<(), String>>>,
}

/// Who were denied beyond what has lines.
#[derive(Debug, Default)]
struct Crowd {
    minute: i64,
    lines: u32,
    counted: BTreeMap<&'static str, u64>,
}

/// The audit log of a running server.
#[derive(Debug)]
pub(super) struct AuditLog {
    orders: Mutex<Option<SyncSender<Order>>>,
    crowd: Arc<Mutex<Crowd>>,
    clock: Arc<dyn Clock>,
    writer: Mutex<Option<JoinHandle<()>>>,
    bytes_max: Arc<AtomicU64>,
    vitals: Arc<Vitals>,
}

/// What the thread holds.
struct Writer {
    folder: PathBuf,
    file: Option<File>,
    /// Bytes in the file.
    bytes: u64,
    bytes_max: Arc<AtomicU64>,
    syncs: bool,
    key: ChainKey,
    head: Head,
    meta: Arc<dyn MetaEngine>,
    clock: Arc<dyn Clock>,
    crowd: Arc<Mutex<Crowd>>,
    /// When those without lines of their own had one last.
    counted_at: Instant,
    vitals: Arc<Vitals>,
}

/// The last line that the metadata remember; none before the first.
///
/// # Errors
/// What the engine fails with.
pub(super) async fn known(meta: &dyn MetaEngine) -> Result<Option<Head>, MetaError> {
    let raw = meta.get(Space::System, HEAD).await?;
    let unfit = || MetaError::Corrupt {
        reason: "the head of the audit log can't be read".to_owned(),
    };
    let head = raw.map(|raw| Head::from_bytes(&raw).ok_or_else(unfit));
    head.transpose()
}

/// Judges the audit log in the data folder, or the `named` files of it, which the present master keys must
/// have signed. `known` is the last line that the server remembers.
///
/// # Errors
/// Where the master key or a file can't be read.
pub fn verify(
    config: &Config,
    named: &[PathBuf],
    known: Option<Head>,
) -> Result<Verdict, StartError> {
    let masters = master_key::load(&config.data_dir, &config.encryption)?;
    let io = |source| StartError::Audit { source };
    let files = match named {
        [] => files::list(&folder(&config.data_dir)).map_err(io)?,
        named => named.to_vec(),
    };
    files::verify(&files, &masters.keys_for(PURPOSE), known).map_err(io)
}

/// The files of the data folder's audit log, in the order of their lines.
///
/// # Errors
/// Where the folder can't be read.
pub fn audit_files(data_dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    files::list(&folder(data_dir))
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join(FOLDER)
}

impl AuditLog {
    /// Goes on with the audit log in the data folder.
    ///
    /// # Errors
    /// Where it can't be read or written.
    pub(super) async fn open(
        config: &Config,
        meta: Arc<dyn MetaEngine>,
        masters: &MasterRing,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StartError> {
        let known = known(&*meta).await?;
        let (folder, keys) = (folder(&config.data_dir), masters.keys_for(PURPOSE));
        let key = masters.key_for(PURPOSE).ok_or(MetaError::Open {
            reason: "there is no master key".to_owned(),
        })?;
        let looked = tokio::task::spawn_blocking(move || look(folder, &keys, known)).await;
        let io = |source| StartError::Audit { source };
        let end = looked.map_err(|error| io(std::io::Error::other(error)))?;
        let end = end.map_err(io)?;
        let (crowd, vitals) = (Arc::default(), Arc::new(Vitals::default()));
        vitals.found(end.head, end.was_tampered);
        let bytes_max = Arc::new(AtomicU64::new(config.audit.file_bytes));
        let writer = Writer {
            bytes: end.bytes,
            bytes_max: Arc::clone(&bytes_max),
            syncs: config.durability == Durability::Fsync,
            key,
            head: end.head,
            folder: end.folder,
            file: end.file,
            meta,
            clock: Arc::clone(&clock),
            crowd: Arc::clone(&crowd),
            counted_at: Instant::now(),
            vitals: Arc::clone(&vitals),
        };
        let (orders, received) = mpsc::sync_channel(WAITING_MAX);
        let runtime = Handle::current();
        let thread = std::thread::Builder::new().name("audit".into());
        let thread = thread.spawn(move || writer.run(&runtime, &received));
        let log = Arc::new(Self {
            orders: Mutex::new(Some(orders)),
            crowd,
            clock,
            writer: Mutex::new(Some(thread.map_err(io)?)),
            bytes_max,
            vitals,
        });
        // On a full disk what is stored must still be readable: changes are refused one by one.
        let version = env!("CARGO_PKG_VERSION");
        log.tell("start", &json!({ "version": version })).await;
        Ok(log)
    }

    /// Writes down what the server did by itself, and what is to be known of it; where that fails, the
    /// log of the server says so.
    pub(super) async fn tell(&self, kind: &'static str, more: &Value) {
        let time = self.clock.now().iso8601_ms();
        let mut fields = json!({ "time": time, "kind": kind });
        if let (Some(fields), Some(more)) = (fields.as_object_mut(), more.as_object()) {
            fields.extend(more.clone());
        }
        if let Err(error) = self.write(fields.to_string()).await {
            tracing::error!(error, kind, "this is not in the audit log");
        }
    }

    /// From now on a file of so many bytes is followed by another.
    pub(super) fn rotate_at(&self, bytes: u64) {
        self.bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// How it is, as numbers.
    pub(super) fn vitals(&self) -> Arc<Vitals> {
        Arc::clone(&self.vitals)
    }

    /// Writes down what waits, and ends.
    pub(super) async fn close(&self) {
        drop(
            self.orders
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let ended = tokio::task::spawn_blocking(move || writer.map(JoinHandle::join));
        if ended.await.is_err() {
            tracing::warn!("the audit log's writer did not end well");
        }
    }

    /// As the protocol's layer knows it.
    pub(super) fn auditor(self: &Arc<Self>) -> Arc<dyn Auditor> {
        Arc::<Self>::clone(self)
    }

    fn orders(&self) -> Option<SyncSender<Order>> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.clone()
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one who was denied and gets no line.
    fn only_count(&self, code: &'static str) {
        self.vitals.passed_over();
        *self.crowd().counted.entry(code).or_default() += 1;
    }

    async fn write(&self, fields: String) -> Result<(), String> {
        let closed = || "the audit log is closed".to_owned();
        let (done, outcome) = oneshot::channel();
        let order = Order {
            fields,
            done: Some(done),
        };
        let orders = self.orders().ok_or_else(closed)?;
        match orders.try_send(order) {
            Ok(()) => {}
            // Many wait: this one waits for a place where nobody is held up by it.
            Err(TrySendError::Full(order)) => {
                let sent = tokio::task::spawn_blocking(move || orders.send(order)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return Err(closed());
                }
            }
            Err(TrySendError::Disconnected(_order)) => return Err(closed()),
        }
        outcome.await.map_err(|_gone| closed())?
    }
}

impl Auditor for AuditLog {
    fn note(&self, entry: AuditEntry) {
        let code = entry.code.unwrap_or("denied");
        let minute = self.clock.now().unix_s().div_euclid(60);
        if !self.crowd().admits(minute) {
            return self.only_count(code);
        }
        let Ok(fields) = serde_json::to_string(&entry) else {
            return;
        };
        let order = Order { fields, done: None };
        let sent = self.orders().map(|orders| orders.try_send(order));
        if !matches!(sent, Some(Ok(()))) {
            self.only_count(code);
        }
    }

    fn record(&self, entry: AuditEntry) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let fields = serde_json::to_string(&entry).map_err(|error| error.to_string())?;
            self.write(fields).await
        }
        .boxed()
    }
}

impl Crowd {
    /// Whether one more gets a line of its own in that minute.
    fn admits(&mut self, minute: i64) -> bool {
        if self.minute != minute {
            (self.minute, self.lines) = (minute, 0);
        }
        self.lines = self.lines.saturating_add(1);
        self.lines <= DENIALS_PER_MINUTE
    }
}

/// Where the log ends.
struct End {
    folder: PathBuf,
    head: Head,
    file: Option<File>,
    bytes: u64,
    was_tampered: bool,
}

/// Finds the end of the log. One that was tampered with is left as it is, for who looks into it: a new file
/// goes on from the line that the metadata remember.
fn look(folder: PathBuf, keys: &[ChainKey], known: Option<Head>) -> std::io::Result<End> {
    let files = files::list(&folder)?;
    let fresh = |folder, was_tampered| End {
        folder,
        head: known.unwrap_or_default(),
        file: None,
        bytes: 0,
        was_tampered,
    };
    let Some(last) = files.last() else {
        if known.is_some() {
            tracing::error!(folder = %folder.display(), "the audit log is gone");
        }
        return Ok(fresh(folder, known.is_some()));
    };
    // The earlier ones were judged when they were the last; `consign audit verify` looks at them all.
    let verdict = files::verify(std::slice::from_ref(last), keys, known)?;
    if let Some(found) = &verdict.fault {
        tracing::error!(file = %found.file.display(), line = found.line, fault = found.fault,
            "the audit log was tampered with");
        return Ok(fresh(folder, true));
    }
    let head = verdict.head.or(known).unwrap_or_default();
    Ok(End {
        folder,
        head,
        file: Some(files::reopen(last, verdict.good_bytes)?),
        bytes: verdict.good_bytes,
        was_tampered: false,
    })
}

impl Writer {
    fn run(mut self, runtime: &Handle, orders: &mpsc::Receiver<Order>) {
        loop {
            let (mut waiting, ends) = match orders.recv_timeout(COUNTED_TIME) {
                Ok(order) => (vec![order], false),
                Err(RecvTimeoutError::Timeout) => (Vec::new(), false),
                Err(RecvTimeoutError::Disconnected) => (Vec::new(), true),
            };
            waiting.extend(orders.try_iter().take(WAITING_MAX));
            waiting.extend(self.counted(ends));
            if !waiting.is_empty() {
                let kept = self.keep(runtime, &waiting);
                self.vitals.wrote(self.head, self.clock.now(), kept.is_ok());
                if let Err(error) = &kept {
                    tracing::error!(error, "the audit log can't be written");
                }
                for done in waiting.into_iter().filter_map(|order| order.done) {
                    // Who gave up waiting needs no answer.
                    drop(done.send(kept.clone()));
                }
            }
            if ends {
                return;
            }
        }
    }

    /// The line for those who have none of their own.
    fn counted(&mut self, ends: bool) -> Option<Order> {
        let early = self.counted_at.elapsed() < COUNTED_TIME;
        if early && !ends {
            return None;
        }
        self.counted_at = Instant::now();
        let mut crowd = self.crowd.lock().unwrap_or_else(PoisonError::into_inner);
        if crowd.counted.is_empty() {
            return None;
        }
        let counted = std::mem::take(&mut crowd.counted);
        let time = self.clock.now().iso8601_ms();
        let fields = json!({ "time": time, "kind": "counted", "denied": counted });
        Some(Order {
            fields: fields.to_string(),
            done: None,
        })
    }

    /// Writes lines down, and remembers the last of them.
    fn keep(&mut self, runtime: &Handle, orders: &[Order]) -> Result<(), String> {
        let (mut text, mut head) = (String::new(), self.head);
        for order in orders {
            let made = line(&self.key, head, &order.fields);
            let (line, next) = made.ok_or("a line can't be made")?;
            text.push_str(&line);
            head = next;
        }
        let appended = self.append(&text);
        appended.map_err(|error| error.to_string())?;
        self.head = head;
        let mut batch = Batch::new();
        batch.put(Space::System, HEAD, Bytes::from(head.to_bytes()));
        let remembered = runtime.block_on(self.meta.commit(batch));
        remembered.map_err(|error| error.to_string())
    }

    fn append(&mut self, text: &str) -> std::io::Result<()> {
        let len = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        if self.bytes.saturating_add(len) > bytes_max && self.bytes > 0 {
            self.file = None;
        }
        let mut file = if let Some(file) = self.file.take() {
            file
        } else {
            self.bytes = 0;
            files::create(&self.folder, self.head.seq.saturating_add(1))?
        };
        let mut written = file.write_all(text.as_bytes());
        if self.syncs {
            written = written.and_then(|()| file.sync_data());
        }
        if let Err(error) = written {
            // Half a line may be there, which must not lead the next one.
            file.set_len(self.bytes)?;
            self.file = Some(file);
            return Err(error);
        }
        self.bytes = self.bytes.saturating_add(len);
        self.file = Some(file);
        Ok(())
    }
}
