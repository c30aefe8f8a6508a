//! The end of a request: its answer carries this to its last byte, or to where it is cut.

use super::access_log::{Ended, Recording};
use crate::metrics::Running;
use crate::trace::Root;

/// What is to be done at the end.
#[derive(Debug)]
pub(super) struct Ending {
    running: Running,
    recording: Option<Box<Recording>>,
    trace: Option<Box<Trace>>,
}

/// The trace of a request whose answer is on its way.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) root: Root,
    /// What was asked for.
    pub(super) name: String,
    pub(super) failed: bool,
}

impl Ending {
    pub(super) const fn of(
        running: Running,
        recording: Option<Box<Recording>>,
        trace: Option<Box<Trace>>,
    ) -> Self {
        Self {
            running,
            recording,
            trace,
        }
    }

    /// So many bytes of the answer's body went out.
    pub(super) const fn sent(&mut self, bytes: u64) {
        self.running.sent(bytes);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(mut trace) = self.trace.take() {
            let sent = self.running.sent_bytes();
            trace.root.note("http.response.body.size", sent);
            trace.root.end(trace.name, trace.failed);
        }
        if let Some(recording) = self.recording.take() {
            recording.keep(Ended {
                sent: self.running.sent_bytes(),
                time: self.running.elapsed(),
            });
        }
    }
}
