//! One server at a time in a data folder, and who it is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// The file that is locked, and that tells who locked it.
const LOCK_FILE: &str = "LOCK";

/// The file from which commands learn where the server is.
const SERVER_FILE: &str = "server.json";

/// What that file is written as, until it is whole.
const SERVER_FILE_STAGED: &str = "server.json.new";

/// Bytes of who holds a folder: more is not ours.
const HOLDER_BYTES_MAX: u64 = 4096;

/// A server at work in a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Where it answers; empty until it listens.
    pub endpoint: String,
    /// Where its administration answers, if that is not the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<String>,
    /// The region that signatures are for: the configuration's may be another one by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The certificates that it shows: SHA-256 of each, in hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
}

impl Holder {
    /// Where its administration answers.
    pub fn administration(&self) -> &str {
        self.admin.as_deref().unwrap_or(&self.endpoint)
    }
}

/// Why a data folder can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the data folder {} is held by {}", path.display(), described(.holder.as_deref()))]
    Held {
        /// The folder.
        path: PathBuf,
        /// Who has it, if that could be read.
        holder: Option<Box<Holder>>,
    },
    /// The system refused.
    #[error("can't use the data folder {}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn described(holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) if holder.endpoint.is_empty() => format!("process {}", holder.pid),
        Some(holder) => format!("process {} ({})", holder.pid, holder.endpoint),
        None => "another process".to_owned(),
    }
}

/// A data folder that is ours until this is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct FolderLock {
    file: Mutex<File>,
    path: PathBuf,
}

impl FolderLock {
    /// Makes the folder if needed, and takes it.
    ///
    /// # Errors
    /// [`LockError::Held`] where another process has it.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(io)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path.join(LOCK_FILE)).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    path: path.to_owned(),
                    holder: holder(&mut file).map(Box::new),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let ourselves = Holder {
            pid: std::process::id(),
            endpoint: String::new(),
            admin: None,
            region: None,
            certificates: Vec::new(),
        };
        say(&mut file, &ourselves).map_err(io)?;
        Ok(Self {
            file: Mutex::new(file),
            path: path.to_owned(),
        })
    }

    /// Tells other processes where this one and its administration answer. Who reads meanwhile is told
    /// the last or the next, always whole.
    ///
    /// # Errors
    /// [`LockError::Io`].
    pub fn announce(&self, holder: &Holder) -> Result<(), LockError> {
        self.tell(holder).map_err(|source| LockError::Io {
            path: self.path.clone(),
            source,
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it is told anew at each start: nothing depends on the name's durability"
    )]
    fn tell(&self, holder: &Holder) -> std::io::Result<()> {
        let mut file = self.file();
        say(&mut file, holder)?;
        let staged = self.path.join(SERVER_FILE_STAGED);
        std::fs::write(&staged, serde_json::to_vec_pretty(holder)?)?;
        std::fs::rename(staged, self.path.join(SERVER_FILE))
    }

    /// The locked file, for one writer at a time.
    fn file(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes into the locked file who has it.
fn say(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(holder)?)
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // A server that is gone answers nowhere. If this fails, commands find nobody listening.
        drop(std::fs::remove_file(self.path.join(SERVER_FILE)));
        drop(self.file().set_len(0));
    }
}

fn holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The server that is at work in the folder at `path`, as it announced itself.
pub fn announced(path: &Path) -> Option<Holder> {
    serde_json::from_slice(&std::fs::read(path.join(SERVER_FILE)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_told_who_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let holder = Holder {
            pid: std::process::id(),
            endpoint: "http://127.0.0.1:9000".to_owned(),
            admin: None,
            region: None,
            certificates: Vec::new(),
        };
        first.announce(&holder).unwrap();
        let refused = FolderLock::take(folder.path()).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(
            refused.contains(&format!("process {pid} (http://127.0.0.1:9000)")),
            "{refused}"
        );
        assert_eq!(
            announced(folder.path()).unwrap().endpoint,
            "http://127.0.0.1:9000"
        );
        drop(first);
        assert_eq!(announced(folder.path()), None);
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn who_reads_while_it_is_announced_again_reads_it_whole() {
        const TIMES: usize = 300;
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        let holder = |certificates| Holder {
            pid: 1,
            endpoint: "http://127.0.0.1:9000".to_owned(),
            admin: None,
            region: None,
            certificates: vec!["0".repeat(64); certificates],
        };
        lock.announce(&holder(1)).unwrap();
        std::thread::scope(|scope| {
            for certificates in [1, 100] {
                let (lock, holder) = (&lock, holder(certificates));
                scope.spawn(move || (0..TIMES).for_each(|_| lock.announce(&holder).unwrap()));
            }
            for _ in 0..TIMES {
                assert!(announced(folder.path()).is_some());
            }
        });
    }
}
