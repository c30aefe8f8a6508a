//! Who pays for what is read from a bucket: set and asked for. [`crate::s3::access`] asks requesters
//! to say that they pay.

use super::bucket;
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::Reply;
use crate::s3::xml::{self, XmlWriter};

const CONFIGURATION: bucket::Configuration = bucket::Configuration {
    bytes_max: 64 * 1024,
    is_guarded: false,
};

/// `PutBucketRequestPayment`.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html>
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`.
pub async fn put_bucket_request_payment(call: Call) -> Result<Reply, S3Error> {
    bucket::configure(
        call,
        CONFIGURATION,
        configured,
        |wanted, _bucket, settings| {
            settings.requester_pays = *wanted;
            Ok(())
        },
    )
    .await
}

/// `GetBucketRequestPayment`.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketRequestPayment.html>
///
/// # Errors
/// `NoSuchBucket`.
pub async fn get_bucket_request_payment(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let mut document = XmlWriter::new("RequestPaymentConfiguration");
    let payer = if bucket.settings.requester_pays {
        "Requester"
    } else {
        "BucketOwner"
    };
    document.text("Payer", payer);
    Ok(Reply::xml(document))
}

/// Whether the requester pays.
fn configured(document: &[u8]) -> Result<bool, S3Error> {
    let root = xml::parse(document, "RequestPaymentConfiguration")?;
    match root.required("Payer")?.trim() {
        "Requester" => Ok(true),
        "BucketOwner" => Ok(false),
        _ => Err(Code::MalformedXML.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_or_the_requester_pays() {
        let read = |inner: &str| {
            let root = "RequestPaymentConfiguration";
            let read = configured(format!("<{root}>{inner}</{root}>").as_bytes());
            read.map_err(|error| error.code())
        };
        assert_eq!(read("<Payer>Requester</Payer>"), Ok(true));
        assert_eq!(read("<Payer>BucketOwner</Payer>"), Ok(false));
        assert_eq!(read("<Payer>Nobody</Payer>"), Err(Code::MalformedXML));
        assert_eq!(read(""), Err(Code::MalformedXML));
    }
}
