//! How long the hottest pieces of work take: `cargo bench --features micro`, with words that choose some of
//! them. `--count NAME ROUNDS` does one so often as its instructions are to be counted, times ROUNDS, and says
//! nothing: `scripts/bench-instructions` counts.

use std::time::{Duration, Instant};

use consign::micro::{Case, Work, cases};

/// How long one measurement takes; the best of [`MEASUREMENTS`] is shown, since others of the machine can
/// only make it longer.
const MEASUREMENT: Duration = Duration::from_millis(50);
const MEASUREMENTS: u32 = 10;

fn main() {
    // Cargo adds a flag of its own.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    match words
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["--list"] => cases()
            .iter()
            .for_each(|case| println!("{} {}", case.times, case.name)),
        ["--count", name, rounds] => {
            let rounds: u32 = rounds.parse().expect("a number");
            let mut cases = cases().into_iter();
            let case = cases.find(|case| case.name == *name).expect("a case");
            let mut work = (case.prepare)();
            (0..case.times * rounds).for_each(|_time| work());
        }
        words => {
            let wanted =
                |case: &Case| words.is_empty() || words.iter().any(|word| case.name.contains(word));
            for case in cases().into_iter().filter(wanted) {
                let mut work = (case.prepare)();
                let time = (0..MEASUREMENTS).map(|_| measure(&mut work)).min();
                let ns = time.unwrap_or_default().as_nanos();
                println!("{:<28} {:>8}.{:03} µs", case.name, ns / 1000, ns % 1000);
            }
        }
    }
}

/// What doing it once takes, of a measurement's time.
fn measure(work: &mut Work) -> Duration {
    let (begun, mut times) = (Instant::now(), 0);
    loop {
        work();
        times += 1;
        let elapsed = begun.elapsed();
        if elapsed >= MEASUREMENT {
            return elapsed / times;
        }
    }
}
