//! Writes the records of requests to a file: on a thread of its own, which no request waits for.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::StartError;
use crate::config::{AccessLogSettings, RecordFormat};
use crate::metrics::Records;
use crate::s3::access_log::{AccessLog, Order, RecordForm};

/// How often it is looked whether the file is still the one of that name, and not too old.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A fault is told so often at most.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Who may read it: its owner and their group.
const MODE: u32 = 0o640;

/// How records are written and their file rotated, at the moment.
pub(super) type Rules = Arc<ArcSwap<AccessLogSettings>>;

/// What requests leave their records with, and, where a file is configured, the thread that writes them
/// as `rules` say at each moment.
///
/// # Errors
/// [`StartError::AccessLog`].
pub(super) fn start(rules: &Rules) -> Result<Arc<AccessLog>, StartError> {
    let settings = rules.load();
    let Some(path) = &settings.file else {
        return Ok(Arc::default());
    };
    let failed = |source| StartError::AccessLog {
        path: path.display().to_string(),
        source,
    };
    let (log, orders) = AccessLog::with_orders();
    let writer = Writer::open(path, Arc::clone(rules), log.counts().clone()).map_err(failed)?;
    std::thread::Builder::new()
        .name("access-log".into())
        .spawn(move || writer.run(&orders))
        .map_err(failed)?;
    Ok(Arc::new(log))
}

/// The file, and the rules of its rotation.
#[derive(Debug)]
struct Writer {
    path: PathBuf,
    rules: Rules,
    open: Option<Open>,
    counts: Records,
    told: Option<Instant>,
    looked: Instant,
}

#[derive(Debug)]
struct Open {
    file: BufWriter<File>,
    bytes: u64,
    since: Instant,
    /// Which file it is, whatever it is called by now.
    id: (u64, u64),
}

impl Writer {
    /// Opens the configured file.
    ///
    /// # Errors
    /// What the system says.
    fn open(path: &Path, rules: Rules, counts: Records) -> io::Result<Self> {
        let mut writer = Self {
            path: path.to_owned(),
            rules,
            open: None,
            counts,
            told: None,
            looked: Instant::now(),
        };
        writer.reopen()?;
        Ok(writer)
    }

    /// Writes what `orders` brings until nobody can send any more.
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(LOOK_EVERY) {
                Ok(order) => self.carry_out(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
            // What waits goes to the system with as few calls as there can be.
            while let Ok(order) = orders.try_recv() {
                self.carry_out(order);
            }
            self.flush();
            self.look();
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Write(record, ended) => {
                let form = match self.rules.load().format {
                    RecordFormat::Aws => RecordForm::Aws,
                    RecordFormat::Json => RecordForm::Json,
                    RecordFormat::Combined => RecordForm::Combined,
                };
                self.write(&record.line(form, ended));
            }
            Order::Reopen => {
                self.flush();
                let opened = self.reopen();
                self.tell(opened);
            }
            Order::Flush(done) => {
                self.flush();
                if done.send(()).is_err() {
                    tracing::debug!("who asked for a flush did not wait for it");
                }
            }
        }
    }

    fn write(&mut self, line: &str) {
        let Some(open) = &mut self.open else {
            self.counts.failed();
            return;
        };
        match open.file.write_all(line.as_bytes()) {
            Ok(()) => {
                let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
                open.bytes = open.bytes.saturating_add(bytes);
                self.counts.written();
                let rotate_bytes = self.rules.load().rotate_bytes;
                if rotate_bytes > 0 && open.bytes >= rotate_bytes {
                    self.rotate();
                }
            }
            Err(error) => {
                self.counts.failed();
                self.tell(Err(error));
            }
        }
    }

    fn flush(&mut self) {
        if let Some(open) = &mut self.open {
            let flushed = open.file.flush();
            if flushed.is_err() {
                // What is in the buffer can't be told from what is in the file: begin anew.
                self.open = None;
            }
            self.tell(flushed);
        }
    }

    /// Follows a file that somebody moved, and leaves one that is too old.
    fn look(&mut self) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        let there = std::fs::metadata(&self.path).ok();
        let there = there.map(|found| (found.dev(), found.ino()));
        let same = self
            .open
            .as_ref()
            .is_some_and(|open| there == Some(open.id));
        if !same {
            let opened = self.reopen();
            self.tell(opened);
        }
        let rotate_time = self.rules.load().rotate_time;
        let old = |open: &Open| open.bytes > 0 && open.since.elapsed() >= rotate_time;
        if !rotate_time.is_zero() && self.open.as_ref().is_some_and(old) {
            self.rotate();
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.open = None;
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .append(true)
            .mode(MODE)
            .open(&self.path)?;
        let found = file.metadata()?;
        self.open = Some(Open {
            file: BufWriter::new(file),
            bytes: found.len(),
            since: Instant::now(),
            id: (found.dev(), found.ino()),
        });
        Ok(())
    }

