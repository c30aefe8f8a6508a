//! The power goes in the midst of mixed load, at an operation of the disk that the seed chooses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, CompletedMultipartUpload, CompletedPart, VersioningConfiguration,
};
use tokio::task::JoinSet;

use super::receiver::{Inbox, Receiver};
use crate::support::{Random, Server, bytes_of};

use super::disk::Cut;
use super::{MIB, Machine};

const PLAIN: &str = "plain";
const VERSIONED: &str = "versioned";
const WORKERS: u64 = 8;
const KEYS: u64 = 4;
const PART_BYTES: usize = 5 << 20;
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes that a seed makes; none: a delete marker.
type Version = Option<(u64, usize)>;

/// What a worker's keys hold, newest first; the versioned bucket's begin with `v/`.
type Keys = BTreeMap<String, Vec<Version>>;

/// One who uploads: only it touches its keys.
#[derive(Debug, Clone)]
struct Worker {
    name: String,
    random: u64,
    /// What was answered.
    keys: Keys,
    /// What is there too if the last request, which was not answered, happened.
    perhaps: Option<Keys>,
    /// Keys that were written, in the plain bucket: each is owed a callback.
    owed: Vec<String>,
    answered: u64,
}

#[derive(Debug)]
enum Step {
    Put(String, (u64, usize)),
    Multipart(String, (u64, usize)),
    Copy(String, String),
    Rename(String, String),
    Delete(String),
}

fn size(random: &mut Random) -> usize {
    const SIZES: [usize; 8] = [0, 1, 4096, 30_000, 65_536, 65_537, 300_000, 1 << 20];
    SIZES[usize::try_from(random.below(8)).unwrap()]
}

impl Worker {
    fn new(number: u64, seed: u64) -> Self {
        Self {
            name: format!("w{number}"),
            random: seed,
            keys: Keys::new(),
            perhaps: None,
            owed: Vec::new(),
            answered: 0,
        }
    }

    fn plan(&mut self) -> Step {
        let mut random = Random(self.random);
        let prefix = if random.below(3) == 0 { "v/" } else { "" };
        let name = |number| format!("{prefix}{}/{number}", self.name);
        let (one, other) = (random.below(KEYS), random.below(KEYS));
        let (one, other) = (name(one), name(other));
        let holds = matches!(self.keys.get(&one).and_then(|of| of.first()), Some(Some(_)));
        let bytes = (random.next(), size(&mut random));
        let step = match random.below(10) {
            0 if holds => Step::Delete(one),
            1 if holds && one != other => Step::Copy(one, other),
            2 if holds && one != other && prefix.is_empty() => Step::Rename(one, other),
            3 => Step::Multipart(one, (bytes.0, PART_BYTES + bytes.1)),
            _ => Step::Put(one, bytes),
        };
        self.random = random.0;
        step
    }

    /// What the keys hold once `step` is done.
    fn then(&self, step: &Step) -> Keys {
        let mut keys = self.keys.clone();
        let set = |keys: &mut Keys, key: &str, version: Version| {
            let versions = keys.entry(key.to_owned()).or_default();
            if !key.starts_with("v/") {
                versions.clear();
            }
            versions.insert(0, version);
        };
        match step {
            Step::Put(key, bytes) | Step::Multipart(key, bytes) => {
                set(&mut keys, key, Some(*bytes));
            }
            Step::Copy(from, to) => {
                let version = keys[from][0];
                set(&mut keys, to, version);
            }
            Step::Rename(from, to) => {
                let version = keys.remove(from).unwrap()[0];
                set(&mut keys, to, version);
            }
            Step::Delete(key) if key.starts_with("v/") => set(&mut keys, key, None),
            Step::Delete(key) => drop(keys.remove(key)),
        }
        keys
    }

    /// Works until a request fails.
    async fn work(mut self, client: Client) -> Self {
        loop {
            let step = self.plan();
            self.perhaps = Some(self.then(&step));
            if act(&client, &step).await.is_none() {
                return self;
            }
            self.answered += 1;
            self.keys = self.perhaps.take().unwrap();
            if let Step::Put(key, _) | Step::Multipart(key, _) = step
                && !key.starts_with("v/")
            {
                self.owed.push(key);
            }
        }
    }

