//! The table of plain settings: a name, and how its text becomes part of the [`Config`].

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{ActiveContent, Config, Dialect, Durability, LogFormat, RecordFormat, RootKey};
use crate::network::Network;
use crate::public_url::PublicUrl;

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its name in the file, and in `--set`.
    pub(super) name: &'static str,
    /// Whether a change takes effect while the server runs: see [`Config::reloaded`].
    pub(super) live: bool,
    apply: Apply,
}

/// Puts a setting's text in place, or says what it must be.
#[derive(Debug)]
enum Apply {
    /// It takes one value.
    One(fn(&mut Config, &str) -> Result<(), String>),
    /// It takes a list: in the environment, separated by commas.
    List(fn(&mut Config, &[String]) -> Result<(), String>),
}

/// Every setting, in the order of the sample file.
pub(super) const SETTINGS: &[Setting] = &[
    one("listen", |config, text| {
        put(&mut config.listen, listen(text)?)
    }),
    one("data_dir", |config, text| {
        put(&mut config.data_dir, filled(text)?.into())
    }),
    one("region", |config, text| {
        put(&mut config.region, filled(text)?)
    }),
    list("domains", |config, values| {
        put(&mut config.domains, lowercase(values))
    })
    .live(),
    list("website_domains", |config, values| {
        put(&mut config.website_domains, lowercase(values))
    })
    .live(),
    list("public_urls", |config, values| {
        put(&mut config.public_urls, each(values, public_url)?)
    })
    .live(),
    list("trusted_proxies", |config, values| {
        put(&mut config.trusted_proxies, each(values, network)?)
    })
    .live(),
    one("root_access_key", |config, text| {
        put(&mut root(config).access_key, filled(text)?)
    }),
    one("root_secret_key", |config, text| {
        put(&mut root(config).secret_key, filled(text)?)
    }),
    one("durability", |config, text| {
        put(&mut config.durability, durability(text)?)
    }),
    one("inline_bytes_max", |config, text| {
        put(&mut config.inline_bytes_max, number(text)?)
    }),
    one("presign_seconds_max", |config, text| {
        put(&mut config.presign_seconds_max, number(text)?)
    })
    .live(),
    one("signature_v2", |config, text| {
        put(&mut config.signature_v2, switch(text)?)
    })
    .live(),
    list("dialects", |config, values| {
        put(&mut config.dialects, dialects(values)?)
    })
    .live(),
    list("oss.callback_urls", |config, values| {
        put(&mut config.oss.callback_urls, urls(values)?)
    })
    .live(),
    one("encryption.master_key", |config, text| {
        put(&mut config.encryption.master_key, Some(master_key(text)?))
    }),
    list("encryption.previous_master_keys", |config, values| {
        let keys = values.iter().map(|text| master_key(text));
        put(
            &mut config.encryption.previous_master_keys,
            keys.collect::<Result<_, _>>()?,
        )
    }),
    list("encryption.kms_keys", |config, values| {
        put(&mut config.encryption.kms_keys, Some(values.to_vec()))
    })
    .live(),
    one("logging.seconds", |config, text| {
        put(&mut config.logging_time, seconds(text)?)
    })
    .live(),
    one("lifecycle.day_seconds", |config, text| {
        put(&mut config.lifecycle_day, seconds(text)?)
    })
    .live(),
    list("tls.certificate", |config, values| {
        put(&mut config.tls.certificates, each(values, path)?)
    })
    .live(),
    list("tls.key", |config, values| {
        put(&mut config.tls.keys, each(values, path)?)
    })
    .live(),
    one("access_log.file", |config, text| {
        put(&mut config.access_log.file, Some(filled(text)?.into()))
    }),
    one("access_log.format", |config, text| {
        put(&mut config.access_log.format, record_format(text)?)
    })
    .live(),
    one("access_log.rotate_bytes", |config, text| {
        put(&mut config.access_log.rotate_bytes, number(text)?)
    })
    .live(),
    one("access_log.rotate_seconds", |config, text| {
        put(&mut config.access_log.rotate_time, seconds(text)?)
    })
    .live(),
    one("access_log.keep", |config, text| {
        put(&mut config.access_log.keep, number(text)?)
    })
    .live(),
    one("telemetry.otlp_endpoint", |config, text| {
        let [url] = urls(&[text.to_owned()])?.try_into().unwrap_or_default();
        put(&mut config.telemetry.otlp_endpoint, Some(url))
    }),
    list("telemetry.headers", |config, values| {
        put(&mut config.telemetry.headers, each(values, header)?)
    }),
    one("telemetry.service_name", |config, text| {
        put(&mut config.telemetry.service_name, filled(text)?)
    }),
    one("telemetry.sampling_ratio", |config, text| {
        put(&mut config.telemetry.sampling_ratio, ratio(text)?)
    })
    .live(),
    one("telemetry.honour_traceparent", |config, text| {
        put(&mut config.telemetry.honour_traceparent, switch(text)?)
    })
    .live(),
    one("telemetry.keys", |config, text| {
        put(&mut config.telemetry.keys, switch(text)?)
    })
    .live(),
    one("admin.listen", |config, text| {
        put(&mut config.admin.listen, Some(listen(text)?))
    }),
    one("scrub.bytes_per_second", |config, text| {
        put(&mut config.scrub.bytes_per_second, number(text)?)
    })
    .live(),
    one("scrub.every_days", |config, text| {
        put(&mut config.scrub.every, days(text)?)
    })
    .live(),
    list("admin.tls.certificate", |config, values| {
        put(&mut config.admin.tls.certificates, each(values, path)?)
    })
    .live(),
    list("admin.tls.key", |config, values| {
        put(&mut config.admin.tls.keys, each(values, path)?)
    })
    .live(),
    one("admin.tls.client_ca", |config, text| {
        put(&mut config.admin.tls.client_ca, Some(path(text)?))
    })
    .live(),
    one("limits.connections", |config, text| {
        put(&mut config.limits.connections, number(text)?)
    }),
    one("limits.requests", |config, text| {
        put(&mut config.limits.requests, number(text)?)
    }),
    one("limits.free_bytes_min", |config, text| {
        put(&mut config.limits.free_bytes_min, number(text)?)
    }),
    one("limits.head_bytes", |config, text| {
        put(&mut config.limits.head_bytes, number(text)?)
    })
    .live(),
    one("limits.head_seconds", |config, text| {
        put(&mut config.limits.head_time, seconds(text)?)
    })
    .live(),
    one("limits.idle_seconds", |config, text| {
        put(&mut config.limits.idle_time, seconds(text)?)
    })
    .live(),
    one("limits.body_idle_seconds", |config, text| {
        put(&mut config.limits.body_idle_time, seconds(text)?)
    })
    .live(),
    one("limits.shutdown_seconds", |config, text| {
        put(&mut config.limits.shutdown_time, seconds(text)?)
    })
    .live(),
    one("guard.failures_per_minute_key", |config, text| {
        put(&mut config.guard.failures_per_key, number(text)?)
    })
    .live(),
    one("guard.failures_per_minute_address", |config, text| {
        put(&mut config.guard.failures_per_address, number(text)?)
    })
    .live(),
    one("guard.requests_per_second_key", |config, text| {
        put(&mut config.guard.requests_per_key, number(text)?)
    })
    .live(),
    one("guard.requests_per_second_address", |config, text| {
        put(&mut config.guard.requests_per_address, number(text)?)
    })
    .live(),
    one("guard.bytes_per_second_key", |config, text| {
        put(&mut config.guard.bytes_per_key, number(text)?)
    })
    .live(),
    one("guard.bytes_per_second_address", |config, text| {
        put(&mut config.guard.bytes_per_address, number(text)?)
    })
    .live(),
    list("guard.exempt", |config, values| {
        put(&mut config.guard.exempt, each(values, network)?)
    })
    .live(),
    one("active_content", |config, text| {
        put(&mut config.active_content, active_content(text)?)
    })
    .live(),
    one("audit.enabled", |config, text| {
        put(&mut config.audit.enabled, switch(text)?)
    }),
    one("audit.file_bytes", |config, text| {
        put(&mut config.audit.file_bytes, number(text)?)
    })
    .live(),
    list("callback.networks", |config, values| {
        put(&mut config.callback.networks, each(values, network)?)
    })
    .live(),
    one("log.format", |config, text| {
        put(&mut config.log.format, log_format(text)?)
    }),
    one("log.level", |config, text| {
        put(&mut config.log.level, filled(text)?)
    })
    .live(),
];

