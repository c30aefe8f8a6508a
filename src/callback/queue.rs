//! What waits to be delivered, and what is dead: counted by one walk, for whoever asks.

use super::dead;
use super::deliver::Callbacks;
use super::outbox::Message;
use crate::clock::Timestamp;
use crate::metrics::{Deliveries, Reading};
use crate::store::meta::{KeyRange, MetaError, Space, Step, walk};

/// Messages that are counted at most, of those that wait and of those that are dead: beyond it, "at least
/// so many" is enough to know.
const COUNTED_MAX: u64 = 100_000;

/// The messages of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    endpoint: String,
    waiting: u64,
    /// When the oldest of those that wait was made.
    oldest: Option<Timestamp>,
    dead: u64,
}

/// What waits and what is dead, as far as it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    lines: Vec<Line>,
    counted: u64,
    is_whole: bool,
}

impl Line {
    const fn of(endpoint: String) -> Self {
        Self {
            endpoint,
            waiting: 0,
            oldest: None,
            dead: 0,
        }
    }
}

impl Callbacks {
    /// What calls are counted into.
    pub const fn counts(&self) -> &Deliveries {
        &self.counts
    }

    /// Counts what waits and what is dead, each up to 100,000 messages. Endpoints without any are there.
    ///
    /// # Errors
    /// What the metadata engine fails with.
    pub async fn backlog(&self) -> Result<Backlog, MetaError> {
        let lines = self.endpoint_names().into_iter().map(Line::of).collect();
        let backlog = Backlog {
            lines,
            counted: 0,
            is_whole: true,
        };
        let waits = |backlog: &mut Backlog, key: &[u8], value: &[u8]| {
            let endpoint = key.split(|byte| *byte == 0).next().unwrap_or_default();
            backlog.count(endpoint, |line| {
                line.waiting = line.waiting.saturating_add(1);
                // Rows are in order of their making, so that one of many is decoded.
                if line.oldest.is_none() {
                    line.oldest = Message::decode(value).map(|message| message.event.at);
                }
            })
        };
        let dead = |backlog: &mut Backlog, _key: &[u8], endpoint: &[u8]| {
            backlog.count(endpoint, |line| line.dead = line.dead.saturating_add(1))
        };
        let meta = self.meta.as_ref();
        let mut backlog = walk(meta, Space::Outbox, KeyRange::all(), backlog, waits).await?;
        backlog.counted = 0;
        walk(meta, Space::Deliveries, dead::rows(), backlog, dead).await
    }
}

impl Backlog {
    fn count(&mut self, endpoint: &[u8], count: impl FnOnce(&mut Line)) -> Step {
        if self.counted >= COUNTED_MAX {
            self.is_whole = false;
            return Step::Stop;
        }
        self.counted = self.counted.saturating_add(1);
        let mut lines = self.lines.iter();
        let found = lines.position(|line| line.endpoint.as_bytes() == endpoint);
        let index = found.unwrap_or_else(|| {
            let endpoint = String::from_utf8_lossy(endpoint).into_owned();
            self.lines.push(Line::of(endpoint));
            self.lines.len().saturating_sub(1)
        });
        if let Some(line) = self.lines.get_mut(index) {
            count(line);
        }
        Step::Next
    }

    /// Messages that wait.
    pub fn waiting(&self) -> u64 {
        self.lines.iter().map(|line| line.waiting).sum()
    }

    /// When the oldest of them was made.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.lines.iter().filter_map(|line| line.oldest).min()
    }

    /// Messages whose attempts are used up, and which nobody tried again.
    pub fn dead(&self) -> u64 {
        self.lines.iter().map(|line| line.dead).sum()
    }

    /// Whether all were counted.
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// All of it as numbers, for each endpoint.
    pub fn readings(&self, now: Timestamp) -> Vec<Reading> {
        let of = |name, help, number: fn(&Line) -> u64| {
            self.lines.iter().map(move |line| {
                Reading::gauge(name, help, number(line)).labelled("endpoint", &*line.endpoint)
            })
        };
        let depth = of(
            "consign_callback_queue_messages",
            "Messages that wait to be delivered; 100,000 of all endpoints are counted",
            |line| line.waiting,
        );
        let age = self.lines.iter().map(|line| {
            let age = line.oldest.map_or(0.0, |at| now.since(at).as_secs_f64());
            let help = "Age of the oldest message that waits to be delivered";
            Reading::gauge("consign_callback_queue_oldest_seconds", help, age)
                .labelled("endpoint", &*line.endpoint)
        });
        let dead = of(
            "consign_callback_dead_letters",
            "Messages whose attempts are used up, and which nobody tried again; 100,000 are counted",
            |line| line.dead,
        );
        depth.chain(age).chain(dead).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_bound_is_not_counted_and_that_is_told() {
        let mut backlog = Backlog {
            lines: vec![Line::of("app".to_owned())],
            counted: COUNTED_MAX - 2,
            is_whole: true,
        };
        for endpoint in [b"app".as_slice(), b"gone"] {
            let step = backlog.count(endpoint, |line| line.dead += 1);
            assert!(matches!(step, Step::Next));
        }
        assert!(backlog.is_whole());
        let step = backlog.count(b"app", |line| line.dead += 1);
        assert!(matches!(step, Step::Stop));
        assert!(!backlog.is_whole());
        assert_eq!((backlog.dead(), backlog.waiting()), (2, 0));
        assert_eq!(backlog.readings(Timestamp::from_unix_s(0)).len(), 6);
    }
}
