//! What callbacks are configured with, and what is wrong with it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::config::{ATTEMPTS_DEFAULT, TIMEOUT_SECONDS_DEFAULT, Wait, WhenDown};
use crate::network::Network;

/// Endpoints and rules.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallbackConfig {
    /// Every receiver: requests can't name others.
    #[serde(default)]
    pub endpoints: Vec<EndpointConfig>,
    /// Which events go to which receiver.
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
    /// The only networks that are called; none: by what names and addresses are.
    #[serde(skip)]
    pub networks: Vec<Network>,
    /// Which uploads a receiver is to allow before they begin.
    #[serde(skip)]
    pub checks: Vec<CheckConfig>,
}

/// A receiver.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// What rules call it.
    pub name: String,
    /// Where deliveries are posted to.
    pub url: String,
    /// What signs them; several during a rotation.
    pub secrets: Vec<Secret>,
    /// How long one attempt may take.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u64,
    /// How many attempts are made before a message is dead.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// How uploaders wait whose request chose this endpoint.
    #[serde(skip)]
    pub wait: Wait,
}

const fn timeout_seconds() -> u64 {
    TIMEOUT_SECONDS_DEFAULT
}

const fn attempts() -> u32 {
    ATTEMPTS_DEFAULT
}

/// Which events go to an endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// The endpoint's name.
    pub endpoint: String,
    /// The bucket's name, or `*`.
    pub bucket: String,
    /// Event types, such as `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// What keys must begin with.
    #[serde(default)]
    pub prefix: String,
    /// What keys must end with.
    #[serde(default)]
    pub suffix: String,
    /// How uploaders wait for the answer, if they do.
    #[serde(skip)]
    pub sync: Option<Wait>,
}

/// Which uploads an endpoint is to allow before they begin.
#[derive(Debug, Clone)]
pub struct CheckConfig {
    /// The endpoint's name.
    pub endpoint: String,
    /// The bucket's name, or `*`.
    pub bucket: String,
    /// What keys must begin with.
    pub prefix: String,
    /// How long it may take to answer.
    pub time: Duration,
    /// For how long its verdict holds for the same question.
    pub cache_time: Duration,
    /// What happens where it can't be asked.
    pub when_down: WhenDown,
}

/// A `whsec_…` text, never shown.
#[derive(Clone, Deserialize, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is; it is judged when [`super::sign::Signer`] is made.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}

/// What is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// A rule names an endpoint that is not configured.
    #[error("a callback rule names the unknown endpoint \"{0}\"")]
    UnknownEndpoint(String),
    /// A check names an endpoint that is not configured.
    #[error("a callback check names the unknown endpoint \"{0}\"")]
    UnknownChecker(String),
    /// A rule by which uploaders wait is about something else than an upload.
    #[error(
        "a callback rule for the endpoint \"{0}\" is synchronous: its events must be \
         s3:ObjectCreated:… alone"
    )]
    NotAnUpload(String),
    /// A rule names an event that S3 does not know.
    #[error("a callback rule names the unknown event \"{0}\"")]
    UnknownEvent(String),
    /// A rule names no event.
    #[error("a callback rule for the endpoint \"{0}\" names no event")]
    NoEvent(String),
    /// Two endpoints share a name.
    #[error("two callback endpoints are named \"{0}\"")]
    DuplicateEndpoint(String),
    /// An endpoint's name can't be part of a row's key.
    #[error("an endpoint's name must be 1 to 128 of a-z, A-Z, 0-9, '-', '_' and '.', not {0:?}")]
    BadName(String),
    /// A secret is not what Standard Webhooks ask for.
    #[error("a secret of the endpoint \"{0}\" must be whsec_ and base64 of 24 to 64 bytes")]
    BadSecret(String),
    /// The HTTP client can't be made.
    #[error("can't make the client that delivers callbacks: {0}")]
    Client(String),
    /// The key that signs callbacks of OSS can't be used.
    #[error("can't use the key that signs callbacks of OSS: {0}")]
    Key(String),
    /// An address that callbacks of OSS may go to is none.
    #[error("callbacks of OSS can't go to {0}")]
    Url(String),
    /// An endpoint has no secret.
    #[error("the endpoint \"{0}\" has no secret")]
    NoSecret(String),
}
