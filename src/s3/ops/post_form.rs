//! `PostObject`: a browser uploads a file by a form that somebody signed for it.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::lock::LOCK_HEADERS;
use super::put::{PUT_OBJECT, given, object_headers, write_condition};
use super::{CHECKSUMS, about, bucket, quoted, written_version};
use crate::auth::constraint::refuse_unsigned_query;
use crate::auth::post_form::{SignedForm, authenticate_form, expand_filename};
use crate::auth::{Action, Grant, canonical};
use crate::id::RequestId;
use crate::name::ObjectKey;
use crate::s3::access::Caller;
use crate::s3::acl::ACL_HEADERS;
use crate::s3::admit::{Announced, admit};
use crate::s3::body::form::Form;
use crate::s3::body::{Payload, ReceiveOptions, receive_stream};
use crate::s3::context::{FormCall, Service, origin};
use crate::s3::duties;
use crate::s3::encoded_word;
use crate::s3::error::S3Error;
use crate::s3::handle::check_expected_owner;
use crate::s3::head::Head;
use crate::s3::prove;
use crate::s3::query::Query;
use crate::s3::reply::Reply;
use crate::s3::route::Route;
use crate::s3::sse::{self, SSE};
use crate::s3::tags::{self, Tagged};
use crate::s3::target::key_from_text;
use crate::s3::told::answered;
use crate::s3::xml::XmlWriter;
use crate::store::hook::Told;
use crate::store::seal::DataKey;
use crate::store::{Bucket, ETag, EventName, Extras, NewObject, ObjectHeaders, Origin};

/// Fields that S3 keeps with the object like the headers of that name.
const CONTENT_FIELDS: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
];

/// A form that may be stored once its file is there and has the right size.
struct Proven {
    key: ObjectKey,
    bucket: Bucket,
    /// The fields, as the headers of a `PutObject` would say the same.
    asked: Head,
    headers: ObjectHeaders,
    owner: String,
    extras: Extras,
    sealed_by: Option<DataKey>,
    want: ReceiveOptions,
    origin: Origin,
}

impl Proven {
    /// What is known of the upload before its file comes: a form does not tell its length.
    fn announced(&self) -> Announced<'_> {
        Announced {
            operation: "PostObject",
            bucket: &self.bucket,
            key: self.key.as_str(),
            len: None,
            content_type: self.headers.content_type.as_deref(),
        }
    }
}

/// `PostObject`: everything before the file is judged before a byte of the file is kept.
///
/// # Errors
/// What the form or its policy break, `NoSuchBucket`, `EntityTooLarge`, `EntityTooSmall`.
pub async fn post_object(call: FormCall) -> Result<Reply, S3Error> {
    let form = read(&call.head, call.body).await?;
    take(Received {
        service: call.service,
        head: call.head,
        form,
        id: call.id,
        peer: call.peer,
    })
    .await
}

/// A form whose fields were read.
#[derive(Debug)]
pub struct Received {
    /// Everything that requests share.
    pub service: Arc<Service>,
    /// The request's head.
    pub head: Head,
    /// The form, up to its file.
    pub form: Form,
    /// The request's name.
    pub id: RequestId,
    /// Where it came from.
    pub peer: Option<SocketAddr>,
}

/// Who sent a form, and what it asks for.
#[derive(Debug)]
pub struct Entry {
    /// Who sent it.
    pub grant: Grant,
    /// The fields, as the head of a `PutObject` that asks for the same.
    pub asked: Head,
}

/// Reads the fields of a form; nothing of it is proved yet.
///
/// # Errors
/// What the form breaks.
pub async fn read(head: &Head, body: Payload) -> Result<Form, S3Error> {
    Route::of(head)?.check_options(head, &[])?;
    // A form's own fields carry what its signer demands; the address is not signed.
    refuse_unsigned_query(&head.raw_query)?;
    let mut form = Form::read(body, head.header("content-type")?).await?;
    if let Some(filename) = &form.filename {
        for (_name, value) in &mut form.fields {
            *value = expand_filename(value, filename);
        }
    }
    Ok(form)
}

