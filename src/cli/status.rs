//! `consign status`: whether a server runs, and which.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::{CliError, Remote, block_on, print_json, text};

/// Show the running server
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &StatusArgs) -> Result<ExitCode, CliError> {
    let client = args.remote.client()?;
    let status = block_on(async { Ok(client.ask(Method::GET, "status", None).await?) })?;
    if args.remote.json {
        print_json(&status)?;
        return Ok(ExitCode::SUCCESS);
    }
    let number = |field| {
        status
            .get(field)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    };
    println!("version  {}", text(&status, "version"));
    println!("process  {}", number("pid"));
    println!(
        "started  {} ({} s ago)",
        text(&status, "started"),
        number("uptime_seconds")
    );
    let damaged = status.pointer("/scrub/damaged").and_then(Value::as_u64);
    match damaged.unwrap_or_default() {
        0 => {}
        damaged => println!("damaged  {damaged}: see `consign scrub`"),
    }
    Ok(ExitCode::SUCCESS)
}
