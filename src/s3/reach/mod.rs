//! By which hosts and paths the server is reached, and what a request that came through proxies
//! asked for.
//!
//! One rule holds it together: a host and a path mean one bucket and key ([`Reach::meaning`]), and a
//! signature is tried for another host and path only where these mean the same.

mod forwarded;

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;

use self::forwarded::Forwarded;
use super::door::Encrypted;
use super::error::{Code, S3Error};
use super::target::{bucket_of_host, bucket_under};
use crate::auth::{Elsewhere, Place};
use crate::name::BucketName;
use crate::network::Network;
use crate::public_url::{PublicUrl, without_port};

const NO_HOST: &str = "The Host header is no host.";
const HOSTS_DIFFER: &str = "The request names more than one host.";

/// How the operator says that the server is reached.
#[derive(Debug, Default)]
pub struct Reach {
    domains: Vec<String>,
    website_domains: Vec<String>,
    public_urls: Vec<PublicUrl>,
    trusted_proxies: Vec<Network>,
}

/// What a host and a path mean: whether a website is asked for, and `/bucket/key` as sent.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    website: bool,
    path: String,
}

/// A request as its client meant it: proxies are seen through.
#[derive(Debug, Clone)]
pub struct Arrival(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    reach: Arc<Reach>,
    /// What the request itself says.
    sent: Place,
    /// What its client asked for, where a proxy sent something else.
    asked: Option<Place>,
    /// Where in that path the server's own begins.
    prefix_len: usize,
    client: Option<SocketAddr>,
    secure: bool,
    /// What its answers name: none where nothing was declared.
    public: Option<PublicUrl>,
}

impl Reach {
    /// `domains` are those under which a bucket's name may stand, as are the hosts of `public_urls`;
    /// under `website_domains` it is the name of a website.
    pub fn new(
        domains: &[String],
        website_domains: &[String],
        public_urls: &[PublicUrl],
        trusted_proxies: &[Network],
    ) -> Self {
        let hosts = public_urls.iter().map(|url| url.host().to_owned());
        Self {
            domains: domains.iter().cloned().chain(hosts).collect(),
            website_domains: website_domains.to_vec(),
            public_urls: public_urls.to_vec(),
            trusted_proxies: trusted_proxies.to_vec(),
        }
    }

    /// Domains under which a bucket's name may stand.
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// Domains under which a bucket's name may stand, as a website.
    pub fn website_domains(&self) -> &[String] {
        &self.website_domains
    }

    /// What stands before the paths of public URLs.
    pub fn prefixes(&self) -> Vec<String> {
        let prefixes = self.public_urls.iter().map(PublicUrl::prefix);
        let prefixes = prefixes.filter(|prefix| !prefix.is_empty());
        prefixes.map(str::to_owned).collect()
    }

    fn meaning(&self, place: &Place) -> Meaning {
        let authority = place.authority.as_str();
        let path = self.below_prefix(authority, &place.raw_path).1;
        let path = match bucket_of_host(authority, &self.domains) {
            Some(bucket) => format!("/{bucket}{path}"),
            None => path.to_owned(),
        };
        let is_bucket = path.len() > 1 && path.matches('/').count() == 1;
        Meaning {
            website: bucket_under(authority, &self.website_domains).is_some(),
            path: if is_bucket { path + "/" } else { path },
        }
    }

