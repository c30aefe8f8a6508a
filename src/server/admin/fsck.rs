//! The check of the store.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::job::{Job, Run};
use super::{Admin, Asked};
use crate::s3::AdminError;
use crate::store::fsck::{FsckOptions, FsckProgress, FsckReport};

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
        let options = FsckOptions {
            read_blobs: begin.read_blobs,
        };
        let answer = shown(&run);
        self.background.tasks.spawn(async move {
            run.end(tokio::select! {
                () = stop.cancelled() => Err("the server was stopped".to_owned()),
                checked = store.fsck(options, &run.progress) => {
                    checked.map_err(|error| error.to_string())
                }
            });
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
