//! What is known of an object, in one document.

use super::{about, bucket, version_name, version_of};
use crate::checksum::{Checksum, Coverage};
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::head::Head;
use crate::s3::reply::Reply;
use crate::s3::sse;
use crate::s3::xml::XmlWriter;
use crate::store::{ObjectPart, ObjectRecord};

/// Options that [`get_object_attributes`] honours.
pub const ATTRIBUTES: &[&str] = &[
    "x-amz-max-parts",
    "x-amz-object-attributes",
    "x-amz-part-number-marker",
];

const PARTS_MAX: usize = 1000;
const NAMES: [&str; 5] = [
    "ETag",
    "Checksum",
    "ObjectParts",
    "StorageClass",
    "ObjectSize",
];

/// `GetObjectAttributes`.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`, `InvalidArgument` for an attribute that there is
/// not, `InvalidRequest` for none.
pub async fn get_object_attributes(call: Call) -> Result<Reply, S3Error> {
    let (store, head) = (&call.service.store, &call.head);
    let bucket = bucket::found(store, head).await?;
    let wanted = wanted(head)?;
    let version = version_of(head)?;
    let object = store.object(&bucket, head.key()?, version.as_ref()).await;
    let record = object.map_err(|error| about(head, error))?.record;
    drop(sse::for_read(
        &call.service,
        &head.headers,
        record.extras.seal.as_ref(),
    )?);
    let wants = |name: &str| wanted.iter().any(|wanted| wanted == name);
    let mut document = XmlWriter::new("GetObjectAttributesResponse");
    if wants("ETag") {
        document.text("ETag", &record.etag.to_string());
    }
    if let (true, Some(checksum)) = (wants("Checksum"), &record.checksum) {
        document.element("Checksum", |document| {
            document.text(checksum.algorithm.element(), &checksum.base64());
            document.text("ChecksumType", checksum.coverage.name());
        });
    }
    if let (true, Some(parts)) = (wants("ObjectParts"), &record.parts) {
        list_parts(&mut document, head, &record, parts)?;
    }
    if wants("StorageClass") {
        document.text("StorageClass", "STANDARD");
    }
    if wants("ObjectSize") {
        document.value("ObjectSize", record.len);
    }
    let version = version_name(&bucket, &record);
    Reply::xml(document)
        .with_header("last-modified", &record.modified.http_date())?
        .with_optional("x-amz-version-id", version.as_deref())
}

fn wanted(head: &Head) -> Result<Vec<String>, S3Error> {
    let mut wanted = Vec::new();
    for value in head.headers.get_all("x-amz-object-attributes") {
        let text = value.to_str().unwrap_or_default();
        wanted.extend(text.split(',').map(|name| name.trim().to_owned()));
    }
    wanted.retain(|name| !name.is_empty());
    if wanted.is_empty() {
        let message = "The x-amz-object-attributes header specifying the attributes to be \
                       retrieved is either missing or empty";
        return Err(S3Error::argument("x-amz-object-attributes", "", message));
    }
    if let Some(unknown) = wanted.iter().find(|name| !NAMES.contains(&name.as_str())) {
        let message = "Invalid attribute name specified.";
        let error = S3Error::argument("x-amz-object-attributes", unknown.as_str(), message);
        return Err(error);
    }
    Ok(wanted)
}

fn number(head: &Head, name: &'static str, default: usize) -> Result<usize, S3Error> {
    match head.header(name)? {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_none| {
            let message = format!("Provided {name} not an integer or within integer range");
            S3Error::because(Code::InvalidArgument, message)
        }),
    }
}

/// The parts, which are told one by one only where each has a checksum of its own.
fn list_parts(
    document: &mut XmlWriter,
    head: &Head,
    record: &ObjectRecord,
    parts: &[ObjectPart],
) -> Result<(), S3Error> {
    let most = number(head, "x-amz-max-parts", PARTS_MAX)?.min(PARTS_MAX);
    let after = number(head, "x-amz-part-number-marker", 0)?;
    let behind: Vec<_> = parts
        .iter()
        .filter(|part| usize::from(part.number) > after)
        .collect();
    let page: Vec<_> = behind.iter().take(most).collect();
    let last = page.last().map_or(0, |part| usize::from(part.number));
    let chosen = record.checksum.as_ref().map(|checksum| checksum.algorithm);
    let composite = |whole: &Checksum| whole.coverage == Coverage::Composite;
    if !record.checksum.as_ref().is_some_and(composite) {
        document.element("ObjectParts", |document| {
            document.value("PartsCount", parts.len());
        });
        return Ok(());
    }
    document.element("ObjectParts", |document| {
        document.value("PartsCount", parts.len());
        document.value("PartNumberMarker", after);
        document.value("NextPartNumberMarker", last);
        document.value("MaxParts", most);
        document.value("IsTruncated", behind.len() > page.len());
        for part in page {
            document.element("Part", |document| {
                document.value("PartNumber", part.number);
                document.value("Size", part.len);
                let own = part.checksum.as_ref();
                if let Some(own) = own.filter(|own| Some(own.algorithm) == chosen) {
                    document.text(own.algorithm.element(), &own.base64());
                }
            });
        }
    });
    Ok(())
}
