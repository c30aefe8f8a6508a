//! A bucket's own rules of who is told, set through the SDK, with a real receiver.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter,
    QueueConfiguration, S3KeyFilter, Tag, Tagging, TopicConfiguration,
};

use super::{BUCKET, fault, put, ready};
use crate::receiver::{Inbox, Receiver};
use crate::support::Server;

const PATIENCE: Duration = Duration::from_secs(60);
const APP: &str = "arn:aws:sns:us-east-1:000000000000:app";

fn prefixed(prefix: &str) -> NotificationConfigurationFilter {
    // As S3 answers; what is sent may be of either case.
    let rule = FilterRule::builder().name(FilterRuleName::from("Prefix"));
    let key = S3KeyFilter::builder().filter_rules(rule.value(prefix).build());
    NotificationConfigurationFilter::builder()
        .key(key.build())
        .build()
}

async fn set(client: &Client, rules: &[TopicConfiguration]) -> Result<(), (u16, String)> {
    let rules = NotificationConfiguration::builder()
        .set_topic_configurations(Some(rules.to_vec()))
        .build();
    let request = client.put_bucket_notification_configuration();
    let sent = request.bucket(BUCKET).notification_configuration(rules);
    match sent.send().await {
        Ok(_set) => Ok(()),
        refused => Err(fault(refused)),
    }
}

fn topic(id: &str, arn: &str, events: &[&str]) -> TopicConfiguration {
    let events = events.iter().map(|event| Event::from(*event)).collect();
    let topic = TopicConfiguration::builder().id(id).topic_arn(arn);
    topic.set_events(Some(events)).build().unwrap()
}

#[tokio::test]
async fn a_buckets_own_rules_tell_an_endpoint() {
    let inbox = Arc::new(Inbox::default());
    let receiver = Receiver::start("127.0.0.1:0", Arc::clone(&inbox), 0).await;
    let server = Server::start_with(&receiver.configuration("another")).await;
    let client = server.client();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let mut made = topic("made", APP, &["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]);
    made.filter = Some(prefixed("in/"));
    let tagged = topic("tagged", APP, &["s3:ObjectTagging:Put"]);
    set(&client, &[made.clone(), tagged.clone()]).await.unwrap();
    let got = client.get_bucket_notification_configuration();
    let got = got.bucket(BUCKET).send().await.unwrap();
    assert_eq!(got.topic_configurations(), [made, tagged]);
    inbox.wait(PATIENCE, |came| came.len() >= 2).await;
    for test in inbox.bodies() {
        assert_eq!(test["Event"], "s3:TestEvent");
        assert_eq!(test["Bucket"], BUCKET);
    }

    put(&client, "out/silent", b"x").await;
    put(&client, "in/a", b"x").await;
    let tag = Tag::builder().key("k").value("v").build().unwrap();
    let tags = Tagging::builder().tag_set(tag).build().unwrap();
    let put_tags = client.put_object_tagging().bucket(BUCKET).key("in/a");
    put_tags.tagging(tags).send().await.unwrap();
    let rename = client.rename_object().bucket(BUCKET).key("in/b");
    rename.rename_source("in/a").send().await.unwrap();
    let delete = client.delete_object().bucket(BUCKET).key("in/b");
    delete.send().await.unwrap();
    inbox.wait(PATIENCE, |came| came.len() >= 7).await;
    let mut told: Vec<String> = Vec::new();
    for body in inbox.bodies() {
        let record = &body["Records"][0];
        if let Some(name) = record["eventName"].as_str() {
            let rule = record["s3"]["configurationId"].as_str().unwrap();
            let key = record["s3"]["object"]["key"].as_str().unwrap();
            told.push(format!("{rule} {name} {key}"));
        }
    }
    told.sort();
    let wanted = [
        "made ObjectCreated:Copy in/b",
        "made ObjectCreated:Put in/a",
        "made ObjectRemoved:Delete in/a",
        "made ObjectRemoved:Delete in/b",
        "tagged ObjectTagging:Put in/a",
    ];
    assert_eq!(told, wanted);

    set(&client, &[]).await.unwrap();
    put(&client, "in/b", b"x").await;
    let got = client.get_bucket_notification_configuration();
    let got = got.bucket(BUCKET).send().await.unwrap();
    assert!(got.topic_configurations().is_empty());
    receiver.die().await;
}

#[tokio::test]
async fn a_rule_that_makes_no_sense_is_refused() {
    let (server, client) = ready().await;
    let created = ["s3:ObjectCreated:*"];
    let invalid = || Err((400, "InvalidArgument".to_owned()));
    for (arn, events) in [
        (APP, &created[..]),
        ("app", &created),
        ("arn:aws:sqs:us-east-1:1:app", &created),
        ("arn:aws:sns:mars-1:1:app", &created),
        (APP, &["s3:ObjectEaten:*"]),
    ] {
        assert_eq!(set(&client, &[topic("r", arn, events)]).await, invalid());
    }
    let skipping = client
        .put_bucket_notification_configuration()
        .bucket(BUCKET)
        .skip_destination_validation(true);
    let with = |rules: Vec<TopicConfiguration>, queues: Vec<QueueConfiguration>| {
        let rules = NotificationConfiguration::builder().set_topic_configurations(Some(rules));
        let rules = rules.set_queue_configurations(Some(queues)).build();
        skipping.clone().notification_configuration(rules).send()
    };
    let queue = QueueConfiguration::builder()
        .queue_arn("arn:aws:sqs:us-east-1:1:q")
        .events(Event::S3ObjectCreatedPut)
        .build()
        .unwrap();
    let topics = || vec![topic("a", APP, &["s3:ObjectRemoved:*"])];
    with(topics(), vec![queue.clone()]).await.unwrap();
    let got = client.get_bucket_notification_configuration();
    let got = got.bucket(BUCKET).send().await.unwrap();
    assert_eq!(got.topic_configurations(), topics());
    let [named] = got.queue_configurations() else {
        panic!("{got:?}")
    };
    assert!(named.id().is_some_and(|id| !id.is_empty()));
    let overlap = vec![topic("b", APP, &created)];
    assert_eq!(
        fault(with(overlap, vec![queue]).await),
        invalid().unwrap_err()
    );
    let same = vec![
        topic("a", APP, &["s3:ObjectRemoved:*"]),
        topic("a", APP, &created),
    ];
    assert_eq!(fault(with(same, Vec::new()).await), invalid().unwrap_err());
    let absent = client.get_bucket_notification_configuration();
    let absent = absent.bucket("no-such-bucket-here").send().await;
    assert_eq!(fault(absent), (404, "NoSuchBucket".to_owned()));
    drop(server);
}
