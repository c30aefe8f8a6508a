//! Configuration: a TOML file, environment variables and flags, each overriding the one before.
//!
//! Every plain setting is one row of [`setting::SETTINGS`], which gives its name in the file
//! (`limits.connections`) and, by rule, in the environment (`CONSIGN_LIMITS_CONNECTIONS`).

mod callback;
mod check;
mod error;
mod file;
mod merge;
mod reload;
mod setting;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::network::Network;
use crate::public_url::PublicUrl;

pub use error::{ConfigError, Place};
pub use merge::Sources;
pub use reload::{Given, SettingFacts, settings};

pub use callback::{
    ANSWER_SECONDS, ANSWER_SECONDS_DEFAULT, ATTEMPTS, ATTEMPTS_DEFAULT, CACHE_SECONDS,
    CACHE_SECONDS_DEFAULT, CallbackSettings, CheckSettings, EndpointSettings, OnFailure,
    RuleSettings, SECRET_BYTES, SyncSettings, TIMEOUT_SECONDS, TIMEOUT_SECONDS_DEFAULT, Wait,
    WhenDown,
};

/// The configuration file that is read where none is named, if it exists.
pub const DEFAULT_FILE: &str = "consign.toml";

/// Everything that a server is told before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder that holds everything.
    pub data_dir: PathBuf,
    /// The region that signatures must name.
    pub region: String,
    /// Domains under which `BUCKET.DOMAIN` is the bucket's own host.
    pub domains: Vec<String>,
    /// Domains under which `BUCKET.DOMAIN` is the bucket as a website.
    pub website_domains: Vec<String>,
    /// Under which addresses clients reach the server, each with its path; the first is the one that
    /// answers name where nothing tells which was used.
    pub public_urls: Vec<PublicUrl>,
    /// Whose word counts for where a request came from and what it asked for.
    pub trusted_proxies: Vec<Network>,
    /// The root key; none: the data folder's own, made at the first start.
    pub root_key: Option<RootKey>,
    /// What a success answer promises.
    pub durability: Durability,
    /// Objects up to this many bytes live beside their metadata.
    pub inline_bytes_max: usize,
    /// The longest time for which a presigned URL is honoured.
    pub presign_seconds_max: u64,
    /// Whether requests may be signed by Signature Version 2 too.
    pub signature_v2: bool,
    /// The keys that wrap those of sealed objects.
    pub encryption: EncryptionSettings,
    /// How long a day of lifecycle rules is: shorter in tests only.
    pub lifecycle_day: Duration,
    /// The slow reading of all that is stored.
    pub scrub: ScrubSettings,
    /// How often the records of requests are delivered.
    pub logging_time: Duration,
    /// What is spoken beside S3.
    pub dialects: Vec<Dialect>,
    /// The dialect of OSS, where it is spoken.
    pub oss: OssSettings,
    /// The certificates of the address; without any it is not encrypted.
    pub tls: TlsSettings,
    /// The file with a record of every request.
    pub access_log: AccessLogSettings,
    /// Where traces of requests go.
    pub telemetry: TelemetrySettings,
    /// Where the administration is served.
    pub admin: AdminSettings,
    /// What a client may take.
    pub limits: Limits,
    /// What becomes of documents that could hold scripts, where they share an origin.
    pub active_content: ActiveContent,
    /// Who is told to slow down.
    pub guard: GuardSettings,
    /// What is written down of who did what.
    pub audit: AuditSettings,
    /// What is logged, and how.
    pub log: Log,
    /// Endpoints and rules of callbacks.
    pub callback: CallbackSettings,
    /// Which settings were given.
    pub given: Given,
}

/// The key that may do everything, the management of keys included; wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct RootKey {
    /// Its public half.
    #[zeroize(skip)]
    pub access_key: String,
    /// Its secret half.
    pub secret_key: String,
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKey")
            .field("access_key", &self.access_key)
            .field("secret_key", &"******")
            .finish()
    }
}

/// What an answer of success promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A power cut loses nothing.
    #[default]
    Fsync,
    /// Nothing at all: for test suites.
    None,
}

/// A dialect that is spoken beside S3's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// That of Alibaba Cloud's OSS.
    Oss,
}

/// The dialect of OSS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OssSettings {
    /// Addresses below which a request may have an app server called.
    pub callback_urls: Vec<String>,
}

