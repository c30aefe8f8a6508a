//! Explains a request without a server, by one key.

use std::sync::Arc;

use crate::auth::explain::{Explanation, Request};
use crate::auth::{AccessKey, KeyRing, Scope, Secret};
use crate::clock::Timestamp;
use crate::config::{Config, RootKey};
use crate::s3::explain::Explainer;

/// A ring with one key, or none.
struct OneKey(Option<Arc<AccessKey>>);

impl KeyRing for OneKey {
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        self.0.clone().filter(|key| key.access_key == access_key)
    }
}

/// Explains `request` as a server of this configuration would that knows this key alone.
pub fn explain(
    config: &Config,
    request: &Request,
    key: Option<&RootKey>,
    now: Timestamp,
) -> Explanation {
    let key = key.map(|key| {
        Arc::new(AccessKey {
            access_key: key.access_key.clone(),
            name: String::new(),
            secret: Secret::new(key.secret_key.as_str()),
            disabled: false,
            scope: Scope::default(),
            root: false,
            owner: String::new(),
            policy: None,
            temporary: None,
        })
    });
    let settings = super::settings_of(config);
    let (reach, auth) = (Arc::clone(&settings.reach), settings.auth());
    let own = config.listen.to_string();
    Explainer::new(reach, Arc::new(OneKey(key)), auth, own).explain(request, now)
}
