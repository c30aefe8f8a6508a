//! What is refused, in which words.

use crate::auth::policy::{Policy, PolicyFault};

pub(super) fn refused(json: &str) -> String {
    match Policy::parse_bucket(json, "b") {
        Ok(_) => "fine".into(),
        Err(fault) => fault.to_string(),
    }
}

/// A statement that is fine, save for what `members` put in its members' place; `-Name` takes one
/// away.
fn statement(members: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("Effect", r#""Allow""#),
        ("Principal", r#""*""#),
        ("Action", r#""s3:GetObject""#),
        ("Resource", r#""arn:aws:s3:::b/*""#),
    ];
    for (name, value) in members {
        let plain = name.trim_start_matches('-');
        all.retain(|(known, _)| *known != plain);
        if *name == plain {
            all.push((name, value));
        }
    }
    let members: Vec<_> = all
        .iter()
        .map(|(name, value)| format!(r#""{name}":{value}"#))
        .collect();
    format!("{{{}}}", members.join(","))
}

pub(super) fn document(members: &[(&str, &str)]) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statement(members)
    )
}

#[test]
fn documents_that_are_none() {
    let fine = statement(&[]);
    for (json, message) in [
        (
            String::new(),
            "Policies must be valid JSON and the first byte must be '{'",
        ),
        (
            "random".into(),
            "Policies must be valid JSON and the first byte must be '{'",
        ),
        (
            " {}".into(),
            "Policies must be valid JSON and the first byte must be '{'",
        ),
        ("{".into(), "This policy contains invalid Json"),
        ("{} {}".into(), "This policy contains invalid Json"),
        ("{\"a\":".repeat(200), "This policy contains invalid Json"),
        ("{}".into(), "Missing required field Statement"),
        (
            r#"{"Statement":[]}"#.into(),
            "Could not parse the policy: Statement is empty!",
        ),
        (r#"{"Statement":"a"}"#.into(), "Invalid policy syntax."),
        (r#"{"Statement":[[]]}"#.into(), "Invalid policy syntax."),
        (
            format!(r#"{{"Id":1,"Statement":{fine}}}"#),
            "Invalid policy syntax.",
        ),
        (
            format!(r#"{{"Ids":"1","Statement":{fine}}}"#),
            "Unknown field Ids",
        ),
        (
            format!(r#"{{"Version":"2012-10-18","Statement":{fine}}}"#),
            "The policy must contain a valid version string",
        ),
        (
            format!(r#"{{"Version":"2012-10-17","Version":"2008-10-17","Statement":{fine}}}"#),
            "Statement/policy already has instance of Version",
        ),
        (format!(r#"{{"Statement":{fine}}}"#), "fine"),
        (
            format!(r#"{{"Id":"x","Version":"2008-10-17","Statement":[{fine},{fine}]}}"#),
            "fine",
        ),
    ] {
        assert_eq!(refused(&json), message, "{json:.200}");
    }
}

#[test]
fn the_size_counts_without_blanks() {
    let of = |bytes: usize| {
        let empty = document(&[("Sid", r#""""#)]).len();
        document(&[("Sid", &format!(r#""{}""#, "a".repeat(bytes - empty)))])
    };
    assert_eq!(of(20_480).len(), 20_480);
    assert_eq!(refused(&of(20_480)), "fine");
    assert_eq!(refused(&of(20_480).replace("\":", "\" : ")), "fine");
    assert_eq!(
        refused(&of(20_481)),
        "Normalized policy document exceeds the maximum allowed size of 20480 bytes"
    );
}

const STATEMENTS: &[(&[(&str, &str)], &str)] = &[
    (&[("-Effect", "")], "Missing required field Effect"),
    (&[("Effect", r#""allow""#)], "Invalid effect: allow"),
    (&[("Effect", "1")], "Invalid policy syntax."),
    (&[("-Principal", "")], "Missing required field Principal"),
    (&[("-Action", "")], "Missing required field Action"),
    (&[("-Resource", "")], "Missing required field Resource"),
    (
        &[("Principal", "{}")],
        "Missing required field Principal cannot be empty!",
    ),
    (
        &[("Principal", r#"{"AWS":[]}"#)],
        "Missing required field Principal cannot be empty!",
    ),
    (
        &[("Action", "[]")],
        "Missing required field Action cannot be empty!",
    ),
    (
        &[("Resource", "[]")],
        "Missing required field Resource cannot be empty!",
    ),
    (&[("condition", "{}")], "Unknown field condition"),
    (&[("NotEffect", "{}")], "Unknown field NotEffect"),
    (
        &[("NotAction", r#""s3:PutObject""#)],
        "Statement/policy already has instance of Action",
    ),
    (
        &[
            ("-Principal", ""),
            ("NotPrincipal", r#"{"AWS":"123456789012"}"#),
        ],
        "Allow with NotPrincipal is not allowed.",
    ),
    (&[("Principal", r#""user""#)], "Invalid policy syntax."),
    (
        &[("Principal", r#"{"AWS":"user"}"#)],
        "Invalid principal in policy",
    ),
    (
        &[("Principal", r#"{"AWS":["*","user"]}"#)],
        "Invalid principal in policy",
    ),
    (
        &[("Principal", r#"{"AWS":"12345678901"}"#)],
        "Invalid principal in policy",
    ),
    (
        &[("Principal", r#"{"AWS":"arn:aws:iam::123456789012:user/*"}"#)],
        "Invalid principal in policy",
    ),
    (
        &[(
            "Principal",
            r#"{"AWS":"arn:aws:iam::123456789012:group/a"}"#,
        )],
        "Invalid principal in policy",
    ),
    (
        &[("Principal", r#"{"AWS":"arn:aws:s3::123456789012:user/a"}"#)],
        "Invalid principal in policy",
    ),
    (
        &[("Principal", r#"{"Service":"*"}"#)],
        "Invalid principal in policy",
    ),
    (
        &[("Principal", r#"{"Aws":"*"}"#)],
        "Invalid principal in policy",
    ),
    (&[("Action", r#""s3:Get""#)], "Policy has invalid action"),
    (
        &[("Action", r#""s3:ListAllMyBuckets""#)],
        "Policy has invalid action",
    ),
    (&[("Action", r#""ec2:*""#)], "Policy has invalid action"),
    (
        &[("Action", r#"["s3:GetObject",""]"#)],
        "Policy has invalid action",
    ),
    (&[("Action", "1")], "Invalid policy syntax."),
    (&[("Action", r#""S3:gEtObject""#)], "fine"),
    (&[("Action", r#""*""#)], "fine"),
    (&[("Action", r#"["s3:*","s3:Get?bject"]"#)], "fine"),
];

#[test]
fn statements_that_are_none() {
    for (members, message) in STATEMENTS {
        assert_eq!(refused(&document(members)), *message, "{members:?}");
    }
}

#[test]
fn resources_must_be_of_the_bucket_and_fit_the_actions() {
    let mismatch = "Action does not apply to any resource(s) in statement";
    let invalid = "Policy has invalid resource";
    for (action, resource, message) in [
        ("s3:GetObject", "arn:aws:s3:::b/*", "fine"),
        ("s3:GetObject", "arn:aws:s3:::b", mismatch),
        ("s3:GetObject", "arn:aws:s3:::b*", "fine"),
        ("s3:GetObject", "arn:aws:s3:::*", "fine"),
        ("s3:GetObject", "arn:aws:s3::*:b/*", "fine"),
        ("s3:ListBucket", "arn:aws:s3:::b", "fine"),
        ("s3:ListBucket", "arn:aws:s3:::b/*", mismatch),
        ("s3:*", "arn:aws:s3:::b", "fine"),
        ("s3:Get*", "arn:aws:s3:::b", "fine"),
        ("s3:GetObject*", "arn:aws:s3:::b", mismatch),
        ("s3:GetObject", "*", invalid),
        ("s3:GetObject", "b/*", invalid),
        ("s3:GetObject", "arn:aws:s3:::", invalid),
        ("s3:GetObject", "arn:aws:s3:::/*", invalid),
        ("s3:GetObject", "arn:aws:s3:::c/*", invalid),
        ("s3:GetObject", "arn:aws:s3:::bb/*", invalid),
        ("s3:GetObject", "arn:aws:sqs:::b/*", invalid),
        ("s3:GetObject", "arn:aws:s3:::b/${aws:username}/*", "fine"),
        ("s3:GetObject", "arn:aws:s3:::${aws:username}/*", "fine"),
    ] {
        let (a, r) = (format!("\"{action}\""), format!("\"{resource}\""));
        let json = document(&[("Action", &a), ("Resource", &r)]);
        assert_eq!(refused(&json), message, "{action} {resource}");
    }
    let none_of = document(&[("-Resource", ""), ("NotResource", r#""arn:aws:s3:::b""#)]);
    assert_eq!(refused(&none_of), "fine");
}

#[test]
fn policies_of_identities() {
    let of = |members: &str| {
        let json = format!(r#"{{"Version":"2012-10-17","Statement":[{members}]}}"#);
        match Policy::parse_identity(&json) {
            Ok(_) => "fine".to_owned(),
            Err(fault) => format!("{}: {fault}", fault.identity_code()),
        }
    };
    let fine = r#"{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    assert_eq!(of(fine), "fine");
    assert_eq!(of(&fine.replace("s3:*", "iam:*")), "fine");
    assert_eq!(
        of(&format!("{fine},{fine}")),
        "MalformedPolicyDocument: Statement IDs (SID) in a single policy must be unique."
    );
    assert_eq!(
        of(&fine.replace("\"Sid\":\"a\"", "\"Principal\":\"*\"")),
        "MalformedPolicyDocument: Policy document should not specify a principal."
    );
    assert_eq!(
        of(&fine.replace("s3:*", "GetObject")),
        "MalformedPolicyDocument: Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
    );
    assert_eq!(
        of(&fine.replace(r#":"*"}"#, r#":"b/*"}"#)),
        "MalformedPolicyDocument: Resource b/* must be in ARN format or \"*\"."
    );
    assert_eq!(
        of(&fine.replace("\"a\"", &format!("\"{}\"", "a".repeat(7000)))),
        "LimitExceeded: Cannot exceed quota for PolicySize: 6144"
    );
    assert_eq!(PolicyFault::BUCKET_CODE, "MalformedPolicy");
}
