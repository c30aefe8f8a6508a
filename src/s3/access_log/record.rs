//! One record, in each of its forms.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html>

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderName, Method};
use serde_json::json;

use super::visit::Visit;
use crate::auth::AccessKey;
use crate::auth::canonical::encode;
use crate::clock::whole_ms;
use crate::id::host_id;
use crate::s3::learned::Asked;

/// What is known of a request when the head of its answer is ready.
#[derive(Debug, Clone, Copy)]
pub(in crate::s3) struct Answered<'a> {
    /// Whose key signed it.
    pub(in crate::s3) by: Option<&'a AccessKey>,
    /// What it asked for.
    pub(in crate::s3) asked: Asked,
    pub(in crate::s3) status: u16,
    /// S3's code, where it failed.
    pub(in crate::s3) code: Option<&'static str>,
    /// The answer's headers.
    pub(in crate::s3) headers: &'a HeaderMap,
    /// Bytes of its body that came.
    pub(in crate::s3) received: u64,
    /// Bytes of the answer's body that are to be sent.
    pub(in crate::s3) due: u64,
    /// From the last byte that came to the first of the answer.
    pub(in crate::s3) turn_around: Duration,
}

/// In which form records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordForm {
    /// That of S3's server access logs.
    Aws,
    /// One JSON object a line.
    Json,
    /// That of web servers: "combined".
    Combined,
}

/// What there is to tell of a request that is over but for its last bytes.
#[derive(Debug)]
pub struct Record {
    visit: Visit,
    owner: Option<String>,
    requester: Option<String>,
    access_key: Option<String>,
    asked: String,
    status: u16,
    code: Option<&'static str>,
    received: u64,
    object_bytes: Option<u64>,
    version_id: Option<String>,
    turn_around: Duration,
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Bytes of the answer's body that went out.
    pub sent: u64,
    /// From the first byte that came to the last that went.
    pub time: Duration,
}

impl Record {
    /// That of `visit`, in a bucket of `owner`.
    pub(in crate::s3) fn of(visit: Visit, owner: Option<String>, answered: &Answered<'_>) -> Self {
        let sent_version = || {
            let sent = answered.headers.get("x-amz-version-id")?;
            sent.to_str().ok().map(str::to_owned)
        };
        Self {
            object_bytes: object_bytes(&visit, answered),
            version_id: visit.version_id.clone().or_else(sent_version),
            visit,
            owner,
            requester: answered.by.map(|key| key.owner.clone()),
            access_key: answered.by.map(|key| key.access_key.clone()),
            asked: answered.asked.name(),
            status: answered.status,
            code: answered.code,
            received: answered.received,
            turn_around: answered.turn_around,
        }
    }

    /// The record in this form, with its end of line.
    pub fn line(&self, form: RecordForm, ended: Ended) -> String {
        let mut line = match form {
            RecordForm::Aws => {
                return dash(self.owner.as_deref()) + &self.behind_owner(ended);
            }
            RecordForm::Json => self.json(ended),
            RecordForm::Combined => self.combined(ended),
        };
        line.push('\n');
        line
    }

    /// What in a line of AWS's form follows the bucket's owner, with its end of line.
    pub(super) fn behind_owner(&self, ended: Ended) -> String {
        let visit = &self.visit;
        let (signature, way) = visit.signed.unwrap_or(("-", "-"));
        let quote = |text: &Option<String>| quoted(text.as_deref().unwrap_or("-"));
        let fields = [
            // The owner ends here.
            String::new(),
            dash(visit.bucket.as_ref().map(crate::name::BucketName::as_str)),
            format!("[{}]", visit.at.log_date()),
            dash(visit.peer.map(|peer| peer.to_string()).as_deref()),
            dash(self.requester.as_deref()),
            visit.id.to_string(),
            word(&visit.operation),
            dash(visit.key.as_deref()),
            quoted(&self.request_line()),
            self.status.to_string(),
            dash(self.code),
            number((ended.sent > 0).then_some(ended.sent)),
            number(self.object_bytes),
            ended.time.as_millis().to_string(),
            self.turn_around.as_millis().to_string(),
            quote(&visit.referer),
            quote(&visit.user_agent),
            dash(self.version_id.as_deref()),
            host_id(visit.id),
            signature.to_owned(),
            // The cipher of TLS.
            "-".to_owned(),
            way.to_owned(),
            dash(visit.host.as_deref()),
            // TLS, an access point, whether a list was needed.
            "-".to_owned(),
            "-".to_owned(),
            "-".to_owned(),
        ];
        let mut line = fields.join(" ");
        line.push('\n');
        line
    }

