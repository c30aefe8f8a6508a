//! The server: sockets, limits, shutdown, and the wiring of all layers.
//!
//! **Invariant:** only this folder knows every layer, and nothing in it knows what an S3 operation
//! means.

mod access_log;
mod admin;
mod announce;
mod audit;
mod backup;
mod connection;
mod cores;
mod custody;
mod doors;
mod engines;
mod explain;
mod fill;
mod guard;
mod listen;
mod lock;
mod master_key;
mod monitor;
mod offline;
mod open_files;
mod oss;
mod quiet;
mod reload;
mod root_key;
mod run;
mod settings;
mod telemetry;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use audit::{Fault, Found, Head, Verdict, audit_files, verify as verify_audit};
pub use backup::{
    BackupError, BackupOptions, BackupProgress, BackupReport, RestoreReport, VerifyReport,
    prepare as prepare_backups, restore, verify as verify_backups,
};
pub use doors::endpoint_of;
pub use explain::explain;
pub use fill::Filling;
pub use lock::{FolderLock, Holder, LockError, announced};
pub use offline::{OfflineError, audit_head, backup as backup_offline, fsck};
pub use reload::Order;
pub use root_key::{RootKeyError, load as load_root_key};
pub use settings::check;
pub use tls::TlsError;

use admin::{Admin, BackupJob, Fsck, Itself};
use announce::Announcement;
use audit::AuditLog;
use connection::Shared;
use cores::{CoreThreads, Cores};
use custody::Custody;
use doors::{Doors, Front};
use engines::Engines;
use monitor::{Monitor, Trust, Watched};
use reload::{Live, Orders, Reloads};
use settings::{callbacks_of, explainer_of, settings_of, throttle_of};

