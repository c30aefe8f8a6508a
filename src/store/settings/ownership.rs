//! Who owns the objects of a bucket, and whether access control lists count there.

use crate::auth::acl::Acl;

/// Who owns a bucket's objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Ownership {
    /// Nobody has chosen: as if enforced, save that who writes an object may read it, until somebody
    /// who may gives a list.
    #[n(0)]
    #[default]
    Unchosen,
    /// The bucket's owner owns all, and lists don't count.
    #[n(1)]
    BucketOwnerEnforced,
    /// The bucket's owner owns what is written with `bucket-owner-full-control`.
    #[n(2)]
    BucketOwnerPreferred,
    /// Who writes an object owns it.
    #[n(3)]
    ObjectWriter,
    /// The choice was taken back; lists count, and who writes an object owns it.
    #[n(4)]
    Removed,
}

impl Ownership {
    /// Whether access control lists can let anybody in.
    pub const fn knows_lists(self) -> bool {
        !matches!(self, Self::BucketOwnerEnforced)
    }

    /// Whether access control lists can keep the bucket's owner out.
    pub const fn heeds_lists(self) -> bool {
        matches!(
            self,
            Self::BucketOwnerPreferred | Self::ObjectWriter | Self::Removed
        )
    }
}

/// What of public access is refused, whatever policies and lists say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[expect(clippy::struct_excessive_bools, reason = "S3's own four switches")]
pub struct PublicAccessBlock {
    /// Lists that let everybody in can't be given.
    #[n(0)]
    pub block_public_acls: bool,
    /// Grants to everybody don't count.
    #[n(1)]
    pub ignore_public_acls: bool,
    /// Policies that let everybody in can't be given.
    #[n(2)]
    pub block_public_policy: bool,
    /// A policy that lets everybody in counts for the owner's account only.
    #[n(3)]
    pub restrict_public_buckets: bool,
}

/// Who may do what to a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct AccessSettings {
    /// The policy, as it was put.
    #[n(0)]
    pub policy: Option<String>,
    /// The access control list; none is that of the owner alone.
    #[n(1)]
    pub acl: Option<Acl>,
    /// Who owns the objects.
    #[cbor(n(2), default)]
    pub ownership: Ownership,
    /// What of public access is refused.
    #[n(3)]
    pub public_access_block: Option<PublicAccessBlock>,
}