/// Proves a form and stores its file.
///
/// # Errors
/// As [`post_object`].
pub async fn take(call: Received) -> Result<Reply, S3Error> {
    let (service, fields) = (&call.service, &call.form.fields);
    key(fields)?;
    let form = SignedForm {
        fields,
        bucket: call.head.bucket()?.as_str(),
        peer: call.peer.map(|peer| peer.ip()),
        heeds: Route::of(&call.head)?.heeds,
    };
    let settings = service.settings.auth();
    let grant = prove::prove(
        service,
        (call.peer, &call.head.learned),
        |keys, now| authenticate_form(&form, keys, &settings, now),
        |error, _now| S3Error::from(error),
    )?;
    let asked = as_head(&call.head, fields)?;
    store(call, Entry { grant, asked }).await
}

/// Stores the file of a form that is proved, if who sent it may.
///
/// # Errors
/// As [`post_object`].
pub async fn store(call: Received, entry: Entry) -> Result<Reply, S3Error> {
    let Received {
        service,
        head,
        form,
        id,
        peer,
    } = call;
    let proven = prove(&service, &head, &form.fields, entry, (id, peer)).await?;
    admit(&service.store, &proven.origin, proven.announced()).await?;
    let after = After::of(&form.fields);
    let when = write_condition(&proven.asked.headers)?;
    let (bucket, key) = (&proven.bucket, &proven.key);
    let holds = service.store.check_condition(bucket, key, &when).await;
    holds.map_err(|error| about(&head, error))?;
    let (file, rest) = form.into_file();
    let mut stager = match &proven.sealed_by {
        Some(key) => service.store.stage_sealed(None, key)?,
        None => service.store.stage(None),
    };
    let want = ReceiveOptions {
        crc64ecma: service.oss.is_some(),
        ..proven.want
    };
    let digest = receive_stream(file, &proven.asked.headers, &mut stager, want).await?;
    rest.ignore().await?;
    let new = NewObject {
        headers: proven.headers,
        etag: ETag::md5(digest.etag_md5()?),
        checksum: Some(digest.checksum.clone()),
        crc64ecma: digest.crc64ecma,
        owner: proven.owner,
        extras: proven.extras,
    };
    let staged = stager.finish().await?;
    let written = service
        .store
        .put_object(bucket, key, new, staged, &when, &proven.origin)
        .await
        .map_err(|error| about(&head, error))?;
    let done = Done {
        location: head.object_url(bucket.name.as_str(), key),
        bucket: bucket.name.as_str(),
        key,
        etag: quoted(&written.record.etag),
    };
    let version = written_version(&written.record);
    let reply = after.unless(&written.told).reply(&done)?;
    let reply = reply.about(&written.record);
    let reply = sse::described(reply, written.record.extras.seal.as_ref())?
        .with_optional("x-amz-version-id", version.as_deref())?
        .with_header(digest.checksum.algorithm.header(), &digest.checksum.text())?
        .with_header("x-amz-checksum-type", digest.checksum.coverage.name())?;
    answered(reply, written.told)
}

/// Whether who sent the form may, and what they ask for.
async fn prove(
    service: &Service,
    head: &Head,
    fields: &[(String, String)],
    entry: Entry,
    (id, peer): (RequestId, Option<SocketAddr>),
) -> Result<Proven, S3Error> {
    let Entry { grant, asked } = entry;
    let (key, name) = (key(fields)?, head.bucket()?);
    let (who, duties) = (grant.who(), grant.duties());
    let caller = Caller {
        service,
        who,
        head: &asked,
        peer,
        signature: grant.signature(),
    };
    caller
        .may(Action::PutObject, Some(name), Some(key.as_str()))
        .await?;
    Route::of(head)?.check_options(
        &asked,
        &[CHECKSUMS, ACL_HEADERS, LOCK_HEADERS, SSE, PUT_OBJECT],
    )?;
    let headers = object_headers(&asked.headers)?;
    let bucket = bucket::found(&service.store, head).await?;
    let (owner, mut extras) = given(service, &bucket, &asked.headers, who).await?;
    if let Some(document) = find(fields, "tagging").filter(|text| !text.is_empty()) {
        caller
            .may_also(Action::PutObjectTagging, name, key.as_str())
            .await?;
        extras.tags = Some(tags::parse(document.as_bytes(), Tagged::Object)?);
    }
    let (sealed_by, seal) = sse::for_new(service, &bucket, &asked.headers)?.unzip();
    extras.seal = seal;
    check_expected_owner(service, &asked).await?;
    duties::check(service, &asked.headers, duties).await?;
    Ok(Proven {
        key,
        bucket,
        asked,
        headers,
        owner,
        extras,
        sealed_by,
        want: duties::limited(ReceiveOptions::default(), duties),
        origin: origin(id, who, peer, EventName::ObjectCreatedPost).bound_by(duties),
    })
}

