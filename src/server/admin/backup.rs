//! Backups, made by who holds the data folder.

use std::path::PathBuf;
use std::sync::Arc;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::job::{Job, Run};
use super::{Admin, Asked};
use crate::s3::AdminError;
use crate::server::backup::{self, BackupOptions, BackupProgress, BackupReport};

/// The last backup that was begun.
pub(in crate::server) type BackupJob = Job<BackupProgress, BackupReport>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    /// A folder of backups on the server's machine.
    folder: PathBuf,
    /// The folder's own token: who knows it can write there.
    token: String,
    #[serde(default)]
    options: BackupOptions,
}

impl Admin {
    pub(super) fn answer_backup(&self, asked: &Asked<'_>) -> Result<Value, AdminError> {
        match (asked.method, asked.path) {
            (&Method::GET, "backup") => match self.backup.last().as_deref() {
                Some(run) => shown(run),
                None => Err(AdminError::NotFound("no backup was begun".to_owned())),
            },
            (&Method::POST, "backup") => self.begin_backup(asked.json()?),
            _ => Err(asked.unknown()),
        }
    }

    fn begin_backup(&self, begin: Begin) -> Result<Value, AdminError> {
        let source = self.source.clone().ok_or_else(|| {
            AdminError::Failed("this server keeps nothing that can be backed up".to_owned())
        })?;
        let run = self.backup.begin("a backup")?;
        let (stop, clock) = (self.background.stop.clone(), Arc::clone(&self.clock));
        let answer = shown(&run);
        self.background.tasks.spawn(async move {
            let progress = run.progress.clone();
            let place = (begin.folder, begin.token);
            let made = backup::make(source, place, begin.options, progress, stop).await;
            run.end(clock.now(), made.map_err(|error| error.to_string()));
        });
        answer
    }
}

fn shown(run: &Run<BackupProgress, BackupReport>) -> Result<Value, AdminError> {
    let report = run.report()?;
    Ok(json!({
        "running": report.is_none(),
        "blobs": run.progress.blobs(),
        "bytes": run.progress.bytes(),
        "bytes_total": run.progress.bytes_total(),
        "report": report,
    }))
}
