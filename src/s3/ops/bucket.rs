//! Buckets: listed, made, asked for, removed.

use http::StatusCode;

use super::bucket_policy::ownership;
use super::{about, check_guarded, paging};
use crate::auth::acl::{Acl, Subject};
use crate::auth::{Action, Who};
use crate::name::BucketName;
use crate::s3::access::Caller;
use crate::s3::acl;
use crate::s3::context::{Call, Service};
use crate::s3::error::{Code, S3Error};
use crate::s3::head::Head;
use crate::s3::reply::Reply;
use crate::s3::tags::{self, Tagged};
use crate::s3::xml::{self, XmlWriter};
use crate::store::lock::ObjectLock;
use crate::store::settings::{AccessSettings, Ownership, PublicAccessBlock, Settings, Versioning};
use crate::store::{Bucket, BucketQuery, NewBucket, ObjectStore, StoreError};

/// Buckets in one answer, at most.
const BUCKETS_MAX: usize = 10_000;

/// Bytes of a `CreateBucketConfiguration`, at most.
const CONFIGURATION_BYTES_MAX: u64 = 64 * 1024;

/// The region that S3's answers leave out.
const UNNAMED_REGION: &str = "us-east-1";

/// Options that [`list_buckets`] honours.
pub const LIST_BUCKETS: &[&str] = &[
    "bucket-region",
    "continuation-token",
    "max-buckets",
    "prefix",
];

/// `ListBuckets`: those of the caller's account that the caller's key sees.
///
/// # Errors
/// `InvalidArgument` for an option that makes no sense.
pub async fn list_buckets(call: Call) -> Result<Reply, S3Error> {
    let query = &call.head.query;
    let limit = query.number("max-buckets", BUCKETS_MAX, BUCKETS_MAX)?;
    if limit == 0 {
        let message = "Argument max-buckets must be an integer between 1 and 10000";
        return Err(S3Error::argument("max-buckets", "0", message));
    }
    let prefix = query.get("prefix").unwrap_or_default();
    // An empty token is none here, as S3 answers it; ListObjectsV2 refuses one.
    let token = query.get("continuation-token");
    let after = paging::after_token(token.filter(|token| !token.is_empty()))?;
    let (buckets, next) = visible(&call.service.store, &call.who, prefix, after, limit).await?;
    let region = query.get("bucket-region");
    let mut document = XmlWriter::new("ListAllMyBucketsResult");
    let owner = call.owner();
    document.element("Owner", |document| {
        document.text("ID", &owner.id);
        document.text("DisplayName", &owner.display_name);
    });
    document.element("Buckets", |document| {
        let of_region = |bucket: &&Bucket| region.is_none_or(|region| bucket.region == region);
        for bucket in buckets.iter().filter(of_region) {
            document.element("Bucket", |document| {
                document.text("Name", bucket.name.as_str());
                document.time("CreationDate", bucket.created);
                document.text("BucketRegion", &bucket.region);
                document.text("BucketArn", &arn(&bucket.name));
            });
        }
    });
    let token = next.as_deref().map(paging::token);
    document.optional("ContinuationToken", token.as_deref());
    document.optional("Prefix", query.get("prefix"));
    Ok(Reply::xml(document))
}

async fn visible(
    store: &ObjectStore,
    who: &Who,
    prefix: &str,
    after: Option<String>,
    limit: usize,
) -> Result<(Vec<Bucket>, Option<String>), S3Error> {
    let key = who.key().filter(|key| !key.root);
    let Some(only) = key.and_then(|key| key.scope.bucket.as_deref()) else {
        let prefix = prefix.to_owned();
        let page = store.list_buckets(BucketQuery {
            owner: Some(who.owner().to_owned()),
            prefix,
            after,
            limit,
        });
        let page = page.await?;
        return Ok((page.buckets, page.next));
    };
    let shown = only.starts_with(prefix) && after.is_none_or(|after| only > after.as_str());
    let name = BucketName::parse(only).ok();
    let Some(name) = name.filter(|_name| shown) else {
        return Ok((Vec::new(), None));
    };
    match store.bucket(&name).await {
        Ok(bucket) if bucket.owner == who.owner() => Ok((vec![bucket], None)),
        Ok(_of_another) => Ok((Vec::new(), None)),
        Err(StoreError::NoSuchBucket) => Ok((Vec::new(), None)),
        Err(error) => Err(error.into()),
    }
}

