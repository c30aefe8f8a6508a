//! `consign backup` and `consign restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::fsck::{ASK_EVERY, Bar, online};
use super::{AdminClient, CliError, Common, Remote, block_on, print_json, text};
use crate::config::Config;
use crate::server::{self, BackupOptions, BackupProgress, OfflineError};

/// Make a backup of everything, beside a server at work or without one
#[derive(Debug, Args)]
#[command(
    after_help = "Each run adds a generation to the folder, and takes over only what is new. On \
    the data folder's own file system it links what never changes: that guards against mistakes, \
    not against the loss of the disk. The folder holds the data folder's keys: whoever can read it \
    can read everything.\n\n\
    Examples:\n  \
    consign backup /mnt/backup/consign                while the server runs\n  \
    consign backup /mnt/backup/consign --keep 14      and remove the oldest of more than 14\n  \
    consign backup /mnt/backup/consign --rate 50MiB   and leave the disk to others\n  \
    consign backup /mnt/backup/consign --verify       read all of it\n  \
    consign restore /mnt/backup/consign --data-dir ./new-data"
)]
pub(super) struct BackupArgs {
    /// The folder of backups, on the server's machine
    folder: PathBuf,
    #[command(flatten)]
    remote: Remote,
    /// Read every backup in the folder and compare it with its checksums; make none
    #[arg(long, conflicts_with_all = ["keep", "copy", "without_keys", "rate"])]
    verify: bool,
    /// How many generations are kept; without it, all
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Copy even where links would do
    #[arg(long)]
    copy: bool,
    /// Bytes of objects that are copied in a second; without it, as many as the disks give
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    rate: Option<u64>,
    /// Leave out root-key.json, master-key.json and the like: sealed objects can't be read without
    #[arg(long)]
    without_keys: bool,
}

/// Bring a backup back into a new data folder
#[derive(Debug, Args)]
#[command(
    after_help = "The data folder must not exist, or be empty. Every byte is compared with its \
    checksum on the way.\n\nExample:\n  \
    consign restore /mnt/backup/consign --data-dir ./new-data"
)]
pub(super) struct RestoreArgs {
    /// The folder of backups
    folder: PathBuf,
    #[command(flatten)]
    common: Common,
    /// Which generation; without it, the newest
    #[arg(long, value_name = "NAME")]
    generation: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// A size that is more than nothing.
fn rate(text: &str) -> Result<u64, String> {
    match super::size::parse(text)? {
        0 => Err("must be more than nothing".to_owned()),
        bytes => Ok(bytes),
    }
}

pub(super) fn run(args: &BackupArgs) -> Result<ExitCode, CliError> {
    let folder = std::path::absolute(&args.folder)?;
    if args.verify {
        return verify(&folder, args.remote.json);
    }
    let config = args.remote.common.load()?;
    let options = BackupOptions {
        copy: args.copy,
        without_keys: args.without_keys,
        keep: args.keep,
        bytes_per_second: args.rate,
    };
    let report = block_on(async {
        match online(&config, &args.remote).await? {
            Some(client) => ask(&client, &config, &folder, &options).await,
            None => open(&config, &folder, options).await,
        }
    })?;
    let damaged = list(&report, "damaged");
    if args.remote.json {
        print_json(&report)?;
    } else {
        print(&report, &folder, args.without_keys);
    }
    Ok(code(damaged.is_empty()))
}

fn code(whole: bool) -> ExitCode {
    if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn ask(
    client: &AdminClient,
    config: &Config,
    folder: &Path,
    options: &BackupOptions,
) -> Result<Value, CliError> {
    let token = server::prepare_backups(folder, &config.data_dir)?;
    let body = json!({ "folder": folder, "token": token, "options": options });
    let mut state = client.ask(Method::POST, "backup", Some(&body)).await?;
    let bar = Bar::new();
    loop {
        if let Some(report) = state.get("report").filter(|report| !report.is_null()) {
            bar.finish();
            return Ok(report.clone());
        }
        let count = |field| number(&state, field);
        bar.show(
            &format!("{} blobs", count("blobs")),
            count("bytes"),
            count("bytes_total"),
        );
        tokio::time::sleep(ASK_EVERY).await;
        state = client.ask(Method::GET, "backup", None).await?;
    }
}

async fn open(config: &Config, folder: &Path, options: BackupOptions) -> Result<Value, CliError> {
    let progress = Arc::new(BackupProgress::default());
    let made = server::backup_offline(config, folder, options, Arc::clone(&progress));
    let report = shown_while(&progress, made).await?;
    as_json(&report)
}

/// Runs `work`, and shows how far it is.
async fn shown_while<T, E>(
    progress: &BackupProgress,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let bar = Bar::new();
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                bar.finish();
                return done;
            }
            () = tokio::time::sleep(ASK_EVERY) => {
                let blobs = format!("{} blobs", progress.blobs());
                bar.show(&blobs, progress.bytes(), progress.bytes_total());
            }
        }
    }
}