impl Setting {
    /// The same, taking effect while the server runs.
    const fn live(mut self) -> Self {
        self.live = true;
        self
    }

    /// The environment variable that sets it: `limits.connections` is `CONSIGN_LIMITS_CONNECTIONS`.
    pub(super) fn env_name(&self) -> String {
        format!(
            "CONSIGN_{}",
            self.name.replace('.', "_").to_ascii_uppercase()
        )
    }

    /// Applies what a file says.
    pub(super) fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), String> {
        config.given.note(self.name, &values.join(","));
        match (&self.apply, values) {
            (Apply::List(apply), values) => apply(config, values),
            (Apply::One(apply), [text]) => apply(config, text),
            (Apply::One(_), _) => Err("takes one value, not a list".to_owned()),
        }
    }

    /// Applies what the environment or a flag says.
    pub(super) fn apply_text(&self, config: &mut Config, text: &str) -> Result<(), String> {
        config.given.note(self.name, text);
        match &self.apply {
            Apply::One(apply) => apply(config, text),
            Apply::List(apply) => {
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                apply(config, &items.map(str::to_owned).collect::<Vec<_>>())
            }
        }
    }
}

const fn one(name: &'static str, apply: fn(&mut Config, &str) -> Result<(), String>) -> Setting {
    Setting {
        name,
        live: false,
        apply: Apply::One(apply),
    }
}

