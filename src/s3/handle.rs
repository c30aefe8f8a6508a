//! The steps of a request, in their order, and nothing else. It is the only place that logs and
//! renders errors.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;

use super::access::{self, Caller};
use super::access_log::{self, Answered, Visit};
use super::active;
use super::audit::{self, AuditKind, Deed};
use super::body::{Payload, Proof};
use super::context::{Call, FormCall, Service};
use super::cors::Page;
use super::door::Door;
use super::duties;
use super::ending::Ending;
use super::error::{Code, S3Error};
use super::head::Head;
use super::learned::{Asked, Learned};
use super::oss::{self, Served};
use super::own;
use super::prove::prove;
use super::reach::Arrival;
use super::received::{Received, counted};
use super::render::render;
use super::reply::{Reply, ReplyBody};
use super::route::{Route, Serve};
use super::sts;
use super::target::Level;
use super::traced;
use super::website;
use crate::auth::canonical::lacks;
use crate::auth::constraint::Constraint;
use crate::auth::{self, Action, AuthSettings, Grant, SignedHead};
use crate::clock::{Timestamp, whole_ms};
use crate::id::RequestId;
use crate::metrics::{self, Running};
use crate::trace::{self, Kind, Root};

/// What tells of a request: its method, its path, what was learned of it.
type Told<'a> = (&'a Method, &'a str, &'a Learned);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers one request. It never fails: errors are answers too.
///
/// What can be done at once is, since whatever a future holds is copied with it.
pub fn handle<B>(
    service: Arc<Service>,
    request: Request<B>,
    peer: Option<SocketAddr>,
    id: RequestId,
) -> impl Future<Output = Response<ReplyBody>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let began = service.clock.now();
    let running = service.requests.begin();
    let (mut parts, body) = request.into_parts();
    let (learned, client) = see(&service, &mut parts, peer, id);
    let visit = visit(&service, &parts, (id, began), client);
    let asked = (parts.method.clone(), parts.uri.clone());
    let page = page(&service, &parts);
    let received = Received::new();
    let body = counted(body, Arc::clone(&service.requests), Arc::clone(&received));
    let site = active::Origin::of(&service, &parts);
    let root = traced::begin(&service, &parts, (id, began), client);
    let answering = Box::pin(answer(Arc::clone(&service), parts, body, client, id));
    async move {
        let told = (&asked.0, asked.1.path(), &learned);
        let answered = admitted(&service, answering, (client, id, began), told);
        let outcome = trace::within(root.as_ref().map(Root::scope), answered).await;
        let code = outcome.as_ref().err().map(|error| error.code().wire().0);
        let mut response = render(id, &asked.0, outcome);
        let setting = service.settings.active_content;
        active::tame(response.headers_mut(), site, setting);
        if let Some(page) = page {
            Box::pin(page.admit(&service, response.headers_mut())).await;
        }
        let answered = Answered {
            by: learned.by(),
            asked: learned.asked(),
            status: response.status().as_u16(),
            code,
            headers: response.headers(),
            received: received.bytes(),
            // What is to be sent: the answer's body is on its way only later.
            due: response.body().len(),
            turn_around: received.idle(),
        };
        let running = tell(&service, running, &answered, (id, client, told));
        let recording = match visit {
            Some(visit) => Box::pin(access_log::begin(&service, *visit, &answered)).await,
            None => None,
        };
        let trace = root.map(|root| traced::answered(root, &answered));
        let ending = Ending::of(running, recording, trace);
        response.body_mut().answers(ending);
        response
    }
}

