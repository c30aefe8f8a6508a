//! `consign serve`: the server itself.

use std::process::ExitCode;

use clap::Args;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::logging::Refilter;
use super::{CliError, Common, logging};
use crate::allocator;
use crate::config::{Config, ConfigError, Durability};
use crate::server::Server;

/// Start the server
#[derive(Debug, Args)]
#[command(
    after_help = "Without any setting: data in ./consign-data, 127.0.0.1:9000, and a root \
    key that is made at the first start and kept in ./consign-data/root-key.json.\n\n\
    Examples:\n  consign serve --listen :9000\n  consign serve --data-dir /var/lib/consign \
    --set limits.connections=4096\n  CONSIGN_ROOT_ACCESS_KEY=dev CONSIGN_ROOT_SECRET_KEY=dev-secret \
    consign serve"
)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    common: Common,
    /// The address to listen on; port 0 takes a free one [env: CONSIGN_LISTEN] [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Any other setting, by its name in the configuration file
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
}

/// Threads that may wait for the disk at a time, for what no request waits for.
const BLOCKING_THREADS: usize = 64;

pub(super) fn run(args: &ServeArgs) -> Result<ExitCode, CliError> {
    allocator::fix_thresholds();
    let config = load(args)?;
    let (refilter, _last_lines) = logging::start(&config.log)?;
    // Connections have threads of their own, each with a runtime.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()?;
    runtime.block_on(serve(args, config, refilter))
}

fn load(args: &ServeArgs) -> Result<Config, CliError> {
    let mut sources = args.common.sources();
    for pair in &args.set {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(CliError::Usage(format!(
                "--set takes NAME=VALUE, not \"{pair}\""
            )));
        };
        sources
            .flags
            .push((format!("--set {name}"), name.to_owned(), value.to_owned()));
    }
    if let Some(listen) = &args.listen {
        sources
            .flags
            .push(("--listen".to_owned(), "listen".to_owned(), listen.clone()));
    }
    Config::load(&sources).map_err(|error: ConfigError| error.into())
}

async fn serve(args: &ServeArgs, config: Config, refilter: Refilter) -> Result<ExitCode, CliError> {
    // Before the start, so that no signal finds the default action, which is to die at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    if config.durability == Durability::None {
        tracing::warn!("durability is \"none\": a crash loses what was answered");
    }
    let server = Server::start(config.clone()).await?;
    greet(&server, &config);
    tell_manager(&[NotifyState::Ready]);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                server.reopen_logs();
                drop(reload(args, &server, &refilter).await);
            }
            Some(order) = server.ordered() => {
                order.answer(reload(args, &server, &refilter).await);
            }
        }
    }
    tell_manager(&[NotifyState::Stopping]);
    tracing::info!("stopping: no new requests, finishing those in flight");
    tokio::select! {
        () = server.shutdown() => {}
        _ = interrupt.recv() => tracing::warn!("stopped at once"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells the service manager that started us, if one did.
fn tell_manager(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "can't tell the service manager");
    }
}

/// Reads the configuration again, as the start did; returns the settings that wait for a restart, or
/// why everything is as before.
async fn reload(
    args: &ServeArgs,
    server: &Server,
    refilter: &Refilter,
) -> Result<Vec<&'static str>, String> {
    let read = async {
        let config = load(args)?;
        let filter = logging::filter(&config.log)?;
        let waiting = server.reload(&config).await?;
        refilter(filter);
        Ok::<_, CliError>(waiting)
    };
    let outcome = read.await.map_err(|error| error.to_string());
    server.note_reload(&outcome).await;
    match &outcome {
        Ok(waiting) if waiting.is_empty() => tracing::info!("reloaded the configuration"),
        Ok(waiting) => {
            let waiting = waiting.join(", ");
            tracing::warn!(%waiting, "reloaded the configuration; these wait for a restart");
        }
        Err(error) => {
            tracing::error!(%error, "the new configuration is faulty: everything is as before");
        }
    }
    outcome
}

/// A server goes on where nobody reads its greeting.
macro_rules! println {
    ($($said:tt)+) => {
        drop(super::print_line(format_args!($($said)+)))
    };
}

/// Tells a person where the server is and how to use it.
fn greet(server: &Server, config: &Config) {
    let endpoint = server.endpoint();
    let key = server.root_key();
    println!("Consign is ready at {endpoint}");
    if let Some(admin) = server.admin_endpoint() {
        println!("  admin       {admin}");
    }
    println!("  data        {}", config.data_dir.display());
    println!("  access key  {}", key.access_key);
    if server.root_key_is_new() {
        println!(
            "  secret key  {}   (shown once; kept in root-key.json)",
            key.secret_key
        );
    } else if config.root_key.is_some() {
        println!("  secret key  as configured");
    } else {
        println!(
            "  secret key  in {}",
            config.data_dir.join("root-key.json").display()
        );
    }
    if !config.listen.ip().is_loopback() && !config.tls.is_on() {
        println!("  note        reachable from other machines, without TLS: put a proxy before it");
    }
    let secret = if server.root_key_is_new() {
        key.secret_key.as_str()
    } else {
        "<the secret key>"
    };
    println!("\nTry it:");
    println!(
        "  export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={secret}",
        key.access_key
    );
    println!(
        "  export AWS_REGION={} AWS_ENDPOINT_URL={endpoint}",
        config.region
    );
    println!("  aws s3 mb s3://uploads && aws s3 cp README.md s3://uploads/");
    let folder = config.data_dir.display();
    println!("  consign presign get uploads/README.md --curl --data-dir {folder}");
}
