//! Which conditions a bucket's policy may have.

use super::documents::{document, refused};
use crate::auth::policy::Policy;

const MISMATCH: &str =
    "Conditions do not apply to combination of actions and resources in statement";

const CONDITIONS: &[(&str, &str, &str)] = &[
    (r#""s3:GetObject""#, "{}", "fine"),
    (r#""s3:GetObject""#, "[]", "Invalid policy syntax."),
    (
        r#""s3:GetObject""#,
        r#"{"StringEquals":"a"}"#,
        "Invalid policy syntax.",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"StringEquals":{"aws:Referer":{}}}"#,
        "Invalid policy syntax.",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"StringEqual":{"aws:Referer":"a"}}"#,
        "Invalid Condition type : StringEqual",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"stringequals":{"aws:Referer":"a"}}"#,
        "Invalid Condition type : stringequals",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"NullIfExists":{"aws:Referer":"true"}}"#,
        "Invalid Condition type : NullIfExists",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"ForNoValue:StringLike":{"aws:Referer":"a"}}"#,
        "Invalid Condition type : ForNoValue:StringLike",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"ForAnyValue:StringLikeIfExists":{"aws:referer":"a"}}"#,
        "fine",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"StringEquals":{"s3:acl":"a"}}"#,
        "Policy has an invalid condition key",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"StringEquals":{"referer":"a"}}"#,
        "Policy has an invalid condition key",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"StringEquals":{"s3:prefix":"a"}}"#,
        MISMATCH,
    ),
    (
        r#"["s3:PutObject","s3:GetObject"]"#,
        r#"{"StringEquals":{"s3:x-amz-acl":"a"}}"#,
        MISMATCH,
    ),
    (
        r#"["s3:PutObject","s3:PutObjectAcl"]"#,
        r#"{"StringEquals":{"s3:x-amz-acl":"a"}}"#,
        "fine",
    ),
    (
        r#""s3:*""#,
        r#"{"StringEquals":{"S3:X-Amz-Acl":"a"}}"#,
        "fine",
    ),
    (
        r#""s3:PutObject""#,
        r#"{"StringEquals":{"s3:ExistingObjectTag/a":"a"}}"#,
        MISMATCH,
    ),
    (
        r#""s3:GetObject""#,
        r#"{"StringEquals":{"s3:ExistingObjectTag/a":"a"}}"#,
        "fine",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"IpAddress":{"aws:SourceIp":"123"}}"#,
        "Invalid IP address in Conditions",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"StringLike":{"aws:SourceIp":"10.*"}}"#,
        "Invalid IP address in Conditions",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"IpAddress":{"aws:SourceIp":["10.0.0.1/8","::1"]}}"#,
        "fine",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"IpAddress":{"aws:SourceIp":[]}}"#,
        "fine",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"Bool":{"aws:SecureTransport":false}}"#,
        "fine",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"Bool":{"aws:SecureTransport":"no"}}"#,
        "Invalid value in Conditions for operator Bool",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"NumericLessThan":{"s3:TlsVersion":1.2}}"#,
        "fine",
    ),
    (
        r#""s3:GetObject""#,
        r#"{"DateLessThan":{"aws:CurrentTime":"soon"}}"#,
        "Invalid value in Conditions for operator DateLessThan",
    ),
];

#[test]
fn conditions_must_be_known_and_fit_the_actions() {
    for (action, condition, message) in CONDITIONS {
        let json = document(&[("Action", action), ("Condition", condition)]);
        assert_eq!(refused(&json), *message, "{action} {condition}");
    }
}

#[test]
fn thousands_of_actions_and_conditions_are_compared_in_no_time() {
    let actions: Vec<_> = (0..800).map(|n| format!("\"s3:*t*{n:*<4}\"")).collect();
    let actions = actions.join(",").replace(|c: char| c.is_ascii_digit(), "*");
    let keys: Vec<_> = (0..220)
        .map(|n| format!("\"s3:existingobjecttag/{n}\":\"1\""))
        .collect();
    let policy = format!(
        "{{\"Statement\":{{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[{actions}],\
         \"Resource\":[\"arn:aws:s3:::b\",\"arn:aws:s3:::b/*\"],\"Condition\":{{\"StringEquals\":{{{}}}}}}}}}",
        keys.join(",")
    );
    let began = std::time::Instant::now();
    Policy::parse_bucket(&policy, "b").unwrap();
    // Each action with each condition took minutes.
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}
