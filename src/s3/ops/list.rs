//! A bucket's objects are listed, in both of S3's ways.

use std::sync::Arc;

use super::bucket;
use super::paging::{self, Encoding};
use crate::s3::context::{Call, Owner, Service};
use crate::s3::error::S3Error;
use crate::s3::query::Query;
use crate::s3::reply::Reply;
use crate::s3::xml::XmlWriter;
use crate::store::listing::{Line, ObjectQuery, Summary};

/// Lines in one answer, at most.
const LINES_MAX: usize = 1000;

/// Options that [`list_objects`] honours.
pub const LIST_OBJECTS: &[&str] = &["delimiter", "encoding-type", "marker", "max-keys", "prefix"];

/// Options that [`list_objects_v2`] honours.
pub const LIST_OBJECTS_V2: &[&str] = &[
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "max-keys",
    "prefix",
    "start-after",
];

fn asked(query: &Query, after: Option<String>) -> Result<ObjectQuery, S3Error> {
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty());
    // Clients of Ceph let the order go to be answered sooner. Here order costs nothing, but what
    // they are refused there they are refused here.
    let unordered = text("allow-unordered").filter(|wanted| wanted.eq_ignore_ascii_case("true"));
    if let (Some(wanted), Some(_grouped)) = (unordered, text("delimiter")) {
        let message = "A listing that need not be in order cannot have a delimiter";
        return Err(S3Error::argument("allow-unordered", wanted, message));
    }
    Ok(ObjectQuery {
        prefix: text("prefix").unwrap_or_default().to_owned(),
        delimiter: text("delimiter").map(str::to_owned),
        after: after.filter(|after| !after.is_empty()),
        limit: query.number("max-keys", LINES_MAX, LINES_MAX)?,
    })
}

/// `ListObjects`, which goes on from a marker.
///
/// # Errors
/// `NoSuchBucket`; `InvalidArgument` for an option that makes no sense.
pub async fn list_objects(call: Call) -> Result<Reply, S3Error> {
    let (store, query) = (&call.service.store, &call.head.query);
    let encoding = Encoding::parse(query)?;
    let marker = query.get("marker").unwrap_or_default();
    let q = asked(query, Some(marker.to_owned()))?.after_whole_prefix();
    let bucket = bucket::found(store, &call.head).await?;
    // Nobody in particular is told whose the objects are.
    let owners = call.who.key().map(|_key| &call.service);
    let lines = Lines::new(encoding, owners);
    let (lines, next) = store
        .list_objects(&bucket, q.clone(), lines, Lines::add)
        .await?;
    let mut document = XmlWriter::new("ListBucketResult");
    document.text("Name", bucket.name.as_str());
    document.text("Prefix", &encoding.apply(&q.prefix));
    document.text("Marker", &encoding.apply(marker));
    // Without a delimiter the last key is the next marker, and S3 does not repeat it.
    if let (Some(next), Some(_)) = (&next, &q.delimiter) {
        document.text("NextMarker", &encoding.apply(next));
    }
    common(&mut document, &q, encoding, next.is_some());
    lines.end(&mut document);
    Reply::xml(document).with_header("x-amz-bucket-region", &bucket.region)
}

/// `ListObjectsV2`, which goes on from a token.
///
/// # Errors
/// As [`list_objects`].
pub async fn list_objects_v2(call: Call) -> Result<Reply, S3Error> {
    let (store, query) = (&call.service.store, &call.head.query);
    let encoding = Encoding::parse(query)?;
    let start = query.get("start-after").filter(|start| !start.is_empty());
    let after = paging::after_token(query.get("continuation-token"))?.or(start.map(str::to_owned));
    let q = asked(query, after)?;
    let bucket = bucket::found(store, &call.head).await?;
    let owners = (query.get("fetch-owner") == Some("true")).then_some(&call.service);
    let lines = Lines::new(encoding, owners);
    let (lines, next) = store
        .list_objects(&bucket, q.clone(), lines, Lines::add)
        .await?;
    let mut document = XmlWriter::new("ListBucketResult");
    document.text("Name", bucket.name.as_str());
    document.text("Prefix", &encoding.apply(&q.prefix));
    let start = start.map(|start| encoding.apply(start));
    document.optional("StartAfter", start.as_deref());
    document.optional("ContinuationToken", query.get("continuation-token"));
    let token = next.as_deref().map(paging::token);
    document.optional("NextContinuationToken", token.as_deref());
    document.value("KeyCount", lines.count);
    common(&mut document, &q, encoding, next.is_some());
    lines.end(&mut document);
    Reply::xml(document).with_header("x-amz-bucket-region", &bucket.region)
}

fn common(document: &mut XmlWriter, q: &ObjectQuery, encoding: Encoding, more: bool) {
    document.value("MaxKeys", q.limit);
    let delimiter = q.delimiter.as_deref().map(|text| encoding.apply(text));
    document.optional("Delimiter", delimiter.as_deref());
    if encoding == Encoding::Url {
        document.text("EncodingType", "url");
    }
    document.value("IsTruncated", more);
}

/// The lines of a listing, written while the walk sees them. S3 tells all objects first, then all common
/// prefixes.
struct Lines {
    encoding: Encoding,
    /// Who knows the objects' owners, where they are told.
    owners: Option<Arc<Service>>,
    count: usize,
    objects: XmlWriter,
    prefixes: XmlWriter,
}

impl Lines {
    fn new(encoding: Encoding, owners: Option<&Arc<Service>>) -> Self {
        Self {
            encoding,
            owners: owners.cloned(),
            count: 0,
            objects: XmlWriter::part(),
            prefixes: XmlWriter::part(),
        }
    }

    fn add(&mut self, line: &Line<'_>) {
        let encoding = self.encoding;
        self.count = self.count.saturating_add(1);
        match line {
            Line::Object { key, summary } => {
                let owner = self.owners.as_ref();
                let owner = owner.map(|owners| owners.owner(summary.owner));
                object(&mut self.objects, &encoding.apply(key), summary, owner);
            }
            Line::CommonPrefix(prefix) => {
                let document = self.prefixes.markup("<CommonPrefixes><Prefix>");
                document.inner_text(&encoding.apply(prefix));
                document.markup("</Prefix></CommonPrefixes>");
            }
        }
    }

    fn end(&self, document: &mut XmlWriter) {
        document.append(&self.objects).append(&self.prefixes);
    }
}

fn object(document: &mut XmlWriter, key: &str, summary: &Summary<'_>, owner: Option<Owner>) {
    document.markup("<Contents><Key>").inner_text(key);
    document.markup("</Key><LastModified>");
    document.inner_time(summary.modified);
    document.markup("</LastModified><ETag>");
    document.inner_etag(&summary.etag).markup("</ETag>");
    if let Some(checksum) = &summary.checksum {
        document.text("ChecksumAlgorithm", checksum.algorithm.name());
        document.text("ChecksumType", checksum.coverage.name());
    }
    document.markup("<Size>").inner_number(summary.len);
    document.markup("</Size>");
    if let Some(owner) = owner {
        document.element("Owner", |document| {
            document.text("ID", &owner.id);
            document.text("DisplayName", &owner.display_name);
        });
    }
    document.markup("<StorageClass>STANDARD</StorageClass></Contents>");
}
