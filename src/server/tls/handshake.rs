//! The handshake of one connection.

use std::io;
use std::time::Duration;

use rustls::ServerConnection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::Tls;
use crate::s3::Encrypted;

/// A connection's bytes, encrypted on the wire or not.
pub(in crate::server) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The first byte of every TLS handshake.
const RECORD_OF_HANDSHAKE: u8 = 22;

/// What a client hears that speaks plainly where TLS is spoken.
const PLAIN_REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 50\r\nconnection: close\r\n\r\nOnly HTTPS is spoken here: the URL needs https://\n";

/// For so long a refused plain request is read away, so that its client reads the answer.
const PLAIN_LINGER: Duration = Duration::from_secs(1);

/// Shakes hands with a client; none where it is not one of TLS.
///
/// # Errors
/// What is wrong with the handshake.
pub(in crate::server) async fn shake_hands(
    tls: &Tls,
    stream: TcpStream,
) -> io::Result<Option<(Stream, Encrypted)>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first != [RECORD_OF_HANDSHAKE] {
        refuse_plain(stream).await?;
        return Ok(None);
    }
    let acceptor = TlsAcceptor::from(tls.server());
    let stream = acceptor.accept(stream).await?;
    let encrypted = facts(stream.get_ref().1);
    Ok(Some((Either::Right(Box::new(stream)), encrypted)))
}

async fn refuse_plain(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN_REFUSAL.as_bytes()).await?;
    stream.shutdown().await?;
    let mut away = [0; 4096];
    let read_away = async { while stream.read(&mut away).await.is_ok_and(|read| read > 0) {} };
    // Late or not, the client has had its time.
    tokio::time::timeout(PLAIN_LINGER, read_away).await.ok();
    Ok(())
}

fn facts(connection: &ServerConnection) -> Encrypted {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLSv1.2",
    };
    let suite = connection.negotiated_cipher_suite();
    let suite = suite.and_then(|suite| suite.suite().as_str());
    Encrypted {
        version,
        suite: suite.unwrap_or("-"),
    }
}
