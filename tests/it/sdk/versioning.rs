//! Versions through the SDK: kept, read, listed, removed, suspended; and many writers at once.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, Delete, ObjectIdentifier, VersioningConfiguration,
};

use super::{BUCKET, fault, get, ready};

async fn set(client: &Client, status: BucketVersioningStatus) {
    let status = VersioningConfiguration::builder().status(status).build();
    let put = client.put_bucket_versioning().bucket(BUCKET);
    put.versioning_configuration(status).send().await.unwrap();
}

/// Puts an object; its version's id, where it has one.
async fn put(client: &Client, key: &str, body: &str) -> Option<String> {
    let put = client.put_object().bucket(BUCKET).key(key);
    let body = ByteStream::from(body.as_bytes().to_vec());
    put.body(body).send().await.unwrap().version_id
}

async fn read(client: &Client, key: &str, version: &str) -> Result<String, (u16, String)> {
    let get = client.get_object().bucket(BUCKET).key(key);
    match get.version_id(version).send().await {
        Ok(got) => {
            let bytes = got.body.collect().await.unwrap().to_vec();
            Ok(String::from_utf8(bytes).unwrap())
        }
        refused => Err(fault(refused)),
    }
}

/// Each version and delete marker as `key version latest`, in the order of the listing.
async fn listed(client: &Client) -> (Vec<String>, Vec<String>) {
    let all = client.list_object_versions().bucket(BUCKET).send().await;
    let all = all.unwrap();
    let line = |key: Option<&str>, id: Option<&str>, latest: Option<bool>| {
        format!("{} {} {}", key.unwrap(), id.unwrap(), latest.unwrap())
    };
    let versions = all.versions().iter();
    let versions = versions.map(|v| line(v.key(), v.version_id(), v.is_latest()));
    let markers = all.delete_markers().iter();
    let markers = markers.map(|v| line(v.key(), v.version_id(), v.is_latest()));
    (versions.collect(), markers.collect())
}

#[tokio::test]
async fn versions_are_kept_read_and_removed() {
    let (_server, client) = ready().await;
    assert_eq!(put(&client, "k", "null").await, None);
    set(&client, BucketVersioningStatus::Enabled).await;
    let one = put(&client, "k", "one").await.unwrap();
    let two = put(&client, "k", "two").await.unwrap();
    for (version, body) in [("null", "null"), (&one, "one"), (&two, "two")] {
        assert_eq!(read(&client, "k", version).await, Ok(body.to_owned()));
    }
    let gone = client.delete_object().bucket(BUCKET).key("k").send().await;
    let gone = gone.unwrap();
    let marker = gone.version_id().unwrap().to_owned();
    assert_eq!(gone.delete_marker(), Some(true));
    let missing = client.get_object().bucket(BUCKET).key("k").send().await;
    assert_eq!(fault(missing), (404, "NoSuchKey".to_owned()));
    let not_allowed = Err((405, "MethodNotAllowed".to_owned()));
    assert_eq!(read(&client, "k", &marker).await, not_allowed);
    let of = |id: &str, latest: bool| format!("k {id} {latest}");
    let (versions, markers) = listed(&client).await;
    assert_eq!(
        versions,
        [of(&two, false), of(&one, false), of("null", false)]
    );
    assert_eq!(markers, [of(&marker, true)]);

    // Without its marker the newest version is there again; without that, the one before.
    let delete = async |version: &str| {
        let delete = client.delete_object().bucket(BUCKET).key("k");
        delete.version_id(version).send().await.unwrap()
    };
    assert_eq!(delete(&marker).await.delete_marker(), Some(true));
    assert_eq!(get(&client, "k").await, b"two");
    assert_eq!(delete(&two).await.delete_marker(), None);
    assert_eq!(get(&client, "k").await, b"one");
    let no_version = Err((404, "NoSuchVersion".to_owned()));
    assert_eq!(read(&client, "k", &two).await, no_version);
    let invalid = Err((400, "InvalidArgument".to_owned()));
    assert_eq!(read(&client, "k", "no-id").await, invalid);
    // Once more is no fault.
    delete(&two).await;
    let copy = client.copy_object().bucket(BUCKET).key("copy");
    let copied = copy.copy_source(format!("{BUCKET}/k?versionId={one}"));
    let copied = copied.send().await.unwrap();
    assert_eq!(copied.copy_source_version_id(), Some(one.as_str()));
    assert_eq!(get(&client, "copy").await, b"one");
}

