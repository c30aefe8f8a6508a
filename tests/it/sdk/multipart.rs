//! Multipart uploads, from creation to completion or abortion.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};

use super::{BUCKET, fault, get, ready};
use crate::support::bytes_of;

const PART_BYTES_MIN: usize = 5 << 20;

async fn create(client: &Client, key: &str) -> String {
    let create = client.create_multipart_upload().bucket(BUCKET).key(key);
    let create = create.content_type("video/mp4").metadata("by", "parts");
    // Else S3 keeps no checksum that the client may name at the end.
    let create = create.checksum_algorithm(ChecksumAlgorithm::Crc32);
    create.send().await.unwrap().upload_id.unwrap()
}

async fn part(client: &Client, key: &str, id: &str, number: i32, body: &[u8]) -> CompletedPart {
    let part = client
        .upload_part()
        .bucket(BUCKET)
        .key(key)
        .upload_id(id)
        .part_number(number);
    let answer = part
        .body(ByteStream::from(body.to_vec()))
        .send()
        .await
        .unwrap();
    let done = CompletedPart::builder()
        .part_number(number)
        .e_tag(answer.e_tag.unwrap());
    done.set_checksum_crc32(answer.checksum_crc32).build()
}

fn all(parts: &[CompletedPart]) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder()
        .set_parts(Some(parts.to_vec()))
        .build()
}

#[tokio::test]
async fn parts_become_one_object() {
    let (_server, client) = ready().await;
    let key = "large/ü +";
    let id = create(&client, key).await;
    let (one, two) = (bytes_of(1, PART_BYTES_MIN), bytes_of(2, 70_000));
    // Out of order, and the first is sent again: the later bytes count.
    let second = part(&client, key, &id, 7, &two).await;
    let overtaken = part(&client, key, &id, 3, &bytes_of(9, PART_BYTES_MIN)).await;
    let first = part(&client, key, &id, 3, &one).await;

    let parts = client.list_parts().bucket(BUCKET).key(key).upload_id(&id);
    let parts = parts.max_parts(1).send().await.unwrap();
    assert_eq!(parts.is_truncated(), Some(true));
    assert_eq!(parts.parts()[0].part_number(), Some(3));
    let uploads = client
        .list_multipart_uploads()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert_eq!(uploads.uploads()[0].key(), Some(key));

    let complete = || {
        let complete = client.complete_multipart_upload().bucket(BUCKET).key(key);
        complete.upload_id(&id)
    };
    let turned = all(&[second.clone(), first.clone()]);
    let turned = complete().multipart_upload(turned).send().await;
    assert_eq!(fault(turned), (400, "InvalidPartOrder".into()));
    let stale = all(&[first.clone(), overtaken.clone(), second.clone()]);
    let stale = complete().multipart_upload(stale).send().await;
    assert_eq!(fault(stale), (400, "InvalidPart".into()));
    // Of a part that is named twice the last word counts.
    let whole = all(&[overtaken, first, second]);
    let done = complete().multipart_upload(whole).send().await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-2\""), "{done:?}");
    assert!(get(&client, key).await == [one.clone(), two.clone()].concat());

    let head = client
        .head_object()
        .bucket(BUCKET)
        .key(key)
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_type(), Some("video/mp4"));
    let across = client.get_object().bucket(BUCKET).key(key);
    let range = format!("bytes={}-{}", PART_BYTES_MIN - 2, PART_BYTES_MIN + 1);
    let across = across
        .range(range)
        .send()
        .await
        .unwrap()
        .body
        .collect()
        .await
        .unwrap();
    assert_eq!(
        across.to_vec(),
        [&one[PART_BYTES_MIN - 2..], &two[..2]].concat()
    );
    let uploads = client
        .list_multipart_uploads()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert_eq!(uploads.uploads().len(), 0);
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_an_abort_leaves_nothing() {
    let (_server, client) = ready().await;
    let id = create(&client, "k").await;
    let small = part(&client, "k", &id, 1, b"too small").await;
    let last = part(&client, "k", &id, 2, b"the last may be small").await;
    let complete = || {
        client
            .complete_multipart_upload()
            .bucket(BUCKET)
            .key("k")
            .upload_id(&id)
    };
    let outcome = complete()
        .multipart_upload(all(&[small, last.clone()]))
        .send()
        .await;
    assert_eq!(fault(outcome), (400, "EntityTooSmall".into()));
    let claimed = CompletedPart::builder()
        .part_number(9)
        .e_tag("\"00\"")
        .checksum_crc32("AAAAAA==")
        .build();
    let outcome = complete().multipart_upload(all(&[claimed])).send().await;
    assert_eq!(fault(outcome), (400, "InvalidPart".into()));
    let abort = client
        .abort_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id);
    abort.send().await.unwrap();
    let outcome = complete().multipart_upload(all(&[last])).send().await;
    assert_eq!(fault(outcome), (404, "NoSuchUpload".into()));
    assert_eq!(
        fault(client.head_object().bucket(BUCKET).key("k").send().await).0,
        404
    );
}

