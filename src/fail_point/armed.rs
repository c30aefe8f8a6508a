//! The one point that kills, where a test has armed one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};

use super::POINTS;

/// The file that may come.
static FILE: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os("CONSIGN_FAIL_POINT").map(PathBuf::from));
static ARMED: OnceLock<Armed> = OnceLock::new();

/// The point that kills.
#[derive(Debug)]
struct Armed {
    name: &'static str,
    nth: u64,
    reached: AtomicU64,
}

impl Armed {
    fn parse(line: &str) -> Option<Self> {
        let (name, nth) = line.split_once(':')?;
        let name = POINTS.iter().copied().find(|point| *point == name)?;
        let nth = nth.parse().ok().filter(|nth| *nth > 0)?;
        let reached = AtomicU64::new(0);
        Some(Self { name, nth, reached })
    }

    /// Whether this is the time to die.
    fn is_due(&self, name: &str) -> bool {
        name == self.name && self.reached.fetch_add(1, Ordering::Relaxed) + 1 == self.nth
    }
}

/// Says that the place of that name is reached, and dies there if it is armed.
pub fn reach(name: &'static str) {
    if armed().is_some_and(|armed| armed.is_due(name)) {
        die();
    }
}

fn armed() -> Option<&'static Armed> {
    if ARMED.get().is_none() {
        let text = std::fs::read_to_string(FILE.as_ref()?).ok()?;
        // Without its end the line is still being written.
        let line = text.strip_suffix('\n')?;
        let Some(armed) = Armed::parse(line) else {
            // A test that arms nothing would pass for the wrong reason.
            tracing::error!("\"{line}\" is not NAME:NTH");
            std::process::abort();
        };
        // Another thread may have been faster, with the same.
        drop(ARMED.set(armed));
    }
    ARMED.get()
}

fn die() {
    let process = rustix::process::getpid();
    let killed = rustix::process::kill_process(process, rustix::process::Signal::KILL);
    // Not a step further, even if the kernel takes its time.
    while killed.is_ok() {
        std::thread::park();
    }
    std::process::abort();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_time_counts() {
        let armed = Armed::parse("put.decided:3").unwrap();
        let names = [
            "put.decided",
            "blob.staged",
            "put.decided",
            "put.decided",
            "put.decided",
        ];
        let due = names.map(|name| armed.is_due(name));
        assert_eq!(due, [false, false, false, true, false]);
    }

    #[test]
    fn what_is_not_understood_arms_nothing() {
        for text in [
            "",
            "put.decided",
            "put.decided:",
            "put.decided:0",
            "nowhere:1",
        ] {
            assert!(Armed::parse(text).is_none(), "{text}");
        }
    }
}
