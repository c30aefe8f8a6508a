//! Reads `[[callback.endpoint]]`, `[[callback.rule]]` and `[[callback.check]]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use zeroize::Zeroizing;

use super::error::{ConfigError, Place, nearest};
use super::file::{Entry, Row};
use crate::network::Network;

/// The tables of tables that a file may hold.
pub(super) const TABLES: [&str; 3] = [ENDPOINT, RULE, CHECK];

const ENDPOINT: &str = "callback.endpoint";
const RULE: &str = "callback.rule";
const CHECK: &str = "callback.check";
const ENDPOINT_FIELDS: [&str; 7] = [
    "name",
    "url",
    "secrets",
    "timeout_seconds",
    "attempts",
    "answer_seconds",
    "on_failure",
];
const RULE_FIELDS: [&str; 8] = [
    "endpoint",
    "bucket",
    "events",
    "prefix",
    "suffix",
    "mode",
    "answer_seconds",
    "on_failure",
];
const CHECK_FIELDS: [&str; 6] = [
    "endpoint",
    "bucket",
    "prefix",
    "seconds",
    "cache_seconds",
    "when_down",
];

/// Bytes of a secret: what Standard Webhooks ask for.
pub const SECRET_BYTES: RangeInclusive<usize> = 24..=64;
/// How often a delivery may be tried before it is a dead letter.
pub const ATTEMPTS: RangeInclusive<u32> = 1..=100;
/// How often it is where nothing is said: about three days.
pub const ATTEMPTS_DEFAULT: u32 = 15;
/// How long one delivery may take, in seconds.
pub const TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=300;
/// How long it may where nothing is said, in seconds.
pub const TIMEOUT_SECONDS_DEFAULT: u64 = 15;

/// How long an uploader may wait for a receiver, in seconds.
pub const ANSWER_SECONDS: RangeInclusive<u64> = 1..=60;
/// How long one does where nothing is said, in seconds: as long as with OSS.
pub const ANSWER_SECONDS_DEFAULT: u64 = 5;
/// For how long a check's verdict may be kept, in seconds.
pub const CACHE_SECONDS: RangeInclusive<u64> = 0..=300;
/// For how long one is where nothing is said, in seconds: a client that tries again is not asked about twice.
pub const CACHE_SECONDS_DEFAULT: u64 = 5;

/// What becomes of an upload whose uploader waits for a receiver that gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The object stays, and the receiver is told the ordinary way.
    #[default]
    Keep,
    /// It is as if the upload had not happened.
    Withdraw,
}

/// What becomes of an upload where the receiver that is to allow it can't be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenDown {
    /// It is refused for now.
    #[default]
    Refuse,
    /// It goes on.
    Allow,
}

/// How an uploader waits for a receiver's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// For how long at most.
    pub time: Duration,
    /// What a missing answer means.
    pub on_failure: OnFailure,
}

impl Default for Wait {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(ANSWER_SECONDS_DEFAULT),
            on_failure: OnFailure::Keep,
        }
    }
}

/// A receiver of callbacks.
#[derive(Clone)]
pub struct EndpointSettings {
    /// What rules call it.
    pub name: String,
    /// Where deliveries go.
    pub url: String,
    /// `whsec_…` texts; several during a rotation. Wiped when dropped.
    pub secrets: Vec<Zeroizing<String>>,
    /// How long one delivery may take.
    pub timeout: Duration,
    /// How often a delivery is tried before it is a dead letter.
    pub attempts: u32,
    /// How uploaders wait for it, where a rule does not say otherwise.
    pub wait: Wait,
}

impl std::fmt::Debug for EndpointSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointSettings")
            .field("name", &self.name)
            .field("url", &self.url)
            .field("secrets", &"******")
            .field("timeout", &self.timeout)
            .field("attempts", &self.attempts)
            .field("wait", &self.wait)
            .finish()
    }
}

/// Which events go to which endpoint.
#[derive(Debug, Clone, Default)]
pub struct RuleSettings {
    /// The endpoint's name.
    pub endpoint: String,
    /// The bucket; none: every one.
    pub bucket: Option<String>,
    /// Event types, such as `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// What keys must begin with.
    pub prefix: String,
    /// What keys must end with.
    pub suffix: String,
    /// Whether uploaders wait for the answer, and how, where not as its endpoint says.
    pub sync: Option<SyncSettings>,
}

/// How uploaders wait by one rule: what is not said here its endpoint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyncSettings {
    /// For how long at most.
    pub time: Option<Duration>,
    /// What a missing answer means.
    pub on_failure: Option<OnFailure>,
}

/// Which uploads an endpoint is to allow before they begin.
#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// The endpoint's name.
    pub endpoint: String,
    /// The bucket; none: every one.
    pub bucket: Option<String>,
    /// What keys must begin with.
    pub prefix: String,
    /// How long it may take to answer.
    pub time: Duration,
    /// For how long its verdict holds for the same question.
    pub cache_time: Duration,
    /// What happens where it can't be asked.
    pub when_down: WhenDown,
}