    /// `access.log` becomes `access.log.1`, that becomes `access.log.2`, and the oldest goes.
    fn rotate(&mut self) {
        self.flush();
        let moved = self.shift().and_then(|()| self.reopen());
        self.tell(moved);
    }

    fn shift(&self) -> io::Result<()> {
        let keep = self.rules.load().keep;
        if keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        for number in (1..keep).rev() {
            let from = self.numbered(number);
            if from.exists() {
                rename(&from, &self.numbered(number.saturating_add(1)))?;
            }
        }
        rename(&self.path, &self.numbered(1))
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn tell(&mut self, outcome: io::Result<()>) {
        let Err(error) = outcome else { return };
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            tracing::warn!(path = %self.path.display(), %error, "could not write the access log");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a record is told by best effort: nothing depends on the name's durability"
)]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(folder: &Path, change: impl FnOnce(&mut AccessLogSettings)) -> Writer {
        let mut settings = AccessLogSettings::default();
        change(&mut settings);
        let rules = Arc::new(ArcSwap::from_pointee(settings));
        Writer::open(&folder.join("a.log"), rules, Records::default()).unwrap()
    }

    fn read(folder: &Path, name: &str) -> String {
        std::fs::read_to_string(folder.join(name)).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let files = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_is_full_makes_room_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path(), |settings| {
            settings.rotate_bytes = 4;
            settings.keep = 2;
        });
        for line in ["one\n", "two\n", "three\n", "4\n"] {
            writer.write(line);
        }
        writer.flush();
        assert_eq!(names(folder.path()), ["a.log", "a.log.1", "a.log.2"]);
        assert_eq!(read(folder.path(), "a.log"), "4\n");
        assert_eq!(read(folder.path(), "a.log.1"), "three\n");
        assert_eq!(read(folder.path(), "a.log.2"), "two\n");
    }

    #[test]
    fn none_are_kept_where_none_are_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path(), |settings| {
            settings.rotate_bytes = 1;
            settings.keep = 0;
        });
        writer.write("one\n");
        assert_eq!(names(folder.path()), ["a.log"]);
        assert_eq!(read(folder.path(), "a.log"), "");
    }

    #[test]
    fn an_old_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path(), |settings| {
            settings.rotate_time = Duration::from_nanos(1);
        });
        writer.write("one\n");
        writer.flush();
        let past = Instant::now().checked_sub(LOOK_EVERY * 2);
        writer.looked = past.unwrap();
        writer.look();
        assert_eq!(read(folder.path(), "a.log.1"), "one\n");
        // A file without records is never too old.
        writer.looked = past.unwrap();
        writer.look();
        assert_eq!(names(folder.path()), ["a.log", "a.log.1"]);
    }

    #[test]
    fn what_was_moved_or_removed_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path(), |_default| {});
        let past = Instant::now().checked_sub(LOOK_EVERY * 2);
        writer.write("one\n");
        writer.flush();
        rename(&folder.path().join("a.log"), &folder.path().join("moved")).unwrap();
        writer.looked = past.unwrap();
        writer.look();
        writer.write("two\n");
        writer.flush();
        assert_eq!(read(folder.path(), "moved"), "one\n");
        assert_eq!(read(folder.path(), "a.log"), "two\n");
        std::fs::remove_file(folder.path().join("a.log")).unwrap();
        writer.carry_out(Order::Reopen);
        writer.write("three\n");
        writer.flush();
        assert_eq!(read(folder.path(), "a.log"), "three\n");
    }

    #[test]
    fn records_go_on_where_the_last_run_ended() {
        let folder = tempfile::tempdir().unwrap();
        for line in ["one\n", "two\n"] {
            let mut writer = writer(folder.path(), |_default| {});
            writer.write(line);
            writer.flush();
        }
        assert_eq!(read(folder.path(), "a.log"), "one\ntwo\n");
        let mode = std::fs::metadata(folder.path().join("a.log"))
            .unwrap()
            .mode();
        assert_eq!(mode & 0o777 & !MODE, 0);
    }
}
