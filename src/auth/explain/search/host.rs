//! Another host, port or prefix.

use super::draft::Draft;
use super::{Kind, Scene, Trial};
use crate::public_url::without_port;

/// Names by which a server is called where nobody thinks of them as its address.
const NAMES: &[&str] = &[
    "localhost",
    "127.0.0.1",
    "[::1]",
    "0.0.0.0",
    "host.docker.internal",
    "minio",
    "consign",
    "s3",
    "storage",
    "localstack",
    "s3.amazonaws.com",
];
const PORTS: &[&str] = &[
    "", ":9000", ":80", ":443", ":8080", ":8000", ":4566", ":9001",
];
const HOSTS_MAX: usize = 48;

impl Scene<'_> {
    /// Hosts that it may have been signed for, each in both ways to name a bucket, and prefixes.
    pub(super) fn hosts(&self, trial: &mut Trial<'_>) {
        self.ports(trial);
        let (bucket, whole) = self.styles();
        let own_port = self
            .known
            .own
            .rfind(':')
            .and_then(|at| self.known.own.get(at..));
        let ports: Vec<&str> = PORTS.iter().copied().chain(own_port).collect();
        for name in self.names() {
            let told = [""];
            let bare = without_port(&name) == name;
            let ports = if bare { ports.as_slice() } else { &told };
            for port in ports {
                let host = format!("{name}{port}");
                self.host(trial, &self.base.at(&host, &self.base.path), &host);
                self.host(trial, &self.base.at(&host, &whole), &host);
                if let Some((bucket, rest)) = &bucket {
                    let host = format!("{bucket}.{name}{port}");
                    self.host(trial, &self.base.at(&host, rest), &host);
                }
            }
        }
        self.prefixes(trial);
    }

    fn host(&self, trial: &mut Trial<'_>, draft: &Draft, host: &str) {
        trial.attempt(Kind::Host, draft, || {
            let came = &self.request.authority;
            (
                format!("It was signed for the host \"{host}\" and reached the server as \"{came}\"."),
                format!(
                    "Sign it for \"{came}\"; or let the proxy pass the Host header on as it came; or \
                     declare the host that it is signed for: public_urls = [\"http://{host}\"]."
                ),
            )
        });
    }

    /// The same host with another port, or none.
    fn ports(&self, trial: &mut Trial<'_>) {
        let came = &self.request.authority;
        let host = without_port(came);
        for port in PORTS {
            let other = format!("{host}{port}");
            let draft = self.base.at(&other, &self.base.path);
            trial.attempt(Kind::Port, &draft, || {
                (
                    format!("It was signed for \"{other}\" and reached the server as \"{came}\": the port differs."),
                    format!(
                        "Let the proxy pass the port on with the host (nginx: proxy_set_header Host $http_host), \
                         or declare it: public_urls = [\"http://{other}\"]."
                    ),
                )
            });
        }
    }

    /// Hosts that the request itself tells, that were declared, and that are usual.
    fn names(&self) -> Vec<String> {
        let text = |name: &str| {
            let value = self.request.headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let said = text("x-forwarded-host").unwrap_or_default();
        let mut names: Vec<String> = said.split(',').map(|host| host.trim().to_owned()).collect();
        let forwarded = text("forwarded").unwrap_or_default().to_ascii_lowercase();
        let hosts = forwarded.split([';', ',']);
        let hosts = hosts.filter_map(|part| part.trim().strip_prefix("host="));
        names.extend(hosts.map(|host| host.trim_matches('"').to_owned()));
        for name in ["origin", "referer"] {
            let url = text(name).unwrap_or_default();
            let host = url.split_once("://").map(|(_, rest)| rest);
            names.extend(
                host.and_then(|rest| rest.split('/').next())
                    .map(str::to_owned),
            );
        }
        if let Some(elsewhere) = self.known.elsewhere {
            let places = elsewhere.places();
            names.extend(
                places
                    .into_iter()
                    .map(|place| without_port(&place.authority).to_owned()),
            );
        }
        names.push(self.known.own.to_owned());
        // What stands behind the bucket, and behind any other name.
        let own = without_port(&self.request.authority);
        names.push(own.to_owned());
        names.extend(own.split_once('.').map(|(_, domain)| domain.to_owned()));
        let region = &self.base.scope.region;
        names.push(format!("s3.{region}.amazonaws.com"));
        names.extend(NAMES.iter().map(|name| (*name).to_owned()));
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
        names.truncate(HOSTS_MAX);
        names
    }

    /// The bucket with the path below it, where the path names one; and the path where the host names
    /// the bucket.
    fn styles(&self) -> (Option<(String, String)>, String) {
        let path = self.base.path.as_str();
        let split = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let bucket = split.map(|(bucket, rest)| (bucket.to_owned(), format!("/{rest}")));
        let of_host = without_port(&self.request.authority).split_once('.');
        let whole =
            of_host.map_or_else(|| path.to_owned(), |(bucket, _)| format!("/{bucket}{path}"));
        (bucket, whole)
    }

    fn prefixes(&self, trial: &mut Trial<'_>) {
        let path = self.base.path.as_str();
        let host = self.base.header("host").unwrap_or_default().to_owned();
        let said = self.request.headers.get("x-forwarded-prefix");
        let said = said.and_then(|value| value.to_str().ok());
        let known = self.known.prefixes.iter().map(String::as_str).chain(said);
        let usual = ["/s3", "/storage", "/minio", "/files"];
        let mut prefixes: Vec<&str> = known.map(|prefix| prefix.trim_end_matches('/')).collect();
        prefixes.extend(usual);
        for prefix in prefixes {
            let draft = self.base.at(&host, &format!("{prefix}{path}"));
            trial.attempt(Kind::Prefix, &draft, || {
                (
                    format!("It was signed with the path \"{prefix}\" before the bucket's, which a proxy took off."),
                    format!("Declare it: public_urls = [\"https://{host}{prefix}\"]."),
                )
            });
        }
        let mut rest = path;
        for _segment in 0..2 {
            let Some(at) = rest.get(1..).and_then(|tail| tail.find('/')) else {
                return;
            };
            rest = rest.get(at + 1..).unwrap_or_default();
            let added = path.strip_suffix(rest).unwrap_or_default();
            let draft = self.base.at(&host, rest);
            trial.attempt(Kind::Prefix, &draft, || {
                (
                    format!("It was signed without the path \"{added}\" that it came with."),
                    format!("Sign it for the URL that clients use, or declare both: public_urls = [\"https://{host}{added}\", …]."),
                )
            });
        }
    }
}
