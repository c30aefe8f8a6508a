//! The log's lines on their way to standard error. Who logs never waits for whom reads it: a thread of its
//! own writes what has come, many lines at once.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How long lines are gathered: what a kill may take away, and how often at most a busy server writes.
const GATHERED: Duration = Duration::from_millis(10);

/// Bytes that may wait; where nobody reads them, further lines are lost, and counted.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Room that is kept for lines when there are none.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Where the log's lines go.
#[derive(Debug, Clone)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    come: Condvar,
    /// Held from taking lines to having written them, so that they keep their order. It holds the room for
    /// the next ones meanwhile.
    writing: Mutex<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    lost: u64,
    /// The thread waits to hear of the next line.
    asleep: bool,
}

/// Has what waits written when it is dropped: at the end of the process.
#[derive(Debug)]
pub(in crate::cli) struct LastLines(Lines);

impl Drop for LastLines {
    fn drop(&mut self) {
        self.0.write_out();
    }
}

impl Lines {
    /// Begins to write.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub(super) fn begin() -> io::Result<(Self, LastLines)> {
        let lines = Self(Arc::default());
        let of_thread = lines.clone();
        let thread = std::thread::Builder::new().name("log".into());
        thread.spawn(move || of_thread.run())?;
        Ok((lines.clone(), LastLines(lines)))
    }

    fn run(&self) {
        loop {
            let mut waiting = self.waiting();
            while waiting.bytes.is_empty() {
                waiting.asleep = true;
                let come = self.0.come.wait(waiting);
                waiting = come.unwrap_or_else(PoisonError::into_inner);
            }
            waiting.asleep = false;
            let lost = std::mem::take(&mut waiting.lost);
            drop(waiting);
            std::thread::sleep(GATHERED);
            self.write_out();
            if lost > 0 {
                tracing::warn!(lost, "lines of the log were lost: nobody read them");
            }
        }
    }

    /// Writes what waits.
    fn write_out(&self) {
        let writing = self.0.writing.lock();
        let mut bytes = writing.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *bytes, &mut self.waiting().bytes);
        // A log that nobody can read any more stops no server.
        drop(io::stderr().lock().write_all(&bytes));
        bytes.clear();
        bytes.shrink_to(KEPT_BYTES_MAX);
    }

    fn add(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes.len().saturating_add(line.len()) > WAITING_BYTES_MAX {
            waiting.lost = waiting.lost.saturating_add(1);
            return;
        }
        waiting.bytes.extend_from_slice(line);
        // A wake is a call into the kernel: one is enough.
        if std::mem::take(&mut waiting.asleep) {
            drop(waiting);
            self.0.come.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        let waiting = self.0.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_reads_is_lost_and_counted() {
        let lines = Lines(Arc::default());
        let line = vec![b'x'; WAITING_BYTES_MAX / 2];
        for _line in 0..5 {
            assert_eq!((&lines).write(&line).unwrap(), line.len());
        }
        let waiting = lines.waiting();
        assert_eq!((waiting.bytes.len(), waiting.lost), (WAITING_BYTES_MAX, 3));
    }
}
