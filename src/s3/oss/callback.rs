//! `x-oss-callback`: once an upload is stored, an app server is told of it, and its answer becomes the
//! upload's.
//!
//! <https://www.alibabacloud.com/help/en/oss/developer-reference/callback>

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value as Json};

use super::answer::callback_failed;
use super::expand::{BodyType, Template, Value, is_custom};
use super::{Callbacks, Letter, check_known};
use crate::auth::Who;
use crate::id::RequestId;
use crate::name::{BucketName, ObjectKey};
use crate::s3::context::Service;
use crate::s3::error::{Code, S3Error};
use crate::s3::head::Head;
use crate::s3::reply::{Facts, Reply, ReplyBody};
use crate::s3::route::Operation;
use crate::s3::sse;
use crate::store::StoreError;
use crate::store::read::Wanted;

/// Bytes of a callback's parameters in base64, each.
const PARAMETER_BYTES_MAX: usize = 16 * 1024;
/// Addresses that are tried one after the other.
const URLS_MAX: usize = 5;
/// Bytes of what an app server is sent.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of an image that are looked at to find its size.
const IMAGE_BYTES_MAX: u64 = 256 * 1024;

/// The parameters as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawOrder {
    /// `callback`, in base64.
    pub(super) order: String,
    /// The custom variables.
    pub(super) variables: BTreeMap<String, String>,
}

/// What is to be done once an upload is stored. Nothing of it can fail any more but the call.
#[derive(Debug)]
pub(super) struct Order {
    urls: Vec<String>,
    host: Option<String>,
    template: Template,
    variables: BTreeMap<String, String>,
    operation: Operation,
}

/// What is known of the upload beside what the answer tells.
#[derive(Debug)]
pub(super) struct Done {
    bucket: Option<BucketName>,
    key: Option<ObjectKey>,
    /// The head of a request that reads what was stored.
    headers: Arc<HeaderMap>,
    host: String,
    id: RequestId,
    peer: Option<SocketAddr>,
}

fn invalid(name: &str, message: impl Into<String>) -> S3Error {
    S3Error::because(Code::InvalidArgument, message.into()).with("ArgumentName", name)
}

impl RawOrder {
    /// The callback that a head asks for: by headers or by parameters, not by both.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(super) fn of(head: &Head) -> Result<Option<Self>, S3Error> {
        let one = |header: &'static str, parameter: &str| {
            let by_query: Vec<&str> = head
                .query
                .iter()
                .filter(|(name, _)| *name == parameter)
                .map(|(_, value)| value)
                .collect();
            let by_header = head.headers.get_all(header).iter().count();
            match (by_header, by_query.as_slice()) {
                (0, []) => Ok(None),
                (0, [value]) => Ok(Some((*value).to_owned())),
                (1, []) => Ok(head.header(header)?.map(str::to_owned)),
                _ => Err(invalid(
                    header,
                    format!("{header} was given more than once."),
                )),
            }
        };
        let order = one("x-oss-callback", "callback")?;
        let variables = one("x-oss-callback-var", "callback-var")?;
        let Some(order) = order else {
            let message = "x-oss-callback-var stands without x-oss-callback.";
            let alone = variables.map(|_text| invalid("x-oss-callback-var", message));
            return alone.map_or(Ok(None), Err);
        };
        let variables = match variables {
            None => BTreeMap::new(),
            Some(text) => custom(&text)?,
        };
        Ok(Some(Self { order, variables }))
    }
}

/// The variables that an uploader gives: texts under names that begin with `x:`.
fn custom(text: &str) -> Result<BTreeMap<String, String>, S3Error> {
    let name = "x-oss-callback-var";
    let pairs = object(name, text)?.into_iter().map(|(key, value)| {
        if !is_custom(&key) {
            let message = format!("The variable {key} must begin with x: and be in lower case.");
            return Err(invalid(name, message));
        }
        match value {
            Json::String(text) => Ok((key, text)),
            _ => Err(invalid(name, format!("The variable {key} must be a text."))),
        }
    });
    pairs.collect()
}

fn object(name: &str, text: &str) -> Result<Map<String, Json>, S3Error> {
    if text.len() > PARAMETER_BYTES_MAX {
        let message = format!("{name} is longer than {PARAMETER_BYTES_MAX} bytes.");
        return Err(invalid(name, message));
    }
    let bytes = STANDARD.decode(text.trim());
    let bytes = bytes.map_err(|_no_base64| invalid(name, format!("{name} is not base64.")))?;
    serde_json::from_slice(&bytes).map_err(|_no_object| {
        let message = format!("The callback configuration in {name} is not json format.");
        invalid(name, message)
    })
}

