//! Where the server is and which certificates it shows, for commands on the same machine.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::doors::Doors;
use super::lock::{FolderLock, Holder, LockError};
use super::tls::{self, Tls};

/// What the data folder says of its server.
#[derive(Debug, Clone)]
pub(super) struct Announcement {
    lock: Arc<FolderLock>,
    pub(super) endpoint: String,
    admin: Option<String>,
    region: String,
    certificates: Vec<Arc<Tls>>,
}

impl Announcement {
    pub(super) fn of(doors: &Doors, lock: &Arc<FolderLock>, region: &str) -> Self {
        Self {
            lock: Arc::clone(lock),
            endpoint: doors.endpoint().to_owned(),
            admin: doors.admin_endpoint().map(str::to_owned),
            region: region.to_owned(),
            certificates: doors.certificates(),
        }
    }

    /// Tells other processes.
    ///
    /// # Errors
    /// [`LockError::Io`].
    pub(super) fn publish(&self) -> Result<(), LockError> {
        let shown = self.certificates.iter();
        self.lock.announce(&Holder {
            pid: std::process::id(),
            endpoint: self.endpoint.clone(),
            admin: self.admin.clone(),
            region: Some(self.region.clone()),
            certificates: shown.flat_map(|tls| tls.fingerprints()).collect(),
        })
    }

    /// Looks for new certificates until `stop`, and tells of them.
    pub(super) fn keep(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        for tls in self.certificates.clone() {
            let known = self.clone();
            let changed = move || {
                if let Err(error) = known.publish() {
                    tracing::error!(%error, "commands can't be told of the new certificates");
                }
            };
            tasks.spawn(tls::watch(tls, changed, stop.clone()));
        }
    }
}