/// The file with a record of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// Its path; none: there is no such file.
    pub file: Option<PathBuf>,
    /// The form of its lines.
    pub format: RecordFormat,
    /// Once it has so many bytes, it makes room for a new one; 0: never.
    pub rotate_bytes: u64,
    /// Once it is so old; zero: never.
    pub rotate_time: Duration,
    /// How many earlier ones are kept.
    pub keep: usize,
}

impl Default for AccessLogSettings {
    fn default() -> Self {
        Self {
            file: None,
            format: RecordFormat::default(),
            rotate_bytes: 100 * 1024 * 1024,
            rotate_time: Duration::ZERO,
            keep: 10,
        }
    }
}

/// The form of the records of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecordFormat {
    /// That of S3's server access logs.
    #[default]
    Aws,
    /// One JSON object a line.
    Json,
    /// That of web servers: "combined".
    Combined,
}

/// Where traces of requests go.
#[derive(Clone, PartialEq)]
pub struct TelemetrySettings {
    /// The collector's address, below which `/v1/traces` is; none: nothing is traced.
    pub otlp_endpoint: Option<String>,
    /// Headers of each request to it: names and values, which may be secret.
    pub headers: Vec<(String, String)>,
    /// What the server is called there.
    pub service_name: String,
    /// How many of all requests are traced: 1 is all of them.
    pub sampling_ratio: f64,
    /// Whether a request's own `traceparent` is honoured: it then decides instead.
    pub honour_traceparent: bool,
    /// Whether keys of objects are told.
    pub keys: bool,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            headers: Vec::new(),
            service_name: "consign".to_owned(),
            sampling_ratio: 0.01,
            honour_traceparent: false,
            keys: false,
        }
    }
}

impl fmt::Debug for TelemetrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("TelemetrySettings")
            .field("otlp_endpoint", &self.otlp_endpoint)
            .field("headers", &headers)
            .field("service_name", &self.service_name)
            .field("sampling_ratio", &self.sampling_ratio)
            .field("honour_traceparent", &self.honour_traceparent)
            .field("keys", &self.keys)
            .finish()
    }
}

/// Where the administration is served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdminSettings {
    /// Its own address, port 0 taking a free one; none: that of everything else.
    pub listen: Option<SocketAddr>,
    /// The certificates of that address; without any, those of everything else.
    pub tls: TlsSettings,
}

/// The certificates of one address, in files of PEM.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// Certificates, each with its chain: who asks for none of their names is shown the first.
    pub certificates: Vec<PathBuf>,
    /// The key of each.
    pub keys: Vec<PathBuf>,
    /// The authorities that clients' certificates must come from; none: clients need none.
    pub client_ca: Option<PathBuf>,
}

impl TlsSettings {
    /// Whether TLS is spoken.
    pub const fn is_on(&self) -> bool {
        !self.certificates.is_empty()
    }

    /// Each certificate with its key.
    pub fn pairs(&self) -> impl Iterator<Item = (&Path, &Path)> {
        let certificates = self.certificates.iter().map(PathBuf::as_path);
        certificates.zip(self.keys.iter().map(PathBuf::as_path))
    }
}

/// The keys that wrap those of sealed objects, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Default, Zeroize, ZeroizeOnDrop)]
pub struct EncryptionSettings {
    /// The master key; without one, the data folder makes and keeps its own.
    pub master_key: Option<[u8; 32]>,
    /// Master keys before that one: they open what they sealed, and seal nothing new.
    pub previous_master_keys: Vec<[u8; 32]>,
    /// The names of the keys of SSE-KMS; without a list every name is one.
    #[zeroize(skip)]
    pub kms_keys: Option<Vec<String>>,
}

impl fmt::Debug for EncryptionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionSettings")
            .field("master_key", &self.master_key.map(|_key| "******"))
            .field("previous_master_keys", &self.previous_master_keys.len())
            .field("kms_keys", &self.kms_keys)
            .finish()
    }
}

/// The slow reading of all that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubSettings {
    /// Bytes that it reads in a second; 0: as many as the disk gives.
    pub bytes_per_second: u64,
    /// How long after the end of one pass the next begins; none: only when it is asked for.
    pub every: Option<Duration>,
}

impl Default for ScrubSettings {
    fn default() -> Self {
        Self {
            bytes_per_second: 16 * 1024 * 1024,
            every: Some(Duration::from_secs(30 * 24 * 3600)),
        }
    }
}

/// What becomes of documents that could hold scripts, where they share an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ActiveContent {
    /// They are shown, as an origin of their own.
    #[default]
    Sandbox,
    /// They are saved, not shown.
    Attachment,
    /// They are shown as on S3.
    Allow,
}