use crate::callback::Callbacks;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::{Config, RootKey};
use crate::metrics::{Requests, Spans};
use crate::s3::access_log::AccessLog;
use crate::s3::explain::{Explainer, Refusals};
use crate::s3::throttle::Throttle;
use crate::s3::{self, Asked, Service};
use crate::store::blob::BlobError;
use crate::store::meta::MetaError;
use crate::store::scrub::ByteRate;
use crate::store::{ObjectStore, StoreError, StoreSettings};
use crate::trace::Tracer;

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder can't be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The root key can't be had.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The metadata can't be opened.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The blobs can't be opened.
    #[error("can't open the blobs: {0}")]
    Blob(#[from] BlobError),
    /// The store can't be opened.
    #[error("can't open the store: {0}")]
    Store(#[from] StoreError),
    /// An endpoint or rule of callbacks makes no sense.
    #[error("callbacks: {0}")]
    Callback(#[from] crate::callback::CallbackError),
    /// The audit log can't be had.
    #[error("can't use the audit log: {source}")]
    Audit {
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificates are faulty.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The system ended a task that was needed.
    #[error("interrupted: {0}")]
    Interrupted(String),
    /// The access log can't be written.
    #[error("can't write the access log to {path}: {source}")]
    AccessLog {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Traces can't be sent.
    #[error("telemetry: {0}")]
    Telemetry(String),
    /// There are no threads to serve connections.
    #[error("can't begin to serve connections: {source}")]
    Cores {
        /// What the system said.
        source: std::io::Error,
    },
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A running server. Dropping it without [`Server::shutdown`] cuts every request.
#[derive(Debug)]
pub struct Server {
    endpoint: String,
    admin_endpoint: Option<String>,
    root_key: RootKey,
    root_key_is_new: bool,
    live: Live,
    orders: Mutex<mpsc::Receiver<Order>>,
    shared: Arc<Shared<Front>>,
    cores: CoreThreads,
    /// Held to the end: the folder is ours until the last task ended.
    _lock: Arc<FolderLock>,
}

/// Where work goes that no request waits for.
#[derive(Debug, Clone, Default)]
struct Background {
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Has the scrub begin a pass.
    scrub_now: Arc<Notify>,
}

impl Background {
    /// Begins what goes on until the server stops.
    fn begin(
        &self,
        service: &Arc<ArcSwap<Service>>,
        rate: ByteRate,
        times: watch::Receiver<run::Times>,
    ) {
        let Self {
            tasks,
            stop,
            scrub_now,
        } = self;
        let (store, now) = (service.load().store.clone(), Arc::clone(scrub_now));
        let paced = (rate, times.clone());
        tasks.spawn(run::scrub(store.clone(), paced, now, stop.clone()));
        run::tidy_up(tasks, &store, stop);
        tasks.spawn(run::lifecycle(store.clone(), times.clone(), stop.clone()));
        let logged = Arc::clone(service);
        tasks.spawn(run::access_log(logged, times, stop.clone()));
        let requests = Arc::clone(&service.load().requests);
        tasks.spawn(quiet::rest(requests, store, stop.clone()));
    }
}

/// The service, and what works beside it.
impl Server {
    /// Opens the data folder and starts to listen.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if cfg!(feature = "fail-points") {
            tracing::warn!("this build has fail points: it is for tests alone");
        }
        let lock = Arc::new(FolderLock::take(&config.data_dir)?);
        let (root_key, root_key_is_new) = match &config.root_key {
            Some(key) => (key.clone(), false),
            None => root_key::load_or_make(&config.data_dir)?,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let doors = Doors::take(&config, &clock)?;
        let endpoint = doors.endpoint().to_owned();
        let admin_endpoint = doors.admin_endpoint().map(str::to_owned);
        let background = Background::default();
        let (given, orders) = reload::orders();
        let wired = wire(&config, &root_key, (&background, given), &doors).await?;
        let Wired {
            mut service,
            callbacks,
            explainer,
            audit,
            access_log,
            reloads,
        } = wired;
        let announcement = Announcement::of(&doors, &lock, &config.region);
        service.oss = oss::wire(&config, &endpoint).await?;
        // Before the first request, whose record may be asked for.
        s3::access_log::find(&service).await;
        let service = Arc::new(ArcSwap::from_pointee(service));
        let limits = Arc::new(ArcSwap::from_pointee(config.limits));
        let (main, admin) = doors.certificates_of_each();
        let (cores, threads) = Cores::begin().map_err(|source| StartError::Cores { source })?;
        let shared = doors.open(&service, &limits, (&background, &cores));
        let (deliverer, until) = (Arc::clone(&callbacks), background.stop.clone());
        let delivering = async move { deliverer.run(until).await };
        background.tasks.spawn(delivering);
        announcement.publish()?;
        announcement.keep(&background.tasks, &background.stop);
        backup::clean(&config.data_dir);
        let (times, seen) = watch::channel(run::Times::of(&config));
        let scrub_rate = ByteRate::of(config.scrub.bytes_per_second);
        background.begin(&service, scrub_rate.clone(), seen);
        let live = Live {
            running: Mutex::new(config),
            service,
            limits,
            callbacks,
            explainer,
            times,
            scrub_rate,
            access_log,
            audit,
            reloads,
            main,
            admin,
            announcement,
        };
        Ok(Self {
            endpoint,
            admin_endpoint,
            root_key,
            root_key_is_new,
            live,
            orders: Mutex::new(orders),
            shared,
            cores: threads,
            _lock: lock,
        })
    }

    /// Where it can be reached from the same machine.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where its administration can be reached from the same machine, if that is elsewhere.
    pub fn admin_endpoint(&self) -> Option<&str> {
        self.admin_endpoint.as_deref()
    }

    /// The key that may do everything.
    pub const fn root_key(&self) -> &RootKey {
        &self.root_key
    }

    /// Whether the root key was made at this start: the one time that it is shown.
    pub const fn root_key_is_new(&self) -> bool {
        self.root_key_is_new
    }

    /// Takes another configuration as far as that goes while the server runs; returns the settings
    /// that wait for a restart.
    ///
    /// # Errors
    /// [`StartError`]: then everything is as before.
    pub async fn reload(&self, config: &Config) -> Result<Vec<&'static str>, StartError> {
        self.live.reload(config).await
    }

    /// Counts and writes down what came of an attempt to take another configuration, of which reading
    /// it is a part.
    pub async fn note_reload(&self, outcome: &Result<Vec<&'static str>, String>) {
        self.live.note(outcome).await;
    }

    /// The next order to reload that the administration is given. Cancelling loses none.
    pub async fn ordered(&self) -> Option<Order> {
        self.orders.lock().await.recv().await
    }

    /// Has log files opened anew: somebody moved them.
    pub fn reopen_logs(&self) {
        self.live.service.load().access_log.reopen();
    }

    /// Finishes the requests in flight, and ends.
    pub async fn shutdown(mut self) {
        let patience = self.live.limits.load().shutdown_time;
        run::stop(&self.shared, patience).await;
        s3::access_log::deliver(&self.live.service.load_full()).await;
        let log = Arc::clone(&self.live.service.load().access_log);
        // It fails only where the runtime ends, which loses what waits as a kill does.
        drop(tokio::task::spawn_blocking(move || log.flush()).await);
        if let Some(audit) = &self.live.audit {
            audit.close().await;
        }
        self.cores.end().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.cut.cancel();
    }
}

/// The objects, and who is told of them.
async fn stores(
    config: &Config,
    background: &Background,
    engines: &Engines,
    clock: &Arc<dyn Clock>,
) -> Result<(ObjectStore, Arc<Callbacks>), StartError> {
    let (meta, blobs) = engines.split();
    let callbacks = Callbacks::new(
        &callbacks_of(&config.callback),
        Arc::clone(&meta),
        Arc::clone(clock),
        background.stop.clone(),
    )?;
    let settings = StoreSettings {
        inline_bytes_max: config.inline_bytes_max,
    };
    let hook = Arc::clone(&callbacks);
    let store = ObjectStore::open(meta, blobs, Arc::clone(clock), hook, settings).await?;
    Ok((store, callbacks))
}

/// The layers on top of each other, and what of them follows the configuration.
struct Wired {
    service: Service,
    callbacks: Arc<Callbacks>,
    explainer: Arc<ArcSwap<Explainer>>,
    audit: Option<Arc<AuditLog>>,
    access_log: access_log::Rules,
    reloads: Arc<Reloads>,
}

/// Opens the engines and puts the layers on top of each other.
async fn wire(
    config: &Config,
    root: &RootKey,
    (background, orders): (&Background, Orders),
    doors: &Doors,
) -> Result<Wired, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engines = engines::open(config, &clock).await?;
    let (store, callbacks) = stores(config, background, &engines, &clock).await?;
    let (meta, _blobs) = engines.split();
    let custody = Custody::take(config, root, &meta, &clock).await?;
    let (settings, refusals) = (settings_of(config), Arc::<Refusals>::default());
    let explainer = explainer_of(&settings, custody.keys.clone(), doors.endpoint());
    let explainer = Arc::new(ArcSwap::from_pointee(explainer));
    let admin = Admin {
        meta,
        refusals: Arc::clone(&refusals),
        explainer: Arc::clone(&explainer),
        orders,
        store: store.clone(),
        keys: Arc::clone(&custody.keys),
        accounts: Arc::clone(&custody.accounts),
        callbacks: Arc::clone(&callbacks),
        clock: Arc::clone(&clock),
        started: clock.now(),
        background: background.clone(),
        fsck: Arc::<Fsck>::default(),
        backup: BackupJob::default(),
        source: Some(backup::Source::of(config, &engines, &store)),
        certificates: doors.certificates(),
        itself: Itself::of(config, doors),
    };
    let beside = beside(config, background, &callbacks, clock.now())?;
    let watched = Watched {
        requests: &beside.requests,
        connections: doors.counts(),
        records: beside.access_log.counts(),
        spans: &beside.spans,
        engines,
        store: &store,
        callbacks: &callbacks,
        trust: trust_of(doors, &custody, &beside, Arc::clone(&admin.fsck)),
    };
    Ok(Wired {
        service: Service {
            numbers: Some(Arc::new(Monitor::of(watched, config, clock.now()))),
            store,
            keys: custody.keys,
            accounts: custody.accounts,
            settings,
            masters: custody.masters,
            clock,
            policies: s3::access::Policies::default(),
            refusals,
            throttle: Arc::new(beside.throttle),
            access_log: beside.access_log,
            requests: beside.requests,
            tracer: beside.tracer,
            audit: custody.audit.as_ref().map(AuditLog::auditor),
            admin: Some(Arc::new(admin)),
            oss: None,
        },
        callbacks,
        explainer,
        audit: custody.audit,
        access_log: beside.rules,
        reloads: beside.reloads,
    })
}

/// What an operator trusts in.
fn trust_of(doors: &Doors, custody: &Custody, beside: &Beside, fsck: Arc<Fsck>) -> Trust {
    Trust {
        doors: doors.named_certificates(),
        audit: custody.audit.as_ref().map(|audit| audit.vitals()),
        guard: Arc::clone(&beside.throttle.counters),
        fsck,
        reloads: Arc::clone(&beside.reloads),
    }
}

/// What meters, records and traces requests.
struct Beside {
    requests: Arc<Requests>,
    throttle: Throttle,
    access_log: Arc<AccessLog>,
    rules: access_log::Rules,
    tracer: Option<Arc<Tracer>>,
    spans: Spans,
    reloads: Arc<Reloads>,
}

fn beside(
    config: &Config,
    background: &Background,
    callbacks: &Callbacks,
    now: Timestamp,
) -> Result<Beside, StartError> {
    let (tracer, spans) = telemetry::start(&config.telemetry, background, callbacks)?;
    let rules = Arc::new(ArcSwap::from_pointee(config.access_log.clone()));
    Ok(Beside {
        requests: Asked::counters(),
        throttle: Throttle::new(throttle_of(&config.guard)),
        access_log: access_log::start(&rules)?,
        rules,
        tracer,
        spans,
        reloads: Arc::new(Reloads::since(now)),
    })
}
