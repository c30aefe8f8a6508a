//! Checks what no single setting can know.

use super::{Config, ConfigError, Dialect};

/// The longest expiry that `SigV4` knows.
const PRESIGN_SECONDS_MAX: u64 = 604_800;

/// The smallest head limit with which SDK requests still fit.
const HEAD_BYTES_MIN: usize = 8 * 1024;

/// More than this beside each record would make the metadata engine a blob store.
const INLINE_BYTES_MAX: usize = 1024 * 1024;

/// Each is two tries of a signature that does not fit, in each of two ways to name a bucket.
const PUBLIC_URLS_MAX: usize = 16;

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let half = config
        .root_key
        .as_ref()
        .is_some_and(|key| key.access_key.is_empty() || key.secret_key.is_empty());
    demand(!half, || {
        "root_access_key and root_secret_key must be given together".to_owned()
    })?;
    demand(
        (1..=PRESIGN_SECONDS_MAX).contains(&config.presign_seconds_max),
        || format!("presign_seconds_max must lie between 1 and {PRESIGN_SECONDS_MAX}"),
    )?;
    demand(config.public_urls.len() <= PUBLIC_URLS_MAX, || {
        format!("public_urls must be at most {PUBLIC_URLS_MAX}")
    })?;
    demand(
        config.oss.callback_urls.is_empty() || config.dialects.contains(&Dialect::Oss),
        || "oss.callback_urls needs dialects = [\"oss\"]".to_owned(),
    )?;
    demand(!config.logging_time.is_zero(), || {
        "logging.seconds must not be 0".to_owned()
    })?;
    demand(!config.lifecycle_day.is_zero(), || {
        "lifecycle.day_seconds must not be 0".to_owned()
    })?;
    demand(config.limits.connections > 0, || {
        "limits.connections must not be 0".to_owned()
    })?;
    demand(config.limits.requests > 0, || {
        "limits.requests must not be 0".to_owned()
    })?;
    demand(config.limits.head_bytes >= HEAD_BYTES_MIN, || {
        format!("limits.head_bytes must be at least {HEAD_BYTES_MIN}")
    })?;
    demand(config.inline_bytes_max <= INLINE_BYTES_MAX, || {
        format!("inline_bytes_max must be at most {INLINE_BYTES_MAX}")
    })?;
    check_tls(config)?;
    config.callback.check()
}

fn check_tls(config: &Config) -> Result<(), ConfigError> {
    let own = &config.admin.tls;
    for (name, tls) in [("tls", &config.tls), ("admin.tls", own)] {
        demand(tls.certificates.len() == tls.keys.len(), || {
            format!("{name}.certificate needs a {name}.key for each, in the same order")
        })?;
    }
    let apart = config.admin.listen.is_some();
    demand(apart || (!own.is_on() && own.client_ca.is_none()), || {
        "admin.tls needs admin.listen".to_owned()
    })?;
    demand(
        own.client_ca.is_none() || config.admin_tls().is_on(),
        || "admin.tls.client_ca needs a certificate to be shown to clients".to_owned(),
    )
}

fn demand(holds: bool, message: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds {
        Ok(())
    } else {
        Err(ConfigError::Whole(message()))
    }
}
