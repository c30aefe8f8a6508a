//! Which messages are dead: a row for each, by which they are found among any number of delivered ones.
//!
//! The batch that makes a message dead puts its row, and the batch that revives it takes the row away: so
//! they fit each other after any crash.

use bytes::Bytes;

use super::audit::{FINISHED, finished_key};
use super::deliver::Callbacks;
use super::outbox::{Message, State};
use crate::id::MessageId;
use crate::store::meta::{Batch, KeyRange, MetaError, Space, Step, scan, walk};

/// Rows of [`Space::Deliveries`] that begin so name a dead message by its id, and thus by its age; the
/// value is its endpoint's name.
const DEAD: u8 = b'd';
/// The row of [`Space::System`] that says that every dead message has such a row: none had one before
/// this was written.
const INDEXED: &[u8] = b"callbacks/dead-indexed";
/// Finished messages that are looked at in one go.
const PAGE: usize = 500;

fn key(id: MessageId) -> Bytes {
    [&[DEAD], id.as_bytes().as_slice()].concat().into()
}

/// The rows of all dead messages.
pub(super) fn rows() -> KeyRange {
    KeyRange::prefix(vec![DEAD])
}

/// Notes in `batch` that `message` is dead.
pub(super) fn note(message: &Message, batch: &mut Batch) {
    let endpoint = Bytes::copy_from_slice(message.endpoint.as_bytes());
    batch.put(Space::Deliveries, key(message.id), endpoint);
}

/// Notes in `batch` that the message of that id is dead no more.
pub(super) fn forget(id: MessageId, batch: &mut Batch) {
    batch.delete(Space::Deliveries, key(id));
}

impl Callbacks {
    /// Up to `limit` dead messages, of `endpoint` or of all, the oldest first.
    pub(super) async fn dead(
        &self,
        endpoint: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Message>, MetaError> {
        let endpoint = endpoint.map(|name| name.as_bytes().to_vec());
        let visit = move |found: &mut Vec<MessageId>, key: &[u8], value: &[u8]| {
            let fits = endpoint.as_ref().is_none_or(|name| name == value);
            let id = key.get(1..).and_then(|id| id.try_into().ok());
            found.extend(id.filter(|_| fits).map(MessageId::from_bytes));
            if found.len() < limit {
                Step::Next
            } else {
                Step::Stop
            }
        };
        let meta = self.meta.as_ref();
        let ids = walk(meta, Space::Deliveries, rows(), Vec::new(), visit).await?;
        let mut messages = Vec::with_capacity(ids.len());
        for id in ids {
            let row = meta.get(Space::Deliveries, &finished_key(id)).await?;
            let message = row.and_then(|row| Message::decode(&row));
            // Somebody may have had it tried again meanwhile.
            messages.extend(message.filter(|message| message.state == State::Dead));
        }
        Ok(messages)
    }

    /// Gives those messages their rows that died under a release that wrote none: once.
    pub(super) async fn index_dead(&self) -> Result<(), MetaError> {
        let meta = self.meta.as_ref();
        if meta.get(Space::System, INDEXED).await?.is_some() {
            return Ok(());
        }
        let mut range = KeyRange::prefix(vec![FINISHED]);
        loop {
            let page = scan(meta, Space::Deliveries, range.clone(), PAGE).await?;
            let Some(last) = page.last().map(|row| row.key.clone()) else {
                break;
            };
            let mut batch = Batch::new();
            for row in page {
                let message = Message::decode(&row.value);
                let dead = message.filter(|message| message.state == State::Dead);
                if let Some(message) = dead {
                    batch.assert_unchanged(Space::Deliveries, row.key, Some(row.value));
                    note(&message, &mut batch);
                }
            }
            match meta.commit(batch).await {
                Ok(()) => range.start = [last.as_ref(), &[0]].concat().into(),
                // Somebody had one of them tried again: this page is read anew.
                Err(MetaError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        let mut batch = Batch::new();
        batch.put(Space::System, INDEXED, Bytes::new());
        meta.commit(batch).await
    }
}
