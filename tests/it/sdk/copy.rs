//! Copies and tags through the SDK.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
    MetadataDirective, Tag, Tagging, TaggingDirective,
};

use super::{BUCKET, fault, get, ready};
use crate::support::bytes_of;

fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
    let tag = |(key, value): &(&str, &str)| Tag::builder().key(*key).value(*value).build();
    pairs.iter().map(tag).map(Result::unwrap).collect()
}

async fn tags_of(client: &Client, key: &str) -> Vec<Tag> {
    let got = client.get_object_tagging().bucket(BUCKET).key(key);
    got.send().await.unwrap().tag_set
}

#[tokio::test]
async fn a_copy_takes_what_its_directives_say() {
    let (server, client) = ready().await;
    let body = bytes_of(3, 300_000);
    let put = client.put_object().bucket(BUCKET).key("a b/ü");
    let put = put
        .metadata("color", "red")
        .content_type("text/x")
        .tagging("t=1");
    put.body(body.clone().into()).send().await.unwrap();
    let source = format!("{BUCKET}/a%20b/%C3%BC");
    let copy = |key: &str| {
        let copy = client.copy_object().bucket(BUCKET).key(key);
        copy.copy_source(&source)
    };
    let blobs = || blobs_in(&server.data_folder().join("blobs"));
    let before = blobs();
    let made = copy("same")
        .send()
        .await
        .unwrap()
        .copy_object_result
        .unwrap();
    assert_eq!(blobs(), before, "a copy moved bytes");
    let head = async |key: &str| {
        let head = client.head_object().bucket(BUCKET).key(key).send().await;
        head.unwrap()
    };
    let (from, same) = (head("a b/ü").await, head("same").await);
    assert_eq!(made.e_tag(), from.e_tag());
    assert_eq!(same.metadata(), from.metadata());
    assert_eq!(same.content_type(), Some("text/x"));
    assert_eq!(tags_of(&client, "same").await, tags(&[("t", "1")]));
    let new = copy("new").metadata_directive(MetadataDirective::Replace);
    let new = new.metadata("shape", "round").tagging("u=2");
    let new = new.tagging_directive(TaggingDirective::Replace);
    new.send().await.unwrap();
    let new = head("new").await;
    assert_eq!(new.metadata().unwrap().get("shape").unwrap(), "round");
    assert_eq!(new.metadata().unwrap().get("color"), None);
    assert_eq!(new.content_type(), Some("binary/octet-stream"));
    assert_eq!(tags_of(&client, "new").await, tags(&[("u", "2")]));
    // The source's bytes stay as long as a copy has them.
    let gone = client.delete_object().bucket(BUCKET).key("a b/ü");
    gone.send().await.unwrap();
    assert!(get(&client, "same").await == body);
}

#[tokio::test]
async fn a_part_that_is_all_of_its_source_moves_no_byte() {
    let (server, client) = ready().await;
    let body = bytes_of(5, 300_000);
    super::put(&client, "source", &body).await;
    let blobs = || blobs_in(&server.data_folder().join("blobs"));
    let before = blobs();
    let create = client.create_multipart_upload().bucket(BUCKET).key("made");
    let id = create.send().await.unwrap().upload_id.unwrap();
    let copy = |number: i32| {
        let part = client.upload_part_copy().bucket(BUCKET).key("made");
        let part = part.copy_source(format!("{BUCKET}/source"));
        part.upload_id(&id).part_number(number)
    };
    // `put` sends a CRC32, an upload that names no algorithm keeps a CRC64NVME: this one is read.
    copy(1).send().await.unwrap();
    assert_ne!(blobs(), before);
    let range = copy(2).copy_source_range("bytes=300000-300001").send();
    assert_eq!(fault(range.await), (400, "InvalidRequest".into()));
    let create = client.create_multipart_upload().bucket(BUCKET).key("made");
    let create = create.checksum_algorithm(ChecksumAlgorithm::Crc32);
    let create = create.checksum_type(ChecksumType::FullObject);
    let id = create.send().await.unwrap().upload_id.unwrap();
    let before = blobs();
    let part = client.upload_part_copy().bucket(BUCKET).key("made");
    let part = part.copy_source(format!("{BUCKET}/source"));
    let part = part.upload_id(&id).part_number(1).send().await.unwrap();
    assert_eq!(blobs(), before, "a copy moved bytes");
    let part = part.copy_part_result.unwrap();
    let part = CompletedPart::builder()
        .part_number(1)
        .e_tag(part.e_tag.unwrap());
    let parts = CompletedMultipartUpload::builder()
        .parts(part.build())
        .build();
    let complete = client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("made");
    let complete = complete.upload_id(&id).multipart_upload(parts);
    complete.send().await.unwrap();
    assert_eq!(get(&client, "made").await, body);
}

