//! Joins the outbox to the object store's batches.

use super::deliver::Callbacks;
use super::event::{Event, TEST};
use super::outbox::Outbox;
use crate::clock::Timestamp;
use crate::store::hook::{Bucket, Change, CommitHook, NotificationRule, Origin};
use crate::store::meta::Batch;

impl CommitHook for Callbacks {
    fn stage(&self, change: &Change<'_>, batch: &mut Batch) {
        let event = Event {
            key: change.key.as_str().to_owned(),
            size: change
                .object
                .filter(|object| !object.is_delete_marker())
                .map(|object| object.len),
            etag: change.object.map(|object| object.etag.to_string()),
            sequence: change.sequence,
            version: change.version.map(|version| version.to_string()),
            ..about(
                change.bucket,
                change.event.as_str(),
                change.origin,
                change.at,
            )
        };
        self.stage_event(&event, change.origin.callback.as_ref(), batch);
        let rules = change.bucket.settings.notifications.iter();
        for rule in rules.filter(|rule| rule.tells(&event.name, &event.key)) {
            self.stage_rule(rule, event.clone(), batch);
        }
    }

    fn knows(&self, endpoint: &str) -> bool {
        self.endpoint_names().any(|name| name == endpoint)
    }

    fn stage_test(
        &self,
        bucket: &Bucket,
        rule: &NotificationRule,
        by: &Origin,
        at: Timestamp,
        batch: &mut Batch,
    ) {
        self.stage_rule(rule, about(bucket, TEST, by, at), batch);
    }

    fn committed(&self) {
        Self::committed(self);
    }
}

impl Callbacks {
    /// An endpoint that the configuration has no longer hears nothing: its queue would only grow.
    fn stage_rule(&self, rule: &NotificationRule, event: Event, batch: &mut Batch) {
        let endpoint = rule.endpoint();
        if self.knows(endpoint) {
            let rule = Some(rule.id.clone());
            Outbox::stage_for(endpoint, &Event { rule, ..event }, batch);
        }
    }
}

fn about(bucket: &Bucket, name: &str, by: &Origin, at: Timestamp) -> Event {
    Event {
        bucket: bucket.name.as_str().to_owned(),
        bucket_owner: bucket.owner.clone(),
        region: bucket.region.clone(),
        principal: by.principal.clone(),
        source_ip: by.source_ip.map(|ip| ip.to_string()),
        request_id: by.request_id.to_string(),
        ..Event::of_server(name, at)
    }
}
