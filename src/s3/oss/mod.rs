//! The dialect of Alibaba Cloud's OSS, over the same buckets and keys.
//!
//! A request is one or the other by what it carries, decided once and before anything else of it is
//! judged: [`is_asked`]. One in OSS's words is proved by OSS's signatures, then asked again in S3's
//! words ([`asked`]), run by the operations of S3, and answered in OSS's words again ([`answer`]).
//! Forms say in their fields what they are ([`form`]).
//!
//! **Invariant:** no operation of S3 knows of this dialect.

pub(super) mod answer;
mod asked;
mod callback;
mod expand;
mod form;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http_body::Body;

use self::asked::Asked;
use self::callback::{Done, Order};
use super::body::Payload;
use super::context::{Call, Service};
use super::error::{Code, S3Error};
use super::handle::{Admitted, serve};
use super::head::Head;
use super::learned::{Asked as AskedFor, Learned};
use super::prove::prove;
use super::reach::Arrival;
use super::reply::{BoxError, Reply};
use super::route::{Operation, Route, Serve};
use crate::auth::oss::{OssHead, authenticate, is_claimed};
use crate::auth::{Grant, Who};
use crate::id::RequestId;
use crate::name::{BucketName, ObjectKey};

pub(super) use self::form::post_object;

/// The door to app servers: what the dialect calls back through.
pub trait Callbacks: Send + Sync + fmt::Debug {
    /// Whether the operator lets this address be called.
    fn admits(&self, url: &str) -> bool;

    /// Posts `letter`, signed by the instance's own key. The answer is JSON that came with 200.
    ///
    /// # Errors
    /// What went wrong, in words for the uploader.
    fn post(&self, letter: Letter) -> BoxFuture<'_, Result<Bytes, String>>;

    /// The public half of that key, in PEM.
    fn public_key(&self) -> &str;
}

/// One message to an app server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The address, which is admitted.
    pub url: String,
    /// The `Host` to name instead of that of the address; admitted too.
    pub host: Option<String>,
    /// The type of its body.
    pub content_type: &'static str,
    /// Its body.
    pub body: Bytes,
    /// The request that it is about.
    pub id: RequestId,
    /// The bucket that it is about.
    pub bucket: String,
}

/// The operations that are answered in OSS's words; what S3 has beside these is refused by name.
const SERVED: &[Operation] = &[
    Operation::AbortMultipartUpload,
    Operation::CompleteMultipartUpload,
    Operation::CopyObject,
    Operation::CreateMultipartUpload,
    Operation::DeleteObject,
    Operation::DeleteObjects,
    Operation::GetBucketLocation,
    Operation::GetObject,
    Operation::HeadObject,
    Operation::ListMultipartUploads,
    Operation::ListObjects,
    Operation::ListObjectsV2,
    Operation::ListParts,
    Operation::PutObject,
    Operation::UploadPart,
    Operation::UploadPartCopy,
];

/// Whether the request speaks OSS's dialect, where that is spoken here: it carries a signature or an
/// option of OSS. A form is asked by its fields, later.
pub(super) fn is_asked(service: &Service, parts: &Parts) -> bool {
    let raw_query = parts.uri.query().unwrap_or_default();
    let option = |name: &http::HeaderName| name.as_str().starts_with("x-oss-");
    service.oss.is_some()
        && (is_claimed(&parts.headers, raw_query) || parts.headers.keys().any(option))
}

/// Answers a request in OSS's words.
///
/// # Errors
/// Those of the operation, in OSS's words too.
pub(super) async fn answer<B>(
    service: Arc<Service>,
    parts: &Parts,
    body: B,
    (id, peer): (RequestId, Option<SocketAddr>),
) -> Result<Reply, S3Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let host = Learned::arrival(parts);
    let host = host.map_or("", Arrival::authority).to_owned();
    let began = service.clock.now();
    let clock = Arc::clone(&service.clock);
    let answered = respond(service, parts, body, (id, peer)).await;
    let reply = answered.map_err(|error| error.told_in_oss(host))?;
    let ms = clock.now().since(began).as_millis();
    reply
        .with_header("x-oss-request-id", &id.to_string())?
        .with_header("x-oss-server-time", &ms.to_string())
}

