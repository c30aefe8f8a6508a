//! Who may do what to a bucket: the caller's key says, and whose bucket it is.
//!
//! Every way to a bucket comes through [`Caller::may`]: the dispatcher's, a form's, a copy's source.

mod condition;
mod own;
mod payment;
mod policies;

use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use own::Own;
pub use payment::is_charged;
pub use policies::Policies;

use super::context::Service;
use super::error::{Code, S3Error};
use super::head::Head;
use crate::auth::acl::{Acl, Asker, Permission};
use crate::auth::policy::{Access, Context, Decision};
use crate::auth::{Action, Signature, Who, may};
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
    /// How they signed it.
    pub signature: Option<Signature>,
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
            let allowed = !anonymous && self.own(action, bucket, subject, None).allows();
            return allowed.then_some(()).ok_or(Code::AccessDenied.into());
        };
        let bucket = match self.service.store.bucket(name).await {
            Ok(bucket) => bucket,
            // Their own policy may keep from them even that.
            Err(StoreError::NoSuchBucket) => {
                let allowed = self.own(action, bucket, subject, None).allows();
                return allowed.then_some(()).ok_or(Code::AccessDenied.into());
            }
            Err(error) => return Err(error.into()),
        };
        let matter = Matter {
            caller: self,
            action,
            bucket: &bucket,
            subject,
        };
        matter.judge().await?;
        // The operation begins with the bucket that it was judged by.
        self.head.learned.saw(bucket);
        Ok(())
    }

    /// Judges what is asked for beside an action that the caller may do, where the head does not
    /// tell: only policies of their own keep it apart from the action.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub async fn may_also(
        &self,
        action: Action,
        bucket: &BucketName,
        key: &str,
    ) -> Result<(), S3Error> {
        if !self.has_own_policy() {
            return Ok(());
        }
        self.may(action, Some(bucket), Some(key)).await
    }
}

/// One question: may this caller do that to this?
struct Matter<'a> {
    caller: &'a Caller<'a>,
    action: Action,
    bucket: &'a Bucket,
    subject: Option<&'a str>,
}

impl Matter<'_> {
    fn is_owner(&self) -> bool {
        self.caller.who.key().is_some() && self.caller.who.owner() == self.bucket.owner
    }

    /// Whether it is allowed, and not only hidden.
    async fn judge(&self) -> Result<(), S3Error> {
        if !self.is_allowed().await? {
            return Err(Code::AccessDenied.into());
        }
        let anonymous = matches!(self.caller.who, Who::Anonymous);
        payment::check(self.bucket, self.caller.head, self.is_owner(), anonymous)?;
        if self.is_owner() && !self.caller.has_own_policy() {
            return Ok(());
        }
        Box::pin(self.hide_absence()).await
    }

    /// An explicit denial wins. Within the owner's account their own policy or the bucket's must
    /// allow it; others need both, or a list in the place of the bucket's policy.
    ///
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>
    async fn is_allowed(&self) -> Result<bool, S3Error> {
        let owner = self.is_owner();
        let own = self.own().await?;
        if own.denies() {
            return Ok(false);
        }
        let said = match self.by_policy().await? {
            // The owner of a bucket can always mend a policy that shuts everybody out.
            Decision::Deny if owner && self.action.is_about_policy() => Decision::None,
            Decision::Deny => return Ok(false),
            said => said,
        };
        if owner {
            let by_policy = said == Decision::Allow && own.admits();
            let allowed = by_policy || (own.allows() && self.owner_is_listed());
            return Ok(allowed && self.owner_reaches().await?);
        }
        Ok(own.allows()
            && match said {
                Decision::Allow | Decision::Account => true,
                Decision::None | Decision::Deny => self.by_list().await?,
            })
    }

    /// What the caller's own policies say.
    async fn own(&self) -> Result<Own, S3Error> {
        if !self.caller.has_own_policy() {
            return Ok(Own::UNLIMITED);
        }
        let object = if self.caller.asks_for_tags() {
            self.object().await?
        } else {
            None
        };
        let name = Some(&self.bucket.name);
        Ok(self
            .caller
            .own(self.action, name, self.subject, object.as_ref()))
    }

    /// What the bucket's policy says.
    async fn by_policy(&self) -> Result<Decision, S3Error> {
        let access = &self.bucket.settings.access;
        let Some(text) = &access.policy else {
            return Ok(Decision::None);
        };
        let policies = &self.caller.service.policies;
        let policy = policies.read(&self.bucket.name, text)?;
        let mut context = condition::of_request(self.caller);
        if text.contains("ExistingObjectTag") {
            add_tags(&mut context, self.object().await?.as_ref());
        }
        let principal = self.caller.principal();
        let resource = resource(self.action, Some(&self.bucket.name), self.subject);
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

    /// The object that it is about, where there is one. Boxed, since few questions need it: each future
    /// here would be as large as that of reading it, and is moved about with every request.
    fn object(&self) -> BoxFuture<'_, Result<Option<ObjectRecord>, S3Error>> {
        Box::pin(self.read_object())
    }

    async fn read_object(&self) -> Result<Option<ObjectRecord>, S3Error> {
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

    /// An owner who took themselves off the bucket's list may no longer list or write, until they
    /// change it again. A key with a policy of its own stands on that.
    fn owner_is_listed(&self) -> bool {
        let access = &self.bucket.settings.access;
        if !access.ownership.heeds_lists() || self.caller.has_own_policy() {
            return true;
        }
        match (&access.acl, self.action.bucket_permission()) {
            (Some(list), Some(permission)) => list.allows(self.asker(), permission),
            _ => true,
        }
    }

    /// The bucket's owner may all, save what the owner of a foreign object keeps for themselves.
    async fn owner_reaches(&self) -> Result<bool, S3Error> {
        let Some(permission) = self.action.object_permission() else {
            return Ok(true);
        };
        if !self.bucket.settings.access.ownership.heeds_lists() {
            return Ok(true);
        }
        let Some(record) = self.object().await? else {
            return Ok(true);
        };
        let foreign = record.owner != self.bucket.owner;
        Ok(!foreign || self.list_of(&record).allows(self.asker(), permission))
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
            let listed = self.bucket_list().allows(self.asker(), permission);
            return Ok(listed && self.may_remove().await?);
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

    /// Whoever may write into a bucket by its list may make objects there, but not delete others' ones.
    async fn may_remove(&self) -> Result<bool, S3Error> {
        if !matches!(
            self.action,
            Action::DeleteObject | Action::DeleteObjectVersion
        ) {
            return Ok(true);
        }
        let object = self.object().await?;
        Ok(object.is_none_or(|record| record.owner == self.caller.who.owner()))
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
        if listing.is_allowed().await? {
            return Ok(());
        }
        Err(Code::AccessDenied.into())
    }
}

/// What an action on a bucket, or on a key in it, is about.
fn resource(action: Action, bucket: Option<&BucketName>, subject: Option<&str>) -> String {
    let bucket = bucket.map_or("*", BucketName::as_str);
    match subject.filter(|_key| action.is_about_object()) {
        Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
        None => format!("arn:aws:s3:::{bucket}"),
    }
}

fn add_tags(context: &mut Context, object: Option<&ObjectRecord>) {
    let tags = object.and_then(|record| record.extras.tags.as_ref());
    for (name, value) in tags.into_iter().flatten() {
        context.set(&format!("s3:ExistingObjectTag/{name}"), value.as_str());
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
        Ok(bucket) => Ok(Some(bucket.owner.clone())),
        Err(StoreError::NoSuchBucket) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
