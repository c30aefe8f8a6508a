//! Crash torture: clients of every kind at once, a server that is killed again and again, and a model
//! of what it answered, which it must show whenever it is back.
//!
//! Everything is drawn from one seed: when the server dies, and what each client asks for. What the
//! system's scheduler makes of it is not, so the same seed is the same storm, not the same second.
//! `scripts/torture` runs the long form.
#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::large_futures,
    clippy::single_match_else,
    reason = "a test fails by panicking, and owns its tasks"
)]

mod app;
mod beside;
mod body;
mod check;
mod client;
mod flat;
mod kept;
mod model;
mod plan;
mod power;
#[path = "../it/support.rs"]
mod support;
#[path = "../it/raw/wire.rs"]
#[allow(
    dead_code,
    reason = "shared by two test binaries, which use different parts"
)]
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketVersioningStatus,
    ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
    VersioningConfiguration,
};
use consign::fail_point::POINTS;
use tokio::task::JoinSet;

use app::{App, Message};
use client::{Dead, Worker};
use model::Model;
use plan::{Kill, Point};
use support::{Random, Server};

/// Kills of the short form, which every run of the tests is.
const KILLS: usize = 20;
const SEED: u64 = 20_261_126;
/// How many answers a storm must see that does not reach its fail point.
const STORM_ANSWERS: u64 = 300;
const POLL: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(180);
/// Deaths before the last from which on nobody asks an app server: what it is asked about by an upload
/// that dies is decided only after a dozen seconds.
const QUIET_KILLS: usize = 6;

/// A server under torture, and what is known of it.
struct Scene {
    server: Server,
    model: Arc<Model>,
    /// What repeats it.
    again: String,
    random: Random,
    killed_at: BTreeMap<&'static str, u64>,
    missed: Vec<&'static str>,
    at_random: u64,
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let folder = self.server.keep_folder().display();
            eprintln!("the server's folder is kept: {folder}");
            eprintln!("again: {}", self.again);
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

impl Scene {
    async fn new(app: &App, seed: u64, again: String) -> Self {
        let configuration = format!("{}\n[lifecycle]\nday_seconds = 1\n", app.configuration());
        let scene = Self {
            server: Server::start_with(&configuration).await,
            model: Arc::default(),
            again,
            random: Random(seed),
            killed_at: BTreeMap::new(),
            missed: Vec::new(),
            at_random: 0,
        };
        let client = scene.server.client();
        for bucket in ["raw", "kept", "asked", "fleeting"] {
            client.create_bucket().bucket(bucket).send().await.unwrap();
        }
        let status = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
        let versioning = client.put_bucket_versioning().bucket("kept");
        versioning
            .versioning_configuration(status.build())
            .send()
            .await
            .unwrap();
        let rule = LifecycleRule::builder()
            .id("all")
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .status(ExpirationStatus::Enabled)
            .expiration(LifecycleExpiration::builder().days(1).build())
            .abort_incomplete_multipart_upload(
                AbortIncompleteMultipartUpload::builder()
                    .days_after_initiation(1)
                    .build(),
            );
        let rules = BucketLifecycleConfiguration::builder().rules(rule.build().unwrap());
        let lifecycle = client
            .put_bucket_lifecycle_configuration()
            .bucket("fleeting");
        lifecycle
            .lifecycle_configuration(rules.build().unwrap())
            .send()
            .await
            .unwrap();
        scene
    }

    /// Clients of every kind; `asks` for those who wait for an app server too.
    fn clients(&mut self, asks: bool, stop: &Arc<AtomicBool>) -> JoinSet<Result<(), Dead>> {
        let mut clients = JoinSet::new();
        let mut worker = |kind: &str, number: u64| Worker {
            s3: self.server.client(),
            model: Arc::clone(&self.model),
            random: Random(self.random.next()),
            // Keys of their own outlive the storm; names of new ones are taken once.
            name: match kind {
                "share" | "own" | "keep" => format!("{kind}{number}"),
                _ => format!("{kind}{}", self.random.below(1 << 40)),
            },
            authority: self.server.authority().to_owned(),
            stop: Arc::clone(stop),
            made: 0,
        };
        for number in 0..4 {
            clients.spawn(worker("share", number).share());
            clients.spawn(worker("own", number).own());
        }
        for number in 0..3 {
            clients.spawn(worker("keep", number).keep());
        }
        clients.spawn(worker("presign", 0).presign());
        clients.spawn(worker("fade", 0).fade());
        clients.spawn(worker("pass", 0).pass());
        if asks {
            clients.spawn(worker("wait", 0).wait());
            clients.spawn(worker("wait", 1).wait());
        }
        clients
    }

