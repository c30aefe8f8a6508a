//! Parts are copied from objects.

use std::ops::Range;

use super::{of_upload, upload_id};
use crate::checksum::{Algorithm, Checksum, Coverage, as_number};
use crate::s3::context::Call;
use crate::s3::copy_source::{CopySource, digest};
use crate::s3::error::{Code, S3Error};
use crate::s3::ops::{bucket, quoted};
use crate::s3::part_number;
use crate::s3::reply::Reply;
use crate::s3::sse;
use crate::s3::xml::XmlWriter;
use crate::store::seal::DataKey;
use crate::store::upload::{NewPart, PART_BYTES_MAX};
use crate::store::{ObjectStore, Staged, StoreError};

/// Options that [`upload_part_copy`] honours beside those of a source.
pub const PART_COPY: &[&str] = &["x-amz-copy-source-range"];

/// `UploadPartCopy`.
///
/// # Errors
/// As `UploadPart` and `CopyObject`, and `InvalidArgument` or `InvalidRange` for the range.
pub async fn upload_part_copy(call: Call) -> Result<Reply, S3Error> {
    let (service, head) = (&call.service, &call.head);
    let number = part_number::parse(head.query.get("partNumber").unwrap_or_default())?;
    let store = &service.store;
    let bucket = bucket::found(store, head).await?;
    let (key, id) = (head.key()?, upload_id(head)?);
    let upload = store.upload(&bucket, key, &id).await;
    let upload = upload.map_err(|error| of_upload(head, error))?;
    let source = CopySource::find(&call.caller()).await?;
    let len = source.object.record.len;
    let range = match head.header("x-amz-copy-source-range")? {
        Some(text) => range(text, len)?,
        None => 0..len,
    };
    let bytes = range.end.saturating_sub(range.start);
    let room = store.room_for_part(&id, number, &upload.duties).await?;
    check_len(bytes, room)?;
    let kept = upload
        .checksum
        .map_or(Algorithm::Crc64Nvme, |(algorithm, _)| algorithm);
    let seal = upload.extras.seal.as_ref();
    let part_key = sse::for_part(service, &head.headers, seal)?;
    let of_oss = service.oss.as_ref().map(|_oss| Algorithm::Crc64Ecma);
    let wanted = [kept].into_iter().chain(of_oss).collect();
    let (part, staged) = match whole(&source, &range, kept).filter(|_part| part_key.is_none()) {
        Some(part) => (part, linked(store, &source).await?),
        None => copied(store, &source, range, wanted, part_key.as_ref()).await?,
    };
    let checksum = part.checksum.clone();
    let put = store.put_part(&bucket, key, &id, number, part, staged);
    let record = put.await.map_err(|error| of_upload(head, error))?;
    let mut document = XmlWriter::new("CopyPartResult");
    document.time("LastModified", record.modified);
    document.text("ETag", &quoted(&record.etag()));
    if let Some(checksum) = checksum.filter(|_checksum| upload.checksum.is_some()) {
        document.text(checksum.algorithm.element(), &checksum.text());
    }
    let version = source.version_name();
    sse::described(Reply::xml(document), seal)?
        .with_optional("x-amz-copy-source-version-id", version.as_deref())
}

/// The part that is all of its source, where that is known without reading a byte: one unsealed blob,
/// with a digest of both kinds.
fn whole(source: &CopySource, range: &Range<u64>, kept: Algorithm) -> Option<NewPart> {
    let record = &source.object.record;
    let one = record.segments.len() == 1 && *range == (0..record.len);
    if !one || source.key_of.is_some() {
        return None;
    }
    let fits = |checksum: &&Checksum| {
        checksum.algorithm == kept && checksum.coverage == Coverage::FullObject
    };
    Some(NewPart {
        etag_md5: record.etag.whole()?,
        checksum: Some(record.checksum.as_ref().filter(fits)?.clone()),
        once: None,
        crc64ecma: record.crc64ecma,
    })
}

async fn linked(store: &ObjectStore, source: &CopySource) -> Result<Staged, S3Error> {
    let piece = store.link(&source.object).await?.into_iter().next();
    piece.ok_or(S3Error::new(Code::InternalError))
}

/// The part, written anew; the first of the digests that are `wanted` is its checksum.
async fn copied(
    store: &ObjectStore,
    source: &CopySource,
    range: Range<u64>,
    wanted: Vec<Algorithm>,
    key: Option<&DataKey>,
) -> Result<(NewPart, Staged), S3Error> {
    let len = Some(range.end.saturating_sub(range.start));
    let stream = source.bytes(store, range).await?;
    let mut stager = match key {
        Some(key) => store.stage_sealed(len, key)?,
        None => store.stage(len),
    };
    let (etag_md5, checksums) = digest(stream, wanted, Some(&mut stager)).await?;
    let mut all = checksums.iter();
    let crc64ecma = all.find(|checksum| checksum.algorithm == Algorithm::Crc64Ecma);
    let part = NewPart {
        etag_md5,
        once: None,
        crc64ecma: crc64ecma.and_then(|checksum| as_number(&checksum.digest)),
        checksum: checksums.into_iter().next(),
    };
    Ok((part, stager.finish().await?))
}

/// What is copied is no longer than a part may be, nor than the whole leaves room for.
fn check_len(len: u64, max: u64) -> Result<(), S3Error> {
    if len > PART_BYTES_MAX {
        let message = "The specified copy source is larger than the maximum allowable size for a \
                       copy source: 5368709120";
        return Err(S3Error::because(Code::InvalidRequest, message));
    }
    if len > max {
        return Err(StoreError::TooLarge { len, max }.into());
    }
    Ok(())
}

/// `bytes=first-last`, both of which must lie within the source.
fn range(text: &str, len: u64) -> Result<Range<u64>, S3Error> {
    let bounds = text.strip_prefix("bytes=").and_then(|text| {
        let (first, last) = text.split_once('-')?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten()
        };
        Some((number(first)?, number(last)?))
    });
    let bounds = bounds.filter(|(first, last)| first <= last);
    let (first, last) = bounds.ok_or_else(|| {
        let message = "The x-amz-copy-source-range value must be of the form bytes=first-last \
                       where first and last are the zero-based offsets of the first and last \
                       bytes to copy";
        S3Error::argument("x-amz-copy-source-range", text, message)
    })?;
    if first >= len {
        let message = "The specified copy range is invalid for the source object size";
        return Err(S3Error::because(Code::InvalidRequest, message));
    }
    if last >= len {
        let message = format!("Range specified is not valid for source object of size: {len}");
        return Err(S3Error::because(Code::InvalidRange, message));
    }
    Ok(first..last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_lies_within_its_source() {
        assert_eq!(range("bytes=0-9", 10).unwrap(), 0..10);
        assert_eq!(range("bytes=3-3", 10).unwrap(), 3..4);
        let behind = range("bytes=10-11", 10).unwrap_err();
        assert_eq!(behind.code(), Code::InvalidRequest);
        let beyond = range("bytes=9-10", 10).unwrap_err();
        assert_eq!(beyond.code(), Code::InvalidRange);
        for bad in [
            "0-2",
            "bytes=0",
            "bytes=2-1",
            "bytes=hello-world",
            "bytes=0-bar",
            "bytes=0-2,3-5",
            "bytes=-4",
            "bytes=+1-2",
        ] {
            let refused = range(bad, 10).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{bad}");
        }
    }
}
