//! Each operator, with keys that are there and not, once and several times.

use super::{context, policy};
use crate::auth::policy::{Access, Decision, Principal};

fn holds(condition: &str, pairs: &[(&str, &str)]) -> bool {
    let policy = policy(&format!(
        r#""Effect":"Allow","Principal":"*","Action":"s3:*","Condition":{condition}"#
    ));
    let said = policy.evaluate(&Access {
        principal: &Principal::Anonymous,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::b/k",
        context: &context(pairs),
    });
    said == Decision::Allow
}

/// Whether the operator holds between the values of the policy (as JSON) and of the request.
fn compare(operator: &str, key: &str, wanted: &str, given: &[&str]) -> bool {
    let pairs: Vec<_> = given.iter().map(|value| (key, *value)).collect();
    holds(&format!(r#"{{"{operator}":{{"{key}":{wanted}}}}}"#), &pairs)
}

const COMPARISONS: &[(&str, &str, &str, bool)] = &[
    ("StringEquals", r#""a""#, "a", true),
    ("StringEquals", r#""a""#, "A", false),
    ("StringEquals", r#"["b","a"]"#, "a", true),
    ("StringEquals", r#""*""#, "a", false),
    ("StringEquals", r#""*""#, "*", true),
    ("StringNotEquals", r#""a""#, "a", false),
    ("StringNotEquals", r#""a""#, "b", true),
    ("StringNotEquals", r#"["a","b"]"#, "b", false),
    ("StringEqualsIgnoreCase", r#""aÉ""#, "Aé", true),
    ("StringNotEqualsIgnoreCase", r#""a""#, "A", false),
    ("StringLike", r#""a*c?""#, "abbcd", true),
    ("StringLike", r#""a*""#, "ba", false),
    ("StringLike", r#""""#, "", true),
    ("StringNotLike", r#""a*""#, "ab", false),
    ("NumericEquals", "10", "10.0", true),
    ("NumericEquals", r#""10""#, "11", false),
    ("NumericEquals", r#""10""#, "ten", false),
    ("NumericNotEquals", "10", "11", true),
    ("NumericNotEquals", "10", "ten", true),
    ("NumericLessThan", "10", "9", true),
    ("NumericLessThan", "10", "10", false),
    ("NumericLessThanEquals", "10", "10", true),
    ("NumericGreaterThan", "10", "10", false),
    ("NumericGreaterThanEquals", "1.2", "1.3", true),
    (
        "DateEquals",
        r#""2020-01-01""#,
        "2020-01-01T00:00:00Z",
        true,
    ),
    (
        "DateNotEquals",
        r#""2020-01-01""#,
        "2020-01-01T00:00:00Z",
        false,
    ),
    (
        "DateLessThan",
        r#""2020-01-01T00:00:00Z""#,
        "2019-12-31T23:59:59Z",
        true,
    ),
    ("DateLessThanEquals", r#""2020""#, "1577836800", true),
    (
        "DateGreaterThan",
        "1577836800",
        "2020-01-01T00:00:01Z",
        true,
    ),
    (
        "DateGreaterThanEquals",
        r#""2020-01-02""#,
        "2020-01-01",
        false,
    ),
    ("Bool", "true", "TRUE", true),
    ("Bool", r#""false""#, "true", false),
    ("BinaryEquals", r#""AAE=""#, "AAE=", true),
    ("BinaryEquals", r#""AAE=""#, "AAI=", false),
    ("IpAddress", r#""10.0.0.0/8""#, "10.255.0.1", true),
    (
        "IpAddress",
        r#"["10.0.0.0/8","192.0.2.1"]"#,
        "192.0.2.1",
        true,
    ),
    ("IpAddress", r#""10.0.0.0/8""#, "11.0.0.1", false),
    ("IpAddress", r#""10.0.0.0/8""#, "::ffff:10.1.1.1", true),
    ("IpAddress", r#""2001:db8::/32""#, "2001:db8:1::1", true),
    ("IpAddress", r#""::/0""#, "10.0.0.1", false),
    ("IpAddress", r#""0.0.0.0/0""#, "no address", false),
    (
        "NotIpAddress",
        r#"["10.0.0.0/8","11.0.0.0/8"]"#,
        "11.0.0.1",
        false,
    ),
    ("NotIpAddress", r#""10.0.0.0/8""#, "11.0.0.1", true),
    (
        "ArnEquals",
        r#""arn:aws:iam::1:user/*""#,
        "arn:aws:iam::1:user/a",
        true,
    ),
    (
        "ArnLike",
        r#""arn:aws:iam::*:user/a""#,
        "arn:aws:iam::1:user/a",
        true,
    ),
    (
        "ArnLike",
        r#""arn:aws:iam::*:b""#,
        "arn:aws:iam::1:a:b",
        false,
    ),
    ("ArnLike", r#""arn:*:a""#, "arn:aws:iam::1:a", true),
    (
        "ArnNotLike",
        r#""arn:aws:iam::1:*""#,
        "arn:aws:iam::1:user/a",
        false,
    ),
    (
        "ArnNotEquals",
        r#""arn:aws:iam::1:*""#,
        "arn:aws:iam::2:user/a",
        true,
    ),
];

#[test]
fn operators_compare_one_value() {
    for (operator, wanted, given, expected) in COMPARISONS {
        let said = compare(operator, "aws:x", wanted, &[given]);
        assert_eq!(said, *expected, "{operator} {wanted} {given}");
    }
}

#[test]
fn a_key_that_is_absent() {
    for (operator, wanted, expected) in [
        ("StringEquals", r#""a""#, false),
        ("StringLike", r#""*""#, false),
        ("StringNotEquals", r#""a""#, true),
        ("StringNotLike", r#""*""#, true),
        ("NumericLessThan", "1", false),
        ("NumericNotEquals", "1", true),
        ("DateNotEquals", r#""2020""#, true),
        ("Bool", "false", false),
        ("NotIpAddress", r#""10.0.0.0/8""#, true),
        ("ArnNotLike", r#""arn:*""#, true),
        ("StringEqualsIfExists", r#""a""#, true),
        ("StringNotEqualsIfExists", r#""a""#, true),
        ("BoolIfExists", "true", true),
        ("ForAllValues:StringEquals", r#""a""#, true),
        ("ForAllValues:StringNotEquals", r#""a""#, true),
        ("ForAnyValue:StringEquals", r#""a""#, false),
        ("ForAnyValue:StringNotEquals", r#""a""#, false),
        ("ForAnyValue:StringEqualsIfExists", r#""a""#, true),
        ("Null", "true", true),
        ("Null", r#""false""#, false),
    ] {
        assert_eq!(
            compare(operator, "aws:x", wanted, &[]),
            expected,
            "{operator} {wanted}"
        );
    }
    assert!(!compare("Null", "aws:x", "true", &["a"]));
    assert!(compare("Null", "aws:x", "false", &[""]));
    assert!(!compare("StringEqualsIfExists", "aws:x", r#""a""#, &["b"]));
}

#[test]
fn a_key_with_several_values() {
    for (operator, wanted, given, expected) in [
        (
            "ForAllValues:StringEquals",
            r#"["a","b"]"#,
            &["a", "b"][..],
            true,
        ),
        (
            "ForAllValues:StringEquals",
            r#"["a","b"]"#,
            &["a", "c"],
            false,
        ),
        (
            "ForAnyValue:StringEquals",
            r#"["a","b"]"#,
            &["c", "b"],
            true,
        ),
        (
            "ForAnyValue:StringEquals",
            r#"["a","b"]"#,
            &["c", "d"],
            false,
        ),
        (
            "ForAllValues:StringNotEquals",
            r#"["a"]"#,
            &["b", "c"],
            true,
        ),
        (
            "ForAllValues:StringNotEquals",
            r#"["a"]"#,
            &["a", "c"],
            false,
        ),
        ("ForAnyValue:StringNotEquals", r#"["a"]"#, &["a", "c"], true),
        (
            "ForAnyValue:StringNotEquals",
            r#"["a","c"]"#,
            &["a", "c"],
            false,
        ),
        ("StringEquals", r#""a""#, &["b", "a"], true),
        ("StringNotEquals", r#""a""#, &["b", "a"], false),
    ] {
        let said = compare(operator, "s3:RequestObjectTagKeys", wanted, given);
        assert_eq!(said, expected, "{operator} {wanted} {given:?}");
    }
}

#[test]
fn all_keys_of_all_operators_must_hold() {
    let condition = r#"{"StringEquals":{"aws:a":"1","aws:b":"2"},"Bool":{"aws:c":"true"}}"#;
    let all = [("aws:a", "1"), ("aws:b", "2"), ("aws:c", "true")];
    assert!(holds(condition, &all));
    for wrong in 0..3 {
        let mut pairs = all;
        pairs[wrong].1 = "0";
        assert!(!holds(condition, &pairs), "{wrong}");
    }
}

#[test]
fn keys_do_not_regard_case_but_tags_of_objects_do() {
    assert!(holds(
        r#"{"StringEquals":{"AWS:Referer":"a"}}"#,
        &[("aws:referer", "a")]
    ));
    assert!(holds(
        r#"{"StringEquals":{"aws:PrincipalTag/Team":"a"}}"#,
        &[("aws:principaltag/team", "a")]
    ));
    assert!(holds(
        r#"{"StringEquals":{"S3:existingobjecttag/Team":"a"}}"#,
        &[("s3:ExistingObjectTag/Team", "a")]
    ));
    assert!(!holds(
        r#"{"StringEquals":{"s3:ExistingObjectTag/Team":"a"}}"#,
        &[("s3:ExistingObjectTag/team", "a")]
    ));
}

#[test]
fn values_may_hold_variables() {
    let condition = r#"{"StringLike":{"s3:prefix":"${aws:username}/*"}}"#;
    assert!(holds(
        condition,
        &[("aws:username", "ann"), ("s3:prefix", "ann/x")]
    ));
    assert!(!holds(
        condition,
        &[("aws:username", "ann"), ("s3:prefix", "bob/x")]
    ));
    assert!(!holds(condition, &[("s3:prefix", "ann/x")]));
    let other = r#"{"StringNotEquals":{"aws:x":"${aws:username}"}}"#;
    assert!(holds(other, &[("aws:x", "a")]));
}
