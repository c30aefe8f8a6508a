//! Who may do what, and what keeps their secrets.

use std::sync::Arc;

use super::audit::AuditLog;
use super::{StartError, master_key};
use crate::auth;
use crate::clock::Clock;
use crate::config::{Config, RootKey};
use crate::store::accounts::Accounts;
use crate::store::keys;
use crate::store::meta::MetaEngine;
use crate::store::seal::MasterRing;

/// Who may, with what seals their secrets and what tells of them.
pub(super) struct Custody {
    pub(super) accounts: Arc<Accounts>,
    pub(super) keys: Arc<keys::Keys>,
    pub(super) masters: MasterRing,
    pub(super) audit: Option<Arc<AuditLog>>,
}

impl Custody {
    /// Opens all of it, as the configuration says.
    ///
    /// # Errors
    /// [`StartError`].
    pub(super) async fn take(
        config: &Config,
        root: &RootKey,
        meta: &Arc<dyn MetaEngine>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let root = keys::RootKey {
            access_key: root.access_key.clone(),
            secret: auth::Secret::new(root.secret_key.as_str()),
        };
        let masters = master_key::load_or_make(&config.data_dir, &config.encryption)?;
        let audit = audit_of(config, meta, &masters, clock).await?;
        let (meta, clock) = (Arc::clone(meta), Arc::clone(clock));
        let accounts = Accounts::open(Arc::clone(&meta), Arc::clone(&clock)).await?;
        let of_keys = Arc::clone(&accounts);
        let keys = keys::Keys::open(meta, clock, of_keys, root, masters.clone()).await?;
        Ok(Self {
            accounts,
            keys,
            masters,
            audit,
        })
    }
}

/// The audit log, where one is kept.
async fn audit_of(
    config: &Config,
    meta: &Arc<dyn MetaEngine>,
    masters: &MasterRing,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<AuditLog>>, StartError> {
    if !config.audit.enabled {
        return Ok(None);
    }
    let (meta, clock) = (Arc::clone(meta), Arc::clone(clock));
    Ok(Some(AuditLog::open(config, meta, masters, clock).await?))
}
