//! What came of a request's body.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;

use crate::metrics::Requests;

/// How many bytes came, and when the last.
#[derive(Debug)]
pub(super) struct Received {
    began: Instant,
    bytes: AtomicU64,
    /// Microseconds after `began`.
    last_us: AtomicU64,
}

impl Received {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            bytes: AtomicU64::new(0),
            last_us: AtomicU64::new(0),
        })
    }

    /// Bytes that came so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Time since the last of them came; since the head, where none did.
    pub(super) fn idle(&self) -> Duration {
        let last = Duration::from_micros(self.last_us.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
    }

    fn note(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last_us.store(us, Ordering::Relaxed);
    }
}

/// `body`, whose bytes and faults are counted as they are read.
pub(super) fn counted<B>(
    body: B,
    requests: Arc<Requests>,
    received: Arc<Received>,
) -> impl Body<Data = Bytes, Error = B::Error>
where
    B: Body<Data = Bytes>,
{
    let body = body.map_frame(move |frame| {
        received.note(frame.data_ref().map_or(0, Bytes::len));
        frame
    });
    body.map_err(move |error| {
        requests.body_broke();
        error
    })
}
