//! What proxies say of a request that they pass on.
//!
//! <https://www.rfc-editor.org/rfc/rfc7239>
//! <https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For>

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::network::Network;
use crate::public_url::without_port;

/// Hops that are looked at: more proxies in a row are a loop.
const HOPS_MAX: usize = 32;

/// What a trusted proxy says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forwarded {
    /// The first that no proxy of ours is.
    pub(super) client: Option<SocketAddr>,
    /// The hosts that were asked for, the client's own first, each with the port that is told beside it.
    pub(super) hosts: Vec<String>,
    /// Whether the client came through TLS.
    pub(super) secure: Option<bool>,
    /// What was taken off the path.
    pub(super) prefix: Option<String>,
}

/// One hop as `Forwarded` tells it.
#[derive(Debug, Default)]
struct Hop {
    from: Option<String>,
    host: Option<String>,
    proto: Option<String>,
}

impl Forwarded {
    /// Reads what `peer`, a trusted proxy, sent. Where it sent headers of both kinds, `Forwarded` is
    /// passed over: proxies that set the others let a client's `Forwarded` through.
    pub(super) fn read(headers: &HeaderMap, peer: SocketAddr, trusted: &[Network]) -> Self {
        let common = ["for", "host", "proto", "port"];
        if common.iter().any(|name| has(headers, name)) {
            return Self::of_common(headers, peer, trusted);
        }
        let hops = hops(headers);
        let from: Vec<_> = hops.iter().map(|hop| hop.from.as_deref()).collect();
        let (client, by) = client(peer, &from, trusted);
        // What stands before the hop that a trusted proxy added was sent by its client.
        let seen = by.and_then(|at| hops.get(at));
        let of_seen = |part: fn(&Hop) -> &Option<String>| seen.and_then(|hop| part(hop).clone());
        let proto = of_seen(|hop| &hop.proto);
        Self {
            client: Some(client),
            hosts: of_seen(|hop| &hop.host).into_iter().collect(),
            secure: proto.map(|proto| proto.eq_ignore_ascii_case("https")),
            prefix: prefix(headers),
        }
    }

    fn of_common(headers: &HeaderMap, peer: SocketAddr, trusted: &[Network]) -> Self {
        let from = values(headers, "for");
        let from: Vec<_> = from.iter().map(|text| Some(text.as_str())).collect();
        let protos = values(headers, "proto");
        // Each hop must have been secure: nobody can add to the list what makes it so.
        let secure = protos
            .iter()
            .all(|proto| proto.eq_ignore_ascii_case("https"));
        let port = values(headers, "port").into_iter().next();
        let hosts = values(headers, "host");
        let with_port = |host: String| match &port {
            Some(port) if without_port(&host) == host => {
                vec![format!("{host}:{port}"), host]
            }
            _ => vec![host],
        };
        Self {
            client: Some(client(peer, &from, trusted).0),
            hosts: hosts.into_iter().flat_map(with_port).collect(),
            secure: (!protos.is_empty()).then_some(secure),
            prefix: prefix(headers),
        }
    }
}

/// Walks from the socket's own peer through the proxies that are ours to the first address that is not,
/// and tells at which entry that stood. An entry that can't be read ends the walk: what lies before it
/// nobody vouches for.
fn client(
    peer: SocketAddr,
    from: &[Option<&str>],
    trusted: &[Network],
) -> (SocketAddr, Option<usize>) {
    let is_ours = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut found = (peer, None);
    for (at, text) in from.iter().enumerate().rev().take(HOPS_MAX) {
        if !is_ours(found.0.ip()) {
            break;
        }
        let Some(address) = text.and_then(address) else {
            // The proxy hides whom it serves, but what else it says of them is its own word.
            found.1 = Some(at);
            break;
        };
        found = (address, Some(at));
    }
    found
}

/// An address with or without a port; a port that is not told is 0.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = |text: &str| {
        let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        inner.unwrap_or(text).parse::<IpAddr>().ok()
    };
    let address = match text.parse::<SocketAddr>() {
        Ok(address) => address,
        Err(_no_port) => SocketAddr::new(bare(text)?, 0),
    };
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn has(headers: &HeaderMap, name: &str) -> bool {
    headers.contains_key(format!("x-forwarded-{name}"))
}

/// The values of one of the common headers, in order.
fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(format!("x-forwarded-{name}"));
    let texts = lines.iter().filter_map(|line| line.to_str().ok());
    let parts = texts.flat_map(|text| text.split(','));
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn prefix(headers: &HeaderMap) -> Option<String> {
    let first = values(headers, "prefix").into_iter().next()?;
    let prefix = first.trim_end_matches('/');
    (!prefix.is_empty()).then(|| prefix.to_owned())
}

/// The elements of `Forwarded`.
fn hops(headers: &HeaderMap) -> Vec<Hop> {
    let lines = headers.get_all(http::header::FORWARDED);
    let texts = lines.iter().filter_map(|line| line.to_str().ok());
    texts
        .flat_map(|text| split(text, ','))
        .map(|element| hop(&element))
        .collect()
}

