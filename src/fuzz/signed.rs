//! Signature Version 4 in the header and in the query: what a client signs is verified, and nothing
//! else is, whatever somebody makes of it on its way.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sha1::Sha1;

use super::input::{Script, split_text};
use super::request::{Meaning, Wire};
use crate::auth::constraint::{Constraint, Duties};
use crate::auth::presign::{Signer, Target, presign_url, sign_header};
use crate::auth::{
    AuthError, AuthSettings, Grant, PRESIGN_SECONDS_MAX, Secret, SignedHead, Who, authenticate,
    canonical, sigv4,
};
use crate::clock::Timestamp;
use crate::s3::Head;
use crate::s3::fixture::{OneKey, root_key};

const SECONDS: u64 = 600;
const SIGNATURE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

pub(super) fn now() -> Timestamp {
    Timestamp::from_unix_s(1_369_353_600)
}

pub(super) fn ring() -> OneKey {
    OneKey(std::sync::Arc::new(root_key("owner")))
}

fn settings(signature_v2: bool) -> AuthSettings {
    AuthSettings {
        region: "us-east-1".into(),
        service: sigv4::SERVICE,
        presign_seconds_max: PRESIGN_SECONDS_MAX,
        signature_v2,
    }
}

fn judge(wire: &Wire, version_2: bool) -> Option<(Head, Result<Grant, AuthError>)> {
    let (parts, head) = wire.head()?;
    let signed = SignedHead {
        heeds: Constraint::OF_OBJECT,
        ..head.signed(&parts.headers, None)
    };
    let judged = authenticate(&signed, &ring(), &settings(version_2), now());
    Some((head, judged))
}

/// What a grant lets its holder do.
fn granted(grant: &Grant) -> (String, String, Duties) {
    let key = grant.who().key().map(|key| key.access_key.clone());
    let body = format!("{:?}", grant.body());
    (key.unwrap_or_default(), body, grant.duties().clone())
}

/// The parameters in their decoded form, which is what the signers take.
fn decoded(query: &str) -> Option<Vec<(String, String)>> {
    let pairs = canonical::pairs(query).into_iter();
    pairs
        .map(|(name, value)| {
            Some((
                String::from_utf8(name.into_owned()).ok()?,
                String::from_utf8(value.into_owned()).ok()?,
            ))
        })
        .collect()
}

/// The request of the input, signed.
pub(super) fn sign(asked: &Wire, by_header: bool) -> Option<Wire> {
    let path = String::from_utf8(canonical::decode(&asked.path, false).into_owned()).ok()?;
    let query = decoded(&asked.query)?;
    let query: Vec<_> = query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let endpoint = format!("http://{}", asked.host);
    let target = Target {
        method: asked.method.as_str(),
        endpoint: &endpoint,
        path: &path,
        query: &query,
    };
    let secret = Secret::new("s");
    let signer = Signer {
        access_key: "AK",
        secret: &secret,
        region: "us-east-1",
    };
    let mut headers = asked.headers.clone();
    let (path, query) = if by_header {
        let payload = canonical::header_value(&headers, "x-amz-content-sha256");
        let payload = payload.map_or_else(|| "UNSIGNED-PAYLOAD".to_owned(), Cow::into_owned);
        sign_header(&signer, &target, &mut headers, &payload, now());
        (target.raw_path(), target.raw_query())
    } else {
        let url = presign_url(&signer, &target, &headers, SECONDS, now());
        let (path, query) = url.strip_prefix(&endpoint)?.split_once('?')?;
        (path.to_owned(), query.to_owned())
    };
    Some(Wire {
        path,
        query,
        headers,
        ..asked.clone()
    })
}

/// The signed request with a decided change.
pub(super) fn changed(wire: &Wire, script: &mut Script<'_>) -> Option<Wire> {
    let mut other = wire.clone();
    match script.byte() % 6 {
        0 => other.path = script.edit(&wire.path),
        1 => other.query = script.edit(&wire.query),
        2 => other.host = script.edit(&wire.host),
        3 => {
            other.method = Method::from_bytes(script.edit(wire.method.as_str()).as_bytes()).ok()?
        }
        4 => {
            let names: Vec<_> = wire.headers.keys().cloned().collect();
            let name = names.get(script.below(names.len()))?;
            let old: Vec<_> = wire.headers.get_all(name).iter().collect();
            let old = old.get(script.below(old.len()))?;
            let mut bytes = old.as_bytes().to_vec();
            match std::str::from_utf8(&bytes) {
                Ok(text) if script.byte() & 3 != 0 => bytes = script.edit(text).into_bytes(),
                _ => {
                    let at = script.below(bytes.len());
                    *bytes.get_mut(at)? = script.byte();
                }
            }
            other
                .headers
                .insert(name, HeaderValue::from_bytes(&bytes).ok()?);
        }
        _ => {
            let name = NAMES[script.below(NAMES.len())];
            let value = HeaderValue::from_bytes(&[script.byte(), script.byte()]).ok()?;
            if script.byte() & 1 == 1 {
                other.headers.append(HeaderName::from_static(name), value);
            } else {
                drop(other.headers.remove(name));
            }
        }
    }
    Some(other)
}

