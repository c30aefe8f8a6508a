//! What became of messages: every attempt, and what an administrator may see and do.

use serde_json::{Value, json};

use bytes::Bytes;

use super::dead;
use super::deliver::Callbacks;
use super::outbox::{Message, State};
use crate::clock::Timestamp;
use crate::id::MessageId;
use crate::store::meta::{
    Batch, Entry, KeyRange, MetaError, Space, Step, after_prefix, scan, walk,
};
use std::time::Duration;

/// Rows of [`Space::Deliveries`] that begin so are finished messages, by id and thus by age.
pub(super) const FINISHED: u8 = b'm';
/// And so: attempts.
const ATTEMPT: u8 = b'a';
const KEEP_DELIVERED: Duration = Duration::from_secs(7 * 24 * 3600);
const PAGE: usize = 500;
/// What one list answers at most.
pub const LIST_MAX: usize = 1000;

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Attempt {
    /// When it ended.
    #[n(0)]
    pub at: Timestamp,
    /// What the receiver answered.
    #[n(1)]
    pub status: Option<u16>,
    /// Why it failed; none where it did not.
    #[n(2)]
    pub error: Option<String>,
    /// How long it took.
    #[n(3)]
    pub ms: u64,
}

impl Attempt {
    pub(super) fn encode(&self) -> Bytes {
        let mut value = Vec::new();
        // Writing to a `Vec` can't fail: its error type has no value.
        match minicbor::encode(self, &mut value) {
            Ok(()) => value.into(),
            Err(_never) => Bytes::new(),
        }
    }

    /// Reads what [`Self::encode`] wrote; none where it is corrupt.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        minicbor::decode(value).ok()
    }
}

pub(super) fn finished_key(id: MessageId) -> Bytes {
    [&[FINISHED], id.as_bytes().as_slice()].concat().into()
}

fn attempts_prefix(id: MessageId) -> Vec<u8> {
    [&[ATTEMPT], id.as_bytes().as_slice()].concat()
}

pub(super) fn attempt_key(id: MessageId, attempt: u32) -> Bytes {
    [attempts_prefix(id).as_slice(), &attempt.to_be_bytes()]
        .concat()
        .into()
}