/// `CreateBucket`.
///
/// # Errors
/// `BucketAlreadyOwnedByYou` or `BucketAlreadyExists` where the name is taken,
/// `InvalidLocationConstraint` or `IllegalLocationConstraintException` for another region than the
/// server's, what is wrong with its tags.
pub async fn create_bucket(call: Call) -> Result<Reply, S3Error> {
    let Call {
        service,
        head,
        who,
        body,
        peer,
        signature,
        ..
    } = call;
    let name = head.bucket()?;
    let settings = &service.settings;
    let configuration = body.bytes(CONFIGURATION_BYTES_MAX).await?;
    let tags = configured(&configuration, &settings.region)?;
    if !tags.is_empty() {
        let caller = Caller {
            service: &service,
            who: &who,
            head: &head,
            peer,
            signature,
        };
        caller.may_also(Action::TagResource, name, "").await?;
    }
    let access = access_of(&service, &head, who.owner())?;
    let locks = head.header("x-amz-bucket-object-lock-enabled")?;
    let locks = locks.is_some_and(|locks| locks.eq_ignore_ascii_case("true"));
    let new = NewBucket {
        settings: Settings {
            access,
            object_lock: locks.then(ObjectLock::default),
            versioning: if locks {
                Versioning::Enabled
            } else {
                Versioning::Off
            },
            tags,
            ..Settings::default()
        },
        owner: who.owner().to_owned(),
        region: settings.region.clone(),
    };
    let asked = new.settings.clone();
    match service.store.create_bucket(name, new).await {
        Ok(_bucket) => made(name),
        Err(StoreError::BucketExists { owner })
            if owner == who.owner() && settings.region == UNNAMED_REGION =>
        {
            made_again(&service, name, &asked).await
        }
        Err(StoreError::BucketExists { owner }) if owner == who.owner() => {
            Err(S3Error::new(Code::BucketAlreadyOwnedByYou).with("BucketName", name.as_str()))
        }
        Err(error) => Err(about(&head, error)),
    }
}

/// The ARN by which policies know the bucket.
fn arn(name: &BucketName) -> String {
    format!("arn:aws:s3:::{}", name.as_str())
}

fn made(name: &BucketName) -> Result<Reply, S3Error> {
    Reply::empty(StatusCode::OK)
        .with_header("location", &format!("/{}", name.as_str()))?
        .with_header("x-amz-bucket-arn", &arn(name))
}

/// S3's oldest region says yes again to whoever asks for their own bucket. It would also set the
/// bucket's list anew, which is refused here: nobody expects that of a request for a new bucket.
/// Other tags than it has would be lost.
async fn made_again(
    service: &Service,
    name: &BucketName,
    asked: &Settings,
) -> Result<Reply, S3Error> {
    let bucket = service.store.bucket(name).await?;
    let tagged = asked.tags.is_empty() || asked.tags == bucket.settings.tags;
    if bucket.settings.access.acl == asked.access.acl && tagged {
        return made(name);
    }
    let message = "You own the bucket already, with another access control list or other tags: \
                   change those by PutBucketAcl and PutBucketTagging.";
    Err(S3Error::because(Code::BucketAlreadyExists, message).with("BucketName", name.as_str()))
}

/// Options that [`create_bucket`] honours.
pub const CREATE_BUCKET: &[&str] = &["x-amz-bucket-object-lock-enabled", "x-amz-object-ownership"];

