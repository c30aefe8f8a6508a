//! Object lock: a bucket's configuration, a version's retention and legal hold.

use http::{HeaderMap, StatusCode};

use super::{about, bucket, check_guarded, version_name, version_of};
use crate::auth::Action;
use crate::clock::Timestamp;
use crate::s3::access::Caller;
use crate::s3::context::{Call, Service};
use crate::s3::error::{Code, S3Error};
use crate::s3::head::{Head, header};
use crate::s3::reply::Reply;
use crate::s3::xml::{self, Node, XmlWriter};
use crate::store::lock::{DefaultRetention, LockMode, ObjectLock, Period, Retention};
use crate::store::{Bucket, Extras, ObjectRecord, Versioning};

/// Options that lock a new object.
pub const LOCK_HEADERS: &[&str] = &[
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
];

const BYPASS: &str = "x-amz-bypass-governance-retention";
const CONFIGURATION_BYTES_MAX: u64 = 64 * 1024;
const CONFIGURATION: bucket::Configuration = bucket::Configuration {
    bytes_max: CONFIGURATION_BYTES_MAX,
    is_guarded: true,
};
/// The longest default: a hundred years.
const DAYS_MAX: u32 = 36_500;
const YEARS_MAX: u32 = 100;

fn missing_lock() -> S3Error {
    let message = "Bucket is missing Object Lock Configuration";
    S3Error::because(Code::InvalidRequest, message)
}

/// Whether the caller asks to pass over retention in governance mode, and may.
///
/// # Errors
/// `AccessDenied` where they ask and may not.
pub async fn bypass(caller: &Caller<'_>) -> Result<bool, S3Error> {
    let asked = caller.head.header(BYPASS)?;
    if !asked.is_some_and(|asked| asked.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    let target = &caller.head.target;
    let key = target.key.as_ref().map_or("*", |key| key.as_str());
    let action = Action::BypassGovernanceRetention;
    caller
        .may(action, target.bucket.as_ref(), Some(key))
        .await?;
    Ok(true)
}

/// Reads how a new object is to be locked.
///
/// # Errors
/// `InvalidRequest` in a bucket that locks nothing, `InvalidArgument` for what makes no sense.
pub fn of_headers(
    headers: &HeaderMap,
    bucket: &Bucket,
    now: Timestamp,
    extras: &mut Extras,
) -> Result<(), S3Error> {
    let mode = header(headers, "x-amz-object-lock-mode")?;
    let until = header(headers, "x-amz-object-lock-retain-until-date")?;
    let hold = header(headers, "x-amz-object-lock-legal-hold")?;
    if mode.is_none() && until.is_none() && hold.is_none() {
        return Ok(());
    }
    if bucket.settings.object_lock.is_none() {
        return Err(missing_lock());
    }
    extras.retention = match (mode, until) {
        (None, None) => None,
        (Some(name), Some(date)) => {
            let mode = LockMode::named(name).ok_or_else(|| {
                let message = "Unknown wormMode directive.";
                S3Error::argument("x-amz-object-lock-mode", name, message)
            })?;
            let until = Timestamp::parse_iso8601(date).map_err(|_no_date| {
                let message = "The retain until date must be provided in ISO 8601 format";
                S3Error::argument("x-amz-object-lock-retain-until-date", date, message)
            })?;
            let name = "x-amz-object-lock-retain-until-date";
            Some(in_the_future(Retention { mode, until }, now, (name, date))?)
        }
        (mode, _one) => {
            let message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must \
                           both be supplied";
            let missing = match mode {
                Some(_mode) => "x-amz-object-lock-retain-until-date",
                None => "x-amz-object-lock-mode",
            };
            let error = S3Error::because(Code::InvalidArgument, message);
            return Err(error.with("ArgumentName", missing));
        }
    };
    extras.legal_hold = match hold {
        None => None,
        Some("ON") => Some(true),
        Some("OFF") => Some(false),
        Some(other) => {
            let message = "Legal Hold must be either of 'ON' or 'OFF'";
            return Err(S3Error::argument(
                "x-amz-object-lock-legal-hold",
                other,
                message,
            ));
        }
    };
    Ok(())
}

/// The retention, where its date has not passed; `said` is where that stands and how.
fn in_the_future(
    retention: Retention,
    now: Timestamp,
    (name, said): (&str, &str),
) -> Result<Retention, S3Error> {
    if retention.until > now {
        return Ok(retention);
    }
    let message = "The retain until date must be in the future!";
    Err(S3Error::argument(name, said, message))
}

/// What readers are told of a version's lock.
///
/// # Errors
/// Never: what is told are words and dates.
pub fn described(mut reply: Reply, record: &ObjectRecord) -> Result<Reply, S3Error> {
    if let Some(Retention { mode, until }) = record.extras.retention {
        reply = reply
            .with_header("x-amz-object-lock-mode", mode.as_str())?
            .with_header("x-amz-object-lock-retain-until-date", &until.iso8601_ms())?;
    }
    let hold = record.extras.legal_hold.map(on_off);
    reply.with_optional("x-amz-object-lock-legal-hold", hold)
}

const fn on_off(hold: bool) -> &'static str {
    if hold { "ON" } else { "OFF" }
}

