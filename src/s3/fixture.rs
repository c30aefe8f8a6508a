//! A whole service in memory, and its root key: for tests of what a request does.

use std::sync::Arc;
use std::time::Duration;

use super::access::Policies;
use super::active::ActiveContent;
use super::context::{Service, ServiceSettings};
use super::learned::Asked;
use super::throttle::{Throttle, ThrottleSettings};
use crate::auth::{AccessKey, KeyRing, Scope, Secret};
use crate::clock::Clock;
use crate::store::accounts::Accounts;
use crate::store::blob::memory::MemoryBlobs;
use crate::store::meta::MetaEngine;
use crate::store::seal::{MasterKey, MasterRing};
use crate::store::{NoHook, ObjectStore, StoreError, StoreSettings};

/// A ring of one key.
pub(crate) struct OneKey(pub(crate) Arc<AccessKey>);

impl KeyRing for OneKey {
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        (self.0.access_key == access_key).then(|| Arc::clone(&self.0))
    }
}

/// The root key, whose objects belong to `owner`.
pub(crate) fn root_key(owner: &str) -> AccessKey {
    AccessKey {
        access_key: "AK".into(),
        name: "n".into(),
        secret: Secret::new("s"),
        disabled: false,
        scope: Scope::default(),
        root: true,
        owner: owner.to_owned(),
        policy: None,
        temporary: None,
    }
}

/// A service over `meta`, whose blobs are in memory and whose one key is the root's.
pub(crate) async fn service_over(
    meta: Arc<dyn MetaEngine>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<Service>, StoreError> {
    let blobs = Arc::new(MemoryBlobs::new());
    let settings = StoreSettings {
        inline_bytes_max: 4,
    };
    let accounts = Accounts::open(Arc::clone(&meta), Arc::clone(&clock)).await?;
    let root = root_key(&accounts.root().id);
    let store = ObjectStore::open(meta, blobs, Arc::clone(&clock), Arc::new(NoHook), settings);
    Ok(Arc::new(Service {
        masters: MasterRing::new("1".into(), MasterKey::from_bytes([1; 32])),
        store: store.await?,
        keys: Arc::new(OneKey(Arc::new(root))),
        accounts,
        settings: ServiceSettings {
            region: "us-east-1".into(),
            reach: Arc::default(),
            presign_seconds_max: 3600,
            signature_v2: true,
            active_content: ActiveContent::default(),
            body_idle: Duration::from_secs(5),
        },
        clock,
        policies: Policies::default(),
        refusals: Arc::default(),
        throttle: Arc::new(Throttle::new(ThrottleSettings::default())),
        audit: None,
        access_log: Arc::default(),
        requests: Asked::counters(),
        numbers: None,
        tracer: None,
        admin: None,
        oss: None,
    }))
}