const fn list(
    name: &'static str,
    apply: fn(&mut Config, &[String]) -> Result<(), String>,
) -> Setting {
    Setting {
        name,
        live: false,
        apply: Apply::List(apply),
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it ends every row of the table alike"
)]
fn put<T>(place: &mut T, value: T) -> Result<(), String> {
    *place = value;
    Ok(())
}

fn root(config: &mut Config) -> &mut RootKey {
    let empty = || RootKey {
        access_key: String::new(),
        secret_key: String::new(),
    };
    config.root_key.get_or_insert_with(empty)
}

fn each<T>(texts: &[String], read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    texts.iter().map(|text| read(text)).collect()
}

fn public_url(text: &str) -> Result<PublicUrl, String> {
    PublicUrl::parse(text).map_err(|error| format!("holds \"{text}\", which {error}"))
}

fn network(text: &str) -> Result<Network, String> {
    let network = Network::parse(text.trim());
    network.ok_or_else(|| {
        format!("holds \"{text}\", which is no address or network such as 10.0.0.0/8")
    })
}

/// `name=value`; what is wrong with it is told without the value, which may be secret.
fn header(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("must hold headers as name=value")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.trim().parse().ok();
    let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| format!("must lie between 0 and 1, not \"{text}\""))
}

fn lowercase(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

fn filled(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        Err("must not be empty".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn path(text: &str) -> Result<PathBuf, String> {
    filled(text).map(PathBuf::from)
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim()
        .parse()
        .map_err(|_ignored| format!("must be a whole number, not \"{text}\""))
}

fn switch(text: &str) -> Result<bool, String> {
    let switch = text.trim().parse();
    switch.map_err(|_ignored| format!("must be true or false, not \"{text}\""))
}

fn dialects(names: &[String]) -> Result<Vec<Dialect>, String> {
    let named = names.iter().map(|name| match name.as_str() {
        "oss" => Ok(Dialect::Oss),
        _ => Err(format!("can hold \"oss\", not \"{name}\"")),
    });
    named.collect()
}

/// Addresses whose paths go on, so that nothing but what lies below them is meant.
fn urls(texts: &[String]) -> Result<Vec<String>, String> {
    let valid = |text: &str| {
        let url = reqwest::Url::parse(text).ok();
        url.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        })
    };
    match texts.iter().find(|text| !valid(text)) {
        None => Ok(texts.to_vec()),
        Some(text) => Err(format!(
            "must hold addresses such as https://app.example.com/, not \"{text}\""
        )),
    }
}

fn master_key(text: &str) -> Result<[u8; 32], String> {
    let bytes = STANDARD.decode(text.trim()).ok();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "must be 32 bytes in base64: openssl rand -base64 32".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    number(text).map(Duration::from_secs)
}

/// A number of days; 0 is never.
fn days(text: &str) -> Result<Option<Duration>, String> {
    let days: u32 = number(text)?;
    let time = Duration::from_secs(u64::from(days).saturating_mul(24 * 3600));
    Ok((days > 0).then_some(time))
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("must be ADDRESS:PORT, such as 127.0.0.1:9000, not \"{text}\"");
    // `:9000` is every address of the machine, as in other servers.
    let full = if text.starts_with(':') {
        format!("[::]{text}")
    } else {
        text.to_owned()
    };
    full.to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .ok_or_else(wrong)
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "fsync" => Ok(Durability::Fsync),
        "none" => Ok(Durability::None),
        _ => Err(format!("must be \"fsync\" or \"none\", not \"{text}\"")),
    }
}

fn active_content(text: &str) -> Result<ActiveContent, String> {
    match text {
        "sandbox" => Ok(ActiveContent::Sandbox),
        "attachment" => Ok(ActiveContent::Attachment),
        "allow" => Ok(ActiveContent::Allow),
        _ => Err(format!(
            "must be \"sandbox\", \"attachment\" or \"allow\", not \"{text}\""
        )),
    }
}

fn record_format(text: &str) -> Result<RecordFormat, String> {
    match text {
        "aws" => Ok(RecordFormat::Aws),
        "json" => Ok(RecordFormat::Json),
        "combined" => Ok(RecordFormat::Combined),
        _ => Err(format!(
            "must be \"aws\", \"json\" or \"combined\", not \"{text}\""
        )),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!(
            "must be \"auto\", \"text\" or \"json\", not \"{text}\""
        )),
    }
}
