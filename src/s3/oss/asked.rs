//! What a request in OSS's words asks for, in S3's words. What has no like there is refused by name.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::answer::Told;
use super::callback::RawOrder;
use crate::auth::oss::is_sub_resource;
use crate::s3::error::{Code, S3Error};
use crate::s3::head::Head;
use crate::s3::query::Query;
use crate::s3::route::Operation;
use crate::s3::target::Level;

/// Lines of a listing where the client does not say: OSS's default.
const MAX_KEYS: &str = "100";

/// Parameters that mean the same to both.
const SAME: &[&str] = &[
    "continuation-token",
    "delete",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "location",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "partNumber",
    "prefix",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "start-after",
    "upload-id-marker",
    "uploadId",
    "uploads",
    "versionId",
];

/// Parameters and headers that have done their duty once the request is proved, or that the callback
/// takes.
const TAKEN: &[&str] = &[
    "callback",
    "callback-var",
    "security-token",
    "x-oss-additional-headers",
    "x-oss-callback",
    "x-oss-callback-var",
    "x-oss-content-sha256",
    "x-oss-credential",
    "x-oss-date",
    "x-oss-expires",
    "x-oss-security-token",
    "x-oss-signature",
    "x-oss-signature-version",
];

/// Headers that S3 has under another name, with the same values.
const RENAMED: &[(&str, &str)] = &[
    ("x-oss-acl", "x-amz-acl"),
    ("x-oss-copy-source", "x-amz-copy-source"),
    ("x-oss-copy-source-if-match", "x-amz-copy-source-if-match"),
    (
        "x-oss-copy-source-if-modified-since",
        "x-amz-copy-source-if-modified-since",
    ),
    (
        "x-oss-copy-source-if-none-match",
        "x-amz-copy-source-if-none-match",
    ),
    (
        "x-oss-copy-source-if-unmodified-since",
        "x-amz-copy-source-if-unmodified-since",
    ),
    ("x-oss-copy-source-range", "x-amz-copy-source-range"),
    ("x-oss-metadata-directive", "x-amz-metadata-directive"),
    ("x-oss-object-acl", "x-amz-acl"),
    ("x-oss-request-payer", "x-amz-request-payer"),
    (
        "x-oss-server-side-encryption-key-id",
        "x-amz-server-side-encryption-aws-kms-key-id",
    ),
    (
        "x-oss-server-side-encryption",
        "x-amz-server-side-encryption",
    ),
    ("x-oss-tagging", "x-amz-tagging"),
    ("x-oss-tagging-directive", "x-amz-tagging-directive"),
];

/// Headers whose values S3 has otherwise: OSS's value, and S3's; none where it asks for what is the
/// case anyway.
const VALUES: &[(&str, &str, Option<&str>)] = &[
    ("x-oss-acl", "default", None),
    ("x-oss-object-acl", "default", None),
    ("x-oss-server-side-encryption", "KMS", Some("aws:kms")),
    ("x-oss-tagging-directive", "Copy", Some("COPY")),
    ("x-oss-tagging-directive", "Replace", Some("REPLACE")),
];

/// Headers that are heeded with this value alone.
const ONLY: &[(&str, &str)] = &[
    ("x-oss-storage-class", "Standard"),
    // A range that is not there is refused, as S3 does it and as OSS does where it is asked to.
    ("x-oss-range-behavior", "standard"),
];

/// A request in S3's words.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) head: Head,
    pub(super) callback: Option<RawOrder>,
    info: bool,
    encode: bool,
    kept: bool,
}

