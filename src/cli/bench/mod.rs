//! `consign bench`: what an S3 endpoint does in a second, and how long its clients wait.

mod fill;
mod limits;
mod listing;
mod load;
mod measure;
mod soak;
mod stream;
mod upload;
mod wire;
mod work;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::trust::Trust;
use super::{CliError, Common, admin_client, block_on, print_json, size};
use crate::auth::Secret;
use crate::config::Config;
use measure::Outcome;
use wire::{Address, Endpoint, Key};
use work::Run;

/// Measure an S3 endpoint: operations and MiB a second, and how long they take
#[derive(Debug, Args)]
#[command(after_help = "Runs:\n  \
    put:SIZE:CONNECTIONS         and get, head, delete\n  \
    list:KEYS:CONNECTIONS        pages of 1,000 keys of a bucket that has so many\n  \
    listdir:KEYS:CONNECTIONS     the 100 prefixes of such a bucket, by a delimiter\n  \
    multipart:SIZE:PART[:CONNECTIONS]  whole uploads in parts\n  \
    complete:PARTS               CompleteMultipartUpload\n  \
    copy:SIZE                    CopyObject of an object that came in parts\n\n\
    Every byte, length and key that is read is compared with what was written, and what a run wrote is \
    deleted. URLs are presigned before the clock starts.\n\nExamples:\n  \
    consign bench                                        the server of ./consign-data, all runs\n  \
    consign bench put:4KiB:16 get:64MiB:1 --seconds 10\n  \
    consign bench --limits .                             what the disk and one core can do\n  \
    consign bench --fill 10000000                        ten million keys, while no server runs\n  \
    consign bench --soak 256 --slow 32 --seconds 3600    an hour of mixed load\n  \
    consign bench --endpoint http://127.0.0.1:9900 --access-key K --secret-key S --json")]
pub(super) struct BenchArgs {
    /// The runs [default: a table of sizes and connections]
    #[arg(value_name = "RUN", value_parser = work::parse_run)]
    runs: Vec<Run>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    trust: Trust,
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
    /// Instead of runs: what the machine itself can do, with temporary files in this folder
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["runs", "soak"])]
    limits: Option<PathBuf>,
    /// Instead of runs: put the objects that list:KEYS measures, in the data folder, which no server may hold
    #[arg(long, value_name = "KEYS", conflicts_with_all = ["runs", "soak", "limits", "endpoint"])]
    fill: Option<NonZeroUsize>,
    /// At most so many objects in each run: puts begin anew with the first, deletes end
    #[arg(long, default_value_t = 200_000)]
    objects: usize,
    /// Puts stream as SDKs do, in chunks, instead of to presigned URLs
    #[arg(long, value_name = "FORM")]
    stream: Option<stream::Form>,
    /// Sign nothing, and make no bucket: for servers of plain HTTP, and public buckets
    #[arg(long, conflicts_with_all = ["access_key", "stream"])]
    anonymous: bool,
    /// The size of each object in the buckets of listings
    #[arg(long, value_name = "SIZE", default_value = "64", value_parser = size::parse)]
    listed_bytes: u64,
    /// Leave the buckets of listings as they are, for the next time
    #[arg(long)]
    keep: bool,
    /// The server's processes, whose CPU time and memory are read from /proc
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.clamp(0.01, 24.0 * 3600.0))
    }

    fn listed_bytes(&self) -> usize {
        usize::try_from(self.listed_bytes).unwrap_or(usize::MAX)
    }

    fn filling(&self, keys: usize) -> fill::Fill {
        fill::Fill {
            bucket: self.bucket.clone(),
            keys,
            object_bytes: self.listed_bytes(),
            json: self.json,
        }
    }
}

/// One run and its bounds.
#[derive(Debug, Clone)]
struct Job {
    /// Where.
    endpoint: Endpoint,
    /// What.
    run: Run,
    /// For how long.
    time: Duration,
    /// How many objects at most.
    objects: usize,
    /// The server's processes.
    pids: Vec<u32>,
    /// How puts are streamed, where they are.
    stream: Option<stream::Form>,
    /// Whether the buckets of listings stay.
    keeps: bool,
    /// The size of each object in them.
    listed_bytes: usize,
}

