//! Callbacks in OSS's way: one post while the uploader waits, signed by the instance's RSA key, so that
//! receivers written for OSS verify it.
//!
//! The signature is PKCS#1 v1.5 over an MD5, because that is what those receivers compute. MD5 keeps
//! nobody from making two messages with one digest, only from forging one that the server would have
//! to sign; who is free to choose takes the Standard Webhooks of [`super::deliver`].
//!
//! <https://www.alibabacloud.com/help/en/oss/developer-reference/callback>

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use md5::{Digest as _, Md5};
use reqwest::{StatusCode, Url};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::{Generate as _, Pkcs1v15Sign, PrivateKey};
use zeroize::Zeroizing;

use super::config::CallbackError;
use super::endpoint::{Authorities, client, describe};
use super::network::Reach;
use crate::id;
use crate::network::Network;

/// How long an app server may take to answer.
/// <https://www.alibabacloud.com/help/en/oss/developer-reference/callback>
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of an app server's answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// One message to an app server.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// The address.
    pub url: &'a str,
    /// The `Host` to name instead of that of the address.
    pub host: Option<&'a str>,
    /// The type of its body.
    pub content_type: &'static str,
    /// The name of the request that it is about.
    pub request: &'a str,
    /// The bucket that it is about.
    pub bucket: &'a str,
}

/// What posts callbacks in OSS's way.
pub struct OssCallbacks {
    client: reqwest::Client,
    reach: Reach,
    key: Arc<PrivateKey>,
    public_key: String,
    /// Base64 of the address of the public half.
    key_url: String,
    admitted: Vec<Url>,
}

impl fmt::Debug for OssCallbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OssCallbacks")
            .field("admitted", &self.admitted)
            .finish_non_exhaustive()
    }
}

/// A new key in PEM (PKCS #8). It takes a second or so.
///
/// # Errors
/// [`CallbackError::Key`].
pub fn new_key() -> Result<Zeroizing<String>, CallbackError> {
    let failed = |reason: &dyn fmt::Display| CallbackError::Key(reason.to_string());
    let key = PrivateKey::try_generate_from_rng(&mut System).map_err(|never| failed(&never))?;
    key.to_pkcs8_pem(LineEnding::LF)
        .map_err(|error| failed(&error))
}

impl OssCallbacks {
    /// What posts to addresses below one of `urls`, signed by the key that `pem` is, whose public half
    /// is at `key_url`. Where `networks` are given, only these are called.
    ///
    /// # Errors
    /// [`CallbackError`] says what is wrong.
    pub fn new(
        pem: &str,
        urls: &[String],
        key_url: &str,
        networks: &[Network],
    ) -> Result<Self, CallbackError> {
        let reach = Reach::new(networks);
        let authorities = Authorities::of(urls.iter().map(String::as_str));
        let key = PrivateKey::from_pkcs8_pem(pem);
        let key = key.map_err(|error| CallbackError::Key(error.to_string()))?;
        let public_key = key.to_public_key().to_public_key_pem(LineEnding::LF);
        let urls = urls.iter().map(|url| {
            let parsed = Url::parse(url);
            parsed.map_err(|error| CallbackError::Url(format!("{url}: {error}")))
        });
        Ok(Self {
            client: client(&reach, authorities)?,
            reach,
            key: Arc::new(key),
            public_key: public_key.map_err(|error| CallbackError::Key(error.to_string()))?,
            key_url: STANDARD.encode(key_url),
            admitted: urls.collect::<Result<_, _>>()?,
        })
    }