#[tokio::test]
async fn a_suspended_bucket_writes_the_null_version() {
    let (_server, client) = ready().await;
    set(&client, BucketVersioningStatus::Enabled).await;
    let one = put(&client, "k", "one").await.unwrap();
    set(&client, BucketVersioningStatus::Suspended).await;
    // As recorded of S3, a put tells no version then; a copy does.
    assert_eq!(put(&client, "k", "two").await, None);
    assert_eq!(put(&client, "k", "three").await, None);
    let copy = client.copy_object().bucket(BUCKET).key("copy");
    let copied = copy
        .copy_source(format!("{BUCKET}/k"))
        .send()
        .await
        .unwrap();
    assert_eq!(copied.version_id(), Some("null"));
    assert_eq!(copied.copy_source_version_id(), None);
    assert_eq!(read(&client, "k", "null").await, Ok("three".to_owned()));
    assert_eq!(read(&client, "k", &one).await, Ok("one".to_owned()));
    let gone = client.delete_object().bucket(BUCKET).key("k").send().await;
    assert_eq!(gone.unwrap().version_id(), Some("null"));
    let (versions, markers) = listed(&client).await;
    assert_eq!(
        versions,
        ["copy null true".to_owned(), format!("k {one} false")]
    );
    assert_eq!(markers, ["k null true"]);
}

#[tokio::test]
async fn a_listing_of_versions_goes_on_where_it_ended() {
    let (_server, client) = ready().await;
    set(&client, BucketVersioningStatus::Enabled).await;
    let mut wanted = Vec::new();
    for key in ["a", "b/1", "b/2", "c"] {
        let mut ids = Vec::new();
        for body in ["1", "2", "3"] {
            ids.push(put(&client, key, body).await.unwrap());
        }
        wanted.extend(ids.into_iter().rev().map(|id| format!("{key} {id}")));
    }
    for at_a_time in [1, 2, 5, 12] {
        let (mut found, mut key, mut id) = (Vec::new(), None, None);
        loop {
            let page = client.list_object_versions().bucket(BUCKET);
            let page = page.max_keys(at_a_time).set_key_marker(key);
            let page = page.set_version_id_marker(id).send().await.unwrap();
            let line = |version: &aws_sdk_s3::types::ObjectVersion| {
                format!(
                    "{} {}",
                    version.key().unwrap(),
                    version.version_id().unwrap()
                )
            };
            found.extend(page.versions().iter().map(line));
            if page.is_truncated() != Some(true) {
                break;
            }
            (key, id) = (page.next_key_marker, page.next_version_id_marker);
        }
        assert_eq!(found, wanted, "{at_a_time}");
    }
    let grouped = client.list_object_versions().bucket(BUCKET).delimiter("/");
    let grouped = grouped.send().await.unwrap();
    assert_eq!(grouped.versions().len(), 6);
    assert_eq!(grouped.common_prefixes()[0].prefix(), Some("b/"));
}

#[tokio::test]
async fn of_many_writers_of_a_new_key_one_wins_and_no_version_is_lost() {
    let (_server, client) = ready().await;
    set(&client, BucketVersioningStatus::Enabled).await;
    let first = |number: usize| {
        let put = client.put_object().bucket(BUCKET).key("once");
        let put = put
            .if_none_match("*")
            .body(number.to_string().into_bytes().into());
        put.send()
    };
    let all = futures_util::future::join_all((0..24).map(first)).await;
    let won: Vec<_> = all
        .into_iter()
        .map(|one| one.map_err(|e| fault::<(), _>(Err(e))))
        .collect();
    assert_eq!(won.iter().filter(|one| one.is_ok()).count(), 1);
    for lost in won.into_iter().filter_map(Result::err) {
        assert!(
            [
                (412, "PreconditionFailed"),
                (409, "ConditionalRequestConflict")
            ]
            .contains(&(lost.0, lost.1.as_str())),
            "{lost:?}"
        );
    }
    let bodies: Vec<_> = (0..24).map(|number| format!("body {number}")).collect();
    let puts = bodies.iter().map(|body| put(&client, "many", body));
    let ids = futures_util::future::join_all(puts).await;
    for (id, body) in ids.iter().zip(&bodies) {
        let id = id.as_deref().unwrap();
        assert_eq!(read(&client, "many", id).await.as_ref(), Ok(body));
    }
    let objects = ids.into_iter().map(|id| {
        let object = ObjectIdentifier::builder().key("many");
        object.version_id(id.unwrap()).build().unwrap()
    });
    let delete = Delete::builder()
        .set_objects(Some(objects.collect()))
        .build();
    let deleted = client
        .delete_objects()
        .bucket(BUCKET)
        .delete(delete.unwrap());
    assert_eq!(deleted.send().await.unwrap().deleted().len(), 24);
    let (versions, markers) = listed(&client).await;
    assert_eq!((versions.len(), markers.len()), (1, 0), "{versions:?}");
}
