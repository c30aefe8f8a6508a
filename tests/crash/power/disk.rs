//! A disk that forgets: for every file and folder it keeps what was *written* and what was *synced*.
//!
//! It is as forgetful as POSIX allows. A file's sync makes its bytes durable and not its name; a
//! folder's sync makes the names in that folder durable, and nothing else; a rename is two changes of
//! names, each durable when its own folder is synced.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use crate::support::Random;

pub(crate) const ROOT: u64 = 1;
pub(crate) const PAGE_BYTES: usize = 4096;

/// What a process asks of the disk, as rules name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    SyncFile,
    SyncFolder,
    Create,
    Write,
    Resize,
    Rename,
    Link,
    Unlink,
    Read,
}

/// What a rule does to an operation that it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A sync answers that it is done, and does nothing.
    Swallow,
    /// The operation fails with this `errno`.
    Fail(i32),
}

/// Operations of one kind on some paths, and what becomes of them.
pub(crate) struct Rule {
    doing: &'static [Doing],
    on: Box<dyn Fn(&str) -> bool + Send>,
    effect: Effect,
    /// The first that is met, counted from 0.
    from: u64,
    met: u64,
}

impl Rule {
    pub(crate) fn new(
        doing: &'static [Doing],
        effect: Effect,
        on: impl Fn(&str) -> bool + Send + 'static,
    ) -> Self {
        Self {
            doing,
            on: Box::new(on),
            effect,
            from: 0,
            met: 0,
        }
    }

    /// Lets the first `from` pass.
    pub(crate) fn after(mut self, from: u64) -> Self {
        self.from = from;
        self
    }
}

/// What a power cut leaves of what was not synced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// Nothing.
    Clean,
    /// Whatever this seed chooses: some names and some pages of files, in any order.
    Torn(u64),
}

/// One name that changed: what it leads to now.
#[derive(Debug, Clone)]
struct Change {
    folder: u64,
    name: OsString,
    to: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) folder: bool,
    pub(crate) mode: u32,
    pub(crate) links: u32,
    /// Where it was last seen, for its path.
    place: (u64, OsString),
    bytes: Vec<u8>,
    synced_bytes: Vec<u8>,
    /// Pages that differ from what is synced.
    dirty: BTreeSet<usize>,
    names: BTreeMap<OsString, u64>,
    synced_names: BTreeMap<OsString, u64>,
}

impl Node {
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

#[derive(Default)]
pub(crate) struct Disk {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// Names that changed and are not synced: each operation's changes, oldest first.
    journal: Vec<Vec<Change>>,
    rules: Vec<Rule>,
    off: bool,
    /// The power goes with the operation that makes this zero.
    countdown: Option<(u64, Cut)>,
    pub(crate) capacity: u64,
    used: u64,
    /// Operations that changed or synced something.
    pub(crate) operations: u64,
}

pub(crate) type Answer<T> = Result<T, i32>;

const EIO: i32 = 5;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
const ENOSPC: i32 = 28;
const ENOTEMPTY: i32 = 39;

impl Disk {
    pub(crate) fn new(capacity: u64) -> Self {
        let root = Node {
            folder: true,
            mode: 0o755,
            links: 2,
            ..Node::default()
        };
        Self {
            nodes: [(ROOT, root)].into(),
            next: ROOT + 1,
            capacity,
            ..Self::default()
        }
    }

    pub(crate) fn add_rule(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Takes all rules away, and tells how often each was met.
    pub(crate) fn take_rules(&mut self) -> Vec<u64> {
        self.rules.drain(..).map(|rule| rule.met).collect()
    }

    pub(crate) fn cut_after(&mut self, operations: u64, cut: Cut) {
        self.countdown = Some((operations, cut));
    }

    pub(crate) fn is_off(&self) -> bool {
        self.off
    }

    pub(crate) fn power_on(&mut self) {
        self.off = false;
        self.countdown = None;
    }

    pub(crate) fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used)
    }

    fn path(&self, of: u64) -> String {
        let mut parts = Vec::new();
        let mut at = of;
        while at != ROOT {
            let Some(node) = self.nodes.get(&at) else {
                break;
            };
            parts.push(node.place.1.to_string_lossy().into_owned());
            at = node.place.0;
        }
        parts.reverse();
        format!("/{}", parts.join("/"))
    }

