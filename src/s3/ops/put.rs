//! Objects are put.

use http::{HeaderMap, StatusCode};

use super::{about, bucket, lifecycle, lock, quoted, written_version};
use crate::auth::Who;
use crate::s3::acl::{self, Owned};
use crate::s3::admit::{Announced, admit};
use crate::s3::body::ReceiveOptions;
use crate::s3::context::{Call, Service};
use crate::s3::duties;
use crate::s3::error::S3Error;
use crate::s3::head::header;
use crate::s3::metadata_header::{content_encoding, content_header, user_metadata};
use crate::s3::reply::Reply;
use crate::s3::sse;
use crate::s3::tags;
use crate::s3::told::answered;
use crate::store::{Bucket, ETag, EventName, Extras, NewObject, ObjectHeaders, WriteCondition};

/// Options that [`put_object`] honours. S3 looks at no value of `x-amz-checksum-algorithm` here: the
/// checksum that comes with the bytes says which it is.
pub const PUT_OBJECT: &[&str] = &[
    "x-amz-checksum-algorithm",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
];

/// Bytes of `x-amz-website-redirect-location`.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-page-redirect.html>
const REDIRECT_BYTES_MAX: usize = 2048;

/// `PutObject`: everything in the head is judged before a byte of the body is read.
///
/// # Errors
/// `NoSuchBucket`, `PreconditionFailed`, and what the head or the body break.
pub async fn put_object(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let headers = object_headers(&call.head.headers)?;
    let when = write_condition(&call.head.headers)?;
    let origin = call.origin(EventName::ObjectCreatedPut);
    let Call {
        service,
        head,
        who,
        body,
        duties,
        ..
    } = call;
    let (owner, mut extras) = given(&service, &bucket, &head.headers, &who).await?;
    let (key_of, seal) = sse::for_new(&service, &bucket, &head.headers)?.unzip();
    extras.seal = seal;
    let key = head.key()?;
    // A write that is refused anyway must not cost its bytes.
    let store = &service.store;
    let holds = store.check_condition(&bucket, key, &when).await;
    holds.map_err(|error| about(&head, error))?;
    let announced = Announced {
        operation: "PutObject",
        bucket: &bucket,
        key: key.as_str(),
        len: Some(body.announced_len()?),
        content_type: headers.content_type.as_deref(),
    };
    admit(store, &origin, announced).await?;
    let want = ReceiveOptions {
        crc64ecma: service.oss.is_some(),
        ..duties::limited(ReceiveOptions::default(), &duties)
    };
    let received = body.receive(store, want, key_of.as_ref()).await?;
    let etag = ETag::md5(received.digest.etag_md5()?);
    let checksum = received.digest.checksum;
    let new = NewObject {
        headers,
        etag,
        checksum: Some(checksum.clone()),
        crc64ecma: received.digest.crc64ecma,
        owner,
        extras,
    };
    let written = service
        .store
        .put_object(&bucket, key, new, received.staged, &when, &origin)
        .await
        .map_err(|error| about(&head, error))?;
    let version = written_version(&written.record);
    let reply = Reply::empty(StatusCode::OK).about(&written.record);
    let reply = lifecycle::described(reply, &bucket, key.as_str(), &written.record)?;
    let reply = sse::described(reply, written.record.extras.seal.as_ref())?
        .with_header("etag", &quoted(&written.record.etag))?
        .with_optional("x-amz-version-id", version.as_deref())?
        .with_header(checksum.algorithm.header(), &checksum.text())?
        .with_header("x-amz-checksum-type", checksum.coverage.name())?;
    answered(reply, written.told)
}

/// Whose a new object is, and what it is given beside its bytes and headers.
///
/// # Errors
/// What the headers of tags and lists break.
pub async fn given(
    service: &Service,
    bucket: &Bucket,
    headers: &HeaderMap,
    who: &Who,
) -> Result<(String, Extras), S3Error> {
    let tags = header(headers, "x-amz-tagging")?.map(tags::of_header);
    let tags = tags.transpose()?.filter(|tags| !tags.is_empty());
    let Owned { owner, acl } = acl::of_new_object(service, bucket, headers, who.owner()).await?;
    let mut extras = Extras {
        tags,
        acl,
        ..Extras::default()
    };
    lock::of_headers(headers, bucket, service.clock.now(), &mut extras)?;
    Ok((owner, extras))
}

