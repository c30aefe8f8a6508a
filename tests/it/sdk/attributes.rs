//! What is known of an object, in one document, through the SDK.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object_attributes::builders::GetObjectAttributesFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload,
    CompletedPart, ObjectAttributes, StorageClass, VersioningConfiguration,
};

use super::{BUCKET, denied, fault, put, ready};
use crate::support::bytes_of;

const PART_BYTES_MIN: usize = 5 << 20;

fn ask(client: &Client, key: &str, what: &[ObjectAttributes]) -> GetObjectAttributesFluentBuilder {
    let ask = client.get_object_attributes().bucket(BUCKET).key(key);
    ask.set_object_attributes(Some(what.to_vec()))
}

const ALL: [ObjectAttributes; 5] = [
    ObjectAttributes::Etag,
    ObjectAttributes::Checksum,
    ObjectAttributes::ObjectParts,
    ObjectAttributes::StorageClass,
    ObjectAttributes::ObjectSize,
];

#[tokio::test]
async fn of_an_object_that_was_put_at_once() {
    let (server, client) = ready().await;
    let sent = client
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .body(b"hello".to_vec().into());
    let sent = sent.checksum_algorithm(ChecksumAlgorithm::Sha256);
    let sent = sent.send().await.unwrap();
    let got = ask(&client, "k", &ALL).send().await.unwrap();
    assert_eq!(got.e_tag(), Some(sent.e_tag().unwrap().trim_matches('"')));
    assert_eq!(got.object_size(), Some(5));
    assert_eq!(got.storage_class(), Some(&StorageClass::Standard));
    let checksum = got.checksum().unwrap();
    assert_eq!(checksum.checksum_sha256(), sent.checksum_sha256());
    assert_eq!(checksum.checksum_type(), Some(&ChecksumType::FullObject));
    assert!(got.object_parts().is_none() && got.last_modified().is_some());
    // Nothing is told that was not asked for.
    let size = ask(&client, "k", &[ObjectAttributes::ObjectSize]);
    let size = size.send().await.unwrap();
    assert_eq!(size.object_size(), Some(5));
    assert!(size.e_tag().is_none() && size.checksum().is_none() && size.storage_class().is_none());

    let missing = ask(&client, "none", &ALL).send().await;
    assert_eq!(fault(missing), (404, "NoSuchKey".to_owned()));
    let unknown = ask(&client, "k", &[ObjectAttributes::from("Colour")]);
    assert_eq!(
        fault(unknown.send().await),
        (400, "InvalidArgument".to_owned())
    );
    let nothing = ask(&client, "k", &[]).send().await;
    assert_eq!(fault(nothing), (400, "InvalidArgument".to_owned()));
    let version = ask(&client, "k", &ALL).version_id("nonsense");
    assert_eq!(
        fault(version.send().await),
        (400, "InvalidArgument".to_owned())
    );
    let elsewhere = client
        .get_object_attributes()
        .bucket("no-such-bucket-here")
        .key("k");
    let elsewhere = elsewhere
        .object_attributes(ObjectAttributes::Etag)
        .send()
        .await;
    assert_eq!(fault(elsewhere), (404, "NoSuchBucket".to_owned()));
    let foreign = ask(&server.tenant("tenant"), "k", &ALL).send().await;
    assert_eq!(fault(foreign), denied());
}

/// An upload of two parts.
async fn upload(client: &Client, key: &str, kind: ChecksumType) -> CompletedMultipartUpload {
    let crc = ChecksumAlgorithm::Crc32;
    let begun = client.create_multipart_upload().bucket(BUCKET).key(key);
    let begun = begun.checksum_algorithm(crc.clone()).checksum_type(kind);
    let id = begun.send().await.unwrap().upload_id.unwrap();
    let mut parts = Vec::new();
    for (number, len) in [(1, PART_BYTES_MIN), (2, 1000)] {
        let part = client.upload_part().bucket(BUCKET).key(key).upload_id(&id);
        let body = ByteStream::from(bytes_of(number, len));
        let number = i32::try_from(number).unwrap();
        let part = part
            .part_number(number)
            .body(body)
            .checksum_algorithm(crc.clone());
        let done = part.send().await.unwrap();
        let part = CompletedPart::builder().part_number(number);
        let part = part.e_tag(done.e_tag.unwrap());
        parts.push(part.set_checksum_crc32(done.checksum_crc32).build());
    }
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let complete = client.complete_multipart_upload().bucket(BUCKET).key(key);
    let complete = complete.upload_id(&id).multipart_upload(parts.clone());
    complete.send().await.unwrap();
    parts
}