const NAMES: &[&str] = &[
    "x-amz-acl",
    "x-amz-meta-a",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "authorization",
    "date",
    "if-match",
    "x-amz-copy-source",
];

/// Whatever somebody makes of a signed request: where it still verifies, it means the same.
fn check_changes(wire: &Wire, version_2: bool, script: &mut Script<'_>) {
    let Some((head, Ok(grant))) = judge(wire, version_2) else {
        return;
    };
    // A changed session's token, or none where there was one, is another claim.
    let counts = |name: &str| name.starts_with("x-amz-") && name != "x-amz-content-sha256";
    let meant = Meaning::of(&head, counts);
    while !script.is_over() {
        let Some(other) = changed(wire, script) else {
            continue;
        };
        let Some((head, Ok(found))) = judge(&other, version_2) else {
            continue;
        };
        if matches!(found.who(), Who::Anonymous) {
            continue;
        }
        assert_eq!(granted(&found), granted(&grant), "{wire:?}\n{other:?}");
        let means = Meaning::of(&head, counts);
        assert_eq!(means, meant, "{wire:?}\n{other:?}");
    }
}

fn check(data: &[u8], by_header: bool) {
    let Some((text, mut script)) = split_text(data) else {
        return;
    };
    let Some((asked, _body)) = Wire::parse(text) else {
        return;
    };
    let Some(wire) = sign(&asked, by_header) else {
        return;
    };
    if let Some((_head, judged)) = judge(&wire, false) {
        // Who signs as we do is never told that it signed something else.
        assert!(
            !matches!(judged, Err(AuthError::Mismatch(_))),
            "{wire:?} {judged:?}"
        );
    }
    check_changes(&wire, false, &mut script);
}

/// A presigned URL.
pub(super) fn presigned(data: &[u8]) {
    check(data, false);
}

/// A signed header.
pub(super) fn header(data: &[u8]) {
    check(data, true);
}

/// A text that Version 2 signs, by whoever has the secret.
pub(super) fn sign_v2(text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(b"s").unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Signature Version 2, in the header and in the query.
pub(super) fn version_2(data: &[u8]) {
    let Some((text, mut script)) = split_text(data) else {
        return;
    };
    let Some((mut wire, _body)) = Wire::parse(text) else {
        return;
    };
    // Its own flaw, which no server can mend: a value that holds `&` is signed as if it were two.
    let Some(pairs) = decoded(&wire.query) else {
        return;
    };
    if pairs.iter().any(|(_, value)| value.contains('&')) {
        return;
    }
    let by_query = script.byte() & 1 == 1;
    let claim = |wire: &mut Wire, signature: &str| {
        if by_query {
            let until = now().unix_s() + 60;
            let signature = canonical::encode(signature.as_bytes(), false);
            let claim = format!("AWSAccessKeyId=AK&Expires={until}&Signature={signature}");
            let more = if wire.query.is_empty() { "" } else { "&" };
            wire.query = format!("{}{more}{claim}", wire.query);
        } else {
            let value = format!("AWS AK:{signature}");
            wire.headers.insert("authorization", value.parse().unwrap());
            wire.headers
                .insert("x-amz-date", now().http_date().parse().unwrap());
        }
    };
    let mut tried = wire.clone();
    claim(&mut tried, "AAAA");
    let Some((_head, Err(AuthError::Mismatch(mismatch)))) = judge(&tried, true) else {
        return;
    };
    claim(&mut wire, &sign_v2(&mismatch.string_to_sign));
    let Some((_head, judged)) = judge(&wire, true) else {
        panic!("{wire:?}");
    };
    assert!(judged.is_ok(), "{wire:?} {judged:?}");
    check_version_2(&wire, &mut script);
}

/// As [`check_changes`], of what Version 2 covers: of the parameters, the sub-resources.
fn check_version_2(wire: &Wire, script: &mut Script<'_>) {
    let Some((mut head, Ok(grant))) = judge(wire, true) else {
        return;
    };
    let counts = |name: &str| name.starts_with("x-amz-") && name != "x-amz-content-sha256";
    let covered = |head: &mut Head| {
        let unsigned = |name: &str| !crate::auth::sigv2::SUB_RESOURCES.contains(&name);
        drop(head.query.take(unsigned));
        Meaning::of(head, counts)
    };
    let meant = covered(&mut head);
    while !script.is_over() {
        let Some(other) = changed(wire, script) else {
            continue;
        };
        let Some((mut head, Ok(found))) = judge(&other, true) else {
            continue;
        };
        let ambiguous = decoded(&other.query)
            .is_none_or(|pairs| pairs.iter().any(|(_, value)| value.contains('&')));
        if ambiguous || matches!(found.who(), Who::Anonymous) {
            continue;
        }
        assert_eq!(granted(&found), granted(&grant), "{wire:?}\n{other:?}");
        assert_eq!(covered(&mut head), meant, "{wire:?}\n{other:?}");
    }
}

/// What is read back from a canonical request.
#[derive(Debug, PartialEq, Eq)]
struct Reread<'a> {
    method: String,
    path: Cow<'a, [u8]>,
    pairs: canonical::Pairs<'a>,
    headers: Vec<String>,
    signed: String,
    payload: String,
}