/// What the object keeps of the request's headers.
///
/// # Errors
/// `InvalidArgument` for what can't be stored, `MetadataTooLarge`.
pub fn object_headers(headers: &HeaderMap) -> Result<ObjectHeaders, S3Error> {
    let redirect = content_header(headers, "x-amz-website-redirect-location")?;
    if let Some(to) = &redirect
        && (to.len() > REDIRECT_BYTES_MAX
            || !["/", "http://", "https://"]
                .iter()
                .any(|start| to.starts_with(start)))
    {
        let message = "The website redirect location must start with \"/\", \"http://\" or \
                       \"https://\", and have at most 2048 bytes.";
        let name = "x-amz-website-redirect-location";
        return Err(S3Error::argument(name, to, message));
    }
    Ok(ObjectHeaders {
        content_type: content_header(headers, "content-type")?,
        cache_control: content_header(headers, "cache-control")?,
        content_disposition: content_header(headers, "content-disposition")?,
        content_encoding: content_encoding(headers)?,
        content_language: content_header(headers, "content-language")?,
        expires: content_header(headers, "expires")?,
        website_redirect: redirect,
        user: user_metadata(headers)?,
    })
}

/// What must hold of the current object for the write to happen.
///
/// # Errors
/// `NotImplemented` for both conditions at once, as S3 has it. (S3 also refuses `If-Match: *` and an
/// `If-None-Match` other than `*`; here they mean what HTTP says.)
pub fn write_condition(headers: &HeaderMap) -> Result<WriteCondition, S3Error> {
    let tag = |name: &str| {
        let text = header(headers, name)?;
        Ok::<_, S3Error>(text.map(|tag| tag.trim_matches('"').to_owned()))
    };
    let (if_match, if_none_match) = (tag("if-match")?, tag("if-none-match")?);
    if if_match.is_some() && if_none_match.is_some() {
        let more = "Multiple conditional request headers present in the request";
        let both = S3Error::unsupported_option("If-Match,If-None-Match");
        return Err(both.with("additionalMessage", more));
    }
    Ok(WriteCondition {
        if_match,
        if_none_match,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(sent: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = sent
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn conditions_of_a_write_are_those_of_s3() {
        let when = |sent| write_condition(&headers(sent));
        let tagged = when(&[("if-match", "\"ab\"")]).unwrap();
        assert_eq!(tagged.if_match.as_deref(), Some("ab"));
        let absent = when(&[("if-none-match", "*")]).unwrap();
        assert_eq!(absent.if_none_match.as_deref(), Some("*"));
        let other = when(&[("if-none-match", "\"ab\"")]).unwrap();
        assert_eq!(other.if_none_match.as_deref(), Some("ab"));
        assert!(when(&[("if-none-match", "*"), ("if-match", "ab")]).is_err());
    }

    #[test]
    fn an_object_keeps_its_headers() {
        let kept = object_headers(&headers(&[
            ("content-type", "text/plain"),
            ("content-encoding", "aws-chunked,gzip"),
            ("x-amz-meta-a", "1"),
        ]));
        let kept = kept.unwrap();
        assert_eq!(kept.content_type.as_deref(), Some("text/plain"));
        assert_eq!(kept.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(kept.user, [("a".to_owned(), "1".to_owned())]);
        let elsewhere = [("x-amz-website-redirect-location", "ftp://h")];
        assert!(object_headers(&headers(&elsewhere)).is_err());
        let far = |bytes| "/".repeat(bytes);
        for (bytes, is_good) in [(2048, true), (2049, false)] {
            let far = far(bytes);
            let far = [("x-amz-website-redirect-location", far.as_str())];
            assert_eq!(object_headers(&headers(&far)).is_ok(), is_good, "{bytes}");
        }
    }
}
