//! The committer: batches in, one write-ahead-log sync for all that wait, answers out.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rocksdb::{DB, ReadTier, WriteBatch, WriteOptions};

use super::overlay::Overlay;
use super::{Durability, Lookup, Shared, Submission, engine_error, family, get, is_full, iterate};
use crate::fail_point;
use crate::store::meta::{Assertion, Entry, KeyRange, MetaError, Space, Write};

/// The most batches that share one sync: beyond it, the first of them waits longer than a sync
/// would have cost.
const GROUP_BATCHES_MAX: usize = 1024;

/// Bytes after which a group is closed: what one write to the log takes in a few milliseconds.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How often to look whether the disk is full, or no longer so.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Commits until every sender is gone.
pub(super) fn run(
    shared: &Shared,
    submissions: &mpsc::Receiver<Submission>,
    durability: Durability,
) {
    let mut looked = Instant::now();
    let mut crowd = Crowd::default();
    loop {
        match submissions.recv_timeout(LOOK_EVERY) {
            Ok(first) => crowd = commit(shared, first, (submissions, crowd), durability),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if looked.elapsed() >= LOOK_EVERY {
            look_after(shared);
            looked = Instant::now();
        }
    }
}

/// Whom a group waits for.
///
/// Clients that send one batch after the other fall into two halves, of which one is always answered
/// while the other's batches are synced, so that each waits for two syncs. Where a sync takes longer
/// than a client to come again, it is quicker to wait for those who were just answered.
#[derive(Debug, Clone, Copy, Default)]
struct Crowd {
    /// Batches that come if everybody comes again.
    batches: usize,
    /// How long to wait for them: little beside what a sync of their own would cost.
    patience: Duration,
}

impl Crowd {
    /// The part of a sync that a group may wait.
    const PART: u32 = 4;

    /// After a group of so many batches, whose write took so long; others came meanwhile.
    fn after(answered: usize, queued: usize, took: Duration) -> Self {
        Self {
            batches: answered.saturating_add(queued),
            patience: took / Self::PART,
        }
    }

    /// Fills `group` with what waits, and with those who are to come.
    fn gather(self, group: &mut Group<'_>, submissions: &mpsc::Receiver<Submission>) {
        let begun = Instant::now();
        while !group.is_large() {
            let next = submissions.try_recv().ok().or_else(|| {
                let missing = group.waiting.len() < self.batches;
                let still = self.patience.checked_sub(begun.elapsed());
                submissions.recv_timeout(still.filter(|_| missing)?).ok()
            });
            let Some(next) = next else {
                break;
            };
            group.take(next);
        }
    }
}

/// Commits `first`, together with what waits behind it; says whom to wait for the next time.
fn commit(
    shared: &Shared,
    first: Submission,
    (submissions, crowd): (&mpsc::Receiver<Submission>, Crowd),
    durability: Durability,
) -> Crowd {
    let refusal = match (shared.full.load(Ordering::Acquire), shared.db()) {
        (false, Ok(db)) => {
            let mut group = Group::new(shared, &db);
            group.take(first);
            crowd.gather(&mut group, submissions);
            return group.commit(durability).unwrap_or(crowd);
        }
        (true, Ok(_)) => MetaError::Full,
        (_, Err(error)) => error,
    };
    shared.queued.fetch_sub(1, Ordering::AcqRel);
    reply(first.answer, Err(refusal));
    Crowd::default()
}

/// Finds out whether the disk became full behind our back, or has room again.
fn look_after(shared: &Shared) {
    if shared.poisoned.get().is_some() {
        return;
    }
    if !shared.full.load(Ordering::Acquire) && shared.background_failed() {
        shared.fill("work in the background failed");
    }
    if shared.full.load(Ordering::Acquire) {
        shared.heal();
    }
}

/// Who waits for the outcome of a batch.
struct Waiting {
    answer: tokio::sync::oneshot::Sender<Result<(), MetaError>>,
    begun: Instant,
}

/// The batches of one write.
struct Group<'a> {
    shared: &'a Shared,
    db: &'a DB,
    write: WriteBatch,
    /// What the group's batches have changed so far: the assertions of later ones look here first.
    overlay: Overlay,
    waiting: Vec<Waiting>,
    /// Whether all of them are lazy.
    is_lazy: bool,
}

