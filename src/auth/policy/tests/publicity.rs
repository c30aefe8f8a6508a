//! What is public, and what is let out to others.

use super::{CANONICAL, identity, policy};
use crate::auth::policy::Role;

fn is_public(members: &str) -> bool {
    policy(&format!(r#""Action":"s3:*",{members}"#)).is_public()
}

#[test]
fn only_an_allowance_for_everybody_is_public() {
    for (members, public) in [
        (r#""Effect":"Allow","Principal":"*""#, true),
        (
            r#""Effect":"Allow","Principal":{"AWS":["123456789012","*"]}"#,
            true,
        ),
        (r#""Effect":"Allow","Principal":{"AWS":"*"}"#, true),
        (r#""Effect":"Deny","Principal":"*""#, false),
        (
            r#""Effect":"Allow","Principal":{"AWS":"123456789012"}"#,
            false,
        ),
        (
            r#""Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"}"#,
            false,
        ),
    ] {
        assert_eq!(is_public(members), public, "{members}");
    }
}

#[test]
fn fixed_origins_narrow_it() {
    for (condition, public) in [
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}}"#, true),
        (
            r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::/0"]}}"#,
            true,
        ),
        (r#"{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}"#, false),
        (
            r#"{"IpAddressIfExists":{"aws:SourceIp":"10.0.0.0/8"}}"#,
            true,
        ),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, true),
        (r#"{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#, false),
        (r#"{"StringLike":{"aws:SourceVpc":"vpc-*"}}"#, true),
        (r#"{"StringLike":{"aws:SourceVpc":"vpc-1"}}"#, false),
        (r#"{"StringNotEquals":{"aws:SourceVpc":"vpc-1"}}"#, true),
        (
            r#"{"StringEquals":{"aws:PrincipalOrgID":["o-1","o-2"]}}"#,
            false,
        ),
        (
            r#"{"StringEquals":{"aws:PrincipalOrgID":"${aws:x}"}}"#,
            true,
        ),
        (
            r#"{"ForAllValues:StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#,
            true,
        ),
        (r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:::a"}}"#, false),
        (r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*"}}"#, true),
        (r#"{"StringLike":{"aws:userid":"AROAX:*"}}"#, false),
        (r#"{"StringLike":{"aws:userid":"AROA*"}}"#, true),
        (r#"{"StringLike":{"aws:userid":"*"}}"#, true),
        (
            r#"{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:r:123456789012:accesspoint/*"}}"#,
            false,
        ),
        (
            r#"{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:r:*:accesspoint/*"}}"#,
            true,
        ),
        (r#"{"StringEquals":{"aws:Referer":"http://a"}}"#, true),
        (r#"{"Bool":{"aws:SecureTransport":"true"}}"#, true),
        (r#"{"StringLike":{"s3:prefix":"public/"}}"#, true),
    ] {
        let members = format!(r#""Effect":"Allow","Principal":"*","Condition":{condition}"#);
        assert_eq!(is_public(&members), public, "{condition}");
    }
}

#[test]
fn others_are_those_of_other_accounts() {
    let owner = identity(Role::Root);
    for (principal, others) in [
        (r#""*""#.to_owned(), true),
        (r#"{"AWS":"123456789012"}"#.to_owned(), false),
        (r#"{"AWS":"210987654321"}"#.to_owned(), true),
        (
            r#"{"AWS":"arn:aws:iam::123456789012:user/a"}"#.to_owned(),
            false,
        ),
        (
            r#"{"AWS":"arn:aws:iam::210987654321:role/a"}"#.to_owned(),
            true,
        ),
        (
            r#"{"AWS":["123456789012","210987654321"]}"#.to_owned(),
            true,
        ),
        (format!(r#"{{"CanonicalUser":"{CANONICAL}"}}"#), false),
        (r#"{"CanonicalUser":"other"}"#.to_owned(), true),
        (
            r#"{"Service":"logging.s3.amazonaws.com"}"#.to_owned(),
            false,
        ),
    ] {
        let of = |effect| {
            let members = format!(r#""Effect":"{effect}","Principal":{principal},"Action":"s3:*""#);
            policy(&members).grants_others(&owner)
        };
        assert_eq!(of("Allow"), others, "{principal}");
        assert!(!of("Deny"), "{principal}");
    }
    let narrowed = r#""Effect":"Allow","Principal":"*","Action":"s3:*",
        "Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#;
    assert!(!policy(narrowed).grants_others(&owner));
}
