//! Whether a bucket keeps versions: set and asked for.

use super::bucket;
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::Reply;
use crate::s3::xml::{self, XmlWriter};
use crate::store::Versioning;

const CONFIGURATION: bucket::Configuration = bucket::Configuration {
    bytes_max: 64 * 1024,
    is_guarded: false,
};

/// `PutBucketVersioning`: it can be enabled and suspended, never be as if it had not been.
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`, `IllegalVersioningConfigurationException` where no status is
/// given, `AccessDenied` where deletions were to need a second factor.
pub async fn put_bucket_versioning(call: Call) -> Result<Reply, S3Error> {
    bucket::configure(
        call,
        CONFIGURATION,
        configured,
        |wanted, _bucket, settings| {
            if settings.object_lock.is_some() && *wanted != Versioning::Enabled {
                let message = "An Object Lock configuration is present on this bucket, so the \
                           versioning state cannot be changed.";
                return Err(S3Error::because(Code::InvalidBucketState, message));
            }
            settings.versioning = *wanted;
            Ok(())
        },
    )
    .await
}

fn configured(document: &[u8]) -> Result<Versioning, S3Error> {
    let root = xml::parse(document, "VersioningConfiguration")?;
    match root.text_of("MfaDelete").map(str::trim) {
        None | Some("Disabled") => {}
        Some("Enabled") => {
            let message = "Mfa Authentication must be used for this request";
            return Err(S3Error::because(Code::AccessDenied, message));
        }
        Some(_) => return Err(Code::MalformedXML.into()),
    }
    match root.text_of("Status").map(str::trim) {
        Some("Enabled") => Ok(Versioning::Enabled),
        Some("Suspended") => Ok(Versioning::Suspended),
        Some(_) => Err(Code::MalformedXML.into()),
        None => {
            let code = Code::IllegalVersioningConfigurationException;
            Err(S3Error::because(
                code,
                "The Versioning element must be specified",
            ))
        }
    }
}

/// `GetBucketVersioning`: empty for a bucket whose versioning never was enabled.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn get_bucket_versioning(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let mut document = XmlWriter::new("VersioningConfiguration");
    match bucket.settings.versioning {
        Versioning::Off => {}
        Versioning::Enabled => drop(document.text("Status", "Enabled")),
        Versioning::Suspended => drop(document.text("Status", "Suspended")),
    }
    Ok(Reply::xml(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_enabled_or_suspended() {
        let read = |inner: &str| {
            let root = "VersioningConfiguration";
            let read = configured(format!("<{root}>{inner}</{root}>").as_bytes());
            read.map_err(|error| error.code())
        };
        let status = |status: &str| format!("<Status>{status}</Status>");
        assert_eq!(read(&status("Enabled")), Ok(Versioning::Enabled));
        assert_eq!(read(&status("Suspended")), Ok(Versioning::Suspended));
        for malformed in ["enabled", "Disabled", ""] {
            assert_eq!(read(&status(malformed)), Err(Code::MalformedXML));
        }
        let illegal = Code::IllegalVersioningConfigurationException;
        assert_eq!(read(""), Err(illegal));
        let mfa = "<MfaDelete>Enabled</MfaDelete>".to_owned();
        assert_eq!(read(&(status("Enabled") + &mfa)), Err(Code::AccessDenied));
    }
}
