//! `consign bench --soak`: a mixed load for a long time, with slow readers and writers among it, that
//! checks every byte it gets back and watches what the server takes of its machine.

mod client;
mod tally;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::measure::Footprint;
use super::wire::{Endpoint, pattern};
use crate::cli::CliError;
use client::Client;
use tally::Tally;

/// Bytes that all bodies are cut from: a body's place in them tells it from any other.
const POOL_BYTES: usize = 16 << 20;

/// At most so often a line is told.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// How a soak is set up.
#[derive(Debug, Clone)]
pub(super) struct Soak {
    /// The server.
    pub(super) endpoint: Endpoint,
    /// Requests under way at a time, each on a connection of its own.
    pub(super) connections: usize,
    /// So many of the connections send and read slowly.
    pub(super) slow: usize,
    /// Milliseconds, on average, between two requests of a connection; 0: it never rests.
    pub(super) think_ms: u32,
    /// For how long.
    pub(super) time: Duration,
    /// The server's process, whose memory, files and threads are told.
    pub(super) pid: Option<u32>,
    /// Whether lines are told while it runs.
    pub(super) talks: bool,
}

/// What a soak came to.
#[derive(Debug)]
pub(super) struct Report {
    tally: Tally,
    time: Duration,
    footprints: Vec<Footprint>,
}

impl Report {
    /// Whether every answer was right, or told that there are too many requests.
    pub(super) fn is_clean(&self) -> bool {
        self.tally.faults() == 0
    }

    /// The table of operations and what the server took.
    pub(super) fn text(&self) -> String {
        let mut text = self.tally.table(self.time);
        for fault in self.tally.first_faults() {
            // Writing into a string can't fail.
            _ = writeln!(text, "fault: {fault}");
        }
        let (first, last) = (self.footprints.first(), self.footprints.last());
        if let (Some(first), Some(last)) = (first, last) {
            _ = writeln!(
                text,
                "server at the start: {first}\nserver at the end:   {last}"
            );
        }
        text
    }

    /// The same for a machine.
    pub(super) fn json(&self) -> Value {
        let footprints: Vec<_> = self.footprints.iter().map(Footprint::json).collect();
        json!({
            "seconds": self.time.as_secs_f64(),
            "operations": self.tally.json(self.time),
            "faults": self.tally.faults(),
            "server": footprints,
        })
    }
}

/// Runs a soak to its end.
///
/// # Errors
/// Where the server can't be reached at the start.
pub(super) async fn run(soak: &Soak) -> Result<Report, CliError> {
    let pool = pattern(POOL_BYTES);
    let began = Instant::now();
    let until = began + soak.time;
    let tally = Arc::new(Tally::default());
    let mut clients = JoinSet::new();
    for number in 0..soak.connections {
        let client = Client::new(soak, number, pool.clone());
        let wire = soak.endpoint.connect().await?;
        clients.spawn(client.run(wire, until, Arc::clone(&tally)));
    }
    let mut footprints = Vec::new();
    let mut lines = tokio::time::interval(LINE_EVERY.min(soak.time / 4));
    let mut seen = 0;
    let mut last = began;
    loop {
        tokio::select! {
            ended = clients.join_next() => if ended.is_none() { break },
            _ = lines.tick() => {
                let footprint = soak.pid.and_then(Footprint::of);
                let (done, now) = (tally.done(), Instant::now());
                if soak.talks && now > last {
                    let rate = per_second(done.saturating_sub(seen), now.saturating_duration_since(last));
                    let seconds = began.elapsed().as_secs();
                    let faults = tally.faults();
                    let of_server = footprint.as_ref().map(ToString::to_string).unwrap_or_default();
                    println!("{seconds:>5} s {rate:>8.0} op/s {:>6} turned away {faults:>4} faults  {of_server}", tally.turned_away());
                }
                (seen, last) = (done, now);
                footprints.extend(footprint);
            }
        }
    }
    footprints.extend(soak.pid.and_then(Footprint::of));
    let tally = Arc::into_inner(tally).unwrap_or_default();
    Ok(Report {
        tally,
        time: began.elapsed(),
        footprints,
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is shown to four digits, a float holds fifteen"
)]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}
