//! `consign explain`: what a request means, and why its signature is refused.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::admin_client::{self, ClientError};
use super::{CliError, Remote, block_on, print_json, text};
use crate::auth::explain::{Explanation, Kind, Part, Request};
use crate::auth::sigv4::sha256_hex;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, RootKey};
use crate::server;

/// Bytes of a file with a request and its body.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Say what a signed URL or request means, and which difference makes its signature wrong
#[derive(Debug, Args)]
#[command(
    after_help = "The running server looks for the difference, with the keys that it has; --secret looks \
    without a server. Neither sends nor prints a secret. It ends with 0 where the request is valid, with 1 \
    where it is not.\n\nExamples:\n  \
    consign explain 'https://files.example.com/uploads/cat.jpg?X-Amz-Algorithm=…'\n  \
    consign explain --method PUT -H 'content-type: image/jpeg' 'https://…'\n  \
    consign explain --request head.txt        the request's line and headers, as curl -v shows them\n  \
    consign explain --request-id 6CF00D330DB33807"
)]
pub(super) struct ExplainArgs {
    /// A presigned URL
    #[arg(required_unless_present_any = ["request", "request_id"])]
    url: Option<String>,
    /// A file with a request's line and headers, and its body where there is one; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "request_id"])]
    request: Option<PathBuf>,
    /// One of the last requests that the server refused
    #[arg(long, value_name = "ID", conflicts_with = "url")]
    request_id: Option<String>,
    /// The method that the URL is used with [default: the one that it is good for]
    #[arg(long, requires = "url")]
    method: Option<Method>,
    /// A header that is sent with the URL
    #[arg(long, short = 'H', value_name = "NAME: VALUE", requires = "url", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// The secret of the key that signed, to look without the server
    #[arg(
        long,
        value_name = "SECRET",
        env = "CONSIGN_SECRET_KEY",
        hide_env_values = true
    )]
    secret: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &ExplainArgs) -> Result<ExitCode, CliError> {
    let (about, explanation) = match &args.request_id {
        Some(id) => refused(args, id)?,
        None => (Value::Null, told(args, &request(args)?)?),
    };
    if args.remote.json {
        print_json(&json!(explanation))?;
    } else {
        print(&about, &explanation);
    }
    Ok(if explanation.valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the server kept of a request, explained by it.
fn refused(args: &ExplainArgs, id: &str) -> Result<(Value, Explanation), CliError> {
    if !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(CliError::Usage(format!("{id} is no request's id")));
    }
    let client = args.remote.client()?;
    let path = format!("refusals/{id}");
    let answer = block_on(async { Ok(client.ask(Method::GET, &path, None).await?) })?;
    let explanation = explanation(&answer)?;
    Ok((answer, explanation))
}

fn explanation(answer: &Value) -> Result<Explanation, CliError> {
    let explanation = answer.get("explanation").cloned().unwrap_or_default();
    serde_json::from_value(explanation)
        .map_err(|error| CliError::Usage(format!("the server's answer can't be read: {error}")))
}

fn request(args: &ExplainArgs) -> Result<Request, CliError> {
    let invalid = |error: crate::auth::explain::InvalidRequest| CliError::Usage(error.to_string());
    if let Some(url) = &args.url {
        let headers: HeaderMap = args.header.iter().cloned().collect();
        return Request::of_url(url, args.method.clone(), headers).map_err(invalid);
    }
    let bytes = read(args.request.as_deref().unwrap_or_else(|| Path::new("-")))?;
    let end = |mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark);
    let (head, body) = match (end(b"\r\n\r\n"), end(b"\n\n")) {
        (Some(at), None) => (bytes.get(..at), bytes.get(at + 4..)),
        (Some(at), Some(other)) if at < other => (bytes.get(..at), bytes.get(at + 4..)),
        (_, Some(at)) => (bytes.get(..at), bytes.get(at + 2..)),
        (None, None) => (Some(bytes.as_slice()), None),
    };
    let head = String::from_utf8_lossy(head.unwrap_or_default()).into_owned();
    let mut request = Request::of_head(&plain(&head)).map_err(invalid)?;
    let body = body.filter(|body| !body.is_empty());
    request.body_sha256 = body.map(sha256_hex);
    Ok(request)
}

