//! A bucket's versions and delete markers are listed.

use super::bucket;
use super::multipart::principal;
use super::paging::Encoding;
use super::version;
use crate::s3::context::{Call, Service};
use crate::s3::error::S3Error;
use crate::s3::query::Query;
use crate::s3::reply::Reply;
use crate::s3::xml::XmlWriter;
use crate::store::version::listing::{ListedVersion, VersionQuery};
use crate::store::{ObjectRecord, VersionRef};

/// Lines in one answer, at most.
const LINES_MAX: usize = 1000;

/// Options that [`list_object_versions`] honours.
pub const LIST_OBJECT_VERSIONS: &[&str] = &[
    "delimiter",
    "encoding-type",
    "key-marker",
    "max-keys",
    "prefix",
    "version-id-marker",
];

/// `ListObjectVersions`: by key, then from the newest to the oldest.
///
/// # Errors
/// `NoSuchBucket`; `InvalidArgument` for an option that makes no sense.
pub async fn list_object_versions(call: Call) -> Result<Reply, S3Error> {
    let (store, query) = (&call.service.store, &call.head.query);
    let encoding = Encoding::parse(query)?;
    let q = asked(query)?;
    let bucket = bucket::found(store, &call.head).await?;
    let page = store.list_versions(&bucket, q.clone()).await?;
    let mut document = XmlWriter::new("ListVersionsResult");
    document.text("Name", bucket.name.as_str());
    document.text("Prefix", &encoding.apply(&q.prefix));
    let marker = query.get("key-marker").unwrap_or_default();
    document.text("KeyMarker", &encoding.apply(marker));
    let marker = query.get("version-id-marker").unwrap_or_default();
    document.text("VersionIdMarker", marker);
    if let Some(next) = &page.next {
        document.text("NextKeyMarker", &encoding.apply(&next.key));
        let version = next.version.map(|version| version.to_string());
        document.optional("NextVersionIdMarker", version.as_deref());
    }
    document.value("MaxKeys", q.limit);
    let delimiter = q.delimiter.as_deref().map(|text| encoding.apply(text));
    document.optional("Delimiter", delimiter.as_deref());
    if encoding == Encoding::Url {
        document.text("EncodingType", "url");
    }
    document.value("IsTruncated", page.next.is_some());
    lines(&mut document, &page.items, encoding, &call.service);
    Ok(Reply::xml(document))
}

fn asked(query: &Query) -> Result<VersionQuery, S3Error> {
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty());
    let key_marker = text("key-marker").map(str::to_owned);
    let id = query.get("version-id-marker");
    if id.is_some() && key_marker.is_none() {
        let message = "A version-id marker cannot be specified without a key marker.";
        return Err(S3Error::argument(
            "version-id-marker",
            id.unwrap_or_default(),
            message,
        ));
    }
    let id = id.map(|id| {
        if id.is_empty() {
            let message = "A version-id marker cannot be empty.";
            return Err(S3Error::argument("version-id-marker", "", message));
        }
        version(id)
    });
    Ok(VersionQuery {
        prefix: text("prefix").unwrap_or_default().to_owned(),
        delimiter: text("delimiter").map(str::to_owned),
        key_marker,
        version_id_marker: id.transpose()?,
        limit: query.number("max-keys", LINES_MAX, LINES_MAX)?,
    })
}

fn lines(document: &mut XmlWriter, items: &[ListedVersion], encoding: Encoding, service: &Service) {
    for item in items {
        let ListedVersion::Version {
            key,
            latest,
            record,
        } = item
        else {
            continue;
        };
        let name = if record.is_delete_marker() {
            "DeleteMarker"
        } else {
            "Version"
        };
        document.element(name, |document| {
            document.text("Key", &encoding.apply(key.as_str()));
            document.text("VersionId", &VersionRef::of(record).to_string());
            document.value("IsLatest", *latest);
            document.time("LastModified", record.modified);
            if !record.is_delete_marker() {
                of_object(document, record);
            }
            principal(document, "Owner", &service.owner(&record.owner));
        });
    }
    for item in items {
        if let ListedVersion::CommonPrefix(prefix) = item {
            document.element("CommonPrefixes", |document| {
                document.text("Prefix", &encoding.apply(prefix));
            });
        }
    }
}

fn of_object(document: &mut XmlWriter, record: &ObjectRecord) {
    document.etag("ETag", &record.etag);
    if let Some(checksum) = &record.checksum {
        document.text("ChecksumAlgorithm", checksum.algorithm.name());
        document.text("ChecksumType", checksum.coverage.name());
    }
    document.value("Size", record.len);
    document.text("StorageClass", "STANDARD");
}