fn reread(text: &str) -> Option<Reread<'_>> {
    let mut lines = text.split('\n');
    let method = lines.next()?.to_owned();
    let path = canonical::decode(lines.next()?, false);
    let pairs = canonical::pairs(lines.next()?);
    let headers = lines.by_ref().take_while(|line| !line.is_empty());
    let headers = headers.map(str::to_owned).collect();
    let (signed, payload) = (lines.next()?.to_owned(), lines.next()?.to_owned());
    lines.next().is_none().then_some(Reread {
        method,
        path,
        pairs,
        headers,
        signed,
        payload,
    })
}

/// The canonical request: all that is signed can be read back from it, so that no two requests have
/// one; and it is the same text once more.
pub(super) fn canonicalisation(data: &[u8]) {
    let Some((text, _script)) = split_text(data) else {
        return;
    };
    let (signed, text) = text.split_once('\n').unwrap_or((text, ""));
    let Some((mut wire, _body)) = Wire::parse(text) else {
        return;
    };
    let once = canonical::path(&wire.path);
    assert_eq!(canonical::path(&once), once);
    let once = canonical::query(canonical::pairs(&wire.query).iter());
    assert_eq!(canonical::query(canonical::pairs(&once).iter()), once);
    // What is acted on is what was signed.
    if let Ok(acted) = crate::s3::Query::parse(&wire.query) {
        let acted = acted
            .iter()
            .map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into()));
        assert_eq!(
            acted.collect::<canonical::Pairs<'_>>(),
            canonical::pairs(&wire.query)
        );
    }
    let claim = format!(
        "AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request,SignedHeaders={signed},\
         Signature={SIGNATURE}"
    );
    let Ok(claim) = HeaderValue::from_str(&claim) else {
        return;
    };
    wire.headers.insert("authorization", claim);
    wire.headers
        .insert("x-amz-date", now().amz_date().parse().unwrap());
    let Some((head, Err(AuthError::Mismatch(mismatch)))) = judge(&wire, false) else {
        return;
    };
    let text = mismatch.canonical_request.unwrap();
    let reread = reread(&text).unwrap_or_else(|| panic!("{wire:?}\n{text}"));
    let mut pairs = canonical::pairs(&wire.query);
    pairs.sort_by_key(|(name, value)| {
        (
            canonical::encode(name, false),
            canonical::encode(value, false),
        )
    });
    assert_eq!(reread.method, wire.method.as_str());
    assert_eq!(reread.path, canonical::decode(&wire.path, false), "{text}");
    assert_eq!(reread.pairs, pairs, "{text}");
    assert!(reread.signed.len() <= signed.len());
    // Each line is that of one listed header, in their order.
    let mut listed = reread.signed.split(';');
    for line in &reread.headers {
        let (name, _value) = line.split_once(':').unwrap_or_else(|| panic!("{text}"));
        assert!(listed.any(|one| one == name), "{line}\n{text}");
    }
    drop(head);
    check_header_bytes(&wire.headers);
}

/// Two values of a header that are not the same but for blanks have two canonical forms.
fn check_header_bytes(headers: &HeaderMap) {
    for (name, value) in headers {
        let mut other = HeaderMap::new();
        let mut bytes = value.as_bytes().to_vec();
        let Some(last) = bytes.last_mut().filter(|last| **last > 0x80) else {
            continue;
        };
        *last ^= 1;
        other.insert(name, HeaderValue::from_bytes(&bytes).unwrap());
        let mut one = HeaderMap::new();
        one.insert(name, value.clone());
        assert_ne!(
            canonical::header_value(&one, name.as_str()),
            canonical::header_value(&other, name.as_str()),
        );
    }
}
