//! The server's own paths: its health and its administration.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, StatusCode};

use super::admin;
use super::body::{Payload, Proof};
use super::context::Service;
use super::door::Door;
use super::error::{Code, S3Error};
use super::handle::authenticate_by;
use super::head::{self, Head};
use super::learned::{Asked, Learned};
use super::numbers;
use super::reach::Arrival;
use super::reply::{Reply, ReplyBody};
use super::target::bucket_of_host;
use crate::auth::{Action, Grant, may, sigv4};

/// Paths that are the server's own: no bucket's name has a `-` alone.
const OWN_PATHS: &str = "/-/";
const ADMIN_PATHS: &str = "/-/admin/v1/";

/// The path, where it is one of the server's own: never on a bucket's own host, where it is a key.
/// Where no objects are served there are no others.
pub(super) fn path(service: &Service, parts: &Parts, door: Door) -> Option<String> {
    if !door.serves_objects() {
        let path = |arrival: Arrival| arrival.path().to_owned();
        let sent = || parts.uri.path().to_owned();
        return Some(head::arrival(parts).map_or_else(|_error| sent(), path));
    }
    let arrival = head::arrival(parts).ok()?;
    let domains = service.settings.reach.domains();
    let of_bucket = bucket_of_host(arrival.authority(), domains).is_some();
    let path = arrival.path();
    (path.starts_with(OWN_PATHS) && !of_bucket).then(|| path.to_owned())
}

/// Answers a request for one of the server's own paths.
pub(super) async fn answer(
    service: &Arc<Service>,
    parts: &Parts,
    (path, door): (String, Door),
    (peer, payload): (Option<SocketAddr>, impl FnOnce(Proof) -> Payload),
) -> Result<Reply, S3Error> {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if !path.starts_with(ADMIN_PATHS) {
        Learned::asked_for(parts, Asked::Server);
    }
    match path.as_str() {
        "/-/oss/callback-key.pem" if reads && service.oss.is_some() && door.serves_objects() => {
            let key = service
                .oss
                .as_deref()
                .map(|oss| oss.public_key().to_owned());
            Ok(Reply::full(
                "application/x-pem-file",
                key.unwrap_or_default(),
            ))
        }
        "/-/healthy" if reads => Ok(text("healthy\n")),
        "/-/ready" if reads => {
            let checked = service.store.check().await;
            checked.map_err(|error| S3Error::new(Code::ServiceUnavailable).caused_by(error))?;
            Ok(text("ready\n"))
        }
        numbers::PATH if reads => {
            check_administered(door)?;
            // An address of its own is the operator's, who lets in whom they want to.
            if door.serves_objects() {
                let (_head, grant) = operator(service, parts, peer)?;
                may(grant.who(), Action::Administer, None, None)?;
            }
            numbers::answer(service, parts).await
        }
        numbers::USUAL_PATH if reads && !door.serves_objects() => {
            numbers::answer(service, parts).await
        }
        _ => {
            let Some(path) = path.strip_prefix(ADMIN_PATHS) else {
                return Err(elsewhere(door));
            };
            Learned::asked_for(parts, Asked::Administration);
            check_administered(door)?;
            let (head, grant) = operator(service, parts, peer)?;
            admin::answer(service, head, path, (grant, peer, parts), payload).await
        }
    }
}

/// Refuses the administration's paths where it is not served: before anybody is asked who they are.
fn check_administered(door: Door) -> Result<(), S3Error> {
    if door.administers() {
        return Ok(());
    }
    Err(S3Error::because(
        Code::AccessDenied,
        "The administration is not served at this address.",
    ))
}

/// Finds out who asks.
fn operator(
    service: &Service,
    parts: &Parts,
    peer: Option<SocketAddr>,
) -> Result<(Head, Grant), S3Error> {
    // The head of a request to no bucket: the path as a whole is what was signed.
    let head = Head::of_server(parts)?;
    let settings = service.settings.auth_v4(sigv4::SERVICE);
    let grant = authenticate_by(service, &head, parts, (&settings, (peer, &[])))?;
    Ok((head, grant))
}

/// The refusal of what is not served by this door.
fn elsewhere(door: Door) -> S3Error {
    if door.serves_objects() {
        S3Error::new(Code::MethodNotAllowed)
    } else {
        S3Error::because(
            Code::AccessDenied,
            "Only the administration is served at this address.",
        )
    }
}

fn text(text: &'static str) -> Reply {
    let reply = Reply {
        body: ReplyBody::full(text),
        ..Reply::empty(StatusCode::OK)
    };
    reply.with_static("content-type", "text/plain; charset=utf-8")
}