/// The value of the first field of that name, in any case.
pub fn find<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut named = fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.as_str())
}

/// The key, which a form must name.
///
/// # Errors
/// `InvalidArgument` where it does not, and what a key can break.
pub fn key(fields: &[(String, String)]) -> Result<ObjectKey, S3Error> {
    match find(fields, "key") {
        None => {
            let message = "Bucket POST must contain a field named 'key'.  If it is specified, \
                           please check the order of the fields.";
            Err(S3Error::argument("key", "", message))
        }
        Some("") => {
            let message = "User key must have a length greater than 0.";
            Err(S3Error::argument("key", "", message))
        }
        Some(text) => key_from_text(text),
    }
}

/// The fields as the head of a `PutObject` that asks for the same. What S3 does not know, it
/// ignores: the policy has spoken of it.
fn as_head(head: &Head, fields: &[(String, String)]) -> Result<Head, S3Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let lower = name.to_ascii_lowercase();
        let header = match lower.as_str() {
            "acl" => "x-amz-acl",
            // The client names the algorithm by which the file is to be digested.
            "x-amz-checksum-algorithm" => "x-amz-sdk-checksum-algorithm",
            content if CONTENT_FIELDS.contains(&content) => content,
            option if option.starts_with("x-amz-") => option,
            _ => continue,
        };
        // A field holds any character, and no word stands for another in it.
        let text = if header.starts_with("x-amz-meta-") {
            encoded_word::encode_literally(value)
        } else {
            Cow::Borrowed(value.as_str())
        };
        let parsed = (
            HeaderName::from_bytes(header.as_bytes()),
            HeaderValue::from_bytes(text.as_bytes()),
        );
        let (Ok(header), Ok(text)) = parsed else {
            let message = format!("The value of {name} can't be kept as a header.");
            return Err(S3Error::argument(name, value, message));
        };
        headers.append(header, text);
    }
    Ok(Head {
        headers: headers.into(),
        query: Query::default(),
        ..head.clone()
    })
}

/// What the form wants to happen once its file is stored.
#[derive(Debug, PartialEq, Eq)]
enum After {
    Redirect(String),
    Status(StatusCode),
}

/// What was stored.
struct Done<'a> {
    location: String,
    bucket: &'a str,
    key: &'a ObjectKey,
    /// With its quotes.
    etag: String,
}

impl After {
    fn of(fields: &[(String, String)]) -> Self {
        let redirect = find(fields, "success_action_redirect").or_else(|| find(fields, "redirect"));
        // S3 takes an address that is none for no address.
        let valid = redirect.filter(|to| {
            let uri = to.parse::<http::Uri>().ok();
            uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
        });
        match (valid, find(fields, "success_action_status")) {
            (Some(to), _) => Self::Redirect(to.to_owned()),
            (None, Some("200")) => Self::Status(StatusCode::OK),
            (None, Some("201")) => Self::Status(StatusCode::CREATED),
            (None, _) => Self::Status(StatusCode::NO_CONTENT),
        }
    }

    /// Where the receiver says something, a browser is not sent elsewhere.
    fn unless(self, told: &Told) -> Self {
        match told {
            Told::Nothing => self,
            Told::Answer(_) | Told::Failed(_) => Self::Status(StatusCode::OK),
        }
    }

