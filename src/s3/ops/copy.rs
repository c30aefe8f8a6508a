//! Objects are copied, without a byte of theirs being moved.

use super::put::{given, object_headers, write_condition};
use super::{about, bucket, quoted, version_name};
use crate::checksum::{Algorithm, Checksum, Coverage, combine};
use crate::s3::admit::{Announced, admit};
use crate::s3::checksum_header::algorithm;
use crate::s3::context::{Call, Service};
use crate::s3::copy_source::{CopySource, digest};
use crate::s3::error::{Code, S3Error};
use crate::s3::head::Head;
use crate::s3::reply::Reply;
use crate::s3::sse;
use crate::s3::told::answered;
use crate::s3::xml::XmlWriter;
use crate::store::{
    Bucket, EventName, NewObject, ObjectPart, ObjectRecord, Seal, SealKind, Stager, Written,
};

/// Options that [`copy_object`] honours beside those of `PutObject` and of a source.
pub const COPY_OBJECT: &[&str] = &[
    "x-amz-checksum-algorithm",
    "x-amz-metadata-directive",
    "x-amz-tagging-directive",
];

/// Bytes of the largest source: 5 GiB.
const SOURCE_BYTES_MAX: u64 = 5 << 30;

/// Whether the new object takes something from its source, or gets it with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Copy,
    Replace,
}

fn directive(head: &Head, name: &str, message: &'static str) -> Result<Directive, S3Error> {
    match head.header(name)? {
        None | Some("COPY") => Ok(Directive::Copy),
        Some("REPLACE") => Ok(Directive::Replace),
        Some(other) => Err(S3Error::argument(name, other, message)),
    }
}

/// What becomes of the source's metadata, and of its tags.
fn directives(head: &Head) -> Result<(Directive, Directive), S3Error> {
    let (of_metadata, of_tags) = ("x-amz-metadata-directive", "x-amz-tagging-directive");
    Ok((
        directive(head, of_metadata, "Unknown metadata directive.")?,
        directive(head, of_tags, "Unknown tagging directive.")?,
    ))
}

/// `CopyObject`.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`, `AccessDenied`, `PreconditionFailed`, and `InvalidRequest` for a
/// copy onto itself that changes nothing.
pub async fn copy_object(call: Call) -> Result<Reply, S3Error> {
    let origin = call.origin(EventName::ObjectCreatedCopy);
    let (service, head, caller) = (&call.service, &call.head, call.caller());
    let store = &service.store;
    let bucket = bucket::found(store, head).await?;
    let (key, when) = (head.key()?, write_condition(&head.headers)?);
    let (metadata, tagging) = directives(head)?;
    let source = CopySource::find(&caller).await?;
    let record = &source.object.record;
    let sealing = sse::for_new(service, &bucket, &head.headers)?;
    let seal = sealing.as_ref().map(|(_key, seal)| seal.clone());
    check_changes(head, &source, (&bucket, seal.as_ref()), metadata)?;
    let (owner, mut extras) = given(service, &bucket, &head.headers, &call.who).await?;
    if tagging == Directive::Copy {
        extras.tags.clone_from(&record.extras.tags);
    }
    let headers = match metadata {
        Directive::Copy => record.headers.clone(),
        Directive::Replace => object_headers(&head.headers)?,
    };
    let of_copy = (key.as_str(), headers.content_type.as_deref());
    admit(store, &origin, announced(&bucket, of_copy, record.len)).await?;
    let mut resealed = match &sealing {
        Some((key, _seal)) => Some(store.stage_sealed(Some(record.len), key)?),
        None if source.key_of.is_some() => Some(store.stage(Some(record.len))),
        None => None,
    };
    extras.seal.clone_from(&seal);
    let checksum = checksum_of_copy(service, head, &source, resealed.as_mut()).await?;
    let new = NewObject {
        headers,
        // S3 reads what was made of parts, and gives its copy the MD5 for a tag.
        etag: record.etag.clone(),
        checksum: Some(checksum.clone()),
        crc64ecma: record.crc64ecma,
        owner,
        extras,
    };
    // What is sealed otherwise than its source is written anew; the rest is linked.
    let pieces = match resealed {
        Some(stager) => vec![stager.finish().await?],
        None => store.link(&source.object).await?,
    };
    let put = store.put_pieces(&bucket, key, new, pieces, &when, &origin);
    let Written {
        record: written,
        told,
    } = put.await.map_err(|error| about(head, error))?;
    let from = source.version_name();
    let to = version_name(&bucket, &written);
    let reply = Reply::xml(result(&written, &checksum));
    let reply = sse::described(reply, seal.as_ref())?
        .with_optional("x-amz-copy-source-version-id", from.as_deref())?
        .with_optional("x-amz-version-id", to.as_deref())?;
    answered(reply, told)
}

