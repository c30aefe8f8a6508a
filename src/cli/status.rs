//! `consign status`: whether a server runs, and which.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::{AdminClient, CliError, Common, block_on, print_json, text};

/// Show the running server
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    common: Common,
    /// The server's address, if it is not the one that runs in the data folder
    #[arg(long, value_name = "URL", env = "CONSIGN_ENDPOINT")]
    endpoint: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatusArgs) -> Result<ExitCode, CliError> {
    let config = args.common.load()?;
    let client = AdminClient::new(&config, args.endpoint.as_deref())?;
    let status = block_on(async { Ok(client.ask(Method::GET, "status", None).await?) })?;
    if args.json {
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
    Ok(ExitCode::SUCCESS)
}
