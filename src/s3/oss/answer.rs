//! How S3's answers are told in OSS's words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::auth::acl::{Asker, Permission};
use crate::auth::canonical;
use crate::id::RequestId;
use crate::name::BucketName;
use crate::s3::context::Service;
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::{Facts, Reply, ReplyBody};
use crate::s3::route::Operation;
use crate::s3::xml::{self, Node, XmlWriter};

const XML: &str = "application/xml";

/// What S3 and what OSS say of an object that was put without a type.
const DEFAULT_TYPES: (&str, &str) = ("binary/octet-stream", "application/octet-stream");

/// The longest error that goes into a header, where there is no body for it.
const ERROR_BYTES_MAX: usize = 4096;

/// Headers that OSS has under another name.
const RENAMED: &[(&str, &str)] = &[
    (
        "x-amz-copy-source-version-id",
        "x-oss-copy-source-version-id",
    ),
    ("x-amz-delete-marker", "x-oss-delete-marker"),
    ("x-amz-expiration", "x-oss-expiration"),
    ("x-amz-request-charged", "x-oss-request-charged"),
    (
        "x-amz-server-side-encryption",
        "x-oss-server-side-encryption",
    ),
    (
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-oss-server-side-encryption-key-id",
    ),
    ("x-amz-tagging-count", "x-oss-tagging-count"),
    ("x-amz-version-id", "x-oss-version-id"),
];

/// Codes that OSS calls otherwise.
const CODES: &[(Code, &str)] = &[
    (Code::BadDigest, "InvalidDigest"),
    (Code::KeyTooLongError, "InvalidObjectName"),
    (Code::XAmzContentSHA256Mismatch, "InvalidDigest"),
];

/// How the answer to a request is to be told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) operation: Operation,
    /// Whether the bucket is to be described.
    pub(super) info: bool,
    /// Whether keys are to be encoded as in a URL, where S3 knows no such option.
    pub(super) encode: bool,
    /// Whether an object that is there was to be kept.
    pub(super) kept: bool,
    pub(super) bucket: Option<BucketName>,
}

impl Told {
    /// The error of an upload that must not overwrite.
    pub(super) fn refusal(&self, error: S3Error) -> S3Error {
        match error.code() {
            Code::PreconditionFailed | Code::ConditionalRequestConflict if self.kept => {
                Code::FileAlreadyExists.into()
            }
            _ => error,
        }
    }

    /// The answer in OSS's words.
    ///
    /// # Errors
    /// `InternalError` for a document that can't be read.
    pub(super) async fn reply(&self, service: &Service, reply: Reply) -> Result<Reply, S3Error> {
        let facts = reply.facts.clone();
        let mut told = Reply {
            headers: headers(&reply.headers, facts.as_deref())?,
            ..reply
        };
        if told.status == StatusCode::PARTIAL_CONTENT {
            // It would be the digest of other bytes than those that are sent.
            told.headers.remove("content-md5");
        }
        if self.operation == Operation::GetBucketLocation {
            let document = self.bucket(service).await?;
            told.body = ReplyBody::full(document.finish());
        } else if told
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind == XML)
            && let Some(bytes) = told.body.whole().filter(|bytes| !bytes.is_empty())
        {
            let root = xml::parse_any(bytes)?;
            if let Some(etag) = root.text_of("ETag") {
                // SDKs look for it here.
                told.headers
                    .insert(ETAG, value(&etag.to_ascii_uppercase())?);
            }
            told.body = ReplyBody::full(retold(&root, self.encode));
        }
        if matches!(self.operation, Operation::GetObject | Operation::HeadObject) {
            let parts = told.headers.get(ETAG).map(HeaderValue::as_bytes);
            let parts = parts.is_some_and(|etag| etag.contains(&b'-'));
            let kind = if parts { "Multipart" } else { "Normal" };
            told = told
                .with_static("x-oss-object-type", kind)
                .with_static("x-oss-storage-class", "Standard");
        }
        Ok(told)
    }

    /// What is said of a bucket: where it is, or all of it.
    async fn bucket(&self, service: &Service) -> Result<XmlWriter, S3Error> {
        let name = self.bucket.as_ref().ok_or(Code::InvalidBucketName)?;
        let bucket = service.store.bucket(name).await?;
        let location = format!("oss-{}", bucket.region);
        if !self.info {
            let mut document = XmlWriter::plain("LocationConstraint");
            document.inner_text(&location);
            return Ok(document);
        }
        let lists = |permission| {
            let acl = bucket.settings.access.acl.as_ref();
            acl.is_some_and(|acl| acl.allows(Asker::Anonymous, permission))
        };
        let grant = match (lists(Permission::Read), lists(Permission::Write)) {
            (true, true) => "public-read-write",
            (true, false) => "public-read",
            (false, _) => "private",
        };
        let owner = service.owner(&bucket.owner);
        let mut document = XmlWriter::plain("BucketInfo");
        document.element("Bucket", |document| {
            document.time("CreationDate", bucket.created);
            document.text("ExtranetEndpoint", "");
            document.text("IntranetEndpoint", "");
            document.text("Location", &location);
            document.text("Name", name.as_str());
            document.text("StorageClass", "Standard");
            document.element("Owner", |document| {
                document.text("DisplayName", &owner.display_name);
                document.text("ID", &owner.id);
            });
            document.element("AccessControlList", |document| {
                document.text("Grant", grant);
            });
        });
        Ok(document)
    }
}

