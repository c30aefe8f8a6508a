//! AWS Signature Version 4 for URLs and forms, offline and without an SDK: some HMACs over some lines of text.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What S3 leaves unencoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Percent-encodes a value for a query, or one segment of a path.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The key that signs, and where it is valid.
pub struct Signer {
    /// Such as `http://127.0.0.1:9000`.
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    pub access_key: String,
    pub secret_key: String,
}

/// What a URL is good for.
#[derive(Default)]
pub struct Request<'a> {
    pub method: &'a str,
    pub key: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    /// Headers that must come just like that, by lower-case name, sorted.
    pub headers: &'a [(&'a str, &'a str)],
    pub seconds: u32,
}

impl Signer {
    /// A URL with which whoever has it may send this one request.
    pub fn presign(&self, request: &Request<'_>) -> String {
        let now = timestamp();
        let host = self.endpoint.split("://").nth(1).unwrap_or(&self.endpoint);
        let mut headers = request.headers.to_vec();
        headers.push(("host", host));
        headers.sort_unstable();
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");

        let credential = format!("{}/{}", self.access_key, self.scope(&now));
        let seconds = request.seconds.to_string();
        let mut query = request.query.to_vec();
        query.extend([
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &now),
            ("X-Amz-Expires", &seconds),
            ("X-Amz-SignedHeaders", &names),
        ]);
        query.sort_unstable();
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        let query = query.join("&");

        let path: Vec<_> = request.key.split('/').map(encode).collect();
        let path = format!("/{}/{}", self.bucket, path.join("/"));
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let canonical = format!(
            "{}\n{path}\n{query}\n{headers}\n{names}\nUNSIGNED-PAYLOAD",
            request.method
        );
        let digest = hex::encode(Sha256::digest(canonical));
        let text = format!("{ALGORITHM}\n{now}\n{}\n{digest}", self.scope(&now));
        let signature = self.signature(&now, &text);
        format!(
            "{}{path}?{query}&X-Amz-Signature={signature}",
            self.endpoint
        )
    }

    /// The address and the fields of a form. `fields` must come just like that, and the file have `bytes`.
    pub fn form(&self, key: &str, fields: &[(&str, &str)], bytes: i64, seconds: u32) -> Value {
        let now = timestamp();
        let credential = format!("{}/{}", self.access_key, self.scope(&now));
        let mut fields = fields.to_vec();
        fields.extend([
            ("key", key),
            ("x-amz-algorithm", ALGORITHM),
            ("x-amz-credential", &credential),
            ("x-amz-date", &now),
        ]);
        let mut conditions: Vec<_> = fields
            .iter()
            .map(|(name, value)| json!({*name: value}))
            .collect();
        conditions.push(json!({"bucket": self.bucket}));
        conditions.push(json!(["content-length-range", bytes, bytes]));
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds.into());
        let expiration = format!("{end:.3}");
        let policy = json!({"expiration": expiration, "conditions": conditions});
        let policy = STANDARD.encode(policy.to_string());
        let signature = self.signature(&now, &policy);
        fields.extend([("policy", policy.as_str()), ("x-amz-signature", &signature)]);
        let fields: serde_json::Map<_, _> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        json!({"url": format!("{}/{}", self.endpoint, self.bucket), "fields": fields})
    }

    fn scope(&self, now: &str) -> String {
        format!("{}/{}/s3/aws4_request", day(now), self.region)
    }

    fn signature(&self, now: &str, text: &str) -> String {
        let secret = format!("AWS4{}", self.secret_key);
        let steps = [day(now), &self.region, "s3", "aws4_request", text];
        let signed = steps
            .iter()
            .fold(secret.into_bytes(), |key, step| hmac(&key, step.as_bytes()));
        hex::encode(signed)
    }
}

/// HMAC-SHA256.
pub fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn timestamp() -> String {
    jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string()
}

fn day(timestamp: &str) -> &str {
    timestamp.split('T').next().unwrap_or(timestamp)
}
