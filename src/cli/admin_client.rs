//! Asks the running server: RocksDB admits one process, so commands talk to it.

use std::path::{Path, PathBuf};

use http::{HeaderMap, Method};
use serde_json::Value;

use super::trust::Trust;
use crate::auth::presign::{Signer, Target, sign_header};
use crate::auth::sigv4::sha256_hex;
use crate::auth::{Secret, canonical};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, RootKey};
use crate::server::{self, Holder};

/// Where the administration lives.
const PREFIX: &str = "/-/admin/v1";

/// Why the running server could not be asked, or what it said.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is known to listen.
    #[error(
        "no server runs in {folder}. Start it with `consign serve --data-dir {folder}`, or name \
         another with --data-dir or --endpoint"
    )]
    NotRunning {
        /// The data folder.
        folder: String,
    },
    /// There is no key to sign with.
    #[error(
        "no root key: {folder} has no root-key.json, and CONSIGN_ROOT_ACCESS_KEY and \
         CONSIGN_ROOT_SECRET_KEY are not set"
    )]
    NoKey {
        /// The data folder.
        folder: String,
    },
    /// The root key's file can't be read.
    #[error(transparent)]
    RootKey(#[from] server::RootKeyError),
    /// The request did not reach it.
    #[error("can't reach the server at {endpoint}: {}", causes(.source))]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What the HTTP client said.
        source: reqwest::Error,
    },
    /// It refused.
    #[error("the server refused ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        message: String,
    },
    /// A certificate or key of the command's own can't be used.
    #[error("{}: {message}", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The request could not be formed.
    #[error("can't sign the request: {0}")]
    Sign(String),
}

/// An error with what it comes from: the reason of a failed handshake lies deep.
fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The key that commands sign with: the configured one, or the data folder's own.
///
/// # Errors
/// [`ClientError::NoKey`].
pub(super) fn root_key(config: &Config) -> Result<RootKey, ClientError> {
    if let Some(key) = &config.root_key {
        return Ok(key.clone());
    }
    let no_key = || ClientError::NoKey {
        folder: config.data_dir.display().to_string(),
    };
    server::load_root_key(&config.data_dir)?.ok_or_else(no_key)
}

/// The region that signatures for the server at `endpoint` name. The data folder's own server says by
/// itself which it is: the configuration may have been changed since its start.
pub(super) fn region_at(config: &Config, endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    let is_there =
        |holder: &Holder| holder.endpoint == endpoint || holder.administration() == endpoint;
    let own = server::announced(&config.data_dir).filter(is_there);
    let known = own.and_then(|holder| holder.region);
    known.unwrap_or_else(|| config.region.clone())
}

/// Where the server of a data folder answers, if one runs.
pub(super) fn endpoint_of(data_dir: &Path) -> Option<String> {
    server::announced(data_dir).map(|holder| holder.endpoint)
}

/// A client of the running server's administration.
#[derive(Debug)]
pub struct AdminClient {
    http: reqwest::Client,
    endpoint: String,
    region: String,
    key: RootKey,
}

impl AdminClient {
    /// A client for the server at `endpoint`, or for the one that runs in the data folder.
    ///
    /// # Errors
    /// [`ClientError`] where there is none, or no key for it.
    pub(super) fn new(
        config: &Config,
        endpoint: Option<&str>,
        trust: &Trust,
    ) -> Result<Self, ClientError> {
        let (endpoint, known) = if let Some(endpoint) = endpoint {
            (endpoint.trim_end_matches('/').to_owned(), Vec::new())
        } else {
            let not_running = || ClientError::NotRunning {
                folder: config.data_dir.display().to_string(),
            };
            let holder = server::announced(&config.data_dir).ok_or_else(not_running)?;
            (holder.administration().to_owned(), holder.certificates)
        };
        // A proxy must not see what is meant for this machine.
        let http = trust.client(known)?.no_proxy().build();
        let http = http.map_err(|source| ClientError::Unreachable {
            endpoint: endpoint.clone(),
            source,
        })?;
        Ok(Self {
            http,
            region: region_at(config, &endpoint),
            endpoint,
            key: root_key(config)?,
        })
    }

    /// Whether a server answers there at all.
    pub async fn is_reachable(&self) -> bool {
        self.http
            .get(format!("{}/-/healthy", self.endpoint))
            .send()
            .await
            .is_ok()
    }

    /// Asks for `path` (below `/-/admin/v1/`), with a JSON body where there is one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let path = format!("{PREFIX}/{path}");
        let url = format!("{}{path}", self.endpoint);
        let headers = self.signed(&method, &path, body.as_bytes());
        let sent = self
            .http
            .request(method, &url)
            .headers(headers)
            .body(body)
            .send()
            .await;
        let unreachable = |source| ClientError::Unreachable {
            endpoint: self.endpoint.clone(),
            source,
        };
        let answer = sent.map_err(unreachable)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null));
        }
        Err(ClientError::Refused {
            status: status.as_u16(),
            message: refusal(&bytes),
        })
    }

    /// The headers that sign a request for `path`, which stands as it goes over the wire.
    fn signed(&self, method: &Method, path: &str, body: &[u8]) -> HeaderMap {
        let secret = Secret::new(self.key.secret_key.as_str());
        let signer = Signer {
            access_key: &self.key.access_key,
            secret: &secret,
            region: &self.region,
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let query: Vec<_> = canonical::pairs(query)
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let target = Target {
            method: method.as_str(),
            endpoint: &self.endpoint,
            path: &text(&canonical::decode(path, false)),
            query: &query,
        };
        let mut headers = HeaderMap::new();
        let digest = sha256_hex(body);
        sign_header(&signer, &target, &mut headers, &digest, SystemClock.now());
        headers
    }
}

/// What an error's body says, in JSON or in S3's XML.
fn refusal(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let json = serde_json::from_str::<Value>(&text).ok();
    let message = json
        .as_ref()
        .and_then(|value| value.get("error"))
        .and_then(Value::as_str);
    let between = || {
        text.split_once("<Message>")?
            .1
            .split_once("</Message>")
            .map(|(m, _)| m)
    };
    message.or_else(between).unwrap_or(text.as_ref()).to_owned()
}