#[tokio::test]
async fn of_an_object_in_parts() {
    let (_server, client) = ready().await;
    let sent = upload(&client, "composite", ChecksumType::Composite).await;
    let parts = [ObjectAttributes::ObjectParts];
    let got = ask(&client, "composite", &ALL).send().await.unwrap();
    assert_eq!(
        got.object_size(),
        Some(i64::try_from(PART_BYTES_MIN + 1000).unwrap())
    );
    assert!(got.e_tag().unwrap().ends_with("-2"));
    let checksum = got.checksum().unwrap();
    assert_eq!(checksum.checksum_type(), Some(&ChecksumType::Composite));
    let listed = got.object_parts().unwrap();
    assert_eq!(listed.total_parts_count(), Some(2));
    assert_eq!(listed.is_truncated(), Some(false));
    let crcs: Vec<_> = listed
        .parts()
        .iter()
        .map(|part| part.checksum_crc32())
        .collect();
    let wanted: Vec<_> = sent
        .parts()
        .iter()
        .map(|part| part.checksum_crc32())
        .collect();
    assert_eq!(crcs, wanted);
    assert_eq!(listed.parts()[1].size(), Some(1000));
    // Page by page.
    let page = ask(&client, "composite", &parts).max_parts(1);
    let page = page.send().await.unwrap().object_parts.unwrap();
    assert_eq!((page.parts().len(), page.is_truncated()), (1, Some(true)));
    assert_eq!(page.next_part_number_marker(), Some("1"));
    assert_eq!(page.max_parts(), Some(1));
    let rest = ask(&client, "composite", &parts).part_number_marker("1");
    let rest = rest.send().await.unwrap().object_parts.unwrap();
    assert_eq!(rest.parts()[0].part_number(), Some(2));
    assert_eq!((rest.parts().len(), rest.is_truncated()), (1, Some(false)));
    let beyond = ask(&client, "composite", &parts).part_number_marker("7");
    let beyond = beyond.send().await.unwrap().object_parts.unwrap();
    assert!(beyond.parts().is_empty());
    let nonsense = ask(&client, "composite", &parts).part_number_marker("x");
    assert_eq!(
        fault(nonsense.send().await),
        (400, "InvalidArgument".to_owned())
    );
    // Where the checksum is that of the whole, the parts are only counted.
    upload(&client, "whole", ChecksumType::FullObject).await;
    let whole = ask(&client, "whole", &ALL).send().await.unwrap();
    let checksum = whole.checksum().unwrap();
    assert_eq!(checksum.checksum_type(), Some(&ChecksumType::FullObject));
    let listed = whole.object_parts().unwrap();
    assert_eq!(listed.total_parts_count(), Some(2));
    assert!(listed.parts().is_empty());
}

#[tokio::test]
async fn of_each_version() {
    let (_server, client) = ready().await;
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let set = client.put_bucket_versioning().bucket(BUCKET);
    let set = set.versioning_configuration(enabled.build());
    set.send().await.unwrap();
    let first = client
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .body(b"one".to_vec().into());
    let first = first.send().await.unwrap().version_id.unwrap();
    put(&client, "k", b"second").await;
    let size = [ObjectAttributes::ObjectSize];
    let current = ask(&client, "k", &size).send().await.unwrap();
    assert_eq!(current.object_size(), Some(6));
    assert!(current.version_id().is_some_and(|id| id != first));
    let old = ask(&client, "k", &size)
        .version_id(&first)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (old.object_size(), old.version_id()),
        (Some(3), Some(first.as_str()))
    );
    let delete = client.delete_object().bucket(BUCKET).key("k").send().await;
    let marker = delete.unwrap().version_id.unwrap();
    let gone = ask(&client, "k", &size).send().await;
    assert_eq!(fault(gone), (404, "NoSuchKey".to_owned()));
    let marked = ask(&client, "k", &size).version_id(&marker).send().await;
    assert_eq!(fault(marked), (405, "MethodNotAllowed".to_owned()));
    let none = ask(&client, "k", &size).version_id("null").send().await;
    assert_eq!(fault(none), (404, "NoSuchVersion".to_owned()));
    let kept = ask(&client, "k", &size).version_id(&first).send().await;
    assert!(kept.is_ok());
}
