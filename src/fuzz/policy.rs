//! Policies: of forms, of buckets and identities. What is denied stays denied, whatever is added.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::input::split_text;
use super::signed::{now, ring};
use crate::auth::constraint::Constraint;
use crate::auth::policy::{Access, Context, Decision, Identity, Policy, Principal, Role};
use crate::auth::post_form::{SignedForm, authenticate_form};
use crate::auth::presign::{Signer, sign_post};
use crate::auth::{AuthSettings, PRESIGN_SECONDS_MAX, Secret, sigv4};
use crate::clock::Timestamp;

const BUCKET: &str = "bucket";
const RESOURCES: [&str; 4] = [
    "arn:aws:s3:::bucket",
    "arn:aws:s3:::bucket/a/b",
    "arn:aws:s3:::bucket/",
    "arn:aws:s3:::other/a:b",
];
const ACTIONS: [&str; 4] = [
    "s3:GetObject",
    "s3:PutObject",
    "s3:ListBucket",
    "s3:DeleteObject",
];

fn principals() -> Vec<Principal> {
    let of = |role| {
        Principal::Account(Identity {
            account: "123456789012".into(),
            canonical: "canonical".into(),
            role,
        })
    };
    vec![
        Principal::Anonymous,
        of(Role::Root),
        of(Role::User("u".into())),
        of(Role::Session {
            role: "u".into(),
            session: "s".into(),
        }),
    ]
}

fn context() -> Context {
    let mut context = Context::new();
    context.set("aws:SourceIp", "203.0.113.7");
    context.set("aws:SecureTransport", "false");
    context.set("aws:username", "u*");
    context.set("aws:CurrentTime", "2026-11-24T00:20:26Z");
    context.set("s3:prefix", "a/");
    context.add("s3:RequestObjectTagKeys", "one");
    context.add("s3:RequestObjectTagKeys", "two");
    context
}

/// What the policy says to each of the accesses, of which one is known to be anonymous.
fn decisions(policy: &Policy) -> Vec<Decision> {
    let contexts = [Context::new(), context()];
    let mut all = Vec::new();
    for principal in &principals() {
        for action in ACTIONS {
            for resource in RESOURCES {
                for context in &contexts {
                    all.push(policy.evaluate(&Access {
                        principal,
                        action,
                        resource,
                        context,
                    }));
                }
            }
        }
    }
    all
}

/// The document with one more statement.
fn with(document: &str, statement: &str) -> Option<String> {
    let mut json: Value = serde_json::from_str(document).ok()?;
    let statement: Value = serde_json::from_str(statement).ok()?;
    let all = json.get_mut("Statement")?;
    match all {
        Value::Array(list) => list.push(statement),
        one => *one = Value::Array(vec![one.take(), statement]),
    }
    Some(json.to_string())
}

/// A policy of IAM's language, and a statement that is added to it behind an empty line.
pub(super) fn iam(data: &[u8]) {
    glob(data);
    let Some((text, mut script)) = split_text(data) else {
        return;
    };
    let (document, statement) = text.split_once("\n\n").unwrap_or((text, "{}"));
    let of_bucket = script.byte() & 1 == 0;
    let parse = |text: &str| {
        if of_bucket {
            Policy::parse_bucket(text, BUCKET).ok()
        } else {
            Policy::parse_identity(text).ok()
        }
    };
    let Some(policy) = parse(document) else {
        return;
    };
    let said = decisions(&policy);
    assert_eq!(said, decisions(&policy));
    let kind = if statement.contains("\"Deny\"") {
        Decision::Deny
    } else {
        Decision::Allow
    };
    if let Some(wider) = with(document, statement).as_deref().and_then(parse) {
        for (before, after) in said.iter().zip(decisions(&wider)) {
            assert!(after >= *before, "{before:?} {after:?}");
            assert!(after == *before || kind != Decision::Deny || after == Decision::Deny);
        }
    }
    if of_bucket && !policy.is_public() {
        let nowhere = Context::new();
        for action in ACTIONS {
            for resource in RESOURCES {
                let said = policy.evaluate(&Access {
                    principal: &Principal::Anonymous,
                    action,
                    resource,
                    context: &nowhere,
                });
                assert_ne!(said, Decision::Allow, "not public, but open: {document}");
            }
        }
    }
}

/// Whether the pattern covers the text, by the plainest table.
fn covers(pattern: &[char], text: &[char]) -> bool {
    let mut row: Vec<bool> = vec![false; text.len() + 1];
    row[0] = true;
    for one in pattern {
        let before = row.clone();
        for at in 0..=text.len() {
            row[at] = match one {
                '*' => before[at] || (at > 0 && row[at - 1]),
                '?' => at > 0 && before[at - 1],
                letter => at > 0 && before[at - 1] && text[at - 1] == *letter,
            };
        }
    }
    row[text.len()]
}

