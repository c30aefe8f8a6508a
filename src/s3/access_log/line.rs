//! One record.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html>

use std::net::SocketAddr;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Version};

use crate::auth::canonical::encode;
use crate::clock::Timestamp;
use crate::id::{RequestId, host_id};
use crate::name::BucketName;
use crate::s3::head::Head;
use crate::s3::target::Level;
use crate::store::Bucket;

/// What is known of a request before it is answered.
#[derive(Debug)]
pub struct Visit {
    head: Head,
    uri: String,
    version: Version,
    peer: Option<SocketAddr>,
    id: RequestId,
    at: Timestamp,
}

/// What is known of it afterwards.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The canonical id of whom the signature proved.
    pub requester: Option<&'a str>,
    /// The status.
    pub status: u16,
    /// S3's code, where it failed.
    pub code: Option<&'static str>,
    /// The answer's headers.
    pub headers: &'a HeaderMap,
    /// Bytes that came.
    pub bytes_in: u64,
    /// Bytes that went.
    pub bytes_out: u64,
    /// Milliseconds from the first to the last.
    pub ms: u128,
}

impl Visit {
    /// Reads `parts`; none for a request that names no bucket.
    pub fn of(
        parts: &Parts,
        domains: &[String],
        (id, at): (RequestId, Timestamp),
        peer: Option<SocketAddr>,
    ) -> Option<Self> {
        let head = Head::parse(parts, domains).ok()?;
        head.target.bucket.as_ref()?;
        Some(Self {
            uri: parts.uri.to_string(),
            version: parts.version,
            head,
            peer,
            id,
            at,
        })
    }

    /// The bucket that it is about.
    pub fn bucket(&self) -> Option<&BucketName> {
        self.head.target.bucket.as_ref()
    }

    /// When it came.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The record, with its end of line.
    pub fn line(&self, bucket: &Bucket, answered: &Answered<'_>) -> String {
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let key = self.head.target.key.as_ref();
        let key = dash(key.map(|key| encode(key.as_str().as_bytes(), true)));
        let header = |name: HeaderName| {
            let value = self.head.headers.get(name);
            let value = value.and_then(|value| value.to_str().ok());
            quoted(value.unwrap_or("-"))
        };
        let version = self.head.query.get("versionId").map(str::to_owned);
        let version = version.or_else(|| {
            let sent = answered.headers.get("x-amz-version-id")?;
            sent.to_str().ok().map(str::to_owned)
        });
        let (signature, way) = self.signature();
        let bytes = (answered.bytes_out > 0).then(|| answered.bytes_out.to_string());
        let fields = [
            bucket.owner.clone(),
            bucket.name.as_str().to_owned(),
            format!("[{}]", self.at.log_date()),
            dash(self.peer.map(|peer| peer.ip().to_string())),
            dash(answered.requester.map(str::to_owned)),
            self.id.to_string(),
            self.operation(),
            key,
            quoted(&format!(
                "{} {} {:?}",
                self.head.method, self.uri, self.version
            )),
            answered.status.to_string(),
            dash(answered.code.map(str::to_owned)),
            dash(bytes),
            dash(self.object_bytes(answered).map(|bytes| bytes.to_string())),
            answered.ms.to_string(),
            answered.ms.to_string(),
            header(REFERER),
            header(USER_AGENT),
            dash(version.map(|version| word(&version))),
            host_id(self.id),
            signature.to_owned(),
            "-".to_owned(),
            way.to_owned(),
            word(&self.head.authority),
            "-".to_owned(),
            "-".to_owned(),
            "-".to_owned(),
        ];
        let mut line = fields.join(" ");
        line.push('\n');
        line
    }

    /// The bytes of the whole object, where the request moved any of it.
    fn object_bytes(&self, answered: &Answered<'_>) -> Option<u64> {
        if self.head.target.level() != Level::Object || answered.code.is_some() {
            return None;
        }
        let text = |name: HeaderName| answered.headers.get(name)?.to_str().ok();
        match self.head.method {
            Method::PUT => Some(answered.bytes_in),
            Method::GET | Method::HEAD => match text(CONTENT_RANGE) {
                Some(range) => range.rsplit_once('/')?.1.parse().ok(),
                None => text(CONTENT_LENGTH)
                    .and_then(|len| len.parse().ok())
                    .or(Some(answered.bytes_out)),
            },
            _ => None,
        }
    }

    /// Which signature it came with, and where.
    fn signature(&self) -> (&'static str, &'static str) {
        let query = &self.head.query;
        match self.head.headers.get(http::header::AUTHORIZATION) {
            Some(header) if header.as_bytes().starts_with(b"AWS ") => ("SigV2", "AuthHeader"),
            Some(_header) => ("SigV4", "AuthHeader"),
            None if query.has("X-Amz-Signature") => ("SigV4", "QueryString"),
            None if query.has("AWSAccessKeyId") => ("SigV2", "QueryString"),
            None => ("-", "-"),
        }
    }

