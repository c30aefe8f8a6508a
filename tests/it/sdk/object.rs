//! Objects: bytes, metadata, ranges, conditions, checksums, presigned URLs.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, Delete, ObjectIdentifier};

use super::{BUCKET, ODD_KEYS, fault, get, put, ready};
use crate::support::{bytes_of, plain_http};

#[tokio::test]
async fn bytes_come_back_whatever_their_number() {
    let (_server, client) = ready().await;
    for len in [0, 1, 4096, 65_535, 65_536, 65_537, 1 << 20, (3 << 20) + 1] {
        let body = bytes_of(len as u64, len);
        put(&client, "same", &body).await;
        assert!(get(&client, "same").await == body, "{len} bytes");
    }
}

#[tokio::test]
async fn any_key_is_a_key_and_no_path() {
    let (server, client) = ready().await;
    for key in ODD_KEYS {
        put(&client, key, key.as_bytes()).await;
    }
    for key in ODD_KEYS {
        assert_eq!(get(&client, key).await, key.as_bytes(), "{key}");
    }
    let names: Vec<_> = std::fs::read_dir(server.data_folder().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(
        names.len(),
        3,
        "the data, the log, the configuration: {names:?}"
    );
    let long = client
        .put_object()
        .bucket(BUCKET)
        .key("k".repeat(1025))
        .send()
        .await;
    assert_eq!(fault(long), (400, "KeyTooLongError".into()));
}

#[tokio::test]
async fn headers_and_metadata_are_kept() {
    let (_server, client) = ready().await;
    let put = client.put_object().bucket(BUCKET).key("k");
    put.content_type("image/svg+xml")
        .cache_control("max-age=60")
        .content_disposition("attachment; filename=\"a b.svg\"")
        .content_encoding("identity")
        .content_language("de")
        .metadata("by", "sdk")
        .metadata("two-words", "a b")
        .body(ByteStream::from_static(b"<svg/>"))
        .send()
        .await
        .unwrap();
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_type(), Some("image/svg+xml"));
    assert_eq!(head.cache_control(), Some("max-age=60"));
    assert_eq!(
        head.content_disposition(),
        Some("attachment; filename=\"a b.svg\"")
    );
    assert_eq!(head.content_language(), Some("de"));
    assert_eq!(head.content_length(), Some(6));
    let metadata = head.metadata().unwrap();
    assert_eq!(metadata.get("by").map(String::as_str), Some("sdk"));
    assert_eq!(metadata.get("two-words").map(String::as_str), Some("a b"));
    let get = client.get_object().bucket(BUCKET).key("k");
    let got = get
        .response_content_type("text/plain")
        .send()
        .await
        .unwrap();
    assert_eq!(got.content_type(), Some("text/plain"));
}

#[tokio::test]
async fn ranges_in_each_form() {
    let (_server, client) = ready().await;
    let body = bytes_of(7, 200_000);
    put(&client, "k", &body).await;
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=65530-131080", 65_530, 131_081),
        ("bytes=199999-", 199_999, 200_000),
        ("bytes=-5", 199_995, 200_000),
        ("bytes=-500000", 0, 200_000),
        ("bytes=199990-999999999", 199_990, 200_000),
    ] {
        let got = client
            .get_object()
            .bucket(BUCKET)
            .key("k")
            .range(range)
            .send()
            .await;
        let got = got.unwrap_or_else(|error| panic!("{range}: {error:?}"));
        let expected = format!("bytes {from}-{}/200000", to - 1);
        assert_eq!(got.content_range(), Some(expected.as_str()), "{range}");
        assert!(
            got.body.collect().await.unwrap().to_vec() == body[from..to],
            "{range}"
        );
    }
    let beyond = client
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .range("bytes=200000-")
        .send()
        .await;
    assert_eq!(fault(beyond), (416, "InvalidRange".into()));
}