    fn reply(self, done: &Done<'_>) -> Result<Reply, S3Error> {
        let reply = match &self {
            Self::Redirect(_) => Reply::empty(StatusCode::SEE_OTHER),
            Self::Status(StatusCode::CREATED) => {
                let mut document = XmlWriter::plain("PostResponse");
                document.text("Location", &done.location);
                document.text("Bucket", done.bucket);
                document.text("Key", done.key.as_str());
                document.text("ETag", &done.etag);
                Reply::xml(document).with_status(StatusCode::CREATED)
            }
            Self::Status(status) => Reply::empty(*status),
        };
        let to = match self {
            Self::Redirect(to) => redirected(&to, done),
            Self::Status(_) => done.location.clone(),
        };
        reply
            .with_header("location", &to)?
            .with_header("etag", &done.etag)
    }
}

/// The form's address with what was stored in its query.
fn redirected(to: &str, done: &Done<'_>) -> String {
    let (address, fragment) = match to.split_once('#') {
        Some((address, fragment)) => (address, format!("#{fragment}")),
        None => (to, String::new()),
    };
    let mark = if address.contains('?') { '&' } else { '?' };
    let encode = |text: &str| canonical::encode(text.as_bytes(), false);
    let (bucket, key, etag) = (done.bucket, encode(done.key.as_str()), encode(&done.etag));
    format!("{address}{mark}bucket={bucket}&key={key}&etag={etag}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::error::Code;

    fn fields(given: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        given.iter().map(owned).collect()
    }

    #[test]
    fn the_key_is_needed_and_not_empty() {
        assert_eq!(key(&fields(&[("KEY", "a")])).unwrap().as_str(), "a");
        for without in [&[][..], &[("key", "")]] {
            let error = key(&fields(without)).unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument);
        }
        let long = "a".repeat(1025);
        let error = key(&fields(&[("key", &long)])).unwrap_err();
        assert_eq!(error.code(), Code::KeyTooLongError);
    }

    #[test]
    fn only_three_statuses_and_real_addresses_count() {
        let after = |given: &[(&str, &str)]| After::of(&fields(given));
        let (status, to) = ("success_action_status", "success_action_redirect");
        let none = After::Status(StatusCode::NO_CONTENT);
        assert_eq!(after(&[]), none);
        assert_eq!(after(&[(status, "404")]), none);
        assert_eq!(after(&[(status, "200")]), After::Status(StatusCode::OK));
        assert_eq!(after(&[(to, "nowhere")]), none);
        assert_eq!(after(&[(to, "http://a\r\nb")]), none);
        let there = After::Redirect("https://a/b".into());
        assert_eq!(after(&[(status, "201"), (to, "https://a/b")]), there);
        assert_eq!(after(&[("Redirect", "https://a/b")]), there);
    }

    #[test]
    fn a_redirect_tells_what_was_stored() {
        let key = ObjectKey::parse("a/b c").unwrap();
        let done = Done {
            location: String::new(),
            bucket: "abc",
            key: &key,
            etag: "\"e\"".into(),
        };
        let told = "bucket=abc&key=a%2Fb%20c&etag=%22e%22";
        for (to, mark) in [("http://h/p", '?'), ("http://h/p?q=1", '&')] {
            assert_eq!(redirected(to, &done), format!("{to}{mark}{told}"));
        }
        assert_eq!(
            redirected("http://h#f", &done),
            format!("http://h?{told}#f")
        );
    }

    #[test]
    fn fields_ask_for_what_the_headers_of_a_put_would() {
        let request = http::Request::post("/abc").header("host", "h");
        let head = Head::parse(&request.body(()).unwrap().into_parts().0, &[]).unwrap();
        let given = fields(&[
            ("Acl", "private"),
            ("x-amz-meta-a", "é"),
            ("x-other", "1"),
            ("X-Amz-Checksum-Algorithm", "SHA1"),
        ]);
        let headers = as_head(&head, &given).unwrap().headers;
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["x-amz-acl", "x-amz-meta-a", "x-amz-sdk-checksum-algorithm"]
        );
        let broken = fields(&[("content-type", "a\nb")]);
        assert!(as_head(&head, &broken).is_err());
        for value in ["a\r\nb: c", "=?UTF-8?Q?ascii?=", "\0\u{1}", "ü — ?=", " "] {
            let asked = as_head(&head, &fields(&[("x-amz-meta-a", value)])).unwrap();
            let kept = object_headers(&asked.headers).unwrap().user;
            assert_eq!(kept, [("a".to_owned(), value.trim().to_owned())]);
        }
    }
}
