//! Demands that are about the bytes: how many, of which type, with what proof.

use base64::Engine;

use super::super::wire::{Ask, Signer, absent, ready};
use super::{presigned, put};

const RANGE: &str = "x-consign-content-length-range";

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn as_many_bytes_as_the_signer_allows() {
    let server = ready().await;
    for (range, len, code) in [
        ("3,5", 2, "EntityTooSmall"),
        ("3,5", 3, ""),
        ("3,5", 5, ""),
        ("3,5", 6, "EntityTooLarge"),
        ("0,0", 0, ""),
        ("0,0", 1, "EntityTooLarge"),
        ("1,70000", 0, "EntityTooSmall"),
        ("1,70000", 70_000, ""),
        ("1,70000", 70_001, "EntityTooLarge"),
    ] {
        let body = vec![b'x'; len];
        let key = format!("{}-{len}", range.replace(',', "-"));
        let answer = put(&server, &key, &[(RANGE, range)], &body).await;
        let status = if code.is_empty() { 200 } else { 400 };
        assert_eq!(answer.status, status, "{range} {len}: {answer:?}");
        assert!(answer.text.contains(code), "{range} {len}: {answer:?}");
        if status == 400 {
            assert!(answer.text.contains("SizeAllowed>"), "{answer:?}");
            absent(&server, &key).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_never_asked_for() {
    let server = ready().await;
    let ask = presigned(&server, "PUT", "/raw/no", &[(RANGE, "0,9")]);
    let ask = ask.header("expect", "100-continue");
    let huge = ask.clone().header("content-length", "5000000000");
    let answer = huge.expect(&server, 400, "EntityTooLarge").await;
    assert!(!answer.text.contains("100 Continue"), "{answer:?}");
    let fits = ask.body(b"meow").send(&server).await;
    assert!(
        fits.text.contains("100 Continue") && fits.text.contains("200 OK"),
        "{fits:?}"
    );
    let unknown = presigned(&server, "PUT", "/raw/no", &[(RANGE, "0,9")]);
    let mut unknown = unknown.header("transfer-encoding", "chunked");
    unknown
        .headers
        .push(("content-length".to_owned(), String::new()));
    let answer = unknown.send(&server).await;
    assert!(matches!(answer.status, 400 | 411), "{answer:?}");
}

/// An upload in unsigned chunks that claims to have `claimed` bytes.
fn chunked(server: &crate::support::Server, bytes: &[u8], claimed: usize) -> Ask {
    let ask = Ask::new(server, "PUT", "/raw/chunked")
        .query(RANGE, "3,5")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .header("x-amz-decoded-content-length", &claimed.to_string());
    let kind = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let (mut ask, _) = ask.authorized(&Signer::now(), kind);
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes);
    let sum = base64(&u32::try_from(sum).unwrap().to_be_bytes());
    let mut body = Vec::new();
    for byte in bytes {
        body.extend_from_slice(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n']);
    }
    body.extend_from_slice(format!("0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n").as_bytes());
    ask.body = body;
    ask
}

#[tokio::test]
async fn chunks_are_counted_whatever_their_length_is_said_to_be() {
    let server = ready().await;
    for (len, claimed, code) in [
        (2, 2, "EntityTooSmall"),
        (6, 6, "EntityTooLarge"),
        (6, 5, "IncompleteBody"),
        (2, 3, "IncompleteBody"),
        (2000, 4, "IncompleteBody"),
    ] {
        let ask = chunked(&server, &vec![b'x'; len], claimed);
        ask.expect(&server, 400, code).await;
    }
    absent(&server, "chunked").await;
    for len in [3, 5] {
        chunked(&server, &vec![b'x'; len], len)
            .expect(&server, 200, "")
            .await;
    }
}

#[tokio::test]
async fn of_the_types_that_the_signer_allows() {
    let server = ready().await;
    let demand = [("x-consign-content-type", "image/*,application/pdf")];
    for (kind, status) in [
        (Some("image/png"), 200),
        (Some("Image/SVG+xml; charset=utf-8"), 200),
        (Some("application/pdf"), 200),
        (Some("application/pdfa"), 403),
        (Some("text/html"), 403),
        (Some("image/png, text/html"), 403),
        (Some("image/*"), 403),
        (Some(""), 403),
        (None, 403),
    ] {
        let mut ask = presigned(&server, "PUT", "/raw/typed", &demand).body(b"meow");
        // A header that was not signed: the client's own choice.
        ask.headers
            .extend(kind.map(|kind| ("content-type".to_owned(), kind.to_owned())));
        let code = if status == 200 { "" } else { "AccessDenied" };
        let answer = ask.expect(&server, status, code).await;
        let said = answer.text.contains("image/*,application/pdf");
        assert!(status == 200 || said, "{kind:?}: {answer:?}");
    }
    let twice = presigned(&server, "PUT", "/raw/typed", &demand)
        .header("content-type", "image/png")
        .header("content-type", "text/html");
    twice
        .body(b"meow")
        .expect(&server, 403, "AccessDenied")
        .await;
}

#[tokio::test]
async fn with_the_proof_that_the_signer_demands() {
    let server = ready().await;
    let demand = ("x-consign-require", "checksum");
    let bare = presigned(&server, "PUT", "/raw/proven", &[demand]);
    let answer = bare
        .body(b"hello")
        .expect(&server, 400, "InvalidRequest")
        .await;
    assert!(
        answer.text.contains("x-consign-require=checksum"),
        "{answer:?}"
    );
    // What an SDK signs into a URL before there are bytes proves nothing.
    let hoisted = [
        demand,
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
    ];
    let hoisted = presigned(&server, "PUT", "/raw/proven", &hoisted);
    hoisted
        .body(b"hello")
        .expect(&server, 400, "InvalidRequest")
        .await;
    absent(&server, "proven").await;
    for (name, right, wrong) in [
        (
            "content-md5",
            "XUFAKrxLKna5cZ2REBfFkg==",
            "AAAAAAAAAAAAAAAAAAAAAA==",
        ),
        ("x-amz-checksum-crc32", "NhCmhg==", "AAAAAA=="),
    ] {
        for (value, status, code) in [(wrong, 400, "BadDigest"), (right, 200, "")] {
            let ask = Ask::new(&server, "PUT", "/raw/proven").query(demand.0, demand.1);
            let ask = ask.header(name, value).presigned(&Signer::now(), "600");
            ask.body(b"hello").expect(&server, status, code).await;
        }
    }
}

#[tokio::test]
async fn an_append_keeps_them_for_its_own_bytes() {
    let server = ready().await;
    let append = |offset: &str, demand: (&str, &str)| {
        let ask = Ask::new(&server, "PUT", "/raw/log").query(demand.0, demand.1);
        let ask = ask.header("x-amz-write-offset-bytes", offset);
        ask.presigned(&Signer::now(), "600").body(b"meow")
    };
    append("0", (RANGE, "5,9"))
        .expect(&server, 400, "EntityTooSmall")
        .await;
    append("0", (RANGE, "4,4")).expect(&server, 200, "").await;
    append("4", (RANGE, "0,3"))
        .expect(&server, 400, "EntityTooLarge")
        .await;
    append("4", (RANGE, "4,4")).expect(&server, 200, "").await;
    let once = append("8", ("x-consign-once", "1"));
    once.expect(&server, 200, "").await;
    once.expect(&server, 403, "AccessDenied").await;
    append("12", ("x-consign-require", "checksum"))
        .expect(&server, 400, "InvalidRequest")
        .await;
}