/// Endpoints and rules.
#[derive(Debug, Clone, Default)]
pub struct CallbackSettings {
    /// Every endpoint.
    pub endpoints: Vec<EndpointSettings>,
    /// Every rule.
    pub rules: Vec<RuleSettings>,
    /// Every check before an upload.
    pub checks: Vec<CheckSettings>,
    /// The only networks that are called; none: by what names and addresses are.
    pub networks: Vec<Network>,
}

impl CallbackSettings {
    /// Adds a file's rows.
    pub(super) fn apply(&mut self, rows: Vec<Row>) -> Result<(), ConfigError> {
        for row in rows {
            match row.table.as_str() {
                ENDPOINT => self.endpoints.push(endpoint(row)?),
                RULE => self.rules.push(rule(row)?),
                CHECK => self.checks.push(check(row)?),
                other => {
                    let nearest = nearest(other, TABLES.into_iter());
                    return Err(ConfigError::Unknown {
                        name: other.to_owned(),
                        place: row.place,
                        nearest,
                    });
                }
            }
        }
        Ok(())
    }

    /// Checks that names are unique and that rules name endpoints.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            if self
                .endpoints
                .iter()
                .skip(at + 1)
                .any(|other| other.name == endpoint.name)
            {
                let name = &endpoint.name;
                return Err(ConfigError::Whole(format!(
                    "two callback endpoints are named \"{name}\""
                )));
            }
        }
        for rule in &self.rules {
            self.check_endpoint("rule", &rule.endpoint)?;
        }
        for check in &self.checks {
            self.check_endpoint("check", &check.endpoint)?;
        }
        Ok(())
    }

    fn check_endpoint(&self, of: &str, endpoint: &str) -> Result<(), ConfigError> {
        let names = || self.endpoints.iter().map(|endpoint| endpoint.name.as_str());
        if names().any(|name| name == endpoint) {
            return Ok(());
        }
        let hint = nearest(endpoint, names())
            .map(|name| format!("; did you mean \"{name}\"?"))
            .unwrap_or_default();
        Err(ConfigError::Whole(format!(
            "a callback {of} names the endpoint \"{endpoint}\", which no [[callback.endpoint]] \
             has{hint}"
        )))
    }
}

fn endpoint(row: Row) -> Result<EndpointSettings, ConfigError> {
    let place = row.place;
    let mut endpoint = EndpointSettings {
        name: String::new(),
        url: String::new(),
        secrets: Vec::new(),
        timeout: Duration::from_secs(TIMEOUT_SECONDS_DEFAULT),
        attempts: ATTEMPTS_DEFAULT,
        wait: Wait::default(),
    };
    for entry in row.entries {
        match entry.name.as_str() {
            "name" => endpoint.name = text(entry)?,
            "url" => endpoint.url = url(entry)?,
            "secrets" => endpoint.secrets = secrets(entry)?,
            "timeout_seconds" => endpoint.timeout = seconds(entry, &TIMEOUT_SECONDS)?,
            "attempts" => endpoint.attempts = number(entry, &ATTEMPTS)?,
            "answer_seconds" => endpoint.wait.time = seconds(entry, &ANSWER_SECONDS)?,
            "on_failure" => endpoint.wait.on_failure = on_failure(entry)?,
            _ => return Err(unknown(ENDPOINT, entry, &ENDPOINT_FIELDS)),
        }
    }
    filled(&place, "name", &endpoint.name)?;
    filled(&place, "url", &endpoint.url)?;
    if endpoint.secrets.is_empty() {
        return Err(value(
            place,
            "secrets",
            "must name at least one secret (\"whsec_…\")",
        ));
    }
    Ok(endpoint)
}

fn rule(row: Row) -> Result<RuleSettings, ConfigError> {
    let place = row.place;
    let mut rule = RuleSettings::default();
    let (mut waits, mut how) = (false, SyncSettings::default());
    for entry in row.entries {
        match entry.name.as_str() {
            "endpoint" => rule.endpoint = text(entry)?,
            "bucket" => rule.bucket = Some(text(entry)?).filter(|name| name != "*"),
            "events" => rule.events = events(entry)?,
            "prefix" => rule.prefix = text(entry)?,
            "suffix" => rule.suffix = text(entry)?,
            "mode" => waits = one_of(entry, [("sync", true), ("async", false)])?,
            "answer_seconds" => how.time = Some(seconds(entry, &ANSWER_SECONDS)?),
            "on_failure" => how.on_failure = Some(on_failure(entry)?),
            _ => return Err(unknown(RULE, entry, &RULE_FIELDS)),
        }
    }
    filled(&place, "endpoint", &rule.endpoint)?;
    if rule.events.is_empty() {
        rule.events = vec!["s3:ObjectCreated:*".to_owned()];
    }
    if !waits && how != SyncSettings::default() {
        let what = "must be \"sync\" for answer_seconds and on_failure";
        return Err(value(place, "mode", what));
    }
    rule.sync = waits.then_some(how);
    Ok(rule)
}

