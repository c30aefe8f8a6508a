//! What a record tells of a request before it is answered.

use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, HOST, REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderName, Method, Version};

use super::redact::redact;
use crate::auth::canonical::encode;
use crate::clock::Timestamp;
use crate::id::RequestId;
use crate::name::BucketName;
use crate::s3::head::{self, Head};
use crate::s3::reach::Arrival;
use crate::s3::target::{Level, bucket_under};

/// Characters that are kept of an address, and of each header.
const ADDRESS_MAX: usize = 8 * 1024;
const HEADER_MAX: usize = 1024;

/// What is known of a request before it is answered.
#[derive(Debug)]
pub struct Visit {
    pub(super) bucket: Option<BucketName>,
    /// As S3 writes it down: encoded.
    pub(super) key: Option<String>,
    /// `REST.GET.OBJECT`.
    pub(super) operation: String,
    pub(super) method: Method,
    /// Without proofs.
    pub(super) uri: String,
    pub(super) version: Version,
    pub(super) peer: Option<IpAddr>,
    pub(super) id: RequestId,
    pub(super) at: Timestamp,
    pub(super) referer: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) host: Option<String>,
    pub(super) version_id: Option<String>,
    /// Which signature it came with, and where.
    pub(super) signed: Option<(&'static str, &'static str)>,
    /// `https` where the client came by it, to here or to a trusted proxy.
    pub(super) scheme: &'static str,
    /// Whether it is a website's page.
    pub(super) is_website: bool,
}

impl Visit {
    /// Reads `parts`, whatever they are.
    pub(in crate::s3) fn of(
        parts: &Parts,
        (domains, websites): (&[String], &[String]),
        (id, at): (RequestId, Timestamp),
        peer: Option<SocketAddr>,
    ) -> Self {
        let arrival = head::arrival(parts).ok();
        let head = Head::parse(parts, domains).ok();
        let authority = arrival.as_ref().map(Arrival::authority);
        let website = authority.and_then(|authority| bucket_under(authority, websites));
        let bucket = match website {
            Some(name) => BucketName::parse(name).ok(),
            None => head.as_ref().and_then(|head| head.target.bucket.clone()),
        };
        let key = match (website, &head) {
            (Some(_), _) => parts
                .uri
                .path()
                .strip_prefix('/')
                .filter(|key| !key.is_empty())
                .map(str::to_owned),
            (None, Some(head)) => head
                .target
                .key
                .as_ref()
                .map(|key| encode(key.as_str().as_bytes(), true)),
            (None, None) => None,
        };
        let header = |name: HeaderName| {
            let value = String::from_utf8_lossy(parts.headers.get(name)?.as_bytes());
            Some(begin(&value, HEADER_MAX).to_owned())
        };
        let authority = authority.map(|name| begin(name, HEADER_MAX).to_owned());
        let version_id = head.as_ref().and_then(|head| head.query.get("versionId"));
        Self {
            bucket,
            key: key.map(|key| begin(&key, ADDRESS_MAX).to_owned()),
            operation: operation(parts, head.as_ref(), website.is_some()),
            method: parts.method.clone(),
            uri: begin(&redact(&parts.uri.to_string()), ADDRESS_MAX).to_owned(),
            version: parts.version,
            peer: peer.map(|peer| peer.ip()),
            id,
            at,
            referer: header(REFERER).map(|referer| redact(&referer)),
            user_agent: header(USER_AGENT),
            host: authority.or_else(|| header(HOST)),
            version_id: version_id.map(|id| begin(id, HEADER_MAX).to_owned()),
            signed: signed(parts),
            scheme: arrival.as_ref().map_or("http", Arrival::scheme),
            is_website: website.is_some(),
        }
    }

    /// The bucket that it is about.
    pub const fn bucket(&self) -> Option<&BucketName> {
        self.bucket.as_ref()
    }

    /// Whether it is about a website's page.
    pub const fn is_website(&self) -> bool {
        self.is_website
    }

    /// When it came.
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}

/// At most `most` bytes of it.
fn begin(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

fn signed(parts: &Parts) -> Option<(&'static str, &'static str)> {
    let query = parts.uri.query().unwrap_or_default();
    let has = |name: &str| {
        let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
        names.any(|found| found == name)
    };
    match parts.headers.get(AUTHORIZATION) {
        Some(header) if header.as_bytes().starts_with(b"AWS ") => Some(("SigV2", "AuthHeader")),
        Some(_header) => Some(("SigV4", "AuthHeader")),
        None if has("X-Amz-Signature") => Some(("SigV4", "QueryString")),
        None if has("AWSAccessKeyId") => Some(("SigV2", "QueryString")),
        None => None,
    }
}

/// What S3's records call it; the method alone where the request is none of S3's.
fn operation(parts: &Parts, head: Option<&Head>, website: bool) -> String {
    if website {
        return format!("WEBSITE.{}.OBJECT", parts.method);
    }
    let Some(head) = head else {
        return format!("REST.{}.-", parts.method);
    };
    let method = if head.headers.contains_key("x-amz-copy-source") {
        "COPY"
    } else {
        head.method.as_str()
    };
    let names: &[(&str, &str)] = match head.target.level() {
        Level::Object => OF_OBJECTS,
        Level::Bucket => OF_BUCKETS,
        Level::Service => &[],
    };
    let found = names.iter().find(|(name, _)| head.query.has(name));
    let what = found.map_or(head.target.level().usual(), |(_, what)| *what);
    format!("REST.{method}.{what}")
}

impl Level {
    const fn usual(self) -> &'static str {
        match self {
            Self::Service => "SERVICE",
            Self::Bucket => "BUCKET",
            Self::Object => "OBJECT",
        }
    }
}