/// Why an administrator's request fails.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is no such message.
    #[error("there is no such message")]
    NoSuchMessage,
    /// It tells of an object that is not there.
    #[error("the message is about an upload that was not made: there is nothing to tell again")]
    NotMade,
    /// No endpoint has that name.
    #[error("no [[callback.endpoint]] is named \"{0}\"")]
    NoSuchEndpoint(String),
    /// Metadata failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl Callbacks {
    /// Up to `limit` messages in `state`, of `endpoint` or of all.
    ///
    /// # Errors
    /// [`AdminError::Meta`].
    pub async fn list(
        &self,
        state: State,
        endpoint: Option<&str>,
        limit: usize,
    ) -> Result<Value, AdminError> {
        let limit = limit.clamp(1, LIST_MAX);
        let (space, range) = match state {
            State::Pending | State::Asked => (Space::Outbox, KeyRange::all()),
            State::Delivered | State::Withdrawn => {
                (Space::Deliveries, KeyRange::prefix(vec![FINISHED]))
            }
            State::Dead => return Ok(listed(&self.dead(endpoint, limit).await?)),
        };
        let endpoint = endpoint.map(str::to_owned);
        let visit = move |rows: &mut Vec<Message>, _key: &[u8], value: &[u8]| {
            let fits = |m: &Message| {
                m.state == state && endpoint.as_ref().is_none_or(|name| *name == m.endpoint)
            };
            rows.extend(Message::decode(value).filter(fits));
            if rows.len() < limit {
                Step::Next
            } else {
                Step::Stop
            }
        };
        let rows = walk(self.meta.as_ref(), space, range, Vec::new(), visit).await?;
        Ok(listed(&rows))
    }

    /// A message, its body and its attempts.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn show(&self, id: MessageId) -> Result<Value, AdminError> {
        let (_space, _entry, message) = self.find(id).await?;
        let range = KeyRange::prefix(attempts_prefix(id));
        let rows = scan(self.meta.as_ref(), Space::Deliveries, range, LIST_MAX).await?;
        let attempt = |row: &Entry| {
            let a = Attempt::decode(&row.value)?;
            let at = a.at.iso8601_ms();
            Some(json!({"time": at, "status": a.status, "error": a.error, "ms": a.ms}))
        };
        let attempts: Vec<_> = rows.iter().filter_map(attempt).collect();
        let mut shown = summary(&message);
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("body".to_owned(), message.event.json());
            fields.insert("audit".to_owned(), attempts.into());
        }
        Ok(shown)
    }

    /// Tries a message again, at once and with all its attempts.
    ///
    /// # Errors
    /// [`AdminError`]; a [`MetaError::Conflict`] where it was delivered meanwhile.
    pub async fn retry(&self, id: MessageId) -> Result<Value, AdminError> {
        let (space, old, mut message) = self.find(id).await?;
        if matches!(message.state, State::Asked | State::Withdrawn) {
            return Err(AdminError::NotMade);
        }
        let is_dead = message.state == State::Dead;
        message.state = State::Pending;
        message.next_attempt = self.clock.now();
        message.forgiven = Some(message.attempts);
        let mut batch = Batch::new();
        batch.assert_unchanged(space, old.key.clone(), Some(old.value));
        batch.delete(space, old.key);
        batch.put(Space::Outbox, message.row_key(), message.encode());
        if is_dead {
            dead::forget(id, &mut batch);
        }
        self.meta.commit(batch).await?;
        self.committed();
        Ok(summary(&message))
    }

    async fn find(&self, id: MessageId) -> Result<(Space, Entry, Message), AdminError> {
        let key = finished_key(id);
        let finished = self.meta.get(Space::Deliveries, &key).await?;
        if let Some(value) = finished {
            let message = Message::decode(&value).ok_or(AdminError::NoSuchMessage)?;
            return Ok((Space::Deliveries, Entry { key, value }, message));
        }
        let visit = move |found: &mut Option<(Entry, Message)>, key: &[u8], value: &[u8]| {
            // A row's key ends with the id: only the one that is sought is decoded.
            if key.ends_with(id.as_bytes()) {
                let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                *found = Message::decode(&value).map(|m| (Entry { key, value }, m));
                return Step::Stop;
            }
            Step::Next
        };
        let (meta, range) = (self.meta.as_ref(), KeyRange::all());
        let found = walk(meta, Space::Outbox, range, None, visit).await?;
        let (entry, message) = found.ok_or(AdminError::NoSuchMessage)?;
        Ok((Space::Outbox, entry, message))
    }

    /// Forgets what was delivered a week ago. Dead letters stay until they are tried again.
    pub(super) async fn prune(&self) -> Result<(), MetaError> {
        let before = self.clock.now().minus(KEEP_DELIVERED);
        let mut range = KeyRange::prefix(vec![FINISHED]);
        loop {
            let rows = scan(self.meta.as_ref(), Space::Deliveries, range.clone(), PAGE).await?;
            let Some(last) = rows.last().map(|row| row.key.clone()) else {
                return Ok(());
            };
            let mut batch = Batch::new();
            let mut young = false;
            for row in &rows {
                let Some(message) = Message::decode(&row.value) else {
                    continue;
                };
                young |= message.id.created() >= before;
                let done = matches!(message.state, State::Delivered | State::Withdrawn);
                if done && message.next_attempt < before {
                    let (key, value) = (row.key.clone(), Some(row.value.clone()));
                    batch.assert_unchanged(Space::Deliveries, key.clone(), value);
                    batch.delete(Space::Deliveries, key);
                    for attempt in 1..=message.attempts {
                        batch.delete(Space::Deliveries, attempt_key(message.id, attempt));
                    }
                }
            }
            if !batch.writes.is_empty() {
                self.meta.commit(batch).await?;
            }
            if young || after_prefix(&last).is_none() {
                return Ok(());
            }
            range.start = [last.as_ref(), &[0]].concat().into();
        }
    }
}

fn listed(messages: &[Message]) -> Value {
    json!({"callbacks": messages.iter().map(summary).collect::<Vec<_>>()})
}

fn summary(message: &Message) -> Value {
    let state = match message.state {
        State::Pending => "pending",
        State::Dead => "dead",
        State::Delivered => "delivered",
        State::Asked => "asked",
        State::Withdrawn => "withdrawn",
    };
    json!({
        "id": message.id.to_string(),
        "endpoint": message.endpoint,
        "state": state,
        "event": message.event.name,
        "bucket": message.event.bucket,
        "key": message.event.key,
        "attempts": message.attempts,
        "next_attempt": (message.state == State::Pending).then(|| message.next_attempt.iso8601_ms()),
        "last_error": message.last_error,
    })
}
