//! Bytes appended to an object, through the SDK.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::PutObjectOutput;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ServerSideEncryption};

use super::{BUCKET, fault, get, ready};
use crate::support::bytes_of;

async fn append(
    client: &Client,
    key: &str,
    offset: i64,
    body: &[u8],
) -> Result<PutObjectOutput, (u16, String)> {
    let put = client.put_object().bucket(BUCKET).key(key);
    let put = put.write_offset_bytes(offset).body(body.to_vec().into());
    match put.send().await {
        Ok(done) => Ok(done),
        refused => Err(fault(refused)),
    }
}

#[tokio::test]
async fn an_object_grows_at_its_end_and_nowhere_else() {
    let (_server, client) = ready().await;
    let pieces = [bytes_of(1, 10), bytes_of(2, 200_000), bytes_of(3, 70_000)];
    let mut whole = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let offset = i64::try_from(whole.len()).unwrap();
        let done = append(&client, "log", offset, piece).await.unwrap();
        whole.extend_from_slice(piece);
        let size = i64::try_from(whole.len()).unwrap();
        assert_eq!(done.size(), (at > 0).then_some(size));
        assert!(get(&client, "log").await == whole);
    }
    let head = client.head_object().bucket(BUCKET).key("log");
    let head = head.checksum_mode(ChecksumMode::Enabled).send().await;
    let head = head.unwrap();
    assert!(head.e_tag().unwrap().ends_with("-3\""), "{head:?}");
    // The checksum is that of the whole: the SDK verifies it when it reads.
    let once = client.put_object().bucket(BUCKET).key("once");
    let once = once.body(whole.clone().into()).send().await.unwrap();
    assert!(head.checksum_crc32().is_some());
    assert_eq!(head.checksum_crc32(), once.checksum_crc32());
    let part = client.get_object().bucket(BUCKET).key("log");
    let part = part.range("bytes=5-200015").send().await.unwrap();
    let part = part.body.collect().await.unwrap().to_vec();
    assert!(part == whole[5..200_016]);
    let invalid = || Err((400, "InvalidWriteOffset".to_owned()));
    for offset in [0, 5, 270_011] {
        let refused = append(&client, "log", offset, b"x").await;
        assert_eq!(refused.map(drop), invalid());
    }
    let missing = append(&client, "none", 3, b"x").await;
    assert_eq!(missing.map(drop), Err((404, "NoSuchKey".to_owned())));
    let more = client.put_object().bucket(BUCKET).key("log").tagging("a=b");
    let more = more.write_offset_bytes(270_010).body(b"x".to_vec().into());
    assert_eq!(fault(more.send().await), (501, "NotImplemented".to_owned()));
    let hashed = client.put_object().bucket(BUCKET).key("hashed");
    let hashed = hashed.checksum_algorithm(ChecksumAlgorithm::Sha256);
    hashed.body(b"x".to_vec().into()).send().await.unwrap();
    let hashed = append(&client, "hashed", 1, b"x").await;
    assert_eq!(hashed.map(drop), Err((400, "InvalidRequest".to_owned())));
    assert!(get(&client, "log").await == whole);
}

#[tokio::test]
async fn of_many_that_append_at_one_place_one_wins() {
    let (_server, client) = ready().await;
    append(&client, "log", 0, b"head").await.unwrap();
    let bodies: Vec<_> = (0..16_u8).map(|number| vec![number; 1000]).collect();
    let all = bodies.iter().map(|body| append(&client, "log", 4, body));
    let all = futures_util::future::join_all(all).await;
    let mut won = None;
    for (outcome, body) in all.into_iter().zip(&bodies) {
        match outcome {
            Ok(_done) => assert!(won.replace(body).is_none(), "two won"),
            Err((400, code)) => assert_eq!(code, "InvalidWriteOffset"),
            Err((409, code)) => assert_eq!(code, "ConditionalRequestConflict"),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(get(&client, "log").await == [b"head", won.unwrap().as_slice()].concat());
}

#[tokio::test]
async fn of_many_that_begin_an_object_one_wins() {
    let (_server, client) = ready().await;
    let bodies: Vec<_> = (1..=16_usize).map(|len| vec![7; len * 10_000]).collect();
    let all = bodies.iter().map(|body| append(&client, "new", 0, body));
    let all = futures_util::future::join_all(all).await;
    let won: Vec<_> = bodies
        .iter()
        .zip(&all)
        .filter(|(_, done)| done.is_ok())
        .collect();
    assert_eq!(won.len(), 1, "{all:?}");
    assert!(get(&client, "new").await == *won[0].0);
}

#[tokio::test]
async fn a_sealed_object_stays_sealed_as_it_grows() {
    let (_server, client) = ready().await;
    let first = client.put_object().bucket(BUCKET).key("k");
    let first = first.server_side_encryption(ServerSideEncryption::Aes256);
    first.body(bytes_of(5, 90_000).into()).send().await.unwrap();
    let grown = append(&client, "k", 90_000, &bytes_of(6, 90_000)).await;
    let aes = Some(&ServerSideEncryption::Aes256);
    assert_eq!(grown.unwrap().server_side_encryption(), aes);
    let whole = [bytes_of(5, 90_000), bytes_of(6, 90_000)].concat();
    assert!(get(&client, "k").await == whole);
}
