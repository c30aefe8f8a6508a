//! What a caller may do: the permission that each operation needs, and the judge of it.

use std::sync::Arc;

use crate::name::BucketName;

use super::acl::Permission;
use super::{AccessKey, Who};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident $iam:literal $write:ident $subject:ident;)*) => {
        /// A permission, named as IAM names it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name,)* }

        impl Action {
            const fn row(self) -> (&'static str, bool, Subject) {
                match self { $(Self::$name => ($iam, $write, Subject::$subject),)* }
            }
        }
    };
}

actions! {
    /// List the buckets.
    ListAllMyBuckets "s3:ListAllMyBuckets" false Server;
    /// Make a bucket.
    CreateBucket "s3:CreateBucket" true BucketItself;
    /// Remove a bucket.
    DeleteBucket "s3:DeleteBucket" true BucketItself;
    /// Ask whether a bucket is there.
    HeadBucket "s3:ListBucket" false Bucket;
    /// Ask for a bucket's region or settings.
    GetBucketLocation "s3:GetBucketLocation" false Bucket;
    /// Change a bucket's settings.
    PutBucketSettings "s3:PutBucketSettings" true BucketItself;
    /// Read a bucket's tags.
    GetBucketTagging "s3:GetBucketTagging" false Bucket;
    /// Change a bucket's tags.
    PutBucketTagging "s3:PutBucketTagging" true BucketItself;
    /// Give a bucket tags as it is made.
    TagResource "s3:TagResource" true BucketItself;
    /// Ask whether a bucket keeps versions.
    GetBucketVersioning "s3:GetBucketVersioning" false Bucket;
    /// Change whether a bucket keeps versions.
    PutBucketVersioning "s3:PutBucketVersioning" true BucketItself;
    /// Ask for a bucket's rules for browsers.
    GetBucketCors "s3:GetBucketCORS" false Bucket;
    /// Change or remove a bucket's rules for browsers.
    PutBucketCors "s3:PutBucketCORS" true BucketItself;
    /// List a bucket's objects.
    ListBucket "s3:ListBucket" false Listing;
    /// List a bucket's versions.
    ListBucketVersions "s3:ListBucketVersions" false Listing;
    /// List a bucket's unfinished uploads.
    ListBucketMultipartUploads "s3:ListBucketMultipartUploads" false Listing;
    /// Read an object.
    GetObject "s3:GetObject" false Object;
    /// Read a version of an object.
    GetObjectVersion "s3:GetObjectVersion" false Object;
    /// Read what is known of an object.
    GetObjectAttributes "s3:GetObjectAttributes" false Object;
    /// Write an object, or a part of one.
    PutObject "s3:PutObject" true Object;
    /// Remove an object.
    DeleteObject "s3:DeleteObject" true Object;
    /// Remove a version of an object.
    DeleteObjectVersion "s3:DeleteObjectVersion" true Object;
    /// Send a list of objects to remove; each is then judged as [`Action::DeleteObject`].
    DeleteObjects "s3:DeleteObject" true Bucket;
    /// Give up an upload.
    AbortMultipartUpload "s3:AbortMultipartUpload" true Object;
    /// List an upload's parts.
    ListMultipartUploadParts "s3:ListMultipartUploadParts" false Object;
    /// Read a bucket's policy.
    GetBucketPolicy "s3:GetBucketPolicy" false BucketItself;
    /// Change a bucket's policy.
    PutBucketPolicy "s3:PutBucketPolicy" true BucketItself;
    /// Remove a bucket's policy.
    DeleteBucketPolicy "s3:DeleteBucketPolicy" true BucketItself;
    /// Ask whether a bucket is public.
    GetBucketPolicyStatus "s3:GetBucketPolicyStatus" false BucketItself;
    /// Read a bucket's block of public access.
    GetBucketPublicAccessBlock "s3:GetBucketPublicAccessBlock" false BucketItself;
    /// Change a bucket's block of public access.
    PutBucketPublicAccessBlock "s3:PutBucketPublicAccessBlock" true BucketItself;
    /// Read who owns a bucket's objects.
    GetBucketOwnershipControls "s3:GetBucketOwnershipControls" false BucketItself;
    /// Change who owns a bucket's objects.
    PutBucketOwnershipControls "s3:PutBucketOwnershipControls" true BucketItself;
    /// Read a bucket's access control list.
    GetBucketAcl "s3:GetBucketAcl" false BucketItself;
    /// Change a bucket's access control list.
    PutBucketAcl "s3:PutBucketAcl" true BucketItself;
    /// Read an object's access control list.
    GetObjectAcl "s3:GetObjectAcl" false Object;
    /// Read a version's access control list.
    GetObjectVersionAcl "s3:GetObjectVersionAcl" false Object;
    /// Change an object's access control list.
    PutObjectAcl "s3:PutObjectAcl" true Object;
    /// Change a version's access control list.
    PutObjectVersionAcl "s3:PutObjectVersionAcl" true Object;
    /// Read an object's tags.
    GetObjectTagging "s3:GetObjectTagging" false Object;
    /// Read a version's tags.
    GetObjectVersionTagging "s3:GetObjectVersionTagging" false Object;
    /// Change an object's tags.
    PutObjectTagging "s3:PutObjectTagging" true Object;
    /// Change a version's tags.
    PutObjectVersionTagging "s3:PutObjectVersionTagging" true Object;
    /// Remove an object's tags.
    DeleteObjectTagging "s3:DeleteObjectTagging" true Object;
    /// Remove a version's tags.
    DeleteObjectVersionTagging "s3:DeleteObjectVersionTagging" true Object;
    /// Pass over retention in governance mode.
    BypassGovernanceRetention "s3:BypassGovernanceRetention" true Object;
    /// Read how a bucket locks objects.
    GetBucketObjectLockConfiguration "s3:GetBucketObjectLockConfiguration" false BucketItself;
    /// Change how a bucket locks objects.
    PutBucketObjectLockConfiguration "s3:PutBucketObjectLockConfiguration" true BucketItself;
    /// Read until when a version is retained.
    GetObjectRetention "s3:GetObjectRetention" false Object;
    /// Change until when a version is retained.
    PutObjectRetention "s3:PutObjectRetention" true Object;
    /// Read whether a version is held.
    GetObjectLegalHold "s3:GetObjectLegalHold" false Object;
    /// Hold a version, or let it go.
    PutObjectLegalHold "s3:PutObjectLegalHold" true Object;
    /// Read how a bucket seals objects.
    GetEncryptionConfiguration "s3:GetEncryptionConfiguration" false BucketItself;
    /// Change how a bucket seals objects.
    PutEncryptionConfiguration "s3:PutEncryptionConfiguration" true BucketItself;
    /// Read who is told of what happens in a bucket.
    GetBucketNotification "s3:GetBucketNotification" false BucketItself;
    /// Change who is told of what happens in a bucket.
    PutBucketNotification "s3:PutBucketNotification" true BucketItself;
    /// Ask where the records of a bucket's requests go.
    GetBucketLogging "s3:GetBucketLogging" false BucketItself;
    /// Change where the records of a bucket's requests go.
    PutBucketLogging "s3:PutBucketLogging" true BucketItself;
    /// Read how a bucket is served as a website.
    GetBucketWebsite "s3:GetBucketWebsite" false BucketItself;
    /// Change how a bucket is served as a website.
    PutBucketWebsite "s3:PutBucketWebsite" true BucketItself;
    /// Stop serving a bucket as a website.
    DeleteBucketWebsite "s3:DeleteBucketWebsite" true BucketItself;
    /// Ask who pays for requests to a bucket.
    GetBucketRequestPayment "s3:GetBucketRequestPayment" false BucketItself;
    /// Change who pays for requests to a bucket.
    PutBucketRequestPayment "s3:PutBucketRequestPayment" true BucketItself;
    /// Read what becomes of a bucket's objects with time.
    GetLifecycleConfiguration "s3:GetLifecycleConfiguration" false BucketItself;
    /// Change what becomes of a bucket's objects with time.
    PutLifecycleConfiguration "s3:PutLifecycleConfiguration" true BucketItself;
    /// Administer the server: for the root key only.
    Administer "consign:Administer" true Root;
}

