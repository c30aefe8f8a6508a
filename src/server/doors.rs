//! The sockets: one for everything, or one for objects and one for the administration.

use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{Request, Response};
use tokio_util::sync::CancellationToken;

use super::connection::{RequestBody, Respond, Shared};
use super::cores::Cores;
use super::listen::{Listener, Places};
use super::tls::Tls;
use super::{Background, StartError, open_files, run};
use crate::clock::Clock;
use crate::config::{Config, Limits, TlsSettings};
use crate::id::RequestId;
use crate::metrics::Connections;
use crate::s3::{self, Door, ReplyBody, Service};

/// Connections of the administration open at a time: its operator and their monitoring.
const ADMIN_CONNECTIONS_MAX: usize = 64;

/// Requests of the administration in flight at a time: some on each connection of HTTP/2.
const ADMIN_REQUESTS_MAX: usize = 256;

/// The service as it is seen through one door.
#[derive(Debug)]
pub(super) struct Front {
    service: Arc<ArcSwap<Service>>,
    door: Door,
}

impl Respond for Front {
    type Body = ReplyBody;

    fn respond(
        self: Arc<Self>,
        mut request: Request<RequestBody>,
        peer: SocketAddr,
        id: RequestId,
    ) -> impl Future<Output = Response<ReplyBody>> + Send {
        request.extensions_mut().insert(self.door);
        s3::handle(self.service.load_full(), request, Some(peer), id)
    }

    fn turn_away(
        &self,
        request: &Request<RequestBody>,
        peer: SocketAddr,
        id: RequestId,
    ) -> Option<Response<ReplyBody>> {
        s3::turn_away(&self.service.load(), (request, self.door), Some(peer), id)
    }
}

/// A socket that is taken, and where it can be reached from the same machine.
#[derive(Debug)]
struct Taken {
    listener: Listener,
    connections: Places,
    tls: Option<Arc<Tls>>,
    endpoint: String,
}

/// Sockets that are taken and not served yet.
#[derive(Debug)]
pub(super) struct Doors {
    main: Taken,
    admin: Option<Taken>,
}

impl Doors {
    /// Takes the configured addresses.
    ///
    /// # Errors
    /// [`StartError::Listen`], and [`StartError::Tls`] where the certificates are faulty.
    pub(super) fn take(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, StartError> {
        let connections = open_files::afford(config.limits.connections);
        let tls = certificates(&config.tls, clock)?;
        let main = listen(config.listen, connections, tls)?;
        let admin = config.admin.listen.map(|address| {
            let tls = certificates(&config.admin_tls(), clock)?;
            listen(address, ADMIN_CONNECTIONS_MAX, tls)
        });
        Ok(Self {
            main,
            admin: admin.transpose()?,
        })
    }

    /// What the connections of objects are counted into.
    pub(super) const fn counts(&self) -> &Connections {
        self.main.listener.counts()
    }

    /// Where objects can be reached from the same machine.
    pub(super) fn endpoint(&self) -> &str {
        &self.main.endpoint
    }

    /// Where the administration can be reached, if it has an address of its own.
    pub(super) fn admin_endpoint(&self) -> Option<&str> {
        self.admin.as_ref().map(|taken| taken.endpoint.as_str())
    }

    /// The places of the main door's connections.
    pub(super) fn connections(&self) -> Places {
        self.main.connections.clone()
    }

    /// The certificates of the main door, and those of the administration's own.
    pub(super) fn certificates_of_each(&self) -> (Option<Arc<Tls>>, Option<Arc<Tls>>) {
        let of_admin = self.admin.as_ref().and_then(|taken| taken.tls.clone());
        (self.main.tls.clone(), of_admin)
    }

    /// The certificates of each door, with its name.
    pub(super) fn named_certificates(&self) -> Vec<(&'static str, Arc<Tls>)> {
        let (main, admin) = self.certificates_of_each();
        let main = main.map(|tls| ("objects", tls));
        main.into_iter()
            .chain(admin.map(|tls| ("administration", tls)))
            .collect()
    }

    /// The certificates of all doors.
    pub(super) fn certificates(&self) -> Vec<Arc<Tls>> {
        let (main, admin) = self.certificates_of_each();
        main.into_iter().chain(admin).collect()
    }

    /// Serves what comes in until `background` stops. What is returned ends all doors.
    pub(super) fn open(
        self,
        service: &Arc<ArcSwap<Service>>,
        limits: &Arc<ArcSwap<Limits>>,
        (Background { tasks, stop, .. }, cores): (&Background, &Cores),
    ) -> Arc<Shared<Front>> {
        let cut = CancellationToken::new();
        let requests_max = limits.load().requests;
        let serve = |taken: Taken, door, requests| {
            let shared = Arc::new(Shared {
                responder: Arc::new(Front {
                    service: Arc::clone(service),
                    door,
                }),
                limits: Arc::clone(limits),
                tls: taken.tls,
                connections: taken.connections,
                requests: Places::new(requests),
                cores: cores.clone(),
                tasks: tasks.clone(),
                stop: stop.clone(),
                cut: cut.clone(),
            });
            tasks.spawn(run::accept(taken.listener, Arc::clone(&shared)));
            shared
        };
        match self.admin {
            None => serve(self.main, Door::Whole, requests_max),
            Some(admin) => {
                // However many ask for objects, the operator finds room.
                serve(admin, Door::Administration, ADMIN_REQUESTS_MAX);
                serve(self.main, Door::Objects, requests_max)
            }
        }
    }
}

/// The certificates that `settings` name; none where they name none.
///
/// # Errors
/// [`StartError::Tls`].
pub(super) fn certificates(
    settings: &TlsSettings,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<Tls>>, StartError> {
    if !settings.is_on() {
        return Ok(None);
    }
    let tls = Tls::load(settings, Arc::clone(clock))?;
    Ok(Some(Arc::new(tls)))
}

fn listen(
    address: SocketAddr,
    connections_max: usize,
    tls: Option<Arc<Tls>>,
) -> Result<Taken, StartError> {
    let refused = |source| StartError::Listen { address, source };
    let connections = Places::new(connections_max);
    let listener = Listener::bind(address, connections.clone()).map_err(refused)?;
    let endpoint = endpoint_of(listener.address().map_err(refused)?, tls.is_some());
    Ok(Taken {
        listener,
        connections,
        tls,
        endpoint,
    })
}

/// How to reach a server that listens on `address` from the same machine, encrypted or not.
pub fn endpoint_of(address: SocketAddr, encrypted: bool) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        let loopback = match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    let scheme = if encrypted { "https" } else { "http" };
    format!("{scheme}://{address}")
}