    /// Compares with what is there, which is what counts from now on.
    async fn check(&mut self, client: &Client) {
        let mut there = seen(client, PLAIN, "", &format!("{}/", self.name)).await;
        there.extend(seen(client, VERSIONED, "v/", &format!("{}/", self.name)).await);
        let perhaps = self.perhaps.take();
        if let Err(fault) = fits(&self.keys, &there) {
            let Some(perhaps) = perhaps else {
                panic!("{}: {fault}", self.name);
            };
            if let Err(other) = fits(&perhaps, &there) {
                panic!(
                    "{}: neither what was answered ({fault}) nor what was asked for last ({other})",
                    self.name
                );
            }
            self.keys = perhaps;
        }
    }
}

/// What a key holds, read whole.
#[derive(Debug, Default)]
struct Found {
    /// Newest first.
    versions: Vec<Vec<u8>>,
    markers: usize,
    marked: bool,
}

impl Found {
    fn is(&self, versions: &[Version]) -> bool {
        let kept: Vec<_> = versions.iter().flatten().collect();
        let same =
            |((seed, len), bytes): (&(u64, usize), &Vec<u8>)| *bytes == bytes_of(*seed, *len);
        kept.len() == self.versions.len()
            && kept.into_iter().zip(&self.versions).all(same)
            && versions.iter().filter(|one| one.is_none()).count() == self.markers
            && matches!(versions.first(), Some(None)) == self.marked
    }
}

fn fits(keys: &Keys, there: &BTreeMap<String, Found>) -> Result<(), String> {
    if !keys.keys().eq(there.keys()) {
        let (want, have): (Vec<_>, Vec<_>) = (keys.keys().collect(), there.keys().collect());
        return Err(format!("{have:?} instead of {want:?}"));
    }
    for (key, versions) in keys {
        let found = &there[key];
        if !found.is(versions) {
            let lengths: Vec<_> = found.versions.iter().map(Vec::len).collect();
            return Err(format!(
                "{key} has {lengths:?} and {} markers instead of {versions:?}",
                found.markers
            ));
        }
    }
    Ok(())
}

/// Everything that the bucket holds below `prefix`, read whole.
async fn seen(client: &Client, bucket: &str, mark: &str, prefix: &str) -> BTreeMap<String, Found> {
    let list = client.list_object_versions().bucket(bucket).prefix(prefix);
    let list = list.send().await.unwrap();
    assert_ne!(list.is_truncated, Some(true), "more versions than a page");
    let mut there: BTreeMap<String, Found> = BTreeMap::new();
    for one in list.delete_markers() {
        let found = there.entry(format!("{mark}{}", one.key().unwrap()));
        let found = found.or_default();
        found.markers += 1;
        found.marked |= one.is_latest() == Some(true);
    }
    for one in list.versions() {
        let (key, version) = (one.key().unwrap(), one.version_id().unwrap());
        let get = client.get_object().bucket(bucket).key(key);
        let got = get.version_id(version).send().await;
        let got = got.unwrap_or_else(|error| panic!("{key} {version}: {error:?}"));
        let bytes = got.body.collect().await.unwrap().to_vec();
        let found = there.entry(format!("{mark}{key}")).or_default();
        found.versions.push(bytes);
    }
    there
}

fn place(key: &str) -> (&'static str, &str) {
    match key.strip_prefix("v/") {
        Some(rest) => (VERSIONED, rest),
        None => (PLAIN, key),
    }
}

async fn act(client: &Client, step: &Step) -> Option<()> {
    match step {
        Step::Put(key, (seed, len)) => {
            let (bucket, key) = place(key);
            let put = client.put_object().bucket(bucket).key(key);
            let body = ByteStream::from(bytes_of(*seed, *len));
            put.body(body).send().await.ok().map(drop)
        }
        Step::Multipart(key, (seed, len)) => {
            multipart(client, place(key), &bytes_of(*seed, *len)).await
        }
        Step::Copy(from, to) => {
            let ((from_bucket, from), (bucket, to)) = (place(from), place(to));
            let copy = client.copy_object().bucket(bucket).key(to);
            let copy = copy.copy_source(format!("{from_bucket}/{from}"));
            copy.send().await.ok().map(drop)
        }
        Step::Rename(from, to) => {
            let rename = client.rename_object().bucket(PLAIN).key(to);
            let rename = rename.rename_source(from);
            rename.send().await.ok().map(drop)
        }
        Step::Delete(key) => {
            let (bucket, key) = place(key);
            let delete = client.delete_object().bucket(bucket).key(key);
            delete.send().await.ok().map(drop)
        }
    }
}