/// What an action is about, which decides how a key's prefix limits it.
#[derive(PartialEq, Eq)]
enum Subject {
    Server,
    Root,
    Bucket,
    BucketItself,
    Listing,
    Object,
}

impl Action {
    /// What is needed to do the same to a version that is named.
    #[must_use]
    pub const fn of_version(self) -> Self {
        match self {
            Self::GetObject => Self::GetObjectVersion,
            Self::DeleteObject => Self::DeleteObjectVersion,
            Self::GetObjectAcl => Self::GetObjectVersionAcl,
            Self::PutObjectAcl => Self::PutObjectVersionAcl,
            Self::GetObjectTagging => Self::GetObjectVersionTagging,
            Self::PutObjectTagging => Self::PutObjectVersionTagging,
            Self::DeleteObjectTagging => Self::DeleteObjectVersionTagging,
            other => other,
        }
    }

    /// `s3:GetObject`.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Whether it is about an object, or about the bucket as a whole.
    pub fn is_about_object(self) -> bool {
        self.row().2 == Subject::Object
    }

    /// Whether it is about the bucket's policy itself.
    pub const fn is_about_policy(self) -> bool {
        matches!(
            self,
            Self::GetBucketPolicy | Self::PutBucketPolicy | Self::DeleteBucketPolicy
        )
    }

