//! The text that a request's signature is over.
//!
//! Its lines are divided by nothing but their ends, and its last part by `&` and `=`: what could pose
//! as another line is refused before it gets here ([`super::request`]).

use std::collections::BTreeMap;

use http::HeaderName;

use crate::auth::SignedHead;
use crate::auth::canonical::{self, Pairs};

/// Parameters that turn a request into one about something else, or that change its answer: each is
/// signed. Older lists are shorter, but a parameter that is not in this list must not choose an
/// operation: who holds a URL could turn it into another one.
pub const SUB_RESOURCES: &[&str] = &[
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "retention",
    "select",
    "select-type",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// What is signed. `date` is the line of the date: that of a query's `Expires`, or of a header.
///
/// Where the path is a bucket's and nothing else, some clients sign it with a slash at its end, and
/// send it without one: that is the second text.
pub(super) fn strings_to_sign(
    head: &SignedHead<'_>,
    pairs: &Pairs<'_>,
    date: &str,
) -> (String, Option<String>) {
    let text = |path: &str| string_to_sign(head, pairs, date, path);
    match head.path.strip_prefix('/') {
        Some(bucket) if head.bucket.is_none() && !bucket.is_empty() && !bucket.contains('/') => {
            (text(head.path), Some(text(&format!("/{bucket}/"))))
        }
        Some(_path) => (text(head.path), None),
        None => (text("/"), None),
    }
}

fn string_to_sign(head: &SignedHead<'_>, pairs: &Pairs<'_>, date: &str, path: &str) -> String {
    let plain = |name: &str| header(head, name).unwrap_or_default();
    format!(
        "{}\n{}\n{}\n{date}\n{}{}",
        head.method,
        plain("content-md5"),
        plain("content-type"),
        amz_headers(head, pairs),
        resource(head, pairs, path)
    )
}

/// A header's values, trimmed and joined; runs of spaces within them stay as they are.
pub(super) fn header(head: &SignedHead<'_>, name: &str) -> Option<String> {
    let values = head.headers.get_all(name).iter();
    let values: Vec<String> = values
        .map(|value| canonical::text(value.as_bytes()).trim().to_owned())
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// One line for each `x-amz-*` header. Those in the query are headers too, as SDKs put them there.
fn amz_headers(head: &SignedHead<'_>, pairs: &Pairs<'_>) -> String {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in pairs {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if name.starts_with("x-amz-") {
            let value = String::from_utf8_lossy(value).trim().to_owned();
            lines.entry(name).or_default().push(value);
        }
    }
    let sent = head.headers.keys().map(HeaderName::as_str);
    for name in sent.filter(|name| name.starts_with("x-amz-")) {
        // What came as a header counts, and what the query says of it does not.
        let value = header(head, name).unwrap_or_default();
        lines.insert(name.to_owned(), vec![value]);
    }
    let lines = lines
        .iter()
        .map(|(name, values)| format!("{name}:{}\n", values.join(",")));
    lines.collect()
}

/// The bucket of the host, the path as it was sent, and the sub-resources.
fn resource(head: &SignedHead<'_>, pairs: &Pairs<'_>, path: &str) -> String {
    let bucket = head.bucket.map(|bucket| format!("/{bucket}"));
    let mut named: Vec<(&str, String)> = pairs
        .iter()
        .filter_map(|(name, value)| {
            let known = |known: &&&str| *known.as_bytes() == **name;
            let name = SUB_RESOURCES.iter().find(known)?;
            Some((*name, String::from_utf8_lossy(value).into_owned()))
        })
        .collect();
    named.sort_by_key(|(name, _)| *name);
    let named: Vec<String> = named
        .into_iter()
        .map(|(name, value)| match value.as_str() {
            "" => name.to_owned(),
            value => format!("{name}={value}"),
        })
        .collect();
    let mark = if named.is_empty() { "" } else { "?" };
    format!(
        "{}{path}{mark}{}",
        bucket.unwrap_or_default(),
        named.join("&")
    )
}
