//! The endpoint, and a kept-alive connection to it.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::auth::Secret;
use crate::auth::presign::{Signer, Target, presign_url};
use crate::cli::CliError;
use crate::clock::{Clock as _, SystemClock};

/// For so long the URLs of a run are good.
const URL_SECONDS: u64 = 6 * 3600;
/// So much of a refusal's text is told.
const REFUSAL_CHARACTERS_MAX: usize = 400;

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// The key's public half.
    pub(super) access_key: String,
    /// Its secret half.
    pub(super) secret: Secret,
}

/// Where a server listens.
#[derive(Clone)]
pub(super) struct Address {
    /// `http://host:port`.
    url: String,
    /// What the `Host` header says.
    host: HeaderValue,
    /// What is connected to.
    socket: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Address {
    /// Reads a URL; `tls` says whom to trust where it is asked for.
    pub(super) fn new(
        url: &str,
        tls: impl FnOnce() -> Result<ClientConfig, CliError>,
    ) -> Result<Self, CliError> {
        let wrong = || CliError::Usage(format!("{url} is no http:// or https:// address"));
        let url = url.trim_end_matches('/');
        let parsed = Uri::try_from(url).map_err(|_no_uri| wrong())?;
        let authority = parsed.authority().ok_or_else(wrong)?;
        let (port, is_tls) = match parsed.scheme_str() {
            Some("http") => (80, false),
            Some("https") => (443, true),
            _ => return Err(wrong()),
        };
        let (host, port) = (authority.host(), authority.port_u16().unwrap_or(port));
        let tls = if is_tls {
            let name = host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned();
            let name = ServerName::try_from(name).map_err(|_no_name| wrong())?;
            Some((TlsConnector::from(Arc::new(tls()?)), name))
        } else {
            None
        };
        Ok(Self {
            url: url.to_owned(),
            host: HeaderValue::from_str(authority.as_str()).map_err(failed)?,
            socket: format!("{host}:{port}"),
            tls,
        })
    }

    /// `http://host:port`.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// The server that is measured, and who asks.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// Where.
    pub(super) address: Address,
    /// The key; none where nothing is signed.
    pub(super) key: Option<Key>,
    /// The region.
    pub(super) region: String,
    /// The bucket.
    pub(super) bucket: String,
}

impl Endpoint {
    /// The same server's other bucket.
    pub(super) fn with_bucket(&self, bucket: String) -> Self {
        Self {
            bucket,
            ..self.clone()
        }
    }

    /// Who signs, where somebody does.
    pub(super) fn signer(&self) -> Option<Signer<'_>> {
        self.key.as_ref().map(|key| Signer {
            access_key: &key.access_key,
            secret: &key.secret,
            region: &self.region,
        })
    }

    /// What is signed of a request.
    pub(super) fn target<'a>(
        &'a self,
        method: &'a str,
        path: &'a str,
        query: &'a [(&'a str, &'a str)],
    ) -> Target<'a> {
        Target {
            method,
            endpoint: &self.address.url,
            path,
            query,
        }
    }

    /// What a presigned URL has behind the host.
    pub(super) fn sign_query(&self, method: &str, path: &str, query: &[(&str, &str)]) -> String {
        self.sign_with(method, path, query, &HeaderMap::new())
    }

    /// The same, where `headers` are sent and signed too.
    pub(super) fn sign_with(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &HeaderMap,
    ) -> String {
        let target = self.target(method, path, query);
        let Some(signer) = self.signer() else {
            let query = target.raw_query();
            let mark = if query.is_empty() { "" } else { "?" };
            return format!("{}{mark}{query}", target.raw_path());
        };
        let now = SystemClock.now();
        let url = presign_url(&signer, &target, headers, URL_SECONDS, now);
        url.get(self.address.url.len()..)
            .unwrap_or_default()
            .to_owned()
    }

    pub(super) async fn connect(&self) -> Result<Wire, CliError> {
        let stream = TcpStream::connect(&self.address.socket).await?;
        stream.set_nodelay(true)?;
        match &self.address.tls {
            None => self.speak(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                self.speak(stream).await
            }
        }
    }

    /// HTTP/1.1 over a connection that stands.
    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Wire, CliError> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // A fault of the connection shows as the fault of its request.
            drop(connection.await);
        });
        Ok(Wire {
            endpoint: self.clone(),
            sender,
            _driver: driver,
        })
    }
}

/// A body on its way to the server.
pub(super) type Sending = UnsyncBoxBody<Bytes, Infallible>;

