//! AWS's published examples, and our own signer against them.

use super::*;

#[test]
fn awss_published_examples_are_verified() {
    let text = include_str!("../../../data/vectors/sigv4.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    for case in &cases {
        let get = |name: &str| case[name].as_str().unwrap().to_owned();
        let headers = case["headers"].as_object().unwrap().iter().map(|(n, v)| {
            let name = HeaderName::from_bytes(n.as_bytes()).unwrap();
            (name, HeaderValue::from_str(v.as_str().unwrap()).unwrap())
        });
        let sent = Sent {
            method: get("method").parse().unwrap(),
            path: get("path"),
            query: get("query"),
            headers: headers.collect(),
            authority: get("authority"),
            bucket: None,
        };
        let grant = sent.judge(Timestamp::parse_amz_date(&get("now")).unwrap());
        let (_, body, _) = grant
            .unwrap_or_else(|e| panic!("{}: {e:?}", get("name")))
            .into_parts();
        let Some(chunks) = case["chunks"].as_array() else {
            continue;
        };
        let BodyProof::SignedChunks { mut chain, trailer } = body else {
            panic!("no chunks")
        };
        for chunk in chunks {
            let data = vec![b'a'; usize::try_from(chunk["a"].as_u64().unwrap()).unwrap()];
            let signature = chunk["signature"].as_str().unwrap();
            assert!(
                chain.verify_chunk(Sha256::digest(data).into(), signature),
                "{signature}"
            );
        }
        assert_eq!(trailer, case["trailer"].is_object());
        if trailer {
            let text = case["trailer"]["text"].as_str().unwrap();
            let signature = case["trailer"]["signature"].as_str().unwrap();
            assert!(chain.verify_trailer(Sha256::digest(text).into(), signature));
            assert!(!chain.verify_trailer(Sha256::digest(text).into(), signature));
        }
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
#[test]
fn our_signer_makes_awss_own_presigned_example() {
    let secret = Secret::new(SK);
    let signer = signer(&secret);
    let target = Target {
        method: "GET",
        endpoint: "https://examplebucket.s3.amazonaws.com",
        path: "/test.txt",
        query: &[],
    };
    let url = presign_url(&signer, &target, &HeaderMap::new(), 86_400, t0());
    let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert!(url.ends_with(signature), "{url}");
}

#[test]
fn what_our_signer_signs_is_let_in() {
    assert_eq!(
        by_header(AK, SK, "us-east-1", "UNSIGNED-PAYLOAD").code(),
        "ok"
    );
    assert_eq!(by_query(SK, HeaderMap::new(), 60).code(), "ok");
    let mut sent = by_query(SK, HeaderMap::new(), 60);
    sent.authority = "h:80".into();
    assert_eq!(sent.code(), "ok");
    let stranger = Sent {
        query: String::new(),
        ..sent
    };
    assert!(matches!(
        stranger.judge(t0()).unwrap().who(),
        Who::Anonymous
    ));
}
