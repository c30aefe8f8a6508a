//! `consign reload`: a changed configuration, without a restart.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::{CliError, Remote, block_on, print_json};

/// Let the running server read its configuration again
#[derive(Debug, Args)]
#[command(
    after_help = "It reads its own file and environment, as at its start; SIGHUP does the same. A faulty \
    configuration changes nothing. What can't change while it runs is named.\n\n\
    `consign config settings` shows which settings need a restart."
)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &ReloadArgs) -> Result<ExitCode, CliError> {
    let client = args.remote.client()?;
    let told = block_on(async { Ok(client.ask(Method::POST, "reload", None).await?) })?;
    if args.remote.json {
        print_json(&told)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("Reloaded.");
    let waiting = told.get("waiting_for_restart").and_then(Value::as_array);
    for name in waiting.into_iter().flatten().filter_map(Value::as_str) {
        println!("{name} needs a restart.");
    }
    Ok(ExitCode::SUCCESS)
}
