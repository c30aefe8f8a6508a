//! `consign fsck`: whether everything that the store promises is there.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{AdminClient, CliError, Remote, block_on, print_json, text};
use crate::config::Config;
use crate::server;
use crate::store::fsck::{FsckOptions, FsckProgress};

/// How often a check that runs is asked how far it is.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(200);
/// A check that ends sooner shows no bar.
const LONG: Duration = Duration::from_secs(1);

/// Check that everything stored is there and whole
#[derive(Debug, Args)]
#[command(
    after_help = "It asks the server that runs in the data folder, or opens the folder \
    itself where none runs. It changes no data, and ends with code 1 where something is wrong.\n\n\
    Examples:\n  \
    consign fsck                                      names, lengths and footers\n  \
    consign fsck --read-blobs                         every byte against its checksum\n  \
    consign fsck --json"
)]
pub(super) struct FsckArgs {
    #[command(flatten)]
    remote: Remote,
    /// Read every byte of every blob, too
    #[arg(long)]
    read_blobs: bool,
}

pub(super) fn run(args: &FsckArgs) -> Result<ExitCode, CliError> {
    let config = args.remote.common.load()?;
    let report = block_on(async {
        match online(&config, &args.remote).await? {
            Some(client) => ask(&client, args.read_blobs).await,
            None => open(&config, args.read_blobs).await,
        }
    })?;
    if args.remote.json {
        print_json(&report)?;
    } else {
        print_report(&report);
    }
    let clean = report
        .get("findings")
        .and_then(Value::as_array)
        .is_some_and(Vec::is_empty);
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The server to ask: the one that is named, or the one in the folder if it answers.
pub(super) async fn online(
    config: &Config,
    remote: &Remote,
) -> Result<Option<AdminClient>, CliError> {
    let is_named = remote.endpoint.is_some();
    if !is_named && server::announced(&config.data_dir).is_none() {
        return Ok(None);
    }
    let client = remote.client_by(config)?;
    // A server that was killed leaves its announcement behind.
    let there = is_named || client.is_reachable().await;
    Ok(there.then_some(client))
}

async fn ask(client: &AdminClient, read_blobs: bool) -> Result<Value, CliError> {
    let body = json!({ "read_blobs": read_blobs });
    let mut state = client.ask(Method::POST, "fsck", Some(&body)).await?;
    let bar = Bar::new();
    loop {
        if let Some(report) = state.get("report").filter(|report| !report.is_null()) {
            bar.finish();
            return Ok(report.clone());
        }
        let number = |field| state.get(field).and_then(Value::as_u64).unwrap_or_default();
        let records = format!("{} records", number("records"));
        bar.show(&records, number("bytes"), number("bytes_total"));
        tokio::time::sleep(ASK_EVERY).await;
        state = client.ask(Method::GET, "fsck", None).await?;
    }
}

async fn open(config: &Config, read_blobs: bool) -> Result<Value, CliError> {
    let (progress, bar) = (Arc::new(FsckProgress::default()), Bar::new());
    let check = server::fsck(config, FsckOptions { read_blobs }, &progress);
    tokio::pin!(check);
    let report = loop {
        tokio::select! {
            report = &mut check => break report?,
            () = tokio::time::sleep(ASK_EVERY) => {
                let records = format!("{} records", progress.records());
                bar.show(&records, progress.bytes(), progress.bytes_total());
            }
        }
    };
    bar.finish();
    serde_json::to_value(report).map_err(|error| CliError::Io(error.into()))
}

/// A bar on standard error, once the check has taken a while; none where that is no terminal.
pub(super) struct Bar {
    bar: ProgressBar,
    began: tokio::time::Instant,
}

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::hidden();
        let style = "{bar:40} {bytes}/{total_bytes} {eta}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        let began = tokio::time::Instant::now();
        Self { bar, began }
    }

    pub(super) fn show(&self, what: &str, bytes: u64, total: u64) {
        if self.bar.is_hidden() && self.began.elapsed() > LONG {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total);
        self.bar.set_position(bytes);
        self.bar.set_message(what.to_owned());
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn print_report(report: &Value) {
    let number = |field| {
        report
            .get(field)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    };
    let depth = if report.get("read_blobs") == Some(&Value::Bool(true)) {
        "every byte read"
    } else {
        "lengths and footers; --read-blobs reads every byte"
    };
    println!(
        "{} records and {} blobs of {} bytes checked ({depth}).",
        number("records"),
        number("blobs"),
        number("bytes")
    );
    let (garbage, files) = (number("garbage"), number("leftover_files"));
    if garbage.saturating_add(files) > 0 {
        println!(
            "{garbage} deleted blobs and {files} leftover files wait to be removed: no fault."
        );
    }
    let findings = report.get("findings").and_then(Value::as_array);
    let findings: Vec<_> = findings.into_iter().flatten().collect();
    if findings.is_empty() {
        println!("Nothing is wrong.");
        return;
    }
    println!("\n{:<18} {:>8}", "FINDING", "TIMES");
    let kinds = report.get("kinds").and_then(Value::as_object);
    for (kind, count) in kinds.into_iter().flatten() {
        println!("{kind:<18} {count:>8}");
    }
    println!();
    for finding in findings {
        let (kind, place) = (text(finding, "kind"), text(finding, "place"));
        println!("{kind}: {place}: {}", text(finding, "detail"));
    }
}