impl Job {
    fn measure(&self) -> Result<Outcome, CliError> {
        match self.run {
            Run::Object {
                kind,
                bytes,
                connections,
            } => load::measure(self, kind, bytes, connections),
            Run::List {
                listing,
                keys,
                connections,
            } => listing::measure(self, listing, keys, connections),
            Run::Multipart {
                bytes,
                part_bytes,
                connections,
            } => runtime()?.block_on(upload::multipart(self, bytes, part_bytes, connections)),
            Run::Complete { parts } => runtime()?.block_on(upload::complete(self, parts)),
            Run::Copy { bytes } => runtime()?.block_on(upload::copy(self, bytes)),
        }
    }
}

/// Runs `consign bench`.
///
/// # Errors
/// Where the endpoint refuses, can't be reached, or gives back other bytes than were written.
pub(super) fn run(args: &BenchArgs) -> Result<ExitCode, CliError> {
    if let Some(folder) = &args.limits {
        let outcomes = limits::measure(folder, args.time())?;
        if !args.json {
            println!("{}", Outcome::heading());
        }
        return tell(args, "this machine", outcomes.into_iter().map(Ok));
    }
    let config = args.common.load()?;
    if let Some(keys) = args.fill {
        args.filling(keys.get()).run(&config)?;
        return Ok(ExitCode::SUCCESS);
    }
    let endpoint = endpoint(args, &config)?;
    if let Some(connections) = args.soak {
        return soak(args, endpoint, connections);
    }
    let runs = if args.runs.is_empty() {
        work::default_runs()
    } else {
        args.runs.clone()
    };
    block_on(wire::make_bucket(&endpoint))?;
    if !args.json {
        println!("{}", Outcome::heading());
    }
    let outcomes = runs.into_iter().map(|run| {
        let job = Job {
            endpoint: endpoint.clone(),
            run,
            time: args.time(),
            objects: args.objects,
            pids: args.pid.clone(),
            stream: args.stream,
            keeps: args.keep,
            listed_bytes: args.listed_bytes(),
        };
        job.measure()
    });
    tell(args, endpoint.address.url(), outcomes)
}

/// The server that is measured, as the arguments and the data folder name it.
fn endpoint(args: &BenchArgs, config: &Config) -> Result<Endpoint, CliError> {
    let address = match &args.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => admin_client::endpoint_of(&config.data_dir)
            .unwrap_or_else(|| crate::server::endpoint_of(config.listen, config.tls.is_on())),
    };
    let given = args.access_key.clone().zip(args.secret_key.clone());
    let pair = match given {
        _ if args.anonymous => None,
        Some(given) => Some(given),
        None => {
            let root = admin_client::root_key(config)?;
            Some((root.access_key.clone(), root.secret_key.clone()))
        }
    };
    let address = Address::new(&address, || {
        // What the data folder says of its own server's certificates holds at that address alone.
        let announced = crate::server::announced(&config.data_dir);
        let own = announced.filter(|holder| holder.endpoint == address.trim_end_matches('/'));
        let known = own.map(|holder| holder.certificates).unwrap_or_default();
        Ok(args.trust.config(known)?)
    })?;
    Ok(Endpoint {
        address,
        key: pair.map(|(access_key, secret)| Key {
            access_key,
            secret: Secret::new(secret),
        }),
        region: config.region.clone(),
        bucket: args.bucket.clone(),
    })
}

/// Tells each outcome when it is there, for people; all at the end, for a machine.
fn tell(
    args: &BenchArgs,
    endpoint: &str,
    outcomes: impl Iterator<Item = Result<Outcome, CliError>>,
) -> Result<ExitCode, CliError> {
    let mut rows = Vec::new();
    for outcome in outcomes {
        let outcome = outcome?;
        if !args.json {
            println!("{outcome}");
        }
        rows.push(outcome.json());
    }
    if args.json {
        print_json(&json!({ "endpoint": endpoint, "runs": rows }))?;
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
        pid: args.pid.first().copied(),
        talks: !args.json,
    };
    let report = runtime()?.block_on(async {
        wire::make_bucket(&soak.endpoint).await?;
        soak::run(&soak).await
    })?;
    if args.json {
        print_json(&report.json())?;
    } else {
        println!("{}", report.text().trim_end());
    }
    Ok(ExitCode::from(u8::from(!report.is_clean())))
}
