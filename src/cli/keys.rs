//! `consign keys`: access keys of the running server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{AdminClient, CliError, Remote, block_on, print_json, text};

/// Manage access keys while the server runs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    consign keys add app                              may do everything but manage keys\n  \
    consign keys add app --bucket uploads --prefix user/\n  \
    consign keys add ann --account tenant             acts for another account\n  \
    consign keys add web --policy web.json            may do what its IAM policy allows\n  \
    consign keys add reports --read-only --json\n  \
    consign keys disable AKIA…                        refused from the next request on\n  \
    consign keys rotate AKIA…                         a new secret; the old one ends now")]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key. Its secret is shown now and never again
    Add(AddArgs),
    /// List keys, without their secrets
    List,
    /// Refuse a key from now on
    Disable {
        /// The access key, or its name
        key: String,
    },
    /// Accept a disabled key again
    Enable {
        /// The access key, or its name
        key: String,
    },
    /// Forget a key: it signs nothing any more, and its name is free
    Remove {
        /// The access key, or its name
        key: String,
    },
    /// Give a key a new secret, shown now and never again; the old one ends now
    Rotate {
        /// The access key, or its name
        key: String,
    },
}

#[derive(Debug, Args)]
struct AddArgs {
    /// A name for people
    name: String,
    /// The account that it acts for: a name, number, canonical id or email address; the server's
    /// own if not given
    #[arg(long)]
    account: Option<String>,
    /// The access key id; made up if not given
    #[arg(long, requires = "secret_key")]
    access_key: Option<String>,
    /// The secret; made up if not given
    #[arg(long, requires = "access_key")]
    secret_key: Option<String>,
    /// Only reads and lists
    #[arg(long)]
    read_only: bool,
    /// Only this bucket
    #[arg(long)]
    bucket: Option<String>,
    /// Only keys in the bucket that begin so
    #[arg(long, requires = "bucket")]
    prefix: Option<String>,
    /// What it may do: a file with a policy in IAM's language, without a Principal; all that its
    /// account may if not given
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

pub(super) fn run(args: &KeysArgs) -> Result<ExitCode, CliError> {
    let client = args.remote.client()?;
    let policy = policy_of(&args.command)?;
    let answer = block_on(async { Ok(ask(&client, &args.command, policy).await?) })?;
    match &args.command {
        _ if args.remote.json => print_json(&answer)?,
        KeysCommand::List => print_list(&answer),
        KeysCommand::Add(_) | KeysCommand::Rotate { .. } => print_secret(&answer),
        KeysCommand::Disable { .. } => println!("{} is disabled.", text(&answer, "access_key")),
        KeysCommand::Remove { .. } => println!("{} is removed.", text(&answer, "access_key")),
        KeysCommand::Enable { .. } => println!("{} is enabled.", text(&answer, "access_key")),
    }
    Ok(ExitCode::SUCCESS)
}

/// The text of the file that `--policy` names.
fn policy_of(command: &KeysCommand) -> Result<Option<String>, CliError> {
    let KeysCommand::Add(AddArgs {
        policy: Some(file), ..
    }) = command
    else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(file);
    let text =
        text.map_err(|error| CliError::Usage(format!("can't read {}: {error}", file.display())))?;
    Ok(Some(text))
}

async fn ask(
    client: &AdminClient,
    command: &KeysCommand,
    policy: Option<String>,
) -> Result<Value, super::ClientError> {
    match command {
        KeysCommand::Add(add) => {
            let body = json!({
                "name": add.name,
                "account": add.account,
                "access_key": add.access_key,
                "secret_key": add.secret_key,
                "read_only": add.read_only,
                "bucket": add.bucket,
                "prefix": add.prefix,
                "policy": policy,
            });
            client.ask(Method::POST, "keys", Some(&body)).await
        }
        KeysCommand::List => client.ask(Method::GET, "keys", None).await,
        KeysCommand::Disable { key } => named(client, "keys/disable", key).await,
        KeysCommand::Enable { key } => named(client, "keys/enable", key).await,
        KeysCommand::Remove { key } => named(client, "keys/remove", key).await,
        KeysCommand::Rotate { key } => named(client, "keys/rotate", key).await,
    }
}

async fn named(client: &AdminClient, path: &str, key: &str) -> Result<Value, super::ClientError> {
    client
        .ask(Method::POST, path, Some(&json!({ "key": key })))
        .await
}

fn print_secret(answer: &Value) {
    println!("name        {}", text(answer, "name"));
    println!("access key  {}", text(answer, "access_key"));
    println!("secret key  {}   (shown once)", text(answer, "secret_key"));
}

fn print_list(answer: &Value) {
    println!(
        "{:<22} {:<16} {:<12} {:<9} {:<10} MAY",
        "ACCESS KEY", "NAME", "ACCOUNT", "STATE", "CREATED"
    );
    for key in answer
        .get("keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let truth = |field| key.get(field).and_then(Value::as_bool).unwrap_or(false);
        let state = if truth("disabled") {
            "disabled"
        } else {
            "enabled"
        };
        let what = match (truth("root"), truth("read_only")) {
            (true, _) => "everything, keys included",
            (false, true) => "read",
            (false, false) => "read and write",
        };
        let place = match (text(key, "bucket"), text(key, "prefix")) {
            ("", _) => String::new(),
            (bucket, prefix) => format!(" {bucket}/{prefix}"),
        };
        let held = if text(key, "policy").is_empty() {
            ""
        } else {
            " as its policy allows"
        };
        let day = text(key, "created").get(..10).unwrap_or_default();
        let (id, name) = (text(key, "access_key"), text(key, "name"));
        let account = text(key, "account");
        println!("{id:<22} {name:<16} {account:<12} {state:<9} {day:<10} {what}{place}{held}");
    }
}
