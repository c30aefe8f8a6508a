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
mod custody;
mod doors;
mod engines;
mod explain;
mod guard;
mod listen;
mod lock;
mod master_key;
mod monitor;
mod offline;
mod open_files;
mod oss;
mod reload;
mod root_key;
mod run;
mod telemetry;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

pub use audit::{Fault, Found, Head, Verdict, audit_files, verify as verify_audit};
pub use backup::{
    BackupError, BackupOptions, BackupProgress, BackupReport, RestoreReport, VerifyReport,
    prepare as prepare_backups, restore, verify as verify_backups,
};
pub use doors::endpoint_of;
pub use explain::explain;
pub use lock::{FolderLock, Holder, LockError, announced};
pub use offline::{OfflineError, audit_head, backup as backup_offline, fsck};
pub use reload::Order;
pub use root_key::{RootKeyError, load as load_root_key};
pub use tls::TlsError;

use admin::{Admin, BackupJob, Fsck, Itself};
use announce::Announcement;
use audit::AuditLog;
use connection::Shared;
use custody::Custody;
use doors::{Doors, Front};
use engines::Engines;
use monitor::{Monitor, Watched};
use reload::{Live, Orders};

use crate::auth::KeyRing;
use crate::callback::{CallbackConfig, Callbacks, CheckConfig, EndpointConfig, RuleConfig, Secret};
use crate::clock::{Clock, SystemClock};
use crate::config::{
    ActiveContent, CallbackSettings, CheckSettings, Config, EndpointSettings, GuardSettings,
    RootKey, RuleSettings, SyncSettings, Wait,
};
use crate::s3::explain::{Explainer, Refusals};
use crate::s3::throttle::{Throttle, ThrottleSettings};
use crate::s3::{self, Asked, Reach, Service, ServiceSettings};
use crate::store::blob::BlobError;
use crate::store::meta::MetaError;
use crate::store::{ObjectStore, StoreError, StoreSettings};

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
    audit: Option<Arc<AuditLog>>,
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
        } = wired;
        let announcement = Announcement::of(&doors, &lock);
        service.oss = oss::wire(&config, &endpoint).await?;
        run::find_access_logs(&service).await;
        let service = Arc::new(ArcSwap::from_pointee(service));
        let limits = Arc::new(ArcSwap::from_pointee(config.limits));
        let (main, admin) = doors.certificates_of_each();
        let shared = doors.open(&service, &limits, &background);
        let Background {
            tasks,
            stop,
            scrub_now,
        } = background;
        let (deliverer, until) = (Arc::clone(&callbacks), stop.clone());
        tasks.spawn(async move { deliverer.run(until).await });
        announcement.publish()?;
        announcement.keep(&tasks, &stop);
        let store = service.load().store.clone();
        let (times, seen) = watch::channel(run::Times::of(&config));
        backup::clean(&config.data_dir);
        let scrub = run::scrub(store.clone(), config.scrub, scrub_now, stop.clone());
        tasks.spawn(scrub);
        run::tidy_up(&tasks, &store, &stop);
        tasks.spawn(run::lifecycle(store, seen.clone(), stop.clone()));
        let logged = Arc::clone(&service);
        tasks.spawn(run::access_log(logged, seen, stop));
        let live = Live {
            running: Mutex::new(config),
            service,
            limits,
            callbacks,
            explainer,
            times,
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
            audit,
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

    /// The next order to reload that the administration is given. Cancelling loses none.
    pub async fn ordered(&self) -> Option<Order> {
        self.orders.lock().await.recv().await
    }

    /// Has log files opened anew: somebody moved them.
    pub fn reopen_logs(&self) {
        self.live.service.load().access_log.reopen();
    }

    /// Finishes the requests in flight, and ends.
    pub async fn shutdown(self) {
        let patience = self.live.limits.load().shutdown_time;
        run::stop(&self.shared, patience).await;
        s3::access_log::deliver(&self.live.service.load_full()).await;
        let log = Arc::clone(&self.live.service.load().access_log);
        // It fails only where the runtime ends, which loses what waits as a kill does.
        drop(tokio::task::spawn_blocking(move || log.flush()).await);
        if let Some(audit) = &self.audit {
            audit.close().await;
        }
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
    let settings = settings_of(config);
    let refusals = Arc::new(Refusals::default());
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
        fsck: Fsck::default(),
        backup: BackupJob::default(),
        source: Some(backup::Source::of(config, &engines, &store)),
        certificates: doors.certificates(),
        itself: Itself::of(config, doors),
    };
    let requests = Asked::counters();
    let (tracer, spans) = telemetry::start(&config.telemetry, background, &callbacks)?;
    let access_log = access_log::start(&config.access_log)?;
    let watched = Watched {
        requests: &requests,
        connections: doors.counts(),
        records: access_log.counts(),
        spans: &spans,
        engines,
        store: &store,
        callbacks: &callbacks,
    };
    let monitor = Monitor::of(watched, config, clock.now());
    Ok(Wired {
        service: Service {
            store,
            keys: custody.keys,
            accounts: custody.accounts,
            settings,
            masters: custody.masters,
            clock,
            policies: s3::access::Policies::default(),
            refusals,
            throttle: Arc::new(Throttle::new(throttle_of(&config.guard))),
            access_log,
            requests,
            tracer,
            numbers: Some(Arc::new(monitor)),
            audit: custody.audit.as_ref().map(AuditLog::auditor),
            admin: Some(Arc::new(admin)),
            oss: None,
        },
        callbacks,
        explainer,
        audit: custody.audit,
    })
}