    /// The URL whose prefix `path` begins with, and what is left below it. At a host that nobody
    /// declared, which only a proxy knows, each prefix counts.
    fn below_prefix<'a>(&self, authority: &str, path: &'a str) -> (Option<&PublicUrl>, &'a str) {
        let is_here = |url: &&PublicUrl| is_under(url, authority);
        let any_here = self.public_urls.iter().any(|url| is_here(&url));
        let urls = self.public_urls.iter();
        urls.filter(|url| !any_here || is_here(url))
            .filter_map(|url| Some((Some(url), url.below(path)?)))
            .max_by_key(|(url, _)| url.map_or(0, |url| url.prefix().len()))
            .filter(|(url, _)| url.is_some_and(|url| !url.prefix().is_empty()))
            .unwrap_or((None, path))
    }

    fn trusts(&self, peer: SocketAddr) -> bool {
        let mut networks = self.trusted_proxies.iter();
        networks.any(|network| network.contains(peer.ip()))
    }

    /// Whether the operator named that host, or one that it is a bucket's name under.
    fn declares(&self, authority: &str) -> bool {
        let (urls, host) = (&self.public_urls, without_port(authority));
        urls.iter().any(|url| is_under(url, authority))
            || bucket_under(authority, &self.website_domains).is_some()
            || bucket_of_host(authority, &self.domains).is_some()
            || self
                .domains
                .iter()
                .any(|domain| host.eq_ignore_ascii_case(domain))
    }

    /// What answers to a client that asked for this host are to name.
    fn public(&self, authority: &str, prefix: &str, through_proxy: bool) -> Option<&PublicUrl> {
        let here = || {
            self.public_urls
                .iter()
                .filter(|url| is_under(url, authority))
        };
        let same = here().find(|url| url.prefix() == prefix);
        let any = || here().next();
        // A proxy that tells a name of its own hides the one that was asked for.
        let first = || self.public_urls.first().filter(|_first| through_proxy);
        same.or_else(any).or_else(first)
    }
}

/// Whether `authority` is the URL's own, or a bucket's name under it.
fn is_under(url: &PublicUrl, authority: &str) -> bool {
    url.is_at(authority) || {
        let bucket = bucket_under(authority, &[url.host()]);
        let rest = bucket.and_then(|bucket| authority.get(bucket.len() + 1..));
        rest.is_some_and(|rest| url.is_at(rest))
    }
}

impl Arrival {
    /// Sees what `peer` sent.
    ///
    /// # Errors
    /// `InvalidRequest` without a host, or with more than one.
    pub fn of(
        reach: &Arc<Reach>,
        parts: &Parts,
        peer: Option<SocketAddr>,
    ) -> Result<Self, S3Error> {
        let sent = Place {
            authority: authority(parts)?.to_owned(),
            raw_path: parts.uri.path().to_owned(),
        };
        let encrypted = parts.extensions.get::<Encrypted>().is_some();
        Ok(Self::seen(reach, sent, &parts.headers, (peer, encrypted)))
    }

    /// Sees what `peer` sent to that place, and whether it was encrypted on the way.
    pub fn seen(
        reach: &Arc<Reach>,
        sent: Place,
        headers: &HeaderMap,
        (peer, encrypted): (Option<SocketAddr>, bool),
    ) -> Self {
        let proxy = peer.filter(|peer| reach.trusts(*peer));
        let said = proxy.map(|peer| Forwarded::read(headers, peer, &reach.trusted_proxies));
        let said = said.unwrap_or_default();
        let mut hosts = said.hosts.into_iter();
        let host = hosts.find(|host| reach.declares(host));
        let authority = host.as_deref().unwrap_or(&sent.authority);
        // What a proxy took off was signed with the rest.
        let whole = |prefix: String| format!("{prefix}{}", sent.raw_path);
        let whole = said.prefix.map(whole);
        let raw_path = whole.filter(|whole| {
            let (url, rest) = reach.below_prefix(authority, whole);
            url.is_some() && rest == sent.raw_path
        });
        let (url, _below) =
            reach.below_prefix(authority, raw_path.as_deref().unwrap_or(&sent.raw_path));
        let prefix = url.map_or("", PublicUrl::prefix);
        let prefix_len = prefix.len();
        let public = reach.public(authority, prefix, proxy.is_some()).cloned();
        let is_other = host.is_some() || raw_path.is_some();
        let asked = is_other.then(|| Place {
            authority: host.unwrap_or_else(|| sent.authority.clone()),
            raw_path: raw_path.unwrap_or_else(|| sent.raw_path.clone()),
        });
        Self(Arc::new(Seen {
            reach: Arc::clone(reach),
            sent,
            asked,
            prefix_len,
            client: said.client.or(peer),
            secure: said.secure.unwrap_or(encrypted),
            public,
        }))
    }