/// The head without the marks with which `curl -v` shows it.
fn plain(head: &str) -> String {
    let is_marked = head.lines().any(|line| line.starts_with("> "));
    let lines = head
        .lines()
        .filter(|line| !is_marked || line.starts_with("> "));
    let lines = lines.map(|line| line.strip_prefix("> ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let cant = |error| CliError::Usage(format!("can't read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        let input = std::io::stdin().lock();
        input
            .take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(cant)?;
    } else {
        let file = std::fs::File::open(path).map_err(cant)?;
        file.take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(cant)?;
    }
    Ok(bytes)
}

/// By the secret that was given; or by the running server, which has every key; or by the root key.
fn told(args: &ExplainArgs, request: &Request) -> Result<Explanation, CliError> {
    let config = args.remote.common.load()?;
    let now = SystemClock.now();
    let access_key = request.access_key();
    // What belongs to a temporary key its server alone can tell.
    let secret = args.secret.as_ref().filter(|_| !request.is_temporary());
    if let Some(secret) = secret {
        let key = RootKey {
            access_key: access_key.unwrap_or_default(),
            secret_key: secret.clone(),
        };
        return Ok(server::explain(&config, request, Some(&key), now));
    }
    match args.remote.client() {
        Ok(client) => {
            let body = json!({ "request": request });
            let asked = async { Ok(client.ask(Method::POST, "explain", Some(&body)).await?) };
            explanation(&block_on(asked)?)
        }
        Err(CliError::Client(ClientError::NotRunning { .. })) => Ok(alone(&config, request)),
        Err(other) => Err(other),
    }
}

/// Without a server: by the root key, if it signed.
fn alone(config: &Config, request: &Request) -> Explanation {
    let root = admin_client::root_key(config).ok();
    let root = root.filter(|root| request.access_key().as_ref() == Some(&root.access_key));
    let mut told = server::explain(config, request, root.as_ref(), SystemClock.now());
    if root.is_none() {
        told.causes.retain(|cause| cause.kind != Kind::UnknownKey);
        told.parts
            .retain(|part| part.name != "access key" || part.holds == Some(true));
        told.code = None;
        "The signature was not judged: no server runs here. Start it, name it by --endpoint, or give the \
         key's secret by --secret."
            .clone_into(&mut told.message);
    }
    told
}

fn print(about: &Value, told: &Explanation) {
    if !about.is_null() {
        let client = text(about, "client");
        println!(
            "Request {} of {} from {client}, as it was refused:\n",
            text(about, "id"),
            text(about, "at")
        );
    }
    let width = told.parts.iter().map(|part| part.name.len()).max();
    for part in &told.parts {
        println!("{}", line(part, width.unwrap_or_default()));
    }
    println!();
    match (&told.code, told.valid) {
        (_, true) => {
            let method = told
                .method
                .as_deref()
                .map(|method| format!(" for {method}"));
            println!("VALID{}: {}", method.unwrap_or_default(), told.message);
        }
        (Some(code), false) => println!("NOT VALID: {code}: {}", printable(&told.message)),
        (None, false) => println!("NOT VALID: {}", told.message),
    }
    for cause in &told.causes {
        let surely = if cause.proven {
            "This alone makes the difference"
        } else {
            "Also seen"
        };
        let (what, fix) = (printable(&cause.what), printable(&cause.fix));
        println!("\n{surely}:\n  {what}\n  -> {fix}");
    }
    if !told.valid && told.causes.is_empty() {
        println!(
            "\nNo single difference explains it ({} were tried): the key's secret, or several things at once.",
            told.tries
        );
    }
}

/// What strangers sent, without what would move a terminal's cursor.
fn printable(text: &str) -> String {
    let shown = |one: char| if one.is_control() { '\u{fffd}' } else { one };
    text.chars().map(shown).collect()
}

fn line(part: &Part, width: usize) -> String {
    let mark = match part.holds {
        Some(true) => "ok",
        Some(false) => "NO",
        None => "  ",
    };
    let Part {
        name,
        value,
        meaning,
        ..
    } = part;
    let meaning = match (value.is_empty(), meaning.is_empty()) {
        (_, true) => String::new(),
        (true, false) => meaning.clone(),
        (false, false) => format!("  ({meaning})"),
    };
    printable(&format!("{mark}  {name:<width$}  {value}{meaning}"))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("must be NAME: VALUE")?;
    let name = HeaderName::try_from(name.trim()).map_err(|error| error.to_string())?;
    let value = HeaderValue::try_from(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}
