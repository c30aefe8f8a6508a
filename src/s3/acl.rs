//! Access control lists on the wire: headers and documents.

use http::HeaderMap;

use super::context::Service;
use super::error::{Code, S3Error};
use super::head::header;
use super::xml::{self, Node, XmlWriter};
use crate::auth::acl::{
    Acl, AclFault, Canned, GRANT_HEADERS, Grant, Grantee, Group, Permission, Subject, Wanted,
    grants,
};
use crate::store::settings::Ownership;
use crate::store::{Bucket, ObjectStore};

/// Options that carry an access control list.
pub const ACL_HEADERS: &[&str] = &[
    "x-amz-acl",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
];

/// Bytes of a list's document, at most.
pub const LIST_BYTES_MAX: u64 = 128 * 1024;

/// What a grantee's `xsi:type` may be.
const GRANTEE_KINDS: [&str; 3] = ["AmazonCustomerByEmail", "CanonicalUser", "Group"];
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

impl From<AclFault> for S3Error {
    fn from(fault: AclFault) -> Self {
        let code = Code::from_name(fault.code()).unwrap_or(Code::InvalidArgument);
        let error = Self::because(code, fault.to_string());
        match fault.argument() {
            Some((name, value)) => error
                .with("ArgumentName", name)
                .with("ArgumentValue", value),
            None => error,
        }
    }
}

fn account(service: &Service, wanted: &Wanted) -> Option<String> {
    let found = match wanted {
        Wanted::Id(id) => service.accounts.by_id(id),
        Wanted::Email(email) => service.accounts.by_email(email),
        Wanted::Group(_) => None,
    };
    found.map(|account| account.id.clone())
}

/// The list that the headers ask for; none where they ask for none.
///
/// # Errors
/// An [`AclFault`] in S3's words.
pub fn of_headers(
    service: &Service,
    headers: &HeaderMap,
    owner: &str,
    subject: Subject<'_>,
) -> Result<Option<Acl>, S3Error> {
    let mut given = Vec::new();
    for (name, permission) in GRANT_HEADERS {
        if let Some(value) = header(headers, name)? {
            given.extend(grants(name, permission, value, |w| account(service, w))?);
        }
    }
    match (header(headers, "x-amz-acl")?, given.is_empty()) {
        (Some(_canned), false) => Err(AclFault::Both.into()),
        (Some(canned), true) => Ok(Some(Canned::named(canned, subject)?.expand(owner, subject))),
        (None, false) => Ok(Some(Acl::new(owner, given)?)),
        (None, true) => Ok(None),
    }
}

/// The list that a document gives.
///
/// # Errors
/// `MalformedACLError`, and an [`AclFault`] in S3's words.
pub fn of_document(service: &Service, document: &[u8], owner: &str) -> Result<Acl, S3Error> {
    let malformed = || S3Error::new(Code::MalformedACLError);
    let root = xml::parse(document, "AccessControlPolicy").map_err(|_xml| malformed())?;
    let named = root.child("Owner").and_then(|owner| owner.text_of("ID"));
    let named = named.ok_or_else(malformed)?.trim();
    if named != owner {
        return Err(match service.accounts.by_id(named) {
            Some(_another) => Code::AccessDenied.into(),
            None => S3Error::argument("CanonicalUser/ID", named, "Invalid id"),
        });
    }
    let list = root.child("AccessControlList").ok_or_else(malformed)?;
    let given = list.all("Grant").map(|grant| read_grant(service, grant));
    Ok(Acl::new(owner, given.collect::<Result<_, _>>()?)?)
}

/// Reads a grant of a document.
///
/// # Errors
/// `MalformedACLError`, `InvalidArgument` for somebody who is not there.
pub fn read_grant(service: &Service, node: &Node) -> Result<Grant, S3Error> {
    let malformed = || S3Error::new(Code::MalformedACLError);
    let grantee = node.child("Grantee").ok_or_else(malformed)?;
    let kind = grantee.kind.as_deref();
    if kind.is_some_and(|kind| !GRANTEE_KINDS.contains(&kind)) {
        return Err(malformed());
    }
    let permission = node.text_of("Permission").map(str::trim);
    let permission = permission
        .and_then(Permission::named)
        .ok_or_else(malformed)?;
    let text = |name: &str| grantee.text_of(name).map(str::trim);
    let argument = |name: &str, value: &str, message: &'static str| {
        Err(S3Error::argument(name, value, message))
    };
    if let Some(uri) = text("URI") {
        return match Group::of_uri(uri) {
            Some(group) => Ok(Grant::to_group(group, permission)),
            None => argument("Group/URI", uri, "Invalid group uri"),
        };
    }
    if let Some(id) = text("ID") {
        return match service.accounts.by_id(id) {
            Some(account) => Ok(Grant::to_account(account.id.as_str(), permission)),
            None => argument("CanonicalUser/ID", id, "Invalid id"),
        };
    }
    let email = text("EmailAddress").ok_or_else(malformed)?;
    let found = service.accounts.by_email(email);
    let found = found.ok_or_else(|| AclFault::Email {
        value: email.to_owned(),
    })?;
    Ok(Grant::to_account(found.id.as_str(), permission))
}