    /// One storm, and the death that ends it.
    async fn storm(&mut self, kill: &Kill, asks: bool) {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = self.clients(asks, &stop);
        match kill {
            Kill::AtRandom { answers, micros } => self.wait_for_answers(*answers, *micros).await,
            Kill::At(point) | Kill::AtStart(point) => self.wait_for_point(*point).await,
        }
        self.server.kill();
        stop.store(true, Ordering::Relaxed);
        while let Some(ended) = clients.join_next().await {
            // Whether a client saw the death or was idle is the same.
            drop(ended.unwrap());
        }
        self.model.died();
        self.model.assert_no_faults();
    }

    async fn wait_for_answers(&mut self, answers: u64, micros: u64) {
        let begun = Instant::now();
        let enough = self.model.answers() + answers;
        while self.model.answers() < enough {
            assert!(
                begun.elapsed() < PATIENCE,
                "no answers:\n{}",
                self.server.log()
            );
            assert!(
                !self.server.is_dead(),
                "the server died by itself:\n{}",
                self.server.log()
            );
            tokio::time::sleep(POLL).await;
        }
        tokio::time::sleep(Duration::from_micros(micros)).await;
        self.at_random += 1;
    }

    async fn wait_for_point(&mut self, point: Point) {
        self.server.arm(&format!("{}:{}", point.name, point.nth));
        let (begun, enough) = (Instant::now(), self.model.answers() + STORM_ANSWERS);
        let lasts = || begun.elapsed() < point.storm_time() || self.model.answers() < enough;
        while !self.server.is_dead() && lasts() {
            assert!(
                begun.elapsed() < PATIENCE,
                "no answers:\n{}",
                self.server.log()
            );
            tokio::time::sleep(POLL).await;
        }
        let reached = self.server.is_dead();
        self.server.disarm();
        self.count(point.name, reached);
    }

    fn count(&mut self, point: &'static str, reached: bool) {
        if reached {
            *self.killed_at.entry(point).or_default() += 1;
        } else {
            self.missed.push(point);
            self.at_random += 1;
        }
    }

    /// Starts again; returns once what the earlier run left is swept.
    async fn restart(&mut self) {
        let log = self.server.log().len();
        self.server.restart().await;
        self.swept(log).await;
    }

    /// Waits for the end of the sweep, or of the server: whether it lives.
    async fn swept(&mut self, log: usize) -> bool {
        let begun = Instant::now();
        while !self.server.log()[log..].contains("swept the blobs") {
            if self.server.is_dead() {
                return false;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "no sweep:\n{}",
                self.server.log()
            );
            tokio::time::sleep(POLL).await;
        }
        true
    }

    /// Starts with an armed point, which may kill at once.
    async fn die_at_start(&mut self, point: Point) {
        self.server.arm(&format!("{}:{}", point.name, point.nth));
        let log = self.server.log().len();
        let lives = self.server.try_restart().await && self.swept(log).await;
        self.server.kill();
        self.server.disarm();
        self.count(point.name, !lives);
    }

    async fn check(&mut self) {
        let seed = self.random.next();
        let mut worker = check::worker(&self.server, &self.model, seed);
        check::all(&self.server, &mut worker).await;
    }

    /// Every callback that is due comes, under one id; what was withdrawn is told.
    async fn callbacks(&self, app: &App) {
        let dues = self.model.with(|state| std::mem::take(&mut state.dues));
        let agreed = self.model.with(|state| state.agreed.clone());
        let missing = |messages: &BTreeMap<String, Message>| {
            let mut missing = app::missing(&dues, messages);
            missing.extend(unresolved(&agreed, messages));
            missing
        };
        let messages = app.wait(PATIENCE, missing).await;
        let wrong = self.model.with(|state| app::wrong(state, &messages));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        app.assert_no_faults();
    }