    fn json(&self, ended: Ended) -> String {
        let visit = &self.visit;
        json!({
            "time": visit.at.iso8601_ms(),
            "request_id": visit.id.to_string(),
            "host_id": host_id(visit.id),
            "remote_ip": visit.peer.map(|peer| peer.to_string()),
            "requester": self.requester,
            "access_key": self.access_key,
            "operation": self.asked,
            "bucket": visit.bucket.as_ref().map(crate::name::BucketName::as_str),
            "bucket_owner": self.owner,
            "key": visit.key,
            "version_id": self.version_id,
            "method": visit.method.as_str(),
            "uri": visit.uri,
            "http_version": format!("{:?}", visit.version),
            "status": self.status,
            "error_code": self.code,
            "bytes_received": self.received,
            "bytes_sent": ended.sent,
            "object_size": self.object_bytes,
            "total_ms": whole_ms(ended.time),
            "turn_around_ms": whole_ms(self.turn_around),
            "referer": visit.referer,
            "user_agent": visit.user_agent,
            "host": visit.host,
            "signature_version": visit.signed.map(|(version, _)| version),
            "authentication_type": visit.signed.map(|(_, way)| way),
            "scheme": visit.scheme,
        })
        .to_string()
    }

    fn combined(&self, ended: Ended) -> String {
        let visit = &self.visit;
        let quote = |text: &Option<String>| quoted(text.as_deref().unwrap_or("-"));
        let fields = [
            dash(visit.peer.map(|peer| peer.to_string()).as_deref()),
            "-".to_owned(),
            dash(self.requester.as_deref()),
            format!("[{}]", visit.at.log_date()),
            quoted(&self.request_line()),
            self.status.to_string(),
            ended.sent.to_string(),
            quote(&visit.referer),
            quote(&visit.user_agent),
        ];
        fields.join(" ")
    }

    fn request_line(&self) -> String {
        let visit = &self.visit;
        format!("{} {} {:?}", visit.method, visit.uri, visit.version)
    }
}

/// The bytes of the whole object, where the request moved any of it.
fn object_bytes(visit: &Visit, answered: &Answered<'_>) -> Option<u64> {
    if visit.key.is_none() || answered.code.is_some() {
        return None;
    }
    let text = |name: HeaderName| answered.headers.get(name)?.to_str().ok();
    match visit.method {
        Method::PUT => Some(answered.received),
        Method::GET | Method::HEAD => match text(CONTENT_RANGE) {
            Some(range) => range.rsplit_once('/')?.1.parse().ok(),
            None => text(CONTENT_LENGTH)
                .and_then(|len| len.parse().ok())
                .or(Some(answered.due)),
        },
        _ => None,
    }
}

fn dash(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), word)
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// What a client sent must not end a field or a record.
fn quoted(text: &str) -> String {
    format!("\"{}\"", without(text, |char| matches!(char, '"' | '\\')))
}

fn word(text: &str) -> String {
    without(text, |char| {
        matches!(char, '"' | '\\' | '[' | ']') || char.is_whitespace()
    })
}

