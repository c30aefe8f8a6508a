//! What waits for a thread that works on it, while a task brings more: bytes on their way from the
//! network to where they are hashed, and to the disk.
//!
//! The thread takes up what came meanwhile by itself. When each batch went back to the task first, one
//! upload left the thread that hashes it idle for two fifths of the time: two wakes stood between batches.
//!
//! What one upload needs to keep its threads busy, many together don't: some thread always finds work.
//! So each of them is bounded, and all together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes that are worth waking a thread for; half as many where all hold much, since some thread is awake
    /// then whatever happens.
    pub batch_bytes: usize,
    /// Bytes from which on who brings more has to wait: this bounds an upload's memory, to twice as much.
    pub waiting_bytes_max: usize,
    /// What all hold together. Where that is much, who holds a batch brings more only once it is done.
    pub all: &'static Held,
}

/// Bytes that many backlogs hold: what waits in them, and what was taken and is worked on.
#[derive(Debug)]
pub struct Held {
    bytes: AtomicUsize,
    /// So many are much.
    much: usize,
}

impl Held {
    /// Nothing is held yet.
    pub const fn new(much: usize) -> Self {
        let bytes = AtomicUsize::new(0);
        Self { bytes, much }
    }

    fn is_much(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.much
    }
}

/// What one of them holds of it.
#[derive(Debug)]
struct Share {
    of: &'static Held,
    bytes: usize,
}

impl Share {
    fn set(&mut self, bytes: usize) {
        // In this order, so that the sum never falls below what is held.
        self.of.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What all uploads hold is much from so many bytes on: what four of them hold that never wait. With 64 at
/// a time it is 20 MiB less than without, at the same rate and for no more CPU time.
static UPLOADS: Held = Held::new(4 * 1024 * 1024);

impl Bounds {
    /// What of an upload waits for the threads that hash, and for the disk: to wake one for each piece of the
    /// network cost more than its work. A thread takes all that waits, so that one upload wakes half as many
    /// as if half as much waited: 64 ms of CPU for 16 MiB instead of 69. Of 64 each takes as much with either,
    /// and together they hold 8 MiB less.
    pub const UPLOAD: Self = Self {
        batch_bytes: 128 * 1024,
        waiting_bytes_max: 512 * 1024,
        all: &UPLOADS,
    };

    fn batch_bytes(&self) -> usize {
        if self.all.is_much() {
            self.batch_bytes / 2
        } else {
            self.batch_bytes
        }
    }
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
    /// Those, and the bytes of what was taken last, where somebody is at work on it.
    held: Share,
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
                held: Share {
                    of: bounds.all,
                    bytes: 0,
                },
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
        let held = waiting.held.bytes.saturating_add(bytes);
        waiting.held.set(held);
        self.begin(&mut waiting, self.bounds.batch_bytes())
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
        let bounds = &self.bounds;
        let is_much = bounds.all.is_much() && waiting.held.bytes >= bounds.batch_bytes();
        waiting.at_work && (waiting.bytes >= bounds.waiting_bytes_max || is_much)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Waiting<T> {
    fn take(&mut self) -> Vec<T> {
        // What was taken before is done with.
        self.held.set(self.bytes);
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }

    fn give_back(&mut self) {
        self.at_work = false;
        self.held.set(self.bytes);
    }
}

impl<T> Work<T> {
    /// Everything that waits. Where that is less than a batch and more is to come, nothing, and the
    /// work is over: who brings the next begins it anew.
    pub fn take(&mut self) -> Option<Vec<T>> {
        let backlog = self.0.as_ref()?;
        let mut waiting = backlog.waiting();
        let enough = waiting.bytes >= backlog.bounds.batch_bytes() || waiting.whole;
        if waiting.items.is_empty() || !enough {
            // Under the same lock: what is pushed from now on begins anew.
            waiting.give_back();
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

    /// Whether all backlogs together hold much: more is brought than is taken.
    pub fn all_hold_much(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|backlog| backlog.bounds.all.is_much())
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        if let Some(backlog) = self.0.take() {
            backlog.waiting().give_back();
            backlog.taken.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    static PLENTY: Held = Held::new(usize::MAX);

    const BOUNDS: Bounds = Bounds {
        batch_bytes: 10,
        waiting_bytes_max: 20,
        all: &PLENTY,
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
    fn where_all_hold_much_a_batch_is_done_before_more_is_brought() {
        static ALL: Held = Held::new(25);
        let bounds = Bounds {
            all: &ALL,
            ..BOUNDS
        };
        let [one, other, idle] = [(); 3].map(|()| Backlog::new(bounds));
        let mut work = one.push('a', 10).unwrap();
        assert_eq!(work.take(), Some(vec!['a']));
        assert!(is_ready(one.room()));
        let others = other.push('b', 15).unwrap();
        let mut room = Box::pin(one.room());
        assert!(!is_ready(room.as_mut()), "25 are held, 10 of them here");
        assert!(idle.push('c', 4).is_none());
        assert!(is_ready(idle.room()), "less than half a batch is there");
        assert_eq!(work.take(), None);
        assert!(is_ready(room), "the batch is done");
        assert_eq!(ALL.bytes.load(Ordering::Relaxed), 19, "and let go of");
        assert!(one.push('d', 5).is_none(), "24 are held");
        let mut work = one.push('e', 1).unwrap();
        assert!(!is_ready(one.room()), "25 are held: half a batch is one");
        assert_eq!(work.take(), Some(vec!['d', 'e']));
        let mut last = idle.end(1).unwrap();
        assert_eq!(last.take(), Some(vec!['c']));
        assert!(
            is_ready(idle.room()),
            "the last bytes are less than half a batch"
        );
        drop(others);
        assert!(!is_ready(one.room()), "b waits still, and is held");
        drop(other);
        assert!(is_ready(one.room()));
        drop((work, last, one, idle));
        assert_eq!(ALL.bytes.load(Ordering::Relaxed), 0);
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
        let mut room = pin!(backlog.room());
        assert!(!is_ready(room.as_mut()));
        drop(work);
        assert!(is_ready(room), "nobody would make any");
    }
}
