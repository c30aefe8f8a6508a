//! A bucket's default encryption: put, got, deleted.

use super::bucket;
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::Reply;
use crate::s3::xml::{self, Node, XmlWriter};
use crate::store::settings::{DefaultKey, Encryption};

const CONFIGURATION: bucket::Configuration = bucket::Configuration {
    bytes_max: 64 * 1024,
    is_guarded: true,
};

/// `PutBucketEncryption`.
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`, `InvalidArgument` for a key without its method.
pub async fn put_bucket_encryption(call: Call) -> Result<Reply, S3Error> {
    let read =
        |document: &[u8]| configured(&xml::parse(document, "ServerSideEncryptionConfiguration")?);
    bucket::configure(call, CONFIGURATION, read, |wanted, _bucket, settings| {
        settings.encryption = Some(wanted.clone());
        Ok(())
    })
    .await
}

fn configured(root: &Node) -> Result<Encryption, S3Error> {
    let [rule] = root.children.as_slice() else {
        return Err(Code::MalformedXML.into());
    };
    let default = rule.child("ApplyServerSideEncryptionByDefault");
    let default = default.ok_or(Code::MalformedXML)?;
    let key = default.text_of("KMSMasterKeyID").map(str::trim);
    let key = key.filter(|key| !key.is_empty()).map(str::to_owned);
    let key = match (default.required("SSEAlgorithm")?.trim(), key) {
        ("AES256", None) => DefaultKey::Server,
        ("AES256", Some(_)) => {
            let message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not \
                           aws:kms or aws:kms:dsse";
            let error = S3Error::because(Code::InvalidArgument, message);
            return Err(error.with("ArgumentName", "ApplyServerSideEncryptionByDefault"));
        }
        ("aws:kms", key) => DefaultKey::Named(key),
        ("aws:kms:dsse", _) => return Err(S3Error::unsupported_option("aws:kms:dsse")),
        _ => return Err(Code::MalformedXML.into()),
    };
    let bucket_key = rule.text_of("BucketKeyEnabled").map(str::trim) == Some("true");
    Ok(Encryption { key, bucket_key })
}

/// `GetBucketEncryption`.
///
/// # Errors
/// `NoSuchBucket`, `ServerSideEncryptionConfigurationNotFoundError`.
pub async fn get_bucket_encryption(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let encryption = bucket.settings.encryption.as_ref().ok_or_else(|| {
        let error = S3Error::new(Code::ServerSideEncryptionConfigurationNotFoundError);
        error.with("BucketName", bucket.name.as_str())
    })?;
    let mut document = XmlWriter::new("ServerSideEncryptionConfiguration");
    document.element("Rule", |document| {
        document.element("ApplyServerSideEncryptionByDefault", |document| {
            match &encryption.key {
                DefaultKey::Server => document.text("SSEAlgorithm", "AES256"),
                DefaultKey::Named(name) => document
                    .text("SSEAlgorithm", "aws:kms")
                    .optional("KMSMasterKeyID", name.as_deref()),
            };
        });
        document.value("BucketKeyEnabled", encryption.bucket_key);
    });
    Ok(Reply::xml(document))
}

/// `DeleteBucketEncryption`: no fault where there is none.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn delete_bucket_encryption(call: Call) -> Result<Reply, S3Error> {
    bucket::unset(call, |settings| {
        settings.encryption = None;
    })
    .await
}