/// Who may do what to a new bucket, as its headers say.
fn access_of(service: &Service, head: &Head, owner: &str) -> Result<AccessSettings, S3Error> {
    let acl = acl::of_headers(service, &head.headers, owner, Subject::Bucket)?;
    let acl = acl.filter(|acl| *acl != Acl::private(owner));
    let ownership = match head.header("x-amz-object-ownership")? {
        None if acl.is_some() => Ownership::ObjectWriter,
        None => Ownership::Unchosen,
        Some(name) => ownership(name).ok_or_else(|| {
            let message = format!("Invalid x-amz-object-ownership header: {name}");
            S3Error::because(Code::InvalidArgument, message)
                .with("ArgumentName", "x-amz-object-ownership")
        })?,
    };
    if acl.is_some() && ownership == Ownership::BucketOwnerEnforced {
        return Err(Code::InvalidBucketAclWithObjectOwnership.into());
    }
    Ok(AccessSettings {
        acl,
        ownership,
        // As on S3 a new bucket has one, until it is deleted; here it blocks nothing, so that what
        // ran against a new bucket of any server runs here.
        public_access_block: Some(PublicAccessBlock::default()),
        ..AccessSettings::default()
    })
}

/// The tags that a new bucket is given. Refuses what it can't be: in another region, of another
/// kind.
fn configured(document: &[u8], region: &str) -> Result<Vec<(String, String)>, S3Error> {
    let (mut location, mut tags) = (None, Vec::new());
    if !document.is_empty() {
        let root = xml::parse(document, "CreateBucketConfiguration")?;
        for child in &root.children {
            let name = child.name.as_str();
            match name {
                "LocationConstraint" => location = Some(child.text.trim().to_owned()),
                "Tags" => tags = tags::of_set(child, Tagged::Bucket)?,
                "Location" | "Bucket" => return Err(S3Error::unsupported_option(name)),
                _ => return Err(Code::MalformedXML.into()),
            }
        }
    }
    let location = location.filter(|location| !location.is_empty());
    check_location(location.as_deref(), region)?;
    Ok(tags)
}

/// Judges where the bucket is wanted. The region without a name must not be named, and every other
/// one must be.
fn check_location(wanted: Option<&str>, region: &str) -> Result<(), S3Error> {
    let unnamed = region == UNNAMED_REGION;
    let wanted = match wanted {
        None if unnamed => return Ok(()),
        None => "unspecified",
        Some(wanted) if unnamed && !(is_region(wanted) && wanted != UNNAMED_REGION) => {
            return Err(
                S3Error::new(Code::InvalidLocationConstraint).with("LocationConstraint", wanted)
            );
        }
        // `EU` is S3's old name for Ireland.
        Some("EU") if region == "eu-west-1" => return Ok(()),
        Some(wanted) if wanted == region => return Ok(()),
        Some(wanted) => wanted,
    };
    let message = format!(
        "The {wanted} location constraint is incompatible for the region specific endpoint \
         this request was sent to."
    );
    let code = Code::IllegalLocationConstraintException;
    Err(S3Error::because(code, message))
}

/// Whether `text` looks like the name of one of S3's regions: `eu-west-1`, `us-gov-east-1`, `EU`.
fn is_region(text: &str) -> bool {
    let mut parts = text.split('-');
    let continent = parts.next().is_some_and(|part| part.len() == 2);
    let number = parts.next_back().and_then(|part| part.parse::<u8>().ok());
    let words = parts.clone().count() > 0
        && parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()));
    text == "EU" || (continent && words && number.is_some())
}

/// `HeadBucket`.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn head_bucket(call: Call) -> Result<Reply, S3Error> {
    let bucket = found(&call.service.store, &call.head).await?;
    Reply::empty(StatusCode::OK)
        .with_static("content-type", "application/xml")
        .with_static("x-amz-access-point-alias", "false")
        .with_header("x-amz-bucket-arn", &arn(&bucket.name))?
        .with_header("x-amz-bucket-region", &bucket.region)
}

/// `GetBucketLocation`.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn get_bucket_location(call: Call) -> Result<Reply, S3Error> {
    let bucket = found(&call.service.store, &call.head).await?;
    let mut document = XmlWriter::new("LocationConstraint");
    if bucket.region != UNNAMED_REGION {
        document.inner_text(&bucket.region);
    }
    Ok(Reply::xml(document))
}