/// Counts an answer, and writes it to the log.
fn tell(
    service: &Service,
    mut running: Running,
    answered: &Answered<'_>,
    (id, client, (method, path, learned)): (RequestId, Option<SocketAddr>, Told<'_>),
) -> Running {
    let ms = whole_ms(running.elapsed());
    let Answered {
        status,
        code,
        received,
        due,
        ..
    } = *answered;
    running.answered(&metrics::Answered {
        operation: answered.asked.index(),
        status,
        code,
        received,
        due,
    });
    charge(service, client, learned, received.saturating_add(due));
    let client = client.map(|client| tracing::field::display(client.ip()));
    tracing::info!(%id, %method, path, client, status, code, ms, bytes_in = received, bytes_out = due, "request");
    running
}

/// Sees through proxies: who sent the request, which also carries its name and where it came in from now on.
fn see(
    service: &Service,
    parts: &mut Parts,
    peer: Option<SocketAddr>,
    id: RequestId,
) -> (Learned, Option<SocketAddr>) {
    // Without a host there is nothing to see, which each of the steps says by itself.
    let arrival = Arrival::of(&service.settings.reach, parts, peer).ok();
    let client = arrival.as_ref().map_or(peer, Arrival::client);
    let learned = Learned::of(id, arrival);
    parts.extensions.insert(learned.clone());
    (learned, client)
}

/// Counts what a request moved, for who may move only so much.
fn charge(service: &Service, client: Option<SocketAddr>, learned: &Learned, bytes: u64) {
    let (address, now) = (client.map(|client| client.ip()), service.clock.now());
    service.throttle.charge(address, learned.by(), bytes, now);
}

/// Lets a request in, has it answered, and tells the audit log of it.
async fn admitted(
    service: &Service,
    answering: impl Future<Output = Result<Reply, S3Error>>,
    (client, id, at): (Option<SocketAddr>, RequestId, Timestamp),
    (method, path, learned): Told<'_>,
) -> Result<Reply, S3Error> {
    let address = client.map(|client| client.ip());
    let origin = service
        .throttle
        .origin(address)
        .filter(|_origin| !is_probe(path));
    let outcome = match service.throttle.admit(origin, at) {
        Ok(()) => answering.await,
        Err(told) => Err(told.into()),
    };
    let asked = audit::Asked {
        id,
        at,
        client: address,
        method,
        path,
        learned,
    };
    audit::settle(service, &asked, outcome).await
}

/// Tells a client that there are too many requests, before anything is done for this one. None for the
/// server's own paths: under load above all, an operator must see and be heard.
pub fn turn_away<B>(
    service: &Service,
    (request, door): (&Request<B>, Door),
    peer: Option<SocketAddr>,
    id: RequestId,
) -> Option<Response<ReplyBody>> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = request.method().clone();
    parts.uri = request.uri().clone();
    parts.version = request.version();
    parts.headers.clone_from(request.headers());
    let (_learned, client) = see(service, &mut parts, peer, id);
    if own::path(service, &parts, door).is_some() {
        return None;
    }
    service.requests.turned_away();
    tracing::debug!(%id, method = %parts.method, path = parts.uri.path(), "turned away");
    let error = S3Error::new(Code::SlowDown).with_header("retry-after", "1");
    let response = render(id, &parts.method, Err(error));
    if let Some(visit) = visit(service, &parts, (id, service.clock.now()), client) {
        let answered = Answered {
            by: None,
            asked: Asked::default(),
            status: response.status().as_u16(),
            code: Some(Code::SlowDown.wire().0),
            headers: response.headers(),
            received: 0,
            due: response.body().len(),
            turn_around: Duration::ZERO,
        };
        access_log::keep_turned_away(service, *visit, &answered);
    }
    Some(response)
}

/// The request as its record tells it, where anybody asks for records.
fn visit(
    service: &Service,
    parts: &Parts,
    when: (RequestId, Timestamp),
    peer: Option<SocketAddr>,
) -> Option<Box<Visit>> {
    let reach = &service.settings.reach;
    let hosts = (reach.domains(), reach.website_domains());
    let asked = service.access_log.is_asked_for();
    asked.then(|| Box::new(Visit::of(parts, hosts, when, peer)))
}

/// The page of another origin that the answer is for; a preflight speaks for itself.
fn page(service: &Service, parts: &Parts) -> Option<Page> {
    if parts.method == Method::OPTIONS || !parts.headers.contains_key(http::header::ORIGIN) {
        return None;
    }
    let head = Head::parse(parts, service.settings.reach.domains()).ok()?;
    Page::of(&head)
}