impl Order {
    /// Reads and judges what the uploader wants called. Nothing where no address is given.
    ///
    /// # Errors
    /// `InvalidArgument` that says what is wrong; `NotImplemented` for an operation that calls nobody;
    /// `AccessDenied` for an address that the operator does not let be called, and for anybody's
    /// upload.
    pub(super) fn read(
        service: &Service,
        raw: &RawOrder,
        operation: Operation,
        who: &Who,
    ) -> Result<Option<Self>, S3Error> {
        let name = "x-oss-callback";
        let calls = [
            Operation::PutObject,
            Operation::PostObject,
            Operation::CompleteMultipartUpload,
        ];
        if !calls.contains(&operation) {
            return Err(S3Error::unsupported_option(name));
        }
        let mut fields = object(name, &raw.order)?;
        let mut text = |field: &str| match fields.remove(field) {
            None | Some(Json::Null) => Ok(String::new()),
            Some(Json::String(text)) => Ok(text),
            Some(_) => Err(invalid(name, format!("{field} must be a text."))),
        };
        let (urls, host) = (text("callbackUrl")?, text("callbackHost")?);
        let (body, kind) = (text("callbackBody")?, text("callbackBodyType")?);
        // TLS always names the host here, which is what this asks for.
        fields.remove("callbackSNI");
        if let Some(unknown) = fields.keys().next() {
            return Err(invalid(name, format!("The field {unknown} is not known.")));
        }
        if urls.trim().is_empty() {
            return Ok(None);
        }
        check_known(who)?;
        if body.is_empty() {
            return Err(invalid(name, "callbackBody must not be empty."));
        }
        let kind = match kind.as_str() {
            "" => BodyType::Form,
            kind => BodyType::named(kind)
                .ok_or_else(|| invalid(name, format!("callbackBodyType can't be {kind}.")))?,
        };
        let template = Template::read(&body, kind).map_err(|variable| {
            invalid(
                name,
                format!("The variable {variable} of callbackBody is not known."),
            )
        })?;
        let host = Some(host).filter(|host| !host.is_empty());
        let port = service.oss.as_deref().ok_or(Code::NotImplemented)?;
        Ok(Some(Self {
            urls: admitted(port, &urls, host.as_deref())?,
            host,
            template,
            variables: raw.variables.clone(),
            operation,
        }))
    }