/// Writes a grant.
pub fn write_grant(document: &mut XmlWriter, service: &Service, grant: &Grant) {
    document.element("Grant", |document| {
        let kind = match &grant.grantee {
            Grantee::CanonicalUser(_) => "CanonicalUser",
            Grantee::Group(_) => "Group",
        };
        let attributes = [("xmlns:xsi", INSTANCE), ("xsi:type", kind)];
        document.element_with("Grantee", &attributes, |document| match &grant.grantee {
            Grantee::CanonicalUser(id) => {
                document.text("ID", id);
                document.text("DisplayName", &service.owner(id).display_name);
            }
            Grantee::Group(group) => {
                document.text("URI", group.uri());
            }
        });
        document.text("Permission", grant.permission.as_str());
    });
}

/// The headers that ask for these grants.
pub fn headers_of(grants: &[Grant]) -> Vec<(&'static str, String)> {
    let of = |permission: Permission| {
        let grants = grants
            .iter()
            .filter(move |one| one.permission == permission);
        let named = grants.map(|grant| match &grant.grantee {
            Grantee::CanonicalUser(id) => format!("id=\"{id}\""),
            Grantee::Group(group) => format!("uri=\"{}\"", group.uri()),
        });
        named.collect::<Vec<_>>().join(", ")
    };
    let headers = GRANT_HEADERS.into_iter();
    let headers = headers.map(|(name, permission)| (name, of(permission)));
    headers.filter(|(_, value)| !value.is_empty()).collect()
}

/// The document of a list.
pub fn document(service: &Service, acl: &Acl) -> XmlWriter {
    let mut document = XmlWriter::new("AccessControlPolicy");
    document.element("Owner", |document| {
        document.text("ID", &acl.owner);
        document.text("DisplayName", &service.owner(&acl.owner).display_name);
    });
    document.element("AccessControlList", |document| {
        // S3 promises no order; clients of other servers count on groups first.
        let is_group = |grant: &&Grant| matches!(grant.grantee, Grantee::Group(_));
        let (groups, accounts): (Vec<_>, Vec<_>) = acl.grants().iter().partition(is_group);
        for grant in groups.into_iter().chain(accounts) {
            write_grant(document, service, grant);
        }
    });
    document
}

/// Whether the bucket takes the list, by its ownership and its block of public access. Where the
/// ownership turns lists off, one name of a list is taken, and lists that say the same in full.
///
/// # Errors
/// `AccessControlListNotSupported`, `AccessDenied`.
pub fn check_taken(bucket: &Bucket, headers: &HeaderMap, acl: &Acl) -> Result<(), S3Error> {
    let access = &bucket.settings.access;
    let enforced = access.ownership == Ownership::BucketOwnerEnforced;
    let canned = header(headers, "x-amz-acl")?;
    let other = canned.is_some_and(|canned| canned != "bucket-owner-full-control");
    if enforced && (other || *acl != Acl::private(bucket.owner.as_str())) {
        return Err(Code::AccessControlListNotSupported.into());
    }
    let block = access.public_access_block.unwrap_or_default();
    if block.block_public_acls && acl.is_public() {
        return Err(Code::AccessDenied.into());
    }
    Ok(())
}

/// In a bucket whose ownership nobody chose, the first list that says more than that the owner may
/// all makes lists count.
///
/// # Errors
/// What the store fails with.
pub async fn let_lists_count(
    store: &ObjectStore,
    bucket: &Bucket,
    acl: &Acl,
) -> Result<(), S3Error> {
    let unchosen = bucket.settings.access.ownership == Ownership::Unchosen;
    if !unchosen || *acl == Acl::private(bucket.owner.as_str()) {
        return Ok(());
    }
    let changed = store.update_bucket(&bucket.name, |_bucket, settings| {
        if settings.access.ownership == Ownership::Unchosen {
            settings.access.ownership = Ownership::ObjectWriter;
        }
        Ok::<_, S3Error>(())
    });
    changed.await.map(drop)
}

/// Who owns a new object, and the list that it keeps: none where lists don't count or it says only
/// that the owner may all.
#[derive(Debug)]
pub struct Owned {
    /// The canonical id.
    pub owner: String,
    /// The list.
    pub acl: Option<Acl>,
}

/// Decides whose a new object is that `writer` puts with these headers, before it is put.
///
/// # Errors
/// As [`of_headers`] and [`check_taken`].
pub async fn of_new_object(
    service: &Service,
    bucket: &Bucket,
    headers: &HeaderMap,
    writer: &str,
) -> Result<Owned, S3Error> {
    let subject = Subject::Object {
        bucket_owner: &bucket.owner,
    };
    let full = header(headers, "x-amz-acl")? == Some("bucket-owner-full-control");
    let ownership = bucket.settings.access.ownership;
    let asked = of_headers(service, headers, writer, subject)?;
    if ownership == Ownership::BucketOwnerEnforced || (full && !ownership.heeds_lists()) {
        if let (Some(acl), false) = (&asked, full) {
            check_taken(bucket, headers, acl)?;
        }
        let owner = bucket.owner.clone();
        return Ok(Owned { owner, acl: None });
    }
    if let Some(acl) = &asked {
        check_taken(bucket, headers, acl)?;
        let_lists_count(&service.store, bucket, acl).await?;
    }
    let owner = match ownership {
        Ownership::BucketOwnerPreferred if full => bucket.owner.as_str(),
        _ => writer,
    };
    let acl = if owner == writer {
        asked
    } else {
        of_headers(service, headers, owner, subject)?
    };
    let acl = acl.filter(|acl| *acl != Acl::private(owner));
    let owner = owner.to_owned();
    Ok(Owned { owner, acl })
}
