//! `consign status`: whether a server runs, which, and how it is.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::{CliError, Remote, block_on, print_json, text};

/// Show the running server; ends with 1 where it can't serve
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    remote: Remote,
    /// Print nothing: the exit code tells
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
}

pub(super) fn run(args: &StatusArgs) -> Result<ExitCode, CliError> {
    let client = args.remote.client()?;
    let status = block_on(async { Ok(client.ask(Method::GET, "status", None).await?) })?;
    if args.remote.json {
        print_json(&status)?;
    } else if !args.quiet {
        print(&status);
    }
    // A warning is for people: whoever restarts what is unhealthy would mend nothing by it.
    let ready = status.get("ready").and_then(Value::as_bool);
    Ok(if ready.unwrap_or_default() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(status: &Value) {
    let number = |value: &Value, field: &str| value.get(field).and_then(Value::as_u64);
    let count = |field| number(status, field).unwrap_or_default();
    let ready = status.get("ready").and_then(Value::as_bool) == Some(true);
    println!(
        "ready        {}",
        if ready { "yes" } else { "no: see its log" }
    );
    println!("version      {}", text(status, "version"));
    println!("process      {}", count("pid"));
    println!(
        "started      {} ({} s ago)",
        text(status, "started"),
        count("uptime_seconds")
    );
    println!("endpoint     {}", text(status, "endpoint"));
    if let Some(admin) = status.get("admin_endpoint").and_then(Value::as_str) {
        println!("admin        {admin}");
    }
    println!(
        "connections  {} of {}",
        count("connections"),
        count("connections_max")
    );
    println!(
        "disk         {} MiB free of {} MiB",
        count("disk_free_bytes") >> 20,
        count("disk_bytes") >> 20
    );
    println!("fsck         {}", text(status, "fsck"));
    let damaged = status.pointer("/scrub/damaged").and_then(Value::as_u64);
    match damaged.unwrap_or_default() {
        0 => {}
        damaged => println!("damaged      {damaged}: see `consign scrub`"),
    }
    if let Some(callbacks) = status.get("callbacks") {
        let field = |field| number(callbacks, field).unwrap_or_default();
        let whole = callbacks.get("counted_all").and_then(Value::as_bool) == Some(true);
        println!(
            "callbacks    {}{} wait, {} given up, the oldest waits for {} s",
            if whole { "" } else { "at least " },
            field("waiting"),
            field("dead"),
            field("oldest_seconds")
        );
    }
    for expiry in list(status, "certificates_expire") {
        println!("certificate  until {}", expiry.as_str().unwrap_or_default());
    }
    let buckets = status.get("buckets").unwrap_or(&Value::Null);
    for bucket in list(buckets, "first") {
        let field = |field| number(bucket, field).unwrap_or_default();
        let name = text(bucket, "bucket");
        println!(
            "bucket       {name}: {} objects, {} bytes",
            field("objects"),
            field("bytes")
        );
    }
    if buckets.get("more").and_then(Value::as_bool) == Some(true) {
        println!("bucket       … and more");
    }
    for warning in list(status, "warnings") {
        println!("warning      {}", warning.as_str().unwrap_or_default());
    }
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    let found = value.get(field).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}