/// These bytes as a body.
pub(super) fn whole(bytes: Bytes) -> Sending {
    Full::new(bytes).boxed_unsync()
}

/// What a good answer has to hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Check<'a> {
    /// It is good.
    Status,
    /// These bytes.
    Bytes(&'a Bytes),
    /// This length is told, of a body that is not sent.
    Length(usize),
    /// This text between each such mark and the next `<`, in this order.
    Texts(&'a str, &'a [String]),
}

/// A good answer to a request, compared with what was expected.
#[derive(Debug)]
pub(super) struct Answer {
    /// From the request's first byte to the answer's last one.
    pub(super) took: Duration,
    /// Bytes of its body.
    pub(super) bytes: usize,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// The text of its body, where there was one to look into.
    pub(super) text: Bytes,
}

/// A kept-alive connection, and the task that drives it.
pub(super) struct Wire {
    endpoint: Endpoint,
    sender: SendRequest<Sending>,
    _driver: JoinSet<()>,
}

impl Wire {
    /// Sends one request with a body of `len` bytes.
    pub(super) async fn send(
        &mut self,
        method: &str,
        url: &str,
        body: Sending,
        len: usize,
    ) -> Result<Response<Incoming>, CliError> {
        let method = Method::from_bytes(method.as_bytes()).map_err(failed)?;
        let url = Uri::try_from(url).map_err(failed)?;
        self.send_request(request(method, url, body, len)).await
    }

    /// Sends a request as it is.
    pub(super) async fn send_request(
        &mut self,
        mut request: Request<Sending>,
    ) -> Result<Response<Incoming>, CliError> {
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.endpoint.address.host.clone());
        self.sender.ready().await.map_err(failed)?;
        self.sender.send_request(request).await.map_err(failed)
    }

    /// Sends a request whose answer must be good and hold what `check` says, over a new connection where
    /// the server closed this one.
    pub(super) async fn ask(
        &mut self,
        request: Request<Sending>,
        check: Check<'_>,
    ) -> Result<Answer, CliError> {
        let (method, url) = (request.method().clone(), request.uri().clone());
        let began = Instant::now();
        if self.sender.ready().await.is_err() {
            // A server may answer and close, as those of HTTP/1.0 do; connecting anew is part of its time.
            *self = self.endpoint.clone().connect().await?;
        }
        let answer = self.send_request(request).await?;
        let (head, mut body) = answer.into_parts();
        let checked = match check {
            Check::Bytes(expected) if head.status.is_success() => Some(expected),
            _ => None,
        };
        let mut text = BytesMut::new();
        let mut bytes = 0_usize;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(failed)?.into_data() else {
                continue;
            };
            let end = bytes.saturating_add(data.len());
            match checked {
                Some(all) if all.get(bytes..end) != Some(data.as_ref()) => {
                    let what = format!("{method} {} gave back other bytes", url.path());
                    return Err(CliError::Usage(what));
                }
                Some(_same) => {}
                None => text.extend_from_slice(&data),
            }
            bytes = end;
        }
        let took = began.elapsed();
        let answer = Answer {
            took,
            bytes,
            headers: head.headers,
            text: text.freeze(),
        };
        let judged = answer.judge(head.status, check);
        judged.map_err(|what| CliError::Usage(format!("{method} {}: {what}", url.path())))?;
        Ok(answer)
    }
}

impl Answer {
    fn judge(&self, status: StatusCode, check: Check<'_>) -> Result<(), String> {
        if !status.is_success() {
            let text = String::from_utf8_lossy(&self.text);
            let text: String = text.chars().take(REFUSAL_CHARACTERS_MAX).collect();
            return Err(format!("{status} {text}"));
        }
        match check {
            Check::Status => Ok(()),
            Check::Bytes(all) if all.len() == self.bytes => Ok(()),
            Check::Bytes(all) => Err(format!("{} of {} bytes", self.bytes, all.len())),
            Check::Length(expected) => {
                let told = self.header(&header::CONTENT_LENGTH);
                if told.parse() == Ok(expected) {
                    return Ok(());
                }
                Err(format!("{told:?} as the length of {expected} bytes"))
            }
            Check::Texts(mark, expected) => {
                let text = String::from_utf8_lossy(&self.text);
                let told = text.split(mark).skip(1);
                let told = told.map(|rest| rest.split('<').next().unwrap_or_default());
                // An answer repeats the prefix that was asked for: here none.
                let told: Vec<_> = told.filter(|name| !name.is_empty()).collect();
                if told == expected {
                    return Ok(());
                }
                let (told, there) = (told.len(), expected.len());
                Err(format!("{told} of {mark}, not the {there} that are there"))
            }
        }
    }