    /// Whether the operation may happen; true where it is to be swallowed.
    fn admit(&mut self, doing: Doing, node: u64, name: Option<&OsStr>) -> Answer<bool> {
        if self.off {
            return Err(EIO);
        }
        if doing != Doing::Read {
            self.operations += 1;
            if let Some((left, cut)) = &mut self.countdown {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    let cut = *cut;
                    self.cut(cut);
                    return Err(EIO);
                }
            }
        }
        if self.rules.is_empty() {
            return Ok(false);
        }
        let mut path = self.path(node);
        if let Some(name) = name {
            path = format!("{}/{}", path.trim_end_matches('/'), name.to_string_lossy());
        }
        for rule in &mut self.rules {
            if !rule.doing.contains(&doing) || !(rule.on)(&path) {
                continue;
            }
            rule.met += 1;
            if rule.met <= rule.from {
                continue;
            }
            match rule.effect {
                Effect::Swallow => return Ok(true),
                Effect::Fail(errno) => return Err(errno),
            }
        }
        Ok(false)
    }

    pub(crate) fn node(&self, of: u64) -> Answer<&Node> {
        if self.off {
            return Err(EIO);
        }
        self.nodes.get(&of).ok_or(ENOENT)
    }

    fn file(&mut self, of: u64) -> Answer<&mut Node> {
        let node = self.nodes.get_mut(&of).ok_or(ENOENT)?;
        if node.folder { Err(EISDIR) } else { Ok(node) }
    }

    pub(crate) fn lookup(&self, folder: u64, name: &OsStr) -> Answer<u64> {
        let node = self.node(folder)?;
        if !node.folder {
            return Err(ENOTDIR);
        }
        node.names.get(name).copied().ok_or(ENOENT)
    }

    /// The names in a folder.
    pub(crate) fn list(&self, folder: u64) -> Answer<Vec<(OsString, u64, bool)>> {
        let node = self.node(folder)?;
        let is_folder = |of: &u64| self.nodes.get(of).is_some_and(|node| node.folder);
        let names = node.names.iter();
        Ok(names
            .map(|(name, to)| (name.clone(), *to, is_folder(to)))
            .collect())
    }

    /// Changes names in one step.
    fn change(&mut self, changes: Vec<Change>) {
        for change in &changes {
            if let Some(to) = change.to
                && let Some(node) = self.nodes.get_mut(&to)
            {
                node.place = (change.folder, change.name.clone());
            }
            let Some(folder) = self.nodes.get_mut(&change.folder) else {
                continue;
            };
            match change.to {
                Some(to) => folder.names.insert(change.name.clone(), to),
                None => folder.names.remove(&change.name),
            };
        }
        self.journal.push(changes);
    }

    pub(crate) fn make(
        &mut self,
        folder: u64,
        name: &OsStr,
        is_folder: bool,
        mode: u32,
    ) -> Answer<u64> {
        self.admit(Doing::Create, folder, Some(name))?;
        match self.lookup(folder, name) {
            Ok(_) => return Err(EEXIST),
            Err(ENOENT) => {}
            Err(other) => return Err(other),
        }
        if self.free() < PAGE_BYTES as u64 {
            return Err(ENOSPC);
        }
        let number = self.next;
        self.next += 1;
        let node = Node {
            folder: is_folder,
            mode,
            links: if is_folder { 2 } else { 1 },
            ..Node::default()
        };
        self.nodes.insert(number, node);
        self.change(vec![Change {
            folder,
            name: name.to_owned(),
            to: Some(number),
        }]);
        Ok(number)
    }

    pub(crate) fn link(&mut self, of: u64, folder: u64, name: &OsStr) -> Answer<()> {
        self.admit(Doing::Link, folder, Some(name))?;
        if self.lookup(folder, name).is_ok() {
            return Err(EEXIST);
        }
        self.file(of)?.links += 1;
        self.change(vec![Change {
            folder,
            name: name.to_owned(),
            to: Some(of),
        }]);
        Ok(())
    }

    fn unlinked(&mut self, of: u64) {
        if let Some(node) = self.nodes.get_mut(&of) {
            node.links = node.links.saturating_sub(1);
            if node.links == 0 {
                self.used = self.used.saturating_sub(room(node.bytes.len()));
            }
        }
    }

    pub(crate) fn unlink(&mut self, folder: u64, name: &OsStr) -> Answer<()> {
        self.admit(Doing::Unlink, folder, Some(name))?;
        let of = self.lookup(folder, name)?;
        let node = self.node(of)?;
        if node.folder && !node.names.is_empty() {
            return Err(ENOTEMPTY);
        }
        self.unlinked(of);
        self.change(vec![Change {
            folder,
            name: name.to_owned(),
            to: None,
        }]);
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Answer<()> {
        self.admit(Doing::Rename, to.0, Some(to.1))?;
        let of = self.lookup(from.0, from.1)?;
        if let Ok(replaced) = self.lookup(to.0, to.1) {
            if replaced == of {
                return Ok(());
            }
            self.unlinked(replaced);
        }
        let gone = Change {
            folder: from.0,
            name: from.1.to_owned(),
            to: None,
        };
        let there = Change {
            folder: to.0,
            name: to.1.to_owned(),
            to: Some(of),
        };
        self.change(vec![gone, there]);
        Ok(())
    }

    pub(crate) fn read(&mut self, of: u64, at: u64, len: usize) -> Answer<Vec<u8>> {
        self.admit(Doing::Read, of, None)?;
        let bytes = &self.file(of)?.bytes;
        let at = usize::try_from(at).unwrap().min(bytes.len());
        Ok(bytes[at..(at + len).min(bytes.len())].to_vec())
    }

    pub(crate) fn write(&mut self, of: u64, at: u64, bytes: &[u8]) -> Answer<()> {
        self.admit(Doing::Write, of, None)?;
        let at = usize::try_from(at).unwrap();
        let end = at + bytes.len();
        self.grow(of, end)?;
        let node = self.file(of)?;
        node.bytes[at..end].copy_from_slice(bytes);
        node.dirty.extend(at / PAGE_BYTES..end.div_ceil(PAGE_BYTES));
        Ok(())
    }

    /// Makes the file at least so long, if there is room.
    fn grow(&mut self, of: u64, len: usize) -> Answer<()> {
        let old = self.file(of)?.bytes.len();
        if len <= old {
            return Ok(());
        }
        let more = room(len) - room(old);
        if more > self.free() {
            return Err(ENOSPC);
        }
        let node = self.file(of)?;
        node.bytes.resize(len, 0);
        // The old end's page and all that are new.
        node.dirty
            .extend(old / PAGE_BYTES..len.div_ceil(PAGE_BYTES));
        if node.links > 0 {
            self.used += more;
        }
        Ok(())
    }

    pub(crate) fn resize(&mut self, of: u64, len: u64) -> Answer<()> {
        self.admit(Doing::Resize, of, None)?;
        let len = usize::try_from(len).unwrap();
        self.grow(of, len)?;
        let node = self.file(of)?;
        let old = node.bytes.len();
        if len < old {
            node.bytes.truncate(len);
            node.dirty.retain(|page| page * PAGE_BYTES < len);
            node.dirty.insert(len / PAGE_BYTES);
            if node.links > 0 {
                self.used = self.used.saturating_sub(room(old) - room(len));
            }
        }
        Ok(())
    }

    /// Whether there would be room, which is all that a reservation does here.
    pub(crate) fn reserve(&mut self, of: u64, end: u64) -> Answer<()> {
        self.admit(Doing::Resize, of, None)?;
        let has = self.node(of)?.len();
        if end.saturating_sub(has) > self.free() {
            return Err(ENOSPC);
        }
        Ok(())
    }

    pub(crate) fn set_mode(&mut self, of: u64, mode: u32) -> Answer<()> {
        if self.off {
            return Err(EIO);
        }
        self.nodes.get_mut(&of).ok_or(ENOENT)?.mode = mode;
        Ok(())
    }

    pub(crate) fn sync_file(&mut self, of: u64) -> Answer<()> {
        if self.admit(Doing::SyncFile, of, None)? {
            return Ok(());
        }
        let node = self.file(of)?;
        let dirty = std::mem::take(&mut node.dirty);
        node.synced_bytes.resize(node.bytes.len(), 0);
        copy_pages(&node.bytes, &mut node.synced_bytes, &dirty);
        Ok(())
    }

    pub(crate) fn sync_folder(&mut self, of: u64) -> Answer<()> {
        if self.admit(Doing::SyncFolder, of, None)? {
            return Ok(());
        }
        let mut synced = Vec::new();
        for changes in &mut self.journal {
            synced.extend(changes.extract_if(.., |change| change.folder == of));
        }
        self.journal.retain(|changes| !changes.is_empty());
        for change in &synced {
            self.survive(change);
        }
        Ok(())
    }

    fn survive(&mut self, change: &Change) {
        let Some(folder) = self.nodes.get_mut(&change.folder) else {
            return;
        };
        match change.to {
            Some(to) => folder.synced_names.insert(change.name.clone(), to),
            None => folder.synced_names.remove(&change.name),
        };
    }

    /// Flips bits of a file where it lies.
    pub(crate) fn rot(&mut self, path: &str, at: usize) {
        let of = self.find(path);
        let node = self.nodes.get_mut(&of).unwrap();
        node.bytes[at] ^= 0x10;
        node.dirty.insert(at / PAGE_BYTES);
    }

    /// The paths of all files, with their lengths.
    pub(crate) fn files(&self) -> Vec<(String, usize)> {
        let named = |(number, node): (&u64, &Node)| {
            (!node.folder && node.links > 0).then(|| (self.path(*number), node.bytes.len()))
        };
        self.nodes.iter().filter_map(named).collect()
    }

    fn find(&self, path: &str) -> u64 {
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.fold(ROOT, |at, part| self.nodes[&at].names[OsStr::new(part)])
    }

    /// The power goes: what is not synced is lost, and nothing more is done until it is back.
    pub(crate) fn cut(&mut self, cut: Cut) {
        if self.off {
            return;
        }
        self.off = true;
        self.countdown = None;
        let journal = std::mem::take(&mut self.journal);
        if let Cut::Torn(seed) = cut {
            let mut random = Random(seed);
            // In half of the cuts the names survive up to some moment, else any of them.
            let until = random.below(journal.len() as u64 + 1);
            let in_order = random.below(2) == 0;
            for (number, changes) in (0..).zip(&journal) {
                let survives = if in_order {
                    number < until
                } else {
                    random.below(2) == 0
                };
                for change in changes.iter().filter(|_| survives) {
                    self.survive(change);
                }
            }
            for node in self.nodes.values_mut() {
                tear(node, &mut random);
            }
        }
        for node in self.nodes.values_mut() {
            node.dirty.clear();
            node.bytes = node.synced_bytes.clone();
            node.names = node.synced_names.clone();
            node.links = if node.folder { 2 } else { 0 };
        }
        self.forget_the_unreachable();
    }

    fn forget_the_unreachable(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(at) = open.pop() {
            let names = self.nodes[&at].names.clone();
            for (name, to) in names {
                let node = self.nodes.get_mut(&to).unwrap();
                node.place = (at, name);
                if !node.folder {
                    node.links += 1;
                }
                if reached.insert(to) && node.folder {
                    open.push(to);
                }
            }
        }
        self.nodes.retain(|number, _| reached.contains(number));
        let files = self.nodes.values().filter(|node| !node.folder);
        self.used = files.map(|node| room(node.bytes.len())).sum();
    }
}

