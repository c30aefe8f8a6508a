//! Parts that are copied from objects, through the SDK.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::upload_part_copy::builders::UploadPartCopyFluentBuilder;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    BucketVersioningStatus, CompletedMultipartUpload, CompletedPart, Part, VersioningConfiguration,
};

use super::{BUCKET, denied, fault, get, put, ready};
use crate::support::bytes_of;

const PART_BYTES_MIN: usize = 5 << 20;

async fn begin(client: &Client) -> String {
    let begun = client.create_multipart_upload().bucket(BUCKET).key("copy");
    begun.send().await.unwrap().upload_id.unwrap()
}

fn copy(client: &Client, id: &str, number: i32, source: &str) -> UploadPartCopyFluentBuilder {
    let copy = client.upload_part_copy().bucket(BUCKET).key("copy");
    copy.upload_id(id)
        .part_number(number)
        .copy_source(format!("{BUCKET}/{source}"))
}

#[tokio::test]
async fn parts_are_copied_whole_and_by_range() {
    let (_server, client) = ready().await;
    let body = bytes_of(3, PART_BYTES_MIN + 5000);
    put(&client, "source é+", &body).await;
    let id = begin(&client).await;
    let mut parts = Vec::new();
    let last = PART_BYTES_MIN - 1;
    for (number, range) in [
        (1, None),
        (2, Some(format!("bytes=0-{last}"))),
        (3, Some("bytes=10-19".to_owned())),
    ] {
        let part = copy(&client, &id, number, "source%20%C3%A9%2B").set_copy_source_range(range);
        let done = part.send().await.unwrap().copy_part_result.unwrap();
        assert!(done.last_modified().is_some());
        let part = CompletedPart::builder().part_number(number);
        parts.push(part.e_tag(done.e_tag.unwrap()).build());
    }
    let listed = client
        .list_parts()
        .bucket(BUCKET)
        .key("copy")
        .upload_id(&id);
    let sizes: Vec<_> = listed
        .send()
        .await
        .unwrap()
        .parts()
        .iter()
        .map(Part::size)
        .collect();
    let size = |len: usize| Some(i64::try_from(len).unwrap());
    assert_eq!(sizes, [size(body.len()), size(PART_BYTES_MIN), size(10)]);
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let complete = client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("copy");
    let complete = complete.upload_id(&id).multipart_upload(parts);
    complete.send().await.unwrap();
    let whole = [&body[..], &body[..PART_BYTES_MIN], &body[10..20]].concat();
    assert!(get(&client, "copy").await == whole);
}

/// That the copy is refused so.
async fn refuse(copy: UploadPartCopyFluentBuilder, status: u16, code: &str) {
    let outcome = fault(copy.clone().send().await);
    assert_eq!(outcome, (status, code.to_owned()), "{copy:?}");
}

#[tokio::test]
async fn what_can_not_be_copied_is_refused() {
    let (server, client) = ready().await;
    put(&client, "source", b"hello").await;
    let id = begin(&client).await;
    let go = || copy(&client, &id, 1, "source");
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("source")
        .send()
        .await;
    let etag = head.unwrap().e_tag.unwrap();
    let (past, future) = (DateTime::from_secs(1), DateTime::from_secs(4_000_000_000));
    let failed = "PreconditionFailed";
    let invalid = "InvalidArgument";
    let versioned = format!("{BUCKET}/source?versionId=x");
    refuse(copy(&client, &id, 1, "none"), 404, "NoSuchKey").await;
    refuse(copy(&client, "nonsense", 1, "source"), 404, "NoSuchUpload").await;
    refuse(copy(&client, &id, 0, "source"), 400, invalid).await;
    refuse(copy(&client, &id, 10_001, "source"), 400, invalid).await;
    refuse(go().copy_source("nonsense"), 400, invalid).await;
    refuse(go().copy_source(versioned), 400, invalid).await;
    let nowhere = go().copy_source("no-such-bucket-here/k");
    refuse(nowhere, 404, "NoSuchBucket").await;
    refuse(go().bucket("no-such-bucket-here"), 404, "NoSuchBucket").await;
    refuse(go().copy_source_range("bytes=0-5"), 416, "InvalidRange").await;
    refuse(go().copy_source_range("bytes=3-2"), 400, invalid).await;
    refuse(go().copy_source_range("0-2"), 400, invalid).await;
    refuse(go().copy_source_if_match("\"x\""), 412, failed).await;
    refuse(go().copy_source_if_none_match(&etag), 412, failed).await;
    refuse(go().copy_source_if_unmodified_since(past), 412, failed).await;
    let head = client.head_object().bucket(BUCKET).key("source").send();
    let modified = head.await.unwrap().last_modified.unwrap();
    refuse(go().copy_source_if_modified_since(modified), 412, failed).await;
    // A date that is yet to come says nothing of what was modified since.
    let early = go().copy_source_if_modified_since(future);
    early.send().await.unwrap();
    let fine = go()
        .copy_source_if_match(&etag)
        .copy_source_if_modified_since(past);
    fine.copy_source_if_unmodified_since(future)
        .send()
        .await
        .unwrap();
    // Who may not read the source may not have its bytes.
    let tenant = server.tenant("tenant");
    tenant
        .create_bucket()
        .bucket("theirs")
        .send()
        .await
        .unwrap();
    let begun = tenant
        .create_multipart_upload()
        .bucket("theirs")
        .key("copy");
    let id = begun.send().await.unwrap().upload_id.unwrap();
    let stolen = copy(&tenant, &id, 1, "source")
        .bucket("theirs")
        .send()
        .await;
    assert_eq!(fault(stolen), denied());
}

#[tokio::test]
async fn a_part_may_be_an_earlier_version() {
    let (_server, client) = ready().await;
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let set = client.put_bucket_versioning().bucket(BUCKET);
    set.versioning_configuration(enabled.build())
        .send()
        .await
        .unwrap();
    let old = client
        .put_object()
        .bucket(BUCKET)
        .key("source")
        .body(b"old".to_vec().into());
    let old = old.send().await.unwrap().version_id.unwrap();
    put(&client, "source", b"newer").await;
    let id = begin(&client).await;
    let part = copy(&client, &id, 1, &format!("source?versionId={old}"));
    let part = part.send().await.unwrap();
    assert_eq!(part.copy_source_version_id(), Some(old.as_str()));
    let listed = client
        .list_parts()
        .bucket(BUCKET)
        .key("copy")
        .upload_id(&id);
    assert_eq!(listed.send().await.unwrap().parts()[0].size(), Some(3));
}
