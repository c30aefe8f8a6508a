//! What S3 has: the actions, on what each works, and the condition keys that each knows.
//!
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>

use super::glob::Glob;

/// On what an action works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bucket,
    Object,
}

/// Actions on buckets that a bucket's policy can name, without `s3:`.
const ON_BUCKETS: &str = "
    CreateBucketMetadataTableConfiguration DeleteBucket DeleteBucketMetadataTableConfiguration
    DeleteBucketPolicy DeleteBucketWebsite GetAccelerateConfiguration GetAnalyticsConfiguration
    GetBucketAbac GetBucketAcl GetBucketCORS GetBucketLocation GetBucketLogging
    GetBucketMetadataTableConfiguration GetBucketNotification GetBucketObjectLockConfiguration
    GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus GetBucketPublicAccessBlock
    GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite
    GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration
    GetLifecycleConfiguration GetMetricsConfiguration GetReplicationConfiguration ListBucket
    ListBucketMultipartUploads ListBucketVersions ListTagsForResource PauseReplication
    PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAbac PutBucketAcl PutBucketCORS
    PutBucketLogging PutBucketNotification PutBucketObjectLockConfiguration
    PutBucketOwnershipControls PutBucketPolicy PutBucketPublicAccessBlock PutBucketRequestPayment
    PutBucketTagging PutBucketVersioning PutBucketWebsite PutEncryptionConfiguration
    PutIntelligentTieringConfiguration PutInventoryConfiguration PutLifecycleConfiguration
    PutMetricsConfiguration PutReplicationConfiguration TagResource UntagResource
    UpdateBucketMetadataInventoryTableConfiguration UpdateBucketMetadataJournalTableConfiguration";

/// Actions on objects.
const ON_OBJECTS: &str = "
    AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectTagging
    DeleteObjectVersion DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes
    GetObjectLegalHold GetObjectRetention GetObjectTagging GetObjectTorrent GetObjectVersion
    GetObjectVersionAcl GetObjectVersionAttributes GetObjectVersionForReplication
    GetObjectVersionTagging GetObjectVersionTorrent InitiateReplication ListMultipartUploadParts
    ObjectOwnerOverrideToBucketOwner PutObject PutObjectAcl PutObjectLegalHold PutObjectRetention
    PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging ReplicateDelete ReplicateObject
    ReplicateTags RestoreObject UpdateObjectEncryption";

/// Every action that a bucket's policy can name, without `s3:`; each has its bit in [`Actions`].
fn actions() -> impl Iterator<Item = &'static str> {
    ON_BUCKETS
        .split_whitespace()
        .chain(ON_OBJECTS.split_whitespace())
}

/// A set of actions. A policy may name thousands of patterns and as many conditions, each of which is
/// compared with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Actions(u128);

impl Actions {
    /// Those that `pattern` (`*`, `s3:Get*`) names.
    pub(super) fn named_by(pattern: &str) -> Self {
        let glob = Glob::spelled(&pattern.to_ascii_lowercase());
        Self::where_(|name| glob.matches_text(&format!("s3:{}", name.to_ascii_lowercase())))
    }

    /// Those that work on this kind of resource.
    pub(super) fn on(kind: Kind) -> Self {
        let of_kind = match kind {
            Kind::Bucket => ON_BUCKETS,
            Kind::Object => ON_OBJECTS,
        };
        Self::where_(|name| of_kind.split_whitespace().any(|one| one == name))
    }

    /// Those that know a condition key.
    pub(super) fn that_know(known: Known) -> Self {
        match known {
            Known::Everywhere => Self(u128::MAX),
            Known::By(names) => Self::where_(|name| names.contains(&name)),
        }
    }

    fn where_(is: impl Fn(&str) -> bool) -> Self {
        let named = actions().zip(0..).filter(|(name, _bit)| is(name));
        Self(named.fold(0, |set, (_name, bit)| set | 1_u128 << bit))
    }