async fn multipart(client: &Client, (bucket, key): (&str, &str), body: &[u8]) -> Option<()> {
    let create = client.create_multipart_upload().bucket(bucket).key(key);
    let id = create.send().await.ok()?.upload_id?;
    let mut parts = CompletedMultipartUpload::builder();
    for (number, bytes) in (1..).zip(body.chunks(PART_BYTES)) {
        let part = client.upload_part().bucket(bucket).key(key).upload_id(&id);
        let part = part.part_number(number);
        let part = part.body(ByteStream::from(bytes.to_vec()));
        let etag = part.send().await.ok()?.e_tag?;
        let part = CompletedPart::builder().part_number(number).e_tag(etag);
        parts = parts.parts(part.build());
    }
    let complete = client.complete_multipart_upload().bucket(bucket).key(key);
    let complete = complete.upload_id(&id).multipart_upload(parts.build());
    complete.send().await.ok().map(drop)
}

async fn begin(server: &Server) {
    let client = server.client();
    for bucket in [PLAIN, VERSIONED] {
        client.create_bucket().bucket(bucket).send().await.unwrap();
    }
    let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let versioning = client.put_bucket_versioning().bucket(VERSIONED);
    let versioning = versioning.versioning_configuration(on.build());
    versioning.send().await.unwrap();
}

/// Work until the power goes, and the same machine afterwards.
async fn storm(machine: &Machine, server: &mut Server, workers: Vec<Worker>) -> Vec<Worker> {
    let mut working = JoinSet::new();
    for worker in workers {
        working.spawn(worker.work(server.client()));
    }
    let mut ended = Vec::new();
    while let Some(worker) = working.join_next().await {
        let worker = worker.unwrap();
        let off = machine.mount.wait_until_off(Duration::ZERO);
        assert!(off, "a request failed while there was power: {worker:?}");
        ended.push(worker);
    }
    server.kill();
    machine.mount.disk().power_on();
    ended
}

fn variable(name: &str, usual: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(usual, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_survives_power_cuts_under_load() {
    let seed = variable("CONSIGN_TEST_SEED", 20_261_126);
    let cuts = variable("CONSIGN_TEST_CUTS", 6);
    eprintln!("CONSIGN_TEST_SEED={seed} CONSIGN_TEST_CUTS={cuts}");
    let Some(machine) = Machine::new(4096 * MIB) else {
        return;
    };
    let begun = Instant::now();
    let mut random = Random(seed);
    let inbox = Arc::new(Inbox::default());
    let receiver = Receiver::start("127.0.0.1:0", Arc::clone(&inbox), 0).await;
    let mut server = machine.start(&receiver.configuration(PLAIN)).await;
    begin(&server).await;
    let mut workers: Vec<_> = (0..WORKERS)
        .map(|number| Worker::new(number, random.next()))
        .collect();
    for number in 0..cuts {
        let cut = if number % 2 == 0 {
            Cut::Torn(random.next())
        } else {
            Cut::Clean
        };
        let after = 20 + random.below(3000);
        machine.mount.disk().cut_after(after, cut);
        workers = storm(&machine, &mut server, workers).await;
        // Which it is must not depend on who ended first.
        workers.sort_by(|one, other| one.name.cmp(&other.name));
        let restarted = server.restart_or_fault().await;
        restarted.unwrap_or_else(|fault| panic!("cut {number}, {cut:?}: {fault}"));
        eprintln!("cut {number}, {cut:?}, after {after} operations");
        for worker in &mut workers {
            worker.check(&server.client()).await;
        }
        let fsck = server.command(&["fsck", "--read-blobs"]);
        assert!(
            fsck.status.success(),
            "after cut {number}, {cut:?}: {fsck:?}"
        );
    }
    let owed = |came: &[String]| {
        workers
            .iter()
            .all(|one| one.owed.iter().all(|key| came.contains(key)))
    };
    inbox.wait(PATIENCE, owed).await;
    let answered: u64 = workers.iter().map(|one| one.answered).sum();
    let operations = machine.mount.disk().operations;
    eprintln!(
        "{cuts} power cuts, {answered} answers, {} callbacks, {operations} operations of the disk, {:.1} s",
        inbox.keys().len(),
        begun.elapsed().as_secs_f32()
    );
    receiver.die().await;
}