#[tokio::test]
async fn a_copy_of_what_parts_made_moves_no_byte() {
    let (server, client) = ready().await;
    let bodies = [bytes_of(5, 5 << 20), bytes_of(6, 70_000)];
    let create = client.create_multipart_upload().bucket(BUCKET).key("made");
    let create = create.checksum_algorithm(ChecksumAlgorithm::Crc32);
    let id = create.send().await.unwrap().upload_id.unwrap();
    let mut parts = CompletedMultipartUpload::builder();
    for (body, number) in bodies.iter().zip(1..) {
        let part = client.upload_part().bucket(BUCKET).key("made");
        let part = part.upload_id(&id).part_number(number);
        let part = part.checksum_algorithm(ChecksumAlgorithm::Crc32);
        let part = part.body(body.clone().into()).send().await.unwrap();
        let done = CompletedPart::builder().part_number(number);
        let done = done
            .set_e_tag(part.e_tag)
            .set_checksum_crc32(part.checksum_crc32);
        parts = parts.parts(done.build());
    }
    let complete = client.complete_multipart_upload().bucket(BUCKET);
    let complete = complete.key("made").upload_id(&id);
    let made = complete.multipart_upload(parts.build()).send().await;
    let made = made.unwrap();
    let blobs = || blobs_in(&server.data_folder().join("blobs"));
    let before = blobs();
    let copy = client.copy_object().bucket(BUCKET).key("copy");
    let copy = copy.copy_source(format!("{BUCKET}/made")).send().await;
    let copy = copy.unwrap().copy_object_result.unwrap();
    assert_eq!(blobs(), before, "a copy moved bytes");
    assert_eq!(copy.e_tag(), made.e_tag());
    let whole = bodies.concat();
    let head = client.head_object().bucket(BUCKET).key("copy");
    let head = head
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_eq!(head.checksum_type(), Some(&ChecksumType::FullObject));
    let put = client.put_object().bucket(BUCKET).key("put");
    let put = put.checksum_algorithm(ChecksumAlgorithm::Crc32);
    let put = put.body(whole.clone().into()).send().await.unwrap();
    assert_eq!(head.checksum_crc32(), put.checksum_crc32());
    let gone = client.delete_object().bucket(BUCKET).key("made");
    gone.send().await.unwrap();
    assert!(get(&client, "copy").await == whole);
}

#[tokio::test]
async fn a_copy_that_makes_no_sense_is_refused() {
    let (_server, client) = ready().await;
    let put = client.put_object().bucket(BUCKET).key("k").send().await;
    let etag = put.unwrap().e_tag.unwrap();
    let copy = |source: &str| {
        let copy = client.copy_object().bucket(BUCKET).key("k");
        copy.copy_source(source)
    };
    let own = format!("{BUCKET}/k");
    let itself = copy(&own).send().await;
    assert_eq!(fault(itself), (400, "InvalidRequest".to_owned()));
    let renewed = copy(&own).metadata_directive(MetadataDirective::Replace);
    assert!(renewed.metadata("a", "b").send().await.is_ok());
    let missing = copy(&format!("{BUCKET}/none")).send().await;
    assert_eq!(fault(missing), (404, "NoSuchKey".to_owned()));
    let missing = copy("no-such-bucket-here/k").send().await;
    assert_eq!(fault(missing), (404, "NoSuchBucket".to_owned()));
    let failed = (412, "PreconditionFailed".to_owned());
    let other = client.copy_object().bucket(BUCKET).key("other");
    let other = other.copy_source(&own);
    let unlike = other.clone().copy_source_if_none_match(&etag).send().await;
    assert_eq!(fault(unlike), failed);
    let unlike = other.clone().copy_source_if_match("\"x\"").send().await;
    assert_eq!(fault(unlike), failed);
    assert!(other.copy_source_if_match(&etag).send().await.is_ok());
}

#[tokio::test]
async fn tags_are_set_counted_and_removed() {
    let (_server, client) = ready().await;
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .tagging("a=1&b=%20");
    put.send().await.unwrap();
    assert_eq!(tags_of(&client, "k").await, tags(&[("a", "1"), ("b", " ")]));
    let got = client.get_object().bucket(BUCKET).key("k").send().await;
    assert_eq!(got.unwrap().tag_count(), Some(2));
    let set = async |pairs: &[(&str, &str)]| {
        let set = Tagging::builder().set_tag_set(Some(tags(pairs))).build();
        let put = client.put_object_tagging().bucket(BUCKET).key("k");
        match put.tagging(set.unwrap()).send().await {
            Ok(_set) => Ok(()),
            refused => Err(fault(refused)),
        }
    };
    set(&[("c", "3")]).await.unwrap();
    let names: Vec<_> = (0..11).map(|number| number.to_string()).collect();
    let eleven: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let invalid = |code: &str| Err((400, code.to_owned()));
    assert_eq!(set(&eleven).await, invalid("BadRequest"));
    assert_eq!(set(&[("x", "1"), ("x", "2")]).await, invalid("InvalidTag"));
    assert_eq!(set(&[(&"k".repeat(129), "")]).await, invalid("InvalidTag"));
    assert_eq!(set(&[("aws:mine", "")]).await, invalid("InvalidTag"));
    assert_eq!(tags_of(&client, "k").await, tags(&[("c", "3")]));
    let delete = client.delete_object_tagging().bucket(BUCKET).key("k");
    delete.send().await.unwrap();
    assert!(tags_of(&client, "k").await.is_empty());

    let got = || client.get_bucket_tagging().bucket(BUCKET).send();
    assert_eq!(fault(got().await), (404, "NoSuchTagSet".to_owned()));
    let set = Tagging::builder().set_tag_set(Some(tags(&[("team", "a")])));
    let put = client.put_bucket_tagging().bucket(BUCKET);
    put.tagging(set.build().unwrap()).send().await.unwrap();
    assert_eq!(got().await.unwrap().tag_set(), tags(&[("team", "a")]));
    let delete = client.delete_bucket_tagging().bucket(BUCKET);
    delete.send().await.unwrap();
    assert_eq!(fault(got().await), (404, "NoSuchTagSet".to_owned()));
}

/// Files below a folder, each once under however many names.
fn blobs_in(folder: &std::path::Path) -> HashSet<u64> {
    let mut found = HashSet::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            found.extend(blobs_in(&entry.path()));
        } else {
            found.insert(meta.ino());
        }
    }
    found
}
