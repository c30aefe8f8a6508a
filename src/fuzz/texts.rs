//! Small texts in headers, queries and settings.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::input::split_text;
use super::signed::now;
use crate::auth::canonical;
use crate::auth::constraint;
use crate::auth::{Elsewhere as _, Place};
use crate::callback::config::Secret;
use crate::callback::sign::Signer;
use crate::callback::verify::{Signed, Verifier};
use crate::clock::Timestamp;
use crate::id::VersionId;
use crate::name::{BucketName, ObjectKey};
use crate::network::Network;
use crate::public_url::PublicUrl;
use crate::s3::condition::{Conditions, Verdict};
use crate::s3::reach::{Arrival, Reach};
use crate::s3::{Target, copy_source, encoded_word, range, tags};
use crate::store::VersionRef;

/// What a range means, told in the simplest way: none where the whole is served.
fn simple_range(header: &str, len: u128) -> Option<(u128, u128)> {
    let (unit, rest) = header.split_once('=')?;
    let (first, last) = rest.split_once('-')?;
    let number = |text: &str| -> Option<u128> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let value = |n: u128, b: u8| n * 10 + u128::from(b - b'0');
        digits.then(|| text.bytes().fold(0, value))
    };
    let is_bytes = unit.trim().eq_ignore_ascii_case("bytes");
    match (first.trim(), last.trim()) {
        _ if !is_bytes => None,
        ("", last) => Some((len.saturating_sub(number(last)?), len)),
        (first, "") => Some((number(first)?, len)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some((first, (last + 1).min(len)))
        }
    }
}

/// A `Range`, a length in the decisions; and in further lines the conditions.
pub(super) fn range_and_conditions(data: &[u8]) {
    let Some((text, mut script)) = split_text(data) else {
        return;
    };
    let mut lines = text.split('\n');
    let header = lines.next().unwrap_or_default();
    // As many digits as the model can count.
    let mut runs = header.split(|one: char| !one.is_ascii_digit());
    if runs.any(|digits| digits.len() > 38) {
        return;
    }
    let len = match script.byte() % 3 {
        0 => u64::from(script.byte()),
        _ => script.number(),
    };
    let found = range::resolve(header, len);
    match simple_range(header, len.into()) {
        None => assert!(matches!(found, Ok(None)), "{header}"),
        // More digits than a number has mean the end.
        Some((start, end)) if start < end.min(len.into()) => {
            let range = found.unwrap().unwrap();
            assert!(
                range.start < range.end && range.end <= len,
                "{header} {range:?}"
            );
            assert_eq!(
                (range.start.into(), range.end.into()),
                (start, end),
                "{header} of {len}"
            );
            assert!(range::content_range(&range, len).ends_with(&format!("/{len}")));
        }
        Some(_empty) => assert!(found.is_err(), "{header} of {len}"),
    }
    check_conditions(lines, script.number() % 4_000_000_000);
}

fn check_conditions<'a>(mut lines: impl Iterator<Item = &'a str>, modified: u64) {
    let mut headers = HeaderMap::new();
    for name in [
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
    ] {
        let Some(line) = lines.next().filter(|line| !line.is_empty()) else {
            continue;
        };
        let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) else {
            return;
        };
        headers.insert(name, value);
    }
    let Ok(conditions) = Conditions::of(&headers, now()) else {
        return;
    };
    let modified = Timestamp::from_unix_s(i64::try_from(modified).unwrap());
    let has = |name: &str| headers.contains_key(name);
    let date = |name: &str| {
        let text = std::str::from_utf8(headers.get(name)?.as_bytes()).ok()?;
        Timestamp::parse_http_date(text.trim()).ok()
    };
    let since = date("if-modified-since").filter(|since| *since <= now());
    let unless = date("if-unmodified-since");
    let etag = "0123456789abcdef";
    let lists = |name: &str| {
        let text = std::str::from_utf8(headers.get(name).unwrap().as_bytes()).unwrap();
        text.trim().split(',').any(|one| {
            let one = one.trim().trim_start_matches("W/").replace('"', "");
            one == "*" || one == etag
        })
    };
    // Where nothing is asked, nothing is refused; and what is asked for is not passed over.
    match conditions.judge(etag, modified) {
        Err(_failed) => assert!(has("if-match") || unless.is_some_and(|at| modified > at)),
        Ok(Verdict::NotModified(_)) => {
            assert!(has("if-none-match") || since.is_some_and(|at| modified <= at));
        }
        Ok(Verdict::Proceed) => {
            assert!(!has("if-match") || lists("if-match"), "{headers:?}");
            assert!(has("if-match") || unless.is_none_or(|at| modified <= at));
            assert!(has("if-none-match") || since.is_none_or(|at| modified > at));
        }
    }
}

