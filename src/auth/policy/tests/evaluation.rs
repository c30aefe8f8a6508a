//! Whom a statement names, what it covers, and which effect wins.

use super::{ACCOUNT, CANONICAL, ask, caller, context, policy, user};
use crate::auth::policy::{Access, Decision, Policy, Principal, Role};

const OBJECT: &str = "arn:aws:s3:::b/k";

/// Who the tables call so.
fn called(name: &str) -> Principal {
    match name {
        "nobody" => Principal::Anonymous,
        "root" => caller(Role::Root),
        "ours" => user("div/ann"),
        "session" => caller(Role::Session {
            role: "team/reader".into(),
            session: "s1".into(),
        }),
        "federated" => caller(Role::Federated("bob".into())),
        "service" => Principal::Service("logging.s3.amazonaws.com".into()),
        other => panic!("{other}"),
    }
}

const PRINCIPALS: &[(&str, &str, Decision)] = &[
    (r#""*""#, "nobody", Decision::Allow),
    (r#"{"AWS":"*"}"#, "nobody", Decision::Allow),
    (r#"{"AWS":["*"]}"#, "ours", Decision::Allow),
    (r#"{"AWS":"123456789012"}"#, "nobody", Decision::None),
    (r#"{"AWS":"123456789012"}"#, "root", Decision::Allow),
    (r#"{"AWS":"123456789012"}"#, "ours", Decision::Account),
    (
        r#"{"AWS":"arn:aws:iam::123456789012:root"}"#,
        "root",
        Decision::Allow,
    ),
    (
        r#"{"AWS":"arn:aws:iam::123456789012:root"}"#,
        "session",
        Decision::Account,
    ),
    (
        r#"{"AWS":"arn:aws:iam::210987654321:root"}"#,
        "ours",
        Decision::None,
    ),
    (
        r#"{"AWS":"arn:aws:iam::123456789012:user/div/ann"}"#,
        "ours",
        Decision::Allow,
    ),
    (
        r#"{"AWS":"arn:aws:iam::123456789012:user/ann"}"#,
        "ours",
        Decision::None,
    ),
    (
        r#"{"AWS":"arn:aws:iam::123456789012:user/div/ann"}"#,
        "root",
        Decision::None,
    ),
    (
        r#"{"AWS":["123456789012","arn:aws:iam::123456789012:user/div/ann"]}"#,
        "ours",
        Decision::Allow,
    ),
    (
        r#"{"AWS":"arn:aws:iam:::user/div/ann"}"#,
        "ours",
        Decision::Allow,
    ),
    (
        r#"{"AWS":"arn:aws:iam:::user/bob"}"#,
        "ours",
        Decision::None,
    ),
    (
        r#"{"AWS":"arn:aws:iam:::user/ID"}"#,
        "root",
        Decision::Allow,
    ),
    (r#"{"CanonicalUser":"ID"}"#, "root", Decision::Allow),
    (r#"{"CanonicalUser":"ID"}"#, "ours", Decision::Account),
    (r#"{"CanonicalUser":"abc"}"#, "ours", Decision::None),
    (
        r#"{"AWS":"arn:aws:iam::123456789012:role/team/reader"}"#,
        "session",
        Decision::Allow,
    ),
    (
        r#"{"AWS":"arn:aws:sts::123456789012:assumed-role/reader/s1"}"#,
        "session",
        Decision::Allow,
    ),
    (
        r#"{"AWS":"arn:aws:iam::123456789012:user/team/reader"}"#,
        "session",
        Decision::Allow,
    ),
    (
        r#"{"AWS":"arn:aws:sts::123456789012:assumed-role/reader/s2"}"#,
        "session",
        Decision::None,
    ),
    (
        r#"{"AWS":"arn:aws:sts::123456789012:federated-user/bob"}"#,
        "federated",
        Decision::Allow,
    ),
    (
        r#"{"Service":"logging.s3.amazonaws.com"}"#,
        "service",
        Decision::Allow,
    ),
    (
        r#"{"Service":"logging.s3.amazonaws.com"}"#,
        "ours",
        Decision::None,
    ),
    (
        r#"{"Federated":"accounts.google.com"}"#,
        "federated",
        Decision::None,
    ),
];

#[test]
fn principals_are_named_in_all_their_ways() {
    for (principal, who, expected) in PRINCIPALS {
        let principal = principal.replace("ID", CANONICAL);
        let policy = policy(&format!(
            r#""Effect":"Allow","Principal":{principal},"Action":"s3:GetObject""#
        ));
        let said = ask(&policy, &called(who), "s3:GetObject", OBJECT);
        assert_eq!(said, *expected, "{principal} {who}");
    }
}

#[test]
fn a_denial_of_an_account_is_one_of_all_its_users() {
    let of = |principal: &str| policy(&format!(r#""Effect":"Deny",{principal},"Action":"s3:*""#));
    let account = of(&format!(r#""Principal":{{"AWS":"{ACCOUNT}"}}"#));
    assert_eq!(
        ask(&account, &user("a"), "s3:GetObject", OBJECT),
        Decision::Deny
    );
    // To except an account is not to except its users.
    let but = of(&format!(r#""NotPrincipal":{{"AWS":"{ACCOUNT}"}}"#));
    assert_eq!(
        ask(&but, &user("a"), "s3:GetObject", OBJECT),
        Decision::Deny
    );
    assert_eq!(
        ask(&but, &caller(Role::Root), "s3:GetObject", OBJECT),
        Decision::None
    );
    assert_eq!(
        ask(&but, &Principal::Anonymous, "s3:GetObject", OBJECT),
        Decision::Deny
    );
    let but = of(&format!(
        r#""NotPrincipal":{{"AWS":"arn:aws:iam::{ACCOUNT}:user/a"}}"#
    ));
    assert_eq!(
        ask(&but, &user("a"), "s3:GetObject", OBJECT),
        Decision::None
    );
    assert_eq!(
        ask(&but, &user("b"), "s3:GetObject", OBJECT),
        Decision::Deny
    );
}

#[test]
fn actions_and_resources_are_patterns() {
    for (members, action, resource, allowed) in [
        (r#""Action":"s3:GetObject""#, "s3:GetObject", OBJECT, true),
        (r#""Action":"s3:getobject""#, "s3:GetObject", OBJECT, true),
        (
            r#""Action":"s3:GetObject""#,
            "s3:GetObjectAcl",
            OBJECT,
            false,
        ),
        (r#""Action":"s3:Get*""#, "s3:GetObjectAcl", OBJECT, true),
        (
            r#""Action":"s3:GetObject???""#,
            "s3:GetObjectAcl",
            OBJECT,
            true,
        ),
        (r#""Action":"*""#, "s3:ListBucket", "arn:aws:s3:::b", true),
        (r#""NotAction":"s3:Get*""#, "s3:GetObject", OBJECT, false),
        (r#""NotAction":"s3:Get*""#, "s3:PutObject", OBJECT, true),
        (
            r#""Action":"s3:*""#,
            "s3:GetObject",
            "arn:aws:s3:::c/k",
            false,
        ),
        (
            r#""Action":"s3:*""#,
            "s3:GetObject",
            "arn:aws:s3:::b/a:b/c:d",
            true,
        ),
    ] {
        let policy = policy(&format!(r#""Effect":"Allow","Principal":"*",{members}"#));
        let said = ask(&policy, &Principal::Anonymous, action, resource);
        assert_eq!(
            said == Decision::Allow,
            allowed,
            "{members} {action} {resource}"
        );
    }
    for (element, key, allowed) in [
        (r#""Resource":"arn:aws:s3:::b/a/*""#, "a/b", true),
        (r#""Resource":"arn:aws:s3:::b/a/*""#, "a", false),
        (r#""Resource":"arn:aws:s3:::b/A/*""#, "a/b", false),
        (r#""Resource":"arn:aws:s3:::b/a?c""#, "a/c", true),
        (r#""Resource":"arn:aws:s3:::b*""#, "x", true),
        (r#""Resource":"arn:aws:s3::*:b/x""#, "x", true),
        (r#""NotResource":"arn:aws:s3:::b/a/*""#, "a/b", false),
        (r#""NotResource":"arn:aws:s3:::b/a/*""#, "b", true),
    ] {
        let json = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",{element}}}}}"#
        );
        let policy = Policy::parse_bucket(&json, "b").unwrap();
        let resource = format!("arn:aws:s3:::b/{key}");
        let said = ask(&policy, &Principal::Anonymous, "s3:GetObject", &resource);
        assert_eq!(said == Decision::Allow, allowed, "{element} {key}");
    }
}

#[test]
fn variables_are_of_2012_and_plain() {
    let of = |version: &str, resource: &str, key: &str, name: Option<&str>| {
        let json = format!(
            r#"{{"Version":"{version}","Statement":{{"Effect":"Allow","Principal":"*",
                "Action":"s3:GetObject","Resource":"arn:aws:s3:::b/{resource}"}}}}"#
        );
        let mut known = context(&[]);
        known.set_if("aws:username", name);
        let said = Policy::parse_bucket(&json, "b").unwrap().evaluate(&Access {
            principal: &Principal::Anonymous,
            action: "s3:GetObject",
            resource: &format!("arn:aws:s3:::b/{key}"),
            context: &known,
        });
        said == Decision::Allow
    };
    let new = "2012-10-17";
    let old = "2008-10-17";
    for (version, resource, key, name, allowed) in [
        (new, "${aws:username}/*", "ann/x", Some("ann"), true),
        (new, "${AWS:UserName}/*", "ann/x", Some("ann"), true),
        (new, "${aws:username}/*", "bob/x", Some("ann"), false),
        (new, "${aws:username}/*", "ann/x", None, false),
        (new, "${aws:username}/*", "bob/x", Some("*"), false),
        (new, "${aws:username}/*", "*/x", Some("*"), true),
        (new, "${aws:username, 'all'}/*", "all/x", None, true),
        (new, "${aws:username, 'all'}/*", "ann/x", Some("ann"), true),
        (old, "${aws:username}/*", "ann/x", Some("ann"), false),
        (
            old,
            "${aws:username}/*",
            "${aws:username}/x",
            Some("ann"),
            true,
        ),
        (new, "a${*}", "a*", None, true),
        (new, "a${*}", "ab", None, false),
        (new, "a${?}${$}", "a?$", None, true),
        (new, "a${b", "a${b", None, true),
    ] {
        let said = of(version, resource, key, name);
        assert_eq!(said, allowed, "{version} {resource} {key} {name:?}");
    }
}

#[test]
fn the_strongest_statement_wins() {
    let json = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/secret/*"},
        {"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}"#;
    let policy = Policy::parse_bucket(json, "b").unwrap();
    let ask = |action, key| {
        let resource = format!("arn:aws:s3:::b/{key}");
        ask(&policy, &Principal::Anonymous, action, &resource)
    };
    assert_eq!(ask("s3:GetObject", "secret/a"), Decision::Deny);
    assert_eq!(ask("s3:GetObject", "a"), Decision::Allow);
    assert_eq!(ask("s3:PutObject", "a"), Decision::None);
}

#[test]
fn an_identitys_policy_is_about_its_holder() {
    let json = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:*","Resource":"*"},
        {"Effect":"Deny","Action":"s3:Delete*","Resource":"arn:aws:s3:::*/keep/*"}]}"#;
    let policy = Policy::parse_identity(json).unwrap();
    let who = user("a");
    assert_eq!(
        ask(&policy, &who, "s3:ListAllMyBuckets", "*"),
        Decision::Allow
    );
    assert_eq!(
        ask(&policy, &who, "s3:DeleteObject", "arn:aws:s3:::b/x"),
        Decision::Allow
    );
    assert_eq!(
        ask(&policy, &who, "s3:DeleteObject", "arn:aws:s3:::b/keep/x"),
        Decision::Deny
    );
    assert_eq!(ask(&policy, &who, "iam:CreateUser", "*"), Decision::None);
}
