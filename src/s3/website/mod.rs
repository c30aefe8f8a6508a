//! Buckets as websites: what a browser gets at `BUCKET.` before one of the website's own domains.
//! Nobody signs; every object is asked for as by anybody.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteEndpoints.html>

mod page;

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use super::access::Caller;
use super::body::{Payload, Proof};
use super::context::{Call, Service};
use super::error::{Code, S3Error};
use super::head::Head;
use super::ops::get;
use super::query::Query;
use super::reply::Reply;
use super::target::bucket_under;
use crate::auth::constraint::{Duties, refuse_unsigned_query};
use crate::auth::{Action, Who};
use crate::id::RequestId;
use crate::name::ObjectKey;
use crate::store::settings::{RoutingRule, Website};

/// Headers that choose among what an object has; an error's page is always sent whole.
const CHOOSING: [&str; 6] = [
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
];

/// Whether the request came to a website's own host.
pub(super) fn is_asked(service: &Service, parts: &Parts) -> bool {
    let domains = service.settings.reach.website_domains();
    let arrival = super::head::arrival(parts).ok();
    arrival.is_some_and(|arrival| bucket_under(arrival.authority(), domains).is_some())
}

/// Answers it; an error is a page too.
pub(super) async fn answer(
    service: &Arc<Service>,
    parts: &Parts,
    id: RequestId,
    peer: Option<SocketAddr>,
) -> Reply {
    let visit = match Visit::of(service, parts, id, peer) {
        Ok(visit) => visit,
        Err(error) => return page::of(&error, None, id),
    };
    match visit.serve().await {
        Ok(reply) => reply,
        Err(error) => visit.explain(error).await,
    }
}

/// One request for a page.
struct Visit<'a> {
    service: &'a Arc<Service>,
    head: Head,
    id: RequestId,
    peer: Option<SocketAddr>,
    /// The path without its first `/`.
    path: String,
}

impl<'a> Visit<'a> {
    fn of(
        service: &'a Arc<Service>,
        parts: &Parts,
        id: RequestId,
        peer: Option<SocketAddr>,
    ) -> Result<Self, S3Error> {
        let mut head = Head::parse(parts, service.settings.reach.website_domains())?;
        refuse_unsigned_query(&head.raw_query)?;
        // Options are S3's, not a website's.
        head.query = Query::default();
        head.raw_query.clear();
        let key = head.target.key.take();
        let path = key.map_or_else(String::new, |key| key.as_str().to_owned());
        Ok(Self {
            service,
            head,
            id,
            peer,
            path,
        })
    }

    async fn website(&self) -> Result<Website, S3Error> {
        let name = self.head.bucket()?;
        let bucket = self.service.store.bucket(name).await;
        let named = |error: S3Error| error.with("BucketName", name.as_str());
        let bucket = bucket.map_err(|error| {
            let error = S3Error::from(error);
            match error.code() {
                Code::NoSuchBucket => named(error),
                _ => error,
            }
        })?;
        let missing = || named(Code::NoSuchWebsiteConfiguration.into());
        bucket.settings.website.clone().ok_or_else(missing)
    }

    async fn serve(&self) -> Result<Reply, S3Error> {
        if !matches!(self.head.method, Method::GET | Method::HEAD) {
            return Err(S3Error::new(Code::MethodNotAllowed)
                .with("Method", self.head.method.as_str())
                .with("ResourceType", "OBJECT"));
        }
        let website = self.website().await?;
        if let Some((host, protocol)) = &website.redirect_all {
            let protocol = protocol.as_deref().unwrap_or("http");
            let to = format!("{protocol}://{host}{}", self.head.arrival.raw_path());
            return redirect(StatusCode::MOVED_PERMANENTLY, &to);
        }
        let mut rules = website.rules.iter();
        if let Some(rule) = rules.find(|rule| rule.is_for(&self.path, None)) {
            return self.routed(rule);
        }
        let index = website.index.as_deref().unwrap_or_default();
        if self.path.is_empty() || self.path.ends_with('/') {
            return self.object(&format!("{}{index}", self.path)).await;
        }
        match self.object(&self.path).await {
            Err(error) if matches!(error.code(), Code::NoSuchKey | Code::AccessDenied) => {
                let folder = format!("{}/{index}", self.path);
                match self.object(&folder).await {
                    Ok(_there) => redirect(
                        StatusCode::FOUND,
                        &format!("{}/", self.head.arrival.raw_path()),
                    ),
                    Err(_neither) => Err(error),
                }
            }
            answered => answered,
        }
    }

