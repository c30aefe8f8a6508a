//! A bucket's policy, its ownership and its block of public access: put, got, deleted.

use http::StatusCode;

use super::bucket;
use crate::auth::acl::Acl;
use crate::auth::policy::{Policy, PolicyFault};
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::Reply;
use crate::s3::xml::{self, Node, XmlWriter};
use crate::store::settings::{Ownership, PublicAccessBlock};

/// Bytes of a policy with its blanks, at most.
const POLICY_BYTES_MAX: u64 = 64 * 1024;
const CONFIGURATION: bucket::Configuration = bucket::Configuration {
    bytes_max: 64 * 1024,
    is_guarded: true,
};

/// Options that [`put_bucket_policy`] honours: whoever puts a policy may shut themselves out.
pub const PUT_BUCKET_POLICY: &[&str] = &["x-amz-confirm-remove-self-bucket-access"];

impl From<PolicyFault> for S3Error {
    fn from(fault: PolicyFault) -> Self {
        Self::because(Code::MalformedPolicy, fault.to_string())
    }
}

/// `PutBucketPolicy`.
///
/// # Errors
/// `NoSuchBucket`, `MalformedPolicy`, `AccessDenied` where public policies are blocked.
pub async fn put_bucket_policy(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let Call {
        service,
        head,
        body,
        ..
    } = call;
    let text = body.bytes(POLICY_BYTES_MAX).await?;
    let text = String::from_utf8(text.into()).map_err(|_no_utf8| PolicyFault::NotJson)?;
    let policy = Policy::parse_bucket(&text, bucket.name.as_str())?;
    let block = bucket.settings.access.public_access_block;
    if block.unwrap_or_default().block_public_policy && policy.is_public() {
        return Err(Code::AccessDenied.into());
    }
    bucket::change(&service.store, &head, |_bucket, settings| {
        settings.access.policy = Some(text.clone());
        Ok(())
    })
    .await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `GetBucketPolicy`: as it was put.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchBucketPolicy`.
pub async fn get_bucket_policy(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let policy = bucket.settings.access.policy.clone();
    let policy = policy.ok_or_else(|| no_policy(bucket.name.as_str()))?;
    Ok(Reply::full("application/json", policy))
}

fn no_policy(bucket: &str) -> S3Error {
    S3Error::new(Code::NoSuchBucketPolicy).with("BucketName", bucket)
}

/// `DeleteBucketPolicy`: no fault where there is none.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn delete_bucket_policy(call: Call) -> Result<Reply, S3Error> {
    bucket::unset(call, |settings| {
        settings.access.policy = None;
    })
    .await
}

/// `GetBucketPolicyStatus`: whether everybody is let in, by the policy or by the bucket's list.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn get_bucket_policy_status(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let access = &bucket.settings.access;
    let policy = access.policy.as_deref();
    let policy = policy.map(|text| call.service.policies.read(&bucket.name, text));
    let by_policy = policy.transpose()?.is_some_and(|policy| policy.is_public());
    let by_list = access.acl.as_ref().is_some_and(Acl::is_public);
    let mut document = XmlWriter::new("PolicyStatus");
    document.value("IsPublic", by_policy || by_list);
    Ok(Reply::xml(document))
}

/// `PutPublicAccessBlock`.
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`.
pub async fn put_public_access_block(call: Call) -> Result<Reply, S3Error> {
    let read = |document: &[u8]| block(&xml::parse(document, "PublicAccessBlockConfiguration")?);
    bucket::configure(call, CONFIGURATION, read, |wanted, _bucket, settings| {
        settings.access.public_access_block = Some(*wanted);
        Ok(())
    })
    .await
}

fn block(root: &Node) -> Result<PublicAccessBlock, S3Error> {
    let mut block = PublicAccessBlock::default();
    for child in &root.children {
        let switch = match child.name.as_str() {
            "BlockPublicAcls" => &mut block.block_public_acls,
            "IgnorePublicAcls" => &mut block.ignore_public_acls,
            "BlockPublicPolicy" => &mut block.block_public_policy,
            "RestrictPublicBuckets" => &mut block.restrict_public_buckets,
            _ => return Err(Code::MalformedXML.into()),
        };
        *switch = match child.text.trim().to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => return Err(Code::MalformedXML.into()),
        };
    }
    Ok(block)
}

