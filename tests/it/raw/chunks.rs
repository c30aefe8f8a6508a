//! `aws-chunked` in all forms, whole and spoiled.

use base64::Engine;

use super::wire::{Ask, Signer, absent, ready, sha256};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

fn crc32(bytes: &[u8]) -> String {
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes);
    base64::engine::general_purpose::STANDARD.encode(u32::try_from(sum).unwrap().to_be_bytes())
}

fn start(server: &crate::support::Server, decoded: usize) -> Ask {
    Ask::new(server, "PUT", "/raw/k")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", &decoded.to_string())
}

/// A whole upload with a signature for each chunk, and for the trailer where there is one.
pub(crate) fn signed(
    server: &crate::support::Server,
    parts: &[&[u8]],
    trailer: Option<&str>,
) -> Ask {
    let now = Signer::now();
    let decoded = parts.iter().map(|part| part.len()).sum();
    let mut ask = start(server, decoded);
    if trailer.is_some() {
        ask = ask.header("x-amz-trailer", "x-amz-checksum-crc32");
    }
    let kind = if trailer.is_some() {
        SIGNED_TRAILER
    } else {
        SIGNED
    };
    let (mut ask, mut before) = ask.authorized(&now, kind);
    for part in parts.iter().chain([&b"".as_slice()]) {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{before}\n{EMPTY}\n{}",
            now.date,
            now.scope(),
            sha256(part)
        );
        before = now.sign(&text);
        let head = format!("{:x};chunk-signature={before}\r\n", part.len());
        ask.body.extend_from_slice(head.as_bytes());
        ask.body.extend_from_slice(part);
        if !part.is_empty() || trailer.is_none() {
            ask.body.extend_from_slice(b"\r\n");
        }
    }
    if let Some(sum) = trailer {
        let line = format!("x-amz-checksum-crc32:{sum}\n");
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{before}\n{}",
            now.date,
            now.scope(),
            sha256(line.as_bytes())
        );
        let lines = format!(
            "x-amz-checksum-crc32:{sum}\r\nx-amz-trailer-signature:{}\r\n\r\n",
            now.sign(&text)
        );
        ask.body.extend_from_slice(lines.as_bytes());
    }
    ask
}

fn spoil(ask: &mut Ask, old: &[u8], new: &[u8]) {
    let at = ask
        .body
        .windows(old.len())
        .position(|window| window == old)
        .unwrap();
    ask.body.splice(at..at + old.len(), new.iter().copied());
}

#[tokio::test]
async fn signed_chunks() {
    let server = ready().await;
    let first = vec![b'a'; 8192];
    let good = signed(&server, &[&first, b"the end"], None);
    good.expect(&server, 200, "").await;
    let client = server.client();
    let got = client
        .get_object()
        .bucket("raw")
        .key("k")
        .send()
        .await
        .unwrap();
    // The transfer's own encoding is no part of the object.
    assert_eq!(got.content_encoding(), None);
    assert_eq!(
        got.body.collect().await.unwrap().to_vec(),
        [&first[..], b"the end"].concat()
    );
    client
        .delete_object()
        .bucket("raw")
        .key("k")
        .send()
        .await
        .unwrap();

    let mut bytes = good.clone();
    spoil(&mut bytes, b"the end", b"the fin");
    bytes.expect(&server, 403, "SignatureDoesNotMatch").await;
    let mut mark = good.clone();
    spoil(&mut mark, b"0;chunk-signature=", b"0;chunk-signature=0");
    let answer = mark.send(&server).await;
    assert!(matches!(answer.status, 400 | 403), "{answer:?}");
    let mut cut = good.clone();
    cut.body.truncate(4000);
    let answer = cut.send(&server).await;
    assert!(matches!(answer.status, 400 | 403), "{answer:?}");
    absent(&server, "k").await;
}

#[tokio::test]
async fn signed_chunks_with_a_trailer() {
    let server = ready().await;
    signed(&server, &[b"hello"], Some(&crc32(b"hello")))
        .expect(&server, 200, "")
        .await;
    let client = server.client();
    client
        .delete_object()
        .bucket("raw")
        .key("k")
        .send()
        .await
        .unwrap();
    let wrong = signed(&server, &[b"hello"], Some(&crc32(b"other")));
    wrong.expect(&server, 400, "BadDigest").await;
    let mut forged = signed(&server, &[b"hello"], Some(&crc32(b"other")));
    spoil(
        &mut forged,
        crc32(b"other").as_bytes(),
        crc32(b"hello").as_bytes(),
    );
    forged.expect(&server, 403, "SignatureDoesNotMatch").await;
    absent(&server, "k").await;
}

#[tokio::test]
async fn unsigned_chunks_with_a_trailer() {
    let server = ready().await;
    let now = Signer::now();
    let ask = |secret: &str, sum: &str| {
        let signer = Signer {
            secret: secret.to_owned(),
            ..now.clone()
        };
        let ask = start(&server, 5).header("x-amz-trailer", "x-amz-checksum-crc32");
        let body = format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n");
        ask.authorized(&signer, UNSIGNED_TRAILER)
            .0
            .body(body.as_bytes())
    };
    ask(&now.secret, &crc32(b"hello"))
        .expect(&server, 200, "")
        .await;
    let client = server.client();
    client
        .delete_object()
        .bucket("raw")
        .key("k")
        .send()
        .await
        .unwrap();
    ask(&now.secret, &crc32(b"other"))
        .expect(&server, 400, "BadDigest")
        .await;
    // The head is signed though the chunks are not (CVE-2025-31489).
    let forged = ask("guess", &crc32(b"hello"));
    forged.expect(&server, 403, "SignatureDoesNotMatch").await;
    absent(&server, "k").await;
}