fn as_json<T: serde::Serialize>(report: &T) -> Result<Value, CliError> {
    serde_json::to_value(report).map_err(|error| CliError::Io(error.into()))
}

fn number(state: &Value, field: &str) -> u64 {
    state.get(field).and_then(Value::as_u64).unwrap_or_default()
}

fn list<'a>(report: &'a Value, field: &str) -> Vec<&'a str> {
    let items = report.get(field).and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn print(report: &Value, folder: &Path, without_keys: bool) {
    println!(
        "{} in {}: {} blobs of {} bytes; {} blobs were new, {} bytes copied.",
        text(report, "generation"),
        folder.display(),
        number(report, "blobs"),
        number(report, "bytes"),
        number(report, "new_blobs"),
        number(report, "copied_bytes"),
    );
    match list(report, "keys") {
        keys if !keys.is_empty() => println!("Keys: {}. Keep the folder secret.", keys.join(", ")),
        _ if without_keys => {
            println!("Without keys: sealed objects need those of the data folder.");
        }
        _ => println!("The data folder keeps no keys: back up the configuration that has them."),
    }
    for name in list(report, "removed") {
        println!("Removed {name}.");
    }
    for blob in list(report, "damaged") {
        println!("damaged, not in it: blob {blob} (consign fsck --read-blobs tells whose it is)");
    }
}

fn verify(folder: &Path, json: bool) -> Result<ExitCode, CliError> {
    let progress = Arc::new(BackupProgress::default());
    let (of_thread, path) = (Arc::clone(&progress), folder.to_owned());
    let report = block_on(async {
        let work = tokio::task::spawn_blocking(move || server::verify_backups(&path, &of_thread));
        let work = async { work.await.map_err(std::io::Error::other) };
        Ok(shown_while(&progress, work).await??)
    })?;
    let report = as_json(&report)?;
    let faults = list(&report, "faults");
    if json {
        print_json(&report)?;
        return Ok(code(faults.is_empty()));
    }
    let generations = list(&report, "generations");
    println!(
        "{} backups ({} to {}): {} blobs of {} bytes read.",
        generations.len(),
        generations.first().copied().unwrap_or_default(),
        generations.last().copied().unwrap_or_default(),
        number(&report, "blobs"),
        number(&report, "bytes"),
    );
    for fault in &faults {
        println!("{fault}");
    }
    if faults.is_empty() {
        println!("Nothing is wrong.");
    }
    Ok(code(faults.is_empty()))
}

pub(super) fn run_restore(args: &RestoreArgs) -> Result<ExitCode, CliError> {
    let config = args.common.load()?;
    let progress = Arc::new(BackupProgress::default());
    let report = block_on(async {
        let work = server::restore(&args.folder, args.generation.as_deref(), &config, &progress);
        Ok(shown_while(&progress, work)
            .await
            .map_err(OfflineError::from)?)
    })?;
    let whole = report.faults.is_empty() && report.fsck.is_clean();
    let report = as_json(&report)?;
    if args.json {
        print_json(&report)?;
        return Ok(code(whole));
    }
    println!(
        "Brought back {} (made {}): {} blobs of {} bytes in {}.",
        text(&report, "generation"),
        text(&report, "made"),
        number(&report, "blobs"),
        number(&report, "bytes"),
        config.data_dir.display(),
    );
    match list(&report, "keys") {
        keys if keys.is_empty() => println!("Without keys: put the data folder's own beside it."),
        keys => println!("Keys: {}.", keys.join(", ")),
    }
    for fault in list(&report, "faults") {
        println!("{fault}");
    }
    let findings = report.pointer("/fsck/findings").and_then(Value::as_array);
    for finding in findings.into_iter().flatten() {
        let (kind, place) = (text(finding, "kind"), text(finding, "place"));
        println!("{kind}: {place}: {}", text(finding, "detail"));
    }
    if whole {
        println!("Every byte has its checksum, and every record its bytes.");
    }
    Ok(code(whole))
}
