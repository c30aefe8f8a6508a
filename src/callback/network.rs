//! Which addresses callbacks may go to. It is the address that counts, at the moment of the connection:
//! a name that led to the operator's receiver when it was written down may lead elsewhere today.
//!
//! A literal address in the configuration is the operator's word. So is a name that only a network of its
//! own can resolve (`localhost`, `app`, `app.internal`). Any other name is expected to lead to a public
//! address, unless the operator lists networks: then only these are called.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::network::Network;

/// The last labels of names that lead nowhere in public (RFC 6761, 6762, 8375, 9476, ICANN's `internal`,
/// and what clusters and home routers use).
const OWN_NAMES: [&str; 12] = [
    "localhost",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "private",
    "test",
    "arpa",
    "svc",
    "alt",
];

/// The networks that callbacks may go to.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    listed: Arc<[Network]>,
}

/// Why an address is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreachable {
    /// It is none that the operator lists.
    #[error("{address} is in none of callback.networks")]
    Unlisted {
        /// The address.
        address: IpAddr,
    },
    /// It is no public one, and nothing says that it is meant.
    #[error("{host} leads to {address}, which is {kind}: callback.networks must list it")]
    NotPublic {
        /// The name.
        host: String,
        /// The address.
        address: IpAddr,
        /// What kind of address that is.
        kind: &'static str,
    },
}

impl Reach {
    /// To these networks alone; without one, by what names and addresses are.
    pub(super) fn new(listed: &[Network]) -> Self {
        let listed = listed.into();
        Self { listed }
    }

