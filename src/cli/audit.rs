//! `consign audit`: what the audit log tells, and whether anybody tampered with it.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::trust::Trust;
use super::{AdminClient, CliError, Common, block_on, print_json, text};
use crate::config::Config;
use crate::server::{self, Head, Verdict};

/// Read the audit log, and check that nobody tampered with it
#[derive(Debug, Args)]
#[command(
    after_help = "The log is in DATA_DIR/audit: one JSON object a line, chained and signed with a key that is \
    derived from the master key.\n\n\
    Examples:\n  \
    consign audit list                                the last 20 lines\n  \
    consign audit list --last 100 --kind denied --json\n  \
    consign audit verify                              every line, against what the server remembers\n  \
    consign audit verify copy/audit-*.jsonl           files that were kept elsewhere"
)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    trust: Trust,
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Show the last lines
    #[command(visible_alias = "tail")]
    List(ListArgs),
    /// Check every line; ends with code 1 and names the first that is not as it was written
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// How many
    #[arg(long, default_value_t = 20, value_name = "LINES")]
    last: usize,
    /// Only those of one kind: asked, admin, bucket, object, denied, counted, start, reload
    #[arg(long)]
    kind: Option<String>,
    /// The lines as they are
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// Files in the order of their lines, instead of those in the data folder
    files: Vec<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &AuditArgs) -> Result<ExitCode, CliError> {
    let config = args.common.load()?;
    match &args.command {
        AuditCommand::List(list) => show(&config, list),
        AuditCommand::Verify(verify) => check(&config, verify, &args.trust),
    }
}

fn show(config: &Config, args: &ListArgs) -> Result<ExitCode, CliError> {
    let mut last = VecDeque::new();
    for path in server::audit_files(&config.data_dir)? {
        for line in BufReader::new(std::fs::File::open(path)?).lines() {
            let line = line?;
            let value: Value = serde_json::from_str(&line).unwrap_or_default();
            let of_kind = |kind: &String| text(&value, "kind") == kind;
            if args.kind.as_ref().is_none_or(of_kind) {
                last.push_back((line, value));
            }
            if last.len() > args.last {
                last.pop_front();
            }
        }
    }
    for (line, value) in last {
        if args.json {
            println!("{line}");
        } else {
            println!("{}", told(&value));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for people.
fn told(value: &Value) -> String {
    let part = |name| match value.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let operation = match value.get("operation").filter(|value| !value.is_null()) {
        Some(_) => part("operation"),
        None => format!("{} {}", part("method"), part("path")),
    };
    format!(
        "{} {:<7} {:<16} {:<20} {} {} {} {}",
        part("time"),
        part("kind"),
        part("client"),
        part("name"),
        operation,
        part("about"),
        part("status"),
        part("code")
    )
}

fn check(config: &Config, args: &VerifyArgs, trust: &Trust) -> Result<ExitCode, CliError> {
    // Files from elsewhere may end before what the server remembers.
    let known = if args.files.is_empty() {
        block_on(head(config, trust))?
    } else {
        None
    };
    let verdict = server::verify_audit(config, &args.files, known)?;
    if args.json {
        let value = serde_json::to_value(&verdict);
        print_json(&value.map_err(|error| CliError::Io(error.into()))?)?;
    } else {
        print_verdict(&verdict);
    }
    Ok(if verdict.fault.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The last line that the server remembers: the one that runs, or the folder itself.
async fn head(config: &Config, trust: &Trust) -> Result<Option<Head>, CliError> {
    if server::announced(&config.data_dir).is_some() {
        let client = AdminClient::new(config, None, trust)?;
        // A server that was killed leaves its announcement behind.
        if client.is_reachable().await {
            let told = client.ask(Method::GET, "audit", None).await?;
            let seq = told.get("seq").and_then(Value::as_u64).unwrap_or_default();
            let mut mac = [0; 32];
            let read = hex::decode_to_slice(text(&told, "mac"), &mut mac);
            return Ok(read.ok().map(|()| Head { seq, mac }));
        }
    }
    Ok(server::audit_head(config).await?)
}

fn print_verdict(verdict: &Verdict) {
    println!("{} lines are as they were written.", verdict.lines);
    if verdict.first > 1 {
        println!(
            "The first is number {}: those before it are not here.",
            verdict.first
        );
    }
    if verdict.torn {
        println!("The last one was never finished, as a crash leaves it: nobody was answered.");
    }
    match &verdict.fault {
        None => println!("Nobody tampered with them."),
        Some(found) => {
            let line = match found.line {
                0 => String::new(),
                line => format!(", line {line}"),
            };
            println!("{}{line}: {}", found.file.display(), found.fault);
        }
    }
}
