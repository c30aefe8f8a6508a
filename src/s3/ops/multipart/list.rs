//! Uploads and their parts are listed.

use super::{of_upload, principal, upload_id};
use crate::id::UploadId;
use crate::s3::context::{Call, Service};
use crate::s3::error::S3Error;
use crate::s3::ops::bucket;
use crate::s3::ops::paging::Encoding;
use crate::s3::ops::quoted;
use crate::s3::query::Query;
use crate::s3::reply::Reply;
use crate::s3::xml::XmlWriter;
use crate::store::upload::PART_NUMBER_MAX;
use crate::store::{ListedUpload, UploadMarker, UploadPage, UploadQuery, UploadRecord};

/// Lines in one answer, at most.
const LINES_MAX: usize = 1000;

/// Options that [`list_parts`] honours.
pub const LIST_PARTS: &[&str] = &["max-parts", "part-number-marker"];

/// Options that [`list_multipart_uploads`] honours.
pub const LIST_UPLOADS: &[&str] = &[
    "delimiter",
    "encoding-type",
    "key-marker",
    "max-uploads",
    "prefix",
    "upload-id-marker",
];

/// `ListParts`.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchUpload`; `InvalidArgument` for an option that makes no sense.
pub async fn list_parts(call: Call) -> Result<Reply, S3Error> {
    let (store, head) = (&call.service.store, &call.head);
    let limit = head.query.number("max-parts", LINES_MAX, LINES_MAX)?;
    let last = usize::from(PART_NUMBER_MAX);
    let after = head.query.number("part-number-marker", 0, last)?;
    let bucket = bucket::found(store, head).await?;
    let (key, id) = (head.key()?, upload_id(head)?);
    let after = u16::try_from(after).unwrap_or(PART_NUMBER_MAX);
    let page = store.list_parts(&bucket, key, &id, after, limit).await;
    let page = page.map_err(|error| of_upload(head, error))?;
    let upload = &page.upload;
    let mut document = XmlWriter::new("ListPartsResult");
    document.text("Bucket", bucket.name.as_str());
    document.text("Key", key.as_str());
    document.text("UploadId", &id.to_string());
    people(&mut document, upload, &call.service);
    document.value("PartNumberMarker", after);
    let next = page.parts.last().map_or(0, |part| part.number);
    document.value("NextPartNumberMarker", next);
    document.value("MaxParts", limit);
    document.value("IsTruncated", page.next.is_some());
    checksum(&mut document, upload);
    for part in &page.parts {
        document.element("Part", |document| {
            document.value("PartNumber", part.number);
            document.time("LastModified", part.modified);
            document.text("ETag", &quoted(&part.etag()));
            document.value("Size", part.len());
            // Clients of OSS look for it; those of S3 pass over what they don't know.
            if let Some(crc) = part.crc64ecma {
                document.value("HashCrc64ecma", crc);
            }
            // S3 shows no checksum that the client did not choose.
            let shown = part.checksum.as_ref().filter(|_| upload.checksum.is_some());
            if let Some(checksum) = shown {
                document.text(checksum.algorithm.element(), &checksum.base64());
            }
        });
    }
    Ok(Reply::xml(document))
}

/// `ListMultipartUploads`.
///
/// # Errors
/// `NoSuchBucket`; `InvalidArgument` for an option that makes no sense.
pub async fn list_multipart_uploads(call: Call) -> Result<Reply, S3Error> {
    let (store, query) = (&call.service.store, &call.head.query);
    let encoding = Encoding::parse(query)?;
    let q = asked(query)?;
    let bucket = bucket::found(store, &call.head).await?;
    let page = store.list_uploads(&bucket, q.clone()).await?;
    let mut document = XmlWriter::new("ListMultipartUploadsResult");
    document.text("Bucket", bucket.name.as_str());
    let key_marker = q.key_marker.as_deref().unwrap_or_default();
    document.text("KeyMarker", &encoding.apply(key_marker));
    let id_marker = q.upload_id_marker.map(|id| id.to_string());
    document.text("UploadIdMarker", &id_marker.unwrap_or_default());
    let (key, id) = next(&page);
    document.text("NextKeyMarker", &encoding.apply(key));
    let id = id.map(|id| id.to_string());
    document.text("NextUploadIdMarker", &id.unwrap_or_default());
    let delimiter = q.delimiter.as_deref().map(|text| encoding.apply(text));
    document.optional("Delimiter", delimiter.as_deref());
    if !q.prefix.is_empty() {
        document.text("Prefix", &encoding.apply(&q.prefix));
    }
    if encoding == Encoding::Url {
        document.text("EncodingType", "url");
    }
    document.value("MaxUploads", q.limit);
    document.value("IsTruncated", page.next.is_some());
    lines(&mut document, &page.items, encoding, &call.service);
    Ok(Reply::xml(document))
}

fn asked(query: &Query) -> Result<UploadQuery, S3Error> {
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty());
    let key_marker = text("key-marker").map(str::to_owned);
    // Without a key, S3 heeds no id.
    let id = text("upload-id-marker").filter(|_| key_marker.is_some());
    let id = id.map(|id| {
        let invalid = || S3Error::argument("upload-id-marker", id, "Invalid uploadId marker");
        UploadId::parse(id).ok_or_else(invalid)
    });
    Ok(UploadQuery {
        prefix: text("prefix").unwrap_or_default().to_owned(),
        delimiter: text("delimiter").map(str::to_owned),
        key_marker,
        upload_id_marker: id.transpose()?,
        limit: query.number("max-uploads", LINES_MAX, LINES_MAX)?,
    })
}

/// Where to go on. S3 names the last upload even where nothing follows.
fn next(page: &UploadPage) -> (&str, Option<UploadId>) {
    if let Some(UploadMarker { key, id }) = &page.next {
        return (key, *id);
    }
    let last = page.items.iter().rev().find_map(|item| match item {
        ListedUpload::Upload { key, id, .. } => Some((key.as_str(), Some(*id))),
        ListedUpload::CommonPrefix(_) => None,
    });
    last.unwrap_or(("", None))
}

fn lines(document: &mut XmlWriter, items: &[ListedUpload], encoding: Encoding, service: &Service) {
    for item in items {
        let ListedUpload::Upload { key, id, record } = item else {
            continue;
        };
        document.element("Upload", |document| {
            document.text("Key", &encoding.apply(key));
            document.text("UploadId", &id.to_string());
            people(document, record, service);
            document.time("Initiated", record.initiated);
            checksum(document, record);
        });
    }
    for item in items {
        if let ListedUpload::CommonPrefix(prefix) = item {
            document.element("CommonPrefixes", |document| {
                document.text("Prefix", &encoding.apply(prefix));
            });
        }
    }
}

fn people(document: &mut XmlWriter, upload: &UploadRecord, service: &Service) {
    principal(document, "Initiator", &service.owner(&upload.initiator));
    principal(document, "Owner", &service.owner(&upload.owner));
    document.text("StorageClass", "STANDARD");
}

fn checksum(document: &mut XmlWriter, upload: &UploadRecord) {
    if let Some((algorithm, coverage)) = upload.checksum {
        document.text("ChecksumAlgorithm", algorithm.name());
        document.text("ChecksumType", coverage.name());
    }
}