    /// Tells the app server, and answers the upload with its answer.
    ///
    /// # Errors
    /// None that is the callback's: the object is stored.
    pub(super) async fn carry_out(
        self,
        service: &Service,
        done: Done,
        mut reply: Reply,
    ) -> Result<Reply, S3Error> {
        let etag = reply.headers.get(ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.unwrap_or_default().trim_matches('"').to_owned();
        let facts = reply.facts.clone();
        match self.call(service, &done, &etag, facts.as_deref()).await {
            Ok(answer) => {
                reply.status = StatusCode::OK;
                let json = HeaderValue::from_static("application/json");
                reply.headers.insert(CONTENT_TYPE, json);
                reply.headers.remove(LOCATION);
                reply.body = ReplyBody::full(answer);
            }
            Err(why) => {
                tracing::warn!(id = %done.id, why, "an OSS callback failed");
                callback_failed(&mut reply, done.id, &done.host, &why);
            }
        }
        Ok(reply)
    }

    async fn call(
        self,
        service: &Service,
        done: &Done,
        etag: &str,
        facts: Option<&Facts>,
    ) -> Result<Bytes, String> {
        let port = service.oss.as_deref().ok_or("no callbacks here")?;
        let mut values = self.values(done, etag, facts);
        if self.template.names("imageInfo.")
            && let Some(image) = done.image(service, etag).await
        {
            values.extend(image);
        }
        let body = self.template.expand(&values, BODY_BYTES_MAX);
        let body = body.ok_or("The body of the callback is too long.")?;
        let mut last = String::new();
        for url in self.urls {
            let letter = Letter {
                url,
                host: self.host.clone(),
                content_type: self.template.kind().name(),
                body: Bytes::from(body.clone()),
                id: done.id,
                bucket: done
                    .bucket
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            };
            match port.post(letter).await {
                Ok(answer) => return Ok(answer),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    fn values(&self, done: &Done, etag: &str, facts: Option<&Facts>) -> BTreeMap<String, Value> {
        let text = |fact: fn(&Facts) -> Option<String>| facts.and_then(fact).unwrap_or_default();
        let bucket = done.bucket.as_ref().map(ToString::to_string);
        let key = done.key.as_ref().map(ToString::to_string);
        let kind = text(|facts| facts.content_type.clone());
        let md5 = text(|facts| facts.md5.map(|md5| STANDARD.encode(md5)));
        let crc = text(|facts| facts.crc64ecma.map(|crc| crc.to_string()));
        let ip = done.peer.map(|peer| peer.ip().to_canonical().to_string());
        let texts = [
            ("bucket", bucket.unwrap_or_default()),
            ("object", key.unwrap_or_default()),
            ("etag", etag.to_owned()),
            ("mimeType", kind),
            ("contentMd5", md5),
            ("crc64", crc),
            ("clientIp", ip.unwrap_or_default()),
            ("reqId", done.id.to_string()),
            ("operation", self.operation.name()),
        ];
        let mut values: BTreeMap<String, Value> = texts
            .into_iter()
            .map(|(name, text)| (name.to_owned(), Value::Text(text)))
            .collect();
        let size = facts.map_or(0, |facts| facts.len);
        values.insert("size".to_owned(), Value::Number(size));
        let custom = self.variables.iter();
        values.extend(custom.map(|(name, text)| (name.clone(), Value::Text(text.clone()))));
        values
    }
}

/// The addresses, each of which the operator must let be called, by its own host and by the one that
/// is named instead.
fn admitted(port: &dyn Callbacks, urls: &str, host: Option<&str>) -> Result<Vec<String>, S3Error> {
    let name = "x-oss-callback";
    let urls = urls.split(';').map(str::trim).filter(|url| !url.is_empty());
    let urls: Vec<String> = urls
        .map(|url| {
            if url.contains("://") {
                url.to_owned()
            } else {
                format!("http://{url}")
            }
        })
        .collect();
    if urls.len() > URLS_MAX {
        return Err(invalid(
            name,
            format!("callbackUrl has more than {URLS_MAX} addresses."),
        ));
    }
    for url in &urls {
        let named = host.map(|host| with_host(url, host));
        let all = named
            .as_ref()
            .is_none_or(|named| named.as_deref().is_some_and(|named| port.admits(named)));
        if !all || !port.admits(url) {
            let message = "The callback's address is none that this server may call.";
            return Err(S3Error::because(Code::AccessDenied, message).with("CallbackUrl", url));
        }
    }
    Ok(urls)
}

/// The address with another host; nothing for what is no host.
fn with_host(url: &str, host: &str) -> Option<String> {
    let uri = url.parse::<http::Uri>().ok()?;
    let authority = host.parse::<http::uri::Authority>().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let mut parts = uri.into_parts();
    let port = parts
        .authority
        .as_ref()
        .and_then(http::uri::Authority::port_u16);
    // A host without a port is one behind the address's own.
    let authority = match (authority.port_u16(), port) {
        (None, Some(port)) => format!("{authority}:{port}").parse().ok()?,
        _ => authority,
    };
    parts.authority = Some(authority);
    Some(http::Uri::from_parts(parts).ok()?.to_string())
}

impl Done {
    /// The upload that `head` asks for.
    pub(super) fn of(head: &Head, id: RequestId, peer: Option<SocketAddr>) -> Self {
        Self {
            bucket: head.target.bucket.clone(),
            key: head.target.key.clone(),
            headers: Arc::clone(&head.headers),
            host: head.arrival.authority().to_owned(),
            id,
            peer,
        }
    }

    /// The same, of a form that names its key.
    pub(super) fn with_key(self, key: ObjectKey) -> Self {
        let key = Some(key);
        Self { key, ..self }
    }

    /// What the first bytes tell of an image; nothing where it is none, or is another one by now.
    async fn image(&self, service: &Service, etag: &str) -> Option<BTreeMap<String, Value>> {
        let bucket = service.store.bucket(self.bucket.as_ref()?).await.ok()?;
        let choose = |object: &crate::store::Object| {
            let seal = object.record.extras.seal.as_ref();
            let key = sse::for_read(service, &self.headers, seal)?;
            let range = 0..object.record.len.min(IMAGE_BYTES_MAX);
            Ok::<_, S3Error>(Wanted { range, key })
        };
        let key = self.key.as_ref()?;
        let opened = service.store.open_object(&bucket, key, None, choose).await;
        let (object, mut stream) = opened.ok()?;
        if !object.record.etag.to_string().eq_ignore_ascii_case(etag) {
            return None;
        }
        let mut bytes = Vec::new();
        while let Some(piece) = stream.try_next().await.map_err(StoreError::from).ok()? {
            bytes.extend_from_slice(&piece);
        }
        described(&bytes)
    }
}

fn described(bytes: &[u8]) -> Option<BTreeMap<String, Value>> {
    let size = imagesize::blob_size(bytes).ok()?;
    let format = match imagesize::image_type(bytes).ok()? {
        imagesize::ImageType::Bmp => "bmp",
        imagesize::ImageType::Gif => "gif",
        imagesize::ImageType::Heif(_) => "heic",
        imagesize::ImageType::Jpeg => "jpg",
        imagesize::ImageType::Png => "png",
        imagesize::ImageType::Tiff => "tiff",
        imagesize::ImageType::Webp => "webp",
        // The crate's list may grow; none of what is not named here is looked for.
        _ => return None,
    };
    let number = |number: usize| Some(Value::Number(u64::try_from(number).ok()?));
    Some(BTreeMap::from([
        ("imageInfo.height".to_owned(), number(size.height)?),
        ("imageInfo.width".to_owned(), number(size.width)?),
        (
            "imageInfo.format".to_owned(),
            Value::Text(format.to_owned()),
        ),
    ]))
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;

    /// Lets these hosts be called.
    #[derive(Debug)]
    struct Port(&'static [&'static str]);

    impl Callbacks for Port {
        fn admits(&self, url: &str) -> bool {
            self.0.iter().any(|prefix| url.starts_with(prefix))
        }

        fn post(&self, _letter: Letter) -> BoxFuture<'_, Result<Bytes, String>> {
            Box::pin(async { Err("nobody is there".to_owned()) })
        }

        fn public_key(&self) -> &'static str {
            ""
        }
    }

    #[test]
    fn every_address_must_be_one_that_may_be_called() {
        let port = Port(&["http://app.example.com/", "http://b.example.com:81/"]);
        let urls = |urls: &str, host: Option<&str>| {
            admitted(&port, urls, host).map_err(|error| error.code())
        };
        let app = "http://app.example.com/a?b=c";
        assert_eq!(urls(app, None).unwrap(), [app]);
        assert_eq!(
            urls("app.example.com/a", None).unwrap(),
            ["http://app.example.com/a"]
        );
        let both = format!("{app}; http://b.example.com:81/x;");
        assert_eq!(urls(&both, None).unwrap().len(), 2);
        assert_eq!(urls("http://10.0.0.1/", None), Err(Code::AccessDenied));
        let mixed = format!("{app};http://10.0.0.1/");
        assert_eq!(urls(&mixed, None), Err(Code::AccessDenied));
        assert_eq!(urls(app, Some("app.example.com")).unwrap(), [app]);
        for other in ["10.0.0.1", "b.example.com", "x@app.example.com", "a b"] {
            assert_eq!(urls(app, Some(other)), Err(Code::AccessDenied), "{other}");
        }
        let many = [app; 6].join(";");
        assert_eq!(urls(&many, None), Err(Code::InvalidArgument));
    }

    #[test]
    fn variables_are_texts_under_their_own_names() {
        let read = |json: &str| custom(&STANDARD.encode(json)).map_err(|error| error.code());
        let one = BTreeMap::from([("x:a".to_owned(), "1".to_owned())]);
        assert_eq!(read(r#"{"x:a":"1"}"#), Ok(one));
        for bad in [r#"{"a":"1"}"#, r#"{"x:A":"1"}"#, r#"{"x:a":1}"#, "[]", "x"] {
            assert_eq!(read(bad), Err(Code::InvalidArgument), "{bad}");
        }
        assert!(custom("&").is_err());
        let long = STANDARD.encode(vec![b' '; PARAMETER_BYTES_MAX]);
        assert!(custom(&long).is_err());
    }

    #[test]
    fn an_image_says_how_large_it_is() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 0, 3, 0, 0, 0, 2, 8, 6, 0, 0, 0]);
        png.extend([0; 16]);
        let described = described(&png).unwrap();
        assert_eq!(described["imageInfo.width"], Value::Number(3));
        assert_eq!(described["imageInfo.height"], Value::Number(2));
        assert_eq!(described["imageInfo.format"], Value::Text("png".into()));
        assert_eq!(super::described(b"no image"), None);
        assert_eq!(super::described(b""), None);
    }
}