fn value(text: &str) -> Result<HeaderValue, S3Error> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(S3Error::internal)
}

fn headers(of_s3: &HeaderMap, facts: Option<&Facts>) -> Result<HeaderMap, S3Error> {
    let mut told = HeaderMap::new();
    for (name, found) in of_s3 {
        let text = found.as_bytes();
        if let Some(meta) = name.as_str().strip_prefix("x-amz-meta-") {
            let name = format!("x-oss-meta-{meta}");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(S3Error::internal)?;
            told.append(name, found.clone());
        } else if let Some((_, oss)) = RENAMED.iter().find(|(s3, _)| name == s3) {
            let found = match text {
                b"aws:kms" => HeaderValue::from_static("KMS"),
                _ => found.clone(),
            };
            told.append(HeaderName::from_static(oss), found);
        } else if name == ETAG {
            told.append(
                name,
                value(&String::from_utf8_lossy(&text.to_ascii_uppercase()))?,
            );
        } else if name == CONTENT_TYPE && text == DEFAULT_TYPES.0.as_bytes() {
            told.append(name, HeaderValue::from_static(DEFAULT_TYPES.1));
        } else if !name.as_str().starts_with("x-amz-") {
            told.append(name, found.clone());
        }
    }
    if let Some(crc) = facts.and_then(|facts| facts.crc64ecma) {
        told.insert("x-oss-hash-crc64ecma", value(&crc.to_string())?);
    }
    if let Some(md5) = facts.and_then(|facts| facts.md5) {
        told.insert("content-md5", value(&STANDARD.encode(md5))?);
    }
    Ok(told)
}

/// A document of S3's as OSS would write it: without a namespace, and without what only S3 knows.
fn retold(root: &Node, encode: bool) -> String {
    let mut document = XmlWriter::plain(root.name.clone());
    if encode {
        document.text("EncodingType", "url");
    }
    if !root.text.is_empty() {
        document.inner_text(&root.text);
    }
    // OSS names the next marker wherever there is more.
    let truncated = root.text_of("IsTruncated") == Some("true");
    let by_marker = root.name == "ListBucketResult" && root.child("KeyCount").is_none();
    if truncated && by_marker && root.child("NextMarker").is_none() {
        let last = root.all("Contents").last();
        document.optional("NextMarker", last.and_then(|last| last.text_of("Key")));
    }
    tell(&root.children, encode, &mut document);
    document.finish()
}

fn tell(nodes: &[Node], encode: bool, document: &mut XmlWriter) {
    for node in nodes {
        let (name, text) = (node.name.as_str(), node.text.as_str());
        match name {
            "ETag" => {
                document.text(name, &text.to_ascii_uppercase());
            }
            "Key" if encode => {
                document.text(name, &canonical::encode(text.as_bytes(), true));
            }
            "StorageClass" => {
                document.text(name, "Standard");
            }
            "Initiator" => {}
            only if only.starts_with("Checksum") => {}
            _ if node.children.is_empty() => {
                document.text(name, text);
            }
            _ => {
                document.element(name, |document| {
                    tell(&node.children, encode, document);
                    if name == "Contents" {
                        let parts = node.text_of("ETag").is_some_and(|etag| etag.contains('-'));
                        document.text("Type", if parts { "Multipart" } else { "Normal" });
                    }
                });
            }
        }
    }
}

/// The answer of an error, to a request that was sent to `host`.
pub(in crate::s3) fn error_reply(id: RequestId, error: &S3Error, host: &str) -> Reply {
    let (name, status) = error.code().wire();
    let code = CODES.iter().find(|(code, _)| *code == error.code());
    let mut document = XmlWriter::plain("Error");
    document.text("Code", code.map_or(name, |(_, oss)| oss));
    document.text(
        "Message",
        &error
            .message()
            .replace("AWS Access Key Id", "OSS Access Key Id"),
    );
    document.text("RequestId", &id.to_string());
    document.text("HostId", host);
    for (name, value) in error.detail() {
        let name = match name.as_ref() {
            "AWSAccessKeyId" => "OSSAccessKeyId",
            other => other,
        };
        document.text(name, value);
    }
    let mut reply = Reply::full(XML, document.finish()).with_status(status);
    for (name, value) in error.headers() {
        // What can't be told in OSS's words is left out: it only repeats what the code says.
        let named = RENAMED.iter().find(|(s3, _)| s3 == name);
        let name = named.map_or(*name, |(_, oss)| oss);
        if let Ok(value) = HeaderValue::from_str(value)
            && !name.starts_with("x-amz-")
        {
            reply.headers.insert(HeaderName::from_static(name), value);
        }
    }
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        reply.headers.insert("x-oss-request-id", id);
    }
    reply
}