    fn operation(&self) -> String {
        let has = |name: &str| self.head.query.has(name);
        let method = if self.head.headers.contains_key("x-amz-copy-source") {
            "COPY"
        } else {
            self.head.method.as_str()
        };
        let of_bucket = [
            ("acl", "ACL"),
            ("cors", "CORS"),
            ("delete", "MULTI_OBJECT_DELETE"),
            ("encryption", "ENCRYPTION"),
            ("lifecycle", "LIFECYCLE"),
            ("location", "LOCATION"),
            ("logging", "LOGGING_STATUS"),
            ("notification", "NOTIFICATION"),
            ("object-lock", "OBJECT_LOCK_CONFIGURATION"),
            ("ownershipControls", "OWNERSHIP_CONTROLS"),
            ("policy", "BUCKETPOLICY"),
            ("policyStatus", "POLICY_STATUS"),
            ("publicAccessBlock", "PUBLIC_ACCESS_BLOCK"),
            ("requestPayment", "REQUEST_PAYMENT"),
            ("tagging", "TAGGING"),
            ("uploads", "UPLOADS"),
            ("versioning", "VERSIONING"),
            ("versions", "BUCKETVERSIONS"),
            ("website", "WEBSITE"),
        ];
        let of_object = [
            ("acl", "ACL"),
            ("attributes", "OBJECT_ATTRIBUTES"),
            ("legal-hold", "OBJECT_LOCK_LEGALHOLD"),
            ("partNumber", "PART"),
            ("retention", "OBJECT_LOCK_RETENTION"),
            ("tagging", "OBJECT_TAGGING"),
            ("uploadId", "UPLOAD"),
            ("uploads", "UPLOADS"),
        ];
        let find = |names: &[(&str, &'static str)]| {
            let found = names.iter().find(|(name, _)| has(name));
            found.map(|(_, what)| *what)
        };
        let what = match self.head.target.level() {
            Level::Object => find(&of_object).unwrap_or("OBJECT"),
            _ => find(&of_bucket).unwrap_or("BUCKET"),
        };
        format!("REST.{method}.{what}")
    }
}

/// What a client sent must not end a field or a record.
fn quoted(text: &str) -> String {
    format!("\"{}\"", without(text, |char| char == '"'))
}

fn word(text: &str) -> String {
    without(text, |char| char == '"' || char.is_whitespace())
}

fn without(text: &str, ends: impl Fn(char) -> bool) -> String {
    let chars = text.chars().map(|char| {
        if char.is_control() || ends(char) {
            encode(char.to_string().as_bytes(), false)
        } else {
            char.to_string()
        }
    });
    chars.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_writes_a_record_by_a_header() {
        assert_eq!(quoted("a\" 200\nb"), "\"a%22 200%0Ab\"");
        assert_eq!(word("a b\n"), "a%20b%0A");
    }

    #[test]
    fn a_signature_is_told_by_version_and_place() {
        for (uri, authorization, told) in [
            ("/bkt", "AWS4-HMAC-SHA256 x", ("SigV4", "AuthHeader")),
            ("/bkt", "AWS a:b", ("SigV2", "AuthHeader")),
            ("/bkt?X-Amz-Signature=a", "", ("SigV4", "QueryString")),
            ("/bkt?AWSAccessKeyId=a", "", ("SigV2", "QueryString")),
            ("/bkt", "", ("-", "-")),
        ] {
            let request = http::Request::get(uri).header("host", "h");
            let mut parts = request.body(()).unwrap().into_parts().0;
            if !authorization.is_empty() {
                let value = authorization.parse().unwrap();
                parts.headers.insert("authorization", value);
            }
            let now = (RequestId::random(), Timestamp::from_unix_s(0));
            let visit = Visit::of(&parts, &[], now, None).unwrap();
            assert_eq!(visit.signature(), told, "{uri} {authorization}");
        }
    }

    #[test]
    fn an_operation_goes_by_s3s_name() {
        for (line, name) in [
            ("GET /bkt", "REST.GET.BUCKET"),
            ("PUT /bkt?logging", "REST.PUT.LOGGING_STATUS"),
            ("POST /bkt?delete", "REST.POST.MULTI_OBJECT_DELETE"),
            ("PUT /bkt/k", "REST.PUT.OBJECT"),
            ("PUT /bkt/k?partNumber=1&uploadId=u", "REST.PUT.PART"),
            ("POST /bkt/k?uploadId=u", "REST.POST.UPLOAD"),
        ] {
            let (method, uri) = line.split_once(' ').unwrap();
            let request = http::Request::builder().method(method).uri(uri);
            let parts = request.header("host", "h").body(()).unwrap().into_parts().0;
            let now = (RequestId::random(), Timestamp::from_unix_s(0));
            let visit = Visit::of(&parts, &[], now, None).unwrap();
            assert_eq!(visit.operation(), name);
        }
    }
}