    /// The public half of the key, in PEM.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Whether an address lies below one of those that the operator lets be called: the same scheme,
    /// host and port, and a path that goes on from theirs.
    pub fn admits(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else {
            return false;
        };
        // What an app server may decode once more must not lead out of its folder.
        let path = url.path().to_ascii_lowercase();
        let hidden = ["%2f", "%5c", "%2e", "\\"]
            .iter()
            .any(|part| path.contains(part));
        let named = !url.username().is_empty() || url.password().is_some();
        let below = |admitted: &Url| {
            let rest = url.path().strip_prefix(admitted.path());
            admitted.scheme() == url.scheme()
                && admitted.host() == url.host()
                && admitted.port_or_known_default() == url.port_or_known_default()
                && rest.is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('/') || admitted.path().ends_with('/')
                })
        };
        !hidden && !named && self.admitted.iter().any(below)
    }

    /// Posts `body`. The answer must come within five seconds, with 200, and be JSON.
    ///
    /// # Errors
    /// What went wrong, in words for the uploader.
    pub async fn post(&self, post: Post<'_>, body: Bytes) -> Result<Bytes, String> {
        let sent = tokio::time::timeout(ANSWER_TIME_MAX, self.send(post, body)).await;
        sent.map_err(|_elapsed| "Cost too long time.".to_owned())?
    }

    async fn send(&self, post: Post<'_>, body: Bytes) -> Result<Bytes, String> {
        // Asked again here, so that no caller can forget to.
        if !self.admits(post.url) {
            return Err("The address is none that this server may call.".to_owned());
        }
        let url = Url::parse(post.url).map_err(|error| error.to_string())?;
        self.reach.admits_url(&url).map_err(|fault| {
            tracing::info!(%fault, "a callback could not be sent");
            "The address is none that this server may call.".to_owned()
        })?;
        let text = string_to_sign(&url, &body);
        let key = Arc::clone(&self.key);
        let signature = tokio::task::spawn_blocking(move || sign(&key, &text)).await;
        let signature = signature.map_err(|error| error.to_string())??;
        let mut request = self
            .client
            .post(url)
            .header("content-type", post.content_type)
            .header("content-md5", STANDARD.encode(Md5::digest(&body)))
            .header("authorization", signature)
            .header("x-oss-pub-key-url", &self.key_url)
            .header("x-oss-bucket", post.bucket)
            .header("x-oss-request-id", post.request)
            .header("x-oss-tag", "CALLBACK")
            .body(body);
        if let Some(host) = post.host {
            request = request.header("host", host);
        }
        let answer = request.send().await.map_err(|error| {
            tracing::info!(error = %describe(&error), "a callback could not be sent");
            "The callback's server could not be reached.".to_owned()
        })?;
        read(answer).await
    }
}