/// Who is told to slow down.
fn throttle_of(guard: &GuardSettings) -> ThrottleSettings {
    ThrottleSettings {
        failures_per_key: guard.failures_per_key,
        failures_per_address: guard.failures_per_address,
        requests_per_key: guard.requests_per_key,
        requests_per_address: guard.requests_per_address,
        bytes_per_key: guard.bytes_per_key,
        bytes_per_address: guard.bytes_per_address,
        exempt: guard.exempt.clone(),
    }
}

/// What explains requests to a server that is reached at `endpoint`.
fn explainer_of(settings: &ServiceSettings, keys: Arc<dyn KeyRing>, endpoint: &str) -> Explainer {
    let own = endpoint.split_once("://").map_or(endpoint, |(_, own)| own);
    let reach = Arc::clone(&settings.reach);
    Explainer::new(reach, keys, settings.auth(), own.to_owned())
}

/// What the service is told of itself.
fn settings_of(config: &Config) -> ServiceSettings {
    ServiceSettings {
        region: config.region.clone(),
        reach: Arc::new(Reach::new(
            &config.domains,
            &config.website_domains,
            &config.public_urls,
            &config.trusted_proxies,
        )),
        presign_seconds_max: config.presign_seconds_max,
        signature_v2: config.signature_v2,
        active_content: match config.active_content {
            ActiveContent::Sandbox => s3::ActiveContent::Sandbox,
            ActiveContent::Attachment => s3::ActiveContent::Attachment,
            ActiveContent::Allow => s3::ActiveContent::Allow,
        },
        body_idle: config.limits.body_idle_time,
    }
}

/// Judges what a configuration says of callbacks and certificates, as a start would.
///
/// # Errors
/// [`StartError::Callback`] or [`StartError::Tls`].
pub fn check(config: &Config) -> Result<(), StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    doors::certificates(&config.tls, &clock)?;
    if config.admin.listen.is_some() {
        doors::certificates(&config.admin_tls(), &clock)?;
    }
    Ok(Callbacks::check(&callbacks_of(&config.callback))?)
}

fn callbacks_of(settings: &CallbackSettings) -> CallbackConfig {
    let any = |bucket: &Option<String>| bucket.clone().unwrap_or_else(|| "*".to_owned());
    let secret = |text: &Zeroizing<String>| Secret::new(text.to_string());
    let endpoint = |from: &EndpointSettings| EndpointConfig {
        name: from.name.clone(),
        url: from.url.clone(),
        secrets: from.secrets.iter().map(secret).collect(),
        timeout_seconds: from.timeout.as_secs(),
        attempts: from.attempts,
        wait: from.wait,
    };
    let wait_of = |name: &str, how: SyncSettings| {
        let endpoint = settings.endpoints.iter().find(|one| one.name == name);
        let usual = endpoint.map_or_else(Wait::default, |endpoint| endpoint.wait);
        Wait {
            time: how.time.unwrap_or(usual.time),
            on_failure: how.on_failure.unwrap_or(usual.on_failure),
        }
    };
    let rule = |from: &RuleSettings| RuleConfig {
        endpoint: from.endpoint.clone(),
        bucket: any(&from.bucket),
        events: from.events.clone(),
        prefix: from.prefix.clone(),
        suffix: from.suffix.clone(),
        sync: from.sync.map(|how| wait_of(&from.endpoint, how)),
    };
    let check = |from: &CheckSettings| CheckConfig {
        endpoint: from.endpoint.clone(),
        bucket: any(&from.bucket),
        prefix: from.prefix.clone(),
        time: from.time,
        cache_time: from.cache_time,
        when_down: from.when_down,
    };
    CallbackConfig {
        endpoints: settings.endpoints.iter().map(endpoint).collect(),
        rules: settings.rules.iter().map(rule).collect(),
        networks: settings.networks.clone(),
        checks: settings.checks.iter().map(check).collect(),
    }
}