/// What is written down of who did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditSettings {
    /// Whether anything is.
    pub enabled: bool,
    /// A file of so many bytes is followed by another.
    pub file_bytes: u64,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            file_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Who is told to slow down; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardSettings {
    /// Failed signatures of one key from one address in a minute.
    pub failures_per_key: u64,
    /// Failed signatures from one address in a minute.
    pub failures_per_address: u64,
    /// Requests of one key in a second.
    pub requests_per_key: u64,
    /// Requests from one address in a second.
    pub requests_per_address: u64,
    /// Bytes of one key in a second, both ways.
    pub bytes_per_key: u64,
    /// Bytes from and to one address in a second.
    pub bytes_per_address: u64,
    /// Addresses that nothing of this counts for.
    pub exempt: Vec<Network>,
}

impl Default for GuardSettings {
    fn default() -> Self {
        // The machine's own: behind a proxy on it that was not declared, all clients have this address.
        let own = ["127.0.0.0/8", "::1"];
        Self {
            failures_per_key: 20,
            failures_per_address: 100,
            requests_per_key: 0,
            requests_per_address: 0,
            bytes_per_key: 0,
            bytes_per_address: 0,
            exempt: own.into_iter().filter_map(Network::parse).collect(),
        }
    }
}

/// What a client may take of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at a time; further ones are turned away.
    pub connections: usize,
    /// Requests in flight at a time, on all connections; further ones are turned away.
    pub requests: usize,
    /// Bytes of the disk that uploads leave free; 0: none.
    pub free_bytes_min: u64,
    /// Bytes of a request's line and headers.
    pub head_bytes: usize,
    /// Time to send a request's head.
    pub head_time: Duration,
    /// Time that a connection may stay open between two requests.
    pub idle_time: Duration,
    /// Time that a request's body may pause.
    pub body_idle_time: Duration,
    /// Time that requests in flight have to finish after a stop was asked for.
    pub shutdown_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            requests: 4096,
            free_bytes_min: 256 * 1024 * 1024,
            head_bytes: 64 * 1024,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            body_idle_time: Duration::from_secs(30),
            shutdown_time: Duration::from_secs(30),
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// A level (`info`) or a filter as `tracing` knows it (`info,consign::s3=debug`).
    pub level: String,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9000)),
            data_dir: PathBuf::from("consign-data"),
            region: "us-east-1".to_owned(),
            domains: vec!["localhost".to_owned()],
            website_domains: vec!["s3-website.localhost".to_owned()],
            public_urls: Vec::new(),
            trusted_proxies: Vec::new(),
            root_key: None,
            durability: Durability::default(),
            inline_bytes_max: 64 * 1024,
            presign_seconds_max: 604_800,
            signature_v2: false,
            encryption: EncryptionSettings::default(),
            lifecycle_day: Duration::from_secs(24 * 3600),
            scrub: ScrubSettings::default(),
            logging_time: Duration::from_mins(1),
            dialects: Vec::new(),
            oss: OssSettings::default(),
            tls: TlsSettings::default(),
            access_log: AccessLogSettings::default(),
            telemetry: TelemetrySettings::default(),
            admin: AdminSettings::default(),
            limits: Limits::default(),
            active_content: ActiveContent::default(),
            guard: GuardSettings::default(),
            audit: AuditSettings::default(),
            log: Log {
                format: LogFormat::Auto,
                level: "info".to_owned(),
            },
            callback: CallbackSettings::default(),
            given: Given::default(),
        }
    }
}

impl Config {
    /// A configuration for a server inside a test: a free port, a folder of its own, a known root
    /// key (`test-access-key`, `test-secret-key`) and no waiting for disks.
    pub fn for_test(data_dir: impl AsRef<Path>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: data_dir.as_ref().to_owned(),
            root_key: Some(RootKey {
                access_key: "test-access-key".to_owned(),
                secret_key: "test-secret-key".to_owned(),
            }),
            durability: Durability::None,
            ..Self::default()
        }
    }

    /// How the administration's own address is encrypted.
    pub fn admin_tls(&self) -> TlsSettings {
        let own = &self.admin.tls;
        let from = if own.is_on() { own } else { &self.tls };
        TlsSettings {
            client_ca: own.client_ca.clone(),
            ..from.clone()
        }
    }

    /// Reads and merges every source, then checks the whole.
    ///
    /// # Errors
    /// [`ConfigError`] names the place of the first fault and what to write instead.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let config = merge::merge(sources)?;
        check::check(&config)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
