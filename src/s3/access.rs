//! Who may do what to a bucket: the caller's key says, and whose bucket it is.
//!
//! Every way to a bucket comes through [`judge`]: the dispatcher's, a form's, a copy's source.

use super::context::Service;
use super::error::{Code, S3Error};
use crate::auth::{Action, Who, may};
use crate::name::BucketName;
use crate::store::StoreError;

/// Digits of an account's number.
const ACCOUNT_DIGITS: usize = 12;

/// Judges whether `who` may do `action` to `bucket` and to a key in it, or list under a prefix.
/// A bucket that is not there is left to the operation, which says so in its own words.
///
/// # Errors
/// `AccessDenied`.
pub async fn judge(
    service: &Service,
    who: &Who,
    action: Action,
    bucket: Option<&BucketName>,
    subject: Option<&str>,
) -> Result<(), S3Error> {
    may(who, action, bucket, subject)?;
    // Whoever wants a name that is taken hears that it is.
    let (Some(bucket), false) = (bucket, action == Action::CreateBucket) else {
        return Ok(());
    };
    match owner(service, bucket).await? {
        Some(owner) if owner != who.owner() => Err(S3Error::new(Code::AccessDenied)),
        _ => Ok(()),
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