/// The answer's body, which must be JSON.
async fn read(mut answer: reqwest::Response) -> Result<Bytes, String> {
    let status = answer.status();
    if status != StatusCode::OK {
        return Err(format!("Error status : {}.", status.as_u16()));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|_broken| "The response broke off.".to_owned())?
    {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err("Response body is too long.".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    let json: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&body);
    match json {
        Ok(_json) => Ok(body.freeze()),
        Err(_no_json) => Err("Response body is not valid json format.".to_owned()),
    }
}

/// The decoded path, the query as it is, and the body on a line of its own.
fn string_to_sign(url: &Url, body: &[u8]) -> Vec<u8> {
    let mut text = decoded(url.path());
    if let Some(query) = url.query() {
        text.push(b'?');
        text.extend_from_slice(query.as_bytes());
    }
    text.push(b'\n');
    text.extend_from_slice(body);
    text
}

fn decoded(path: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = match (first, tail) {
            (b'%', &[high, low, ref after @ ..]) => {
                let mut byte = [0];
                let read = hex::decode_to_slice([high, low], &mut byte);
                read.ok().map(|()| (byte, after))
            }
            _ => None,
        };
        if let Some(([byte], after)) = escape {
            out.push(byte);
            rest = after;
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

fn sign(key: &PrivateKey, text: &[u8]) -> Result<String, String> {
    let digest = Md5::digest(text);
    let signed = key.sign_with_rng(&mut System, Pkcs1v15Sign::new::<Md5>(), &digest);
    let signed = signed.map_err(|error| error.to_string())?;
    Ok(STANDARD.encode(signed))
}

/// The one source of randomness, in the form that RSA asks for.
struct System;

impl TryRng for System {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes(id::random()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes(id::random()))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for chunk in to.chunks_mut(32) {
            let bytes = id::random::<32>();
            for (to, from) in chunk.iter_mut().zip(bytes) {
                *to = from;
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for System {}

#[cfg(test)]
mod tests {
    use super::*;

    fn callbacks(urls: &[&str]) -> OssCallbacks {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        OssCallbacks::new(&new_key().unwrap(), &urls, "http://h/key.pem", &[]).unwrap()
    }

    #[test]
    fn only_what_lies_below_an_address_may_be_called() {
        let callbacks = callbacks(&[
            "https://app.example.com/",
            "http://127.0.0.1:8080/hooks",
            "http://b.example.com/x/",
        ]);
        for yes in [
            "https://app.example.com",
            "https://APP.example.com:443/any/where?x=http://10.0.0.1/",
            "http://127.0.0.1:8080/hooks",
            "http://127.0.0.1:8080/hooks?a=b",
            "http://127.0.0.1:8080/hooks/a%20b",
            "http://b.example.com/x/",
            "http://b.example.com/x/y",
        ] {
            assert!(callbacks.admits(yes), "{yes}");
        }
        for no in [
            "",
            "app.example.com/",
            "http://app.example.com/",
            "https://app.example.com:444/",
            "https://app.example.com.evil.org/",
            "https://evil.org/?https://app.example.com/",
            "https://app.example.com@evil.org/",
            "https://user@app.example.com/",
            "https://user:x@app.example.com/",
            "ftp://app.example.com/",
            "file:///etc/passwd",
            "http://127.0.0.1:8080/hooksome",
            "http://127.0.0.1:8080/",
            "http://127.0.0.1:8080/hooks/../admin",
            "http://127.0.0.1:8080/hooks/%2e%2e/admin",
            "http://127.0.0.1:8080/hooks/..%2fadmin",
            "http://127.0.0.1:8080/hooks/..%5Cadmin",
            "http://127.0.0.1:8080/hooks/%2e%2e%2fadmin",
            "http://127.0.0.1/hooks",
            "http://localhost:8080/hooks",
            "http://b.example.com/x",
            "http://b.example.com/y",
        ] {
            assert!(!callbacks.admits(no), "{no}");
        }
        assert!(!self::callbacks(&[]).admits("http://127.0.0.1/"));
    }

    #[test]
    fn the_path_is_signed_decoded_and_the_query_as_it_is() {
        let text = |url: &str| {
            let text = string_to_sign(&Url::parse(url).unwrap(), b"a=b");
            String::from_utf8(text).unwrap()
        };
        assert_eq!(
            text("http://h/index.php?id=1%20&x"),
            "/index.php?id=1%20&x\na=b"
        );
        assert_eq!(text("http://h/a%20%E4%B8%AD+%zz"), "/a 中+%zz\na=b");
        assert_eq!(text("http://h"), "/\na=b");
    }

    #[test]
    fn the_public_half_verifies_what_was_signed() {
        let callbacks = callbacks(&[]);
        let signature = STANDARD
            .decode(sign(&callbacks.key, b"text").unwrap())
            .unwrap();
        let public = callbacks.key.to_public_key();
        let verify = |text: &[u8]| {
            let digest = Md5::digest(text);
            public.verify(Pkcs1v15Sign::new::<Md5>(), &digest, &signature)
        };
        assert!(verify(b"text").is_ok());
        assert!(verify(b"texts").is_err());
        assert!(
            callbacks
                .public_key()
                .starts_with("-----BEGIN PUBLIC KEY-----\n")
        );
        assert!(OssCallbacks::new("no key", &[], "u", &[]).is_err());
        assert!(!format!("{callbacks:?}").contains("PRIVATE"));
    }
}