#[tokio::test]
async fn conditions_decide_reads_and_writes() {
    let (_server, client) = ready().await;
    put(&client, "k", b"hello").await;
    let tag = "\"5d41402abc4b2a76b9719d911017c592\"";
    let read = || client.get_object().bucket(BUCKET).key("k");
    read().if_match(tag).send().await.unwrap();
    assert_eq!(fault(read().if_match("\"other\"").send().await).0, 412);
    assert_eq!(fault(read().if_none_match(tag).send().await).0, 304);
    read().if_none_match("\"other\"").send().await.unwrap();

    let write = || client.put_object().bucket(BUCKET);
    let taken = write().key("k").if_none_match("*").send().await;
    assert_eq!(fault(taken), (412, "PreconditionFailed".into()));
    assert_eq!(
        fault(write().key("k").if_match("\"other\"").send().await).0,
        412
    );
    write().key("k").if_match(tag).send().await.unwrap();

    let racers = (0..50).map(|_| write().key("race").if_none_match("*").send());
    let outcomes = futures_util::future::join_all(racers).await;
    assert_eq!(outcomes.iter().filter(|one| one.is_ok()).count(), 1);
}

#[tokio::test]
async fn checksums_of_each_algorithm_are_verified_and_kept() {
    let (_server, client) = ready().await;
    let algorithms = [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ];
    for algorithm in algorithms {
        let name = algorithm.as_str().to_owned();
        let put = client
            .put_object()
            .bucket(BUCKET)
            .key(&name)
            .checksum_algorithm(algorithm);
        put.body(ByteStream::from_static(b"checked"))
            .send()
            .await
            .unwrap();
        let get = client.get_object().bucket(BUCKET).key(&name);
        let got = get
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .unwrap();
        let kept = [
            got.checksum_crc32(),
            got.checksum_crc32_c(),
            got.checksum_crc64_nvme(),
            got.checksum_sha1(),
            got.checksum_sha256(),
        ];
        assert_eq!(kept.iter().flatten().count(), 1, "{name}: {kept:?}");
        // The SDK verifies what it reads against the checksum that it was told.
        assert_eq!(
            got.body.collect().await.unwrap().to_vec(),
            b"checked",
            "{name}"
        );
    }
    let wrong = client
        .put_object()
        .bucket(BUCKET)
        .key("wrong")
        .checksum_crc32("AAAAAA==");
    let wrong = wrong.body(ByteStream::from_static(b"checked")).send().await;
    assert_eq!(fault(wrong), (400, "BadDigest".into()));
    let absent = client
        .head_object()
        .bucket(BUCKET)
        .key("wrong")
        .send()
        .await;
    assert_eq!(fault(absent).0, 404);
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let (_server, client) = ready().await;
    let mut delete = Delete::builder();
    for key in ODD_KEYS.iter().filter(|key| !key.contains('\t')) {
        put(&client, key, b"x").await;
        delete = delete.objects(ObjectIdentifier::builder().key(*key).build().unwrap());
    }
    delete = delete.objects(ObjectIdentifier::builder().key("absent").build().unwrap());
    let request = client
        .delete_objects()
        .bucket(BUCKET)
        .delete(delete.build().unwrap());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.errors().len(), 0, "{answer:?}");
    assert_eq!(answer.deleted().len(), ODD_KEYS.len());
    let left = client
        .list_objects_v2()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert_eq!(left.key_count(), Some(0));
}

#[tokio::test]
async fn presigned_urls_of_each_kind() {
    let (_server, client) = ready().await;
    let http = plain_http();
    let soon = || PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    for key in ["plain", "sp ace/+%/ü", "a//b"] {
        let put = client
            .put_object()
            .bucket(BUCKET)
            .key(key)
            .content_type("text/plain");
        let put = put.presigned(soon()).await.unwrap();
        let request = http
            .put(put.uri())
            .header("content-type", "text/plain")
            .body("signed");
        assert_eq!(request.send().await.unwrap().status(), 200, "{key}");
        let get = client
            .get_object()
            .bucket(BUCKET)
            .key(key)
            .presigned(soon())
            .await
            .unwrap();
        let answer = http.get(get.uri()).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain");
        assert_eq!(answer.text().await.unwrap(), "signed", "{key}");
        let head = client
            .head_object()
            .bucket(BUCKET)
            .key(key)
            .presigned(soon())
            .await
            .unwrap();
        assert_eq!(http.head(head.uri()).send().await.unwrap().status(), 200);
        // A URL for one method is none for another.
        assert_eq!(http.delete(get.uri()).send().await.unwrap().status(), 403);
        let delete = client.delete_object().bucket(BUCKET).key(key);
        let delete = delete.presigned(soon()).await.unwrap();
        assert_eq!(
            http.delete(delete.uri()).send().await.unwrap().status(),
            204
        );
        assert_eq!(http.get(get.uri()).send().await.unwrap().status(), 404);
    }
}