    fn asked(&self) -> &Place {
        self.0.asked.as_ref().unwrap_or(&self.0.sent)
    }

    /// The host that the client asked for, with its port where it has one.
    pub fn authority(&self) -> &str {
        &self.asked().authority
    }

    /// The path that the client asked for, as it was encoded.
    pub fn raw_path(&self) -> &str {
        &self.asked().raw_path
    }

    /// What of the path lies below the public URL.
    pub fn path(&self) -> &str {
        let path = self.raw_path().get(self.0.prefix_len..);
        path.filter(|path| !path.is_empty()).unwrap_or("/")
    }

    /// Who sent it: the socket's own peer, or the first hop before the proxies that are trusted.
    pub fn client(&self) -> Option<SocketAddr> {
        self.0.client
    }

    /// Whether it came through TLS: as a trusted proxy says of its own client, or to us.
    pub fn is_secure(&self) -> bool {
        self.0.secure
    }

    /// What clients write before the host: where a public URL is known, its own scheme.
    pub fn scheme(&self) -> &'static str {
        let of_url = self.0.public.as_ref().map(PublicUrl::is_secure);
        if of_url.unwrap_or(self.0.secure) {
            "https"
        } else {
            "http"
        }
    }

    /// The address of an encoded key, for whoever is not behind the proxies.
    pub fn url_of(&self, bucket: &str, key: &str) -> String {
        let (scheme, authority) = (self.scheme(), self.authority());
        match &self.0.public {
            Some(url) if !url.is_at(authority) && is_under(url, authority) => {
                format!("{scheme}://{authority}{}/{key}", url.prefix())
            }
            Some(url) => format!("{}/{bucket}/{key}", url.text()),
            None if bucket_of_host(authority, &self.0.reach.domains).is_some() => {
                format!("{scheme}://{authority}/{key}")
            }
            None => format!("{scheme}://{authority}/{bucket}/{key}"),
        }
    }
}

impl Elsewhere for Arrival {
    fn places(&self) -> Vec<Place> {
        let Seen { reach, sent, .. } = &*self.0;
        let meaning = reach.meaning(self.asked());
        let whole = meaning.path.as_str();
        let (bucket, rest) = whole
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'))
            .unwrap_or((whole, ""));
        let is_bucket = BucketName::parse(bucket).is_ok();
        let mut found = vec![sent.clone()];
        for url in &reach.public_urls {
            for authority in url.authorities() {
                let mut add = |authority: &str, path: &str| {
                    found.push(Place {
                        authority: authority.to_owned(),
                        raw_path: format!("{}{path}", url.prefix()),
                    });
                };
                add(&authority, whole);
                // A bucket's own path has a slash at its end or none.
                if rest.is_empty() {
                    add(&authority, whole.trim_end_matches('/'));
                }
                if is_bucket {
                    add(&format!("{bucket}.{authority}"), &format!("/{rest}"));
                }
            }
        }
        found.retain(|place| !place.raw_path.is_empty() && reach.meaning(place) == meaning);
        found
    }
}

/// The `Host` header, or HTTP/2's `:authority`. A request that names two hosts might be another one to
/// a proxy than to us.
fn authority(parts: &Parts) -> Result<&str, S3Error> {
    let refused = |why: &'static str| S3Error::because(Code::InvalidRequest, why);
    let mut hosts = parts.headers.get_all(http::header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => Some(host.to_str().map_err(|_no_text| refused(NO_HOST))?),
        (Some(_), Some(_)) => return Err(refused(HOSTS_DIFFER)),
    };
    let target = parts.uri.authority().map(http::uri::Authority::as_str);
    if let (Some(host), Some(target)) = (host, target)
        && !host.eq_ignore_ascii_case(target)
    {
        return Err(refused(HOSTS_DIFFER));
    }
    let named = host.or(target).filter(|host| !host.is_empty());
    let named = named.ok_or_else(|| refused("Missing Host header"))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(&byte);
    if named.bytes().all(plain) {
        Ok(named)
    } else {
        Err(refused(NO_HOST))
    }
}

#[cfg(test)]
mod tests;
