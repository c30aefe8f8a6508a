//! `consign quota`: how much a bucket may hold, in the running server.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::{CliError, Remote, block_on, print_json};

/// Show or set how much a bucket may hold
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    consign quota uploads                              what it holds, and may hold\n  \
    consign quota uploads --bytes 10GiB --objects 100000\n  \
    consign quota uploads --none\n\n\
    All versions count, the parts of open uploads do not. A write beyond it is answered with 403\n\
    QuotaExceeded; writes that are under way at the same moment may go over it together.")]
pub(super) struct QuotaArgs {
    /// The bucket
    bucket: String,
    /// At most so many bytes, such as 10GiB; what is not given is not limited
    #[arg(long, value_parser = super::size::parse)]
    bytes: Option<u64>,
    /// At most so many objects
    #[arg(long)]
    objects: Option<u64>,
    /// No limit
    #[arg(long, conflicts_with_all = ["bytes", "objects"])]
    none: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &QuotaArgs) -> Result<ExitCode, CliError> {
    let client = args.remote.client()?;
    let path = format!("quotas/{}", args.bucket);
    let sets = args.none || args.bytes.is_some() || args.objects.is_some();
    let answer = block_on(async {
        let body = json!({ "bytes": args.bytes, "objects": args.objects });
        let (method, body) = if sets {
            (Method::PUT, Some(&body))
        } else {
            (Method::GET, None)
        };
        Ok(client.ask(method, &path, body).await?)
    })?;
    if args.remote.json {
        print_json(&answer)?;
    } else {
        for what in ["bytes", "objects"] {
            let limit = answer.get(format!("{what}_max")).and_then(Value::as_u64);
            let limit = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("of {limit}"));
            let held = answer.get(what).and_then(Value::as_i64).unwrap_or_default();
            println!("{what:<8} {held:>16}  {limit}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
