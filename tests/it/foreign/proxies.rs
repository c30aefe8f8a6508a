//! A real nginx before Consign, configured by the very file that `data/proxies` offers.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::Server;

const CONFIGURATION: &str = include_str!("../../../data/proxies/nginx.conf");
const TRIES: usize = 500;
const POLL: Duration = Duration::from_millis(20);

/// nginx as a child, which ends with the test.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The offered file, for these ports and without TLS; `host` is what it tells Consign.
fn offered(consign: &str, port: u16, host: &str) -> String {
    let lines = CONFIGURATION
        .lines()
        .filter(|line| !line.contains("ssl_certificate"));
    let text = lines.collect::<Vec<_>>().join("\n");
    for wanted in [
        "127.0.0.1:9000",
        "listen 443 ssl",
        "server_name example.com",
        "Host $http_host",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in nginx.conf");
    }
    text.replace("127.0.0.1:9000", consign)
        .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port}"))
        .replace("server_name example.com", "server_name localhost")
        .replace("Host $http_host", &format!("Host {host}"))
        .replace("upstream consign", &format!("upstream consign-{port}"))
        .replace("http://consign;", &format!("http://consign-{port};"))
}

/// A server that takes the path off, and says so.
fn stripping(consign: &str, port: u16) -> String {
    format!(
        "server {{ listen 127.0.0.1:{port}; client_max_body_size 0; proxy_request_buffering off; \
         merge_slashes off; location ~ ^/storage(/|$) {{ rewrite ^ $request_uri; \
         rewrite ^/storage/?(.*)$ /$1 break; proxy_pass http://{consign}$uri; proxy_http_version 1.1; \
         proxy_set_header Host consign.internal; proxy_set_header X-Forwarded-Host $http_host; \
         proxy_set_header X-Forwarded-Prefix /storage; }} }}"
    )
}

fn configuration(folder: &Path, servers: &[String]) -> String {
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};"));
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; \
         events {{ worker_connections 256; }} http {{ access_log off; {} {} }}",
        temporary.join(" "),
        servers.join("\n")
    )
}

async fn start(folder: &Path, servers: &[String], port: u16) -> Nginx {
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration(folder, servers)).unwrap();
    let child = Command::new("nginx")
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(&file)
        .arg("-e")
        .arg(folder.join("error.log"))
        .env(
            "PATH",
            format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()),
        )
        .stdin(Stdio::null())
        .spawn()
        .expect("nginx is missing: run scripts/test, which installs it");
    let mut nginx = Nginx(child);
    for _try in 0..TRIES {
        if let Some(status) = nginx.0.try_wait().unwrap() {
            let log = std::fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            panic!("nginx ended with {status}:\n{log}");
        }
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return nginx;
        }
        tokio::time::sleep(POLL).await;
    }
    panic!("nginx does not listen");
}

#[tokio::test]
async fn nginx() {
    let (kept, rewritten, stripped) = (free_port(), free_port(), free_port());
    let settings = format!(
        "public_urls = [\"http://127.0.0.1:{kept}\", \"http://127.0.0.1:{rewritten}\", \
         \"http://localhost:{kept}/storage\", \"http://127.0.0.1:{stripped}/storage\"]\n\
         trusted_proxies = [\"127.0.0.1\"]\n"
    );
    let server = Server::start_with(&settings).await;
    let folder = tempfile::TempDir::new().unwrap();
    let consign = server.authority();
    let servers = [
        offered(consign, kept, "$http_host"),
        // A proxy that tells a name of its own: what clients signed for is among the public URLs.
        offered(consign, rewritten, "consign.internal"),
        stripping(consign, stripped),
    ];
    let _nginx = start(folder.path(), &servers, kept).await;
    let endpoints = [
        ("CONSIGN_KEPT", format!("http://127.0.0.1:{kept}")),
        ("CONSIGN_REWRITTEN", format!("http://127.0.0.1:{rewritten}")),
        (
            "CONSIGN_PREFIXED",
            format!("http://localhost:{kept}/storage"),
        ),
        (
            "CONSIGN_STRIPPED",
            format!("http://127.0.0.1:{stripped}/storage"),
        ),
    ];
    super::run_against(&server, "python3", "proxies.py", &endpoints);
}
