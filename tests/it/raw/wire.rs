//! A signer and a sender of our own, which let a test spoil any step. It shares no code with the server.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{ACCESS_KEY, REGION, SECRET_KEY, Server};

pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// A request before it is sent; the path is as it stands on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// Decoded names and values.
    pub(crate) query: Vec<(String, String)>,
    /// Lower-case names, `host` included.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Who signs, when and for where.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) access_key: String,
    pub(crate) secret: String,
    pub(crate) region: String,
    pub(crate) service: &'static str,
    pub(crate) date: String,
}

impl Signer {
    pub(crate) fn now() -> Self {
        Self::seconds_ago(0)
    }

    pub(crate) fn seconds_ago(seconds: i64) -> Self {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
        Self {
            access_key: ACCESS_KEY.to_owned(),
            secret: SECRET_KEY.to_owned(),
            region: REGION.to_owned(),
            service: "s3",
            date: at.strftime("%Y%m%dT%H%M%SZ").to_string(),
        }
    }

    pub(crate) fn scope(&self) -> String {
        let Self {
            date,
            region,
            service,
            ..
        } = self;
        format!("{}/{region}/{service}/aws4_request", &date[..8])
    }

    /// The signature of any text to sign, in hexadecimal.
    pub(crate) fn sign(&self, text: &str) -> String {
        let mut key = mac(format!("AWS4{}", self.secret).as_bytes(), &self.date[..8]);
        for step in [self.region.as_str(), self.service, "aws4_request"] {
            key = mac(&key, step);
        }
        hex::encode(mac(&key, text))
    }

    fn sign_ask(&self, ask: &Ask, signed: &[String], payload: &str) -> String {
        let mut query: Vec<_> = ask
            .query
            .iter()
            .map(|(n, v)| (encode(n), encode(v)))
            .collect();
        query.sort();
        let query: Vec<_> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let headers: String = signed
            .iter()
            .map(|name| {
                let values = ask.headers.iter().filter(|(other, _)| other == name);
                let values: Vec<_> = values.map(|(_, value)| value.as_str()).collect();
                format!("{name}:{}\n", values.join(","))
            })
            .collect();
        let canonical = format!(
            "{}\n{}\n{}\n{headers}\n{}\n{payload}",
            ask.method,
            ask.path,
            query.join("&"),
            signed.join(";")
        );
        let hash = hex::encode(Sha256::digest(canonical));
        self.sign(&format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{hash}",
            self.date,
            self.scope()
        ))
    }
}

impl Ask {
    pub(crate) fn new(server: &Server, method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            query: Vec::new(),
            headers: vec![("host".to_owned(), server.authority().to_owned())],
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    fn signed_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.headers.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Signed in the `Authorization` header; returns the signature too, a chunk chain's seed.
    pub(crate) fn authorized(self, signer: &Signer, payload: &str) -> (Self, String) {
        self.header("x-amz-content-sha256", payload)
            .authorized_plainly(signer, payload)
    }

    /// [`Ask::authorized`] without a header that tells the body's digest, as other services have it.
    pub(crate) fn authorized_plainly(self, signer: &Signer, payload: &str) -> (Self, String) {
        let ask = self.header("x-amz-date", &signer.date);
        let names = ask.signed_names();
        let signature = signer.sign_ask(&ask, &names, payload);
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={},Signature={signature}",
            signer.access_key,
            signer.scope(),
            names.join(";")
        );
        (ask.header("authorization", &value), signature)
    }

    /// Signed in the query.
    pub(crate) fn presigned(self, signer: &Signer, expires: &str) -> Self {
        let names = self.signed_names();
        let ask = self
            .query("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
            .query(
                "X-Amz-Credential",
                &format!("{}/{}", signer.access_key, signer.scope()),
            )
            .query("X-Amz-Date", &signer.date)
            .query("X-Amz-Expires", expires)
            .query("X-Amz-SignedHeaders", &names.join(";"));
        let signature = signer.sign_ask(&ask, &names, UNSIGNED);
        ask.query("X-Amz-Signature", &signature)
    }

    /// The bytes on the wire, with a length unless the test gave one.
    pub(crate) fn bytes(&self, keep_alive: bool) -> Vec<u8> {
        let query: Vec<_> = self
            .query
            .iter()
            .map(|(n, v)| format!("{}={}", encode(n), encode(v)))
            .collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let mut head = format!(
            "{} {}{mark}{} HTTP/1.1\r\n",
            self.method,
            self.path,
            query.join("&")
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self
            .headers
            .iter()
            .any(|(name, _)| name == "content-length")
        {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        if !keep_alive {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }

    /// Sends all; where a test promised more bytes than there are, what is missing stays missing.
    pub(crate) async fn send(&self, server: &Server) -> Answer {
        self.send_to(server.authority()).await
    }

    /// [`Ask::send`] to whatever listens there, if it still does.
    pub(crate) async fn send_to(&self, authority: &str) -> Answer {
        let Ok(mut stream) = TcpStream::connect(authority).await else {
            return Answer::parse(b"");
        };
        // A server may refuse, and close, before it has taken all.
        stream.write_all(&self.bytes(false)).await.ok();
        // Only then: to a server, a closed half is a client that went away.
        if self
            .headers
            .iter()
            .any(|(name, _)| name == "content-length")
        {
            stream.shutdown().await.ok();
        }
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok();
        Answer::parse(&bytes)
    }

    /// Sends and demands this status and, where the code is not empty, this code.
    pub(crate) async fn expect(&self, server: &Server, status: u16, code: &str) -> Answer {
        let answer = self.send(server).await;
        assert_eq!(answer.status, status, "{self:?}\n{answer:?}");
        let says = code.is_empty() || answer.text.contains(&format!("<Code>{code}</Code>"));
        assert!(says, "{code}: {self:?}\n{answer:?}");
        answer
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// What follows the head.
    pub(crate) fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_head, body)| body)
    }

    /// The header of that lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (head, _body) = self.text.split_once("\r\n\r\n")?;
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or(0),
            text,
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// A server with a bucket called `raw`.
pub(crate) async fn ready() -> Server {
    ready_with("").await
}

/// The same with this configuration.
pub(crate) async fn ready_with(configuration: &str) -> Server {
    let server = Server::start_with(configuration).await;
    server
        .client()
        .create_bucket()
        .bucket("raw")
        .send()
        .await
        .unwrap();
    server
}

/// That no object has this key.
pub(crate) async fn absent(server: &Server, key: &str) {
    let head = server
        .client()
        .head_object()
        .bucket("raw")
        .key(key)
        .send()
        .await;
    assert!(head.is_err(), "{key} was stored");
}