fn check(row: Row) -> Result<CheckSettings, ConfigError> {
    let place = row.place;
    let mut check = CheckSettings {
        endpoint: String::new(),
        bucket: None,
        prefix: String::new(),
        time: Duration::from_secs(ANSWER_SECONDS_DEFAULT),
        cache_time: Duration::from_secs(CACHE_SECONDS_DEFAULT),
        when_down: WhenDown::default(),
    };
    for entry in row.entries {
        match entry.name.as_str() {
            "endpoint" => check.endpoint = text(entry)?,
            "bucket" => check.bucket = Some(text(entry)?).filter(|name| name != "*"),
            "prefix" => check.prefix = text(entry)?,
            "seconds" => check.time = seconds(entry, &ANSWER_SECONDS)?,
            "cache_seconds" => check.cache_time = seconds(entry, &CACHE_SECONDS)?,
            "when_down" => {
                let choices = [("refuse", WhenDown::Refuse), ("allow", WhenDown::Allow)];
                check.when_down = one_of(entry, choices)?;
            }
            _ => return Err(unknown(CHECK, entry, &CHECK_FIELDS)),
        }
    }
    filled(&place, "endpoint", &check.endpoint)?;
    Ok(check)
}

fn on_failure(entry: Entry) -> Result<OnFailure, ConfigError> {
    let choices = [("keep", OnFailure::Keep), ("withdraw", OnFailure::Withdraw)];
    one_of(entry, choices)
}

/// The choice of that name.
fn one_of<T: Copy>(entry: Entry, choices: [(&str, T); 2]) -> Result<T, ConfigError> {
    let (place, name) = (entry.place.clone(), entry.name.clone());
    let given = text(entry)?;
    let mut named = choices.iter().filter(|(choice, _)| *choice == given);
    named.next().map(|(_, choice)| *choice).ok_or_else(|| {
        let [(one, _), (other, _)] = choices;
        value(place, &name, &format!("must be \"{one}\" or \"{other}\""))
    })
}

fn seconds(entry: Entry, within: &RangeInclusive<u64>) -> Result<Duration, ConfigError> {
    number(entry, within).map(Duration::from_secs)
}

fn url(entry: Entry) -> Result<String, ConfigError> {
    let (place, text) = (entry.place.clone(), text(entry)?);
    let parsed = reqwest::Url::parse(&text);
    if parsed.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        Ok(text)
    } else {
        Err(value(
            place,
            "url",
            "must be an http:// or https:// address",
        ))
    }
}

fn secrets(entry: Entry) -> Result<Vec<Zeroizing<String>>, ConfigError> {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let valid = |secret: &String| {
        let decoded = secret
            .strip_prefix("whsec_")
            .map(|text| engine.decode(text));
        matches!(decoded, Some(Ok(key)) if SECRET_BYTES.contains(&key.len()))
    };
    if entry.values.iter().all(valid) {
        Ok(entry.values.into_iter().map(Zeroizing::new).collect())
    } else {
        let what = "must be \"whsec_\" and base64 of 24 to 64 random bytes each: \
                    echo whsec_$(openssl rand -base64 32)";
        Err(value(entry.place, "secrets", what))
    }
}

fn events(entry: Entry) -> Result<Vec<String>, ConfigError> {
    match entry.values.iter().find(|event| !event.starts_with("s3:")) {
        None => Ok(entry.values),
        Some(event) => {
            let what = format!("must be event types like s3:ObjectCreated:*, not \"{event}\"");
            Err(value(entry.place, "events", &what))
        }
    }
}

fn text(entry: Entry) -> Result<String, ConfigError> {
    match <[String; 1]>::try_from(entry.values) {
        Ok([text]) => Ok(text),
        Err(_) => Err(value(
            entry.place,
            &entry.name,
            "takes one value, not a list",
        )),
    }
}

fn number<T>(entry: Entry, within: &RangeInclusive<T>) -> Result<T, ConfigError>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let (place, name) = (entry.place.clone(), entry.name.clone());
    let parsed = text(entry)?.parse().ok();
    parsed
        .filter(|number| within.contains(number))
        .ok_or_else(|| {
            let (least, most) = (within.start(), within.end());
            let what = format!("must be a whole number from {least} to {most}");
            value(place, &name, &what)
        })
}

fn filled(place: &Place, name: &str, text: &str) -> Result<(), ConfigError> {
    if text.is_empty() {
        Err(value(place.clone(), name, "is missing"))
    } else {
        Ok(())
    }
}

fn unknown(table: &str, entry: Entry, fields: &[&str]) -> ConfigError {
    let nearest = nearest(&entry.name, fields.iter().copied());
    ConfigError::Unknown {
        place: entry.place,
        name: format!("{table}.{}", entry.name),
        nearest,
    }
}

fn value(place: Place, name: &str, message: &str) -> ConfigError {
    ConfigError::Value {
        place,
        name: name.to_owned(),
        message: message.to_owned(),
    }
}
