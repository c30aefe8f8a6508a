//! Joins the outbox to the object store's batches.

use super::deliver::Callbacks;
use super::event::Event;
use crate::store::hook::{Change, CommitHook};
use crate::store::meta::Batch;

impl CommitHook for Callbacks {
    fn stage(&self, change: &Change<'_>, batch: &mut Batch) {
        let event = Event {
            name: change.event.as_str().to_owned(),
            at: change.at,
            bucket: change.bucket.name.as_str().to_owned(),
            bucket_owner: change.bucket.owner.clone(),
            region: change.bucket.region.clone(),
            key: change.key.as_str().to_owned(),
            size: change
                .object
                .filter(|object| !object.is_delete_marker())
                .map(|object| object.len),
            etag: change.object.map(|object| object.etag.to_string()),
            sequence: change.sequence,
            principal: change.origin.principal.clone(),
            source_ip: change.origin.source_ip.map(|ip| ip.to_string()),
            request_id: change.origin.request_id.to_string(),
            version: change.version.map(|version| version.to_string()),
        };
        self.stage_event(&event, batch);
    }

    fn committed(&self) {
        Self::committed(self);
    }
}