/// What is known of a copy before it is made.
fn announced<'a>(
    bucket: &'a Bucket,
    (key, content_type): (&'a str, Option<&'a str>),
    len: u64,
) -> Announced<'a> {
    Announced {
        operation: "CopyObject",
        bucket,
        key,
        len: Some(len),
        content_type,
    }
}

fn result(written: &ObjectRecord, checksum: &Checksum) -> XmlWriter {
    let mut document = XmlWriter::new("CopyObjectResult");
    document.time("LastModified", written.modified);
    document.text("ETag", &quoted(&written.etag));
    document.text(checksum.algorithm.element(), &checksum.text());
    document.text("ChecksumType", checksum.coverage.name());
    document
}

/// A copy's source must not be too large, and a copy onto itself must change something.
fn check_changes(
    head: &Head,
    source: &CopySource,
    (bucket, seal): (&Bucket, Option<&Seal>),
    metadata: Directive,
) -> Result<(), S3Error> {
    if source.object.record.len > SOURCE_BYTES_MAX {
        let message = "The specified copy source is larger than the maximum allowable size for a \
                       copy source: 5368709120";
        return Err(S3Error::because(Code::InvalidRequest, message));
    }
    let itself = source.version.is_none()
        && source.bucket.name == bucket.name
        && head.target.key.as_ref() == Some(&source.key);
    // Where a bucket has a default, S3 takes a copy onto itself for a new seal. Between the server's
    // own key and none there is no change: on S3 every object has at least that.
    let own = |seal: Option<&Seal>| {
        let kind = seal.map(|seal| seal.kind.clone());
        kind.filter(|kind| *kind != SealKind::Server)
    };
    let resealed = bucket.settings.encryption.is_some()
        || own(source.object.record.extras.seal.as_ref()) != own(seal);
    let changes = metadata == Directive::Replace
        || resealed
        || [
            "x-amz-storage-class",
            "x-amz-website-redirect-location",
            "x-amz-server-side-encryption",
        ]
        .iter()
        .any(|name| head.headers.contains_key(*name));
    if !itself || changes {
        return Ok(());
    }
    let message = "This copy request is illegal because it is trying to copy an object to itself \
                   without changing the object's metadata, storage class, website redirect \
                   location or encryption attributes.";
    Err(S3Error::because(Code::InvalidRequest, message))
}

/// The checksum of the copy: the source's where its bytes need not be written anew and that is known;
/// otherwise the bytes are read once more.
async fn checksum_of_copy(
    service: &Service,
    head: &Head,
    source: &CopySource,
    copy: Option<&mut Stager>,
) -> Result<Checksum, S3Error> {
    let record = &source.object.record;
    let asked = head.header("x-amz-checksum-algorithm")?.map(algorithm);
    let asked = asked.transpose()?;
    let whole = whole(record);
    let whole = whole.filter(|checksum| asked.is_none_or(|asked| asked == checksum.algorithm));
    if let (Some(checksum), None) = (whole, &copy) {
        return Ok(checksum);
    }
    let kept = record.checksum.as_ref().map(|checksum| checksum.algorithm);
    let wanted = asked.or(kept).unwrap_or(Algorithm::Crc64Nvme);
    let bytes = source.bytes(&service.store, 0..record.len).await?;
    let (_md5, checksums) = digest(bytes, vec![wanted], copy).await?;
    let checksum = checksums.into_iter().next();
    checksum.ok_or(S3Error::new(Code::InternalError))
}

/// The checksum of all of the object's bytes, as far as it is known without them.
fn whole(record: &ObjectRecord) -> Option<Checksum> {
    let checksum = record.checksum.as_ref()?;
    if checksum.coverage == Coverage::FullObject {
        return Some(checksum.clone());
    }
    let part = |part: &ObjectPart| Some((part.checksum.as_ref()?.digest.clone(), part.len));
    let parts: Vec<_> = record
        .parts
        .as_ref()?
        .iter()
        .map(part)
        .collect::<Option<_>>()?;
    let parts = parts.iter().map(|(digest, len)| (digest.as_slice(), *len));
    combine(checksum.algorithm, parts)
}