    /// Judges a URL whose host is an address: it is not resolved.
    pub(super) fn admits_url(&self, url: &reqwest::Url) -> Result<(), Unreachable> {
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        match literal.parse::<IpAddr>() {
            Ok(address) if !self.listed.is_empty() => self.is_listed(address),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Judges an address to which a name leads.
    fn admits(&self, host: &str, address: IpAddr) -> Result<(), Unreachable> {
        let address = address.to_canonical();
        if !self.listed.is_empty() {
            return self.is_listed(address);
        }
        let (kind, own) = match kind_of(address) {
            None => return Ok(()),
            Some(Kind::Own(kind)) => (kind, true),
            Some(Kind::Never(kind)) => (kind, false),
        };
        if own && is_own_name(host) {
            return Ok(());
        }
        Err(Unreachable::NotPublic {
            host: host.to_owned(),
            address,
            kind,
        })
    }

    fn is_listed(&self, address: IpAddr) -> Result<(), Unreachable> {
        let mut listed = self.listed.iter();
        if listed.any(|network| network.contains(address)) {
            return Ok(());
        }
        Err(Unreachable::Unlisted { address })
    }
}

/// Addresses that are not public.
enum Kind {
    /// Of a network of one's own: where a name of that network leads there, it is meant.
    Own(&'static str),
    /// Of no receiver: who asks them asks the machine's host for its secrets.
    Never(&'static str),
}

fn kind_of(address: IpAddr) -> Option<Kind> {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Option<Kind> {
    let within = |network: [u8; 4], bits: u32| {
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        address.to_bits() & mask == u32::from_be_bytes(network) & mask
    };
    if address.is_link_local() {
        return Some(Kind::Never("link-local, where clouds keep their metadata"));
    }
    // Alibaba Cloud's metadata, Azure's host.
    if [[100, 100, 100, 200], [168, 63, 129, 16]].contains(&address.octets()) {
        return Some(Kind::Never("a cloud's metadata"));
    }
    if within([0, 0, 0, 0], 8) || within([224, 0, 0, 0], 3) {
        return Some(Kind::Never("no receiver's"));
    }
    if address.is_loopback() {
        return Some(Kind::Own("this machine's own"));
    }
    let private = address.is_private()
        || within([100, 64, 0, 0], 10)
        || within([192, 0, 0, 0], 24)
        || within([198, 18, 0, 0], 15);
    private.then_some(Kind::Own("private"))
}

fn kind_of_v6(address: Ipv6Addr) -> Option<Kind> {
    let bytes = address.octets();
    // Addresses of IPv4 in other clothes lead where those lead: NAT64 (RFC 6052), 6to4 (RFC 3056).
    let [a, b, c, d] = match bytes {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, rest @ ..] => rest,
        [0x20, 0x02, a, b, c, d, ..] => [a, b, c, d],
        _ => [8, 8, 8, 8],
    };
    if let Some(kind) = kind_of_v4(Ipv4Addr::new(a, b, c, d)) {
        return Some(kind);
    }
    // Amazon's metadata.
    if address.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] {
        return Some(Kind::Never("a cloud's metadata"));
    }
    if address.is_loopback() {
        return Some(Kind::Own("this machine's own"));
    }
    if address.is_unicast_link_local() {
        return Some(Kind::Never("link-local, where clouds keep their metadata"));
    }
    if address.is_unspecified() || address.is_multicast() || bytes.starts_with(&[0; 8]) {
        return Some(Kind::Never("no receiver's"));
    }
    address.is_unique_local().then_some(Kind::Own("private"))
}

fn is_own_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match host.rsplit_once('.') {
        None => true,
        Some((_rest, last)) => OWN_NAMES.contains(&last),
    }
}

type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Resolves names as the system does, and gives only addresses that may be called: the connection goes to
/// one of these, so that nothing can change in between.
#[derive(Clone)]
pub(super) struct Resolver {
    reach: Reach,
    lookup: Lookup,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

impl Resolver {
    pub(super) fn new(reach: Reach) -> Self {
        let lookup = |host: &str| Ok((host, 0).to_socket_addrs()?.collect());
        Self {
            reach,
            lookup: Arc::new(lookup),
        }
    }

    fn resolve_now(
        &self,
        host: &str,
    ) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let (mut admitted, mut refused) = (Vec::new(), None);
        for found in (self.lookup)(host)? {
            match self.reach.admits(host, found.ip()) {
                Ok(()) => admitted.push(found),
                Err(fault) => refused = Some(fault),
            }
        }
        match refused {
            Some(fault) if admitted.is_empty() => Err(fault.into()),
            _ => Ok(admitted),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let resolved =
                tokio::task::spawn_blocking(move || resolver.resolve_now(name.as_str())).await;
            let addresses: Addrs = Box::new(resolved??.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_leads_to_public_addresses_or_to_its_own_network() {
        let reach = Reach::default();
        for (host, address, admitted) in [
            ("app.example.com", "203.0.113.7", true),
            ("app.example.com", "2001:db8::7", true),
            ("app.example.com", "10.0.0.7", false),
            ("app.example.com", "127.0.0.1", false),
            ("app.example.com", "::1", false),
            ("app.example.com", "::ffff:10.0.0.7", false),
            ("app.example.com", "64:ff9b::a00:7", false),
            ("app.example.com", "2002:a00:7::1", false),
            ("app.example.com", "fd12::1", false),
            ("app.example.com", "100.64.0.1", false),
            ("app", "172.18.0.3", true),
            ("localhost", "127.0.0.1", true),
            ("localhost", "::1", true),
            ("app.svc.cluster.local.", "10.96.0.1", true),
            ("app.internal", "fd12::1", true),
            // Never, whatever the name.
            ("app", "169.254.169.254", false),
            ("localhost", "::ffff:169.254.169.254", false),
            ("metadata.google.internal", "169.254.169.254", false),
            ("app", "fe80::1", false),
            ("app", "fd00:ec2::254", false),
            ("app", "100.100.100.200", false),
            ("app", "168.63.129.16", false),
            ("app", "0.0.0.0", false),
            ("app", "::", false),
            ("app", "224.0.0.1", false),
            ("app", "255.255.255.255", false),
        ] {
            assert_eq!(
                reach.admits(host, ip(address)).is_ok(),
                admitted,
                "{host} {address}"
            );
        }
    }

    #[test]
    fn where_networks_are_listed_they_alone_are_called() {
        let listed = ["10.0.0.0/8", "169.254.10.0/24"];
        let listed: Vec<_> = listed.into_iter().filter_map(Network::parse).collect();
        let reach = Reach::new(&listed);
        assert_eq!(reach.admits("app.example.com", ip("10.1.2.3")), Ok(()));
        assert_eq!(reach.admits("app.example.com", ip("169.254.10.1")), Ok(()));
        let other = reach.admits("app.example.com", ip("203.0.113.7"));
        let address = ip("203.0.113.7");
        assert_eq!(other, Err(Unreachable::Unlisted { address }));
        assert!(reach.admits("localhost", ip("127.0.0.1")).is_err());
        let url = |text: &str| reqwest::Url::parse(text).unwrap();
        assert!(reach.admits_url(&url("http://10.0.0.1/x")).is_ok());
        // However it is written.
        for literal in [
            "127.0.0.1",
            "2130706433",
            "0x7f.1",
            "[::1]",
            "[::ffff:7f00:1]",
        ] {
            let url = url(&format!("http://{literal}:8080/"));
            assert!(reach.admits_url(&url).is_err(), "{literal}");
            assert!(Reach::default().admits_url(&url).is_ok(), "{literal}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_the_next_time_is_not_followed() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let resolver = Resolver {
            reach: Reach::default(),
            lookup: Arc::new(move |_host| {
                // A public address and a private one; then the machine itself.
                let first = count.fetch_add(1, Ordering::Relaxed) == 0;
                let found: &[&str] = if first {
                    &["10.0.0.1", "203.0.113.7"]
                } else {
                    &["127.0.0.1"]
                };
                let found = found.iter().map(|text| SocketAddr::new(ip(text), 0));
                Ok(found.collect())
            }),
        };
        let first = resolver.resolve_now("app.example.com").unwrap();
        assert_eq!(first, [SocketAddr::new(ip("203.0.113.7"), 0)]);
        let authorities = super::super::endpoint::Authorities::None;
        let client = super::super::endpoint::client_by(resolver.clone(), authorities).unwrap();
        let url = format!("http://app.example.com:{port}/");
        let error = client.post(url).send().await.unwrap_err();
        let text = super::super::endpoint::describe(&error);
        assert!(
            text.contains("this machine's own") && text.contains("127.0.0.1"),
            "{text}"
        );
        server.set_nonblocking(true).unwrap();
        assert!(server.accept().is_err(), "it was called");
        // By a name of the machine's own network it is.
        let url = format!("http://app:{port}/");
        let sent = client
            .post(url)
            .timeout(std::time::Duration::from_millis(500))
            .send();
        drop(sent.await);
        assert!(server.accept().is_ok(), "it was not called");
    }
}
