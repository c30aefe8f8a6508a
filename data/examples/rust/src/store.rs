//! What is asked of Consign: URLs for the browser, and a few requests of our own, which use such URLs too.

use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::sign::{Request, Signer, encode};

const PARTS_MAX: i64 = 10_000;
const OWN_SECONDS: u32 = 60;

/// A bucket in Consign.
pub struct Store {
    pub signer: Signer,
    pub http: reqwest::Client,
    /// Bytes of each part but the last; S3 wants 5 MiB at least.
    pub part_bytes: i64,
}

/// A part that is there.
pub struct Part {
    pub number: i64,
    pub size: i64,
    etag: String,
}

impl Store {
    pub fn part_bytes(&self, size: i64) -> i64 {
        self.part_bytes.max((size + PARTS_MAX - 1) / PARTS_MAX)
    }

    /// How many bytes the part of this number has; none where there is no such part.
    pub fn bytes_of_part(&self, size: i64, part: i64) -> Option<i64> {
        let each = self.part_bytes(size);
        let before = part.checked_sub(1)?.checked_mul(each)?;
        (0..size).contains(&before).then(|| each.min(size - before))
    }

    /// A header that is signed must come as it was signed: this is what bounds a presigned PUT.
    pub fn put_url(&self, key: &str, mime: &str, size: i64, seconds: u32) -> Value {
        let size = size.to_string();
        let headers = [("content-length", size.as_str()), ("content-type", mime)];
        let url = self.signer.presign(&Request {
            method: "PUT",
            key,
            // Consign's own: the URL is good for one upload. S3 does not know it, and ignores it.
            query: &[("x-consign-once", "1")],
            headers: &headers,
            seconds,
        });
        json!({"url": url, "headers": {"content-type": mime}})
    }

    pub fn post_policy(&self, key: &str, mime: &str, size: i64, seconds: u32) -> Value {
        let fields = [
            ("Content-Type", mime),
            ("success_action_status", "201"),
            ("x-consign-once", "1"),
        ];
        self.signer.form(key, &fields, size, seconds)
    }

    pub fn create_url(&self, key: &str, mime: &str, seconds: u32) -> Value {
        let url = self.signer.presign(&Request {
            method: "POST",
            key,
            query: &[("uploads", "")],
            headers: &[("content-type", mime)],
            seconds,
        });
        json!({"url": url, "headers": {"content-type": mime}})
    }

    pub fn part_url(&self, about: (&str, &str), part: i64, bytes: i64, seconds: u32) -> Value {
        let (key, upload_id) = about;
        let (part, bytes) = (part.to_string(), bytes.to_string());
        let url = self.signer.presign(&Request {
            method: "PUT",
            key,
            query: &[("partNumber", &part), ("uploadId", upload_id)],
            headers: &[("content-length", &bytes)],
            seconds,
        });
        json!({"url": url})
    }

    /// A URL to list (`GET`), complete (`POST`) or abort (`DELETE`) an upload.
    pub fn upload_url(&self, method: &str, key: &str, upload_id: &str, seconds: u32) -> String {
        self.signer.presign(&Request {
            method,
            key,
            query: &[("uploadId", upload_id)],
            seconds,
            ..Request::default()
        })
    }

    pub fn download_url(&self, key: &str, name: &str, seconds: u32) -> String {
        // Always a download: a page that somebody uploaded never runs.
        let disposition = format!("attachment; filename*=UTF-8''{}", encode(name));
        self.signer.presign(&Request {
            method: "GET",
            key,
            query: &[("response-content-disposition", &disposition)],
            seconds,
            ..Request::default()
        })
    }

    pub async fn create_multipart(&self, key: &str, mime: &str) -> Result<String, Refusal> {
        let about = self.create_url(key, mime, OWN_SECONDS);
        let url = about["url"].as_str().unwrap_or_default();
        let answer = self.http.post(url).header("content-type", mime);
        let xml = answered(answer).await?;
        let id = text_of(&xml, "UploadId");
        id.ok_or_else(|| Refusal::store("it named no upload", None, None))
    }

    pub async fn list_parts(&self, key: &str, upload_id: &str) -> Result<Vec<Part>, Refusal> {
        let mut parts = Vec::new();
        let mut marker = "0".to_owned();
        loop {
            let url = self.signer.presign(&Request {
                method: "GET",
                key,
                query: &[("uploadId", upload_id), ("part-number-marker", &marker)],
                seconds: OWN_SECONDS,
                ..Request::default()
            });
            let xml = answered(self.http.get(url)).await?;
            parts.extend(xml.split("<Part>").skip(1).filter_map(part_of));
            if text_of(&xml, "IsTruncated").as_deref() != Some("true") {
                return Ok(parts);
            }
            marker = text_of(&xml, "NextPartNumberMarker").unwrap_or_default();
        }
    }

    pub async fn complete(&self, key: &str, id: &str, parts: &[Part]) -> Result<(), Refusal> {
        let url = self.upload_url("POST", key, id, OWN_SECONDS);
        let parts: String = parts
            .iter()
            .map(|Part { number, etag, .. }| {
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
            })
            .collect();
        let list = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let xml = answered(self.http.post(url).body(list)).await?;
        // A completion that fails late has the status 200 nonetheless.
        if xml.contains("<Error>") {
            return Err(refused(&xml));
        }
        Ok(())
    }

    pub async fn abort(&self, key: &str, upload_id: &str) -> Result<(), Refusal> {
        let url = self.upload_url("DELETE", key, upload_id, OWN_SECONDS);
        match answered(self.http.delete(url)).await {
            // Already gone, which is what was wanted.
            Err(refusal) if refusal.s3_code() == Some("NoSuchUpload") => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

async fn answered(request: reqwest::RequestBuilder) -> Result<String, Refusal> {
    let failed = |error: reqwest::Error| {
        eprintln!("{}", error.without_url()); // which is a secret while it is valid
        Refusal::store("it can't be reached", None, None)
    };
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let xml = answer.text().await.map_err(failed)?;
    if status.is_success() {
        Ok(xml)
    } else {
        Err(refused(&xml))
    }
}

fn refused(xml: &str) -> Refusal {
    let message = text_of(xml, "Message").unwrap_or_default();
    Refusal::store(&message, text_of(xml, "Code"), text_of(xml, "RequestId"))
}

fn part_of(xml: &str) -> Option<Part> {
    Some(Part {
        number: text_of(xml, "PartNumber")?.parse().ok()?,
        size: text_of(xml, "Size")?.parse().ok()?,
        // As it is escaped, since it goes back into XML.
        etag: text_of(xml, "ETag")?,
    })
}

/// The text of the first element of this name. Enough for S3's answers, which repeat no name that is asked for here.
fn text_of(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.to_owned())
}
