//! Parts become an object.

mod document;

use http::HeaderMap;

use document::{Named, named_parts};

use super::{no_such_upload, of_upload, upload_id, upload_text};
use crate::checksum::{Algorithm, Checksum, Coverage};
use crate::s3::checksum_header;
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::head::{Head, header};
use crate::s3::ops::put::write_condition;
use crate::s3::ops::{bucket, lifecycle, quoted, written_version};
use crate::s3::reply::Reply;
use crate::s3::sse;
use crate::s3::told::answered;
use crate::s3::xml::XmlWriter;
use crate::store::{ClaimedPart, Completion, EventName, StoreError, UploadRecord};

/// Options that [`complete_multipart_upload`] honours beside checksums.
pub const COMPLETE: &[&str] = &["x-amz-checksum-type", "x-amz-mp-object-size"];

/// Bytes of a list of parts, at most: 10,000 of them with a SHA-512 each.
const LIST_BYTES_MAX: u64 = 8 << 20;

/// `CompleteMultipartUpload`. Answered when the object is durable; done again, it answers the same.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchUpload`, `MalformedXML`; `InvalidPart`, `InvalidPartOrder`,
/// `EntityTooSmall`, `BadDigest` or `InvalidRequest` where the parts are not what the client says;
/// `PreconditionFailed`, `ConditionalRequestConflict`.
pub async fn complete_multipart_upload(call: Call) -> Result<Reply, S3Error> {
    let origin = call.origin(EventName::ObjectCreatedCompleteMultipartUpload);
    let Call {
        service,
        head,
        body,
        ..
    } = call;
    let store = &service.store;
    let bucket = bucket::found(store, &head).await?;
    let when = write_condition(&head.headers)?;
    let (mut checksum, len) = (whole_checksum(&head.headers)?, whole_len(&head.headers)?);
    let key = head.key()?;
    let listed = body.without_claim().bytes(LIST_BYTES_MAX).await?;
    let id = upload_id(&head)?;
    let upload = match store.upload(&bucket, key, &id).await {
        Ok(upload) => Some(upload),
        // It may have been completed before: the store knows, whatever the document says now.
        Err(StoreError::NoSuchUpload) => None,
        Err(error) => return Err(of_upload(&head, error)),
    };
    let parts = match &upload {
        Some(upload) => {
            sse::check_completion(&head.headers, upload.extras.seal.as_ref())?;
            check_mode(upload, &head.headers)?;
            checksum = checksum.filter(|said| is_heeded(upload, said));
            let parts = in_order(&head, named_parts(&listed)?)?;
            let claims = parts.into_iter().map(|part| claim(&head, upload, part));
            claims.collect::<Result<_, _>>()?
        }
        None => Vec::new(),
    };
    let said = Completion {
        parts,
        checksum,
        len,
    };
    let done = store.complete_upload(&bucket, key, &id, &said, &when, &origin);
    let made = done
        .await
        .map_err(|error| refused(&head, upload.as_ref(), &said, error))?;
    let mut document = XmlWriter::new("CompleteMultipartUploadResult");
    document.text("Location", &head.object_url(bucket.name.as_str(), key));
    document.text("Bucket", bucket.name.as_str());
    document.text("Key", key.as_str());
    document.text("ETag", &quoted(&made.record.etag));
    if let Some(checksum) = &made.record.checksum {
        document.text(checksum.algorithm.element(), &checksum.text());
        document.text("ChecksumType", checksum.coverage.name());
    }
    let version = written_version(&made.record);
    let reply = Reply::xml(document).about(&made.record);
    let reply = sse::described(reply, made.record.extras.seal.as_ref())?;
    let reply = lifecycle::described(reply, &bucket, key.as_str(), &made.record)?;
    let reply = reply.with_header("etag", &quoted(&made.record.etag))?;
    let reply = reply.with_optional("x-amz-version-id", version.as_deref())?;
    answered(reply, made.told)
}

/// The parts, which must be named in their order. A client that sent a part again may name it twice:
/// the last word counts.
fn in_order<'a>(head: &Head, mut parts: Vec<Named<'a>>) -> Result<Vec<Named<'a>>, S3Error> {
    if !parts.is_sorted_by_key(|part| part.number) {
        return Err(S3Error::new(Code::InvalidPartOrder).with("UploadId", upload_text(head)));
    }
    parts.dedup_by(|later, kept| {
        let again = later.number == kept.number;
        if again {
            std::mem::swap(later, kept);
        }
        again
    });
    Ok(parts)
}

