//! What multipart uploads say of checksums, conditions and the parts of an object.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
};

use super::{BUCKET, fault, put, ready};
use crate::support::bytes_of;

const PART_BYTES_MIN: usize = 5 << 20;
const KEY: &str = "in/parts";

/// An upload of two parts, that is yet to be completed.
struct Upload {
    client: Client,
    id: String,
    parts: Vec<CompletedPart>,
}

impl Upload {
    async fn of(
        client: &Client,
        mode: Option<(ChecksumAlgorithm, ChecksumType)>,
        bodies: [&[u8]; 2],
    ) -> Self {
        let create = client.create_multipart_upload().bucket(BUCKET).key(KEY);
        let (algorithm, coverage) = mode.unzip();
        let create = create.set_checksum_algorithm(algorithm.clone());
        let created = create.set_checksum_type(coverage).send().await.unwrap();
        let id = created.upload_id.unwrap();
        let mut parts = Vec::new();
        for (number, body) in (1..).zip(bodies) {
            let part = client.upload_part().bucket(BUCKET).key(KEY).upload_id(&id);
            let part = part.part_number(number).body(body.to_vec().into());
            let put = part
                .set_checksum_algorithm(algorithm.clone())
                .send()
                .await
                .unwrap();
            let done = CompletedPart::builder()
                .part_number(number)
                .e_tag(put.e_tag.unwrap());
            let done = match algorithm {
                None => done,
                Some(_) => done
                    .set_checksum_crc32(put.checksum_crc32)
                    .set_checksum_sha256(put.checksum_sha256),
            };
            parts.push(done.build());
        }
        let client = client.clone();
        Self { client, id, parts }
    }

