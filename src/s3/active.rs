//! Objects that browsers would run: what a stranger uploaded must not act in the name of what else is
//! served from the same origin.
//!
//! A path names the bucket: then all buckets, and the server's own pages, have one origin. There, a
//! document that could hold scripts is sandboxed: it runs, but as an origin of its own, which nothing
//! shares. A bucket's own host is an origin of its own already, and what is a website is meant to be one.
//! <https://www.w3.org/TR/CSP3/#directive-sandbox>

use http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use super::context::Service;
use super::learned::Learned;
use super::reach::Arrival;
use super::target::{bucket_of_host, bucket_under};

/// Scripts run and links open, all without the origin's name: no storage, no cookies, no reading of others.
const SANDBOX: &str = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts";

/// What becomes of documents that could hold scripts, where they share an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ActiveContent {
    /// They are shown, as an origin of their own.
    #[default]
    Sandbox,
    /// They are saved, not shown.
    Attachment,
    /// They are shown as on S3.
    Allow,
}

/// Whose origin an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// That of every bucket, and of the server.
    Shared,
    /// That of one bucket.
    Bucket,
    /// That of a website.
    Website,
}

impl Origin {
    /// The origin of the answer to a request.
    pub(super) fn of(service: &Service, parts: &Parts) -> Self {
        let (reach, sent) = (&service.settings.reach, Learned::arrival(parts));
        let authority = sent.map_or("", Arrival::authority);
        if bucket_under(authority, reach.website_domains()).is_some() {
            Self::Website
        } else if bucket_of_host(authority, reach.domains()).is_some() {
            Self::Bucket
        } else {
            Self::Shared
        }
    }
}

/// Adds what keeps a browser from taking an answer for more than it is.
pub(super) fn tame(headers: &mut HeaderMap, origin: Origin, setting: ActiveContent) {
    if origin == Origin::Website {
        return;
    }
    // What is called an image must not be read as a page.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if origin != Origin::Shared || !kind.is_some_and(may_be_active) {
        return;
    }
    match setting {
        ActiveContent::Allow => {}
        ActiveContent::Sandbox => {
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
        }
        ActiveContent::Attachment => {
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
            headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        }
    }
}

/// Whether a browser may find scripts in a document of that type. Of a type that is none it may think
/// anything.
fn may_be_active(kind: &[u8]) -> bool {
    let kind = kind.to_ascii_lowercase();
    let kind = String::from_utf8_lossy(&kind);
    let essence = kind.split([';', ',']).next().unwrap_or_default().trim();
    let Some((class, name)) = essence.split_once('/') else {
        return true;
    };
    let named = ["html", "xml", "svg", "xsl", "script", "mathml"];
    // So short a name is read sooner than a search for its parts is prepared.
    let is_in = |part: &str| {
        let mut places = name.as_bytes().windows(part.len());
        places.any(|place| place == part.as_bytes())
    };
    matches!(class, "multipart" | "message")
        || named.into_iter().any(is_in)
        // Two types in one header: which one counts is the browser's guess.
        || kind.contains(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tamed(kind: &'static str, origin: Origin, setting: ActiveContent) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        tame(&mut headers, origin, setting);
        headers
    }

    #[test]
    fn what_could_hold_scripts_is_sandboxed_where_an_origin_is_shared() {
        for (kind, active) in [
            ("text/html", true),
            ("Text/HTML; charset=utf-8", true),
            ("image/svg+xml", true),
            ("application/xhtml+xml", true),
            ("application/xml", true),
            ("text/xsl", true),
            ("text/javascript", true),
            ("multipart/x-mixed-replace", true),
            ("image/png, text/html", true),
            ("nonsense", true),
            ("", true),
            ("image/png", false),
            ("application/pdf", false),
            ("binary/octet-stream", false),
            ("text/plain", false),
            ("application/json", false),
        ] {
            let headers = tamed(kind, Origin::Shared, ActiveContent::Sandbox);
            let sandboxed = headers.contains_key(CONTENT_SECURITY_POLICY);
            assert_eq!(sandboxed, active, "{kind}");
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        }
    }

    #[test]
    fn an_origin_of_its_own_needs_no_sandbox() {
        let of = |origin, setting| tamed("text/html", origin, setting);
        for setting in [ActiveContent::Sandbox, ActiveContent::Attachment] {
            let headers = of(Origin::Bucket, setting);
            assert!(!headers.contains_key(CONTENT_SECURITY_POLICY));
            assert!(headers.contains_key(X_CONTENT_TYPE_OPTIONS));
            let headers = of(Origin::Website, setting);
            assert_eq!(headers.len(), 1, "{headers:?}");
        }
        let saved = of(Origin::Shared, ActiveContent::Attachment);
        assert_eq!(saved[CONTENT_DISPOSITION], "attachment");
        let allowed = of(Origin::Shared, ActiveContent::Allow);
        assert!(!allowed.contains_key(CONTENT_SECURITY_POLICY));
    }
}