/// What few requests need is boxed: a future is as large as the largest that it may wait for, and is copied
/// whole from each function to the one that calls it.
fn answer<B>(
    service: Arc<Service>,
    parts: Parts,
    body: B,
    peer: Option<SocketAddr>,
    id: RequestId,
) -> impl Future<Output = Result<Reply, S3Error>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let door = Door::of(&parts);
    // No async function: it would have room for head and body twice.
    async move {
        if door.serves_objects() && website::is_asked(&service, &parts) {
            Learned::asked_for(&parts, Asked::Website);
            return Ok(Box::pin(website::answer(&service, &parts, id, peer)).await);
        }
        let idle = service.settings.body_idle;
        if let Some(path) = own::path(&service, &parts, door) {
            let sent = parts.headers.clone();
            let payload = move |proof| Payload::new(body, sent, proof, idle);
            return Box::pin(own::answer(&service, &parts, (path, door), (peer, payload))).await;
        }
        if oss::is_asked(&service, &parts) {
            return Box::pin(oss::answer(service, &parts, body, (id, peer))).await;
        }
        let head = Head::parse(&parts, service.settings.reach.domains())?;
        let headers = Arc::clone(&head.headers);
        let payload = move |proof: Proof| Payload::new(body, headers, proof, idle);
        if sts::is_asked(&head) {
            Learned::asked_for(&parts, Asked::Sts);
            let answered = sts::answer(&service, &head, &parts.headers, payload, (id, peer));
            return Ok(Box::pin(answered).await);
        }
        let route = Route::of(&head)?;
        Learned::asked_for(&parts, Asked::Operation(route.operation));
        match route.serve {
            None => {
                authenticate(&service, &head, &parts, (peer, route.heeds))?;
                Err(route.unsupported())
            }
            Some(Serve::Open { run }) => run(service, head).await,
            Some(Serve::Form { run }) => {
                let body = payload(Proof::Unsigned);
                let call = FormCall::of(service, head, body, (id, peer));
                // Which dialect a form speaks stands in its fields.
                if call.service.oss.is_some() {
                    return Box::pin(oss::post_object(call)).await;
                }
                run(call).await
            }
            Some(Serve::Head {
                action,
                honours,
                run,
            }) => {
                let grant = authenticate(&service, &head, &parts, (peer, route.heeds))?;
                let admitted = Admitted {
                    service,
                    head,
                    grant,
                    id,
                    peer,
                };
                Box::pin(serve(admitted, route, (action, honours, run), payload)).await
            }
        }
    }
}

/// A request of which it is known who sends it.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) service: Arc<Service>,
    pub(super) head: Head,
    pub(super) grant: Grant,
    pub(super) id: RequestId,
    pub(super) peer: Option<SocketAddr>,
}

/// Judges whether the caller may, and lets the operation run.
pub(super) fn serve(
    admitted: Admitted,
    route: &Route,
    (action, honours, run): Served,
    payload: impl FnOnce(Proof) -> Payload,
) -> impl Future<Output = Result<Reply, S3Error>> {
    let Admitted {
        service,
        head,
        grant,
        id,
        peer,
    } = admitted;
    // No async function: it would have room for each of these twice.
    async move {
        let span = trace::span("authorise", Kind::Internal);
        Box::pin(authorise(&service, &head, &grant, action, peer)).await?;
        drop(span);
        route.check_options(&head, honours)?;
        check_expected_owner(&service, &head).await?;
        duties::check(&service, &head.headers, grant.duties()).await?;
        let charged = is_charged(&service, &head, grant.who().owner()).await;
        note_deed(&head, route);
        let signature = grant.signature();
        let (who, proof, duties) = grant.into_parts();
        let reply = run(Call {
            service,
            head,
            who,
            body: payload(proof.into()),
            id,
            peer,
            signature,
            duties,
        });
        reply.await?.with_optional("x-amz-request-charged", charged)
    }
}

/// Says of a request that it changes a bucket, or how an object is protected.
fn note_deed(head: &Head, route: &Route) {
    let (bucket, key) = (head.target.bucket.as_ref(), head.target.key.as_ref());
    let kind = if key.is_none() && route.operation.changes_a_bucket() {
        AuditKind::Bucket
    } else if route.operation.changes_protection() {
        AuditKind::Object
    } else {
        return;
    };
    let bucket = bucket.map(|bucket| ("bucket".to_owned(), bucket.as_str().into()));
    let key = key.map(|key| ("key".to_owned(), key.as_str().into()));
    head.learned.does(Deed {
        kind,
        operation: route.operation.name(),
        about: bucket.into_iter().chain(key).collect(),
    });
}

/// Judges whether the caller may do what the route needs.
async fn authorise(
    service: &Service,
    head: &Head,
    grant: &Grant,
    action: Action,
    peer: Option<SocketAddr>,
) -> Result<(), S3Error> {
    let action = if head.query.has("versionId") {
        action.of_version()
    } else {
        action
    };
    let caller = Caller {
        service,
        who: grant.who(),
        head,
        peer,
        signature: grant.signature(),
    };
    let bucket = head.target.bucket.as_ref();
    caller.may(action, bucket, subject(head)).await
}

/// Signatures are over what was sent: the headers of `parts`, not those that `head` understands.
/// It came from that address, for an operation that keeps those demands.
fn authenticate(
    service: &Service,
    head: &Head,
    parts: &Parts,
    from: (Option<SocketAddr>, &[Constraint]),
) -> Result<Grant, S3Error> {
    authenticate_by(service, head, parts, (&service.settings.auth(), from))
}