    /// What a bucket's access control list must grant for it.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#permissions>
    pub const fn bucket_permission(self) -> Option<Permission> {
        match self {
            Self::HeadBucket
            | Self::ListBucket
            | Self::ListBucketVersions
            | Self::ListBucketMultipartUploads => Some(Permission::Read),
            Self::PutObject
            | Self::DeleteObject
            | Self::DeleteObjects
            | Self::AbortMultipartUpload
            | Self::ListMultipartUploadParts => Some(Permission::Write),
            Self::GetBucketAcl => Some(Permission::ReadAcp),
            Self::PutBucketAcl => Some(Permission::WriteAcp),
            _ => None,
        }
    }

    /// What an object's access control list must grant for it.
    pub const fn object_permission(self) -> Option<Permission> {
        match self {
            Self::GetObject | Self::GetObjectVersion | Self::GetObjectAttributes => {
                Some(Permission::Read)
            }
            Self::GetObjectAcl | Self::GetObjectVersionAcl => Some(Permission::ReadAcp),
            Self::PutObjectAcl | Self::PutObjectVersionAcl => Some(Permission::WriteAcp),
            _ => None,
        }
    }

    /// Whether it changes anything.
    pub const fn is_write(self) -> bool {
        self.row().1
    }
}

/// The caller may not do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Access Denied")]
pub struct Denied;

/// To what an access key is limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// It changes nothing.
    pub read_only: bool,
    /// It sees this bucket only.
    pub bucket: Option<String>,
    /// It sees only keys that begin so.
    pub prefix: Option<String>,
}

impl Scope {
    /// Whether the bucket `name` is in the scope.
    pub fn sees_bucket(&self, name: &str) -> bool {
        self.bucket.as_deref().is_none_or(|only| only == name)
    }

    /// Whether the key, or the prefix of a listing, lies within the scope.
    pub fn sees_key(&self, key_or_prefix: &str) -> bool {
        self.prefix
            .as_deref()
            .is_none_or(|prefix| key_or_prefix.starts_with(prefix))
    }
}

impl Scope {
    /// What lies within both; nothing where they are apart.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let bucket = match (&self.bucket, &other.bucket) {
            (Some(one), Some(two)) if one != two => Some(NO_BUCKET.to_owned()),
            (one, two) => one.clone().or_else(|| two.clone()),
        };
        let (bucket, prefix) = match (&self.prefix, &other.prefix) {
            (Some(one), Some(two)) if one.starts_with(two.as_str()) => (bucket, Some(one.clone())),
            (Some(one), Some(two)) if two.starts_with(one.as_str()) => (bucket, Some(two.clone())),
            (Some(one), Some(_apart)) => (Some(NO_BUCKET.to_owned()), Some(one.clone())),
            (one, two) => (bucket, one.clone().or_else(|| two.clone())),
        };
        Self {
            read_only: self.read_only || other.read_only,
            bucket,
            prefix,
        }
    }
}

/// No bucket's name: a scope of it sees none.
const NO_BUCKET: &str = "";

/// Judges whether `who` may do `action` to `bucket` and to a key, or list under a prefix.
///
/// # Errors
/// [`Denied`] where nothing allows it: there is no rule that only denies.
pub fn may(
    who: &Who,
    action: Action,
    bucket: Option<&BucketName>,
    key_or_prefix: Option<&str>,
) -> Result<(), Denied> {
    let allowed = match who {
        Who::Anonymous => false,
        Who::Key(key) => key_may(key, action, bucket, key_or_prefix),
    };
    if allowed { Ok(()) } else { Err(Denied) }
}