const OF_BUCKETS: &[(&str, &str)] = &[
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

const OF_OBJECTS: &[(&str, &str)] = &[
    ("acl", "ACL"),
    ("attributes", "OBJECT_ATTRIBUTES"),
    ("legal-hold", "OBJECT_LOCK_LEGALHOLD"),
    ("partNumber", "PART"),
    ("retention", "OBJECT_LOCK_RETENTION"),
    ("tagging", "OBJECT_TAGGING"),
    ("uploadId", "UPLOAD"),
    ("uploads", "UPLOADS"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(method: &str, uri: &str, headers: &[(&'static str, &str)]) -> Visit {
        let mut request = http::Request::builder().method(method).uri(uri);
        request = request.header("host", "h");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let now = (RequestId::random(), Timestamp::from_unix_s(0));
        Visit::of(&parts, (&[], &["web.h".to_owned()]), now, None)
    }

    #[test]
    fn a_signature_is_told_by_version_and_place() {
        for (uri, authorization, told) in [
            ("/bkt", "AWS4-HMAC-SHA256 x", Some(("SigV4", "AuthHeader"))),
            ("/bkt", "AWS a:b", Some(("SigV2", "AuthHeader"))),
            ("/bkt?X-Amz-Signature=a", "", Some(("SigV4", "QueryString"))),
            ("/bkt?AWSAccessKeyId=a", "", Some(("SigV2", "QueryString"))),
            ("/bkt", "", None),
        ] {
            let headers = [("authorization", authorization)];
            let headers = if authorization.is_empty() {
                &[]
            } else {
                &headers[..]
            };
            assert_eq!(
                visit("GET", uri, headers).signed,
                told,
                "{uri} {authorization}"
            );
        }
    }

    #[test]
    fn an_operation_goes_by_s3s_name() {
        for (line, name) in [
            ("GET /", "REST.GET.SERVICE"),
            ("GET /bkt", "REST.GET.BUCKET"),
            ("PUT /bkt?logging", "REST.PUT.LOGGING_STATUS"),
            ("POST /bkt?delete", "REST.POST.MULTI_OBJECT_DELETE"),
            ("PUT /bkt/k", "REST.PUT.OBJECT"),
            ("PUT /bkt/k?partNumber=1&uploadId=u", "REST.PUT.PART"),
            ("POST /bkt/k?uploadId=u", "REST.POST.UPLOAD"),
            ("GET /bkt/%FF", "REST.GET.-"),
        ] {
            let (method, uri) = line.split_once(' ').unwrap();
            assert_eq!(visit(method, uri, &[]).operation, name, "{line}");
        }
        let copy = visit("PUT", "/bkt/k", &[("x-amz-copy-source", "a/b")]);
        assert_eq!(copy.operation, "REST.COPY.OBJECT");
    }

    #[test]
    fn a_websites_page_is_told_by_its_bucket() {
        let mut parts = http::Request::get("/a/b.html").header("host", "site.web.h");
        parts = parts.header("referer", "http://x/?X-Amz-Signature=abc");
        let parts = parts.body(()).unwrap().into_parts().0;
        let now = (RequestId::random(), Timestamp::from_unix_s(0));
        let visit = Visit::of(&parts, (&[], &["web.h".to_owned()]), now, None);
        assert_eq!(visit.operation, "WEBSITE.GET.OBJECT");
        assert_eq!(visit.bucket().map(BucketName::as_str), Some("site"));
        assert_eq!(visit.key.as_deref(), Some("a/b.html"));
        assert_eq!(
            visit.referer.as_deref(),
            Some("http://x/?X-Amz-Signature=REDACTED")
        );
    }

    #[test]
    fn what_is_endless_is_cut() {
        let uri = format!("/bkt/k?{}", "x".repeat(20_000));
        let agent = "é".repeat(900);
        let visit = visit("GET", &uri, &[("user-agent", &agent)]);
        assert_eq!(visit.uri.len(), ADDRESS_MAX);
        assert_eq!(visit.user_agent.unwrap().len(), HEADER_MAX);
    }
}
