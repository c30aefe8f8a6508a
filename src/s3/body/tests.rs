use http_body_util::Full;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::*;

/// Takes the hexadecimal SHA-256 itself for a signature.
#[derive(Debug)]
struct HashIsSignature;

impl ChunkVerifier for HashIsSignature {
    fn chunk(&mut self, sha256: [u8; 32], signature: &str) -> bool {
        hex::encode(sha256) == signature
    }

    fn trailer(&mut self, sha256: [u8; 32], signature: &str) -> bool {
        hex::encode(sha256) == signature
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Algorithm::Sha256.digest(bytes))
}

fn payload(body: impl Into<Bytes>, sent: &[(&'static str, &str)], proof: Proof) -> Payload {
    let body = body.into();
    let mut headers = HeaderMap::new();
    headers.insert("content-length", body.len().into());
    for (name, value) in sent {
        headers.insert(*name, value.parse().unwrap());
    }
    Payload::new(Full::new(body), headers, proof, Duration::from_secs(5))
}

async fn receive(
    body: impl Into<Bytes>,
    sent: &[(&'static str, &str)],
    proof: Proof,
) -> Result<(Vec<u8>, Digest), S3Error> {
    let payload = payload(body, sent, proof);
    let mut sink = Vec::new();
    let want = ReceiveOptions {
        max_len: 8 << 20,
        ..ReceiveOptions::default()
    };
    let digest = payload.receive_into(&mut sink, want).await?;
    Ok((sink, digest))
}

#[tokio::test]
async fn a_document_is_held_to_the_md5_that_came_with_it() {
    // Small, and as large as what is hashed elsewhere.
    for body in [vec![7_u8; 9], vec![7; 1 << 20]] {
        let read = |sent: &[(&'static str, &str)]| {
            payload(body.clone(), sent, Proof::Unsigned).bytes(2 << 20)
        };
        let own = BASE64.encode(Algorithm::Md5.digest(&body));
        assert_eq!(read(&[]).await.unwrap(), body);
        assert_eq!(read(&[("content-md5", &own)]).await.unwrap(), body);
        let refused = read(&[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")]).await;
        assert_eq!(refused.unwrap_err().code(), Code::BadDigest);
    }
}

#[tokio::test]
async fn a_plain_body_is_digested() {
    let (bytes, digest) = receive("123456789", &[], Proof::Unsigned).await.unwrap();
    assert_eq!(bytes, b"123456789");
    assert_eq!(
        hex::encode(digest.md5.unwrap()),
        "25f9e794323b453885f5181f1b624d0b"
    );
    assert_eq!(hex::encode(digest.checksum.digest), "ae8b14860a799888");
    let large = vec![7_u8; 3 << 20];
    let (_, digest) = receive(large.clone(), &[], Proof::Unsigned).await.unwrap();
    assert_eq!(digest.md5.unwrap().to_vec(), Algorithm::Md5.digest(&large));
}

/// More bodies than lanes, of odd lengths and in odd pieces; one of them is broken on its way.
#[tokio::test]
async fn bodies_that_come_at_once_are_each_digested_alone() {
    use md5::Digest as _;
    let bodies = (1..40_usize).map(async |number| {
        let len = 100_000 + number * 54_321;
        let byte = |at: usize| ((at * number) >> 3).to_le_bytes()[0];
        let body: Vec<u8> = (0..len).map(byte).collect();
        let expected: [u8; 16] = md5::Md5::digest(&body).into();
        let broken = number % 13 == 5;
        let pieces = body.chunks(1 + number * 7001).map(Bytes::copy_from_slice);
        let pieces: Vec<Result<Bytes, S3Error>> = pieces.map(Ok).collect();
        let cut = if broken {
            pieces.len() / 2
        } else {
            pieces.len()
        };
        let end = broken.then(|| Err(S3Error::new(Code::IncompleteBody)));
        let pieces = pieces.into_iter().take(cut).chain(end);
        let want = ReceiveOptions::default();
        let mut sink = Vec::new();
        let headers = HeaderMap::new();
        let outcome = receive_stream(stream::iter(pieces), &headers, &mut sink, want).await;
        match outcome {
            Ok(digest) => assert!(!broken && digest.md5 == Some(expected), "{number}"),
            Err(error) => assert!(broken, "{number}: {error}"),
        }
    });
    futures_util::future::join_all(bodies).await;
}

#[tokio::test]
async fn what_is_wanted_of_a_body_is_judged_by_its_length_and_its_proof() {
    let take = async |body: &'static str, sent: &[(&'static str, &str)], proof, want| {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", body.len().into());
        for (name, value) in sent {
            headers.insert(*name, value.parse().unwrap());
        }
        let idle = Duration::from_secs(5);
        let payload = Payload::new(
            Full::new(Bytes::from_static(body.as_bytes())),
            headers,
            proof,
            idle,
        );
        let taken = payload.receive_into(&mut Vec::new(), want).await;
        taken.map_or_else(|error| Some(error.code()), |_digest| None)
    };
    let some = ReceiveOptions {
        min_len: 2,
        max_len: 4,
        ..ReceiveOptions::default()
    };
    for (body, code) in [
        ("1", Some(Code::EntityTooSmall)),
        ("12", None),
        ("1234", None),
        ("12345", Some(Code::EntityTooLarge)),
    ] {
        assert_eq!(take(body, &[], Proof::Unsigned, some).await, code, "{body}");
    }
    let proven = ReceiveOptions {
        needs_checksum: true,
        ..ReceiveOptions::default()
    };
    let missing = Some(Code::InvalidRequest);
    let sha256 = Proof::Sha256(Algorithm::Sha256.digest(b"hello").try_into().unwrap());
    assert_eq!(take("hello", &[], sha256, proven).await, None);
    for (sent, code) in [
        (&[][..], missing),
        // The name of an algorithm asks the server to compute it: that proves nothing.
        (&[("x-amz-sdk-checksum-algorithm", "CRC32")], missing),
        (&[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], None),
        (
            &[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")],
            Some(Code::BadDigest),
        ),
        (&[("x-amz-checksum-crc32", "NhCmhg==")], None),
        (
            &[("x-amz-checksum-crc32", "AAAAAA==")],
            Some(Code::BadDigest),
        ),
    ] {
        assert_eq!(
            take("hello", sent, Proof::Unsigned, proven).await,
            code,
            "{sent:?}"
        );
    }
}

#[tokio::test]
async fn each_claim_is_judged() {
    let right = Proof::Sha256(Algorithm::Sha256.digest(b"hello").try_into().unwrap());
    assert!(receive("hello", &[], right).await.is_ok());
    let rows: [(&[(&'static str, &str)], Code); 6] = [
        (&[("content-md5", "000")], Code::InvalidDigest),
        (
            &[("content-md5", "CYketZBSTjX8czcs3cXVlg==")],
            Code::BadDigest,
        ),
        (&[("x-amz-checksum-crc32", "AAAAAA==")], Code::BadDigest),
        (&[("x-amz-checksum-crc32", "AAAA")], Code::InvalidRequest),
        (&[("content-length", "6")], Code::IncompleteBody),
        (&[("content-length", "9999999999")], Code::EntityTooLarge),
    ];
    for (sent, code) in rows {
        let error = receive("hello", sent, Proof::Unsigned).await.unwrap_err();
        assert_eq!(error.code(), code, "{sent:?}");
    }
    let wrong = receive("hello", &[], Proof::Sha256([0; 32]))
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), Code::XAmzContentSHA256Mismatch);
}

#[tokio::test]
async fn each_chunks_signature_is_judged() {
    let chunk = |signature: &str| {
        format!(
            "5;chunk-signature={signature}\r\nhello\r\n0;chunk-signature={}\r\n\r\n",
            sha256(b"")
        )
    };
    let signed = || Proof::SignedChunks {
        verifier: Box::new(HashIsSignature),
        trailer: false,
    };
    let len = ("x-amz-decoded-content-length", "5");
    let (bytes, _) = receive(chunk(&sha256(b"hello")), &[len], signed())
        .await
        .unwrap();
    assert_eq!(bytes, b"hello");
    let error = receive(chunk(&sha256(b"other")), &[len], signed())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::SignatureDoesNotMatch);
    let cut = chunk(&sha256(b"hello"));
    for at in 0..cut.len() {
        let part = cut.get(..at).unwrap().to_owned();
        let error = receive(part, &[len], signed()).await.unwrap_err();
        assert_eq!(error.code(), Code::IncompleteBody, "{at}");
    }
    let none = receive(chunk(&sha256(b"hello")), &[], signed())
        .await
        .unwrap_err();
    assert_eq!(none.code(), Code::MissingContentLength);
}

#[tokio::test]
async fn trailers_are_judged() {
    let crc = BASE64.encode(Algorithm::Crc32.digest(b"hello"));
    let sent = [
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ];
    let body = |crc: &str| format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n");
    let (_, digest) = receive(body(&crc), &sent, Proof::UnsignedTrailer)
        .await
        .unwrap();
    assert_eq!(digest.checksum.text(), crc);
    for (body, code) in [
        (body("AAAAAA=="), Code::BadDigest),
        (body("AA"), Code::InvalidRequest),
        (
            "5\r\nhello\r\n0\r\n\r\n".to_owned(),
            Code::MalformedTrailerError,
        ),
    ] {
        let error = receive(body, &sent, Proof::UnsignedTrailer)
            .await
            .unwrap_err();
        assert_eq!(error.code(), code);
    }
    let signed = |trailer: &str| {
        let (chunk, last) = (sha256(b"hello"), sha256(b""));
        let body = format!(
            "5;chunk-signature={chunk}\r\nhello\r\n0;chunk-signature={last}\r\n\
             x-amz-checksum-crc32:{crc}\r\nx-amz-trailer-signature:{trailer}\r\n\r\n"
        );
        let proof = Proof::SignedChunks {
            verifier: Box::new(HashIsSignature),
            trailer: true,
        };
        (body, proof)
    };
    let canonical = sha256(format!("x-amz-checksum-crc32:{crc}\n").as_bytes());
    let (body, proof) = signed(&canonical);
    assert!(receive(body, &sent, proof).await.is_ok());
    let (body, proof) = signed(&sha256(b""));
    let error = receive(body, &sent, proof).await.unwrap_err();
    assert_eq!(error.code(), Code::SignatureDoesNotMatch);
}

#[tokio::test]
async fn a_length_has_digits_alone() {
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    let announced = |len: &'static str| async move {
        let sent = [("x-amz-decoded-content-length", len)];
        let received = receive(chunked, &sent, Proof::UnsignedTrailer).await;
        received
            .map(|(bytes, _)| bytes)
            .map_err(|error| error.code())
    };
    assert_eq!(announced("5").await, Ok(b"hello".to_vec()));
    for len in ["+5", "-5", "", "0x5", "5.0", "18446744073709551616"] {
        assert_eq!(announced(len).await, Err(Code::InvalidArgument), "{len}");
    }
}

#[tokio::test]
async fn a_trailer_is_heeded_or_refused() {
    let body = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let more = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\na:b\r\n\r\n";
    let received = |body: &'static str, announced: Option<&'static str>| async move {
        let mut sent = vec![("x-amz-decoded-content-length", "5")];
        sent.extend(announced.map(|name| ("x-amz-trailer", name)));
        let received = receive(body, &sent, Proof::UnsignedTrailer).await;
        received.map(|_whole| ()).map_err(|error| error.code())
    };
    let crc32 = Some("x-amz-checksum-crc32");
    assert_eq!(received(body, crc32).await, Ok(()));
    for (body, announced) in [(body, None), (more, crc32)] {
        let refused = received(body, announced).await;
        assert_eq!(refused, Err(Code::MalformedTrailerError));
    }
}
