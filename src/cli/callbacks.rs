//! `consign callbacks`: what waits to be delivered, what was, and what can't be.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::{AdminClient, CliError, ClientError, Remote, block_on, print_json, text};
use crate::auth::canonical;

/// Look at callbacks, retry them, send a test, while the server runs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    consign callbacks list                            what waits for its next attempt\n  \
    consign callbacks list --state dead --to app\n  \
    consign callbacks show ID                         the body and every attempt\n  \
    consign callbacks retry ID                        now, and with all its attempts again\n  \
    consign callbacks retry --dead                    every dead letter\n  \
    consign callbacks send --test app                 S3's test event, and what came back")]
pub(super) struct CallbacksArgs {
    #[command(subcommand)]
    command: CallbacksCommand,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum CallbacksCommand {
    /// List messages, the oldest first
    List {
        /// How far they are
        #[arg(long, value_enum, default_value_t = State::Pending)]
        state: State,
        /// Only those to this endpoint
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Show a message: its body and what became of each attempt
    Show {
        /// Its id, as `list` and the `webhook-id` header show it
        id: String,
    },
    /// Try again now, with all attempts
    Retry {
        /// The messages' ids
        #[arg(required_unless_present = "dead")]
        ids: Vec<String>,
        /// Every dead letter instead
        #[arg(long, conflicts_with = "ids")]
        dead: bool,
        /// Only dead letters to this endpoint
        #[arg(long, value_name = "NAME", requires = "dead")]
        to: Option<String>,
    },
    /// Send S3's test event now, signed by the running server, and show what came back
    Send {
        /// The endpoint's name
        #[arg(long, value_name = "ENDPOINT")]
        test: String,
        /// The bucket that the event names
        #[arg(long, value_name = "NAME", default_value = "test")]
        bucket: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    /// Waits for its next attempt
    Pending,
    /// Its attempts are used up
    Dead,
    /// Was taken, within the last week
    Delivered,
    /// Its uploader waits for the receiver, who may still refuse
    Asked,
    /// Its upload was not made, within the last week: the receiver did not agree
    Withdrawn,
}

pub(super) fn run(args: &CallbacksArgs) -> Result<ExitCode, CliError> {
    let client = args.remote.client()?;
    let answer = block_on(async { Ok(ask(&client, &args.command).await?) })?;
    match &args.command {
        _ if args.remote.json => print_json(&answer)?,
        CallbacksCommand::List { .. } => print_list(&answer),
        CallbacksCommand::Show { .. } => print_message(&answer),
        CallbacksCommand::Retry { .. } => {
            for message in rows(&answer, "callbacks") {
                println!("{} is tried again.", text(message, "id"));
            }
        }
        CallbacksCommand::Send { .. } => print_trial(&answer),
    }
    if answer.get("error").is_some_and(|error| !error.is_null()) {
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(client: &AdminClient, command: &CallbacksCommand) -> Result<Value, ClientError> {
    match command {
        CallbacksCommand::List { state, to, limit } => {
            let state = state.to_possible_value();
            let state = state.as_ref().map_or("", |value| value.get_name());
            let mut path = format!("callbacks?limit={limit}&state={state}");
            if let Some(name) = to {
                path.push_str("&endpoint=");
                path.push_str(&canonical::encode(name.as_bytes(), true));
            }
            client.ask(Method::GET, &path, None).await
        }
        CallbacksCommand::Show { id } => {
            client
                .ask(Method::GET, &format!("callbacks/{id}"), None)
                .await
        }
        CallbacksCommand::Retry { ids, to, .. } => {
            let orders = match ids.as_slice() {
                [] => vec![json!({ "dead": true, "endpoint": to })],
                ids => ids.iter().map(|id| json!({ "id": id })).collect(),
            };
            let mut retried = Vec::new();
            for order in &orders {
                let answer = client
                    .ask(Method::POST, "callbacks/retry", Some(order))
                    .await?;
                retried.extend(rows(&answer, "callbacks").cloned());
            }
            Ok(json!({ "callbacks": retried }))
        }
        CallbacksCommand::Send { test, bucket } => {
            let order = json!({ "endpoint": test, "bucket": bucket });
            client
                .ask(Method::POST, "callbacks/test", Some(&order))
                .await
        }
    }
}

fn rows<'a>(answer: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    answer
        .get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn number(value: &Value, field: &str) -> u64 {
    value.get(field).and_then(Value::as_u64).unwrap_or_default()
}

fn print_list(answer: &Value) {
    println!(
        "{:<32}  {:<12} {:<9} {:>5}  {:<24} OBJECT",
        "ID", "ENDPOINT", "STATE", "TRIES", "NEXT TRY"
    );
    for row in rows(answer, "callbacks") {
        let (id, endpoint, state) = (text(row, "id"), text(row, "endpoint"), text(row, "state"));
        let (tries, next) = (number(row, "attempts"), text(row, "next_attempt"));
        let (bucket, key) = (text(row, "bucket"), text(row, "key"));
        println!("{id:<32}  {endpoint:<12} {state:<9} {tries:>5}  {next:<24} {bucket}/{key}");
        let error = text(row, "last_error");
        if !error.is_empty() {
            println!("{:<32}  {error}", "");
        }
    }
}

fn print_trial(trial: &Value) {
    println!("id        {}", text(trial, "id"));
    println!("endpoint  {}", text(trial, "endpoint"));
    let status = trial.get("status").and_then(Value::as_u64);
    let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    println!("status    {status} after {} ms", number(trial, "ms"));
    for (title, field) in [
        ("answer", "answer"),
        ("error", "error"),
        ("sync", "synchronous"),
    ] {
        let said = text(trial, field);
        if !said.is_empty() {
            println!("{title:<8}  {said}");
        }
    }
}

fn print_message(message: &Value) {
    println!("id        {}", text(message, "id"));
    println!("endpoint  {}", text(message, "endpoint"));
    println!("state     {}", text(message, "state"));
    println!("event     {}", text(message, "event"));
    println!(
        "object    {}/{}",
        text(message, "bucket"),
        text(message, "key")
    );
    println!("attempts  {}", number(message, "attempts"));
    for attempt in rows(message, "audit") {
        let (time, ms) = (text(attempt, "time"), number(attempt, "ms"));
        let status = match attempt.get("status").and_then(Value::as_u64) {
            Some(status) => status.to_string(),
            None => "---".to_owned(),
        };
        println!("  {time}  {status}  {ms:>6} ms  {}", text(attempt, "error"));
    }
    if let Some(body) = message.get("body") {
        println!("body\n{body:#}");
    }
}