impl Asked {
    /// Reads a head in OSS's words.
    ///
    /// # Errors
    /// `NotImplemented` that names the option which S3 has no like of, `InvalidArgument` for a value
    /// that can't be.
    pub(super) fn read(head: &Head) -> Result<Self, S3Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in &*head.headers {
            let text = std::str::from_utf8(value.as_bytes()).map_err(|_no_utf8| {
                let message = format!("The header {name} is not valid UTF-8.");
                S3Error::argument(name.as_str(), "", message)
            })?;
            add_header(&mut headers, name.as_str(), text.trim())?;
        }
        let info = head.query.has("bucketInfo");
        let encode = head.query.get("encoding-type") == Some("url");
        let kept = flag(head, "x-oss-forbid-overwrite")?;
        let callback = RawOrder::of(head)?;
        let mut asked = Self {
            head: Head {
                query: query(head)?,
                headers: headers.into(),
                ..head.clone()
            },
            callback,
            info,
            encode,
            kept,
        };
        if info {
            // S3 has no such operation: whoever may know where the bucket is may know the rest.
            asked.head.query.push("location", "");
        }
        let listing = asked.head.method == http::Method::GET
            && asked.head.target.level() == Level::Bucket
            && !["location", "uploads"]
                .iter()
                .any(|name| asked.head.query.has(name));
        if listing && !asked.head.query.has("max-keys") {
            asked.head.query.push("max-keys", MAX_KEYS);
        }
        let knows_encoding = listing || asked.head.query.has("uploads");
        if !knows_encoding || asked.head.method != http::Method::GET {
            asked.head.query.take(|name| name == "encoding-type");
        } else {
            asked.encode = false;
        }
        Ok(asked)
    }

    /// How the answer is to be told.
    pub(super) fn told(&self, operation: Operation) -> Told {
        Told {
            operation,
            info: self.info,
            encode: self.encode,
            kept: self.kept,
            bucket: self.head.target.bucket.clone(),
        }
    }
}

/// The parameters that S3 is asked with. One that OSS itself knows nothing of is passed over, as OSS
/// does.
fn query(head: &Head) -> Result<Query, S3Error> {
    let mut query = Query::default();
    for (name, value) in head.query.iter() {
        // OSS's clients send an empty token for none.
        let none = name == "continuation-token" && value.is_empty();
        if SAME.contains(&name) && !none {
            query.push(name, value);
        } else if none || TAKEN.contains(&name) || matches!(name, "bucketInfo" | "objectMeta") {
        } else if name.starts_with("x-oss-") || is_sub_resource(name) {
            return Err(S3Error::unsupported_option(name));
        }
    }
    Ok(query)
}

fn flag(head: &Head, name: &str) -> Result<bool, S3Error> {
    match head.header(name)? {
        None => Ok(false),
        Some(text) => truth(name, text),
    }
}

fn truth(name: &str, text: &str) -> Result<bool, S3Error> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => {
            let message = format!("The value of {name} must be true or false.");
            Err(S3Error::argument(name, text, message))
        }
    }
}

/// Adds the header by which S3 says what OSS says by this one.
///
/// # Errors
/// As [`Asked::read`].
pub(super) fn add_header(to: &mut HeaderMap, name: &str, value: &str) -> Result<(), S3Error> {
    if TAKEN.contains(&name) {
        return Ok(());
    }
    if let Some(meta) = name.strip_prefix("x-oss-meta-") {
        return append(to, &format!("x-amz-meta-{meta}"), value);
    }
    if let Some((_, only)) = ONLY.iter().find(|(found, _)| *found == name) {
        let same = only.eq_ignore_ascii_case(value);
        return if same {
            Ok(())
        } else {
            Err(S3Error::unsupported_option(name).with("Value", value))
        };
    }
    if name == "x-oss-forbid-overwrite" {
        return if truth(name, value)? {
            append(to, "if-none-match", "*")
        } else {
            Ok(())
        };
    }
    let renamed = RENAMED.iter().find(|(found, _)| *found == name);
    let value = match VALUES
        .iter()
        .find(|(of, from, _)| *of == name && *from == value)
    {
        Some((.., None)) => return Ok(()),
        Some((.., Some(to))) => to,
        None => value,
    };
    match renamed {
        Some((_, s3)) if name.contains("-match") => append(to, s3, &lower_tag(value)),
        Some((_, s3)) => append(to, s3, value),
        None if name.starts_with("x-oss-") => Err(S3Error::unsupported_option(name)),
        None if matches!(name, "if-match" | "if-none-match") => append(to, name, &lower_tag(value)),
        None => append(to, name, value),
    }
}

/// OSS shows entity tags in capitals, S3 does not.
fn lower_tag(tag: &str) -> String {
    tag.to_ascii_lowercase()
}

