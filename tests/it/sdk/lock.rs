//! Object lock through the SDK: no way to lose a version that is retained or held.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockLegalHold,
    ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode,
    ObjectLockRule,
};

use super::{BUCKET, fault};
use crate::support::Server;

const DAY: Duration = Duration::from_hours(24);

async fn locked() -> (Server, Client) {
    let server = Server::start().await;
    let client = server.client();
    let made = client.create_bucket().bucket(BUCKET);
    let made = made.object_lock_enabled_for_bucket(true);
    made.send().await.unwrap();
    (server, client)
}

fn until(days: u32) -> DateTime {
    let at = SystemTime::now() + DAY * days;
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    DateTime::from_secs(i64::try_from(seconds).unwrap())
}

async fn put(client: &Client, key: &str) -> String {
    let put = client.put_object().bucket(BUCKET).key(key);
    put.send().await.unwrap().version_id.unwrap()
}

async fn retain(
    client: &Client,
    mode: ObjectLockRetentionMode,
    days: u32,
    bypass: bool,
) -> Result<(), (u16, String)> {
    let retention = ObjectLockRetention::builder().mode(mode);
    let retention = retention.retain_until_date(until(days)).build();
    let put = client.put_object_retention().bucket(BUCKET).key("k");
    let put = put.retention(retention).bypass_governance_retention(bypass);
    match put.send().await {
        Ok(_set) => Ok(()),
        refused => Err(fault(refused)),
    }
}

async fn delete(client: &Client, version: &str, bypass: bool) -> Result<(), (u16, String)> {
    let delete = client.delete_object().bucket(BUCKET).key("k");
    let delete = delete.version_id(version);
    match delete.bypass_governance_retention(bypass).send().await {
        Ok(_gone) => Ok(()),
        refused => Err(fault(refused)),
    }
}

fn denied() -> Result<(), (u16, String)> {
    Err((403, "AccessDenied".to_owned()))
}

#[tokio::test]
async fn governance_gives_way_to_who_may_pass_over_it_and_compliance_to_nobody() {
    let (_server, client) = locked().await;
    let governed = ObjectLockRetentionMode::Governance;
    let version = put(&client, "k").await;
    retain(&client, governed.clone(), 2, false).await.unwrap();
    assert_eq!(delete(&client, &version, false).await, denied());
    // Longer is always allowed, shorter only to who passes over it.
    assert_eq!(retain(&client, governed.clone(), 1, false).await, denied());
    retain(&client, governed.clone(), 3, false).await.unwrap();
    retain(&client, governed.clone(), 1, true).await.unwrap();
    // A delete marker takes nothing away.
    let marked = client.delete_object().bucket(BUCKET).key("k").send().await;
    let marker = marked.unwrap().version_id.unwrap();
    delete(&client, &marker, false).await.unwrap();
    delete(&client, &version, true).await.unwrap();

    let complied = ObjectLockRetentionMode::Compliance;
    let version = put(&client, "k").await;
    retain(&client, complied.clone(), 2, false).await.unwrap();
    assert_eq!(delete(&client, &version, true).await, denied());
    assert_eq!(retain(&client, complied.clone(), 1, true).await, denied());
    assert_eq!(retain(&client, governed, 3, true).await, denied());
    retain(&client, complied, 3, false).await.unwrap();
    let head = client.head_object().bucket(BUCKET).key("k").send().await;
    let head = head.unwrap();
    assert_eq!(head.object_lock_mode(), Some(&ObjectLockMode::Compliance));
    let got = client.get_object_retention().bucket(BUCKET).key("k");
    let got = got.send().await.unwrap().retention.unwrap();
    assert_eq!(
        got.retain_until_date(),
        head.object_lock_retain_until_date()
    );
    let removed = client.delete_bucket().bucket(BUCKET).send().await;
    assert_eq!(fault(removed), (409, "BucketNotEmpty".to_owned()));
}

#[tokio::test]
async fn a_held_version_stays_until_it_is_let_go() {
    let (_server, client) = locked().await;
    let version = put(&client, "k").await;
    let hold = async |status: ObjectLockLegalHoldStatus| {
        let hold = ObjectLockLegalHold::builder()
            .status(status.clone())
            .build();
        let put = client.put_object_legal_hold().bucket(BUCKET).key("k");
        put.legal_hold(hold).send().await.unwrap();
        let got = client.get_object_legal_hold().bucket(BUCKET).key("k");
        let got = got.send().await.unwrap().legal_hold.unwrap();
        assert_eq!(got.status(), Some(&status));
    };
    hold(ObjectLockLegalHoldStatus::On).await;
    assert_eq!(delete(&client, &version, true).await, denied());
    hold(ObjectLockLegalHoldStatus::Off).await;
    delete(&client, &version, false).await.unwrap();
}

#[tokio::test]
async fn a_buckets_default_retains_what_is_written() {
    let (_server, client) = locked().await;
    let retention = DefaultRetention::builder().days(1);
    let retention = retention.mode(ObjectLockRetentionMode::Governance).build();
    let rule = ObjectLockRule::builder()
        .default_retention(retention)
        .build();
    let lock = ObjectLockConfiguration::builder().rule(rule);
    let lock = lock.object_lock_enabled(ObjectLockEnabled::Enabled).build();
    let set = client.put_object_lock_configuration().bucket(BUCKET);
    set.object_lock_configuration(lock.clone())
        .send()
        .await
        .unwrap();
    let got = client.get_object_lock_configuration().bucket(BUCKET);
    assert_eq!(
        got.send().await.unwrap().object_lock_configuration(),
        Some(&lock)
    );
    let version = put(&client, "k").await;
    assert_eq!(delete(&client, &version, false).await, denied());
    let own = client.put_object().bucket(BUCKET).key("k");
    let own = own.object_lock_mode(ObjectLockMode::Compliance);
    let own = own.object_lock_retain_until_date(until(5));
    let version = own.send().await.unwrap().version_id.unwrap();
    assert_eq!(delete(&client, &version, true).await, denied());

    let plain = client.create_bucket().bucket("plain").send().await;
    assert!(plain.is_ok());
    let locked = client.put_object().bucket("plain").key("k");
    let locked = locked.object_lock_mode(ObjectLockMode::Governance);
    let locked = locked.object_lock_retain_until_date(until(1)).send().await;
    assert_eq!(fault(locked), (400, "InvalidRequest".to_owned()));
    let got = client.get_object_lock_configuration().bucket("plain");
    let missing = (404, "ObjectLockConfigurationNotFoundError".to_owned());
    assert_eq!(fault(got.send().await), missing);
}