/// `DeleteBucket`.
///
/// # Errors
/// `NoSuchBucket`, `BucketNotEmpty`.
pub async fn delete_bucket(call: Call) -> Result<Reply, S3Error> {
    let name = call.head.bucket()?;
    let deleted = call.service.store.delete_bucket(name).await;
    deleted.map_err(|error| about(&call.head, error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// The bucket that the request is about.
pub(super) async fn found(store: &ObjectStore, head: &Head) -> Result<Bucket, S3Error> {
    let name = head.bucket()?;
    if let Some(bucket) = head.learned.seen(name) {
        return Ok(bucket);
    }
    let bucket = store.bucket(name).await;
    bucket.map_err(|error| about(head, error))
}

/// What kind of document sets something of a bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Configuration {
    /// Its bytes, at most.
    pub(super) bytes_max: u64,
    /// Whether S3 demands a digest of it.
    pub(super) is_guarded: bool,
}

/// Sets what the request's document says of its bucket: `read` judges the document, `set` puts what
/// it says into the settings.
pub(super) async fn configure<T: Send + Sync>(
    call: Call,
    document: Configuration,
    read: impl FnOnce(&[u8]) -> Result<T, S3Error> + Send,
    set: impl Fn(&T, &Bucket, &mut Settings) -> Result<(), S3Error> + Send + Sync,
) -> Result<Reply, S3Error> {
    found(&call.service.store, &call.head).await?;
    if document.is_guarded {
        check_guarded(&call.head.headers)?;
    }
    let Call {
        service,
        head,
        body,
        ..
    } = call;
    let wanted = read(&body.xml(document.bytes_max).await?)?;
    let set = |bucket: &Bucket, settings: &mut Settings| set(&wanted, bucket, settings);
    change(&service.store, &head, set).await?;
    Ok(Reply::empty(StatusCode::OK))
}

/// Takes something from the settings of the request's bucket: no fault where it is not there.
pub(super) async fn unset(
    call: Call,
    take: impl Fn(&mut Settings) + Send + Sync,
) -> Result<Reply, S3Error> {
    change(&call.service.store, &call.head, |_bucket, settings| {
        take(settings);
        Ok(())
    })
    .await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// Changes the settings of the bucket that the request is about.
pub(super) async fn change(
    store: &ObjectStore,
    head: &Head,
    change: impl FnMut(&Bucket, &mut Settings) -> Result<(), S3Error> + Send,
) -> Result<Bucket, S3Error> {
    let name = head.bucket()?;
    let changed = store.update_bucket(name, change).await;
    changed.map_err(|error| match error.code() {
        Code::NoSuchBucket => error.with("BucketName", name.as_str()),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_made_in_the_servers_region_only() {
        let check = |region: &str, inner: &str| {
            let root = "CreateBucketConfiguration";
            let document = format!("<{root}>{inner}</{root}>");
            let read = configured(document.as_bytes(), region);
            read.map(drop).map_err(|error| error.code())
        };
        let (here, unnamed) = ("eu-west-1", "us-east-1");
        let illegal = Err(Code::IllegalLocationConstraintException);
        let invalid = Err(Code::InvalidLocationConstraint);
        for (region, wanted, outcome) in [
            (here, "eu-west-1", Ok(())),
            (here, "EU", Ok(())),
            (here, "", illegal),
            (here, "us-west-2", illegal),
            (here, "bar", illegal),
            (unnamed, "", Ok(())),
            (unnamed, "us-east-1", invalid),
            (unnamed, "foo", invalid),
            (unnamed, "aws-global", invalid),
            (unnamed, "eu-west-1", illegal),
            (unnamed, "us-gov-east-1", illegal),
            (unnamed, "EU", illegal),
        ] {
            let location = format!("<LocationConstraint>{wanted}</LocationConstraint>");
            assert_eq!(check(region, &location), outcome, "{region} {wanted}");
        }
        assert!(configured(b"", unnamed).is_ok());
        assert!(configured(b"", here).is_err());
        let tags = "<Tags><Tag><Key>k</Key><Value>v</Value></Tag></Tags>";
        assert_eq!(check(unnamed, tags), Ok(()));
        assert_eq!(
            check(unnamed, "<Tags><Other/></Tags>"),
            Err(Code::MalformedXML)
        );
        assert_eq!(check(unnamed, "<Bucket/>"), Err(Code::NotImplemented));
        assert_eq!(check(unnamed, "<Other/>"), Err(Code::MalformedXML));
    }
}
