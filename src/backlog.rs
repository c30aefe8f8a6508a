//! What waits for a thread that works on it, while a task brings more: bytes on their way from the
//! network to where they are hashed, and to the disk.
//!
//! The thread takes up what came meanwhile by itself. When each batch went back to the task first, one
//! upload left the thread that hashes it idle for two fifths of the time: two wakes stood between batches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes that are worth waking a thread for.
    pub batch_bytes: usize,
    /// Bytes from which on who brings more has to wait: this bounds an upload's memory, to twice as much.
    pub waiting_bytes_max: usize,
}

impl Bounds {
    /// What of an upload waits for the threads that hash, and for the disk: to wake one for each piece of the
    /// network cost more than its work.
    pub const UPLOAD: Self = Self {
        batch_bytes: 128 * 1024,
        waiting_bytes_max: 256 * 1024,
    };
}

/// What waits, in order.
#[derive(Debug)]
pub struct Backlog<T> {
    bounds: Bounds,
    waiting: Mutex<Waiting<T>>,
    taken: Notify,
}

#[derive(Debug)]
struct Waiting<T> {
    items: Vec<T>,
    bytes: usize,
    at_work: bool,
    /// Nothing comes after it: what there is will not become a batch.
    whole: bool,
}

/// The right to take what waits, which one has at a time. Dropping it gives it back.
#[derive(Debug)]
pub struct Work<T>(Option<Arc<Backlog<T>>>);

impl<T> Backlog<T> {
    /// Nothing waits yet.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            waiting: Mutex::new(Waiting {
                items: Vec::new(),
                bytes: 0,
                at_work: false,
                whole: false,
            }),
            taken: Notify::new(),
        })
    }

    /// Adds `item`, which counts as so many bytes, and gives the right to take it to who must see to it
    /// that somebody does: where enough waits, and nobody is at work.
    #[must_use]
    pub fn push(self: &Arc<Self>, item: T, bytes: usize) -> Option<Work<T>> {
        let mut waiting = self.waiting();
        waiting.items.push(item);
        waiting.bytes = waiting.bytes.saturating_add(bytes);
        self.begin(&mut waiting, self.bounds.batch_bytes)
    }

    /// Nothing more comes. The right to take what is left is given where that is so many bytes at least,
    /// and nobody is at work.
    #[must_use]
    pub fn end(self: &Arc<Self>, bytes_min: usize) -> Option<Work<T>> {
        let mut waiting = self.waiting();
        waiting.whole = true;
        self.begin(&mut waiting, bytes_min.max(1))
    }

    /// Waits until there is room for more, or nobody is at work who could make some.
    pub async fn room(&self) {
        while self.is_full() {
            self.taken.notified().await;
        }
    }

    /// Takes what is left. For when nobody is at work.
    pub fn rest(&self) -> Vec<T> {
        self.waiting().take()
    }

    fn begin(self: &Arc<Self>, waiting: &mut Waiting<T>, bytes_min: usize) -> Option<Work<T>> {
        if waiting.at_work || waiting.bytes < bytes_min {
            return None;
        }
        waiting.at_work = true;
        Some(Work(Some(Arc::clone(self))))
    }

    fn is_full(&self) -> bool {
        let waiting = self.waiting();
        waiting.at_work && waiting.bytes >= self.bounds.waiting_bytes_max
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Waiting<T> {
    fn take(&mut self) -> Vec<T> {
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }
}

impl<T> Work<T> {
    /// Everything that waits. Where that is less than a batch and more is to come, nothing, and the
    /// work is over: who brings the next begins it anew.
    pub fn take(&mut self) -> Option<Vec<T>> {
        let backlog = self.0.as_ref()?;
        let mut waiting = backlog.waiting();
        let enough = waiting.bytes >= backlog.bounds.batch_bytes || waiting.whole;
        if waiting.items.is_empty() || !enough {
            // Under the same lock: what is pushed from now on begins anew.
            waiting.at_work = false;
            drop(waiting);
            backlog.taken.notify_one();
            self.0 = None;
            return None;
        }
        let items = waiting.take();
        drop(waiting);
        backlog.taken.notify_one();
        Some(items)
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        if let Some(backlog) = self.0.take() {
            backlog.waiting().at_work = false;
            backlog.taken.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    const BOUNDS: Bounds = Bounds {
        batch_bytes: 10,
        waiting_bytes_max: 20,
    };

    fn is_ready(room: impl Future<Output = ()>) -> bool {
        pin!(room)
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn work_begins_with_a_batch_and_goes_on_while_there_is_another() {
        let backlog = Backlog::new(BOUNDS);
        assert!(backlog.push('a', 9).is_none());
        let mut work = backlog.push('b', 1).unwrap();
        assert!(backlog.push('c', 10).is_none(), "one at a time");
        assert_eq!(work.take(), Some(vec!['a', 'b', 'c']));
        assert!(backlog.push('d', 10).is_none());
        assert_eq!(work.take(), Some(vec!['d']));
        assert!(backlog.push('e', 9).is_none());
        assert_eq!(work.take(), None, "less than a batch");
        let mut next = backlog.push('f', 1).unwrap();
        assert_eq!(work.take(), None, "the right was given back");
        drop(work);
        assert!(backlog.push('g', 10).is_none(), "the next has it");
        assert_eq!(next.take(), Some(vec!['e', 'f', 'g']));
    }

    #[test]
    fn what_is_left_at_the_end_is_taken_however_little_it_is() {
        let backlog = Backlog::new(BOUNDS);
        let mut work = backlog.push('a', 10).unwrap();
        assert!(work.take().is_some());
        assert!(backlog.push('b', 1).is_none());
        assert!(backlog.end(1).is_none(), "somebody is at work");
        assert_eq!(work.take(), Some(vec!['b']));
        assert_eq!(work.take(), None);
        assert!(backlog.end(1).is_none(), "nothing is left");
        let small = Backlog::new(BOUNDS);
        assert!(small.push('c', 3).is_none());
        assert!(small.end(4).is_none());
        assert_eq!(small.end(3).unwrap().take(), Some(vec!['c']));
        let alone = Backlog::new(BOUNDS);
        assert!(alone.push('d', 3).is_none());
        assert!(alone.end(4).is_none());
        assert_eq!(alone.rest(), ['d']);
    }

    #[test]
    fn who_brings_too_much_waits_for_who_takes_it() {
        let backlog = Backlog::new(BOUNDS);
        let mut work = backlog.push('a', 19).unwrap();
        assert!(is_ready(backlog.room()));
        assert!(backlog.push('b', 1).is_none());
        let mut room = pin!(backlog.room());
        assert!(!is_ready(room.as_mut()));
        assert!(work.take().is_some());
        assert!(is_ready(room));
        assert!(backlog.push('c', 20).is_none());
        assert!(!is_ready(backlog.room()));
        drop(work);
        assert!(is_ready(backlog.room()), "nobody would make any");
    }
}
