//! The forgetful disk as a file system that the kernel mounts: the real server writes to it.
//!
//! The kernel's side of FUSE is spoken here by hand, since a library's features would have every
//! other crate compiled once more: <https://docs.kernel.org/filesystems/fuse/fuse.html>, structures
//! in `include/uapi/linux/fuse.h`.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::disk::{Answer, Cut, Disk, Node, PAGE_BYTES, Rule};

const WRITE_BYTES_MAX: u32 = 1 << 20;
const FLAG_BIG_WRITES: u32 = 1 << 5;
const FLAG_MAX_PAGES: u32 = 1 << 22;
/// Nothing is cached by the kernel: what the disk says now is what a process sees.
const OPEN_DIRECT: u32 = 1;
const SET_MODE: u32 = 1;
const SET_SIZE: u32 = 1 << 3;
const KEEP_SIZE: u32 = 1;

const EPERM: i32 = 1;
const ENOSYS: i32 = 38;
const ENODEV: i32 = 19;
const EOPNOTSUPP: i32 = 95;

/// Numbers and names of a request, taken one after the other.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (now, rest) = self.0.split_at(len);
        self.0 = rest;
        now
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn name(&mut self) -> &'a OsStr {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap();
        let name = self.take(end);
        self.take(1);
        OsStr::from_bytes(name)
    }
}

/// Numbers of an answer.
#[derive(Default)]
struct Output(Vec<u8>);

impl Output {
    fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn zeros(mut self, bytes: usize) -> Self {
        self.0.resize(self.0.len() + bytes, 0);
        self
    }

    /// `struct fuse_attr`.
    fn attributes(self, number: u64, node: &Node) -> Self {
        let kind = if node.folder { 0o040_000 } else { 0o100_000 };
        self.u64(number)
            .u64(node.len())
            .u64(node.len().div_ceil(512))
            .zeros(3 * 8 + 3 * 4)
            .u32(kind | (node.mode & 0o7777))
            .u32(node.links)
            .zeros(3 * 4)
            .u32(u32::try_from(PAGE_BYTES).unwrap())
            .u32(0)
    }

    /// `struct fuse_entry_out`, valid for no time.
    fn entry(self, disk: &Disk, number: u64) -> Answer<Self> {
        let this = self.u64(number).zeros(3 * 8 + 2 * 4);
        Ok(this.attributes(number, disk.node(number)?))
    }

    fn opened(self) -> Self {
        self.u64(0).u32(OPEN_DIRECT).u32(0)
    }
}

/// The answer to one request; none to those that want none.
fn answer(
    disk: &mut Disk,
    operation: u32,
    number: u64,
    mut input: Input<'_>,
) -> Option<Answer<Output>> {
    Some(match operation {
        2 | 36 | 42 => return None, // FORGET, INTERRUPT, BATCH_FORGET
        26 => Ok(initialised(input)),
        1 => look_up(disk, number, &mut input),
        3 => attributes(disk, number),
        4 => set_attributes(disk, number, input),
        9 => {
            let (mode, _mask) = (input.u32(), input.u32());
            let made = disk.make(number, input.name(), true, mode);
            made.and_then(|made| Output::default().entry(disk, made))
        }
        10 | 11 => disk
            .unlink(number, input.name())
            .map(|()| Output::default()),
        12 | 45 => {
            let folder = input.u64();
            input.take(if operation == 45 { 8 } else { 0 });
            let (from, to) = (input.name(), input.name());
            disk.rename((number, from), (folder, to))
                .map(|()| Output::default())
        }
        13 => {
            let of = input.u64();
            let linked = disk.link(of, number, input.name());
            linked.and_then(|()| Output::default().entry(disk, of))
        }
        14 | 27 => disk.node(number).map(|_| Output::default().opened()),
        15 => {
            let (_handle, at, len) = (input.u64(), input.u64(), input.u32());
            disk.read(number, at, len as usize).map(Output)
        }
        16 => {
            let (_handle, at, len) = (input.u64(), input.u64(), input.u32());
            input.take(20);
            let written = disk.write(number, at, input.take(len as usize));
            written.map(|()| Output::default().u32(len).u32(0))
        }
        17 => Ok(room(disk)),
        18 | 29 => Ok(Output::default()), // RELEASE, RELEASEDIR
        20 => disk.sync_file(number).map(|()| Output::default()),
        28 => list(disk, number, input),
        30 => disk.sync_folder(number).map(|()| Output::default()),
        35 => {
            let (_flags, mode) = (input.u32(), input.u32());
            input.take(8);
            let made = disk.make(number, input.name(), false, mode);
            made.and_then(|made| Ok(Output::default().entry(disk, made)?.opened()))
        }
        43 => reserve(disk, number, input),
        _ => Err(ENOSYS),
    })
}

