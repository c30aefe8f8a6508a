//! The lists that S3 has ready.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl>

use super::{Acl, AclFault, Grant, Group, Permission};

/// The canonical id by which EC2 reads its images.
const EC2: &str = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c";

/// One of the lists that S3 has ready, as `x-amz-acl` and forms name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canned {
    /// The owner alone.
    Private,
    /// Everybody reads.
    PublicRead,
    /// Everybody reads and writes.
    PublicReadWrite,
    /// Everybody with an account reads.
    AuthenticatedRead,
    /// EC2 reads.
    AwsExecRead,
    /// The bucket's owner reads.
    BucketOwnerRead,
    /// The bucket's owner has full control.
    BucketOwnerFullControl,
    /// The writer of access logs writes.
    LogDeliveryWrite,
}

/// What a list is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A bucket.
    Bucket,
    /// An object in the bucket of the account of this canonical id.
    Object {
        /// The bucket's owner.
        bucket_owner: &'a str,
    },
}

impl Canned {
    const ALL: [Self; 8] = [
        Self::Private,
        Self::PublicRead,
        Self::PublicReadWrite,
        Self::AuthenticatedRead,
        Self::AwsExecRead,
        Self::BucketOwnerRead,
        Self::BucketOwnerFullControl,
        Self::LogDeliveryWrite,
    ];

    /// `public-read`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AuthenticatedRead => "authenticated-read",
            Self::AwsExecRead => "aws-exec-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
            Self::LogDeliveryWrite => "log-delivery-write",
        }
    }

    /// The list of that name.
    ///
    /// # Errors
    /// [`AclFault::Canned`] where there is none, or not for this subject.
    pub fn named(name: &str, subject: Subject<'_>) -> Result<Self, AclFault> {
        let fits = |one: &Self| *one != Self::LogDeliveryWrite || subject == Subject::Bucket;
        let mut all = Self::ALL.into_iter().filter(fits);
        all.find(|one| one.as_str() == name)
            .ok_or_else(|| AclFault::Canned { value: name.into() })
    }

    /// The list, written out for an owner. What speaks of a bucket's owner means nothing for a
    /// bucket itself, nor where the object is theirs already.
    pub fn expand(self, owner: &str, subject: Subject<'_>) -> Acl {
        let bucket_owner = match subject {
            Subject::Object { bucket_owner } if bucket_owner != owner => Some(bucket_owner),
            _ => None,
        };
        let to_bucket_owner = |permission| {
            let grant = bucket_owner.map(|id| Grant::to_account(id, permission));
            grant.into_iter().collect()
        };
        let further = match self {
            Self::Private => Vec::new(),
            Self::PublicRead => vec![Grant::to_group(Group::AllUsers, Permission::Read)],
            Self::PublicReadWrite => vec![
                Grant::to_group(Group::AllUsers, Permission::Read),
                Grant::to_group(Group::AllUsers, Permission::Write),
            ],
            Self::AuthenticatedRead => {
                vec![Grant::to_group(Group::AuthenticatedUsers, Permission::Read)]
            }
            Self::AwsExecRead => vec![Grant::to_account(EC2, Permission::Read)],
            Self::BucketOwnerRead => to_bucket_owner(Permission::Read),
            Self::BucketOwnerFullControl => to_bucket_owner(Permission::FullControl),
            Self::LogDeliveryWrite => vec![
                Grant::to_group(Group::LogDelivery, Permission::Write),
                Grant::to_group(Group::LogDelivery, Permission::ReadAcp),
            ],
        };
        let mut acl = Acl::private(owner);
        acl.grants.extend(further);
        acl
    }
}
