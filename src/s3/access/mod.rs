//! Who may do what to a bucket: the caller's key says, and whose bucket it is.
//!
//! Every way to a bucket comes through [`Caller::may`]: the dispatcher's, a form's, a copy's source.

mod condition;

use std::net::SocketAddr;
use std::time::Duration;

use super::context::Service;
use super::error::{Code, S3Error};
use super::head::Head;
use crate::auth::acl::{Acl, Asker, Permission};
use crate::auth::policy::{Access, Context, Decision, Identity, Policy, Principal, Role};
use crate::auth::{Action, Who, may};
use crate::name::{BucketName, ObjectKey};
use crate::store::{Bucket, ObjectRecord, StoreError, VersionRef};

/// Digits of an account's number.
const ACCOUNT_DIGITS: usize = 12;

/// Who asks, and how: what every judgement about one request knows.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Everything that requests share.
    pub service: &'a Service,
    /// Who it is.
    pub who: &'a Who,
    /// What they sent.
    pub head: &'a Head,
    /// Where from.
    pub peer: Option<SocketAddr>,
    /// How old their signature is.
    pub signature_age: Option<Duration>,
}

impl Caller<'_> {
    /// Judges whether the caller may do `action` to `bucket` and to a key in it, or list under a
    /// prefix. A bucket that is not there is left to the operation, which says so in its own words.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub async fn may(
        &self,
        action: Action,
        bucket: Option<&BucketName>,
        subject: Option<&str>,
    ) -> Result<(), S3Error> {
        let anonymous = matches!(self.who, Who::Anonymous);
        if !anonymous {
            may(self.who, action, bucket, subject)?;
        }
        // Whoever wants a name that is taken hears that it is.
        let (Some(name), false) = (bucket, action == Action::CreateBucket) else {
            let allowed = !anonymous;
            return allowed.then_some(()).ok_or(Code::AccessDenied.into());
        };
        let bucket = match self.service.store.bucket(name).await {
            Ok(bucket) => bucket,
            Err(StoreError::NoSuchBucket) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let matter = Matter {
            caller: *self,
            action,
            bucket: &bucket,
            subject,
        };
        matter.judge().await
    }
}

/// One question: may this caller do that to this?
struct Matter<'a> {
    caller: Caller<'a>,
    action: Action,
    bucket: &'a Bucket,
    subject: Option<&'a str>,
}

