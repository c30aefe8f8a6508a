//! `consign quota`: what a bucket may hold, kept by every way to write.

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

use super::{json, make_bucket, put_bytes, refused, run};
use crate::support::Server;

#[tokio::test]
async fn a_full_bucket_takes_nothing_more_and_can_be_emptied() {
    let server = Server::start().await;
    let client = server.client();
    make_bucket(&client, "full").await;
    let put = async |key: &str, len: usize| put_bytes(&client, "full", key, vec![b'x'; len]).await;
    let exceeded = || Err("QuotaExceeded".to_owned());
    run(&server, "quota full --bytes 1KiB --objects 3");
    assert_eq!(put("a", 1000).await, Ok(()));
    assert_eq!(put("b", 25).await, exceeded());
    assert_eq!(put("b", 24).await, Ok(()));
    // What takes the place of more is never too much.
    assert_eq!(put("a", 500).await, Ok(()));
    assert_eq!(put("c", 0).await, Ok(()));
    assert_eq!(put("d", 0).await, exceeded());
    let copy = client.copy_object().bucket("full").key("e");
    assert!(copy.copy_source("full/b").send().await.is_err());
    let begun = client.create_multipart_upload().bucket("full").key("big");
    let id = begun.send().await.unwrap().upload_id.unwrap();
    let part = client
        .upload_part()
        .bucket("full")
        .key("big")
        .upload_id(&id);
    let part = part.part_number(1).body(vec![0; 2000].into()).send().await;
    let part = aws_sdk_s3::types::CompletedPart::builder()
        .part_number(1)
        .e_tag(part.unwrap().e_tag.unwrap())
        .build();
    let parts = aws_sdk_s3::types::CompletedMultipartUpload::builder().parts(part);
    let complete = client.complete_multipart_upload().bucket("full").key("big");
    let complete = complete.upload_id(&id).multipart_upload(parts.build());
    assert!(complete.clone().send().await.is_err());

    let held = json(&server, "quota full");
    assert_eq!((&held["bytes"], &held["objects"]), (&524.into(), &3.into()));
    assert_eq!(held["bytes_max"], 1024);
    let status = BucketVersioningStatus::Enabled;
    let status = VersioningConfiguration::builder().status(status).build();
    let versioned = client.put_bucket_versioning().bucket("full");
    versioned
        .versioning_configuration(status)
        .send()
        .await
        .unwrap();
    let delete = client.delete_object().bucket("full").key("a").send().await;
    assert!(delete.unwrap().delete_marker().unwrap_or_default());
    assert_eq!(put("a", 1).await, exceeded());

    // An upload that was refused can be completed once there is room.
    run(&server, "quota full --none");
    assert!(complete.send().await.is_ok());
    assert_eq!(
        json(&server, "quota full")["bytes_max"],
        serde_json::Value::Null
    );
    assert!(refused(&server, "quota no-such-bucket").contains("does not exist"));
}
