//! OSS's signatures: a request that still verifies after a change means the same.

use http::HeaderMap;

use super::input::{Script, split_text};
use super::request::Wire;
use super::signed::{now, ring};
use crate::auth::oss::{OssHead, authenticate, is_sub_resource};
use crate::auth::sigv4::{self, hmac};
use crate::auth::{AuthError, AuthSettings, Grant, PRESIGN_SECONDS_MAX, Who, canonical};
use crate::s3::Query;

fn settings() -> AuthSettings {
    AuthSettings {
        region: "cn-hangzhou".into(),
        service: sigv4::SERVICE,
        presign_seconds_max: PRESIGN_SECONDS_MAX,
        signature_v2: false,
    }
}

/// The bucket is the host's; the key is the path.
fn judge(wire: &Wire) -> Option<Result<Grant, AuthError>> {
    let parts = wire.parts()?;
    let key = canonical::decode(wire.path.get(1..)?, false);
    let key = String::from_utf8(key.into_owned()).ok()?;
    Query::parse(&wire.query).ok()?;
    let head = OssHead {
        method: &wire.method,
        bucket: Some("bucket"),
        key: Some(&key).filter(|key| !key.is_empty()).map(String::as_str),
        raw_query: &wire.query,
        headers: &parts.headers,
        authority: &wire.host,
    };
    Some(authenticate(&head, &ring(), &settings(), now()))
}

/// Adds a claim of the version to the request.
fn claim(wire: &mut Wire, version_4: bool, by_query: bool, signature: &str) {
    let now = now();
    let scope = format!("{}/cn-hangzhou/oss/aliyun_v4_request", now.scope_day());
    let (date, until) = (now.amz_date(), now.unix_s() + 60);
    let encoded = canonical::encode(signature.as_bytes(), false);
    let query = match (version_4, by_query) {
        (true, true) => format!(
            "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential={}&x-oss-date={date}\
             &x-oss-expires=60&x-oss-signature={encoded}",
            canonical::encode(format!("AK/{scope}").as_bytes(), false)
        ),
        (false, true) => format!("OSSAccessKeyId=AK&Expires={until}&Signature={encoded}"),
        (true, false) => {
            let value = format!("OSS4-HMAC-SHA256 Credential=AK/{scope},Signature={signature}");
            wire.headers.insert("authorization", value.parse().unwrap());
            wire.headers.insert("x-oss-date", date.parse().unwrap());
            return;
        }
        (false, false) => {
            let value = format!("OSS AK:{signature}");
            wire.headers.insert("authorization", value.parse().unwrap());
            wire.headers
                .insert("x-oss-date", now.http_date().parse().unwrap());
            return;
        }
    };
    let more = if wire.query.is_empty() { "" } else { "&" };
    wire.query = format!("{}{more}{query}", wire.query);
}

fn sign(text: &str, version_4: bool) -> String {
    if !version_4 {
        return super::signed::sign_v2(text);
    }
    let day = hmac(b"aliyun_v4s", now().scope_day().as_bytes());
    let key = [&b"cn-hangzhou"[..], b"oss", b"aliyun_v4_request"];
    let key = key.iter().fold(day, |key, part| hmac(&key, part));
    sigv4::sign(&key, text)
}

/// What is covered: the key, the parameters that mean something, the headers.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    method: String,
    key: Vec<u8>,
    pairs: Vec<(String, String)>,
    headers: Vec<(String, Vec<u8>)>,
}

fn meaning(wire: &Wire, version_4: bool) -> Meaning {
    let query = Query::parse(&wire.query).unwrap();
    let mut pairs: Vec<_> = query
        .iter()
        .filter(|(name, _)| version_4 || is_sub_resource(name))
        // What has neither name nor value says nothing, and is signed as nothing.
        .filter(|(name, value)| !name.is_empty() || !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    pairs.sort();
    Meaning {
        method: wire.method.to_string(),
        key: canonical::decode(&wire.path, false).into_owned(),
        pairs,
        headers: covered(&wire.headers),
    }
}

fn covered(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let names = headers.keys().map(http::HeaderName::as_str);
    // Others are not signed unless the signer lists them.
    let names = names.filter(|name| {
        name.starts_with("x-oss-") || ["content-type", "content-md5"].contains(name)
    });
    let mut all: Vec<_> = names
        .map(|name| {
            let values: Vec<_> = headers
                .get_all(name)
                .iter()
                .map(|value| value.as_bytes().trim_ascii())
                .collect();
            (name.to_owned(), values.join(&b','))
        })
        .collect();
    all.sort();
    all
}

/// Version 1's own flaw, which no server can mend: `?`, `&` and `=` are signed as they stand.
fn is_ambiguous(wire: &Wire) -> bool {
    let key = canonical::decode(&wire.path, false);
    let pairs = canonical::pairs(&wire.query);
    key.contains(&b'?') || pairs.iter().any(|(_, value)| value.contains(&b'&'))
}

pub(super) fn oss(data: &[u8]) {
    let Some((text, mut script)) = split_text(data) else {
        return;
    };
    let Some((asked, _body)) = Wire::parse(text) else {
        return;
    };
    let kind = script.byte();
    let (version_4, by_query) = (kind & 1 == 1, kind & 2 == 2);
    if !version_4 && is_ambiguous(&asked) {
        return;
    }
    let mut tried = asked.clone();
    claim(&mut tried, version_4, by_query, "AAAA");
    let Some(Err(AuthError::Mismatch(mismatch))) = judge(&tried) else {
        return;
    };
    let mut wire = asked;
    claim(
        &mut wire,
        version_4,
        by_query,
        &sign(&mismatch.string_to_sign, version_4),
    );
    assert!(judge(&wire).unwrap().is_ok(), "{wire:?}");
    let meant = meaning(&wire, version_4);
    check(&wire, &meant, version_4, &mut script);
}

fn check(wire: &Wire, meant: &Meaning, version_4: bool, script: &mut Script<'_>) {
    while !script.is_over() {
        let Some(other) = super::signed::changed(wire, script) else {
            continue;
        };
        let Some(Ok(grant)) = judge(&other) else {
            continue;
        };
        if matches!(grant.who(), Who::Anonymous) || (!version_4 && is_ambiguous(&other)) {
            continue;
        }
        assert_eq!(meaning(&other, version_4), *meant, "{wire:?}\n{other:?}");
    }
}