/// `x-amz-copy-source`.
fn copy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok((bucket, key, version)) = copy_source::parse(text) else {
        return;
    };
    // The same source as a client writes it.
    let path = format!("/{}/{}", bucket.as_str(), key.as_str());
    let mut again = canonical::encode(path.as_bytes(), true);
    if let Some(version) = &version {
        again = format!("{again}?versionId={version}");
    }
    assert_eq!(
        copy_source::parse(&again).unwrap(),
        (bucket.clone(), key.clone(), version)
    );
    // And the source that a request for the same path is about.
    let raw = canonical::encode(
        format!("/{}/{}", bucket.as_str(), key.as_str()).as_bytes(),
        true,
    );
    let target = Target::parse("h", &raw, &[]).unwrap();
    assert_eq!((target.bucket, target.key), (Some(bucket), Some(key)));
}

/// Encoded words.
fn words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let is_header = |text: &str| text.bytes().all(|b| (32..127).contains(&b) || b == b'\t');
    for encoded in [
        encoded_word::encode_literally(text),
        encoded_word::encode(text),
    ] {
        assert!(
            is_header(&encoded) && HeaderValue::from_str(&encoded).is_ok(),
            "{encoded:?}"
        );
        if text.contains("=?") && encoded == text {
            continue;
        }
        assert_eq!(encoded_word::decode(&encoded), text, "{encoded}");
    }
    let decoded = encoded_word::decode(text);
    assert!(
        decoded.len() <= 2 * text.len(),
        "an encoded word is longer than what it says"
    );
    if let Ok(value) = HeaderValue::from_bytes(data) {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-meta-a", value);
        let _judged = crate::s3::metadata_header::user_metadata(&headers);
    }
}

fn reach() -> Arc<Reach> {
    let url = |text| PublicUrl::parse(text).unwrap();
    let urls = [
        url("https://files.example/storage"),
        url("http://minio:9000"),
    ];
    let trusted = [
        Network::parse("10.0.0.0/8").unwrap(),
        Network::parse("fd00::/8").unwrap(),
    ];
    Arc::new(Reach::new(
        &["s3.example".to_owned()],
        &["web.example".to_owned()],
        &urls,
        &trusted,
    ))
}

/// What proxies say. The text is what a client sent in each of their headers, before ours added to it.
pub(super) fn forwarded(data: &[u8]) {
    let Some((text, mut script)) = split_text(data) else {
        return;
    };
    let mut lines = text.split('\n');
    let (host, path) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or("/"),
    );
    if !path.starts_with('/') {
        return;
    }
    let mut headers = HeaderMap::new();
    const NAMES: [&str; 6] = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-prefix",
    ];
    for (name, line) in NAMES.into_iter().zip(lines) {
        if let (false, Ok(value)) = (line.is_empty(), HeaderValue::from_str(line)) {
            headers.append(name, value);
        }
    }
    let sent = Place {
        authority: host.to_owned(),
        raw_path: path.to_owned(),
    };
    let seen = |headers: &HeaderMap, peer: &str| {
        let peer: SocketAddr = peer.parse().unwrap();
        Arrival::seen(&reach(), sent.clone(), headers, (Some(peer), false))
    };
    // Who is not trusted says nothing.
    let stranger = seen(&headers, "203.0.113.7:1");
    assert_eq!(
        stranger.client().map(|at| at.ip().to_string()).as_deref(),
        Some("203.0.113.7")
    );
    assert_eq!((stranger.authority(), stranger.raw_path()), (host, path));
    assert!(!stranger.is_secure());
    check_places(&stranger);
    // A proxy of ours adds whom it serves: nothing that the client sent before hides that.
    let client = [198, 51, 100, script.byte()].into();
    let own_line = script.byte() & 1 == 1;
    add_hop(&mut headers, client, own_line);
    let arrival = seen(&headers, "10.0.0.1:1");
    let found = arrival.client().map(|at| at.ip());
    assert_eq!(found, Some(client), "{headers:?}");
    check_places(&arrival);
}

/// What a proxy adds: to the line that is there, or in a line of its own.
fn add_hop(headers: &mut HeaderMap, client: IpAddr, own_line: bool) {
    let common = headers
        .keys()
        .any(|name| name.as_str().starts_with("x-forwarded-") && name != "x-forwarded-prefix");
    let (name, added) = if common {
        ("x-forwarded-for", client.to_string())
    } else {
        ("forwarded", format!("for={client};proto=https"))
    };
    let before = headers.get(name).and_then(|value| value.to_str().ok());
    match before.map(str::to_owned) {
        Some(before) if !own_line => {
            let joined = format!("{before}, {added}");
            headers.insert(name, joined.parse().unwrap());
        }
        _ => drop(headers.append(name, added.parse().unwrap())),
    }
}

