//! Reads `[[callback.endpoint]]` and `[[callback.rule]]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::{ConfigError, Place, nearest};
use super::file::{Entry, Row};

/// The tables of tables that a file may hold.
pub(super) const TABLES: [&str; 2] = [ENDPOINT, RULE];

const ENDPOINT: &str = "callback.endpoint";
const RULE: &str = "callback.rule";
const ENDPOINT_FIELDS: [&str; 5] = ["name", "url", "secrets", "timeout_seconds", "attempts"];
const RULE_FIELDS: [&str; 5] = ["endpoint", "bucket", "events", "prefix", "suffix"];

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

/// A receiver of callbacks.
#[derive(Clone)]
pub struct EndpointSettings {
    /// What rules call it.
    pub name: String,
    /// Where deliveries go.
    pub url: String,
    /// `whsec_…` texts; several during a rotation.
    pub secrets: Vec<String>,
    /// How long one delivery may take.
    pub timeout: Duration,
    /// How often a delivery is tried before it is a dead letter.
    pub attempts: u32,
}

impl std::fmt::Debug for EndpointSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointSettings")
            .field("name", &self.name)
            .field("url", &self.url)
            .field("secrets", &"******")
            .field("timeout", &self.timeout)
            .field("attempts", &self.attempts)
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
}

/// Endpoints and rules.
#[derive(Debug, Clone, Default)]
pub struct CallbackSettings {
    /// Every endpoint.
    pub endpoints: Vec<EndpointSettings>,
    /// Every rule.
    pub rules: Vec<RuleSettings>,
}

impl CallbackSettings {
    /// Adds a file's rows.
    pub(super) fn apply(&mut self, rows: Vec<Row>) -> Result<(), ConfigError> {
        for row in rows {
            match row.table.as_str() {
                ENDPOINT => self.endpoints.push(endpoint(row)?),
                RULE => self.rules.push(rule(row)?),
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
            let names = || self.endpoints.iter().map(|endpoint| endpoint.name.as_str());
            if !names().any(|name| name == rule.endpoint) {
                let hint = nearest(&rule.endpoint, names())
                    .map(|name| format!("; did you mean \"{name}\"?"))
                    .unwrap_or_default();
                return Err(ConfigError::Whole(format!(
                    "a callback rule names the endpoint \"{}\", which no [[callback.endpoint]] \
                     has{hint}",
                    rule.endpoint
                )));
            }
        }
        Ok(())
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
    };
    for entry in row.entries {
        match entry.name.as_str() {
            "name" => endpoint.name = text(entry)?,
            "url" => endpoint.url = url(entry)?,
            "secrets" => endpoint.secrets = secrets(entry)?,
            "timeout_seconds" => {
                endpoint.timeout = Duration::from_secs(number(entry, &TIMEOUT_SECONDS)?);
            }
            "attempts" => endpoint.attempts = number(entry, &ATTEMPTS)?,
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
    for entry in row.entries {
        match entry.name.as_str() {
            "endpoint" => rule.endpoint = text(entry)?,
            "bucket" => rule.bucket = Some(text(entry)?).filter(|name| name != "*"),
            "events" => rule.events = events(entry)?,
            "prefix" => rule.prefix = text(entry)?,
            "suffix" => rule.suffix = text(entry)?,
            _ => return Err(unknown(RULE, entry, &RULE_FIELDS)),
        }
    }
    filled(&place, "endpoint", &rule.endpoint)?;
    if rule.events.is_empty() {
        rule.events = vec!["s3:ObjectCreated:*".to_owned()];
    }
    Ok(rule)
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

fn secrets(entry: Entry) -> Result<Vec<String>, ConfigError> {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let valid = |secret: &String| {
        let decoded = secret
            .strip_prefix("whsec_")
            .map(|text| engine.decode(text));
        matches!(decoded, Some(Ok(key)) if SECRET_BYTES.contains(&key.len()))
    };
    if entry.values.iter().all(valid) {
        Ok(entry.values)
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
