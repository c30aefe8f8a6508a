//! Work that needs no service: signatures, canonical forms, chunks, keys, records.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;

use super::{Case, case};
use crate::auth::presign::{Signer, Target, presign_url, sign_header};
use crate::auth::{AuthSettings, PRESIGN_SECONDS_MAX, Secret, authenticate, canonical, sigv4};
use crate::clock::Timestamp;
use crate::id::{BucketId, InlineId};
use crate::s3::Head;
use crate::s3::body::aws_chunked::{Decoder, Framing};
use crate::s3::fixture::{OneKey, root_key};
use crate::store::record::{Segment, decode, encode};
use crate::store::{ETag, ObjectRecord, keyspace};

/// How often work of some ten thousand instructions is counted,
const SHORT: u32 = 2_000;
/// and how often work of some hundred.
const TINY: u32 = 20_000;

pub(super) const KEY: &str = "photos/2026/11/a picture of some length.jpeg";

pub(super) fn now() -> Timestamp {
    Timestamp::from_unix_s(1_369_353_600)
}

/// The path and query of a presigned URL by the root key.
pub(super) fn presigned(method: &str, path: &str, query: &[(&str, &str)]) -> String {
    let secret = Secret::new("s");
    let target = target(method, path, query);
    let url = presign_url(&signer(&secret), &target, &HeaderMap::new(), 600, now());
    url.strip_prefix("http://h").unwrap().to_owned()
}

fn signer(secret: &Secret) -> Signer<'_> {
    Signer {
        access_key: "AK",
        secret,
        region: "us-east-1",
    }
}

fn target<'a>(method: &'a str, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Target<'a> {
    Target {
        method,
        endpoint: "http://h",
        path,
        query,
    }
}

/// The head of a request without a body.
pub(super) fn parts(method: &str, uri: &str, headers: HeaderMap) -> Parts {
    let request = http::Request::builder().method(method).uri(uri);
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    parts.headers = headers;
    parts.headers.insert("host", "h".parse().unwrap());
    parts
}

/// A record as a small object has it.
pub(super) fn record() -> ObjectRecord {
    let segment = Segment::Inline(InlineId::from_bytes([7; 16]), 4096);
    let mut record = ObjectRecord::new(
        "0123456789012345678901234567890123456789012345678901234567890123".into(),
        now(),
        1,
        ETag::md5([7; 16]),
        (4096, vec![segment]),
    );
    record.headers.content_type = Some("image/jpeg".into());
    record
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("verify a presigned URL", SHORT, || {
            verification(presigned_parts())
        }),
        case("verify a signed header", SHORT, || {
            verification(signed_parts())
        }),
        case("canonical query", SHORT, || {
            let raw = presigned_parts().uri.query().unwrap().to_owned();
            move || {
                let pairs = canonical::pairs(black_box(&raw));
                assert!(!canonical::query(pairs.iter()).is_empty());
            }
        }),
        case("parse a head", SHORT, || {
            let parts = presigned_parts();
            move || {
                Head::parse(black_box(&parts), &[]).unwrap();
            }
        }),
        case("decode 1 MiB of chunks", SHORT, chunks),
        case("encode a version's key", TINY, || {
            || {
                let key = keyspace::version(BucketId(7), black_box(KEY), 9);
                assert!(key.len() > KEY.len());
            }
        }),
        case("encode a record", TINY, || {
            || {
                encode(black_box(&record())).unwrap();
            }
        }),
        case("decode a record", TINY, || {
            let raw = encode(&record()).unwrap();
            move || {
                let record: ObjectRecord = decode(black_box(&raw), "a record").unwrap();
                assert_eq!(record.len, 4096);
            }
        }),
    ]
}

fn presigned_parts() -> Parts {
    let path = format!("/bucket/{KEY}");
    parts("GET", &presigned("GET", &path, &[]), HeaderMap::new())
}

fn signed_parts() -> Parts {
    let path = format!("/bucket/{KEY}");
    let (secret, target) = (Secret::new("s"), target("GET", &path, &[]));
    let mut headers = HeaderMap::new();
    headers.insert("host", "h".parse().unwrap());
    sign_header(
        &signer(&secret),
        &target,
        &mut headers,
        sigv4::EMPTY_SHA256,
        now(),
    );
    parts("GET", &target.raw_path(), headers)
}

fn verification(parts: Parts) -> impl FnMut() {
    let ring = OneKey(Arc::new(root_key("owner")));
    let settings = AuthSettings {
        region: "us-east-1".into(),
        service: sigv4::SERVICE,
        presign_seconds_max: PRESIGN_SECONDS_MAX,
        signature_v2: false,
    };
    let head = Head::parse(&parts, &[]).unwrap();
    move || {
        let signed = head.signed(black_box(&parts.headers), None);
        let grant = authenticate(&signed, &ring, &settings, now()).unwrap();
        assert!(grant.who().key().is_some());
    }
}

/// 1 MiB in chunks of 64 KiB, which arrive in pieces of 16 KiB.
fn chunks() -> impl FnMut() {
    let mut body = Vec::new();
    for _chunk in 0..16 {
        let signature = "0".repeat(64);
        body.extend(format!("10000;chunk-signature={signature}\r\n").bytes());
        body.extend(std::iter::repeat_n(b'x', 65_536));
        body.extend(b"\r\n");
    }
    body.extend(format!("0;chunk-signature={}\r\n\r\n", "0".repeat(64)).bytes());
    let pieces: Vec<Bytes> = body.chunks(16_384).map(Bytes::copy_from_slice).collect();
    move || {
        let framing = Framing {
            signed: true,
            trailer: false,
        };
        let (mut decoder, mut out) = (Decoder::new(framing), Vec::new());
        for piece in black_box(&pieces) {
            decoder.push(piece.clone(), &mut out).unwrap();
            out.clear();
        }
        assert!(decoder.is_done());
    }
}