impl Matter<'_> {
    fn is_owner(&self) -> bool {
        self.caller.who.key().is_some() && self.caller.who.owner() == self.bucket.owner
    }

    /// An explicit denial wins. Then the owner's account may all; others what the policy or a list
    /// lets them.
    async fn judge(&self) -> Result<(), S3Error> {
        let denied = || S3Error::new(Code::AccessDenied);
        let owner = self.is_owner();
        match self.by_policy().await? {
            // The owner of a bucket can always mend a policy that shuts everybody out.
            Decision::Deny if owner && self.action.is_about_policy() => Ok(()),
            Decision::Deny => Err(denied()),
            _ if owner => self.as_owner().await,
            Decision::Allow | Decision::Account => self.hide_absence().await,
            Decision::None if self.by_list().await? => self.hide_absence().await,
            Decision::None => Err(denied()),
        }
    }

    /// What the bucket's policy says.
    async fn by_policy(&self) -> Result<Decision, S3Error> {
        let access = &self.bucket.settings.access;
        let Some(text) = &access.policy else {
            return Ok(Decision::None);
        };
        let policy = Policy::parse_bucket(text, self.bucket.name.as_str())?;
        let mut context = condition::of_request(&self.caller);
        if text.contains("ExistingObjectTag") {
            self.add_tags(&mut context).await?;
        }
        let principal = self.principal();
        let resource = self.resource();
        let decision = policy.evaluate(&Access {
            principal: &principal,
            action: self.action.as_str(),
            resource: &resource,
            context: &context,
        });
        let block = access.public_access_block.unwrap_or_default();
        let allows = matches!(decision, Decision::Allow | Decision::Account);
        if allows && block.restrict_public_buckets && policy.is_public() && !self.is_owner() {
            return Ok(Decision::Deny);
        }
        Ok(decision)
    }

    async fn add_tags(&self, context: &mut Context) -> Result<(), S3Error> {
        if let Some(record) = self.object().await? {
            for (name, value) in record.extras.tags.iter().flatten() {
                context.set(&format!("s3:ExistingObjectTag/{name}"), value.as_str());
            }
        }
        Ok(())
    }

    /// The object that it is about, where there is one.
    async fn object(&self) -> Result<Option<ObjectRecord>, S3Error> {
        let key = self.subject.filter(|_key| self.action.is_about_object());
        let Some(key) = key.and_then(|key| ObjectKey::parse(key).ok()) else {
            return Ok(None);
        };
        let version = self.caller.head.query.get("versionId");
        let version = version.and_then(VersionRef::parse);
        let store = &self.caller.service.store;
        match store.object(self.bucket, &key, version.as_ref()).await {
            Ok(object) => Ok(Some(object.record)),
            Err(
                StoreError::NoSuchKey | StoreError::NoSuchVersion | StoreError::DeleteMarker { .. },
            ) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn principal(&self) -> Principal {
        let Some(key) = self.caller.who.key() else {
            return Principal::Anonymous;
        };
        let account = self.caller.service.accounts.by_id(&key.owner);
        Principal::Account(Identity {
            account: account.map_or_else(String::new, |account| account.number.clone()),
            canonical: key.owner.clone(),
            role: Role::User(key.name.clone()),
        })
    }

    fn resource(&self) -> String {
        let bucket = self.bucket.name.as_str();
        match self.subject.filter(|_key| self.action.is_about_object()) {
            Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
            None => format!("arn:aws:s3:::{bucket}"),
        }
    }

    /// The bucket's owner may all, save what the owner of a foreign object keeps for themselves.
    async fn as_owner(&self) -> Result<(), S3Error> {
        let Some(permission) = self.action.object_permission() else {
            return Ok(());
        };
        if !self.bucket.settings.access.ownership.heeds_lists() {
            return Ok(());
        }
        let Some(record) = self.object().await? else {
            return Ok(());
        };
        let foreign = record.owner != self.bucket.owner;
        if foreign && !self.list_of(&record).allows(self.asker(), permission) {
            return Err(Code::AccessDenied.into());
        }
        Ok(())
    }

    fn asker(&self) -> Asker<'_> {
        match self.caller.who.key() {
            Some(key) => Asker::Account(&key.owner),
            None => Asker::Anonymous,
        }
    }

    fn list_of(&self, record: &ObjectRecord) -> Acl {
        let kept = record.extras.acl.clone();
        self.counted(kept.unwrap_or_else(|| Acl::private(record.owner.as_str())))
    }

    /// The list as far as the block of public access lets it count.
    fn counted(&self, acl: Acl) -> Acl {
        let block = self.bucket.settings.access.public_access_block;
        if block.unwrap_or_default().ignore_public_acls {
            acl.without_public()
        } else {
            acl
        }
    }

    fn bucket_list(&self) -> Acl {
        let kept = self.bucket.settings.access.acl.clone();
        self.counted(kept.unwrap_or_else(|| Acl::private(self.bucket.owner.as_str())))
    }

    /// Whether a list lets the caller do it.
    async fn by_list(&self) -> Result<bool, S3Error> {
        if !self.bucket.settings.access.ownership.knows_lists() {
            return Ok(false);
        }
        if let Some(permission) = self.action.bucket_permission() {
            return Ok(self.bucket_list().allows(self.asker(), permission));
        }
        let Some(permission) = self.action.object_permission() else {
            return Ok(false);
        };
        Ok(match self.object().await? {
            Some(record) => self.list_of(&record).allows(self.asker(), permission),
            // Who may list the bucket may hear that the object is not there.
            None => self.bucket_list().allows(self.asker(), Permission::Read),
        })
    }

    /// That an object is not there is told only to those who may list the bucket.
    async fn hide_absence(&self) -> Result<(), S3Error> {
        if !matches!(self.action, Action::GetObject | Action::GetObjectVersion)
            || self.object().await?.is_some()
        {
            return Ok(());
        }
        let listing = Matter {
            action: Action::ListBucket,
            subject: None,
            ..*self
        };
        let lists = matches!(
            listing.by_policy().await?,
            Decision::Allow | Decision::Account
        );
        if lists || listing.by_list().await? {
            return Ok(());
        }
        Err(Code::AccessDenied.into())
    }
}

/// `x-amz-expected-bucket-owner`: a bucket of another account than that of `number` is refused.
///
/// # Errors
/// `AccessDenied`; `InvalidBucketOwnerAWSAccountID` where `number` is no account's.
pub async fn expect_owner(
    service: &Service,
    bucket: &BucketName,
    number: &str,
) -> Result<(), S3Error> {
    if number.len() != ACCOUNT_DIGITS || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        let message = format!(
            "The value of the expected bucket owner parameter must be an AWS Account ID... \
             [{number}]"
        );
        return Err(S3Error::because(
            Code::InvalidBucketOwnerAWSAccountID,
            message,
        ));
    }
    let expected = service.accounts.by_number(number);
    match owner(service, bucket).await? {
        Some(owner) if expected.is_none_or(|account| account.id != owner) => {
            Err(S3Error::new(Code::AccessDenied))
        }
        _ => Ok(()),
    }
}

/// The canonical id of the bucket's owner; none where there is no such bucket.
async fn owner(service: &Service, bucket: &BucketName) -> Result<Option<String>, S3Error> {
    match service.store.bucket(bucket).await {
        Ok(bucket) => Ok(Some(bucket.owner)),
        Err(StoreError::NoSuchBucket) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