/// [`authenticate`] by these settings.
pub(super) fn authenticate_by(
    service: &Service,
    head: &Head,
    parts: &Parts,
    (settings, (peer, heeds)): (&AuthSettings, (Option<SocketAddr>, &[Constraint])),
) -> Result<Grant, S3Error> {
    let signed = SignedHead {
        peer: peer.map(|peer| peer.ip()),
        heeds,
        ..head.signed(&parts.headers, None)
    };
    let _span = trace::span("authenticate", Kind::Internal);
    prove(
        service,
        (peer, &head.learned),
        |keys, now| auth::authenticate(&signed, keys, settings, now),
        |error, now| {
            let Some(id) = Learned::id(parts) else {
                return error.into();
            };
            let request = (head, &parts.headers);
            service.refusals.note(id, request, &error, now);
            S3Error::from(error).explained()
        },
    )
}

/// What `x-amz-request-charged` says.
async fn is_charged(service: &Service, head: &Head, requester: &str) -> Option<&'static str> {
    if lacks(&head.headers, "x-amz-request-payer") {
        return None;
    }
    let bucket = service.store.bucket(head.target.bucket.as_ref()?).await;
    let charged = access::is_charged(&bucket.ok()?, head, requester);
    charged.then_some("requester")
}

/// What within the bucket the request is about: its key, or the prefix that it lists.
fn subject(head: &Head) -> Option<&str> {
    match head.target.level() {
        Level::Object => head.target.key.as_ref().map(crate::name::ObjectKey::as_str),
        Level::Bucket | Level::Service => head.query.get("prefix"),
    }
}

/// `x-amz-expected-bucket-owner`: a bucket of somebody else is refused.
pub(super) async fn check_expected_owner(service: &Service, head: &Head) -> Result<(), S3Error> {
    let expected = head.header("x-amz-expected-bucket-owner")?;
    let (Some(expected), Some(bucket)) = (expected, &head.target.bucket) else {
        return Ok(());
    };
    access::expect_owner(service, bucket, expected).await
}

/// Whether it is a question that load balancers ask: they ask often, and an answer costs nothing.
fn is_probe(path: &str) -> bool {
    matches!(path, "/-/healthy" | "/-/ready")
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;

    use super::super::fixture::service_over;
    use super::*;
    use crate::clock::SystemClock;
    use crate::store::meta::memory::MemoryEngine;

    /// Bytes of a request's future. It had 13 KiB once, of which eight copies were a quarter of a HEAD; with 5 KiB
    /// and what it waits for, a HEAD still copied 124 KB.
    const FUTURE_BYTES_MAX: usize = 2048;

    #[tokio::test]
    async fn a_requests_future_is_small() {
        let (meta, clock) = (Arc::new(MemoryEngine::new()), Arc::new(SystemClock));
        let service = service_over(meta, clock).await.unwrap();
        let request = Request::new(Empty::<Bytes>::new());
        let future = handle(service, request, None, RequestId::random());
        let bytes = size_of_val(&future);
        assert!(bytes < FUTURE_BYTES_MAX, "{bytes}");
    }

    /// Bytes that the allocator has at hand; for more it tidies up first, a thousand instructions long.
    const QUICK_BYTES_MAX: usize = 1032;

    #[tokio::test]
    async fn the_future_of_answering_is_small() {
        let (meta, clock) = (Arc::new(MemoryEngine::new()), Arc::new(SystemClock));
        let service = service_over(meta, clock).await.unwrap();
        let (parts, ()) = Request::new(()).into_parts();
        let future = answer(service, parts, Empty::new(), None, RequestId::random());
        // A connection's body has as much more.
        let bytes = size_of_val(&future).saturating_add(96);
        assert!(bytes <= QUICK_BYTES_MAX, "{bytes}");
    }

    #[tokio::test]
    async fn the_future_of_authorising_is_small() {
        let (meta, clock) = (Arc::new(MemoryEngine::new()), Arc::new(SystemClock));
        let service = service_over(meta, clock).await.unwrap();
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.headers.insert("host", "h".parse().unwrap());
        let head = Head::parse(&parts, &[]).unwrap();
        let grant = authenticate(&service, &head, &parts, (None, &[])).unwrap();
        let future = authorise(&service, &head, &grant, Action::GetObject, None);
        let bytes = size_of_val(&future);
        assert!(bytes <= QUICK_BYTES_MAX, "{bytes}");
    }
}