/// `struct fuse_init_out`, of protocol 7.31.
fn initialised(mut input: Input<'_>) -> Output {
    let (_major, _minor, read_ahead, flags) = (input.u32(), input.u32(), input.u32(), input.u32());
    let pages = WRITE_BYTES_MAX / u32::try_from(PAGE_BYTES).unwrap();
    Output::default()
        .u32(7)
        .u32(31)
        .u32(read_ahead)
        .u32(flags & (FLAG_BIG_WRITES | FLAG_MAX_PAGES))
        .u32(0)
        .u32(WRITE_BYTES_MAX)
        .u32(1)
        .u32(pages)
        .zeros(8 * 4)
}

fn look_up(disk: &Disk, folder: u64, input: &mut Input<'_>) -> Answer<Output> {
    let found = disk.lookup(folder, input.name())?;
    Output::default().entry(disk, found)
}

fn attributes(disk: &Disk, number: u64) -> Answer<Output> {
    let node = disk.node(number)?;
    Ok(Output::default().zeros(16).attributes(number, node))
}

fn set_attributes(disk: &mut Disk, number: u64, mut input: Input<'_>) -> Answer<Output> {
    let (what, _) = (input.u32(), input.u32());
    let (_handle, size) = (input.u64(), input.u64());
    input.take(4 * 8 + 3 * 4);
    let mode = input.u32();
    if what & SET_MODE != 0 {
        disk.set_mode(number, mode)?;
    }
    if what & SET_SIZE != 0 {
        disk.resize(number, size)?;
    }
    attributes(disk, number)
}

/// `struct fuse_statfs_out`.
fn room(disk: &Disk) -> Output {
    let page = u32::try_from(PAGE_BYTES).unwrap();
    let free = disk.free() / u64::from(page);
    Output::default()
        .u64(disk.capacity / u64::from(page))
        .u64(free)
        .u64(free)
        .u64(1 << 20)
        .u64(1 << 20)
        .u32(page)
        .u32(255)
        .u32(page)
        .zeros(7 * 4)
}

fn list(disk: &Disk, folder: u64, mut input: Input<'_>) -> Answer<Output> {
    let (_handle, from, len) = (input.u64(), input.u64(), input.u32());
    let mut output = Output::default();
    let names = disk.list(folder)?;
    for (at, (name, number, folder)) in (1..).zip(names).skip(usize::try_from(from).unwrap()) {
        let name_len = name.as_bytes().len();
        if output.0.len() + (24 + name_len).next_multiple_of(8) > len as usize {
            break;
        }
        output = output
            .u64(number)
            .u64(at)
            .u32(u32::try_from(name_len).unwrap())
            .u32(if folder { 4 } else { 8 });
        output.0.extend(name.as_bytes());
        output.0.resize(output.0.len().next_multiple_of(8), 0);
    }
    Ok(output)
}

fn reserve(disk: &mut Disk, number: u64, mut input: Input<'_>) -> Answer<Output> {
    let (_handle, at, len, mode) = (input.u64(), input.u64(), input.u64(), input.u32());
    if mode != KEEP_SIZE {
        return Err(EOPNOTSUPP); // RocksDB punches holes where it can
    }
    disk.reserve(number, at + len)?;
    Ok(Output::default())
}