fn key_may(
    key: &Arc<AccessKey>,
    action: Action,
    bucket: Option<&BucketName>,
    key_or_prefix: Option<&str>,
) -> bool {
    if key.disabled {
        return false;
    }
    if key.root {
        return true;
    }
    let scope = &key.scope;
    if scope.read_only && action.is_write() {
        return false;
    }
    let in_bucket = bucket.is_some_and(|bucket| scope.sees_bucket(bucket.as_str()));
    match action.row().2 {
        Subject::Root => false,
        Subject::Server => true,
        Subject::Bucket => in_bucket,
        // Who sees only a part of a bucket must not make or remove the whole.
        Subject::BucketItself => in_bucket && scope.prefix.is_none(),
        Subject::Listing => in_bucket && scope.sees_key(key_or_prefix.unwrap_or_default()),
        Subject::Object => in_bucket && key_or_prefix.is_some_and(|key| scope.sees_key(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Secret;

    fn key(scope: Scope) -> AccessKey {
        AccessKey {
            access_key: "AK".into(),
            name: "n".into(),
            secret: Secret::new("s"),
            disabled: false,
            scope,
            root: false,
            owner: "o".into(),
            policy: None,
            temporary: None,
        }
    }

    #[test]
    fn scopes_limit_what_a_key_may_do() {
        let bucket = BucketName::parse("photos").unwrap();
        let all = Scope::default();
        let read = Scope {
            read_only: true,
            ..Scope::default()
        };
        let ours = Scope {
            bucket: Some("photos".into()),
            ..Scope::default()
        };
        let other = Scope {
            bucket: Some("other".into()),
            ..Scope::default()
        };
        let part = Scope {
            prefix: Some("a/".into()),
            ..Scope::default()
        };
        for (scope, action, name, allowed) in [
            (&all, Action::PutObject, Some("a/b"), true),
            (&all, Action::Administer, None, false),
            (&all, Action::GetObject, None, false),
            (&read, Action::PutObject, Some("a"), false),
            (&read, Action::GetObject, Some("a"), true),
            (&read, Action::DeleteObjects, None, false),
            (&ours, Action::GetObject, Some("a"), true),
            (&other, Action::GetObject, Some("a"), false),
            (&other, Action::ListBucket, None, false),
            (&other, Action::ListAllMyBuckets, None, true),
            (&part, Action::PutObject, Some("a/b"), true),
            (&part, Action::PutObject, Some("b/b"), false),
            (&part, Action::ListBucket, None, false),
            (&part, Action::ListBucket, Some("a"), false),
            (&part, Action::ListBucket, Some("a/x"), true),
            (&part, Action::DeleteBucket, None, false),
            (&part, Action::HeadBucket, None, true),
        ] {
            let who = Who::Key(Arc::new(key(scope.clone())));
            let answer = may(&who, action, Some(&bucket), name);
            assert_eq!(answer.is_ok(), allowed, "{scope:?} {action:?} {name:?}");
        }
    }

    #[test]
    fn scopes_meet_in_what_both_see() {
        let scope = |bucket: Option<&str>, prefix: Option<&str>| Scope {
            read_only: false,
            bucket: bucket.map(str::to_owned),
            prefix: prefix.map(str::to_owned),
        };
        let all = scope(None, None);
        let part = scope(Some("b"), Some("a/"));
        for (one, two, both) in [
            (&all, &part, &part),
            (&part, &scope(Some("b"), None), &part),
            (
                &part,
                &scope(None, Some("a/b/")),
                &scope(Some("b"), Some("a/b/")),
            ),
            (&part, &scope(Some("c"), None), &scope(Some(""), Some("a/"))),
            (
                &part,
                &scope(Some("b"), Some("b/")),
                &scope(Some(""), Some("a/")),
            ),
        ] {
            assert_eq!(&one.meet(two), both);
            assert_eq!(two.meet(one).bucket, both.bucket);
        }
        let read = Scope {
            read_only: true,
            ..Scope::default()
        };
        assert!(all.meet(&read).read_only && read.meet(&all).read_only);
    }

    #[test]
    fn root_may_all_but_disabled_and_strangers_nothing() {
        let root = AccessKey {
            root: true,
            ..key(Scope::default())
        };
        let disabled = AccessKey {
            disabled: true,
            root: true,
            ..key(Scope::default())
        };
        assert!(may(&Who::Key(Arc::new(root)), Action::Administer, None, None).is_ok());
        assert!(
            may(
                &Who::Key(Arc::new(disabled)),
                Action::Administer,
                None,
                None
            )
            .is_err()
        );
        assert!(may(&Who::Anonymous, Action::ListAllMyBuckets, None, None).is_err());
    }
}
