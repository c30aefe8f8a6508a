//! Objects are read, whole or in part, or only asked for.

use std::future::Future;
use std::ops::Range;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_LENGTH, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED,
};
use http::{HeaderName, HeaderValue, StatusCode};

use super::{about, bucket, lifecycle, lock, quoted, version_name, version_of};
use crate::checksum::Checksum;
use crate::clock::Timestamp;
use crate::s3::condition::{Conditions, Verdict};
use crate::s3::context::Call;
use crate::s3::encoded_word;
use crate::s3::error::{Code, S3Error};
use crate::s3::head::Head;
use crate::s3::part_number::{self, NumberedPart};
use crate::s3::range;
use crate::s3::reply::{Reply, ReplyBody};
use crate::s3::sse;
use crate::store::read::Wanted;
use crate::store::{Bucket, ObjectHeaders, ObjectRecord};

/// Options that [`get_object`] and [`head_object`] honour.
pub const READ_OBJECT: &[&str] = &[
    "partNumber",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "x-amz-checksum-mode",
];

/// What S3 says of an object that was put without a type.
const DEFAULT_TYPE: &str = "binary/octet-stream";

/// What of an object is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan {
    NotModified,
    Whole,
    Part(Range<u64>),
    Numbered(NumberedPart),
}

impl Plan {
    /// Judges conditions and range against what is there.
    fn of(head: &Head, record: &ObjectRecord, now: Timestamp) -> Result<Self, S3Error> {
        let etag = record.etag.text();
        // Several ranges are none to S3, in whatever way they come.
        let several = head.headers.get_all(http::header::RANGE).iter().nth(1);
        let asked = head.header("range")?.filter(|_first| several.is_none());
        let number = head.query.get("partNumber");
        if asked.is_some() && number.is_some() {
            let message = "Cannot specify both Range header and partNumber query parameter";
            return Err(S3Error::because(Code::InvalidRequest, message));
        }
        let number = number.map(part_number::parse).transpose()?;
        let verdict = Conditions::of(&head.headers, now)?.judge(&etag, record.modified)?;
        if let Verdict::NotModified(_condition) = verdict {
            return Ok(Self::NotModified);
        }
        if let Some(number) = number {
            return NumberedPart::of(number, record).map(Self::Numbered);
        }
        let current = head
            .header("if-range")?
            .is_none_or(|validator| is_current(validator, &etag, record.modified));
        let Some(asked) = asked.filter(|_range| current) else {
            return Ok(Self::Whole);
        };
        let part = range::resolve(asked, record.len)?;
        Ok(part.map_or(Self::Whole, Self::Part))
    }

    fn bytes(&self, len: u64) -> Range<u64> {
        match self {
            Self::NotModified => 0..0,
            Self::Whole => 0..len,
            Self::Part(range) => range.clone(),
            Self::Numbered(part) => part.range.clone(),
        }
    }
}

/// `If-Range`: whether the client's part is one of this object.
fn is_current(validator: &str, etag: &str, modified: Timestamp) -> bool {
    match Timestamp::parse_http_date(validator) {
        Ok(date) => date == modified.truncated_to_s(),
        Err(_no_date) => validator.trim_matches('"') == etag,
    }
}

/// `GetObject`.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`, `PreconditionFailed`, `InvalidRange`.
pub fn get_object(call: Call) -> impl Future<Output = Result<Reply, S3Error>> {
    let checked = check_overrides(&call);
    // No async function: it would have room for the call twice.
    async move {
        checked?;
        let (store, head) = (&call.service.store, &call.head);
        let bucket = bucket::found(store, head).await?;
        let key = head.key()?;
        let version = version_of(head)?;
        let (mut plan, now) = (Plan::Whole, call.service.clock.now());
        let choose = |object: &crate::store::Object| {
            let seal = object.record.extras.seal.as_ref();
            let key = sse::for_read(&call.service, &head.headers, seal)?;
            plan = Plan::of(head, &object.record, now)?;
            let range = plan.bytes(object.record.len);
            Ok::<_, S3Error>(Wanted { range, key })
        };
        let opened = store
            .open_object(&bucket, key, version.as_ref(), choose)
            .await;
        let (object, stream) = opened.map_err(|error| match error.code() {
            Code::NoSuchKey => error.with("Key", key.as_str()),
            Code::NoSuchVersion => error
                .with("Key", key.as_str())
                .with("VersionId", head.query.get("versionId").unwrap_or_default()),
            _ => error,
        })?;
        let range = plan.bytes(object.record.len);
        let reply = described(head, &object.record, &plan)?;
        let mut reply = of_version(reply, head, &bucket, &object.record)?;
        if plan != Plan::NotModified {
            let len = range.end.saturating_sub(range.start);
            reply.body = ReplyBody::stream(len, stream);
        }
        Ok(reply)
    }
}

