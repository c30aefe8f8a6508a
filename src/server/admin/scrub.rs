//! The scrub: what it found, and how to have it begin now.

use http::Method;
use serde_json::{Value, json};

use super::{Admin, Asked};
use crate::clock::Timestamp;
use crate::s3::AdminError;
use crate::store::StoreError;
use crate::store::scrub::{Damage, ScrubStatus};

impl Admin {
    pub(super) async fn answer_scrub(&self, asked: &Asked<'_>) -> Result<Value, AdminError> {
        match (asked.method, asked.path) {
            (&Method::GET, "scrub") => {}
            (&Method::POST, "scrub") => {
                if !self.store.scrub_monitor().announce() {
                    return Err(AdminError::Invalid("a scrub is under way".to_owned()));
                }
                self.background.scrub_now.notify_one();
            }
            _ => return Err(asked.unknown()),
        }
        let failed = |error: StoreError| AdminError::Failed(error.to_string());
        let damage = self.store.damage().await.map_err(failed)?;
        let mut answer = shown(self.store.scrub_monitor().status());
        if let Some(fields) = answer.as_object_mut() {
            fields.insert(
                "damage".to_owned(),
                damage.iter().map(shown_damage).collect(),
            );
        }
        Ok(answer)
    }
}

/// The scrub's state as commands read it.
pub(super) fn shown(status: ScrubStatus) -> Value {
    let time = |at: Option<Timestamp>| at.map(Timestamp::iso8601_ms);
    json!({
        "running": status.running,
        "began": time(status.began),
        "finished": time(status.finished),
        "records": status.records,
        "bytes": status.bytes,
        "bytes_total": status.bytes_total,
        "damaged": status.damaged,
        "damaged_reads": status.damaged_reads,
        "passes": status.passes,
    })
}

fn shown_damage(damage: &Damage) -> Value {
    json!({
        "kind": damage.finding.kind,
        "place": damage.finding.place,
        "detail": damage.finding.detail,
        "found": damage.found.iso8601_ms(),
        "seen": damage.seen.iso8601_ms(),
    })
}
