//! The scrub: now and then everything that is stored is read once, slowly, so that what rots on the
//! disk is known while a backup still has it.
//!
//! A pass reads the metadata's rows, then each record's bytes, as the check (`fsck`) does. Where it
//! is lies in a row, so that a restart goes on there. It runs beside a server at work: what moves
//! meanwhile is met by this pass or the next.

mod damage;
mod monitor;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

pub use damage::Damage;
pub use monitor::{ScrubMonitor, ScrubStatus};

pub use super::fsck::{ByteRate, Pace};

use super::blob::BlobRef;
use super::fsck::{
    Examiner, Finding, FsckOptions, FsckProgress, FsckReport, Known, NAMING, Pages, Unnamed,
    damaged_rows, is_damage,
};
use super::meta::{self, Batch, Entry, KeyRange, MetaError, Space, Step};
use super::record::{decode, encode};
use super::{ObjectStore, StoreError};
use crate::clock::Timestamp;
use damage::Remembered;

/// The row that says how far the pass is.
const STATE: &[u8] = b"scrub/state";
/// Bytes of rows that are read at once.
const ROWS_BYTES: u64 = 1024 * 1024;
/// What a record costs besides its bytes: about what finding it reads.
const RECORD_BYTES: u64 = 4096;
/// How often the place of the pass is kept: as much is read again after a crash.
const KEEP_EVERY: Duration = Duration::from_secs(5);

/// What is kept of the pass that is under way, and of the last one.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
struct State {
    /// When the pass began.
    #[n(0)]
    began: Option<Timestamp>,
    /// Where it is; none: it is over.
    #[n(1)]
    place: Option<Place>,
    /// When the last one ended.
    #[n(2)]
    finished: Option<Timestamp>,
    #[n(3)]
    records: u64,
    #[n(4)]
    bytes: u64,
    #[n(5)]
    bytes_total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
struct Place {
    /// The name of the stage.
    #[n(0)]
    stage: String,
    /// The key that comes next.
    #[cbor(n(1), with = "minicbor::bytes")]
    key: Vec<u8>,
}

/// A part of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The rows of a space, by their checksums.
    Rows(Space),
    /// The bytes that a space's records name.
    Records(Space),
}

impl Stage {
    fn all() -> impl Iterator<Item = Self> {
        let rows = Space::ALL.into_iter().map(Self::Rows);
        rows.chain(NAMING.into_iter().map(Self::Records))
    }

    fn name(self) -> String {
        match self {
            Self::Rows(space) => format!("rows/{}", space.name()),
            Self::Records(space) => format!("records/{}", space.name()),
        }
    }
}

struct Pass<'a> {
    store: &'a ObjectStore,
    pace: Pace,
    progress: Arc<FsckProgress>,
    remembered: Remembered<'a>,
    state: State,
    began: Timestamp,
    kept: Instant,
}

impl ObjectStore {
    /// How long until a pass is due: at once where one was interrupted; never without `every`.
    ///
    /// # Errors
    /// What the metadata engine fails with.
    pub async fn scrub_due(&self, every: Option<Duration>) -> Result<Option<Duration>, StoreError> {
        let Some(state) = read_state(self).await? else {
            // A new store: as if a pass had just ended.
            let state = State {
                finished: Some(self.clock().now()),
                ..State::default()
            };
            keep_state(self, &state).await?;
            return Ok(every);
        };
        self.scrub_monitor().tell(&state);
        if state.place.is_some() {
            return Ok(Some(Duration::ZERO));
        }
        let since = state.finished.map(|at| self.clock().now().since(at));
        Ok(every.map(|every| every.saturating_sub(since.unwrap_or_default())))
    }

    /// Makes a pass, or ends the one that was interrupted, as fast as `rate` says at each moment.
    /// Stopping it at any point loses nothing.
    ///
    /// # Errors
    /// What the metadata engine fails with, but for damage.
    pub async fn scrub(&self, rate: ByteRate) -> Result<ScrubStatus, StoreError> {
        let running = self.scrub_monitor().begin();
        let mut pass = Pass::begin(self, rate).await?;
        let place = pass.state.place.take();
        let reached = |stage: &Stage| {
            let at = place.as_ref();
            at.is_none_or(|place| place.stage == stage.name())
        };
        let mut stages: Vec<_> = Stage::all().skip_while(|stage| !reached(stage)).collect();
        let mut from = place
            .as_ref()
            .map_or_else(Vec::new, |place| place.key.clone());
        if stages.is_empty() {
            (stages, from) = (Stage::all().collect(), Vec::new());
        }
        for stage in stages {
            let from = Bytes::from(std::mem::take(&mut from));
            pass.keep(stage, &from).await?;
            match stage {
                Stage::Rows(space) => pass.rows(stage, space, from).await?,
                Stage::Records(space) => pass.records(stage, space, from).await?,
            }
        }
        pass.end().await?;
        drop(running);
        Ok(self.scrub_monitor().status())
    }
}

impl<'a> Pass<'a> {
    async fn begin(store: &'a ObjectStore, rate: ByteRate) -> Result<Self, StoreError> {
        let before = read_state(store).await?.unwrap_or_default();
        let (began, state) = if let (Some(began), Some(_place)) = (before.began, &before.place) {
            (began, before)
        } else {
            let now = store.clock().now();
            let state = State {
                began: Some(now),
                finished: before.finished,
                bytes_total: bytes_of_blobs(store).await?,
                ..State::default()
            };
            (now, state)
        };
        let progress = Arc::new(FsckProgress::from(state.records, state.bytes));
        progress.expect_bytes(state.bytes_total);
        let monitor = store.scrub_monitor();
        monitor.tell(&state);
        monitor.watch(Arc::clone(&progress));
        Ok(Self {
            store,
            pace: Pace::at(rate),
            progress,
            remembered: Remembered::read(store).await?,
            state,
            began,
            kept: Instant::now(),
        })
    }