/// `HeadObject`: what `GetObject` would say, without the bytes.
///
/// # Errors
/// As [`get_object`].
pub fn head_object(call: Call) -> impl Future<Output = Result<Reply, S3Error>> {
    let checked = check_overrides(&call);
    // As above.
    async move {
        checked?;
        let (store, head) = (&call.service.store, &call.head);
        let bucket = bucket::found(store, head).await?;
        let (key, version) = (head.key()?, version_of(head)?);
        let object = store.object(&bucket, key, version.as_ref()).await;
        let record = object.map_err(|error| about(head, error))?.record;
        head_of(&call, &bucket, &record)
    }
}

fn head_of(call: &Call, bucket: &Bucket, record: &ObjectRecord) -> Result<Reply, S3Error> {
    let head = &call.head;
    // Who can't open it is told nothing of it.
    drop(sse::for_read(
        &call.service,
        &head.headers,
        record.extras.seal.as_ref(),
    )?);
    let plan = Plan::of(head, record, call.service.clock.now())?;
    let reply = of_version(described(head, record, &plan)?, head, bucket, record)?;
    if plan == Plan::NotModified {
        return Ok(reply);
    }
    let range = plan.bytes(record.len);
    let len = range.end.saturating_sub(range.start);
    reply.with_text(CONTENT_LENGTH, len.to_string())
}

/// Without a signature, whoever writes a link would choose as what an object is shown: a picture that
/// anybody may read as a page, say.
fn check_overrides(call: &Call) -> Result<(), S3Error> {
    let mut asked = call.head.query.iter();
    if call.who.key().is_some() || !asked.any(|(name, _)| name.starts_with("response-")) {
        return Ok(());
    }
    let message = "Request specific response headers cannot be used for anonymous GET requests.";
    Err(S3Error::because(Code::InvalidRequest, message))
}

/// Tells which version it is and, where the request named none, when it goes: as on S3 nothing is
/// told of when a named one does.
fn of_version(
    reply: Reply,
    head: &Head,
    bucket: &Bucket,
    record: &ObjectRecord,
) -> Result<Reply, S3Error> {
    let version = version_name(bucket, record);
    let reply = reply.with_optional("x-amz-version-id", version.as_deref())?;
    if head.query.has("versionId") {
        return Ok(reply);
    }
    lifecycle::described(reply, bucket, head.key()?.as_str(), record)
}

