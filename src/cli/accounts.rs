//! `consign accounts`: who owns buckets, in the running server.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{AdminClient, CliError, Remote, block_on, print_json, text};

/// Manage accounts while the server runs: a bucket belongs to one, and its keys act for it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    consign accounts add tenant --email tenant@example.com\n  \
    consign keys add ann --account tenant             a key that acts for it\n  \
    consign accounts list --json\n\n\
    The server's own account, to which the root key belongs, is made at the first start.")]
pub(super) struct AccountsArgs {
    #[command(subcommand)]
    command: AccountsCommand,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum AccountsCommand {
    /// Make an account
    Add {
        /// The name that answers show
        name: String,
        /// The canonical id, 64 hexadecimal digits; made up if not given
        #[arg(long)]
        id: Option<String>,
        /// The email address, by which grants may name the account
        #[arg(long)]
        email: Option<String>,
    },
    /// List accounts
    List,
}

pub(super) fn run(args: &AccountsArgs) -> Result<ExitCode, CliError> {
    let client = args.remote.client()?;
    let answer = block_on(async { Ok(ask(&client, &args.command).await?) })?;
    match &args.command {
        _ if args.remote.json => print_json(&answer)?,
        AccountsCommand::Add { .. } => {
            println!("name          {}", text(&answer, "name"));
            println!("number        {}", text(&answer, "number"));
            println!("canonical id  {}", text(&answer, "canonical_id"));
        }
        AccountsCommand::List => print_list(&answer),
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(client: &AdminClient, command: &AccountsCommand) -> Result<Value, super::ClientError> {
    match command {
        AccountsCommand::Add { name, id, email } => {
            let body = json!({ "name": name, "id": id, "email": email });
            client.ask(Method::POST, "accounts", Some(&body)).await
        }
        AccountsCommand::List => client.ask(Method::GET, "accounts", None).await,
    }
}

fn print_list(answer: &Value) {
    println!(
        "{:<12}  {:<20} {:<24} CANONICAL ID",
        "NUMBER", "NAME", "EMAIL"
    );
    let accounts = answer.get("accounts").and_then(Value::as_array);
    for account in accounts.into_iter().flatten() {
        let (number, name) = (text(account, "number"), text(account, "name"));
        let (email, id) = (text(account, "email"), text(account, "canonical_id"));
        println!("{number:<12}  {name:<20} {email:<24} {id}");
    }
}
