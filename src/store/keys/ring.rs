//! The keys in memory, where each request finds its own without a read of the store.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::auth::AccessKey;

/// Every key by its public half. Readers never wait; a change makes a new map.
pub(super) struct Ring(ArcSwap<HashMap<String, Arc<AccessKey>>>);

impl Ring {
    pub(super) fn new(keys: impl IntoIterator<Item = Arc<AccessKey>>) -> Self {
        let named = keys.into_iter().map(|key| (key.access_key.clone(), key));
        Self(ArcSwap::from_pointee(named.collect()))
    }

    pub(super) fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        self.0.load().get(access_key).cloned()
    }

    /// The key of that name; no two have one name. It is not asked for by every request.
    pub(super) fn named(&self, name: &str) -> Option<Arc<AccessKey>> {
        let ring = self.0.load();
        ring.values().find(|key| key.name == name).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<AccessKey>> {
        self.0.load().values().cloned().collect()
    }

    pub(super) fn show(&self, key: &Arc<AccessKey>) {
        self.change(|ring| ring.insert(key.access_key.clone(), Arc::clone(key)));
    }

    pub(super) fn hide(&self, access_key: &str) {
        self.change(|ring| ring.remove(access_key));
    }

    fn change<T>(&self, change: impl Fn(&mut HashMap<String, Arc<AccessKey>>) -> T) {
        self.0.rcu(|ring| {
            let mut ring = HashMap::clone(ring);
            change(&mut ring);
            ring
        });
    }
}
