//! Uploaders who wait: the receiver is asked at once, and its answer becomes theirs.
//!
//! Two ways, by what a missing answer means. **Keep**: the object and its message are committed, the
//! message held back; then the receiver is asked, and where it does not answer, the message goes the
//! ordinary way. **Withdraw**: a row that says "asked" is committed; then the receiver is asked; the
//! object's own batch takes that row away. A row that stays, whoever died, says that the receiver may
//! believe in an object that never was: it is told [`WITHDRAWN`].

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::answer::{ANSWER_BYTES_MAX, Unanswered, judge};
use super::audit::{Attempt, attempt_key, finished_key};
use super::deliver::{Callbacks, Outcome, Row};
use super::endpoint::{Answer, Endpoint, NoAnswer, Post};
use super::event::{Event, WITHDRAWN};
use super::outbox::{Message, State};
use crate::clock::{Timestamp, whole_ms};
use crate::fail_point;
use crate::id::MessageId;
use crate::store::hook::{Awaited, Consent, Objection, Told};
use crate::store::meta::{Batch, MetaError, Space};

/// How long after the latest answer a row may still be ours to decide: the commit comes after it.
const MARGIN: Duration = Duration::from_secs(10);
/// What waits may still take once the server stops.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// What came of one question.
struct Asked {
    answer: Result<Bytes, Unanswered>,
    at: Timestamp,
    ms: u64,
}

impl Asked {
    fn attempt(&self) -> Attempt {
        let fault = self.answer.as_ref().err();
        Attempt {
            at: self.at,
            status: fault.map_or(Some(200), Unanswered::status),
            error: fault.map(Unanswered::text),
            ms: self.ms,
        }
    }
}

impl Callbacks {
    /// A message that the deliverer leaves alone for as long as its uploader may wait.
    pub(super) fn held(endpoint: &str, event: Event, state: State, within: Duration) -> Message {
        let until = event.at.plus(within.saturating_add(MARGIN));
        Message {
            state,
            next_attempt: until,
            ..Message::new(endpoint, event)
        }
    }

    /// Asks the receiver of `message`, once.
    async fn ask(&self, endpoint: &Endpoint, message: &Message, within: Duration) -> Asked {
        let begun = Instant::now();
        let attempt = message.attempts.saturating_add(1);
        let body = message.event.json().to_string();
        let call = self.call(endpoint, (message.id, attempt), body, begun + within);
        let answer = tokio::select! {
            answer = call => judge(answer),
            () = self.stop_grace() => Err(Unanswered::Unclear {
                status: None,
                why: "the server stops".to_owned(),
            }),
        };
        Asked {
            answer,
            at: self.clock.now(),
            ms: whole_ms(begun.elapsed()),
        }
    }

    /// Posts once, for somebody who waits until `deadline` at most.
    pub(super) async fn call(
        &self,
        endpoint: &Endpoint,
        (id, attempt): (MessageId, u32),
        body: String,
        deadline: Instant,
    ) -> Result<Answer, NoAnswer> {
        let turn = tokio::time::timeout_at(deadline, endpoint.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(NoAnswer {
                error: "too many uploads wait for this receiver".to_owned(),
                maybe_heard: false,
            });
        };
        let post = endpoint.post(Post {
            id,
            attempt,
            body,
            at: self.clock.now(),
            within: deadline.saturating_duration_since(Instant::now()),
            answer_bytes_max: ANSWER_BYTES_MAX,
        });
        post.await
    }

    /// Over a moment after the server was told to stop: whoever answers at once still may.
    pub(super) async fn stop_grace(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    }

    /// Asks about what is committed already.
    pub(super) async fn answer_of(&self, awaited: Awaited) -> Told {
        let Awaited { key, value, within } = awaited;
        let found = Message::decode(&value);
        let found = found.and_then(|message| Some((self.endpoint(&message.endpoint)?, message)));
        let Some((endpoint, message)) = found else {
            return Told::Failed("the receiver is not there".to_owned());
        };
        let asked = self.ask(&endpoint, &message, within).await;
        fail_point::reach("keep.answered");
        let row = Row {
            key,
            value,
            message,
            lane: 0,
        };
        let fault = asked.answer.as_ref().err();
        let outcome = Outcome {
            status: fault.map_or(Some(200), Unanswered::status),
            error: fault.map(Unanswered::text),
            retry_after: None,
        };
        match self.record(&endpoint, row, outcome, asked.ms).await {
            // It was held back too long, so that it is delivered the ordinary way: that is all.
            Ok(()) | Err(MetaError::Conflict) => {}
            Err(error) => tracing::error!(%error, "could not record a callback's answer"),
        }
        self.committed();
        match asked.answer {
            Ok(body) => Told::Answer(body),
            Err(fault) => Told::Failed(fault.told()),
        }
    }

