//! Clocks around a connection's bytes, so that a peer that stands still can't hold one for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::tls::Stream;
use crate::clock::whole_ms;

/// How long a refused body is read away, for the client to read its answer meanwhile.
const LINGER: Duration = Duration::from_secs(5);

/// What every HTTP/2 connection begins with.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection is doing, as seen by its socket and by its requests.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    /// Milliseconds after `opened`, plus one, at which a head began to arrive; 0: none is arriving.
    head_since_ms: AtomicU64,
    requests: AtomicU64,
    /// Milliseconds after `opened` at which the last request ended.
    idle_since_ms: AtomicU64,
    /// Bytes of HTTP/2's preface that have come, and nothing else before them.
    preface_len: AtomicUsize,
    /// Something else than that preface has come.
    http1: AtomicBool,
    /// The last request was answered before its body was read.
    unread: AtomicBool,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            head_since_ms: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            idle_since_ms: AtomicU64::new(0),
            preface_len: AtomicUsize::new(0),
            http1: AtomicBool::new(false),
            unread: AtomicBool::new(false),
        })
    }

    /// A request's head is complete. Its end is when the answer is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.head_since_ms.store(0, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Whether a head has been arriving for longer than `limit`.
    pub(super) fn head_is_late(&self, limit: Duration) -> bool {
        match self.head_since_ms.load(Ordering::Relaxed) {
            0 => false,
            since => self.now_ms().saturating_sub(since) > whole_ms(limit),
        }
    }

    /// Whether no request is under way, none was for `time`, and none is arriving.
    pub(super) fn is_idle_for(&self, time: Duration) -> bool {
        let since = self.idle_since_ms.load(Ordering::Relaxed);
        self.requests.load(Ordering::Relaxed) == 0
            && self.head_since_ms.load(Ordering::Relaxed) == 0
            && self.now_ms().saturating_sub(since) > whole_ms(time)
    }

    /// Whether the client may still be sending what nobody will read.
    pub(super) fn is_still_sending(&self) -> bool {
        // HTTP/2 tells its client of each stream that it needs no more of.
        self.unread.load(Ordering::Relaxed) && !self.is_http2()
    }

    pub(super) fn is_http2(&self) -> bool {
        self.preface_len.load(Ordering::Relaxed) == HTTP2_PREFACE.len()
    }

    /// Which HTTP it is shows with the first byte that HTTP/2 would not begin with, or with the last
    /// that it must.
    fn recognise(&self, bytes: &[u8]) {
        let known = self.preface_len.load(Ordering::Relaxed);
        let expected = HTTP2_PREFACE.get(known..).unwrap_or_default();
        let len = bytes.len().min(expected.len());
        if bytes.get(..len) == expected.get(..len) {
            self.preface_len
                .store(known.saturating_add(len), Ordering::Relaxed);
        } else {
            self.http1.store(true, Ordering::Relaxed);
        }
    }

    fn now_ms(&self) -> u64 {
        whole_ms(self.opened.elapsed()).saturating_add(1)
    }

    fn read(&self, bytes: &[u8]) {
        if self.is_http2() {
            // It reads frames that belong to no request, and has its own limits for the others.
            return;
        }
        if !self.http1.load(Ordering::Relaxed) {
            self.recognise(bytes);
        }
        if self.is_http2() {
            self.head_since_ms.store(0, Ordering::Relaxed);
            return;
        }
        let between = self.requests.load(Ordering::Relaxed) == 0;
        if between {
            let now = self.now_ms();
            // Only the first byte starts the clock.
            if self.head_since_ms.load(Ordering::Relaxed) == 0 {
                self.head_since_ms.store(now, Ordering::Relaxed);
            }
        }
    }
}

/// A request from its complete head to the end of its answer.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl InFlight {
    /// What its connection is doing.
    pub(super) fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.0)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let now = self.0.now_ms();
        self.0.idle_since_ms.store(now, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A limit on how long one step may be pending.
#[derive(Debug)]
struct Patience {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    const fn new(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }

    /// Passes `step` through; a pending one becomes `Err` once it has been so for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, step: Poll<T>) -> Poll<Result<T, ()>> {
        if let Poll::Ready(done) = step {
            self.sleep = None;
            return Poll::Ready(Ok(done));
        }
        let limit = self.limit;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        sleep.as_mut().poll(cx).map(Err)
    }
}

fn stalled(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("the client {what} for too long"),
    )
}

/// A socket whose reads are noted, and whose writes may not stall for ever.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: Stream,
    activity: Arc<Activity>,
    writes: Patience,
    lingers: Patience,
    /// When our half was closed: nothing more will be written.
    shut: Option<Instant>,
}