/// A header that an object keeps, and the option by which a reader puts another in its place.
type Kept = (HeaderName, &'static str, fn(&ObjectHeaders) -> Option<&str>);

/// Those that an answer without the object has too.
static CACHED: [Kept; 2] = [
    (CACHE_CONTROL, "response-cache-control", |kept| {
        kept.cache_control.as_deref()
    }),
    (EXPIRES, "response-expires", |kept| kept.expires.as_deref()),
];

/// Those that go with the object only.
static SENT: [Kept; 4] = [
    (
        CONTENT_DISPOSITION,
        "response-content-disposition",
        |kept| kept.content_disposition.as_deref(),
    ),
    (CONTENT_ENCODING, "response-content-encoding", |kept| {
        kept.content_encoding.as_deref()
    }),
    (CONTENT_LANGUAGE, "response-content-language", |kept| {
        kept.content_language.as_deref()
    }),
    (CONTENT_TYPE, "response-content-type", |kept| {
        Some(kept.content_type.as_deref().unwrap_or(DEFAULT_TYPE))
    }),
];

fn with_kept(
    mut reply: Reply,
    head: &Head,
    record: &ObjectRecord,
    which: &[Kept],
) -> Result<Reply, S3Error> {
    for (name, option, kept) in which {
        match head.query.get(option).filter(|value| !value.is_empty()) {
            Some(asked) => reply = overridden(reply, name.clone(), option, asked)?,
            None => {
                if let Some(kept) = kept(&record.headers) {
                    reply = reply.with_text(name.clone(), kept.to_owned())?;
                }
            }
        }
    }
    Ok(reply)
}

/// Sets a header to what the reader asks for, in ISO-8859-1 as S3 has it.
fn overridden(
    mut reply: Reply,
    name: HeaderName,
    option: &str,
    asked: &str,
) -> Result<Reply, S3Error> {
    let bytes = asked
        .chars()
        .map(u8::try_from)
        .collect::<Result<Vec<_>, _>>();
    let bytes = bytes.map_err(|_beyond| {
        let message = "Header value cannot be represented using ISO-8859-1.";
        S3Error::argument(option, asked, message)
    })?;
    let value = HeaderValue::from_bytes(&bytes).map_err(|_line_break| {
        S3Error::argument(option, asked, "The value can't be sent as a header.")
    })?;
    reply.headers.insert(name, value);
    Ok(reply)
}

/// Status and headers of what is read.
fn described(head: &Head, record: &ObjectRecord, plan: &Plan) -> Result<Reply, S3Error> {
    let status = match plan {
        Plan::NotModified => StatusCode::NOT_MODIFIED,
        Plan::Whole => StatusCode::OK,
        // No range of bytes can name those of an empty object.
        Plan::Numbered(part) if part.range.is_empty() => StatusCode::OK,
        Plan::Part(_) | Plan::Numbered(_) => StatusCode::PARTIAL_CONTENT,
    };
    let reply = Reply::empty(status)
        .about(record)
        .with_text(ETAG, quoted(&record.etag))?
        .with_text(LAST_MODIFIED, record.modified.http_date())?;
    let reply = with_kept(reply, head, record, &CACHED)?;
    if *plan == Plan::NotModified {
        return Ok(reply);
    }
    let mut reply = with_kept(reply, head, record, &SENT)?
        .with_static(ACCEPT_RANGES, "bytes")
        .with_optional(
            "x-amz-website-redirect-location",
            record.headers.website_redirect.as_deref(),
        )?;
    reply = lock::described(reply, record)?;
    reply = sse::described(reply, record.extras.seal.as_ref())?;
    if let Some(tags) = &record.extras.tags {
        reply = reply.with_header("x-amz-tagging-count", &tags.len().to_string())?;
    }
    for (name, value) in &record.headers.user {
        reply = reply.with_header(&format!("x-amz-meta-{name}"), &encoded_word::encode(value))?;
    }
    match plan {
        Plan::Part(range) => {
            let value = range::content_range(range, record.len);
            let reply = reply.with_header("content-range", &value)?;
            let whole = record
                .checksum
                .as_ref()
                .filter(|_checksum| *range == (0..record.len));
            with_checksum(reply, head, whole)
        }
        Plan::Numbered(part) => {
            let count = part.count.map(|count| count.to_string());
            reply = reply.with_optional("x-amz-mp-parts-count", count.as_deref())?;
            if !part.range.is_empty() {
                let value = range::content_range(&part.range, record.len);
                reply = reply.with_header("content-range", &value)?;
            }
            with_checksum(reply, head, part.checksum.as_ref())
        }
        Plan::Whole | Plan::NotModified => with_checksum(reply, head, record.checksum.as_ref()),
    }
}

/// The checksum of what is sent, where the client asks for it.
fn with_checksum(reply: Reply, head: &Head, checksum: Option<&Checksum>) -> Result<Reply, S3Error> {
    let asked = head
        .header("x-amz-checksum-mode")?
        .is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"));
    match checksum {
        Some(checksum) if asked => reply
            .with_header(checksum.algorithm.header(), &checksum.text())?
            .with_header("x-amz-checksum-type", checksum.coverage.name()),
        _ => Ok(reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Algorithm;
    use crate::store::ETag;

    fn record() -> ObjectRecord {
        ObjectRecord {
            headers: ObjectHeaders {
                user: vec![("a".into(), "b".into())],
                ..ObjectHeaders::default()
            },
            checksum: Some(Checksum::full(Algorithm::Crc32, vec![0; 4])),
            ..ObjectRecord::new(
                "o".into(),
                Timestamp::from_unix_s(1_369_353_600),
                1,
                ETag::md5([0; 16]),
                (10, Vec::new()),
            )
        }
    }

    fn reply(uri: &str, headers: &[(&'static str, &str)]) -> Reply {
        let mut request = http::Request::builder().uri(uri).header("host", "h");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let head = Head::parse(&request.body(()).unwrap().into_parts().0, &[]).unwrap();
        let plan = Plan::of(&head, &record(), Timestamp::from_unix_s(0)).unwrap();
        described(&head, &record(), &plan).unwrap()
    }

    #[test]
    fn what_is_read_is_described_as_by_s3() {
        let mode = ("x-amz-checksum-mode", "ENABLED");
        let whole = reply("/abc/d?response-content-type=text/html", &[mode]);
        assert_eq!(whole.status, 200);
        assert_eq!(whole.headers["content-type"], "text/html");
        assert_eq!(whole.headers["x-amz-meta-a"], "b");
        assert_eq!(whole.headers["x-amz-checksum-crc32"], "AAAAAA==");
        let part = reply("/abc/d", &[("range", "bytes=2-5"), mode]);
        assert_eq!(part.status, 206);
        assert_eq!(part.headers["content-range"], "bytes 2-5/10");
        assert_eq!(part.headers["content-type"], DEFAULT_TYPE);
        assert!(!part.headers.contains_key("x-amz-checksum-crc32"));
        let stale = reply("/abc/d", &[("range", "bytes=2-5"), ("if-range", "\"x\"")]);
        assert_eq!(stale.status, 200);
        let numbered = reply("/abc/d?partNumber=1", &[mode]);
        assert_eq!(numbered.status, 206);
        assert_eq!(numbered.headers["content-range"], "bytes 0-9/10");
        assert!(numbered.headers.contains_key("x-amz-checksum-crc32"));
        assert!(!numbered.headers.contains_key("x-amz-mp-parts-count"));
        let same = reply("/abc/d", &[("if-none-match", "*")]);
        assert_eq!(same.status, 304);
        assert!(same.headers.contains_key("etag"));
    }
}
