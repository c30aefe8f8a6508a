//! What the scrub knows, as numbers.

use crate::clock::Timestamp;
use crate::metrics::Reading;
use crate::store::scrub::ScrubStatus;

/// The scrub's numbers.
pub(super) fn readings(status: ScrubStatus) -> Vec<Reading> {
    let seconds = |at: Option<Timestamp>| at.map_or(0, Timestamp::unix_s);
    vec![
        Reading::gauge(
            "consign_damaged",
            "Things that are known to be damaged: consign scrub names them",
            status.damaged,
        ),
        Reading::counter(
            "consign_damaged_reads",
            "Reads of objects that found damage, and were refused or cut",
            status.damaged_reads,
        ),
        Reading::gauge(
            "consign_scrub_running",
            "1 while a pass of the scrub is under way",
            status.running,
        ),
        Reading::gauge(
            "consign_scrub_bytes",
            "Bytes that the last pass has read",
            status.bytes,
        ),
        Reading::gauge(
            "consign_scrub_bytes_expected",
            "Bytes that it has to read",
            status.bytes_total,
        ),
        Reading::gauge(
            "consign_scrub_finished_time_seconds",
            "When the last whole pass ended, in seconds of the Unix epoch; 0: none has",
            seconds(status.finished),
        ),
    ]
}
