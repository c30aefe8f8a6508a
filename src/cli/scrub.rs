//! `consign scrub`: what the slow reading of everything has found.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::fsck::{ASK_EVERY, Bar};
use super::{AdminClient, CliError, Remote, block_on, print_json, text};

/// Show what the scrub found to be damaged, or have it begin now
#[derive(Debug, Args)]
#[command(
    after_help = "A server reads everything that it stores now and then (scrub.every_days), slowly \
    (scrub.bytes_per_second), and remembers what does not have its checksum until it is deleted, \
    or found whole again. The command ends with code 1 where something is damaged.\n\n\
    Examples:\n  \
    consign scrub                                     how far it is, and what is damaged\n  \
    consign scrub --now                               begin a pass and wait for its end"
)]
pub(super) struct ScrubArgs {
    #[command(flatten)]
    remote: Remote,
    /// Begin a pass, and wait for its end; interrupting the command does not stop it
    #[arg(long)]
    now: bool,
}

pub(super) fn run(args: &ScrubArgs) -> Result<ExitCode, CliError> {
    let client = args.remote.client()?;
    let state = block_on(async {
        if args.now {
            return pass(&client).await;
        }
        Ok(client.ask(Method::GET, "scrub", None).await?)
    })?;
    let damage = state.get("damage").and_then(Value::as_array);
    let whole = damage.is_some_and(Vec::is_empty);
    if args.remote.json {
        print_json(&state)?;
    } else {
        print(&state, damage.map_or(&[], Vec::as_slice));
    }
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn pass(client: &AdminClient) -> Result<Value, CliError> {
    let mut state = client.ask(Method::POST, "scrub", None).await?;
    let bar = Bar::new();
    while state.get("running") == Some(&Value::Bool(true)) {
        let records = format!("{} records", number(&state, "records"));
        bar.show(
            &records,
            number(&state, "bytes"),
            number(&state, "bytes_total"),
        );
        tokio::time::sleep(ASK_EVERY).await;
        state = client.ask(Method::GET, "scrub", None).await?;
    }
    bar.finish();
    Ok(state)
}

fn number(state: &Value, field: &str) -> u64 {
    state.get(field).and_then(Value::as_u64).unwrap_or_default()
}

fn print(state: &Value, damage: &[Value]) {
    let (bytes, total) = (number(state, "bytes"), number(state, "bytes_total"));
    if state.get("running") == Some(&Value::Bool(true)) {
        println!(
            "a pass is under way: {bytes} of {total} bytes read, since {}",
            text(state, "began")
        );
    }
    match text(state, "finished") {
        "" => println!("no pass has ended yet"),
        finished => println!("the last whole pass ended at {finished}"),
    }
    match number(state, "damaged_reads") {
        0 => {}
        reads => {
            println!("{reads} reads of objects since the start found damage, and were refused");
        }
    }
    if damage.is_empty() {
        println!("Nothing is known to be damaged.");
        return;
    }
    println!("\n{} damaged:", damage.len());
    for one in damage {
        let (kind, place) = (text(one, "kind"), text(one, "place"));
        println!(
            "{kind}: {place}: {} (found {})",
            text(one, "detail"),
            text(one, "found")
        );
    }
    println!("\nBring them back from a backup, or delete them: until then they are named here.");
}
