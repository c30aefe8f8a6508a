//! `consign bench`: what an S3 endpoint does in a second, and how long its clients wait.

mod load;
mod measure;
mod soak;
mod work;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{CliError, Common, admin_client, print_json};
use crate::auth::Secret;
use load::{Endpoint, Job};
use measure::Outcome;
use work::Run;

/// Measure an S3 endpoint: operations and MiB a second, and how long they take
#[derive(Debug, Args)]
#[command(
    after_help = "A run is OPERATION:SIZE:CONNECTIONS, where the operation is put, get, head or \
    delete.\nEvery byte that is read is compared with what was written. URLs are presigned before \
    the clock starts.\n\nExamples:\n  \
    consign bench                                        the server of ./consign-data, all runs\n  \
    consign bench put:4KiB:16 get:64MiB:1 --seconds 10\n  \
    consign bench --soak 256 --slow 32 --seconds 3600    an hour of mixed load\n  \
    consign bench --endpoint http://127.0.0.1:9900 --access-key K --secret-key S --json"
)]
pub(super) struct BenchArgs {
    /// The runs [default: a table of sizes and connections]
    #[arg(value_name = "RUN", value_parser = work::parse_run)]
    runs: Vec<Run>,
    #[command(flatten)]
    common: Common,
    /// The server's address [default: the one that runs in the data folder, or `listen`]
    #[arg(long, value_name = "URL", env = "CONSIGN_ENDPOINT")]
    endpoint: Option<String>,
    /// The access key [default: the root key]
    #[arg(long, env = "CONSIGN_ACCESS_KEY", requires = "secret_key")]
    access_key: Option<String>,
    /// Its secret
    #[arg(long, env = "CONSIGN_SECRET_KEY", hide_env_values = true)]
    secret_key: Option<String>,
    /// The bucket; made where it is missing
    #[arg(long, default_value = "consign-bench")]
    bucket: String,
    /// Seconds of each run
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Instead of runs: a mixed load on so many connections for the whole time, every byte checked
    #[arg(long, value_name = "CONNECTIONS", conflicts_with = "runs")]
    soak: Option<usize>,
    /// So many connections of the soak send and read slowly (80 KiB a second)
    #[arg(
        long,
        value_name = "CONNECTIONS",
        requires = "soak",
        default_value_t = 0
    )]
    slow: usize,
    /// So many milliseconds, on average, each connection of the soak waits between two requests
    #[arg(long, value_name = "MS", requires = "soak", default_value_t = 0)]
    think: u32,
    /// At most so many objects in each run: puts begin anew with the first, deletes end
    #[arg(long, default_value_t = 200_000)]
    objects: usize,
    /// The server's process, whose CPU time and memory are read from /proc
    #[arg(long)]
    pid: Option<u32>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.clamp(0.01, 24.0 * 3600.0))
    }
}

/// Runs `consign bench`.
///
/// # Errors
/// Where the endpoint refuses, can't be reached, or gives back other bytes than were written.
pub(super) fn run(args: &BenchArgs) -> Result<ExitCode, CliError> {
    let config = args.common.load()?;
    let address = match &args.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => admin_client::endpoint_of(&config.data_dir)
            .unwrap_or_else(|| crate::server::endpoint_of(config.listen, config.tls.is_on())),
    };
    let given = args.access_key.clone().zip(args.secret_key.clone());
    let (access_key, secret) = if let Some(given) = given {
        given
    } else {
        let root = admin_client::root_key(&config)?;
        (root.access_key.clone(), root.secret_key.clone())
    };
    let endpoint = Endpoint {
        address,
        access_key,
        secret: Secret::new(secret),
        region: config.region.clone(),
        bucket: args.bucket.clone(),
    };
    if let Some(connections) = args.soak {
        return soak(args, endpoint, connections);
    }
    let runs = if args.runs.is_empty() {
        work::default_runs()
    } else {
        args.runs.clone()
    };
    let runtime = runtime()?;
    let outcomes = runtime.block_on(measure_all(args, &endpoint, &runs))?;
    if args.json {
        let rows: Vec<_> = outcomes.iter().map(Outcome::json).collect();
        print_json(&json!({ "endpoint": endpoint.address, "runs": rows }))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

fn soak(args: &BenchArgs, endpoint: Endpoint, connections: usize) -> Result<ExitCode, CliError> {
    let soak = soak::Soak {
        endpoint,
        connections,
        slow: args.slow,
        think_ms: args.think,
        time: args.time(),
        pid: args.pid,
        talks: !args.json,
    };
    let report = runtime()?.block_on(async {
        load::make_bucket(&soak.endpoint).await?;
        soak::run(&soak).await
    })?;
    if args.json {
        print_json(&report.json())?;
    } else {
        println!("{}", report.text().trim_end());
    }
    Ok(ExitCode::from(u8::from(!report.is_clean())))
}

async fn measure_all(
    args: &BenchArgs,
    endpoint: &Endpoint,
    runs: &[Run],
) -> Result<Vec<Outcome>, CliError> {
    load::make_bucket(endpoint).await?;
    if !args.json {
        println!("{}", Outcome::heading());
    }
    let mut outcomes = Vec::new();
    for run in runs {
        let job = Job {
            endpoint: endpoint.clone(),
            run: *run,
            time: args.time(),
            objects: args.objects,
            pid: args.pid,
        };
        let outcome = load::measure(job).await?;
        if !args.json {
            println!("{outcome}");
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}