async fn respond<B>(
    service: Arc<Service>,
    parts: &Parts,
    body: B,
    (id, peer): (RequestId, Option<SocketAddr>),
) -> Result<Reply, S3Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    refuse_mixture(parts)?;
    let head = Head::parse(parts, service.settings.reach.domains())?;
    let grant = proved(&service, &head, parts, peer)?;
    let asked = Asked::read(&head)?;
    let route = Route::of(&asked.head)?;
    Learned::asked_for(parts, AskedFor::Operation(route.operation));
    let Some(Serve::Head {
        action,
        honours,
        run,
    }) = route.serve.filter(|_| SERVED.contains(&route.operation))
    else {
        return Err(route.unsupported());
    };
    let order = asked
        .callback
        .as_ref()
        .map(|raw| Order::read(&service, raw, route.operation, grant.who()))
        .transpose()?
        .flatten();
    let idle = service.settings.body_idle;
    let headers = Arc::clone(&asked.head.headers);
    let payload = move |proof| Payload::new(body, headers, proof, idle);
    let told = asked.told(route.operation);
    let done = Done::of(&asked.head, id, peer);
    let admitted = Admitted {
        service: Arc::clone(&service),
        head: asked.head,
        grant,
        id,
        peer,
    };
    let served = serve(admitted, route, (action, honours, run), payload).await;
    let reply = served.map_err(|error| told.refusal(error))?;
    let reply = told.reply(&service, reply).await?;
    match order {
        Some(order) => order.carry_out(&service, done, reply).await,
        None => Ok(reply),
    }
}

fn proved(
    service: &Service,
    head: &Head,
    parts: &Parts,
    peer: Option<SocketAddr>,
) -> Result<Grant, S3Error> {
    let signed = OssHead {
        method: &head.method,
        bucket: head.target.bucket.as_ref().map(BucketName::as_str),
        key: head.target.key.as_ref().map(ObjectKey::as_str),
        raw_query: &head.raw_query,
        headers: &parts.headers,
        authority: head.arrival.authority(),
    };
    let settings = service.settings.auth();
    prove(
        service,
        (peer, &head.learned),
        |keys, now| authenticate(&signed, keys, &settings, now),
        |error, _now| error.into(),
    )
}

/// A request in both dialects would be proved in one and understood in the other.
fn refuse_mixture(parts: &Parts) -> Result<(), S3Error> {
    let of_s3 = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("x-amz-") || name == "awsaccesskeyid"
    };
    let header = parts.headers.keys().map(http::HeaderName::as_str);
    let query = super::query::Query::parse(parts.uri.query().unwrap_or_default())?;
    let mut names = header.chain(query.iter().map(|(name, _)| name));
    match names.find(|name| of_s3(name)) {
        Some(name) => Err(mixed(name)),
        None => Ok(()),
    }
}

fn mixed(name: &str) -> S3Error {
    let message = "A request can't speak the dialects of OSS and of S3 at once.";
    S3Error::because(Code::InvalidArgument, message).with("ArgumentName", name)
}

/// Who may not be named may not have an app server called in the server's name either.
fn check_known(who: &Who) -> Result<(), S3Error> {
    match who {
        Who::Key(_) => Ok(()),
        Who::Anonymous => Err(S3Error::because(
            Code::AccessDenied,
            "Only a signed request can ask for a callback.",
        )),
    }
}

/// What serves an operation of a head.
pub(super) type Served = (
    crate::auth::Action,
    &'static [&'static [&'static str]],
    fn(Call) -> BoxFuture<'static, Result<Reply, S3Error>>,
);