fn hop(element: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(element, ';') {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        let place = match name.trim().to_ascii_lowercase().as_str() {
            "for" => &mut hop.from,
            "host" => &mut hop.host,
            "proto" => &mut hop.proto,
            _ => continue,
        };
        *place = Some(unquoted(value.trim()));
    }
    hop
}

/// Splits outside of quotes. A quote that is never closed is none: a client could swallow with it what
/// the proxy adds behind.
fn split(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for one in text.chars() {
        if one == at && !quoted {
            parts.push(String::new());
            continue;
        }
        if one == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && one == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(one);
        }
    }
    if quoted {
        parts = text.split(at).map(str::to_owned).collect();
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut letters = inner.chars();
    while let Some(one) = letters.next() {
        let one = if one == '\\' {
            letters.next()
        } else {
            Some(one)
        };
        text.extend(one);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[(&'static str, &str)]) -> Forwarded {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let trusted = ["127.0.0.1", "10.0.0.0/8", "::1"].map(|n| Network::parse(n).unwrap());
        Forwarded::read(&headers, "127.0.0.1:9".parse().unwrap(), &trusted)
    }

    #[test]
    fn the_client_is_the_first_that_no_proxy_of_ours_is() {
        for (chain, client) in [
            ("203.0.113.7", "203.0.113.7:0"),
            ("203.0.113.7:55", "203.0.113.7:55"),
            ("203.0.113.7, 10.1.2.3", "203.0.113.7:0"),
            // What the client itself sent comes first and is nobody's word.
            ("10.9.9.9, 203.0.113.7, 10.1.2.3", "203.0.113.7:0"),
            ("1.1.1.1,203.0.113.7", "203.0.113.7:0"),
            ("10.1.1.1", "10.1.1.1:0"),
            ("2001:db8::7", "[2001:db8::7]:0"),
            ("[2001:db8::7]:443", "[2001:db8::7]:443"),
            ("::ffff:203.0.113.7", "203.0.113.7:0"),
            ("1.1.1.1, unknown", "127.0.0.1:9"),
            ("1.1.1.1, _hidden, 10.1.2.3", "10.1.2.3:0"),
            ("1.1.1.1, 1.2.3", "127.0.0.1:9"),
        ] {
            let found = read(&[("x-forwarded-for", chain)]).client.unwrap();
            assert_eq!(found, client.parse().unwrap(), "{chain}");
        }
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "10.1.2.3"),
        ];
        assert_eq!(read(&lines).client.unwrap().ip().to_string(), "1.1.1.1");
        assert_eq!(read(&[]).client.unwrap().to_string(), "127.0.0.1:9");
    }

    #[test]
    fn the_common_headers_tell_host_scheme_and_prefix() {
        let told = read(&[
            ("x-forwarded-host", "files.example.com, inner"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-prefix", "/storage/"),
        ]);
        let hosts = [
            "files.example.com:8443",
            "files.example.com",
            "inner:8443",
            "inner",
        ];
        assert_eq!(told.hosts, hosts);
        assert_eq!(
            (told.secure, told.prefix.as_deref()),
            (Some(true), Some("/storage"))
        );
        assert_eq!(
            read(&[("x-forwarded-proto", "https, http")]).secure,
            Some(false)
        );
    }

    #[test]
    fn forwarded_is_read_by_its_grammar_at_the_hop_of_our_own_proxy() {
        let told = read(&[(
            "forwarded",
            "for=1.1.1.1;host=forged;proto=https, \
             For=\"[2001:db8::7]:80\";Host=\"files.example.com:8443\";proto=HTTPS;by=\"a,b;c\\\"\", \
             for=10.1.2.3;host=inner;proto=http",
        )]);
        assert_eq!(told.client.unwrap().to_string(), "[2001:db8::7]:80");
        assert_eq!(told.hosts, ["files.example.com:8443"]);
        assert_eq!(told.secure, Some(true));
        // Whom it hides it may, but its word on the host holds.
        let told = read(&[("forwarded", "for=1.1.1.1;host=forged, for=unknown;host=h")]);
        assert_eq!(told.client.unwrap().to_string(), "127.0.0.1:9");
        assert_eq!(told.hosts, ["h"]);
    }

    #[test]
    fn a_clients_forwarded_does_not_count_beside_the_proxys_own_headers() {
        let told = read(&[
            ("forwarded", "for=1.1.1.1;host=forged;proto=https"),
            ("x-forwarded-for", "203.0.113.7"),
        ]);
        assert_eq!(told.client.unwrap().ip().to_string(), "203.0.113.7");
        assert_eq!((told.hosts.len(), told.secure), (0, None));
    }

    proptest! {
        #[test]
        fn nothing_that_a_client_sends_first_changes_who_it_is(noise in "[ -~]{0,60}") {
            let chain = format!("{noise}, 203.0.113.7");
            let found = read(&[("x-forwarded-for", &chain)]).client.unwrap();
            prop_assert_eq!(found.ip().to_string(), "203.0.113.7");
            for added in ["for=203.0.113.7", "for=\"203.0.113.7:80\""] {
                let chain = format!("{noise}, {added}");
                let found = read(&[("forwarded", &chain)]).client.unwrap();
                prop_assert_eq!(found.ip().to_string(), "203.0.113.7");
            }
        }
    }
}