#[tokio::test]
async fn an_upload_goes_with_its_bucket() {
    let (_server, client) = ready().await;
    let id = create(&client, "k").await;
    client.delete_bucket().bucket(BUCKET).send().await.unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let listed = client.list_multipart_uploads().bucket(BUCKET);
    assert!(listed.send().await.unwrap().uploads().is_empty());
    let late = client.upload_part().bucket(BUCKET).key("k").upload_id(&id);
    let late = late.part_number(1).body(vec![0; 9].into()).send().await;
    assert_eq!(fault(late), (404, "NoSuchUpload".into()));
}

#[tokio::test]
async fn a_completion_that_races_leaves_one_whole_outcome() {
    let (server, client) = ready().await;
    for round in 0..24_u8 {
        let key = &format!("race-{round}");
        let body = vec![round; 70_000];
        let id = create(&client, key).await;
        let first = part(&client, key, &id, 1, &body).await;
        let complete = || {
            let complete = client.complete_multipart_upload().bucket(BUCKET).key(key);
            let complete = complete.upload_id(&id);
            complete.multipart_upload(all(std::slice::from_ref(&first)))
        };
        let abort = client.abort_multipart_upload().bucket(BUCKET).key(key);
        let abort = abort.upload_id(&id).send();
        let put = client.put_object().bucket(BUCKET).key(key);
        let put = put.body(ByteStream::from_static(b"put")).send();
        let delete = client.delete_object().bucket(BUCKET).key(key).send();
        let read = || client.get_object().bucket(BUCKET).key(key).send();
        // The one thing that decides is which batch came first; the answers must agree with it.
        match round % 4 {
            0 => {
                let (done, gone) = tokio::join!(complete().send(), abort);
                let there = read().await.is_ok();
                assert_eq!(done.is_ok(), there, "{done:?} {gone:?}");
                assert!(done.is_ok() || gone.is_ok(), "{done:?} {gone:?}");
            }
            1 => {
                let (done, put) = tokio::join!(complete().send(), put);
                assert!(done.is_ok() && put.is_ok(), "{done:?} {put:?}");
                let now = get(&client, key).await;
                assert!(now == body || now == b"put");
            }
            2 => {
                let (done, gone) = tokio::join!(complete().send(), delete);
                assert!(done.is_ok() && gone.is_ok(), "{done:?} {gone:?}");
                let now = read().await.map(|_there| ());
                assert!(now.is_ok() || fault(now).0 == 404);
            }
            _ => {
                // Who completes it twice hears twice that it is done.
                let (one, other) = tokio::join!(complete().send(), complete().send());
                assert_eq!(one.unwrap().e_tag, other.unwrap().e_tag);
                assert!(get(&client, key).await == body);
            }
        }
    }
    let open = client.list_multipart_uploads().bucket(BUCKET).send().await;
    assert!(open.unwrap().uploads().is_empty());
    let checked = server.command(&["fsck", "--read-blobs", "--json"]);
    assert!(checked.status.success(), "{checked:?}");
}