/// The upload's mode is not to be changed at its end.
fn check_mode(upload: &UploadRecord, headers: &HeaderMap) -> Result<(), S3Error> {
    let mode = upload.checksum.map(|(_, coverage)| coverage);
    match checksum_header::coverage(headers)? {
        Some(named) if mode != Some(named) => {
            let mode = mode.map_or("null", Coverage::name);
            let message = format!(
                "The upload was created using the {mode} checksum mode. \
                 The complete request must use the same checksum mode."
            );
            Err(S3Error::because(Code::InvalidRequest, message))
        }
        _ => Ok(()),
    }
}

/// Whether what is said of the whole counts: where the client chose no algorithm for the upload, S3
/// has a checksum by its own choice alone and heeds no other.
fn is_heeded(upload: &UploadRecord, said: &Checksum) -> bool {
    upload.checksum.is_some() || said.algorithm == Algorithm::Crc64Nvme
}

/// What the document says of a part, as far as it can be said in this upload.
fn claim<'a>(
    head: &Head,
    upload: &UploadRecord,
    part: Named<'a>,
) -> Result<ClaimedPart<'a>, S3Error> {
    let Named { number, etag, .. } = &part;
    let missing = || invalid_part(head, *number, etag);
    let algorithm = upload
        .checksum
        .map_or(Algorithm::Crc64Nvme, |(algorithm, _)| algorithm);
    let own = |(found, _): &&(Algorithm, _)| *found == algorithm;
    let checksum = match (part.checksums.iter().find(own), upload.checksum) {
        (Some((_, text)), _) => {
            let checksum = Checksum::parse(algorithm, text);
            Some(checksum.ok_or_else(missing)?.digest)
        }
        (None, Some((_, Coverage::Composite))) => {
            let other = part.checksums.first().map(|(other, _)| *other);
            return Err(uncovered(algorithm, other, *number));
        }
        // S3 keeps no other checksum of a part than the one that it chose itself.
        (None, None) if !part.checksums.is_empty() => return Err(missing()),
        (None, _) => None,
    };
    Ok(ClaimedPart {
        number: part.number,
        etag: part.etag,
        checksum,
    })
}

/// A composite checksum is made of those of all parts, each of which the client must know.
fn uncovered(algorithm: Algorithm, other: Option<Algorithm>, number: u16) -> S3Error {
    let lower = |algorithm: Algorithm| algorithm.name().to_ascii_lowercase();
    if let Some(other) = other {
        let message = format!(
            "The {} you specified for part {number} did not match what we received.",
            lower(other)
        );
        return S3Error::because(Code::BadDigest, message);
    }
    let message = format!(
        "The upload was created using a {} checksum. The complete request must include the \
         checksum for each part. It was missing for part {number} in the request.",
        lower(algorithm)
    );
    S3Error::because(Code::InvalidRequest, message)
}

fn invalid_part(head: &Head, number: u16, etag: &str) -> S3Error {
    S3Error::new(Code::InvalidPart)
        .with("UploadId", upload_text(head))
        .with("PartNumber", number.to_string())
        .with("ETag", etag)
}

/// The object's checksum: a composite one has its number of parts behind it. What can't be a
/// checksum is none of the object's.
fn whole_checksum(headers: &HeaderMap) -> Result<Option<Checksum>, S3Error> {
    let mut found = None;
    for algorithm in Algorithm::ALL {
        let Some(text) = header(headers, algorithm.header())? else {
            continue;
        };
        let (digest, parts) = match text.split_once('-') {
            Some((digest, parts)) => (digest, parts.parse().ok()),
            None => (text, None),
        };
        let checksum = Checksum::parse(algorithm, digest);
        let mut checksum = checksum.unwrap_or_else(|| Checksum::full(algorithm, Vec::new()));
        if parts.is_some() {
            (checksum.coverage, checksum.parts) = (Coverage::Composite, parts);
        }
        if found.replace(checksum).is_some() {
            return Err(checksum_header::several());
        }
    }
    Ok(found)
}

fn whole_len(headers: &HeaderMap) -> Result<Option<u64>, S3Error> {
    let Some(text) = header(headers, "x-amz-mp-object-size")? else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_no_number| {
        let message = "Value for x-amz-mp-object-size header is invalid.";
        S3Error::because(Code::InvalidRequest, message)
    })
}

