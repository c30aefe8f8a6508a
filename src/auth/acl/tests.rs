//! The lists as a whole.

use super::{Acl, AclFault, Asker, Canned, Grant, Group, Permission, Subject, Wanted, grants};

use Permission::{FullControl, Read, ReadAcp, Write, WriteAcp};

const OBJECT: Subject<'_> = Subject::Object { bucket_owner: "bo" };

#[test]
fn canned_lists_are_written_out() {
    let all = |permission| Grant::to_group(Group::AllUsers, permission);
    let log = |permission| Grant::to_group(Group::LogDelivery, permission);
    let bucket_owner = |permission| Grant::to_account("bo", permission);
    for (name, subject, further) in [
        ("private", OBJECT, vec![]),
        ("public-read", OBJECT, vec![all(Read)]),
        (
            "public-read-write",
            Subject::Bucket,
            vec![all(Read), all(Write)],
        ),
        (
            "authenticated-read",
            OBJECT,
            vec![Grant::to_group(Group::AuthenticatedUsers, Read)],
        ),
        ("bucket-owner-read", OBJECT, vec![bucket_owner(Read)]),
        (
            "bucket-owner-full-control",
            OBJECT,
            vec![bucket_owner(FullControl)],
        ),
        ("bucket-owner-full-control", Subject::Bucket, vec![]),
        (
            "bucket-owner-read",
            Subject::Object { bucket_owner: "me" },
            vec![],
        ),
        (
            "log-delivery-write",
            Subject::Bucket,
            vec![log(Write), log(ReadAcp)],
        ),
    ] {
        let acl = Canned::named(name, subject).unwrap().expand("me", subject);
        let mut expected = vec![Grant::to_account("me", FullControl)];
        expected.extend(further);
        assert_eq!(acl.grants(), expected, "{name} {subject:?}");
        assert_eq!(acl.owner, "me");
    }
    let exec = Canned::AwsExecRead.expand("me", OBJECT);
    assert_eq!(exec.grants().len(), 2);
    for (name, subject) in [
        ("fake-acl", OBJECT),
        ("log-delivery-write", OBJECT),
        ("", OBJECT),
    ] {
        let fault = Canned::named(name, subject).unwrap_err();
        assert_eq!(fault.code(), "InvalidArgument");
        assert_eq!(fault.argument(), Some(("x-amz-acl", name)));
    }
}

#[test]
fn grants_allow_what_they_say() {
    let list = |grants: Vec<Grant>| Acl::new("me", grants).unwrap();
    let (me, you) = (Asker::Account("me"), Asker::Account("you"));
    let (nobody, log) = (Asker::Anonymous, Asker::LogDelivery);
    let acl = Acl::private("me");
    for permission in [Read, Write, ReadAcp, WriteAcp, FullControl] {
        assert!(acl.allows(me, permission));
        assert!(!acl.allows(you, permission));
        assert!(!acl.allows(nobody, permission));
    }
    let bare = list(vec![]);
    assert!(bare.allows(me, ReadAcp) && bare.allows(me, WriteAcp));
    assert!(!bare.allows(me, Read) && !bare.allows(me, FullControl));
    let single = [Read, Write, ReadAcp, WriteAcp].map(|one| Grant::to_account("you", one));
    assert!(list(single.to_vec()).allows(you, FullControl));
    assert!(!list(single[..3].to_vec()).allows(you, FullControl));
    for (group, who, allowed) in [
        (Group::AllUsers, nobody, true),
        (Group::AllUsers, you, true),
        (Group::AuthenticatedUsers, nobody, false),
        (Group::AuthenticatedUsers, you, true),
        (Group::LogDelivery, you, false),
        (Group::LogDelivery, log, true),
    ] {
        let acl = list(vec![Grant::to_group(group, Read)]);
        assert_eq!(acl.allows(who, Read), allowed, "{group:?} {who:?}");
        assert!(!acl.allows(who, Write));
        let public = group != Group::LogDelivery;
        assert_eq!(acl.is_public(), public);
        assert_eq!(acl.without_public().grants().is_empty(), public);
    }
}

#[test]
fn a_list_has_a_hundred_grants_at_most() {
    let of = |count| Acl::new("me", vec![Grant::to_account("you", Read); count]);
    assert!(of(100).is_ok());
    assert_eq!(of(101), Err(AclFault::TooMany));
}

#[test]
fn headers_name_grantees() {
    let known = |wanted: &Wanted| match wanted {
        Wanted::Id(id) if id.len() == 3 => Some(id.clone()),
        Wanted::Email(mail) if mail == "a@b" => Some("abc".into()),
        _ => None,
    };
    let read = |value: &str| grants("x-amz-grant-read", Read, value, known);
    let everybody = format!("uri=\"{}\"", Group::AllUsers.uri());
    let account = |id: &str| Grant::to_account(id, Read);
    for (value, expected) in [
        ("id=\"abc\"".to_owned(), vec![account("abc")]),
        ("id=abc".into(), vec![account("abc")]),
        (
            "ID = \"abc\" , id=xyz".into(),
            vec![account("abc"), account("xyz")],
        ),
        ("emailAddress=\"a@b\"".into(), vec![account("abc")]),
        (
            format!("id=abc,{everybody}"),
            vec![account("abc"), Grant::to_group(Group::AllUsers, Read)],
        ),
    ] {
        assert_eq!(read(&value), Ok(expected), "{value}");
    }
    for (value, argument) in [
        ("fakekey=\"1234\"", ("x-amz-grant-read", "fakekey=\"1234\"")),
        ("", ("x-amz-grant-read", "")),
        ("id=", ("x-amz-grant-read", "id=")),
        ("id=\"abc", ("x-amz-grant-read", "id=\"abc")),
        ("id=\"abc\" x", ("x-amz-grant-read", "id=\"abc\" x")),
        ("id=abc,", ("x-amz-grant-read", "id=abc,")),
        ("id=wrong-id", ("id", "wrong-id")),
        ("uri=http://a/b", ("uri", "http://a/b")),
    ] {
        let fault = read(value).unwrap_err();
        assert_eq!(fault.code(), "InvalidArgument", "{value}");
        assert_eq!(fault.argument(), Some(argument), "{value}");
    }
    let fault = read("emailAddress=x@y").unwrap_err();
    assert_eq!(fault.code(), "UnresolvableGrantByEmailAddress");
}

#[test]
fn lists_are_stored_and_read_again() {
    let acl = Canned::PublicReadWrite.expand("me", Subject::Bucket);
    let bytes = minicbor::to_vec(&acl).unwrap();
    assert_eq!(minicbor::decode::<Acl>(&bytes).unwrap(), acl);
}

#[test]
fn names_are_read_back() {
    for permission in [Read, Write, ReadAcp, WriteAcp, FullControl] {
        assert_eq!(Permission::named(permission.as_str()), Some(permission));
    }
    assert_eq!(Permission::named("read"), None);
}
