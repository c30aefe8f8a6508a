//! The command line: one file for each command.
#![expect(
    clippy::print_stderr,
    clippy::doc_markdown,
    reason = "printing is a command's work, and its doc comments are the help that it prints"
)]

/// As the standard library's, but that it ends the command quietly where nobody reads any more, as `head`
/// does after some lines.
macro_rules! println {
    () => {
        println!("")
    };
    ($($said:tt)+) => {
        crate::cli::say(format_args!($($said)+))
    };
}

mod accounts;
mod admin_client;
mod audit;
mod backup;
mod bench;
mod callbacks;
mod completion;
mod config;
mod explain;
mod fsck;
mod keys;
mod listen;
mod logging;
mod presign;
mod quota;
mod reload;
mod scrub;
mod serve;
pub(crate) mod size;
mod status;
mod transfer;
mod trust;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use admin_client::{AdminClient, ClientError};

use crate::config::{Config, ConfigError, Sources};

/// What went wrong, for a person to read.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The running server can't be asked, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The root key can't be read.
    #[error(transparent)]
    RootKey(#[from] crate::server::RootKeyError),
    /// The data folder can't be taken.
    #[error(transparent)]
    Lock(#[from] crate::server::LockError),
    /// The server can't start.
    #[error(transparent)]
    Start(#[from] crate::server::StartError),
    /// The data folder can't be worked on.
    #[error(transparent)]
    Offline(#[from] crate::server::OfflineError),
    /// There is no backup, or none can be brought back.
    #[error(transparent)]
    Backup(#[from] crate::server::BackupError),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The arguments don't fit together.
    #[error("{0}")]
    Usage(String),
}

/// Consign keeps objects and speaks S3: one binary for direct uploads.
#[derive(Debug, Parser)]
#[command(
    name = "consign",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "First steps:\n  \
        consign serve                                  start a server in ./consign-data\n  \
        consign presign put uploads/cat.jpg --curl     a ready command that uploads\n  \
        consign keys add app --bucket uploads          a key for your app server\n  \
        consign explain 'https://…'                    why a signed URL is refused\n\n\
        Settings come from consign.toml, then CONSIGN_* variables, then flags."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Presign(presign::PresignArgs),
    Keys(keys::KeysArgs),
    Accounts(accounts::AccountsArgs),
    Quota(quota::QuotaArgs),
    Explain(explain::ExplainArgs),
    Callbacks(callbacks::CallbacksArgs),
    Listen(listen::ListenArgs),
    Bench(bench::BenchArgs),
    Fsck(fsck::FsckArgs),
    Audit(audit::AuditArgs),
    Scrub(scrub::ScrubArgs),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Export(transfer::ExportArgs),
    Import(transfer::ImportArgs),
    Status(status::StatusArgs),
    Reload(reload::ReloadArgs),
    Config(config::ConfigArgs),
    Completion(completion::CompletionArgs),
}

/// Where the configuration is, and the settings that every command may need.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The configuration file [env: CONSIGN_CONFIG] [default: ./consign.toml, if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The folder that holds everything [env: CONSIGN_DATA_DIR] [default: ./consign-data]
    #[arg(long, value_name = "FOLDER", global = true)]
    data_dir: Option<String>,
    /// The region that signatures name [env: CONSIGN_REGION] [default: us-east-1]
    #[arg(long, value_name = "REGION", global = true)]
    region: Option<String>,
}

impl Common {
    fn sources(&self) -> Sources {
        let flag = |name: &str, setting: &str, value: &Option<String>| {
            let value = value.clone()?;
            Some((name.to_owned(), setting.to_owned(), value))
        };
        let flags = [
            flag("--data-dir", "data_dir", &self.data_dir),
            flag("--region", "region", &self.region),
        ];
        let flags = flags.into_iter().flatten().collect();
        Sources {
            file: self.config.clone(),
            flags,
            ..Sources::from_env()
        }
    }

    /// The configuration that a command works with.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.sources())
    }
}

/// How a command reaches the running server, and how it answers.
#[derive(Debug, Clone, Args)]
struct Remote {
    #[command(flatten)]
    common: Common,
    /// The server's address, if it is not the one that runs in the data folder
    #[arg(long, value_name = "URL", env = "CONSIGN_ENDPOINT", global = true)]
    endpoint: Option<String>,
    #[command(flatten)]
    trust: trust::Trust,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

impl Remote {
    fn client(&self) -> Result<AdminClient, CliError> {
        self.client_by(&self.common.load()?)
    }

    fn client_by(&self, config: &Config) -> Result<AdminClient, CliError> {
        Ok(AdminClient::new(
            config,
            self.endpoint.as_deref(),
            &self.trust,
        )?)
    }
}

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Presign(args) => presign::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Accounts(args) => accounts::run(&args),
        Command::Quota(args) => quota::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Callbacks(args) => callbacks::run(&args),
        Command::Listen(args) => listen::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Fsck(args) => fsck::run(&args),
        Command::Scrub(args) => scrub::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => backup::run_restore(&args),
        Command::Export(args) => transfer::run_export(&args),
        Command::Import(args) => transfer::run_import(&args),
        Command::Status(args) => status::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Completion(args) => completion::run(&args),
    };
    match outcome {
        Ok(code) => code,
        // A reader that closed the pipe, such as `head`, is no failure of ours.
        Err(CliError::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("consign: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line, or ends the process where the reader is gone.
fn say(line: std::fmt::Arguments<'_>) {
    if print_line(line).is_err() {
        std::process::exit(0);
    }
}

/// Prints a line.
///
/// # Errors
/// Where standard output is closed.
fn print_line(line: std::fmt::Arguments<'_>) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
}

/// Runs `work` to its end on a runtime of its own: for commands that talk to a server.
///
/// # Errors
/// What `work` fails with.
pub fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// A field that is a text; empty where it is absent.
fn text<'a>(value: &'a serde_json::Value, field: &str) -> &'a str {
    let found = value.get(field).and_then(serde_json::Value::as_str);
    found.unwrap_or_default()
}

/// Prints `value` as JSON for people and machines.
///
/// # Errors
/// Where standard output is closed.
pub fn print_json(value: &serde_json::Value) -> Result<(), CliError> {
    use std::io::Write as _;
    let text = format!("{value:#}\n");
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