/// `GetPublicAccessBlock`.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchPublicAccessBlockConfiguration`.
pub async fn get_public_access_block(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let block = bucket.settings.access.public_access_block;
    let block = block.ok_or_else(|| {
        let error = S3Error::new(Code::NoSuchPublicAccessBlockConfiguration);
        error.with("BucketName", bucket.name.as_str())
    })?;
    let mut document = XmlWriter::new("PublicAccessBlockConfiguration");
    document.value("BlockPublicAcls", block.block_public_acls);
    document.value("IgnorePublicAcls", block.ignore_public_acls);
    document.value("BlockPublicPolicy", block.block_public_policy);
    document.value("RestrictPublicBuckets", block.restrict_public_buckets);
    Ok(Reply::xml(document))
}

/// `DeletePublicAccessBlock`: no fault where there is none.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn delete_public_access_block(call: Call) -> Result<Reply, S3Error> {
    bucket::unset(call, |settings| {
        settings.access.public_access_block = None;
    })
    .await
}

/// The ownership of that name.
pub(super) fn ownership(name: &str) -> Option<Ownership> {
    match name {
        "BucketOwnerEnforced" => Some(Ownership::BucketOwnerEnforced),
        "BucketOwnerPreferred" => Some(Ownership::BucketOwnerPreferred),
        "ObjectWriter" => Some(Ownership::ObjectWriter),
        _ => None,
    }
}

/// `PutBucketOwnershipControls`.
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`, `InvalidBucketAclWithObjectOwnership` where the bucket's list
/// lets others in.
pub async fn put_bucket_ownership_controls(call: Call) -> Result<Reply, S3Error> {
    bucket::configure(call, CONFIGURATION, chosen, |chosen, bucket, settings| {
        let access = &mut settings.access;
        let private = Acl::private(bucket.owner.as_str());
        let shared = access.acl.as_ref().is_some_and(|acl| *acl != private);
        if *chosen == Ownership::BucketOwnerEnforced && shared {
            return Err(Code::InvalidBucketAclWithObjectOwnership.into());
        }
        access.ownership = *chosen;
        Ok(())
    })
    .await
}

/// The ownership that a document chooses.
fn chosen(document: &[u8]) -> Result<Ownership, S3Error> {
    let root = xml::parse(document, "OwnershipControls")?;
    let [rule] = root.children.as_slice() else {
        return Err(Code::MalformedXML.into());
    };
    let chosen = rule.text_of("ObjectOwnership").map(str::trim);
    Ok(chosen.and_then(ownership).ok_or(Code::MalformedXML)?)
}

/// `GetBucketOwnershipControls`.
///
/// # Errors
/// `NoSuchBucket`, `OwnershipControlsNotFoundError` where the choice was taken back.
pub async fn get_bucket_ownership_controls(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let name = match bucket.settings.access.ownership {
        Ownership::Unchosen | Ownership::BucketOwnerEnforced => "BucketOwnerEnforced",
        Ownership::BucketOwnerPreferred => "BucketOwnerPreferred",
        Ownership::ObjectWriter => "ObjectWriter",
        Ownership::Removed => {
            let error = S3Error::new(Code::OwnershipControlsNotFoundError);
            return Err(error.with("BucketName", bucket.name.as_str()));
        }
    };
    let mut document = XmlWriter::new("OwnershipControls");
    document.element("Rule", |document| {
        document.text("ObjectOwnership", name);
    });
    Ok(Reply::xml(document))
}

/// `DeleteBucketOwnershipControls`: lists count from now on.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn delete_bucket_ownership_controls(call: Call) -> Result<Reply, S3Error> {
    bucket::unset(call, |settings| {
        settings.access.ownership = Ownership::Removed;
    })
    .await
}
