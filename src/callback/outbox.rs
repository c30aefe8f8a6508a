//! The queue: one row for each message and endpoint, put by the batch that changes the object.

use bytes::Bytes;

use super::config::{CallbackConfig, CallbackError};
use super::event::Event;
use super::rule::{Listener, Rules};
use crate::clock::Timestamp;
use crate::config::Wait;
use crate::id::MessageId;
use crate::store::hook::CallbackChoice;
use crate::store::meta::{Batch, Space};
use crate::trace;

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum State {
    /// It waits for its next attempt.
    #[n(0)]
    Pending,
    /// Its attempts are used up.
    #[n(1)]
    Dead,
    /// The receiver took it.
    #[n(2)]
    Delivered,
    /// The receiver is asked whether what it tells of may be: it is not made yet.
    #[n(3)]
    Asked,
    /// What it tells of was not made.
    #[n(4)]
    Withdrawn,
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Message {
    /// Its name over all attempts.
    #[n(0)]
    pub id: MessageId,
    /// The endpoint's name.
    #[n(1)]
    pub endpoint: String,
    /// What happened.
    #[n(2)]
    pub event: Event,
    /// How far it is.
    #[n(3)]
    pub state: State,
    /// Attempts made.
    #[n(4)]
    pub attempts: u32,
    /// When it is next tried; once it is finished, when that was.
    #[n(5)]
    pub next_attempt: Timestamp,
    /// Why the last attempt failed.
    #[n(6)]
    pub last_error: Option<String>,
    /// Attempts that a person's retry forgave: they no longer count towards the limit.
    #[n(7)]
    pub forgiven: Option<u32>,
    /// The span of the request that it comes from, where that is traced.
    #[n(8)]
    pub trace: Option<String>,
}

impl Message {
    /// A new one that is due at once.
    pub fn new(endpoint: &str, event: Event) -> Self {
        Self {
            id: MessageId::new(event.at),
            endpoint: endpoint.to_owned(),
            state: State::Pending,
            attempts: 0,
            next_attempt: event.at,
            last_error: None,
            forgiven: None,
            trace: trace::carried(),
            event,
        }
    }

    /// Its row's key: `endpoint ‖ 00 ‖ sequence ‖ id`, so that a scan meets a key's events in order.
    pub fn row_key(&self) -> Bytes {
        let mut key = Vec::with_capacity(self.endpoint.len() + 25);
        key.extend_from_slice(self.endpoint.as_bytes());
        key.push(0);
        key.extend_from_slice(&self.event.sequence.to_be_bytes());
        key.extend_from_slice(self.id.as_bytes());
        key.into()
    }

    /// Its row's value.
    pub fn encode(&self) -> Bytes {
        let mut value = Vec::new();
        // Writing to a `Vec` can't fail: its error type has no value.
        match minicbor::encode(self, &mut value) {
            Ok(()) => value.into(),
            Err(_never) => Bytes::new(),
        }
    }

    /// Reads a row's value; none where it is corrupt.
    pub fn decode(value: &[u8]) -> Option<Self> {
        minicbor::decode(value).ok()
    }
}

/// Puts messages into batches.
#[derive(Debug)]
pub struct Outbox {
    pub(super) rules: Rules,
}

impl Outbox {
    /// An outbox under the configuration's rules.
    ///
    /// # Errors
    /// [`CallbackError`] says what is wrong with them.
    pub fn new(config: &CallbackConfig) -> Result<Self, CallbackError> {
        let rules = Rules::parse(config)?;
        Ok(Self { rules })
    }

    /// Adds a row for each endpoint that is to hear of `event`, save for the one that is waited for.
    pub fn stage<'a>(
        &'a self,
        event: &Event,
        chosen: Option<&'a CallbackChoice>,
        batch: &mut Batch,
    ) -> Option<(Listener<'a>, Wait)> {
        let plan = self.rules.of(event, chosen);
        for listener in plan.told {
            Self::stage_for(listener.endpoint, &event.telling(listener.vars), batch);
        }
        plan.waits
    }

    /// Adds the row of one endpoint that is to hear of `event`, whatever the rules say.
    pub fn stage_for(endpoint: &str, event: &Event, batch: &mut Batch) {
        let message = Message::new(endpoint, event.clone());
        batch.put(Space::Outbox, message.row_key(), message.encode());
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::event;
    use super::*;
    use crate::store::hook::CallbackMode;
    use crate::store::meta::Write;

    #[test]
    fn a_change_queues_one_readable_row_for_each_endpoint_in_order_of_sequence() {
        let config = r#"{"endpoints":[{"name":"a","url":"http://a/","secrets":[]},
            {"name":"b","url":"http://b/","secrets":[]}],
            "rules":[{"endpoint":"a","bucket":"*","events":["s3:ObjectCreated:*"]},
            {"endpoint":"a","bucket":"b","events":["s3:ObjectCreated:Put"]},
            {"endpoint":"b","bucket":"b","events":["s3:ObjectCreated:Put"]}]}"#;
        let outbox = Outbox::new(&serde_json::from_str(config).unwrap()).unwrap();
        let mut batch = Batch::new();
        assert_eq!(outbox.stage(&event("k", 255), None, &mut batch), None);
        assert_eq!(outbox.stage(&event("k", 256), None, &mut batch), None);
        assert_eq!(batch.writes.len(), 4);
        let mut rows = Vec::new();
        for write in batch.writes {
            let Write::Put {
                space: Space::Outbox,
                key,
                value,
            } = write
            else {
                panic!("{write:?}");
            };
            let message = Message::decode(&value).unwrap();
            assert_eq!(message.row_key(), key);
            rows.push((key, message));
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let order: Vec<_> = rows
            .iter()
            .map(|(_, m)| (m.endpoint.as_str(), m.event.sequence))
            .collect();
        assert_eq!(order, [("a", 255), ("a", 256), ("b", 255), ("b", 256)]);
    }

    #[test]
    fn the_endpoint_that_a_signer_chose_hears_once_and_what_it_is_told() {
        let config = r#"{"endpoints":[{"name":"a","url":"http://a/","secrets":[]},
            {"name":"b","url":"http://b/","secrets":[]}],
            "rules":[{"endpoint":"a","bucket":"*","events":["s3:ObjectCreated:*"]}]}"#;
        let outbox = Outbox::new(&serde_json::from_str(config).unwrap()).unwrap();
        for (endpoint, rows) in [("a", 1), ("b", 2)] {
            let chosen = CallbackChoice {
                endpoint: endpoint.to_owned(),
                vars: vec![("user".to_owned(), "7".to_owned())],
                mode: CallbackMode::Async,
            };
            let mut batch = Batch::new();
            outbox.stage(&event("k", 1), Some(&chosen), &mut batch);
            assert_eq!(batch.writes.len(), rows);
            let Some(Write::Put { value, .. }) = batch.writes.first() else {
                panic!("{batch:?}");
            };
            let message = Message::decode(value).unwrap();
            assert_eq!(
                (&*message.endpoint, message.event.vars),
                (endpoint, Some(chosen.vars))
            );
        }
    }
}
