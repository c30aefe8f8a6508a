//! The records of requests: of those to buckets that ask for them, delivered as objects in S3's format,
//! and of all of them, for whoever writes them to a file.
//!
//! As on S3, delivery is by best effort: records wait in memory for some seconds, and a server that
//! is killed loses those. No request waits for its record.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html>

mod record;
mod redact;
mod visit;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::request::Parts;

pub(super) use record::Answered;
pub use record::{Ended, Record, RecordForm};
pub use visit::Visit;

use super::acl;
use super::body::{Payload, Proof};
use super::context::{Call, Service};
use super::error::{Code, S3Error};
use super::head::Head;
use super::ops::put;
use crate::auth::canonical::encode;
use crate::auth::constraint::Duties;
use crate::auth::{AccessKey, Scope, Secret, Who};
use crate::clock::Timestamp;
use crate::id::{RequestId, random};
use crate::metrics::Records;
use crate::name::BucketName;
use crate::store::settings::{LogKeys, Logging};
use crate::store::{Bucket, StoreError};

/// Bytes of records that wait; further ones are lost, which is logged.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Records that wait to be written to the file: a few megabytes, and fifty where clients make each as long
/// as a record can be.
const ORDERS_MAX: usize = 4096;

/// Records on their way.
#[derive(Debug, Default)]
pub struct AccessLog {
    /// Whether any bucket asks for records: until one does, no request looks.
    heeded: AtomicBool,
    waiting: Mutex<Waiting>,
    /// The way to whoever writes every request's record down. It has room for so many that wait; further
    /// ones are lost, which is counted: no request waits for a disk.
    orders: Option<SyncSender<Order>>,
    counts: Records,
}

/// What whoever writes records down is to do.
#[derive(Debug)]
pub enum Order {
    /// Write this one.
    Write(Box<Record>, Ended),
    /// Open the file anew: somebody moved it.
    Reopen,
    /// Tell when all that came before is written.
    Flush(SyncSender<()>),
}

/// A record whose request is not over.
#[derive(Debug)]
pub(super) struct Recording {
    record: Record,
    /// The objects that it goes into, where its bucket asks for it.
    to: Option<Destination>,
    log: Arc<AccessLog>,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: usize,
    lost: u64,
    objects: BTreeMap<Destination, String>,
    turned_away: Vec<TurnedAway>,
}

/// The record of a request for which there was no room. Whether its bucket asks for it is looked up when
/// records are delivered: at the moment nothing may wait for the store.
#[derive(Debug)]
struct TurnedAway {
    bucket: BucketName,
    at: Timestamp,
    /// What follows the bucket's owner, which is not known yet.
    behind_owner: String,
}

/// What goes into one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Destination {
    /// Whose requests they are.
    source: BucketName,
    /// The day of the requests, where keys are made by it.
    day: Option<String>,
}

impl AccessLog {
    /// From now on requests look whether their bucket asks for records.
    pub fn heed(&self) {
        self.heeded.store(true, Ordering::Relaxed);
    }

    /// One whose records are also sent to whoever follows the orders.
    pub fn with_orders() -> (Self, Receiver<Order>) {
        let (orders, followed) = sync_channel(ORDERS_MAX);
        let log = Self {
            orders: Some(orders),
            ..Self::default()
        };
        (log, followed)
    }

    /// What becomes of records that are written down.
    pub const fn counts(&self) -> &Records {
        &self.counts
    }

    /// Whether anybody may want a request's record.
    pub(super) fn is_asked_for(&self) -> bool {
        self.orders.is_some() || self.heeded.load(Ordering::Relaxed)
    }

    /// Has the file opened anew.
    pub fn reopen(&self) {
        self.order(Order::Reopen);
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders
            && orders.try_send(order).is_err()
        {
            self.counts.dropped();
        }
    }

    /// Waits until what came before is written. It blocks its thread.
    pub fn flush(&self) {
        let Some(orders) = &self.orders else { return };
        let (done, all_done) = sync_channel(1);
        // Here there may be a wait, for the room too.
        if orders.send(Order::Flush(done)).is_err() || all_done.recv().is_err() {
            tracing::warn!("nobody writes the access log any more");
        }
    }

