//! Where the records of a bucket's requests go: put and got. [`crate::s3::access_log`] delivers them.

use http::StatusCode;

use super::{about, bucket};
use crate::name::BucketName;
use crate::s3::acl;
use crate::s3::context::{Call, Service};
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::Reply;
use crate::s3::xml::{self, Node, XmlWriter};
use crate::store::settings::{LogKeys, Logging, Ownership};
use crate::store::{Bucket, StoreError};

/// Bytes of a `BucketLoggingStatus`, at most.
const CONFIGURATION_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a prefix: a key needs room for a time and a name behind it.
const PREFIX_BYTES_MAX: usize = 800;

/// `PutBucketLogging`: an empty status ends it.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLogging.html>
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`, `InvalidTargetBucketForLogging`.
pub async fn put_bucket_logging(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let Call {
        service,
        head,
        body,
        ..
    } = call;
    let logging = configured(&service, &body.xml(CONFIGURATION_BYTES_MAX).await?)?;
    if let Some(logging) = &logging {
        check_target(&service, &bucket, logging).await?;
    }
    let set = service.store.set_logging(&bucket.name, logging.as_ref());
    set.await.map_err(|error| about(&head, error))?;
    if logging.is_some() {
        service.access_log.heed();
    }
    Ok(Reply::empty(StatusCode::OK))
}

/// `GetBucketLogging`.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLogging.html>
///
/// # Errors
/// `NoSuchBucket`.
pub async fn get_bucket_logging(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let mut document = XmlWriter::new("BucketLoggingStatus");
    if let Some(logging) = &bucket.settings.logging {
        document.element("LoggingEnabled", |document| {
            document.text("TargetBucket", &logging.target);
            if !logging.grants.is_empty() {
                document.element("TargetGrants", |document| {
                    for grant in &logging.grants {
                        acl::write_grant(document, &call.service, grant);
                    }
                });
            }
            write_keys(document, logging.keys);
            document.text("TargetPrefix", &logging.prefix);
        });
    }
    Ok(Reply::xml(document))
}

fn write_keys(document: &mut XmlWriter, keys: LogKeys) {
    let source = match keys {
        LogKeys::Simple => return,
        LogKeys::ByEventTime => "EventTime",
        LogKeys::ByDeliveryTime => "DeliveryTime",
    };
    document.element("TargetObjectKeyFormat", |document| {
        document.element("PartitionedPrefix", |document| {
            document.text("PartitionDateSource", source);
        });
    });
}

/// The target must be there, of the same owner, and take the lists that it is to be given.
async fn check_target(
    service: &Service,
    bucket: &Bucket,
    logging: &Logging,
) -> Result<(), S3Error> {
    let refuse = |message: &'static str| {
        let error = S3Error::because(Code::InvalidTargetBucketForLogging, message);
        Err(error.with("TargetBucket", &logging.target))
    };
    let missing = "The target bucket for logging does not exist";
    let Ok(name) = BucketName::parse(&logging.target) else {
        return refuse(missing);
    };
    let target = match service.store.bucket(&name).await {
        Ok(target) => target,
        Err(StoreError::NoSuchBucket) => return refuse(missing),
        Err(error) => return Err(error.into()),
    };
    if target.owner != bucket.owner {
        return refuse(
            "The owner for the bucket to be logged and the target bucket must be the same.",
        );
    }
    let enforced = target.settings.access.ownership == Ownership::BucketOwnerEnforced;
    if enforced && !logging.grants.is_empty() {
        return refuse("You can't use target grants with the bucket owner enforced setting");
    }
    Ok(())
}

fn configured(service: &Service, document: &[u8]) -> Result<Option<Logging>, S3Error> {
    let root = xml::parse(document, "BucketLoggingStatus")?;
    let Some(enabled) = root.child("LoggingEnabled") else {
        return Ok(None);
    };
    let prefix = enabled.required("TargetPrefix")?.to_owned();
    if prefix.len() > PREFIX_BYTES_MAX {
        let message = "The length of the target prefix is invalid";
        return Err(S3Error::argument("TargetPrefix", prefix, message));
    }
    let grants = enabled.child("TargetGrants");
    let grants = grants.map_or(&[][..], |grants| &grants.children);
    let grants = grants.iter().map(|grant| acl::read_grant(service, grant));
    Ok(Some(Logging {
        target: enabled.required("TargetBucket")?.trim().to_owned(),
        prefix,
        grants: grants.collect::<Result<_, _>>()?,
        keys: keys(enabled.child("TargetObjectKeyFormat"))?,
    }))
}

fn keys(node: Option<&Node>) -> Result<LogKeys, S3Error> {
    let Some(node) = node else {
        return Ok(LogKeys::Simple);
    };
    match (node.child("SimplePrefix"), node.child("PartitionedPrefix")) {
        (Some(_simple), None) => Ok(LogKeys::Simple),
        (None, Some(partitioned)) => {
            match partitioned.text_of("PartitionDateSource").map(str::trim) {
                None | Some("EventTime") => Ok(LogKeys::ByEventTime),
                Some("DeliveryTime") => Ok(LogKeys::ByDeliveryTime),
                Some(_) => Err(Code::MalformedXML.into()),
            }
        }
        _ => Err(Code::MalformedXML.into()),
    }
}