/// A pattern, and a text in the next line.
fn glob(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (pattern, text) = text.split_once('\n').unwrap_or((text, ""));
    let glob = crate::auth::policy::glob::Glob::spelled(pattern);
    let (pattern, letters): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
    if pattern.len() * letters.len() < 1 << 14 {
        assert_eq!(glob.matches_text(text), covers(&pattern, &letters));
    }
}

/// A form that is signed, whose policy is the text; its further fields stand in lines behind an
/// empty one.
pub(super) fn post(data: &[u8]) {
    let Some((text, _script)) = split_text(data) else {
        return;
    };
    let (policy, lines) = text.split_once("\n\n").unwrap_or((text, ""));
    let secret = Secret::new("s");
    let signer = Signer {
        access_key: "AK",
        secret: &secret,
        region: "us-east-1",
    };
    let settings = AuthSettings {
        region: "us-east-1".into(),
        service: sigv4::SERVICE,
        presign_seconds_max: PRESIGN_SECONDS_MAX,
        signature_v2: false,
    };
    let mut fields = sign_post(&signer, policy, now());
    fields.extend(lines.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.to_owned()))
    }));
    let judge = |fields: &[(String, String)]| {
        let form = SignedForm {
            fields,
            bucket: BUCKET,
            peer: None,
            heeds: Constraint::OF_OBJECT,
        };
        authenticate_form(&form, &ring(), &settings, now())
    };
    let Ok(grant) = judge(&fields) else {
        return;
    };
    let range = grant
        .duties()
        .length_range
        .map(|range| (range.min, range.max));
    assert!(
        fulfils(policy, &fields, range),
        "{policy} {fields:?} {range:?}"
    );
    for name in ["x-amz-meta-unheard", "content-encodings", "awsaccesskeyid2"] {
        let mut more = fields.clone();
        more.push((name.to_owned(), "1".to_owned()));
        let spoken_of = policy.to_ascii_lowercase().contains(name);
        assert!(spoken_of || judge(&more).is_err(), "{name} {policy}");
    }
    let mut twice = fields.clone();
    twice.push((fields[0].0.to_ascii_uppercase(), fields[0].1.clone()));
    assert!(judge(&twice).is_err());
    let packed = STANDARD.encode(policy.replacen('{', "{ ", 1));
    let mut altered = fields;
    for (name, value) in &mut altered {
        if name == "policy" {
            value.clone_from(&packed);
        }
    }
    assert!(judge(&altered).is_err(), "an altered policy");
}

/// Whether a form is as its policy demands: told by another reading of it.
fn fulfils(policy: &str, fields: &[(String, String)], range: Option<(u64, u64)>) -> bool {
    let json: Value = serde_json::from_str(policy).unwrap();
    let until = json["expiration"].as_str().unwrap();
    if Timestamp::parse_iso8601(until).unwrap() < now() {
        return false;
    }
    let value_of = |name: &str| -> String {
        let name = name.to_ascii_lowercase();
        let mut found = fields
            .iter()
            .filter(|(n, _)| n.to_ascii_lowercase() == name);
        let found = found.next().map(|(_, value)| value.clone());
        if name == "bucket" {
            return BUCKET.to_owned();
        }
        found.unwrap_or_default()
    };
    json["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .all(|condition| {
            if let Some(simple) = condition.as_object() {
                let (name, value) = simple.iter().next().unwrap();
                return value.as_str() == Some(value_of(name).as_str());
            }
            let list = condition.as_array().unwrap();
            let name = || list[1].as_str().unwrap().strip_prefix('$').unwrap();
            match list[0].as_str().unwrap().to_ascii_lowercase().as_str() {
                "eq" => list[2].as_str() == Some(value_of(name()).as_str()),
                "starts-with" => {
                    let (given, start) = (value_of(name()), list[2].as_str().unwrap());
                    if name().eq_ignore_ascii_case("content-type") {
                        given
                            .split(',')
                            .all(|one| one.trim_start().starts_with(start))
                    } else {
                        given.starts_with(start)
                    }
                }
                "in" => list[2]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|one| *one == value_of(name())),
                "not-in" => !list[2]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|one| *one == value_of(name())),
                "content-length-range" => range.is_some_and(|(min, max)| {
                    let bound = |value: &Value| {
                        let text = value
                            .as_str()
                            .map_or_else(|| value.to_string(), str::to_owned);
                        text.parse::<i128>().unwrap().max(0)
                    };
                    i128::from(min) >= bound(&list[1]) && i128::from(max) <= bound(&list[2])
                }),
                _ => false,
            }
        })
}
