//! Threads that serve connections, one for each core, each with a runtime of its own. A connection stays on
//! its thread: nothing of a request is handed to another core, no other thread is woken to look for work.
//! With threads that take each other's work, a HEAD cost 141 µs of CPU time, so 133, a GET of 4 KiB 156 and 146
//! (medians of six alternating pairs on two cores, built without LTO).

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// Threads that may wait for the disk at a time, for all cores. None of them ever waits for a client, so
/// that more would only queue up in the kernel instead, each with a stack.
const BLOCKING_THREADS: usize = 128;

/// So many each core has at least, however many cores there are: an upload that is written or synced holds one
/// for as long as the disk takes, and the reads of other connections there would wait behind it.
const BLOCKING_THREADS_MIN: usize = 8;

/// Where connections are served.
#[derive(Debug, Clone)]
pub(super) struct Cores(Arc<[Arc<Core>]>);

/// One of them, which each of its connections holds: by that they are counted.
#[derive(Debug)]
struct Core(Handle);

/// Their threads, which end with this.
#[derive(Debug)]
pub(super) struct CoreThreads(Vec<(oneshot::Sender<()>, thread::JoinHandle<()>)>);

impl Cores {
    /// As many as there are cores.
    ///
    /// # Errors
    /// Where the system gives no threads, or nothing to wait for sockets by.
    pub(super) fn begin() -> io::Result<(Self, CoreThreads)> {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let mut cores = Vec::with_capacity(count);
        let mut threads = CoreThreads(Vec::with_capacity(count));
        for number in 0..count {
            let runtime = Builder::new_current_thread()
                .max_blocking_threads(blocking_threads(count))
                .enable_all()
                .build()?;
            cores.push(Arc::new(Core(runtime.handle().clone())));
            let (end, ended) = oneshot::channel();
            let thread = thread::Builder::new().name(format!("core-{number}"));
            // It ends when `end` is dropped: nothing is ever sent.
            let thread = thread.spawn(move || drop(runtime.block_on(ended)))?;
            threads.0.push((end, thread));
        }
        Ok((Self(cores.into()), threads))
    }

    /// Serves a connection where there are fewest.
    ///
    /// # Errors
    /// Where the socket is beyond use.
    pub(super) fn spawn<F>(
        &self,
        tasks: &TaskTracker,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let quietest = self.0.iter().min_by_key(|core| Arc::strong_count(core));
        let core = Arc::clone(quietest.ok_or(io::ErrorKind::NotConnected)?);
        // Its readiness is to wake the new thread, not this one.
        let stream = stream.into_std()?;
        let runtime = core.0.clone();
        let serving = async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(%error, "can't wait for a connection's bytes"),
            }
            drop(core);
        };
        tasks.spawn_on(serving, &runtime);
        Ok(())
    }
}

/// Threads that may wait for the disk for each of so many cores.
fn blocking_threads(cores: usize) -> usize {
    BLOCKING_THREADS.div_ceil(cores).max(BLOCKING_THREADS_MIN)
}

impl CoreThreads {
    /// Waits for what the threads still do for the disk, and for their end.
    pub(super) async fn end(&mut self) {
        let threads = std::mem::take(&mut self.0);
        let join = move || {
            for (end, thread) in threads {
                drop(end);
                // A panic was told when it happened.
                drop(thread.join());
            }
        };
        // It fails only where the runtime ends too.
        drop(tokio::task::spawn_blocking(join).await);
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn no_core_is_left_with_a_thread_or_two_for_the_disk() {
        let threads = [1, 2, 16, 17, 256].map(blocking_threads);
        assert_eq!(threads, [128, 64, 8, 8, 8]);
    }

    #[tokio::test]
    async fn connections_are_spread_and_stay_where_they_began() {
        let (cores, mut threads) = Cores::begin().unwrap();
        let tasks = TaskTracker::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (told, mut where_served) = mpsc::unbounded_channel();
        let mut open = Vec::new();
        for _connection in 0..cores.0.len() * 2 {
            open.push(TcpStream::connect(listener.local_addr().unwrap()).await);
            let (stream, _peer) = listener.accept().await.unwrap();
            let told = told.clone();
            let served = cores.spawn(&tasks, stream, async move |stream: TcpStream| {
                let first = thread::current().id();
                told.send(first).unwrap();
                stream.readable().await.unwrap();
                assert_eq!(thread::current().id(), first);
            });
            served.unwrap();
        }
        let mut counts = std::collections::HashMap::new();
        for _connection in 0..cores.0.len() * 2 {
            let thread = where_served.recv().await.unwrap();
            *counts.entry(thread).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), cores.0.len());
        assert!(counts.values().all(|count| *count == 2), "{counts:?}");
        drop(open);
        tasks.close();
        tasks.wait().await;
        threads.end().await;
        for core in &*cores.0 {
            assert_eq!(Arc::strong_count(core), 1);
            let late = core.0.spawn(async {}).await;
            assert!(late.is_err(), "its thread has ended");
        }
    }
}