struct Shared {
    disk: Mutex<Disk>,
    went_off: Condvar,
}

impl Shared {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the kernel until it lets go of the file system.
    fn serve(&self, mut device: File) {
        let mut request = vec![0; WRITE_BYTES_MAX as usize + 4096];
        loop {
            let len = match device.read(&mut request) {
                Ok(len) => len,
                Err(error) => match error.raw_os_error() {
                    Some(ENODEV) => return,
                    // Not mounted yet.
                    Some(EPERM) => {
                        std::thread::sleep(Duration::from_millis(1));
                        continue;
                    }
                    _ => continue, // who asked did not wait
                },
            };
            let mut input = Input(&request[..len]);
            let (_len, operation) = (input.u32(), input.u32());
            let (unique, number) = (input.u64(), input.u64());
            input.take(16);
            let mut disk = self.disk();
            let answer = answer(&mut disk, operation, number, input);
            if disk.is_off() {
                self.went_off.notify_all();
            }
            drop(disk);
            let (error, body) = match answer {
                None => continue,
                Some(Ok(body)) => (0, body.0),
                Some(Err(errno)) => (-errno, Vec::new()),
            };
            let head = Output::default()
                .u32(16 + u32::try_from(body.len()).unwrap())
                .u32(error.cast_unsigned())
                .u64(unique);
            // Who asked may be gone.
            device.write_all(&[head.0, body].concat()).ok();
        }
    }
}

/// A forgetful disk, mounted until this is dropped.
pub(crate) struct Mount {
    shared: Arc<Shared>,
    path: PathBuf,
    serving: Option<JoinHandle<()>>,
}

impl Mount {
    /// Mounts an empty disk at `path`; says loudly why where it can't be done here.
    pub(crate) fn new(path: &Path, capacity: u64) -> Option<Self> {
        match Self::try_new(path, capacity) {
            Ok(mount) => Some(mount),
            Err(error) => {
                eprintln!(
                    "\n*** SKIPPED: power loss and disk faults are not tested here, since a file \
                     system can't be mounted by FUSE: {error}. It needs root and /dev/fuse. ***\n"
                );
                None
            }
        }
    }

    fn try_new(path: &Path, capacity: u64) -> std::io::Result<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")?;
        std::fs::create_dir_all(path)?;
        let shared = Arc::new(Shared {
            disk: Mutex::new(Disk::new(capacity)),
            went_off: Condvar::new(),
        });
        // The device is the command's standard input: the kernel takes it from there.
        let mount = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o"])
            .arg("fd=0,rootmode=40000,user_id=0,group_id=0")
            .arg("forgetful")
            .arg(path)
            .stdin(Stdio::from(device.try_clone()?))
            .stderr(Stdio::piped())
            .spawn()?;
        let serving = Arc::clone(&shared);
        // It ends with the mount; where there is none, with the process.
        let serving = std::thread::spawn(move || serving.serve(device));
        let mounted = mount.wait_with_output()?;
        if !mounted.status.success() {
            let why = String::from_utf8_lossy(&mounted.stderr).into_owned();
            return Err(std::io::Error::other(why));
        }
        Ok(Self {
            shared,
            path: path.to_owned(),
            serving: Some(serving),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.shared.disk()
    }

    pub(crate) fn add_rule(&self, rule: Rule) {
        self.disk().add_rule(rule);
    }

    /// Cuts the power now.
    pub(crate) fn cut(&self, cut: Cut) {
        self.disk().cut(cut);
    }

    /// Waits until the power went, or for `patience`; whether it went.
    pub(crate) fn wait_until_off(&self, patience: Duration) -> bool {
        let off = &self.shared.went_off;
        let wait = off.wait_timeout_while(self.disk(), patience, |disk| !disk.is_off());
        wait.unwrap().0.is_off()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        // What is mounted still goes with the test's process.
        if unmounted.is_ok_and(|status| status.success())
            && let Some(serving) = self.serving.take()
        {
            serving.join().ok();
        }
    }
}