fn without(text: &str, ends: impl Fn(char) -> bool) -> String {
    let chars = text.chars().map(|char| {
        // Some readers take these two for ends of lines.
        if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') || ends(char) {
            encode(char.to_string().as_bytes(), false)
        } else {
            char.to_string()
        }
    });
    chars.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;
    use crate::id::RequestId;

    #[test]
    fn nobody_writes_a_record_by_a_header() {
        assert_eq!(quoted("a\" 200\nb\\"), "\"a%22 200%0Ab%5C\"");
        assert_eq!(word("a b\n"), "a%20b%0A");
    }

    fn record(uri: &str, referer: &[u8], agent: &[u8], host: &[u8]) -> Record {
        let mut request = http::Request::get(uri);
        for (name, value) in [("referer", referer), ("user-agent", agent), ("host", host)] {
            if let Ok(value) = http::HeaderValue::from_bytes(value) {
                request = request.header(name, value);
            }
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let now = (RequestId::random(), Timestamp::from_unix_s(0));
        let visit = Visit::of(&parts, (&[], &[]), now, None);
        let answered = Answered {
            by: None,
            asked: Asked::Operation(crate::s3::Operation::GetObject),
            status: 200,
            code: None,
            headers: &HeaderMap::new(),
            received: 1,
            due: 2,
            turn_around: Duration::from_millis(3),
        };
        Record::of(visit, Some("me".to_owned()), &answered)
    }

    const ENDED: Ended = Ended {
        sent: 2,
        time: Duration::from_millis(4),
    };

    /// The fields of a line: by spaces, save those within quotes and brackets.
    fn fields(line: &str) -> Vec<String> {
        let (mut fields, mut open) = (vec![String::new()], None);
        for char in line.chars() {
            match (open, char) {
                (None, ' ') => fields.push(String::new()),
                (None, '"') => open = Some('"'),
                (None, '[') => open = Some(']'),
                (Some(end), char) if end == char => open = None,
                (_, char) => fields.last_mut().unwrap().push(char),
            }
        }
        assert_eq!(open, None, "{line}");
        fields
    }

    #[test]
    fn each_form_has_its_fields_in_their_order() {
        let record = record("/bkt/a%20b?versionId=v", b"r", b"an agent", b"h");
        let aws = fields(record.line(RecordForm::Aws, ENDED).trim_end());
        assert_eq!(aws.len(), 26);
        assert_eq!(aws[0..2], ["me", "bkt"]);
        assert_eq!(
            aws[6..15],
            [
                "REST.GET.OBJECT",
                "a%20b",
                "GET /bkt/a%20b?versionId=v HTTP/1.1",
                "200",
                "-",
                "2",
                "2",
                "4",
                "3"
            ]
        );
        assert_eq!(aws[15..18], ["r", "an agent", "v"]);
        let combined = fields(record.line(RecordForm::Combined, ENDED).trim_end());
        assert_eq!(combined.len(), 9);
        let json: serde_json::Value =
            serde_json::from_str(&record.line(RecordForm::Json, ENDED)).unwrap();
        for (name, value) in [
            ("operation", json!("GetObject")),
            ("bucket", json!("bkt")),
            ("bytes_received", json!(1)),
            ("bytes_sent", json!(2)),
            ("total_ms", json!(4)),
            ("turn_around_ms", json!(3)),
            ("user_agent", json!("an agent")),
            ("requester", json!(null)),
        ] {
            assert_eq!(json[name], value, "{name}");
        }
    }

    proptest! {
        /// Whatever a client sends: one line, with as many fields as ever.
        #[test]
        fn a_request_is_one_line_of_the_same_fields(
            path in "[!-~]{0,40}",
            sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 3),
        ) {
            let uri = format!("/{path}");
            prop_assume!(uri.parse::<http::Uri>().is_ok());
            let record = record(&uri, &sent[0], &sent[1], &sent[2]);
            for (form, count) in [(RecordForm::Aws, 26), (RecordForm::Combined, 9)] {
                let line = record.line(form, ENDED);
                let text = line.strip_suffix('\n').unwrap();
                prop_assert!(!text.contains(char::is_control), "{text:?}");
                prop_assert_eq!(fields(text).len(), count, "{}", text);
            }
            let line = record.line(RecordForm::Json, ENDED);
            prop_assert!(!line.trim_end().contains('\n'));
            let json: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&json["status"], &json!(200));
        }
    }
}
