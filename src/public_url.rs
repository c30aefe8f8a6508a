//! An address under which clients reach the server: the operator declares it, clients sign for it.

/// `https://files.example.com`, `http://minio:9000`, `https://example.com/storage`: taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    secure: bool,
    /// In lower case, with a port where it is not the scheme's own.
    authority: String,
    /// `/storage`; empty where the server is at the root.
    prefix: String,
}

/// Why a text is no public URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Neither `http` nor `https`.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// No name, or one that can't be.
    #[error("must have a host, such as https://files.example.com")]
    Host,
    /// No port.
    #[error("has a port that is none")]
    Port,
    /// More than a path behind the host.
    #[error("must end with its path: no user, query or fragment")]
    Extra,
    /// A path that proxies would change.
    #[error("has a path that is not made of plain segments, such as /storage")]
    Path,
}

impl PublicUrl {
    /// Reads a URL. The scheme's own port, and a slash at the end, make no difference.
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(InvalidUrl::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(InvalidUrl::Scheme),
        };
        if rest.contains(['?', '#', '@']) {
            return Err(InvalidUrl::Extra);
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let prefix = path.trim_end_matches('/');
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let is_segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
        if !prefix.split('/').skip(1).all(is_segment) {
            return Err(InvalidUrl::Path);
        }
        Ok(Self {
            secure,
            authority: authority_of(authority, secure)?,
            prefix: prefix.to_owned(),
        })
    }

    /// Whether it is reached through TLS.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, with its port where that is not the scheme's own.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host alone.
    pub fn host(&self) -> &str {
        without_port(&self.authority)
    }

    /// The path before that of a request: `/storage`; empty where there is none.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The ways in which clients write the authority: the scheme's own port may be told.
    pub fn authorities(&self) -> Vec<String> {
        let mut ways = vec![self.authority.clone()];
        if self.host() == self.authority {
            ways.push(format!("{}:{}", self.authority, own_port(self.secure)));
        }
        ways
    }

    /// Whether `authority` is this one, in any of its ways.
    pub fn is_at(&self, authority: &str) -> bool {
        let ways = self.authorities();
        ways.iter().any(|way| way.eq_ignore_ascii_case(authority))
    }

    /// What is left of `path` below the prefix; none where it lies elsewhere.
    pub fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        match path.strip_prefix(self.prefix.as_str())? {
            "" => Some("/"),
            rest => rest.starts_with('/').then_some(rest),
        }
    }

    /// The URL, as [`Self::parse`] reads it.
    pub fn text(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.prefix)
    }
}

/// `authority` without its port.
pub fn without_port(authority: &str) -> &str {
    // Asked eleven times of each request: digits are looked at one by one, since there are few.
    let digits = authority.bytes().rev().take_while(u8::is_ascii_digit);
    let before = authority.len().saturating_sub(digits.count());
    let host = authority
        .get(..before)
        .and_then(|host| host.strip_suffix(':'));
    host.unwrap_or(authority)
}

const fn own_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn authority_of(text: &str, secure: bool) -> Result<String, InvalidUrl> {
    let host = without_port(text);
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let valid = inner.map_or_else(
        || !host.is_empty() && host.bytes().all(plain),
        |address| address.parse::<std::net::Ipv6Addr>().is_ok(),
    );
    if !valid {
        return Err(InvalidUrl::Host);
    }
    let host = host.to_ascii_lowercase();
    let Some(port) = text
        .get(host.len()..)
        .and_then(|rest| rest.strip_prefix(':'))
    else {
        return Ok(host);
    };
    let port: u16 = port.parse().map_err(|_no_number| InvalidUrl::Port)?;
    match port {
        0 => Err(InvalidUrl::Port),
        port if port == own_port(secure) => Ok(host),
        port => Ok(format!("{host}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, authority, prefix) in [
            ("https://Files.Example.com", "files.example.com", ""),
            ("https://files.example.com:443/", "files.example.com", ""),
            ("http://minio:9000", "minio:9000", ""),
            ("http://h:443", "h:443", ""),
            ("https://example.com/storage/", "example.com", "/storage"),
            ("http://[::1]:9000/a/b-c", "[::1]:9000", "/a/b-c"),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!(
                (url.authority(), url.prefix()),
                (authority, prefix),
                "{text}"
            );
            assert_eq!(PublicUrl::parse(&url.text()).unwrap(), url, "{text}");
        }
    }

    #[test]
    fn what_is_no_public_url_says_why() {
        for (text, why) in [
            ("", InvalidUrl::Scheme),
            ("files.example.com", InvalidUrl::Scheme),
            ("ftp://h", InvalidUrl::Scheme),
            ("http://", InvalidUrl::Host),
            ("http:///a", InvalidUrl::Host),
            ("http://a b", InvalidUrl::Host),
            ("http://*.example.com", InvalidUrl::Host),
            ("http://[::1", InvalidUrl::Host),
            ("http://h:", InvalidUrl::Port),
            ("http://h:0", InvalidUrl::Port),
            ("http://h:65536", InvalidUrl::Port),
            ("http://u@h", InvalidUrl::Extra),
            ("http://h/?a", InvalidUrl::Extra),
            ("http://h/a//b", InvalidUrl::Path),
            ("http://h/../a", InvalidUrl::Path),
            ("http://h/a%20b", InvalidUrl::Path),
        ] {
            assert_eq!(PublicUrl::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn the_schemes_own_port_may_be_told() {
        let url = PublicUrl::parse("https://h/p").unwrap();
        for (authority, is) in [("h", true), ("H:443", true), ("h:80", false), ("h:", false)] {
            assert_eq!(url.is_at(authority), is, "{authority}");
        }
        assert!(!PublicUrl::parse("http://h:9000").unwrap().is_at("h"));
    }

    #[test]
    fn a_prefix_is_whole_segments() {
        let url = PublicUrl::parse("https://h/p").unwrap();
        for (path, below) in [
            ("/p", Some("/")),
            ("/p/", Some("/")),
            ("/p/b/k", Some("/b/k")),
            ("/p//b", Some("//b")),
            ("/pp/b", None),
            ("/", None),
        ] {
            assert_eq!(url.below(path), below, "{path}");
        }
    }
}