    /// With everything deleted, no byte is left of it.
    async fn leave(&mut self) {
        check::empty(&self.server).await;
        self.server.kill();
        self.restart().await;
        let report = check::fsck(&self.server);
        assert_eq!(
            (&report["records"], &report["blobs"]),
            (&0.into(), &0.into()),
            "{report:#}"
        );
        assert_eq!(check::files(&self.server), (0, 0), "files that nobody owns");
    }
}

/// What the app server was asked about, and neither came to be nor was taken back; or both.
fn unresolved(agreed: &BTreeSet<String>, messages: &BTreeMap<String, Message>) -> Vec<String> {
    let withdrawn: BTreeSet<_> = messages
        .values()
        .filter_map(|m| m.withdraws.as_deref())
        .collect();
    let asked = messages.iter().filter(|(_, message)| {
        message.key.starts_with("withdraw/") && message.event.starts_with("ObjectCreated")
    });
    let unclear = asked
        .filter(|(id, message)| agreed.contains(&message.key) == withdrawn.contains(id.as_str()));
    let of_withdrawal = unclear.map(|(id, message)| format!("{id}: {message:?}"));
    let told: BTreeSet<_> = messages
        .values()
        .map(|message| message.key.as_str())
        .collect();
    let untold = agreed
        .iter()
        .filter(|key| !told.contains(key.as_str()))
        .cloned();
    of_withdrawal.chain(untold).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_however_often_the_server_dies() {
    let seed = setting("CONSIGN_TEST_SEED", SEED);
    let count = usize::try_from(setting("CONSIGN_TEST_KILLS", KILLS as u64)).unwrap();
    eprintln!("CONSIGN_TEST_SEED={seed} CONSIGN_TEST_KILLS={count}");
    let begun = Instant::now();
    let app = App::start().await;
    let only = std::env::var("CONSIGN_TEST_POINT").ok();
    let at = only.iter().map(|point| format!(" --at {point}"));
    let at: String = at.collect();
    let again = format!("scripts/torture --kills {count} --seed {seed}{at}");
    let mut scene = Scene::new(&app, seed, again).await;
    let kills = match &only {
        Some(name) => plan::all_at(name, count, &mut scene.random),
        None => plan::draw(count, &mut scene.random),
    };
    let mut rounds = kills.iter().peekable();
    let mut done = 0;
    while let Some(kill) = rounds.next() {
        done += 1;
        let asks = done + QUIET_KILLS <= count || kill.needs_askers();
        scene.storm(kill, asks).await;
        if let Some(Kill::AtStart(point)) = rounds.next_if(|next| matches!(next, Kill::AtStart(_)))
        {
            done += 1;
            scene.die_at_start(*point).await;
        }
        scene.restart().await;
        scene.check().await;
        if count > KILLS {
            eprintln!(
                "{done:>4} {:>5.0?} {:>6} answers  {kill:?}",
                begun.elapsed(),
                scene.model.answers()
            );
        }
    }
    scene.callbacks(&app).await;
    scene.leave().await;

    let (messages, attempts) = app.counts();
    let points = scene.killed_at.len();
    eprintln!(
        "{done} kills in {:.0?}: {} from outside, {} at {points} of {} fail points {:?}; not reached: {:?}\n\
         {} operations acknowledged, {} reads judged, {messages} callbacks in {attempts} attempts",
        begun.elapsed(),
        scene.at_random,
        scene.killed_at.values().sum::<u64>(),
        POINTS.len(),
        scene.killed_at,
        scene.missed,
        scene.model.answers(),
        scene.model.reads(),
    );
    if count >= 4 * POINTS.len() && only.is_none() {
        let never = POINTS
            .iter()
            .filter(|point| !scene.killed_at.contains_key(*point));
        let never: Vec<_> = never.collect();
        assert!(never.is_empty(), "nobody died at {never:?}");
    }
}
