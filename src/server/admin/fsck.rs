//! The check of the store.

use std::sync::Arc;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::job::{Job, Run};
use super::{Admin, Asked};
use crate::metrics::Reading;
use crate::s3::AdminError;
use crate::store::fsck::{FindingKind, FsckOptions, FsckProgress, FsckReport};

/// The last check that was begun.
pub(in crate::server) type Fsck = Job<FsckProgress, FsckReport>;

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
                Some(run) => shown(run),
                None => Err(AdminError::NotFound("no check was begun".to_owned())),
            },
            (&Method::POST, "fsck") => self.begin_fsck(&asked.json()?),
            _ => Err(asked.unknown()),
        }
    }

    fn begin_fsck(&self, begin: &Begin) -> Result<Value, AdminError> {
        let run = self.fsck.begin("a check")?;
        let (store, stop) = (self.store.clone(), self.background.stop.clone());
        let clock = Arc::clone(&self.clock);
        let options = FsckOptions {
            read_blobs: begin.read_blobs,
        };
        let answer = shown(&run);
        self.background.tasks.spawn(async move {
            let outcome = tokio::select! {
                () = stop.cancelled() => Err("the server was stopped".to_owned()),
                checked = store.fsck(options, &run.progress) => {
                    checked.map_err(|error| error.to_string())
                }
            };
            run.end(clock.now(), outcome);
        });
        answer
    }
}

/// How the last check stands.
pub(super) fn state(fsck: &Fsck) -> &'static str {
    let Some(run) = fsck.last() else {
        return "never";
    };
    match run.report() {
        Ok(None) => "running",
        Ok(Some(report)) if report.is_clean() => "clean",
        Ok(Some(_)) => "damaged",
        Err(_) => "failed",
    }
}

/// The last check since the start, as numbers.
pub(in crate::server) fn readings(fsck: &Fsck) -> Vec<Reading> {
    let last = fsck.last();
    let result = last.as_ref().and_then(|run| run.result());
    let running = last
        .as_ref()
        .is_some_and(|run| matches!(run.report(), Ok(None)));
    let mut readings = vec![
        Reading::gauge(
            "consign_fsck_running",
            "1 while a check of the store is under way",
            running,
        ),
        Reading::gauge(
            "consign_fsck_finished_time_seconds",
            "When the last check since the start ended, in seconds of the Unix epoch; 0: none has",
            result.map_or(0, |(at, _)| at.unix_s()),
        ),
    ];
    readings.extend(FindingKind::ALL.into_iter().map(|kind| {
        let found = result.and_then(|(_, report)| report.kinds.get(&kind).copied());
        let help = "What the last check since the start found, by kind: consign fsck tells where";
        let name = kind.name().unwrap_or_default();
        Reading::gauge("consign_fsck_findings", help, found.unwrap_or(0)).labelled("kind", name)
    }));
    readings
}

fn shown(run: &Run<FsckProgress, FsckReport>) -> Result<Value, AdminError> {
    let report = run.report()?;
    Ok(json!({
        "running": report.is_none(),
        "records": run.progress.records(),
        "bytes": run.progress.bytes(),
        "bytes_total": run.progress.bytes_total(),
        "report": report,
    }))
}
