//! STS, the service beside S3 that hands out temporary credentials: a form posted to `/`, signed for
//! the service `sts`, answered in its own XML.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html>

mod error;
mod fields;
mod operation;

use std::net::SocketAddr;

use http::{HeaderMap, Method};

use self::error::StsError;
use self::fields::Fields;
use super::access::Caller;
use super::body::{Payload, Proof};
use super::context::Service;
use super::head::Head;
use super::prove::prove;
use super::reply::Reply;
use super::target::Level;
use super::xml::XmlWriter;
use crate::auth::{self, Grant, SignedHead, sigv4};
use crate::id::RequestId;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const VERSION: &str = "2011-06-15";
const SERVICE: &str = "sts";
const FORM: &str = "application/x-www-form-urlencoded";
/// Bytes of a form: 2,048 characters of a policy, each percent-encoded, and as many of a role.
const FORM_BYTES_MAX: u64 = 64 * 1024;

/// What an operation answers with: its name, and what its result holds.
struct Answer {
    response: &'static str,
    result: &'static str,
    write: Box<dyn FnOnce(&mut XmlWriter) + Send>,
}

/// Whether the request is STS's: S3 has no operation there.
pub(super) fn is_asked(head: &Head) -> bool {
    let kind = head.header("content-type").ok().flatten();
    let kind = kind.and_then(|kind| kind.split(';').next());
    head.method == Method::POST
        && head.target.level() == Level::Service
        && kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

/// Answers it. `sent` are the headers as they came.
pub(super) async fn answer(
    service: &Service,
    head: &Head,
    sent: &HeaderMap,
    payload: impl FnOnce(Proof) -> Payload,
    (id, peer): (RequestId, Option<SocketAddr>),
) -> Reply {
    let body = payload(Proof::Unsigned).bytes(FORM_BYTES_MAX).await;
    let answered = match body {
        Ok(body) => respond(service, head, sent, &body, peer),
        Err(error) => Err(error.into()),
    };
    let reply = match answered {
        Ok(answer) => {
            let mut document = XmlWriter::within(NAMESPACE, answer.response);
            document.element(answer.result, answer.write);
            document.element("ResponseMetadata", |document| {
                document.text("RequestId", &id.to_string());
            });
            Reply::full("text/xml", document.finish())
        }
        Err(error) => error.reply(id),
    };
    match http::HeaderValue::from_str(&id.to_string()) {
        Ok(value) => {
            let mut reply = reply;
            reply.headers.insert("x-amzn-requestid", value);
            reply
        }
        Err(_no_header) => reply,
    }
}

/// The body is read before the signature is judged: it is signed without a header that tells its
/// digest. That costs no more than its bound.
fn respond(
    service: &Service,
    head: &Head,
    sent: &HeaderMap,
    body: &[u8],
    peer: Option<SocketAddr>,
) -> Result<Answer, StsError> {
    let fields = Fields::parse(body)?;
    let run = operation::of(&fields)?;
    let grant = authenticate(service, head, sent, (body, peer))?;
    let caller = Caller {
        service,
        who: grant.who(),
        head,
        peer,
        signature: grant.signature(),
    };
    let key = caller.who.key().ok_or_else(|| fields.unknown_action())?;
    run(&caller, key, &fields)
}

fn authenticate(
    service: &Service,
    head: &Head,
    sent: &HeaderMap,
    (body, peer): (&[u8], Option<SocketAddr>),
) -> Result<Grant, StsError> {
    let digest = sigv4::sha256_hex(body);
    let settings = service.settings.auth_v4(SERVICE);
    let signed = SignedHead {
        peer: peer.map(|peer| peer.ip()),
        ..head.signed(sent, Some(&digest))
    };
    prove(
        service,
        (peer, &head.learned),
        |keys, now| auth::authenticate(&signed, keys, &settings, now),
        |error, _now| StsError::from(error),
    )
}
