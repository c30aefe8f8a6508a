//! Work that may take hours: begun by one request, asked for by others.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::clock::Timestamp;
use crate::s3::AdminError;

/// The last run of one kind of work.
#[derive(Debug)]
pub(in crate::server) struct Job<P, R>(Mutex<Option<Arc<Run<P, R>>>>);

/// One run: how far it is, and what came of it.
#[derive(Debug)]
pub(super) struct Run<P, R> {
    pub(super) progress: Arc<P>,
    outcome: OnceLock<(Timestamp, Result<R, String>)>,
}

impl<P, R> Default for Job<P, R> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<P: Default, R> Job<P, R> {
    /// The last run, if there was one.
    pub(super) fn last(&self) -> Option<Arc<Run<P, R>>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// A new run, where none is under way: two would only slow each other.
    pub(super) fn begin(&self, what: &str) -> Result<Arc<Run<P, R>>, AdminError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|run| run.outcome.get().is_none()) {
            return Err(AdminError::Invalid(format!("{what} is under way")));
        }
        let run = Arc::new(Run {
            progress: Arc::default(),
            outcome: OnceLock::new(),
        });
        *last = Some(Arc::clone(&run));
        Ok(run)
    }
}

impl<P, R> Run<P, R> {
    /// Says what came of it, and when; only the first word counts.
    pub(super) fn end(&self, at: Timestamp, outcome: Result<R, String>) {
        drop(self.outcome.set((at, outcome)));
    }

    /// Its result and when it came; none while it runs, or where it failed.
    pub(super) fn result(&self) -> Option<(Timestamp, &R)> {
        let (at, outcome) = self.outcome.get()?;
        Some((*at, outcome.as_ref().ok()?))
    }

    /// Its result; none while it runs.
    pub(super) fn report(&self) -> Result<Option<&R>, AdminError> {
        match self.outcome.get() {
            None => Ok(None),
            Some((_at, Ok(report))) => Ok(Some(report)),
            Some((_at, Err(error))) => Err(AdminError::Failed(error.clone())),
        }
    }
}