    fn keep(&self, to: Destination, line: &str) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.has_room(line.len()) {
            waiting.objects.entry(to).or_default().push_str(line);
        }
    }

    fn keep_turned_away(&self, request: TurnedAway) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.has_room(request.behind_owner.len()) {
            waiting.turned_away.push(request);
        }
    }

    fn take(&self) -> Waiting {
        std::mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Waiting {
    /// Takes room for so many bytes; where there is none, the record is lost.
    fn has_room(&mut self, bytes: usize) -> bool {
        let sum = self.bytes.saturating_add(bytes);
        let fits = sum <= WAITING_BYTES_MAX;
        if fits {
            self.bytes = sum;
        } else {
            self.lost = self.lost.saturating_add(1);
        }
        fits
    }
}

impl Recording {
    /// Keeps the record, now that its request is over.
    pub(super) fn keep(self, ended: Ended) {
        if let Some(to) = self.to {
            self.log.keep(to, &self.record.line(RecordForm::Aws, ended));
        }
        self.log.order(Order::Write(Box::new(self.record), ended));
    }
}

/// Looks, once at the start, whether any bucket asks for records. Where that can't be seen, every request
/// looks for itself.
pub async fn find(service: &Service) {
    let asked = service.store.may_ask_for_records().await;
    if let Err(error) = &asked {
        tracing::warn!(%error, "could not see whether buckets ask for access records");
    }
    if asked.unwrap_or(true) {
        service.access_log.heed();
    }
}

/// The record of a request, where its bucket or the operator asks for one.
pub(super) async fn begin(
    service: &Service,
    visit: Visit,
    answered: &Answered<'_>,
) -> Option<Box<Recording>> {
    let bucket = match visit.bucket() {
        Some(bucket) => service.store.bucket(bucket).await.ok(),
        None => None,
    };
    // A request to a bucket that went, or never was, leaves no record with anybody but the operator.
    let to = bucket
        .as_ref()
        .filter(|_| !visit.is_website())
        .and_then(|bucket| destination(bucket, visit.at()));
    if to.is_none() && service.access_log.orders.is_none() {
        return None;
    }
    let owner = bucket.map(|bucket| bucket.owner.clone());
    Some(Box::new(Recording {
        record: Record::of(visit, owner, answered),
        to,
        log: Arc::clone(&service.access_log),
    }))
}

/// Keeps the record of a request that was turned away, whose answer is known to its last byte.
pub(super) fn keep_turned_away(service: &Service, visit: Visit, answered: &Answered<'_>) {
    let log = &service.access_log;
    let ended = Ended {
        sent: answered.due,
        time: Duration::ZERO,
    };
    let bucket = visit.bucket().filter(|_| !visit.is_website()).cloned();
    let at = visit.at();
    let record = Record::of(visit, None, answered);
    if let Some(bucket) = bucket.filter(|_| log.heeded.load(Ordering::Relaxed)) {
        log.keep_turned_away(TurnedAway {
            bucket,
            at,
            behind_owner: record.behind_owner(ended),
        });
    }
    log.order(Order::Write(Box::new(record), ended));
}

fn destination(bucket: &Bucket, at: Timestamp) -> Option<Destination> {
    let logging = bucket.settings.logging.as_ref()?;
    let day = (logging.keys == LogKeys::ByEventTime).then(|| at.day_path());
    Some(Destination {
        source: bucket.name.clone(),
        day,
    })
}

/// Delivers what waits.
pub async fn deliver(service: &Arc<Service>) {
    let waiting = service.access_log.take();
    if waiting.lost > 0 {
        tracing::warn!(
            records = waiting.lost,
            "too many access records waited: lost"
        );
    }
    let mut objects = waiting.objects;
    sort(service, waiting.turned_away, &mut objects).await;
    for (to, records) in objects {
        let delivered = deliver_one(service, &to, records).await;
        if let Err(error) = delivered
            // The records are there; that a callback of theirs was not answered is told by its own queue.
            && error.code() != Code::CallbackFailed
        {
            tracing::warn!(bucket = %to.source, %error, "could not deliver access records");
        }
    }
}

/// Puts the records of requests that were turned away to the others of their buckets.
async fn sort(
    service: &Service,
    turned_away: Vec<TurnedAway>,
    objects: &mut BTreeMap<Destination, String>,
) {
    let mut buckets = BTreeMap::new();
    for request in turned_away {
        let name = request.bucket;
        if !buckets.contains_key(&name) {
            let bucket = service.store.bucket(&name).await.ok();
            buckets.insert(name.clone(), bucket);
        }
        let bucket = buckets.get(&name).and_then(Option::as_ref);
        let to = bucket.and_then(|bucket| Some((bucket, destination(bucket, request.at)?)));
        if let Some((bucket, to)) = to {
            let lines = objects.entry(to).or_default();
            lines.push_str(&bucket.owner);
            lines.push_str(&request.behind_owner);
        }
    }
}

async fn deliver_one(
    service: &Arc<Service>,
    to: &Destination,
    records: String,
) -> Result<(), S3Error> {
    let source = match service.store.bucket(&to.source).await {
        Err(StoreError::NoSuchBucket) => return Ok(()),
        found => found?,
    };
    // Who ended the logging meanwhile wants no records.
    let Some(logging) = &source.settings.logging else {
        return Ok(());
    };
    let key = key(service, &source, logging, to.day.as_deref());
    let mut head = Head::parse(&request(&logging.target, &key)?, &[])?;
    head.headers = headers(logging, records.len())?.into();
    let body = http_body_util::Full::new(bytes::Bytes::from(records));
    let idle = service.settings.body_idle;
    let body = Payload::new(body, head.headers.clone(), Proof::Unsigned, idle);
    put::put_object(Call {
        service: Arc::clone(service),
        head,
        who: Who::Key(Arc::new(deliverer(&source.owner))),
        body,
        id: RequestId::random(),
        peer: None,
        signature: None,
        duties: Duties::default(),
    })
    .await
    .map(drop)
}

fn request(bucket: &str, key: &str) -> Result<Parts, S3Error> {
    let path = format!("/{bucket}/{}", encode(key.as_bytes(), true));
    let request = http::Request::put(path).header("host", "127.0.0.1");
    let request = request.body(()).map_err(S3Error::internal)?;
    Ok(request.into_parts().0)
}

fn headers(logging: &Logging, bytes: usize) -> Result<HeaderMap, S3Error> {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_LENGTH, bytes.into());
    headers.insert("content-type", http::HeaderValue::from_static("text/plain"));
    for (name, value) in acl::headers_of(&logging.grants) {
        let value = http::HeaderValue::from_str(&value).map_err(S3Error::internal)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Who writes the records: the bucket's owner, by a key that nobody has.
fn deliverer(owner: &str) -> AccessKey {
    AccessKey {
        access_key: String::new(),
        name: "logging".into(),
        secret: Secret::new(String::new()),
        disabled: false,
        scope: Scope::default(),
        root: false,
        owner: owner.to_owned(),
        policy: None,
        temporary: None,
    }
}

fn key(service: &Service, source: &Bucket, logging: &Logging, day: Option<&str>) -> String {
    let now: Timestamp = service.clock.now();
    let unique = hex::encode_upper(random::<8>());
    let partition = match logging.keys {
        LogKeys::Simple => String::new(),
        LogKeys::ByEventTime | LogKeys::ByDeliveryTime => {
            let number = service.number_of(&source.owner);
            let day = day.map_or_else(|| now.day_path(), str::to_owned);
            format!("{number}/{}/{}/{day}/", source.region, source.name)
        }
    };
    // By the day of requests, a key has no time of day: many moments of that day are within.
    let time = match day {
        Some(day) => format!("{}-00-00-00", day.replace('/', "-")),
        None => now.log_key(),
    };
    format!("{}{partition}{time}-{unique}", logging.prefix)
}