    /// A header's text; nothing where it is missing.
    pub(super) fn header(&self, name: &http::HeaderName) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The text of the first element of this name.
    pub(super) fn element(&self, name: &str) -> Option<String> {
        let text = std::str::from_utf8(&self.text).ok()?;
        let (_before, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once('<').map(|(found, _after)| found.to_owned())
    }
}

/// A request with a body of `len` bytes. Its length is told by every method that may have one, since
/// S3 asks for it also where it is 0.
pub(super) fn request(method: Method, url: Uri, body: Sending, len: usize) -> Request<Sending> {
    let mut request = Request::new(body);
    if matches!(method, Method::PUT | Method::POST) {
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    }
    *request.method_mut() = method;
    *request.uri_mut() = url;
    request
}

pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Io(std::io::Error::other(error))
}

/// `bytes` bytes that no compression shortens and no block repeats.
pub(super) fn pattern(bytes: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let words = std::iter::repeat_with(|| {
        // Xorshift: any sequence that is the same in every run will do.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

/// Makes the bucket; one that is there already is no fault. Where nothing is signed, whoever runs the
/// server has made it.
pub(super) async fn make_bucket(endpoint: &Endpoint) -> Result<(), CliError> {
    if endpoint.key.is_none() {
        return Ok(());
    }
    let url = endpoint.sign_query("PUT", &format!("/{}", endpoint.bucket), &[]);
    let mut wire = endpoint.connect().await?;
    let answer = wire.send("PUT", &url, whole(Bytes::new()), 0).await?;
    let status = answer.status();
    if status.is_success() || status == StatusCode::CONFLICT {
        return Ok(());
    }
    let message = format!("the bucket {} can't be made: {status}", endpoint.bucket);
    Err(CliError::Usage(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str, length: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_LENGTH,
            HeaderValue::from_str(length).unwrap(),
        );
        Answer {
            took: Duration::ZERO,
            bytes: text.len(),
            headers,
            text: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    fn address(url: &str) -> Result<Address, CliError> {
        Address::new(url, || Err(CliError::Usage("TLS".to_owned())))
    }

    #[test]
    fn addresses_have_a_scheme_a_host_and_a_port() {
        let plain = address("http://[::1]:9000/").unwrap();
        assert_eq!(
            (plain.url.as_str(), plain.socket.as_str()),
            ("http://[::1]:9000", "[::1]:9000")
        );
        assert_eq!(address("http://a.example").unwrap().socket, "a.example:80");
        let asked = address("https://a.example").unwrap_err();
        assert_eq!(asked.to_string(), "TLS");
        for bad in ["", "a.example", "ftp://a.example", "http://", "/path"] {
            let told = address(bad).unwrap_err().to_string();
            assert!(told.ends_with("address"), "{told}");
        }
    }

    #[test]
    fn a_wrong_answer_is_told_from_a_right_one() {
        let list = answer("<X><Key>a</Key><Key>b</Key></X>", "7");
        let keys = |keys: &[&str]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
        let good = |check: Check<'_>| list.judge(StatusCode::OK, check);
        assert_eq!(good(Check::Texts("<Key>", &keys(&["a", "b"]))), Ok(()));
        for wrong in [&["a"][..], &["a", "c"], &["b", "a"], &["a", "b", "c"]] {
            assert!(good(Check::Texts("<Key>", &keys(wrong))).is_err());
        }
        let echo = answer("<Prefix></Prefix><Y><Prefix>a/</Prefix></Y>", "7");
        let prefixes = keys(&["a/"]);
        let judged = echo.judge(StatusCode::OK, Check::Texts("<Prefix>", &prefixes));
        assert_eq!(judged, Ok(()));
        assert_eq!(good(Check::Length(7)), Ok(()));
        assert!(good(Check::Length(8)).is_err());
        assert!(good(Check::Bytes(&Bytes::from_static(b"short"))).is_err());
        let refused = list.judge(StatusCode::FORBIDDEN, Check::Status);
        assert!(refused.is_err_and(|text| text.starts_with("403")));
        assert_eq!(list.element("Key").as_deref(), Some("a"));
        assert_eq!(list.element("ETag"), None);
    }
}