/// Keeps what an answer to `HEAD` would say in its body, which is not sent: OSS's clients look for it
/// in a header.
pub(in crate::s3) fn keep_error(method: &Method, reply: &mut Reply) {
    let failed = reply.status.is_client_error() || reply.status.is_server_error();
    if *method != Method::HEAD || !failed || !reply.headers.contains_key("x-oss-request-id") {
        return;
    }
    let bytes = reply.body.whole();
    let text = bytes.filter(|bytes| bytes.len() <= ERROR_BYTES_MAX);
    let text = text.map(|bytes| HeaderValue::from_str(&STANDARD.encode(bytes)));
    if let Some(Ok(text)) = text {
        reply.headers.insert("x-oss-err", text);
    }
}

/// The answer to an upload whose callback failed: the object is kept.
pub(super) fn callback_failed(reply: &mut Reply, id: RequestId, host: &str, why: &str) {
    let mut document = XmlWriter::plain("Error");
    document.text("Code", "CallbackFailed");
    document.text("Message", why);
    document.text("RequestId", &id.to_string());
    document.text("HostId", host);
    reply.status = StatusCode::NON_AUTHORITATIVE_INFORMATION;
    reply
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static(XML));
    reply.body = ReplyBody::full(document.finish());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_told_as_oss_would() {
        let s3 = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                  <Name>abc</Name><IsTruncated>true</IsTruncated><Contents><Key>a&#13;&lt;</Key>\
                  <LastModified>2026-11-25T23:40:08.000Z</LastModified><ETag>&quot;ab&quot;</ETag><ChecksumType>FULL_OBJECT</ChecksumType>\
                  <StorageClass>STANDARD</StorageClass></Contents><Contents><Key>b</Key>\
                  <ETag>&quot;ab-2&quot;</ETag></Contents></ListBucketResult>";
        let told = retold(&xml::parse_any(s3.as_bytes()).unwrap(), false);
        assert_eq!(
            told,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult><NextMarker>b</NextMarker>\
             <Name>abc</Name><IsTruncated>true</IsTruncated><Contents><Key>a&#13;&lt;</Key>\
             <LastModified>2026-11-25T23:40:08.000Z</LastModified><ETag>&quot;AB&quot;</ETag><StorageClass>Standard</StorageClass><Type>Normal</Type>\
             </Contents><Contents><Key>b</Key><ETag>&quot;AB-2&quot;</ETag><Type>Multipart</Type>\
             </Contents></ListBucketResult>"
        );
    }

    #[test]
    fn keys_are_encoded_where_that_is_asked_for() {
        let s3 = "<DeleteResult><Deleted><Key>a b</Key></Deleted></DeleteResult>";
        let told = retold(&xml::parse_any(s3.as_bytes()).unwrap(), true);
        assert!(told.ends_with(
            "<DeleteResult><EncodingType>url</EncodingType><Deleted><Key>a%20b</Key></Deleted>\
             </DeleteResult>"
        ));
    }

    #[test]
    fn headers_are_told_as_oss_would() {
        let mut of_s3 = HeaderMap::new();
        for (name, value) in [
            ("etag", "\"ab-2\""),
            ("x-amz-meta-a", "B"),
            ("x-amz-version-id", "v"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-checksum-crc32", "AAAA"),
            ("content-type", "binary/octet-stream"),
        ] {
            of_s3.insert(name, value.parse().unwrap());
        }
        let facts = Facts {
            len: 1,
            content_type: None,
            md5: Some([0; 16]),
            crc64ecma: Some(u64::MAX),
        };
        let told = headers(&of_s3, Some(&facts)).unwrap();
        let mut lines: Vec<String> = told
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "content-md5: AAAAAAAAAAAAAAAAAAAAAA==",
                "content-type: application/octet-stream",
                "etag: \"AB-2\"",
                "x-oss-hash-crc64ecma: 18446744073709551615",
                "x-oss-meta-a: B",
                "x-oss-server-side-encryption: KMS",
                "x-oss-version-id: v",
            ]
        );
    }

    #[test]
    fn an_error_is_told_as_oss_would() {
        let id = RequestId::random();
        let error = S3Error::new(Code::BadDigest)
            .with("AWSAccessKeyId", "ak")
            .with_header("x-amz-version-id", "v")
            .with_header("x-amz-other", "o");
        let mut reply = error_reply(id, &error, "abc.h");
        assert_eq!(reply.status, 400);
        assert_eq!(reply.headers["x-oss-version-id"], "v");
        assert!(!reply.headers.contains_key("x-amz-other"));
        let text = String::from_utf8(reply.body.whole().unwrap().to_vec()).unwrap();
        assert!(text.ends_with(&format!(
            "<RequestId>{id}</RequestId><HostId>abc.h</HostId><OSSAccessKeyId>ak</OSSAccessKeyId>\
             </Error>"
        )));
        assert!(text.contains("<Code>InvalidDigest</Code>"));
        keep_error(&Method::GET, &mut reply);
        assert!(!reply.headers.contains_key("x-oss-err"));
        keep_error(&Method::HEAD, &mut reply);
        assert_eq!(reply.headers["x-oss-err"], STANDARD.encode(text).as_str());
    }
}
