//! Uploads reach the app server, whatever dies in between.

mod app;
mod check;
mod interrupted;
mod sync;
mod withdraw;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;

use crate::receiver::{Inbox, Receiver};
use crate::support::Server;

const PATIENCE: Duration = Duration::from_secs(120);

async fn put(server: &Server, key: &str) {
    let body = ByteStream::from(key.as_bytes().to_vec());
    let client = server.client();
    client
        .put_object()
        .bucket("uploads")
        .key(key)
        .body(body)
        .send()
        .await
        .unwrap();
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys
}

#[tokio::test]
async fn a_receiver_that_dies_and_comes_back_records_each_upload_once() {
    let inbox = Arc::new(Inbox::default());
    let receiver = Receiver::start("127.0.0.1:0", Arc::clone(&inbox), 2).await;
    let address = receiver.address.to_string();
    let mut server = Server::start_with(&receiver.configuration("uploads")).await;
    server
        .client()
        .create_bucket()
        .bucket("uploads")
        .send()
        .await
        .unwrap();

    let keys: Vec<String> = (0..12)
        .map(|number| format!("user/é +%{number:02}"))
        .collect();
    for key in &keys[..4] {
        put(&server, key).await;
    }
    inbox.wait(PATIENCE, |came| came.len() >= 4).await;

    receiver.die().await;
    for key in &keys[4..8] {
        put(&server, key).await;
    }
    // What is queued survives the server's death too.
    server.kill();
    server.restart().await;
    for key in &keys[8..] {
        put(&server, key).await;
    }
    let receiver = Receiver::start(&address, Arc::clone(&inbox), 0).await;
    inbox.wait(PATIENCE, |came| came.len() >= keys.len()).await;
    assert_eq!(sorted(inbox.keys()), keys);
    receiver.die().await;
}

#[tokio::test]
async fn the_event_tells_what_was_stored() {
    let inbox = Arc::new(Inbox::default());
    let receiver = Receiver::start("127.0.0.1:0", Arc::clone(&inbox), 0).await;
    let server = Server::start_with(&receiver.configuration("uploads")).await;
    server
        .client()
        .create_bucket()
        .bucket("uploads")
        .send()
        .await
        .unwrap();
    server
        .client()
        .create_bucket()
        .bucket("other")
        .send()
        .await
        .unwrap();
    let other = server.client();
    other
        .put_object()
        .bucket("other")
        .key("silent")
        .send()
        .await
        .unwrap();
    put(&server, "hello").await;
    put(&server, "hello").await;
    inbox.wait(PATIENCE, |came| came.len() >= 2).await;
    assert_eq!(inbox.keys(), ["hello", "hello"]);
    let mut sequencers = Vec::new();
    for body in inbox.bodies() {
        let record = &body["Records"][0];
        assert_eq!(record["eventName"], "ObjectCreated:Put");
        assert_eq!(record["eventSource"], "aws:s3");
        assert_eq!(record["s3"]["bucket"]["name"], "uploads");
        assert_eq!(record["s3"]["object"]["size"], 5);
        assert_eq!(
            record["s3"]["object"]["eTag"],
            "5d41402abc4b2a76b9719d911017c592"
        );
        sequencers.push(
            record["s3"]["object"]["sequencer"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    sequencers.dedup();
    assert_eq!(sequencers.len(), 2, "{sequencers:?}");
    receiver.die().await;
}
