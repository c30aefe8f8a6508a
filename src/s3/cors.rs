//! Browsers that ask on behalf of a page of another origin: the preflight, and what every answer to
//! such a page carries.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};

use super::context::Service;
use super::error::{Code, S3Error};
use super::head::{Head, header};
use super::reply::Reply;
use crate::name::BucketName;
use crate::store::StoreError;
use crate::store::settings::CorsRule;

const VARY: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
);
const NOT_ENABLED: &str = "CORSResponse: CORS is not enabled for this bucket.";
const NOT_ALLOWED: &str = "CORSResponse: This CORS request is not allowed. This is usually \
    because the evalution of Origin, request method / Access-Control-Request-Method or \
    Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.";

/// `OptionsObject`, which needs no proof of who is asking: a browser has none to give.
///
/// # Errors
/// `BadRequest` where it is no preflight, `AccessForbidden` where no rule allows what it is about.
pub async fn preflight(service: Arc<Service>, head: Head) -> Result<Reply, S3Error> {
    let Some(origin) = head.header("origin")? else {
        let message = "Insufficient information. Origin request header needed.";
        return Err(S3Error::because(Code::BadRequest, message));
    };
    let method = head.header("access-control-request-method")?;
    let forbidden = |message: &'static str, of: &'static str| {
        S3Error::because(Code::AccessForbidden, message)
            .with("Method", method.unwrap_or("OPTIONS"))
            .with("ResourceType", of)
    };
    let Some(bucket) = &head.target.bucket else {
        return Err(forbidden(NOT_ENABLED, "BUCKET"));
    };
    let bucket = match service.store.bucket(bucket).await {
        Err(StoreError::NoSuchBucket) => {
            return Err(forbidden("CORSResponse: Bucket not found", "BUCKET"));
        }
        found => found?,
    };
    if bucket.settings.cors.is_empty() {
        return Err(forbidden(NOT_ENABLED, "BUCKET"));
    }
    let Some(method) = method else {
        let message = "Invalid Access-Control-Request-Method: null";
        return Err(S3Error::because(Code::BadRequest, message));
    };
    let asked = asked_headers(&head.headers)?;
    let rule = matching(&bucket.settings.cors, origin, method, &asked);
    let rule = rule.ok_or_else(|| forbidden(NOT_ALLOWED, head.resource_type()))?;
    let mut reply = Reply::empty(StatusCode::OK);
    allow(&mut reply.headers, rule, origin)?;
    if !asked.is_empty() {
        let names = asked.join(", ").to_ascii_lowercase();
        reply = reply.with_header("access-control-allow-headers", &names)?;
    }
    Ok(reply)
}

/// The page that an answer is for, as its request says.
#[derive(Debug)]
pub(super) struct Page {
    bucket: BucketName,
    origin: String,
    method: String,
    asked: Vec<String>,
}

impl Page {
    /// The page of this request; none where no browser asks for one.
    pub(super) fn of(head: &Head) -> Option<Self> {
        let origin = head.header("origin").ok()??.to_owned();
        let method = head.header("access-control-request-method").ok()?;
        Some(Self {
            bucket: head.target.bucket.clone()?,
            origin,
            method: method.unwrap_or(head.method.as_str()).to_owned(),
            asked: asked_headers(&head.headers).ok()?,
        })
    }

    /// Lets the page see an answer, error or not, where a rule of the bucket allows it to.
    pub(super) async fn admit(&self, service: &Service, headers: &mut HeaderMap) {
        let Ok(bucket) = service.store.bucket(&self.bucket).await else {
            return;
        };
        let rules = &bucket.settings.cors;
        if let Some(rule) = matching(rules, &self.origin, &self.method, &self.asked) {
            // What can't stand in a header is left out: the browser then keeps the answer back.
            drop(allow(headers, rule, &self.origin));
        }
    }
}

/// The names in `Access-Control-Request-Headers`.
fn asked_headers(headers: &HeaderMap) -> Result<Vec<String>, S3Error> {
    let names = header(headers, "access-control-request-headers")?.unwrap_or_default();
    let names = names.split(',').map(str::trim);
    Ok(names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// The first rule that allows it.
fn matching<'r>(
    rules: &'r [CorsRule],
    origin: &str,
    method: &str,
    asked: &[String],
) -> Option<&'r CorsRule> {
    rules
        .iter()
        .find(|rule| rule.allows(origin, method, asked.iter().map(String::as_str)))
}

fn allow(headers: &mut HeaderMap, rule: &CorsRule, origin: &str) -> Result<(), S3Error> {
    let mut set = |name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value);
        let value = value.map_err(|_control| S3Error::new(Code::InvalidArgument))?;
        headers.insert(name, value);
        Ok::<(), S3Error>(())
    };
    if rule.allows_every_origin() {
        set("access-control-allow-origin", "*")?;
    } else {
        set("access-control-allow-origin", origin)?;
        set("access-control-allow-credentials", "true")?;
    }
    set(
        "access-control-allow-methods",
        &rule.allowed_methods.join(", "),
    )?;
    if !rule.expose_headers.is_empty() {
        set(
            "access-control-expose-headers",
            &rule.expose_headers.join(", "),
        )?;
    }
    if let Some(seconds) = rule.max_age_seconds {
        set("access-control-max-age", &seconds.to_string())?;
    }
    headers.insert(http::header::VARY, VARY);
    Ok(())
}
