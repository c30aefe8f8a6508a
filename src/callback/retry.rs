//! When a failed delivery is tried again.

use std::time::Duration;

const HOUR: u64 = 3600;
const WAITS_S: [u64; 10] = [
    1,
    5,
    30,
    120,
    600,
    1800,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
];
const WAIT_MAX: Duration = Duration::from_secs(12 * HOUR);

/// The wait after the attempt that is `attempt`-th from 1. `jitter` shortens it by up to a fifth,
/// so that messages that failed together are not tried together. A receiver's own `Retry-After`
/// is heeded up to the longest wait.
pub fn wait(attempt: u32, jitter: u8, retry_after: Option<Duration>) -> Duration {
    let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let full = WAITS_S
        .get(at)
        .map_or(WAIT_MAX, |s| Duration::from_secs(*s));
    let wait = full.saturating_sub(full * u32::from(jitter) / (5 * 255));
    retry_after.map_or(wait, |asked| wait.max(asked.min(WAIT_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ATTEMPTS_DEFAULT;

    #[test]
    fn the_default_attempts_span_about_three_days() {
        let span: Duration = (1..ATTEMPTS_DEFAULT)
            .map(|attempt| wait(attempt, 0, None))
            .sum();
        let hours = span.as_secs() / HOUR;
        assert!((66..=72).contains(&hours), "{span:?}");
    }

    #[test]
    fn jitter_shortens_by_up_to_a_fifth_and_retry_after_lengthens() {
        assert_eq!(wait(2, 255, None), Duration::from_secs(4));
        let asked = |s| wait(1, 0, Some(Duration::from_secs(s)));
        assert_eq!(asked(60), Duration::from_secs(60));
        assert_eq!(asked(u64::MAX), WAIT_MAX);
    }
}