    fn routed(&self, rule: &RoutingRule) -> Result<Reply, S3Error> {
        let ours = if self.head.arrival.is_secure() {
            "https"
        } else {
            "http"
        };
        let protocol = rule.protocol.as_deref().unwrap_or(ours);
        let host = rule.host.as_deref();
        let host = host.unwrap_or_else(|| self.head.arrival.authority());
        let key = crate::auth::canonical::encode(rule.new_key(&self.path).as_bytes(), true);
        let code = rule.code.and_then(|code| StatusCode::from_u16(code).ok());
        let code = code.unwrap_or(StatusCode::MOVED_PERMANENTLY);
        redirect(code, &format!("{protocol}://{host}/{key}"))
    }

    /// The object of that key, as anybody may have it, or where it says to go.
    async fn object(&self, key: &str) -> Result<Reply, S3Error> {
        let mut head = self.head.clone();
        head.target.key = Some(
            ObjectKey::parse(key)
                .map_err(|_long| S3Error::new(Code::NoSuchKey).with("Key", key))?,
        );
        moved(self.read(head).await?)
    }

    async fn read(&self, head: Head) -> Result<Reply, S3Error> {
        let who = Who::Anonymous;
        let key = head.key()?.as_str().to_owned();
        let caller = Caller {
            service: self.service,
            who: &who,
            head: &head,
            peer: self.peer,
            signature: None,
        };
        let bucket = Some(head.bucket()?);
        caller.may(Action::GetObject, bucket, Some(&key)).await?;
        let nothing = http_body_util::Empty::<bytes::Bytes>::new();
        let idle = self.service.settings.body_idle;
        let body = Payload::new(nothing, head.headers.clone(), Proof::Unsigned, idle);
        get::get_object(Call {
            service: Arc::clone(self.service),
            head,
            who,
            body,
            id: self.id,
            peer: self.peer,
            signature: None,
            duties: Duties::default(),
        })
        .await
    }

    /// What is said of an error: a rule's redirect, the website's own page, or S3's.
    async fn explain(&self, error: S3Error) -> Reply {
        let (_, status) = error.code().wire();
        let website = match self.website().await {
            Ok(website) if status.is_client_error() => website,
            _ => return page::of(&error, None, self.id),
        };
        let mut rules = website.rules.iter();
        let failed = Some(status.as_u16());
        let rule = rules.find(|rule| rule.is_for(&self.path, failed));
        if let Some(Ok(reply)) = rule.map(|rule| self.routed(rule)) {
            return reply;
        }
        let Some(key) = &website.error else {
            return page::of(&error, None, self.id);
        };
        match self.error_page(key).await.and_then(moved) {
            Ok(reply) if reply.status.is_redirection() => reply,
            Ok(reply) => page::described(reply.with_status(status), &error),
            Err(second) => page::of(&error, Some((key, &second)), self.id),
        }
    }

    async fn error_page(&self, key: &str) -> Result<Reply, S3Error> {
        let mut head = self.head.clone();
        for name in CHOOSING {
            Arc::make_mut(&mut head.headers).remove(name);
        }
        let no_key = |_long| S3Error::new(Code::NoSuchKey);
        head.target.key = Some(ObjectKey::parse(key).map_err(no_key)?);
        self.read(head).await
    }
}

/// An object, or where it says to go.
fn moved(reply: Reply) -> Result<Reply, S3Error> {
    match reply.headers.get("x-amz-website-redirect-location") {
        Some(to) => {
            let to = to.to_str().unwrap_or("/").to_owned();
            redirect(StatusCode::MOVED_PERMANENTLY, &to)
        }
        None => Ok(reply),
    }
}

fn redirect(status: StatusCode, to: &str) -> Result<Reply, S3Error> {
    let mut reply = Reply::empty(status);
    let to = HeaderValue::from_str(to).map_err(S3Error::internal)?;
    reply.headers.insert(LOCATION, to);
    reply.headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    Ok(reply)
}
