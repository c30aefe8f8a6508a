//! What the machine itself can do, by the same hash and the same file system: no server can do more with
//! one thread.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::measure::{Outcome, Series, Spent};
use super::wire::pattern;
use crate::cli::CliError;

/// What is appended and synced.
const APPEND_BYTES: usize = 4 << 10;
/// What is hashed and written whole.
const FILE_BYTES: usize = 16 << 20;
/// What is hashed, written or sent at once.
const PIECE_BYTES: usize = 1 << 20;

/// Measures each limit for so long; files lie in `folder` meanwhile.
pub(super) fn measure(folder: &Path, time: Duration) -> Result<Vec<Outcome>, CliError> {
    let bytes = pattern(FILE_BYTES);
    let appended = appends(folder, time)?;
    let files = repeat(time, FILE_BYTES, |number| {
        whole_file(folder, number, &bytes, true)
    });
    let plain = repeat(time, FILE_BYTES, |number| {
        whole_file(folder, number, &bytes, false)
    });
    let md5 = repeat(time, FILE_BYTES, |_number| {
        std::hint::black_box(Md5::digest(&bytes));
        Ok(())
    });
    let sha256 = repeat(time, FILE_BYTES, |_number| {
        std::hint::black_box(Sha256::digest(&bytes));
        Ok(())
    });
    [
        ("limit:append:4KiB", Ok(appended)),
        ("limit:md5+file:16MiB", files),
        ("limit:file:16MiB", plain),
        ("limit:md5", md5),
        ("limit:sha256", sha256),
        ("limit:loopback", loopback(time)),
    ]
    .into_iter()
    .map(|(name, series)| {
        let series = series?;
        let took = series.time();
        Ok(Outcome::new(
            name.to_owned(),
            took,
            series,
            Spent::default(),
        ))
    })
    .collect()
}

/// Does `work` again and again, each time on so many bytes.
fn repeat(
    time: Duration,
    bytes: usize,
    mut work: impl FnMut(usize) -> Result<(), CliError>,
) -> Result<Series, CliError> {
    let mut series = Series::default();
    let mut spent = Duration::ZERO;
    while series.count() == 0 || spent < time {
        let began = Instant::now();
        work(series.count())?;
        let took = began.elapsed();
        spent = spent.saturating_add(took);
        series.add(took, bytes);
    }
    Ok(series)
}

/// Appends to one file, each append synced.
fn appends(folder: &Path, time: Duration) -> Result<Series, CliError> {
    let file = tempfile_in(folder, 0);
    let mut log = File::create(&file)?;
    let bytes = pattern(APPEND_BYTES);
    let series = repeat(time, APPEND_BYTES, |_number| {
        log.write_all(&bytes)?;
        log.sync_data()?;
        Ok(())
    });
    std::fs::remove_file(&file)?;
    series
}

fn tempfile_in(folder: &Path, number: usize) -> std::path::PathBuf {
    folder.join(format!("consign-bench-{}-{number}", std::process::id()))
}

/// One thread hashes and writes a file, syncs it and its name.
fn whole_file(folder: &Path, number: usize, bytes: &[u8], hashes: bool) -> Result<(), CliError> {
    let path = tempfile_in(folder, number);
    let mut file = File::create(&path)?;
    let mut md5 = Md5::new();
    for piece in bytes.chunks(PIECE_BYTES) {
        if hashes {
            md5.update(piece);
        }
        file.write_all(piece)?;
    }
    std::hint::black_box(md5.finalize());
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    std::fs::remove_file(&path)?;
    Ok(())
}

/// One connection of this machine with itself, a thread at each end.
fn loopback(time: Duration) -> Result<Series, CliError> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || -> std::io::Result<()> {
            let mut stream = TcpStream::connect(address)?;
            let bytes = pattern(PIECE_BYTES);
            let began = Instant::now();
            while began.elapsed() < time {
                stream.write_all(&bytes)?;
            }
            Ok(())
        });
        let (mut stream, _peer) = listener.accept()?;
        let mut buffer = vec![0; PIECE_BYTES];
        let mut series = Series::default();
        loop {
            let began = Instant::now();
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            series.add(began.elapsed(), read);
        }
        let sent = sender.join();
        sent.map_err(|_panic| CliError::Usage("the sender broke down".into()))??;
        Ok(series)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_measured_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let limits = measure(folder.path(), Duration::from_millis(20)).unwrap();
        for limit in &limits {
            let json = limit.json();
            assert!(json["mib_per_second"].as_f64() > Some(0.0), "{json}");
        }
        assert_eq!(limits.len(), 6);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