    async fn rows(&mut self, stage: Stage, space: Space, from: Bytes) -> Result<(), StoreError> {
        let mut from = from;
        loop {
            match self.store.meta().verify(space, from, ROWS_BYTES).await {
                Ok(verified) => {
                    self.pace.spend(verified.bytes).await;
                    let Some(next) = verified.next else {
                        return Ok(());
                    };
                    from = next;
                    self.keep_now_and_then(stage, &from).await?;
                }
                Err(error) => return self.lost(space, error).await,
            }
        }
    }

    async fn records(&mut self, stage: Stage, space: Space, from: Bytes) -> Result<(), StoreError> {
        let meta = self.store.meta().as_ref();
        let mut passed_over = FsckReport::default();
        let now = self.store.clock().now();
        let known = match Known::read(meta, now, &mut passed_over).await {
            Err(StoreError::Meta(error)) if is_damage(&error) => {
                return self.lost(Space::Buckets, error).await;
            }
            known => known?,
        };
        let mut pages = Pages::from(space, from);
        loop {
            let page = match pages.next(meta).await {
                Err(StoreError::Meta(error)) if is_damage(&error) => {
                    return self.lost(space, error).await;
                }
                page => page?,
            };
            let Some(page) = page else {
                return Ok(());
            };
            for row in page {
                self.record(&known, space, &row).await?;
                let next = Bytes::from([row.key.as_ref(), &[0]].concat());
                self.keep_now_and_then(stage, &next).await?;
            }
        }
    }

    async fn record(&mut self, known: &Known, space: Space, row: &Entry) -> Result<(), StoreError> {
        self.pace.spend(RECORD_BYTES).await;
        let examiner = Examiner {
            store: self.store,
            known,
            options: FsckOptions { read_blobs: true },
            progress: &self.progress,
            pace: &self.pace,
        };
        let examined = async {
            let bytes = examiner.name(space, row, &mut Unnamed::default()).await?;
            examiner.examine(space, row, bytes).await
        };
        match examined.await {
            Ok(findings) => {
                for finding in findings {
                    self.found(finding, Some((space, row))).await?;
                }
                Ok(())
            }
            // A row that it leads to; those are looked at by themselves.
            Err(StoreError::Meta(error)) if is_damage(&error) => self.lost(space, error).await,
            Err(error) => Err(error),
        }
    }

    /// Rows that can't be read: what lies behind them is left to the next pass.
    async fn lost(&mut self, space: Space, error: MetaError) -> Result<(), StoreError> {
        let finding = damaged_rows(space, error)?;
        self.found(finding, None).await
    }

    async fn found(
        &mut self,
        finding: Finding,
        row: Option<(Space, &Entry)>,
    ) -> Result<(), StoreError> {
        let Finding { place, detail, .. } = &finding;
        tracing::error!(kind = ?finding.kind, place, detail, "what is stored is damaged");
        self.remembered.add(finding, row).await
    }

    async fn keep_now_and_then(&mut self, stage: Stage, key: &Bytes) -> Result<(), StoreError> {
        if self.kept.elapsed() < KEEP_EVERY {
            return Ok(());
        }
        self.keep(stage, key).await
    }

    async fn keep(&mut self, stage: Stage, key: &Bytes) -> Result<(), StoreError> {
        self.kept = Instant::now();
        self.state.place = Some(Place {
            stage: stage.name(),
            key: key.to_vec(),
        });
        self.state.records = self.progress.records();
        self.state.bytes = self.progress.bytes();
        keep_state(self.store, &self.state).await
    }

    async fn end(mut self) -> Result<(), StoreError> {
        self.remembered.forget_before(self.began).await?;
        self.state.place = None;
        self.state.records = self.progress.records();
        self.state.bytes = self.progress.bytes();
        self.state.finished = Some(self.store.clock().now());
        keep_state(self.store, &self.state).await?;
        self.store.scrub_monitor().ended(&self.state);
        Ok(())
    }
}

async fn read_state(store: &ObjectStore) -> Result<Option<State>, StoreError> {
    let row = store.meta().get(Space::System, STATE).await?;
    // Another version's: a pass begins anew.
    Ok(row.map(|row| decode(&row, "the state of the scrub").unwrap_or_default()))
}

async fn keep_state(store: &ObjectStore, state: &State) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put(Space::System, STATE, encode(state)?);
    Ok(store.meta().commit(batch).await?)
}

/// Bytes of all blobs; of those before damage, where there is any.
async fn bytes_of_blobs(store: &ObjectStore) -> Result<u64, StoreError> {
    let visit = |sum: &mut u64, _key: &[u8], value: &[u8]| {
        let blob = decode::<BlobRef>(value, "a blob's row");
        *sum = sum.saturating_add(blob.map_or(0, |blob| blob.len));
        Step::Next
    };
    let meta = store.meta().as_ref();
    match meta::walk(meta, Space::Blobs, KeyRange::all(), 0, visit).await {
        Err(error) if is_damage(&error) => Ok(0),
        sum => Ok(sum?),
    }
}
