//! Where large bodies are hashed: several of them beside each other, by as few threads as can be,
//! since a core computes the MD5s of eight in little more than the time of one ([`crate::checksum::md5`]).
//!
//! Who brings a batch wakes a thread where none is at work; one that is takes it up at its next step. A
//! thread that finds nothing for a while ends. They are not the runtime's: batches of all runtimes
//! meet here.

use std::collections::VecDeque;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::sync::oneshot;

use super::aws_chunked::Piece;
use super::digest::Digests;
use crate::backlog::Work;
use crate::checksum::md5::{self, Lane};
use crate::s3::error::S3Error;

/// Bytes of each lane after which it is looked whether there are more batches: little enough that
/// one that comes later does not wait for long (some 40 µs).
const STEP_BYTES: usize = 16 * 1024;

/// So long a thread waits for more.
const IDLE: Duration = Duration::from_secs(10);

/// Threads at most. It is asked once: the answer is read from files, which took a twentieth of an upload's CPU
/// time when each batch asked.
static CORES: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));

/// What comes of a batch: the digests, further on.
pub(super) type Outcome = Result<Box<Digests>, S3Error>;

/// Pieces of one body, its digests so far, and the way to what else comes of it.
struct Batch {
    digests: Box<Digests>,
    pieces: Vec<Piece>,
    work: Work<Piece>,
    answer: oneshot::Sender<Outcome>,
}

/// A batch of which only the MD5 is still to be computed.
struct Running {
    digests: Box<Digests>,
    bytes: VecDeque<Bytes>,
    work: Work<Piece>,
    answer: oneshot::Sender<Outcome>,
}

struct Waiting {
    batches: VecDeque<Batch>,
    /// Threads that exist,
    threads: usize,
    /// and those of them that wait.
    idle: usize,
}

struct Hall {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

static HALL: Hall = Hall {
    waiting: Mutex::new(Waiting {
        batches: VecDeque::new(),
        threads: 0,
        idle: 0,
    }),
    more: Condvar::new(),
};

/// Takes what waits into `digests`, and what comes meanwhile, beside what others bring.
pub(super) fn take(digests: Box<Digests>, work: Work<Piece>) -> oneshot::Receiver<Outcome> {
    let (answer, outcome) = oneshot::channel();
    if let Some(batch) = Batch::of(digests, work, answer) {
        HALL.bring(batch);
    }
    outcome
}

impl Hall {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bring(&'static self, batch: Batch) {
        let mut waiting = self.waiting();
        waiting.batches.push_back(batch);
        let at_work = waiting.threads.saturating_sub(waiting.idle);
        // One thread more where those at work have all their lanes full.
        if at_work > 0 && (waiting.batches.len() <= md5::LANES || at_work >= *CORES) {
            return;
        }
        if waiting.idle > 0 {
            self.more.notify_one();
            return;
        }
        waiting.threads += 1;
        drop(waiting);
        let thread = thread::Builder::new().name("digests".into());
        if let Err(error) = thread.spawn(|| self.work()) {
            tracing::error!(%error, "no thread for digests");
            let mut waiting = self.waiting();
            waiting.threads -= 1;
            if waiting.threads == 0 {
                // Their bodies' requests fail, which is better than to wait for ever.
                waiting.batches.clear();
            }
        }
    }

    /// Hashes until nothing more comes.
    fn work(&'static self) {
        let mut running = Vec::new();
        loop {
            if running.is_empty() && !self.wait() {
                return;
            }
            while running.len() < md5::LANES {
                let Some(batch) = self.waiting().batches.pop_front() else {
                    break;
                };
                running.extend(batch.begin());
            }
            for next in step(&mut running) {
                // Behind those who wait: a body that comes fast leaves lanes to the others.
                self.bring(next);
            }
        }
    }

    /// Waits for a batch; where none comes, the thread is to end.
    fn wait(&self) -> bool {
        let mut waiting = self.waiting();
        waiting.idle += 1;
        let woken = self
            .more
            .wait_timeout_while(waiting, IDLE, |waiting| waiting.batches.is_empty());
        (waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        waiting.idle -= 1;
        let goes_on = !waiting.batches.is_empty();
        if !goes_on {
            waiting.threads -= 1;
        }
        goes_on
    }
}

impl Batch {
    /// What waits. Where nothing does, the digests are answered.
    fn of(
        digests: Box<Digests>,
        mut work: Work<Piece>,
        answer: oneshot::Sender<Outcome>,
    ) -> Option<Self> {
        let Some(pieces) = work.take() else {
            tell(answer, Ok(digests));
            return None;
        };
        Some(Self {
            digests,
            pieces,
            work,
            answer,
        })
    }

    /// Does all but the MD5, which is cheap or has instructions of its own.
    fn begin(self) -> Option<Running> {
        let Self {
            mut digests,
            pieces,
            work,
            answer,
        } = self;
        let mut bytes = VecDeque::with_capacity(pieces.len());
        for piece in pieces {
            match digests.take_beside_md5(piece) {
                Ok(data) => bytes.extend(data),
                Err(error) => {
                    tell(answer, Err(error));
                    return None;
                }
            }
        }
        Some(Running {
            digests,
            bytes,
            work,
            answer,
        })
    }
}

/// Advances each lane, and gives back what came meanwhile for those that are done with theirs.
fn step(running: &mut Vec<Running>) -> Vec<Batch> {
    let mut lanes: Vec<_> = running
        .iter_mut()
        .filter_map(|running| {
            let bytes = running.bytes.front()?;
            let md5 = running.digests.md5.as_mut()?;
            Some(Lane { md5, bytes })
        })
        .collect();
    md5::advance(&mut lanes, STEP_BYTES);
    let left: Vec<_> = lanes.iter().map(|lane| lane.bytes.len()).collect();
    let mut left = left.into_iter();
    for Running { bytes, .. } in &mut *running {
        if let Some(front) = bytes.front_mut()
            && let Some(left) = left.next()
        {
            front.advance(front.len().saturating_sub(left));
        }
        if bytes.front().is_some_and(Bytes::is_empty) {
            bytes.pop_front();
        }
    }
    let done = running.extract_if(.., |running| running.bytes.is_empty());
    done.filter_map(|done| Batch::of(done.digests, done.work, done.answer))
        .collect()
}

fn tell(answer: oneshot::Sender<Outcome>, outcome: Outcome) {
    if answer.send(outcome).is_err() {
        tracing::debug!("a body's client went away while it was hashed");
    }
}