/// `PutObjectLockConfiguration`.
///
/// # Errors
/// `NoSuchBucket`, `InvalidBucketState` where the bucket keeps no versions, `MalformedXML`,
/// `InvalidRetentionPeriod`.
pub async fn put_object_lock_configuration(call: Call) -> Result<Reply, S3Error> {
    let read = |document: &[u8]| configured(&xml::parse(document, "ObjectLockConfiguration")?);
    bucket::configure(call, CONFIGURATION, read, |wanted, _bucket, settings| {
        if settings.versioning != Versioning::Enabled {
            let message = "Versioning must be 'Enabled' on the bucket to apply a Object Lock \
                           configuration";
            return Err(S3Error::because(Code::InvalidBucketState, message));
        }
        settings.object_lock = Some(*wanted);
        Ok(())
    })
    .await
}

fn configured(root: &Node) -> Result<ObjectLock, S3Error> {
    if root.text_of("ObjectLockEnabled").map(str::trim) != Some("Enabled") {
        return Err(Code::MalformedXML.into());
    }
    let Some(rule) = root.child("Rule") else {
        return Ok(ObjectLock::default());
    };
    let default = rule.child("DefaultRetention").ok_or(Code::MalformedXML)?;
    let mode = LockMode::named(default.required("Mode")?.trim()).ok_or(Code::MalformedXML)?;
    let number = |name: &str| {
        let text = default.text_of(name).map(str::trim);
        text.map(|text| {
            text.parse::<i64>()
                .map_err(|_none| S3Error::new(Code::MalformedXML))
        })
        .transpose()
    };
    let within = |count: i64, most: u32| {
        let fits = u32::try_from(count)
            .ok()
            .filter(|count| (1..=most).contains(count));
        fits.ok_or_else(|| {
            let message = "Default retention period must be a positive integer value.";
            S3Error::because(Code::InvalidRetentionPeriod, message)
        })
    };
    let period = match (number("Days")?, number("Years")?) {
        (Some(days), None) => Period::Days(within(days, DAYS_MAX)?),
        (None, Some(years)) => Period::Years(within(years, YEARS_MAX)?),
        _ => return Err(Code::MalformedXML.into()),
    };
    let default = Some(DefaultRetention { mode, period });
    Ok(ObjectLock { default })
}

/// `GetObjectLockConfiguration`.
///
/// # Errors
/// `NoSuchBucket`, `ObjectLockConfigurationNotFoundError`.
pub async fn get_object_lock_configuration(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let lock = bucket.settings.object_lock.ok_or_else(|| {
        let error = S3Error::new(Code::ObjectLockConfigurationNotFoundError);
        error.with("BucketName", bucket.name.as_str())
    })?;
    let mut document = XmlWriter::new("ObjectLockConfiguration");
    document.text("ObjectLockEnabled", "Enabled");
    if let Some(default) = lock.default {
        document.element("Rule", |document| {
            document.element("DefaultRetention", |document| {
                document.text("Mode", default.mode.as_str());
                match default.period {
                    Period::Days(days) => document.value("Days", days),
                    Period::Years(years) => document.value("Years", years),
                };
            });
        });
    }
    Ok(Reply::xml(document))
}

/// The bucket, which must lock objects.
async fn locking(service: &Service, head: &Head) -> Result<Bucket, S3Error> {
    let bucket = bucket::found(&service.store, head).await?;
    if bucket.settings.object_lock.is_none() {
        return Err(missing_lock());
    }
    Ok(bucket)
}

/// Changes the lock of the version that the request names.
async fn change(
    service: &Service,
    head: &Head,
    bucket: &Bucket,
    set: impl FnMut(&mut ObjectRecord) -> Result<(), S3Error> + Send,
) -> Result<Reply, S3Error> {
    let version = version_of(head)?;
    let key = head.key()?;
    let changed = service
        .store
        .update_object(bucket, key, version.as_ref(), None, set);
    let changed = changed.await.map_err(|error| match error.code() {
        Code::NoSuchKey => error.with("Key", key.as_str()),
        _ => error,
    });
    let version = version_name(bucket, &changed?);
    Reply::empty(StatusCode::OK).with_optional("x-amz-version-id", version.as_deref())
}