impl<'a> Group<'a> {
    fn new(shared: &'a Shared, db: &'a DB) -> Self {
        Self {
            shared,
            db,
            write: WriteBatch::default(),
            overlay: Overlay::default(),
            waiting: Vec::new(),
            is_lazy: true,
        }
    }

    fn is_large(&self) -> bool {
        self.waiting.len() >= GROUP_BATCHES_MAX || self.write.size_in_bytes() >= GROUP_BYTES_MAX
    }

    /// Takes a batch whose assertions hold into the group, and answers any other at once.
    fn take(&mut self, submission: Submission) {
        let Submission {
            batch,
            answer,
            begun,
        } = submission;
        self.shared.queued.fetch_sub(1, Ordering::AcqRel);
        let verdict = self.holds_all(&batch.assertions).and_then(|holds| {
            if holds {
                self.stage(batch.writes)
            } else {
                self.shared.commits.conflict();
                Err(MetaError::Conflict)
            }
        });
        match verdict {
            Ok(()) => {
                self.is_lazy &= batch.lazy;
                self.waiting.push(Waiting { answer, begun });
            }
            Err(error) => reply(answer, Err(error)),
        }
    }

    fn holds_all(&self, assertions: &[Assertion]) -> Result<bool, MetaError> {
        for assertion in assertions {
            if !self.holds(assertion)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn holds(&self, assertion: &Assertion) -> Result<bool, MetaError> {
        match assertion {
            Assertion::Absent { space, key } => Ok(self.value(*space, key)?.is_none()),
            Assertion::Holds { space, key, value } => {
                Ok(self.value(*space, key)?.as_ref() == Some(value))
            }
            Assertion::Rows { space, range, rows } => self.holds_rows(*space, range, rows),
        }
    }

    fn value(&self, space: Space, key: &Bytes) -> Result<Option<Bytes>, MetaError> {
        match self.overlay.value(space, key) {
            Lookup::Known(changed) => Ok(changed),
            Lookup::OnDisk => get(self.db, space, key, ReadTier::All).map(Lookup::value),
        }
    }

    /// Walks what is stored and what the group has changed of it side by side.
    fn holds_rows(
        &self,
        space: Space,
        range: &KeyRange,
        rows: &[Entry],
    ) -> Result<bool, MetaError> {
        let mut changed = self.overlay.rows(space, range).peekable();
        let mut expected = rows.iter();
        let mut stored = iterate(self.db, space, range)?;
        while let Some((key, value)) = stored.item() {
            let before = |(of, _value): &(&Bytes, _)| of.as_ref() < key;
            let same = |(of, _value): &(&Bytes, _)| of.as_ref() == key;
            if let Some((key, value)) = changed.next_if(before) {
                if value.is_some() && !is_row(expected.next(), key, value.as_deref()) {
                    return Ok(false);
                }
                continue;
            }
            let value = match changed.next_if(same) {
                Some((_row, value)) => value.as_deref(),
                None => Some(value).filter(|_value| !self.overlay.is_emptied(space, key)),
            };
            if value.is_some() && !is_row(expected.next(), key, value) {
                return Ok(false);
            }
            stored.next();
        }
        stored.status().map_err(engine_error)?;
        for (key, value) in changed {
            if value.is_some() && !is_row(expected.next(), key, value.as_deref()) {
                return Ok(false);
            }
        }
        Ok(expected.next().is_none())
    }

    fn stage(&mut self, writes: Vec<Write>) -> Result<(), MetaError> {
        let db = self.db;
        // Every family is looked up before the first change is staged: a batch goes in whole.
        for write in &writes {
            family(db, space_of(write))?;
        }
        for write in writes {
            let family = family(db, space_of(&write))?;
            match write {
                Write::Put { space, key, value } => {
                    self.write.put_cf(family, &key, &value);
                    self.overlay.put(space, key, value);
                }
                Write::Delete { space, key } => {
                    self.write.delete_cf(family, &key);
                    self.overlay.delete(space, key);
                }
                Write::DeleteRange { space, start, end } => {
                    self.write.delete_range_cf(family, &start, &end);
                    self.overlay.empty(space, start..end);
                }
                // Counters take no part in assertions, so they need no place in the overlay.
                Write::Add { key, deltas, .. } => {
                    self.write
                        .merge_cf(family, &key, deltas.map(i64::to_le_bytes).concat());
                }
            }
        }
        Ok(())
    }

    /// Says whom to wait for the next time; nothing where it took no sync to tell.
    fn commit(mut self, durability: Durability) -> Option<Crowd> {
        if self.waiting.is_empty() {
            return Some(Crowd::default());
        }
        let (begun, is_lazy) = (Instant::now(), self.is_lazy);
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Fsync && !is_lazy);
        let outcome = self.write_unless_poisoned(&options);
        let Self {
            shared, waiting, ..
        } = self;
        // Before anybody is answered, who might come again already.
        let queued = shared.queued.load(Ordering::Acquire);
        let crowd = Crowd::after(waiting.len(), queued, begun.elapsed());
        for Waiting { answer, begun } in waiting {
            shared.commits.batch(begun.elapsed());
            reply(answer, outcome.answer(shared));
        }
        (!is_lazy).then_some(crowd)
    }

    fn write_unless_poisoned(&mut self, options: &WriteOptions) -> Outcome {
        if self.shared.poisoned.get().is_some() {
            return Outcome::Poisoned;
        }
        self.shared.groups.fetch_add(1, Ordering::Relaxed);
        let write = std::mem::take(&mut self.write);
        fail_point::reach("meta.unwritten");
        let changing = self.shared.rows.changing(&self.overlay);
        let begun = Instant::now();
        let written = self.db.write_opt(write, options);
        drop(changing);
        // A group has at most `GROUP_BATCHES_MAX` batches.
        let batches = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        self.shared.commits.group(batches, begun.elapsed());
        let Err(error) = written else {
            fail_point::reach("meta.written");
            return Outcome::Durable;
        };
        self.shared.commits.failure();
        // Even where only the sync found the disk full: opening anew reads the log back and writes
        // it elsewhere.
        if is_full(error.as_ref()) {
            self.shared.fill(error.as_ref());
            return Outcome::Full;
        }
        // After a failed sync the kernel may have dropped what it could not write: a retry that
        // succeeds would prove nothing. Only a new start, which reads the log back, can tell.
        self.shared.poison(error.into_string());
        Outcome::Poisoned
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Durable,
    Full,
    Poisoned,
}

impl Outcome {
    fn answer(self, shared: &Shared) -> Result<(), MetaError> {
        match self {
            Self::Durable => Ok(()),
            Self::Full => Err(MetaError::Full),
            Self::Poisoned => Err(MetaError::Poisoned {
                reason: shared
                    .poisoned
                    .get()
                    .cloned()
                    .unwrap_or_else(|| "unknown".into()),
            }),
        }
    }
}

fn is_row(expected: Option<&Entry>, key: &[u8], value: Option<&[u8]>) -> bool {
    expected.is_some_and(|row| row.key == key && Some(row.value.as_ref()) == value)
}

fn space_of(write: &Write) -> Space {
    match write {
        Write::Put { space, .. }
        | Write::Delete { space, .. }
        | Write::DeleteRange { space, .. }
        | Write::Add { space, .. } => *space,
    }
}

fn reply(
    answer: tokio::sync::oneshot::Sender<Result<(), MetaError>>,
    outcome: Result<(), MetaError>,
) {
    if answer.send(outcome).is_err() {
        tracing::debug!("who asked for a commit did not wait for its answer");
    }
}