    /// Whether there is none.
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether one is in both.
    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

const WRITES: &[&str] = &["PutObject", "BypassGovernanceRetention"];
const LISTINGS: &[&str] = &["ListBucket", "ListBucketVersions"];
const ACLS: &[&str] = &[
    "PutObject",
    "BypassGovernanceRetention",
    "PutObjectAcl",
    "PutObjectVersionAcl",
    "PutBucketAcl",
];
const ENCRYPTS: &[&str] = &[
    "PutObject",
    "BypassGovernanceRetention",
    "ReplicateObject",
    "UpdateObjectEncryption",
];
const TAGS: &[&str] = &[
    "PutObject",
    "BypassGovernanceRetention",
    "PutObjectTagging",
    "PutObjectVersionTagging",
];
const TAGGED: &[&str] = &[
    "DeleteObjectTagging",
    "DeleteObjectVersionTagging",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectTagging",
    "GetObjectVersion",
    "GetObjectVersionAcl",
    "GetObjectVersionAttributes",
    "GetObjectVersionTagging",
    "PutObjectAcl",
    "PutObjectTagging",
    "PutObjectVersionAcl",
    "PutObjectVersionTagging",
];
const VERSIONS: &[&str] = &[
    "DeleteObjectVersion",
    "DeleteObjectVersionTagging",
    "GetObjectVersion",
    "GetObjectVersionAcl",
    "GetObjectVersionAttributes",
    "GetObjectVersionTagging",
    "GetObjectVersionTorrent",
    "PutObjectVersionAcl",
    "PutObjectVersionTagging",
];
const STORES: &[&str] = &[
    "PutObject",
    "BypassGovernanceRetention",
    "PutObjectAcl",
    "PutObjectVersionAcl",
];

/// Which actions know a condition key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known {
    /// All.
    Everywhere,
    /// These only.
    By(&'static [&'static str]),
}

/// Which actions know the key, in its canonical form; none where no action does.
pub(super) fn condition_key(key: &str) -> Option<Known> {
    let (family, tag) = match key.split_once('/') {
        Some((family, tag)) => (family, Some(tag)),
        None => (key, None),
    };
    if family.starts_with("aws:") || OTHER_SERVICES.contains(&key) {
        return Some(Known::Everywhere);
    }
    let name = family.strip_prefix("s3:")?;
    if tag.is_some() {
        return match name {
            "existingobjecttag" => Some(Known::By(TAGGED)),
            "requestobjecttag" => Some(Known::By(TAGS)),
            "buckettag" | "accesspointtag" => Some(Known::Everywhere),
            _ => None,
        };
    }
    let by = |actions| Some(Known::By(actions));
    match name {
        "prefix" | "delimiter" | "max-keys" => by(LISTINGS),
        "x-amz-acl" | "x-amz-grant-read" | "x-amz-grant-read-acp" | "x-amz-grant-full-control" => {
            by(ACLS)
        }
        "x-amz-copy-source" | "x-amz-metadata-directive" | "x-amz-website-redirect-location" => {
            by(WRITES)
        }
        "x-amz-server-side-encryption"
        | "x-amz-server-side-encryption-aws-kms-key-id"
        | "x-amz-server-side-encryption-customer-algorithm" => by(ENCRYPTS),
        "x-amz-storage-class" => by(STORES),
        "requestobjecttagkeys" => by(TAGS),
        "versionid" => by(VERSIONS),
        "if-match" => by(&["PutObject", "DeleteObject"]),
        "if-none-match" | "objectcreationoperation" => by(&["PutObject"]),
        "object-lock-legal-hold" => by(&["PutObject", "PutObjectLegalHold"]),
        "object-lock-mode"
        | "object-lock-retain-until-date"
        | "object-lock-remaining-retention-days" => by(&["PutObject", "PutObjectRetention"]),
        "x-amz-object-ownership" => by(&["PutBucketOwnershipControls"]),
        "inventoryaccessibleoptionalfields" => by(&["PutInventoryConfiguration"]),
        "destinationregion" => by(&["PauseReplication"]),
        "isreplicationpauserequest" => by(&["PutReplicationConfiguration"]),
        // S3 takes these two with any action, though only some have the headers.
        "x-amz-grant-write" | "x-amz-grant-write-acp" => Some(Known::Everywhere),
        _ => EVERYWHERE.contains(&name).then_some(Known::Everywhere),
    }
}

const EVERYWHERE: &[&str] = &[
    "authtype",
    "signatureage",
    "signatureversion",
    "tlsversion",
    "x-amz-content-sha256",
    "resourceaccount",
    "dataaccesspointaccount",
    "dataaccesspointarn",
    "accesspointnetworkorigin",
    "accessgrantsinstancearn",
];

const OTHER_SERVICES: &[&str] = &[
    "codebuild:buildarn",
    "codebuild:projectarn",
    "ec2:roledelivery",
    "ec2:sourceinstancearn",
    "glue:credentialissuingservice",
    "glue:roleassumedby",
    "identitystore:userid",
    "lambda:sourcefunctionarn",
    "ssm:sourceinstancearn",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_its_bit() {
        assert!(actions().count() <= 128);
        assert!(Actions::named_by("s3:nothing").is_empty());
        assert!(Actions::named_by("S3:GET*").meets(Actions::on(Kind::Object)));
        assert!(!Actions::named_by("s3:GetObject").meets(Actions::on(Kind::Bucket)));
        let known = condition_key("s3:prefix").unwrap();
        assert!(Actions::named_by("s3:ListBucket").meets(Actions::that_know(known)));
        assert!(!Actions::named_by("s3:GetObject").meets(Actions::that_know(known)));
    }
}