/// Lets some of a file's dirty pages survive, and some length.
fn tear(node: &mut Node, random: &mut Random) {
    if node.folder || (node.dirty.is_empty() && node.bytes.len() == node.synced_bytes.len()) {
        return;
    }
    let (old, new) = (node.synced_bytes.len(), node.bytes.len());
    let len = match random.below(4) {
        0 => old,
        1 => {
            let (low, high) = (old.min(new), old.max(new));
            low + usize::try_from(random.below((high - low) as u64 + 1)).unwrap()
        }
        _ => new,
    };
    let whole = random.below(4);
    let pages = std::mem::take(&mut node.dirty);
    let survives = |_: &usize| match whole {
        0 => false,
        1 => true,
        _ => random.below(2) == 0,
    };
    let pages: BTreeSet<usize> = pages.into_iter().filter(survives).collect();
    node.synced_bytes.resize(len, 0);
    copy_pages(&node.bytes, &mut node.synced_bytes, &pages);
}

fn copy_pages(from: &[u8], to: &mut [u8], pages: &BTreeSet<usize>) {
    for page in pages {
        let start = page * PAGE_BYTES;
        let end = (start + PAGE_BYTES).min(from.len()).min(to.len());
        if start < end {
            to[start..end].copy_from_slice(&from[start..end]);
        }
    }
}

/// The bytes that a file of this length takes.
fn room(len: usize) -> u64 {
    (len.div_ceil(PAGE_BYTES) * PAGE_BYTES) as u64
}
