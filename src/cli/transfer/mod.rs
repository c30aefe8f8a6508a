//! `consign export` and `consign import`: a bucket as plain files, by S3's own requests, so that any
//! S3 is as good as ours at the other end.
//!
//! What a file can't tell (headers, metadata, tags, the key itself where it can't be a file's name)
//! is in `objects.jsonl`, one line for each object. It lies beside the files.

mod export;
mod import;
mod place;
mod sidecar;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::trust::Trust;
use super::{CliError, Common, admin_client, block_on};
use crate::config::RootKey;
use sidecar::failed;
use wire::Wire;

/// Objects that are on their way at a time.
const AT_ONCE: usize = 4;

/// Where the bucket is.
#[derive(Debug, Args)]
struct Remote {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    trust: Trust,
    /// The server's address, if it is not the one that runs in the data folder; any S3 will do
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    endpoint: Option<String>,
    /// The key to sign with; the root key if not given
    #[arg(
        long,
        value_name = "KEY",
        env = "AWS_ACCESS_KEY_ID",
        requires = "secret_key"
    )]
    access_key: Option<String>,
    /// Its secret
    #[arg(
        long,
        value_name = "SECRET",
        env = "AWS_SECRET_ACCESS_KEY",
        hide_env_values = true
    )]
    secret_key: Option<String>,
}

impl Remote {
    fn wire(&self, bucket: &str) -> Result<Wire, CliError> {
        let config = self.common.load()?;
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => admin_client::endpoint_of(&config.data_dir).ok_or_else(|| {
                let folder = config.data_dir.display();
                CliError::Usage(format!(
                    "no server runs in {folder}: name one with --endpoint"
                ))
            })?,
        };
        let key = match (&self.access_key, &self.secret_key) {
            (Some(access_key), Some(secret_key)) => RootKey {
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
            },
            _ => admin_client::root_key(&config)?,
        };
        // What the data folder says of its own server's certificates holds at that address alone.
        let announced = crate::server::announced(&config.data_dir);
        let own = announced.filter(|holder| holder.endpoint == endpoint.trim_end_matches('/'));
        let known = own.map(|holder| holder.certificates).unwrap_or_default();
        let tls = if endpoint.starts_with("https://") {
            Some(self.trust.client(known)?.build().map_err(failed)?)
        } else {
            None
        };
        let region = admin_client::region_at(&config, &endpoint);
        Ok(Wire::new((&endpoint, tls), &region, &key, bucket))
    }
}

/// Write a bucket's objects into plain files
#[derive(Debug, Args)]
#[command(
    after_help = "Each object becomes a file of its name below FOLDER/files, its headers, metadata \
    and tags a line of FOLDER/objects.jsonl. What can't be a file's name lies in FOLDER/odd. An \
    export that was interrupted goes on where it was; one that is made again takes what changed. \
    Current versions only.\n\n\
    Examples:\n  \
    consign export uploads ./uploads\n  \
    consign export uploads ./uploads --endpoint https://s3.eu-west-1.amazonaws.com --region eu-west-1"
)]
pub(super) struct ExportArgs {
    /// The bucket
    bucket: String,
    /// The folder; made if it is not there
    folder: PathBuf,
    #[command(flatten)]
    remote: Remote,
    /// Only keys that begin so
    #[arg(long, default_value = "")]
    prefix: String,
}

/// Put what an export has written into a bucket
#[derive(Debug, Args)]
#[command(
    after_help = "The bucket must be there. What it has already, byte for byte, is not sent again, so \
    that an import that was interrupted goes on where it was. Files that are not the ones that were \
    exported are refused.\n\nExample:\n  consign import ./uploads uploads"
)]
pub(super) struct ImportArgs {
    /// The folder of an export
    folder: PathBuf,
    /// The bucket
    bucket: String,
    #[command(flatten)]
    remote: Remote,
}

/// What was done, for people.
#[derive(Debug, Default)]
struct Outcome {
    done: u64,
    bytes: u64,
    skipped: u64,
    failed: Vec<String>,
}

impl Outcome {
    fn print(&self, verb: &str) -> ExitCode {
        let Self {
            done,
            bytes,
            skipped,
            failed,
        } = self;
        println!("{done} objects of {bytes} bytes {verb}; {skipped} were there already.");
        for failure in failed {
            eprintln!("consign: {failure}");
        }
        if failed.is_empty() {
            return ExitCode::SUCCESS;
        }
        eprintln!(
            "consign: {} objects failed; the same command tries them again",
            failed.len()
        );
        ExitCode::FAILURE
    }
}

pub(super) fn run_export(args: &ExportArgs) -> Result<ExitCode, CliError> {
    let wire = args.remote.wire(&args.bucket)?;
    let outcome = block_on(export::export(&wire, &args.folder, &args.prefix))?;
    Ok(outcome.print("exported"))
}

pub(super) fn run_import(args: &ImportArgs) -> Result<ExitCode, CliError> {
    let wire = args.remote.wire(&args.bucket)?;
    let outcome = block_on(import::import(&wire, &args.folder))?;
    Ok(outcome.print("imported"))
}