    async fn complete(&self) -> CompleteMultipartUploadOutput {
        let complete = self.client.complete_multipart_upload().bucket(BUCKET);
        let list = CompletedMultipartUpload::builder().set_parts(Some(self.parts.clone()));
        let complete = complete.key(KEY).upload_id(&self.id);
        complete
            .multipart_upload(list.build())
            .send()
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn an_objects_parts_are_read_by_number_with_their_checksums() {
    let (_server, client) = ready().await;
    let (one, two) = (bytes_of(1, PART_BYTES_MIN), bytes_of(2, 1000));
    let composite = (ChecksumAlgorithm::Sha256, ChecksumType::Composite);
    let upload = Upload::of(&client, Some(composite), [&one, &two]).await;
    let done = upload.complete().await;
    assert!(done.checksum_sha256().unwrap().ends_with("-2"), "{done:?}");
    // Lost answers are asked for again.
    assert_eq!(upload.complete().await.e_tag(), done.e_tag());

    let read = |number| {
        let read = client.get_object().bucket(BUCKET).key(KEY);
        read.part_number(number)
            .checksum_mode(ChecksumMode::Enabled)
    };
    let second = read(2).send().await.unwrap();
    assert_eq!(second.parts_count(), Some(2));
    let range = format!(
        "bytes {PART_BYTES_MIN}-{}/{}",
        PART_BYTES_MIN + 999,
        PART_BYTES_MIN + 1000
    );
    assert_eq!(second.content_range(), Some(range.as_str()));
    assert_eq!(second.checksum_sha256(), upload.parts[1].checksum_sha256());
    assert!(second.body.collect().await.unwrap().to_vec() == two);
    assert_eq!(
        fault(read(3).send().await),
        (416, "InvalidPartNumber".into())
    );
    let both = read(1).range("bytes=0-1").send().await;
    assert_eq!(fault(both), (400, "InvalidRequest".into()));
    let head = client.head_object().bucket(BUCKET).key(KEY).part_number(1);
    let head = head.send().await.unwrap();
    assert_eq!(
        head.content_length(),
        Some(i64::try_from(PART_BYTES_MIN).unwrap())
    );
    assert_eq!(head.parts_count(), Some(2));

    put(&client, "whole", b"whole").await;
    let whole = client.get_object().bucket(BUCKET).key("whole");
    let whole = whole.part_number(1).send().await.unwrap();
    assert_eq!(whole.content_range(), Some("bytes 0-4/5"));
    assert_eq!(whole.parts_count(), None);
}

#[tokio::test]
async fn an_upload_without_a_checksum_gets_that_of_all_its_bytes() {
    let (_server, client) = ready().await;
    let (one, two) = (bytes_of(3, PART_BYTES_MIN), bytes_of(4, 10));
    let full = Upload::of(&client, None, [&one, &two])
        .await
        .complete()
        .await;
    assert_eq!(full.checksum_type(), Some(&ChecksumType::FullObject));
    let body = ByteStream::from([one.clone(), two.clone()].concat());
    let put = client.put_object().bucket(BUCKET).key("whole").body(body);
    let put = put.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
    let put = put.send().await.unwrap();
    assert_eq!(put.checksum_crc64_nvme(), full.checksum_crc64_nvme());

    let crc = (ChecksumAlgorithm::Crc32, ChecksumType::FullObject);
    let crc = Upload::of(&client, Some(crc), [&one, &two]).await;
    let listed = client.list_parts().bucket(BUCKET).key(KEY);
    let listed = listed.upload_id(&crc.id).send().await.unwrap();
    assert_eq!(listed.checksum_type(), Some(&ChecksumType::FullObject));
    assert_eq!(listed.next_part_number_marker(), Some("2"));
    assert_eq!(
        listed.parts()[1].checksum_crc32(),
        crc.parts[1].checksum_crc32()
    );
    let complete = client.complete_multipart_upload().bucket(BUCKET).key(KEY);
    let list = CompletedMultipartUpload::builder().set_parts(Some(crc.parts.clone()));
    let complete = complete.upload_id(&crc.id).multipart_upload(list.build());
    let size = complete.clone().mpu_object_size(5).send().await;
    assert_eq!(fault(size), (400, "InvalidRequest".into()));
    let sum = complete.clone().checksum_crc32("AAAAAA==").send().await;
    assert_eq!(fault(sum), (400, "BadDigest".into()));
    let put = client.put_object().bucket(BUCKET).key("whole");
    let put = put.body([one, two].concat().into()).send().await.unwrap();
    let sum = put.checksum_crc32().unwrap();
    // It is the object's, not that of the document that comes with it.
    let whole = complete.checksum_crc32(sum).send().await.unwrap();
    assert_eq!(whole.checksum_crc32(), Some(sum));
}

#[tokio::test]
async fn uploads_are_listed_page_by_page() {
    let (_server, client) = ready().await;
    let mut begun = Vec::new();
    for key in ["a", "b/1", "b/2", "c", "c"] {
        let create = client.create_multipart_upload().bucket(BUCKET).key(key);
        begun.push((key, create.send().await.unwrap().upload_id.unwrap()));
    }
    let (mut seen, mut prefixes) = (Vec::new(), Vec::new());
    let (mut key, mut id) = (None, None);
    loop {
        let page = client
            .list_multipart_uploads()
            .bucket(BUCKET)
            .delimiter("/");
        let page = page.set_key_marker(key).set_upload_id_marker(id);
        let page = page.max_uploads(1).send().await.unwrap();
        let ids = page.uploads().iter().filter_map(|one| one.upload_id());
        seen.extend(ids.map(str::to_owned));
        let rolled = page.common_prefixes().iter().filter_map(|one| one.prefix());
        prefixes.extend(rolled.map(str::to_owned));
        if page.is_truncated() != Some(true) {
            break;
        }
        key = page.next_key_marker().map(str::to_owned);
        id = page.next_upload_id_marker().map(str::to_owned);
    }
    assert_eq!(prefixes, ["b/"]);
    let expected = [&begun[0].1, &begun[3].1, &begun[4].1];
    assert!(seen.iter().eq(expected), "{seen:?} {begun:?}");
    let odd = client
        .list_multipart_uploads()
        .bucket(BUCKET)
        .key_marker("a");
    let odd = odd.upload_id_marker("none").send().await;
    assert_eq!(fault(odd), (400, "InvalidArgument".into()));
}
