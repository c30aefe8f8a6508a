//! SIGKILL during a storm of uploads: whatever was answered is there afterwards, whole, and called back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and owns its tasks"
)]

#[path = "../it/receiver.rs"]
mod receiver;
#[path = "../it/support.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use receiver::{Inbox, Receiver};
use support::{Random, Server, bytes_of};

const BUCKET: &str = "storm";
const ROUNDS: u64 = 5;
const UPLOADERS: u64 = 16;
const PART_BYTES: usize = 5 << 20;
const PATIENCE: Duration = Duration::from_secs(180);

/// An upload that the server answered with success.
#[derive(Debug, Clone)]
struct Answered {
    key: String,
    seed: u64,
    len: usize,
}

/// Sizes around each way of storing: empty, inline, the edge, a file, several parts.
fn plan(random: &mut Random) -> usize {
    const SIZES: [usize; 8] = [
        0,
        1,
        4096,
        65_536,
        65_537,
        300_000,
        2 << 20,
        (5 << 20) + 4096,
    ];
    SIZES[usize::try_from(random.below(SIZES.len() as u64)).unwrap()]
}

async fn multipart(client: &Client, key: &str, body: &[u8]) -> Option<()> {
    let create = client.create_multipart_upload().bucket(BUCKET).key(key);
    let id = create.send().await.ok()?.upload_id?;
    let mut parts = CompletedMultipartUpload::builder();
    for (number, bytes) in (1..).zip(body.chunks(PART_BYTES)) {
        let part = client.upload_part().bucket(BUCKET).key(key).upload_id(&id);
        let part = part
            .part_number(number)
            .body(ByteStream::from(bytes.to_vec()));
        let etag = part.send().await.ok()?.e_tag?;
        parts = parts.parts(
            CompletedPart::builder()
                .part_number(number)
                .e_tag(etag)
                .build(),
        );
    }
    let complete = client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key(key)
        .upload_id(&id);
    complete.multipart_upload(parts.build()).send().await.ok()?;
    Some(())
}

/// Uploads until the server is gone, telling each answer.
async fn uploader(client: Client, name: String, seed: u64, answers: UnboundedSender<Answered>) {
    let mut random = Random(seed);
    for number in 0.. {
        let (key, len, seed) = (format!("{name}/{number}"), plan(&mut random), random.next());
        let body = bytes_of(seed, len);
        let done = if len > PART_BYTES {
            multipart(&client, &key, &body).await
        } else {
            let put = client.put_object().bucket(BUCKET).key(&key);
            put.body(ByteStream::from(body)).send().await.ok().map(drop)
        };
        if done.is_none() || answers.send(Answered { key, seed, len }).is_err() {
            return;
        }
    }
}

/// One storm, ended by SIGKILL at a random moment.
async fn storm(server: &mut Server, round: u64, random: &mut Random) -> Vec<Answered> {
    let (sender, mut receiver) = unbounded_channel();
    let mut uploaders = JoinSet::new();
    for number in 0..UPLOADERS {
        let name = format!("round-{round}/{number}");
        uploaders.spawn(uploader(
            server.client(),
            name,
            random.next(),
            sender.clone(),
        ));
    }
    drop(sender);
    let mut answered = Vec::new();
    // The moment is counted in answers, and then in time, so that it falls between answers too.
    let enough = usize::try_from(20 + random.below(60)).unwrap();
    while answered.len() < enough {
        let Some(one) = receiver.recv().await else {
            panic!("the server refused uploads before it was killed");
        };
        answered.push(one);
    }
    tokio::time::sleep(Duration::from_micros(random.below(20_000))).await;
    server.kill();
    while uploaders.join_next().await.is_some() {}
    while let Ok(one) = receiver.try_recv() {
        answered.push(one);
    }
    answered
}

async fn check(client: &Client, answered: &[Answered]) {
    for one in answered {
        let got = client
            .get_object()
            .bucket(BUCKET)
            .key(&one.key)
            .send()
            .await;
        let got = got.unwrap_or_else(|error| panic!("{one:?} is lost: {error:?}"));
        let body = got.body.collect().await.unwrap().into_bytes();
        assert!(
            body == bytes_of(one.seed, one.len),
            "{one:?} has other bytes"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_upload_survives_sigkill_and_is_called_back() {
    let seed = match std::env::var("CONSIGN_TEST_SEED") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => 20_261_124,
    };
    eprintln!("CONSIGN_TEST_SEED={seed}");
    let mut random = Random(seed);
    let inbox = Arc::new(Inbox::default());
    let receiver = Receiver::start("127.0.0.1:0", Arc::clone(&inbox), 0).await;
    let mut server = Server::start_with(&receiver.configuration(BUCKET)).await;
    server
        .client()
        .create_bucket()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();

    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        answered.extend(storm(&mut server, round, &mut random).await);
        server.restart().await;
        check(&server.client(), &answered).await;
        let fsck = server.command(&["fsck"]);
        assert!(fsck.status.success(), "fsck after round {round}: {fsck:?}");
    }
    let enough = |came: &[String]| answered.iter().all(|one| came.contains(&one.key));
    inbox.wait(PATIENCE, enough).await;
    let mut keys = inbox.keys();
    let all = keys.len();
    keys.sort();
    keys.dedup();
    // Every upload has a key of its own: two ids for one key would be two callbacks for one upload.
    assert_eq!(keys.len(), all);
    receiver.die().await;
}