/// Why the store did not make an object of the parts, in S3's words.
fn refused(
    head: &Head,
    upload: Option<&UploadRecord>,
    said: &Completion<'_>,
    error: StoreError,
) -> S3Error {
    let etag = |number: u16| {
        let mut parts = said.parts.iter();
        let part = parts.find(|part| part.number == number);
        part.map_or("", |part| &part.etag)
    };
    match error {
        StoreError::NoSuchUpload => no_such_upload(head),
        StoreError::InvalidPart { number } => invalid_part(head, number, etag(number)),
        StoreError::PartTooSmall { number, len, min } => S3Error::new(Code::EntityTooSmall)
            .with("ETag", etag(number))
            .with("MinSizeAllowed", min.to_string())
            .with("ProposedSize", len.to_string())
            .with("PartNumber", number.to_string()),
        StoreError::ChecksumMismatch => {
            let own = upload.and_then(|upload| upload.checksum);
            let own = own.map_or(Algorithm::Crc64Nvme, |(algorithm, _)| algorithm);
            let name = own.name().to_ascii_lowercase();
            let message =
                format!("The {name} you specified did not match the calculated checksum.");
            S3Error::because(Code::BadDigest, message)
        }
        StoreError::ChangedDuringUpload { .. } => {
            let key = head.target.key.as_ref();
            S3Error::from(error).with("Key", key.map_or("", |key| key.as_str()))
        }
        error => of_upload(head, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Algorithm::{Crc32, Sha256};

    fn upload(checksum: Option<(Algorithm, Coverage)>) -> UploadRecord {
        UploadRecord {
            initiated: crate::clock::Timestamp::from_unix_s(0),
            headers: crate::store::ObjectHeaders::default(),
            checksum,
            initiator: "o".into(),
            owner: "o".into(),
            replaces: None,
            extras: crate::store::Extras::default(),
            duties: crate::auth::constraint::Duties::default(),
        }
    }

    fn head() -> Head {
        let request = http::Request::get("/abc/d?uploadId=u").header("host", "h");
        let parts = request.body(()).unwrap().into_parts().0;
        Head::parse(&parts, &[]).unwrap()
    }

    #[test]
    fn what_is_said_of_a_part_must_fit_the_upload() {
        let say = |mode, checksums: &[(Algorithm, &str)]| {
            let checksums = checksums
                .iter()
                .map(|(found, text)| (*found, (*text).into()));
            let part = Named {
                number: 1,
                etag: "ab".into(),
                checksums: checksums.collect(),
            };
            let said = claim(&head(), &upload(mode), part);
            said.map(|said| said.checksum).map_err(|error| {
                assert!(!error.message().is_empty());
                error.code()
            })
        };
        let crc = Some((Crc32, Coverage::Composite));
        let full = Some((Crc32, Coverage::FullObject));
        let nought = (Crc32, "AAAAAA==");
        assert_eq!(say(crc, &[nought]), Ok(Some(vec![0; 4])));
        assert_eq!(say(crc, &[]), Err(Code::InvalidRequest));
        assert_eq!(say(crc, &[(Sha256, "x")]), Err(Code::BadDigest));
        assert_eq!(say(crc, &[(Crc32, "?")]), Err(Code::InvalidPart));
        assert_eq!(say(full, &[]), Ok(None));
        assert_eq!(say(None, &[]), Ok(None));
        assert_eq!(say(None, &[nought]), Err(Code::InvalidPart));
    }

    #[test]
    fn the_mode_stays_and_the_whole_is_read() {
        let headers = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
        };
        let composite = headers("x-amz-checksum-type", "COMPOSITE");
        let mode = Some((Crc32, Coverage::Composite));
        assert!(check_mode(&upload(mode), &composite).is_ok());
        let refused = check_mode(&upload(None), &composite).unwrap_err();
        assert!(refused.message().contains("null checksum mode"));
        let whole = |value| whole_checksum(&headers("x-amz-checksum-crc32", value));
        assert_eq!(whole("AAAAAA==-3").unwrap().unwrap().parts, Some(3));
        assert_eq!(whole("AAAAAA==").unwrap().unwrap().parts, None);
        assert!(whole("bad").unwrap().unwrap().digest.is_empty());
        let len = |value| whole_len(&headers("x-amz-mp-object-size", value));
        assert_eq!(len("7").unwrap(), Some(7));
        assert!(len("-1").is_err());
    }
}