impl Guarded {
    pub(super) const fn new(stream: Stream, activity: Arc<Activity>, write_idle: Duration) -> Self {
        Self {
            stream,
            activity,
            writes: Patience::new(write_idle),
            lingers: Patience::new(LINGER),
            shut: None,
        }
    }

    /// Reads what the client still sends, to its end or to ours. Closed with unread bytes, a socket
    /// is reset, which would take the answer from a client that has not read it yet.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The clock first: a client that never pauses would keep us from looking at it.
        let late = self.shut.is_some_and(|shut| shut.elapsed() > LINGER);
        let step = if late {
            Poll::Ready(())
        } else {
            self.read_away(cx)
        };
        self.lingers.watch(cx, step).map(|_either| ())
    }

    fn read_away(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut away = [0; 16 * 1024];
        loop {
            let mut buf = ReadBuf::new(&mut away);
            let step = Pin::new(&mut self.stream).poll_read(cx, &mut buf);
            if !matches!(step, Poll::Ready(Ok(()))) || buf.filled().is_empty() {
                return step.map(|_end| ());
            }
        }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, step: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.writes
            .watch(cx, step)
            .map(|done| done.unwrap_or_else(|()| Err(stalled("read nothing"))))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let step = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(read) = buf.filled().get(before..).filter(|read| !read.is_empty()) {
            self.activity.read(read);
        }
        step
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, step)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.watch(cx, step)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Encrypted bytes may wait here for a client that reads nothing.
        let step = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, step)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shut.is_none() {
            let step = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.watch(cx, step))?;
            self.shut = Some(Instant::now());
        }
        if self.activity.is_still_sending() {
            ready!(self.linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// A request's body that may not pause for ever while it is waited for, and whose neglect is noted.
#[derive(Debug)]
pub(super) struct ImpatientBody<B: Body> {
    inner: B,
    pauses: Patience,
    activity: Arc<Activity>,
    ended: bool,
}

impl<B: Body> ImpatientBody<B> {
    pub(super) const fn new(inner: B, idle: Duration, activity: Arc<Activity>) -> Self {
        Self {
            inner,
            pauses: Patience::new(idle),
            activity,
            ended: false,
        }
    }
}

impl<B: Body> Drop for ImpatientBody<B> {
    fn drop(&mut self) {
        if !self.ended && !self.inner.is_end_stream() {
            self.activity.unread.store(true, Ordering::Relaxed);
        }
    }
}

impl<B> Body for ImpatientBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let step = Pin::new(&mut self.inner).poll_frame(cx);
        let done = ready!(self.pauses.watch(cx, step));
        self.ended = matches!(done, Ok(None));
        Poll::Ready(match done {
            Ok(frame) => frame.map(|frame| frame.map_err(io::Error::other)),
            Err(()) => Some(Err(stalled("sent nothing"))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_half_of_what_a_connection_begins_with_is_late() {
        let mute = Activity::new();
        let begun: Vec<_> = [b"G".as_slice(), b"P", b"PRI * HTTP/2.0\r\n", b"PRI /"]
            .into_iter()
            .map(|bytes| {
                let activity = Activity::new();
                activity.read(bytes);
                activity
            })
            .collect();
        let http2 = Activity::new();
        // However it is cut into pieces.
        let (one, other) = HTTP2_PREFACE.split_at(5);
        http2.read(one);
        http2.read(other);
        assert!(http2.is_http2());
        tokio::time::advance(LIMIT).await;
        assert!(!mute.is_idle_for(LIMIT + LIMIT));
        tokio::time::advance(LIMIT).await;
        assert!(mute.is_idle_for(LIMIT) && !mute.head_is_late(LIMIT));
        for late in begun {
            assert!(late.head_is_late(LIMIT) && !late.is_idle_for(LIMIT) && !late.is_http2());
        }
        assert!(!http2.head_is_late(LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_between_requests_alone() {
        let activity = Activity::new();
        activity.read(b"GET / HTTP/1.1");
        let request = activity.begin();
        tokio::time::advance(LIMIT + LIMIT).await;
        assert!(!activity.is_idle_for(LIMIT));
        drop(request);
        assert!(!activity.is_idle_for(LIMIT));
        tokio::time::advance(LIMIT + LIMIT).await;
        assert!(activity.is_idle_for(LIMIT));
        activity.read(b"G");
        assert!(!activity.is_idle_for(LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_the_time_of_its_head() {
        let activity = Activity::new();
        for byte in b"PUT / HTTP/1.1" {
            activity.read(&[*byte]);
        }
        let request = activity.begin();
        tokio::time::advance(LIMIT + LIMIT).await;
        activity.read(b"its body");
        assert!(!activity.head_is_late(LIMIT));
        drop(request);
        activity.read(b"P");
        tokio::time::advance(LIMIT + LIMIT).await;
        assert!(activity.head_is_late(LIMIT));
    }
}
