//! The sockets: one for everything, or one for objects and one for the administration.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::{Request, Response};
use tokio_util::sync::CancellationToken;

use super::connection::{RequestBody, Respond, Shared};
use super::listen::{Listener, Places};
use super::{Background, StartError, open_files, run};
use crate::config::{Config, Limits};
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
    service: Arc<Service>,
    door: Door,
}

impl Respond for Front {
    type Body = ReplyBody;

    async fn respond(
        self: Arc<Self>,
        mut request: Request<RequestBody>,
        peer: SocketAddr,
        id: RequestId,
    ) -> Response<ReplyBody> {
        request.extensions_mut().insert(self.door);
        s3::handle(Arc::clone(&self.service), request, Some(peer), id).await
    }

    fn turn_away(
        &self,
        request: &Request<RequestBody>,
        peer: SocketAddr,
        id: RequestId,
    ) -> Option<Response<ReplyBody>> {
        s3::turn_away(&self.service, (request, self.door), Some(peer), id)
    }
}

/// A socket that is taken, and where it can be reached from the same machine.
#[derive(Debug)]
struct Taken {
    listener: Listener,
    connections: Places,
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
    /// [`StartError::Listen`].
    pub(super) fn take(config: &Config) -> Result<Self, StartError> {
        let connections = open_files::afford(config.limits.connections);
        let admin = config.admin.listen;
        let admin = admin.map(|address| listen(address, ADMIN_CONNECTIONS_MAX));
        Ok(Self {
            main: listen(config.listen, connections)?,
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

    /// Serves what comes in until `background` stops. What is returned ends all doors.
    pub(super) fn open(
        self,
        service: &Arc<Service>,
        limits: Limits,
        Background { tasks, stop, .. }: &Background,
    ) -> Arc<Shared<Front>> {
        let cut = CancellationToken::new();
        let serve = |taken: Taken, door, requests| {
            let shared = Arc::new(Shared {
                responder: Arc::new(Front {
                    service: Arc::clone(service),
                    door,
                }),
                limits,
                connections: taken.connections,
                requests: Places::new(requests),
                tasks: tasks.clone(),
                stop: stop.clone(),
                cut: cut.clone(),
            });
            tasks.spawn(run::accept(taken.listener, Arc::clone(&shared)));
            shared
        };
        match self.admin {
            None => serve(self.main, Door::Whole, limits.requests),
            Some(admin) => {
                // However many ask for objects, the operator finds room.
                serve(admin, Door::Administration, ADMIN_REQUESTS_MAX);
                serve(self.main, Door::Objects, limits.requests)
            }
        }
    }
}

fn listen(address: SocketAddr, connections_max: usize) -> Result<Taken, StartError> {
    let refused = |source| StartError::Listen { address, source };
    let connections = Places::new(connections_max);
    let listener = Listener::bind(address, connections.clone()).map_err(refused)?;
    let endpoint = endpoint_of(listener.address().map_err(refused)?);
    Ok(Taken {
        listener,
        connections,
        endpoint,
    })
}

/// How to reach a server that listens on `address` from the same machine.
pub fn endpoint_of(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        let loopback = match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    format!("http://{address}")
}