/// A signature is tried only for places that mean the same bucket and key.
fn check_places(arrival: &Arrival) {
    let reach = reach();
    let meaning = |arrival: &Arrival| {
        Target::parse(arrival.authority(), arrival.path(), reach.domains())
            .map(|target| (target.bucket, target.key))
    };
    let Ok(meant) = meaning(arrival) else {
        return;
    };
    let places = arrival.places();
    assert!(places.len() <= 64);
    for place in places {
        let there = Arrival::seen(&reach, place.clone(), &HeaderMap::new(), (None, false));
        assert_eq!(meaning(&there).ok(), Some(meant.clone()), "{place:?}");
    }
}

/// A callback's id, time and body, each in a line: what is signed is verified, and no change of it.
pub(super) fn callback(data: &[u8]) {
    let Some((text, mut script)) = split_text(data) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (id, at, body) = (next(), next(), next());
    // A dot in an id could pass for the one behind it: ours have none.
    let Some(at) = at.parse::<i64>().ok().filter(|_| !id.contains('.')) else {
        return;
    };
    let secret = [Secret::new(
        "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned(),
    )];
    let at = Timestamp::from_unix_s(at.clamp(-1 << 40, 1 << 40));
    let signature = Signer::parse("e", &secret)
        .unwrap()
        .sign(id, at, body.as_bytes());
    let verifier = Verifier::new("e", &secret).unwrap();
    let time = at.unix_s().to_string();
    let judge = |id: &str, time: &str, signature: &str, body: &[u8]| {
        let signed = Signed {
            id: Some(id),
            timestamp: Some(time),
            signature: Some(signature),
        };
        verifier.verify(signed, body, at)
    };
    assert_eq!(judge(id, &time, &signature, body.as_bytes()), Ok(()));
    while !script.is_over() {
        let kind = script.byte() % 4;
        let (mut one, mut two) = (id.to_owned(), time.clone());
        let (mut three, mut four) = (signature.clone(), body.to_owned());
        let part = [&mut one, &mut two, &mut three, &mut four];
        let [a, b, c, d] = part;
        let part = [a, b, c, d].into_iter().nth(usize::from(kind)).unwrap();
        *part = script.edit(part);
        let same_time = two.parse::<i64>() == Ok(at.unix_s());
        // A second signature beside the right one is ignored, as receivers must.
        let signed = three.split(' ').any(|part| part == signature);
        let same = one == id && same_time && signed && four == body;
        let dotted = one.contains('.');
        assert!(dotted || judge(&one, &two, &three, four.as_bytes()).is_ok() == same);
    }
}

/// What has one spelling is read again as what it was.
pub(super) fn small(data: &[u8]) {
    copy(data);
    words(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(at) = Timestamp::parse_amz_date(text) {
        assert_eq!(at.amz_date(), text);
    }
    if let Ok(at) = Timestamp::parse_iso8601(text) {
        assert_eq!(Timestamp::parse_iso8601(&at.iso8601_ms()), Ok(at));
    }
    if let Ok(at) = Timestamp::parse_http_date(text) {
        let at = at.truncated_to_s();
        assert!(
            at.unix_ms() < 0 || Timestamp::parse_http_date(&at.http_date()) == Ok(at),
            "{text}"
        );
    }
    if let Some(version) = VersionRef::parse(text) {
        assert_eq!(version.to_string(), text);
    }
    if let Some(id) = VersionId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    if let Some(id) = crate::id::UploadId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(url) = PublicUrl::parse(text) {
        assert_eq!(PublicUrl::parse(&url.text()), Ok(url));
    }
    if let Ok(name) = BucketName::parse(text) {
        assert_eq!(canonical::encode(name.as_str().as_bytes(), false), text);
    }
    if let Ok(key) = ObjectKey::parse(text) {
        let raw = format!(
            "/bucket/{}",
            canonical::encode(key.as_str().as_bytes(), true)
        );
        assert_eq!(Target::parse("h", &raw, &[]).unwrap().key, Some(key));
    }
    if let Some(network) = Network::parse(text) {
        let address = text.split('/').next().unwrap();
        assert!(network.contains(address.parse().unwrap()), "{text}");
    }
    if let Ok(size) = crate::cli::size::parse(text) {
        assert_eq!(crate::cli::size::parse(&size.to_string()), Ok(size));
    }
    if let Ok(found) = tags::of_header(text) {
        let encode = |part: &str| canonical::encode(part.as_bytes(), false);
        let again: Vec<_> = found
            .iter()
            .map(|(k, v)| format!("{}={}", encode(k), encode(v)))
            .collect();
        assert_eq!(tags::of_header(&again.join("&")).unwrap(), found);
        let document = tags::document(&found).finish();
        let read = tags::parse(document.as_bytes(), tags::Tagged::Object).unwrap();
        assert_eq!(read, found);
    }
    let pairs = canonical::pairs(text);
    let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
    let _judged = constraint::check(pairs, constraint::Constraint::OF_OBJECT);
    let _judged =
        crate::s3::part_number::parse(text).map(|number| assert!((1..=10_000).contains(&number)));
}
