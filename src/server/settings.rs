//! What the configuration says, in the words of the layers that it is for: they know no configuration.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{StartError, doors};
use crate::auth::KeyRing;
use crate::callback::{CallbackConfig, Callbacks, CheckConfig, EndpointConfig, RuleConfig, Secret};
use crate::clock::{Clock, SystemClock};
use crate::config::{
    ActiveContent, CallbackSettings, CheckSettings, Config, EndpointSettings, GuardSettings,
    RuleSettings, SyncSettings, Wait,
};
use crate::s3::explain::Explainer;
use crate::s3::throttle::ThrottleSettings;
use crate::s3::{self, Reach, ServiceSettings};

/// Who is told to slow down.
pub(super) fn throttle_of(guard: &GuardSettings) -> ThrottleSettings {
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
pub(super) fn explainer_of(
    settings: &ServiceSettings,
    keys: Arc<dyn KeyRing>,
    endpoint: &str,
) -> Explainer {
    let own = endpoint.split_once("://").map_or(endpoint, |(_, own)| own);
    let reach = Arc::clone(&settings.reach);
    Explainer::new(reach, keys, settings.auth(), own.to_owned())
}

/// What the service is told of itself.
pub(super) fn settings_of(config: &Config) -> ServiceSettings {
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

/// Endpoints, rules and checks of callbacks, as the deliverer knows them.
pub(super) fn callbacks_of(settings: &CallbackSettings) -> CallbackConfig {
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