fn append(to: &mut HeaderMap, name: &str, value: &str) -> Result<(), S3Error> {
    let parsed = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_bytes(value.as_bytes()),
    );
    let (Ok(header), Ok(text)) = parsed else {
        let message = format!("The value of {name} can't be kept as a header.");
        return Err(S3Error::argument(name, value, message));
    };
    if header == "if-none-match" && to.contains_key(&header) {
        return Err(S3Error::because(
            Code::InvalidArgument,
            "If-None-Match and x-oss-forbid-overwrite can't stand together.",
        ));
    }
    to.append(header, text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, uri: &str, headers: &[(&'static str, &str)]) -> Result<Asked, Code> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "h");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let head = Head::parse(&request.body(()).unwrap().into_parts().0, &[]).unwrap();
        Asked::read(&head).map_err(|error| error.code())
    }

    #[test]
    fn options_are_said_in_s3s_words() {
        let headers = |sent: &[(&'static str, &str)]| {
            let asked = asked("PUT", "/abc/d", sent).unwrap();
            let mut lines: Vec<String> = asked
                .head
                .headers
                .iter()
                .filter(|(name, _)| *name != "host")
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            lines.sort();
            lines.join("\n")
        };
        assert_eq!(headers(&[("x-oss-meta-a", "B")]), "x-amz-meta-a: B");
        assert_eq!(headers(&[("x-oss-object-acl", "default")]), "");
        assert_eq!(
            headers(&[("x-oss-object-acl", "public-read")]),
            "x-amz-acl: public-read"
        );
        assert_eq!(headers(&[("x-oss-storage-class", "Standard")]), "");
        assert_eq!(headers(&[("x-oss-forbid-overwrite", "false")]), "");
        assert_eq!(
            headers(&[("x-oss-forbid-overwrite", "true")]),
            "if-none-match: *"
        );
        assert_eq!(
            headers(&[("x-oss-server-side-encryption", "KMS")]),
            "x-amz-server-side-encryption: aws:kms"
        );
        assert_eq!(headers(&[("if-match", "\"AB\"")]), "if-match: \"ab\"");
        assert_eq!(
            headers(&[("x-oss-date", "now"), ("x-oss-callback", "e30=")]),
            ""
        );
    }

    #[test]
    fn what_s3_has_no_like_of_is_refused_by_name() {
        for header in [
            ("x-oss-storage-class", "IA"),
            ("x-oss-traffic-limit", "819200"),
            ("x-oss-hash-crc64ecma", "1"),
            ("x-oss-new-thing", "1"),
        ] {
            let refused = asked("PUT", "/abc/d", &[header]).unwrap_err();
            assert_eq!(refused, Code::NotImplemented, "{header:?}");
        }
        for query in [
            "acl",
            "append&position=0",
            "x-oss-process=a",
            "symlink",
            "versions",
        ] {
            let refused = asked("GET", &format!("/abc/d?{query}"), &[]).unwrap_err();
            assert_eq!(refused, Code::NotImplemented, "{query}");
        }
        let maybe = [("x-oss-forbid-overwrite", "maybe")];
        assert_eq!(
            asked("PUT", "/abc/d", &maybe).unwrap_err(),
            Code::InvalidArgument
        );
        let both = [("x-oss-forbid-overwrite", "true"), ("if-none-match", "*")];
        assert_eq!(
            asked("PUT", "/abc/d", &both).unwrap_err(),
            Code::InvalidArgument
        );
    }

    #[test]
    fn parameters_are_said_in_s3s_words() {
        let query = |method: &str, uri: &str| {
            let asked = asked(method, uri, &[]).unwrap();
            let pairs = asked.head.query.iter();
            let text: Vec<String> = pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            text.join("&")
        };
        assert_eq!(query("GET", "/abc?prefix=a"), "prefix=a&max-keys=100");
        assert_eq!(
            query("GET", "/abc?max-keys=7&list-type=2"),
            "max-keys=7&list-type=2"
        );
        assert_eq!(query("GET", "/abc?bucketInfo"), "location=");
        assert_eq!(query("HEAD", "/abc/d?objectMeta"), "");
        assert_eq!(query("GET", "/abc/d?retention&other=1&Signature=x"), "");
        assert_eq!(
            query("POST", "/abc/d?uploads&encoding-type=url"),
            "uploads="
        );
        let uploads = query("GET", "/abc?uploads&encoding-type=url");
        assert_eq!(uploads, "uploads=&encoding-type=url");
    }
}