/// `PutObjectRetention`.
///
/// # Errors
/// `InvalidRequest` in a bucket that locks nothing, `MalformedXML`, `InvalidArgument` for a date
/// that has passed, `AccessDenied` where the version's retention would become weaker.
pub async fn put_object_retention(call: Call) -> Result<Reply, S3Error> {
    check_guarded(&call.head.headers)?;
    let bucket = locking(&call.service, &call.head).await?;
    let bypass = bypass(&call.caller()).await?;
    let Call {
        service,
        head,
        body,
        ..
    } = call;
    let document = body.xml(CONFIGURATION_BYTES_MAX).await?;
    let now = service.clock.now();
    let wanted = retention(&xml::parse(&document, "Retention")?, now)?;
    change(&service, &head, &bucket, |record| {
        let old = record.extras.retention;
        if old.is_some_and(|old| !old.may_become(wanted.as_ref(), now, bypass)) {
            let message = "Access Denied because object protected by object lock.";
            return Err(S3Error::because(Code::AccessDenied, message));
        }
        record.extras.retention = wanted;
        Ok(())
    })
    .await
}

/// An empty document takes the retention away.
fn retention(root: &Node, now: Timestamp) -> Result<Option<Retention>, S3Error> {
    if root.children.is_empty() {
        return Ok(None);
    }
    let mode = LockMode::named(root.required("Mode")?.trim()).ok_or(Code::MalformedXML)?;
    let date = root.required("RetainUntilDate")?.trim();
    let until = Timestamp::parse_iso8601(date);
    let until = until.map_err(|_no_date| S3Error::new(Code::MalformedXML))?;
    in_the_future(Retention { mode, until }, now, ("RetainUntilDate", date)).map(Some)
}

/// The version that the request names, in a bucket that locks objects.
async fn found(service: &Service, head: &Head) -> Result<ObjectRecord, S3Error> {
    let bucket = locking(service, head).await?;
    let version = version_of(head)?;
    let object = service.store.object(&bucket, head.key()?, version.as_ref());
    Ok(object.await.map_err(|error| about(head, error))?.record)
}

/// `GetObjectRetention`.
///
/// # Errors
/// `InvalidRequest` in a bucket that locks nothing, `NoSuchObjectLockConfiguration`.
pub async fn get_object_retention(call: Call) -> Result<Reply, S3Error> {
    let record = found(&call.service, &call.head).await?;
    let retention = record.extras.retention;
    let Retention { mode, until } = retention.ok_or(Code::NoSuchObjectLockConfiguration)?;
    let mut document = XmlWriter::new("Retention");
    document.text("Mode", mode.as_str());
    document.text("RetainUntilDate", &until.iso8601_ms());
    Ok(Reply::xml(document))
}

/// `PutObjectLegalHold`.
///
/// # Errors
/// `InvalidRequest` in a bucket that locks nothing, `MalformedXML`.
pub async fn put_object_legal_hold(call: Call) -> Result<Reply, S3Error> {
    check_guarded(&call.head.headers)?;
    let Call {
        service,
        head,
        body,
        ..
    } = call;
    bucket::found(&service.store, &head).await?;
    // Here S3 calls a document that is missing a malformed one, even where nothing is locked.
    let document = body.bytes(CONFIGURATION_BYTES_MAX).await?;
    let root = xml::parse(&document, "LegalHold")?;
    let hold = match root.required("Status")?.trim() {
        "ON" => true,
        "OFF" => false,
        _ => return Err(Code::MalformedXML.into()),
    };
    let bucket = locking(&service, &head).await?;
    change(&service, &head, &bucket, |record| {
        record.extras.legal_hold = Some(hold);
        Ok(())
    })
    .await
}

/// `GetObjectLegalHold`.
///
/// # Errors
/// `InvalidRequest` in a bucket that locks nothing, `NoSuchObjectLockConfiguration`.
pub async fn get_object_legal_hold(call: Call) -> Result<Reply, S3Error> {
    let record = found(&call.service, &call.head).await?;
    let hold = record.extras.legal_hold;
    let hold = hold.ok_or(Code::NoSuchObjectLockConfiguration)?;
    let mut document = XmlWriter::new("LegalHold");
    document.text("Status", on_off(hold));
    Ok(Reply::xml(document))
}
