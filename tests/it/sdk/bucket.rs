//! What a bucket is given when it is made, and what it may be asked, through the SDK.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::create_bucket::builders::CreateBucketFluentBuilder;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration,
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule, Tag, VersioningConfiguration,
};

use super::{BUCKET, denied, fault, ready};

fn code(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn tags(given: &[(&str, &str)]) -> Vec<Tag> {
    let tag = |&(key, value): &(&str, &str)| Tag::builder().key(key).value(value).build().unwrap();
    given.iter().map(tag).collect()
}

fn create(client: &Client, name: &str, given: &[(&str, &str)]) -> CreateBucketFluentBuilder {
    let given = CreateBucketConfiguration::builder().set_tags(Some(tags(given)));
    let create = client.create_bucket().bucket(name);
    create.create_bucket_configuration(given.build())
}

#[tokio::test]
async fn a_bucket_may_be_made_with_tags() {
    let (_server, client) = ready().await;
    create(&client, "tagged", &[("team", "a"), ("env", "")])
        .send()
        .await
        .unwrap();
    let got = client
        .get_bucket_tagging()
        .bucket("tagged")
        .send()
        .await
        .unwrap();
    assert_eq!(got.tag_set(), tags(&[("team", "a"), ("env", "")]));
    // Who asks for it again must not think that it got other tags.
    let again = create(&client, "tagged", &[("team", "b")]).send().await;
    assert_eq!(fault(again), code(409, "BucketAlreadyExists"));
    let same = [("team", "a"), ("env", "")];
    create(&client, "tagged", &same).send().await.unwrap();
    create(&client, "bare", &[]).send().await.unwrap();
    create(&client, "bare", &[]).send().await.unwrap();
    let got = client.get_bucket_tagging().bucket("bare").send().await;
    assert_eq!(fault(got), code(404, "NoSuchTagSet"));
    for (given, refusal) in [
        (vec![("a", "1"), ("a", "2")], "InvalidTag"),
        (vec![("aws:mine", "1")], "InvalidTag"),
        (vec![("", "1")], "InvalidTag"),
    ] {
        let refused = create(&client, "refused", &given).send().await;
        assert_eq!(fault(refused), code(400, refusal), "{given:?}");
    }
    let many: Vec<_> = (0..51).map(|number| format!("k{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
    let refused = create(&client, "refused", &many).send().await;
    assert_eq!(fault(refused), code(400, "BadRequest"));
    let absent = client.head_bucket().bucket("refused").send().await;
    assert_eq!(fault(absent).0, 404);
    // The place of a bucket is judged beside its tags.
    let elsewhere = CreateBucketConfiguration::builder().set_tags(Some(tags(&[("a", "b")])));
    let elsewhere = elsewhere.location_constraint(BucketLocationConstraint::EuWest2);
    let refused = client.create_bucket().bucket("refused");
    let refused = refused
        .create_bucket_configuration(elsewhere.build())
        .send()
        .await;
    assert_eq!(
        fault(refused),
        code(400, "IllegalLocationConstraintException")
    );
}

#[tokio::test]
async fn the_default_encryption_is_kept_and_taken_back() {
    let (server, client) = ready().await;
    let absent = code(404, "ServerSideEncryptionConfigurationNotFoundError");
    let got = || client.get_bucket_encryption().bucket(BUCKET).send();
    assert_eq!(fault(got().await), absent);
    let set = async |method: ServerSideEncryption, key: Option<&str>| {
        let default = ServerSideEncryptionByDefault::builder().sse_algorithm(method);
        let default = default
            .set_kms_master_key_id(key.map(str::to_owned))
            .build()
            .unwrap();
        let rule = ServerSideEncryptionRule::builder();
        let rule = rule
            .apply_server_side_encryption_by_default(default)
            .build();
        let rules = ServerSideEncryptionConfiguration::builder()
            .rules(rule)
            .build()
            .unwrap();
        let put = client.put_bucket_encryption().bucket(BUCKET);
        let put = put.server_side_encryption_configuration(rules).send().await;
        put.map(drop).map_err(|error| fault::<(), _>(Err(error)))
    };
    set(ServerSideEncryption::AwsKms, Some("reports"))
        .await
        .unwrap();
    let rules = got()
        .await
        .unwrap()
        .server_side_encryption_configuration
        .unwrap();
    let default = rules.rules()[0]
        .apply_server_side_encryption_by_default()
        .unwrap();
    assert_eq!(default.sse_algorithm(), &ServerSideEncryption::AwsKms);
    assert_eq!(default.kms_master_key_id(), Some("reports"));
    let keyed = set(ServerSideEncryption::Aes256, Some("reports")).await;
    assert_eq!(keyed, Err(code(400, "InvalidArgument")));
    let nonsense = set(ServerSideEncryption::from("rot13"), None).await;
    assert_eq!(nonsense, Err(code(400, "MalformedXML")));
    let dual = set(ServerSideEncryption::AwsKmsDsse, None).await;
    assert_eq!(dual, Err(code(501, "NotImplemented")));
    let delete = || client.delete_bucket_encryption().bucket(BUCKET).send();
    delete().await.unwrap();
    delete().await.unwrap();
    assert_eq!(fault(got().await), absent);
    let foreign = server.tenant("tenant");
    let foreign = foreign.get_bucket_encryption().bucket(BUCKET).send().await;
    assert_eq!(fault(foreign), denied());
}

#[tokio::test]
async fn versioning_is_told_as_it_was_set() {
    let (_server, client) = ready().await;
    let status = async || {
        let got = client.get_bucket_versioning().bucket(BUCKET).send().await;
        got.unwrap().status
    };
    assert_eq!(status().await, None);
    for set in [
        BucketVersioningStatus::Enabled,
        BucketVersioningStatus::Suspended,
    ] {
        let configured = VersioningConfiguration::builder()
            .status(set.clone())
            .build();
        let put = client.put_bucket_versioning().bucket(BUCKET);
        put.versioning_configuration(configured)
            .send()
            .await
            .unwrap();
        assert_eq!(status().await, Some(set));
    }
    let none = client.put_bucket_versioning().bucket(BUCKET);
    let none = none.versioning_configuration(VersioningConfiguration::builder().build());
    assert_eq!(
        fault(none.send().await),
        code(400, "IllegalVersioningConfigurationException")
    );
}

/// Asks each of these operations about a bucket, as `$client`, and gives name and outcome.
macro_rules! outcomes {
    ($client:expr, $bucket:expr, $owner:expr, [$($operation:ident),* $(,)?]) => {
        [$((
            stringify!($operation),
            fault(
                $client
                    .$operation()
                    .bucket($bucket)
                    .set_expected_bucket_owner($owner)
                    .send()
                    .await,
            ),
        )),*]
    };
}

macro_rules! of_every_setting {
    ($client:expr, $bucket:expr, $owner:expr) => {
        outcomes!(
            $client,
            $bucket,
            $owner,
            [
                delete_bucket,
                delete_bucket_cors,
                delete_bucket_encryption,
                delete_bucket_lifecycle,
                delete_bucket_ownership_controls,
                delete_bucket_policy,
                delete_bucket_tagging,
                delete_bucket_website,
                delete_public_access_block,
                get_bucket_acl,
                get_bucket_cors,
                get_bucket_encryption,
                get_bucket_lifecycle_configuration,
                get_bucket_location,
                get_bucket_logging,
                get_bucket_notification_configuration,
                get_bucket_ownership_controls,
                get_bucket_policy,
                get_bucket_policy_status,
                get_bucket_request_payment,
                get_bucket_tagging,
                get_bucket_versioning,
                get_bucket_website,
                get_object_lock_configuration,
                get_public_access_block,
                list_multipart_uploads,
                list_object_versions,
                list_objects,
                list_objects_v2,
            ]
        )
    };
}

#[tokio::test]
async fn what_is_asked_of_no_bucket_hears_so() {
    let (_server, client) = ready().await;
    let none: Option<String> = None;
    for (operation, outcome) in of_every_setting!(client, "no-such-bucket-here", none.clone()) {
        assert_eq!(outcome, code(404, "NoSuchBucket"), "{operation}");
    }
}

#[tokio::test]
async fn what_is_asked_of_anothers_bucket_is_denied() {
    let (server, client) = ready().await;
    let tenant = server.tenant("tenant");
    let none: Option<String> = None;
    for (operation, outcome) in of_every_setting!(tenant, BUCKET, none.clone()) {
        assert_eq!(outcome, denied(), "{operation}");
    }
    // Nor does the owner reach it by the name of another owner.
    let other = Some("000000000001".to_owned());
    for (operation, outcome) in of_every_setting!(client, BUCKET, other.clone()) {
        assert_eq!(outcome, denied(), "{operation}");
    }
    client.head_bucket().bucket(BUCKET).send().await.unwrap();
}
