//! What waits to be delivered, and what is dead, as numbers.

use super::audit::FINISHED;
use super::deliver::Callbacks;
use super::outbox::{Message, State};
use crate::clock::Timestamp;
use crate::metrics::{Deliveries, Reading};
use crate::store::meta::{KeyRange, MetaError, Space, Step, walk};

/// Messages that are counted at most: beyond it, "at least so many" is enough to know.
const COUNTED_MAX: u64 = 100_000;

/// The messages that wait for one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    endpoint: String,
    messages: u64,
    oldest: Option<Timestamp>,
}

impl Callbacks {
    /// What calls are counted into.
    pub const fn counts(&self) -> &Deliveries {
        &self.counts
    }

    /// The depth of each endpoint's queue, and the age of its oldest message.
    ///
    /// # Errors
    /// What the metadata engine fails with.
    pub async fn queue(&self) -> Result<Vec<Reading>, MetaError> {
        let names = self.endpoint_names().into_iter().map(|name| Line {
            endpoint: name,
            messages: 0,
            oldest: None,
        });
        let visit = |(lines, counted): &mut (Vec<Line>, u64), key: &[u8], value: &[u8]| {
            let endpoint = key.split(|byte| *byte == 0).next().unwrap_or_default();
            let endpoint = String::from_utf8_lossy(endpoint);
            let found = lines.iter().position(|line| line.endpoint == endpoint);
            let index = found.unwrap_or_else(|| {
                lines.push(Line {
                    endpoint: endpoint.into_owned(),
                    messages: 0,
                    oldest: None,
                });
                lines.len().saturating_sub(1)
            });
            if let Some(line) = lines.get_mut(index) {
                line.messages = line.messages.saturating_add(1);
                // Rows are in order of their making, so that one of many is decoded.
                if line.oldest.is_none() {
                    line.oldest = Message::decode(value).map(|message| message.event.at);
                }
            }
            *counted = counted.saturating_add(1);
            if *counted < COUNTED_MAX {
                Step::Next
            } else {
                Step::Stop
            }
        };
        let (start, range) = ((names.collect(), 0), KeyRange::all());
        let (lines, _) = walk(self.meta.as_ref(), Space::Outbox, range, start, visit).await?;
        Ok(readings(&lines, self.clock.now()))
    }

    /// Counts the messages that were dead before this start.
    pub(super) async fn count_dead(&self) -> Result<(), MetaError> {
        let visit = |dead: &mut Vec<(String, u64)>, _key: &[u8], value: &[u8]| {
            let message = Message::decode(value).filter(|message| message.state == State::Dead);
            if let Some(message) = message {
                match dead.iter_mut().find(|(name, _)| *name == message.endpoint) {
                    Some((_, count)) => *count = count.saturating_add(1),
                    None => dead.push((message.endpoint, 1)),
                }
            }
            Step::Next
        };
        let range = KeyRange::prefix(vec![FINISHED]);
        let meta = self.meta.as_ref();
        let dead = walk(meta, Space::Deliveries, range, Vec::new(), visit).await?;
        for (endpoint, count) in dead {
            self.counts.of(&endpoint).were_dead(count);
        }
        Ok(())
    }
}

fn readings(lines: &[Line], now: Timestamp) -> Vec<Reading> {
    let depth = lines.iter().map(|line| {
        let help = "Messages that wait to be delivered; 100,000 of all endpoints are counted";
        Reading::gauge("consign_callback_queue_messages", help, line.messages)
            .labelled("endpoint", line.endpoint.as_str())
    });
    let age = lines.iter().map(|line| {
        let age = line.oldest.map_or(0.0, |at| now.since(at).as_secs_f64());
        let help = "Age of the oldest message that waits to be delivered";
        Reading::gauge("consign_callback_queue_oldest_seconds", help, age)
            .labelled("endpoint", line.endpoint.as_str())
    });
    depth.chain(age).collect()
}
