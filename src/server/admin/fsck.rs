//! The check of the store: it may take hours, so it is begun by one request and asked for by others.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Asked};
use crate::s3::AdminError;
use crate::store::fsck::{FsckOptions, FsckProgress, FsckReport};

/// The last check that was begun.
#[derive(Debug, Default)]
pub(in crate::server) struct Fsck(Mutex<Option<Arc<Run>>>);

#[derive(Debug, Default)]
struct Run {
    progress: Arc<FsckProgress>,
    outcome: OnceLock<Result<FsckReport, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    #[serde(default)]
    read_blobs: bool,
}

impl Admin {
    pub(super) fn answer_fsck(&self, asked: &Asked<'_>) -> Result<Value, AdminError> {
        match (asked.method, asked.path) {
            (&Method::GET, "fsck") => match self.fsck.last().as_deref() {
                Some(run) => run.shown(),
                None => Err(AdminError::NotFound("no check was begun".to_owned())),
            },
            (&Method::POST, "fsck") => self.begin_fsck(&asked.json()?),
            _ => Err(asked.unknown()),
        }
    }

    fn begin_fsck(&self, begin: &Begin) -> Result<Value, AdminError> {
        let run = self.fsck.begin()?;
        let (store, stop) = (self.store.clone(), self.background.stop.clone());
        let options = FsckOptions {
            read_blobs: begin.read_blobs,
        };
        let shown = run.shown();
        self.background.tasks.spawn(async move {
            let outcome = tokio::select! {
                () = stop.cancelled() => Err("the server was stopped".to_owned()),
                checked = store.fsck(options, &run.progress) => {
                    checked.map_err(|error| error.to_string())
                }
            };
            // It is empty: a run is begun once.
            drop(run.outcome.set(outcome));
        });
        shown
    }
}

impl Fsck {
    fn last(&self) -> Option<Arc<Run>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A new run, where none is under way: two would only slow each other.
    fn begin(&self) -> Result<Arc<Run>, AdminError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|run| run.outcome.get().is_none()) {
            return Err(AdminError::Invalid("a check is under way".to_owned()));
        }
        let run = Arc::new(Run::default());
        *last = Some(Arc::clone(&run));
        Ok(run)
    }
}

impl Run {
    fn shown(&self) -> Result<Value, AdminError> {
        let report = match self.outcome.get() {
            None => None,
            Some(Ok(report)) => Some(report),
            Some(Err(error)) => return Err(AdminError::Failed(error.clone())),
        };
        Ok(json!({
            "running": report.is_none(),
            "records": self.progress.records(),
            "bytes": self.progress.bytes(),
            "bytes_total": self.progress.bytes_total(),
            "report": report,
        }))
    }
}