    /// Asks about what is made only if the receiver agrees, in the words of `message`.
    pub(super) async fn agreed(
        &self,
        endpoint: &Endpoint,
        message: Message,
        within: Duration,
    ) -> Result<(MessageRow, Bytes, Attempt), Objection> {
        let row = MessageRow {
            key: message.row_key(),
            value: message.encode(),
            message,
        };
        let mut batch = Batch::new();
        batch.put(Space::Outbox, row.key.clone(), row.value.clone());
        self.meta.commit(batch).await?;
        // The deliverer must know when the row is its own to decide, should nobody come back to it.
        self.committed();
        fail_point::reach("ask.committed");
        let asked = self.ask(endpoint, &row.message, within).await;
        fail_point::reach("ask.answered");
        let attempt = asked.attempt();
        let fault = match asked.answer {
            Ok(body) => return Ok((row, body, attempt)),
            Err(fault) => fault,
        };
        let unclear = matches!(fault, Unanswered::Unclear { .. });
        self.undo(row, &attempt, unclear).await;
        let why = fault.told();
        Err(match fault {
            Unanswered::Refused { reason, .. } => Objection::Refused { reason },
            Unanswered::Unheard(_) | Unanswered::Unclear { .. } => Objection::Unanswered { why },
        })
    }

    /// What was agreed to is not made.
    pub(super) async fn revoked(&self, consent: &Consent) {
        let read = (MessageRow::read(consent), Attempt::decode(&consent.attempt));
        if let (Some(row), Some(attempt)) = read {
            self.undo(row, &attempt, true).await;
        }
    }

    /// Takes the row of a question away, and tells the receiver where it `may_believe` in the object.
    /// Whatever fails here, the row stays, and the deliverer does the same once its time is over.
    async fn undo(&self, row: MessageRow, attempt: &Attempt, may_believe: bool) {
        let now = self.clock.now();
        match self
            .meta
            .commit(row.undone(now, Some(attempt), may_believe))
            .await
        {
            Ok(()) => {
                fail_point::reach("ask.undone");
                self.committed();
            }
            Err(MetaError::Conflict) => {}
            Err(error) => tracing::error!(%error, "could not take a question back; it will be"),
        }
    }

    /// A question that nobody came to decide: its uploader or its server died.
    pub(super) async fn abandoned(&self, row: Row) -> Result<(), MetaError> {
        let Row {
            key,
            value,
            message,
            ..
        } = row;
        let row = MessageRow {
            key,
            value,
            message,
        };
        fail_point::reach("ask.abandoned");
        self.meta
            .commit(row.undone(self.clock.now(), None, true))
            .await
    }
}

/// A message with its row as it stands.
#[derive(Debug)]
pub(super) struct MessageRow {
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    pub(super) message: Message,
}

impl MessageRow {
    /// The question that was answered so.
    pub(super) fn read(consent: &Consent) -> Option<Self> {
        Some(Self {
            key: consent.key.clone(),
            value: consent.value.clone(),
            message: Message::decode(&consent.value)?,
        })
    }

    /// The row goes, in whatever batch, for as long as it is still as it was.
    pub(super) fn end(mut self, state: State, at: Timestamp, attempt: Option<&Attempt>) -> Batch {
        let mut batch = Batch::new();
        batch.assert_unchanged(Space::Outbox, self.key.clone(), Some(self.value));
        batch.delete(Space::Outbox, self.key);
        self.message.state = state;
        self.message.attempts = self.message.attempts.saturating_add(1);
        self.message.next_attempt = at;
        self.message.last_error = match attempt {
            Some(attempt) => attempt.error.clone(),
            None => Some("nobody came to decide it".to_owned()),
        };
        let (id, number) = (self.message.id, self.message.attempts);
        let audit = finished_key(id);
        batch.put(Space::Deliveries, audit, self.message.encode());
        if let Some(attempt) = attempt {
            batch.put(Space::Deliveries, attempt_key(id, number), attempt.encode());
        }
        batch
    }

    fn undone(self, at: Timestamp, attempt: Option<&Attempt>, may_believe: bool) -> Batch {
        let message = &self.message;
        let event = Event {
            name: WITHDRAWN.to_owned(),
            at,
            size: None,
            etag: None,
            withdraws: Some(message.id),
            ..message.event.clone()
        };
        let told = Message::new(&message.endpoint, event);
        let mut batch = self.end(State::Withdrawn, at, attempt);
        if may_believe {
            batch.put(Space::Outbox, told.row_key(), told.encode());
        }
        batch
    }
}
