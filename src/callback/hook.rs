//! Joins the outbox to the object store's batches.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::ask::MessageRow;
use super::audit::Attempt;
use super::deliver::Callbacks;
use super::event::{Event, TEST};
use super::outbox::{Outbox, State};
use crate::clock::Timestamp;
use crate::config::OnFailure;
use crate::store::hook::{
    Awaited, Bucket, Change, CommitHook, Consent, NotificationRule, Objection, Origin, Proposed,
    Told, Verdict,
};
use crate::store::meta::{Batch, Space};

impl CommitHook for Callbacks {
    fn stage(&self, change: &Change<'_>, batch: &mut Batch) -> Option<Awaited> {
        let event = event_of(change);
        let chosen = change.origin.callback.as_ref();
        let configured = self.configured();
        let waits = configured.outbox.stage(&event, chosen, batch);
        let rules = change.bucket.settings.notifications.iter();
        for rule in rules.filter(|rule| rule.tells(&event.name, &event.key)) {
            self.stage_rule(rule, event.clone(), batch);
        }
        let (listener, wait) = waits?;
        let told = event.telling(listener.vars);
        match (wait.on_failure, change.consent) {
            (_, Some(consent)) => {
                Self::stage_agreed(listener.endpoint, &told, consent, batch);
                None
            }
            (OnFailure::Keep, None) => {
                let message = Self::held(listener.endpoint, told, State::Pending, wait.time);
                let (key, value) = (message.row_key(), message.encode());
                batch.put(Space::Outbox, key.clone(), value.clone());
                Some(Awaited {
                    key,
                    value,
                    within: wait.time,
                })
            }
            // Nobody was asked, so that it is told the ordinary way.
            (OnFailure::Withdraw, None) => {
                Outbox::stage_for(listener.endpoint, &told, batch);
                None
            }
        }
    }

    fn must_agree(&self, bucket: &Bucket, key: &str, by: &Origin) -> bool {
        let (bucket, event) = (bucket.name.as_str(), by.event.as_str());
        let configured = self.configured();
        let plan = configured
            .outbox
            .rules
            .plan(bucket, key, event, by.callback.as_ref());
        plan.waits
            .is_some_and(|(_listener, wait)| wait.on_failure == OnFailure::Withdraw)
    }

    fn consult<'a>(
        &'a self,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<Option<Consent>, Objection>> {
        async move {
            let event = event_of(change);
            let chosen = change.origin.callback.as_ref();
            let configured = self.configured();
            let plan = configured.outbox.rules.of(&event, chosen);
            let Some((listener, wait)) = plan.waits else {
                return Ok(None);
            };
            let Some(endpoint) = configured.endpoint(listener.endpoint) else {
                return Ok(None);
            };
            let told = event.telling(listener.vars);
            let message = Self::held(listener.endpoint, told, State::Asked, wait.time);
            let (row, answer, attempt) = self.agreed(&endpoint, message, wait.time).await?;
            Ok(Some(Consent {
                key: row.key,
                value: row.value,
                attempt: attempt.encode(),
                answer,
                sequence: change.sequence,
                version: change.version,
            }))
        }
        .boxed()
    }

    fn revoke<'a>(&'a self, consent: &'a Consent) -> BoxFuture<'a, ()> {
        self.revoked(consent).boxed()
    }

    fn answer(&self, awaited: Awaited) -> BoxFuture<'_, Told> {
        self.answer_of(awaited).boxed()
    }

    fn admit<'a>(&'a self, upload: &'a Proposed<'a>) -> BoxFuture<'a, Verdict> {
        self.admitted(upload).boxed()
    }

    fn knows(&self, endpoint: &str) -> bool {
        self.endpoint(endpoint).is_some()
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
    /// The question goes with the object's batch, as answered. What the receiver was told before the
    /// object had its place is told again where that came out otherwise: another write of the key
    /// was faster.
    fn stage_agreed(endpoint: &str, told: &Event, consent: &Consent, batch: &mut Batch) {
        let Some(row) = MessageRow::read(consent) else {
            return;
        };
        let asked = &row.message.event;
        let moved = asked.sequence != told.sequence || asked.version != told.version;
        if moved {
            Outbox::stage_for(endpoint, told, batch);
        }
        let attempt = Attempt::decode(&consent.attempt);
        let ended = row.end(State::Delivered, told.at, attempt.as_ref());
        batch.assertions.extend(ended.assertions);
        batch.writes.extend(ended.writes);
    }

    /// An endpoint that the configuration has no longer hears nothing: its queue would only grow.
    fn stage_rule(&self, rule: &NotificationRule, event: Event, batch: &mut Batch) {
        let endpoint = rule.endpoint();
        if self.knows(endpoint) {
            let rule = Some(rule.id.clone());
            Outbox::stage_for(endpoint, &Event { rule, ..event }, batch);
        }
    }
}

/// What is told of a change.
fn event_of(change: &Change<'_>) -> Event {
    Event {
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
