//! Server-side encryption on the wire: what a request asks for, which key an object takes, what
//! readers are told.
//!
//! S3 takes a client's key (SSE-C) over TLS only. Consign speaks plain HTTP and stands behind a proxy
//! that has TLS, so it can't tell: it takes the key as it comes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use subtle::ConstantTimeEq as _;

use super::context::Service;
use super::error::{Code, S3Error};
use super::head::header;
use super::reply::Reply;
use crate::auth::canonical::lacks;
use crate::checksum::Algorithm;
use crate::store::seal::{DataKey, MasterKey, MasterRing, RingError};
use crate::store::settings::DefaultKey;
use crate::store::{Bucket, Seal, SealKind};

/// Options by which a writer asks for encryption.
pub const SSE: &[&str] = &[
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    BUCKET_KEY,
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
];

/// Options that carry the client's key for what is read.
pub const SSE_C: &[&str] = &[
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
];

/// Options that carry the client's key for the source of a copy.
pub const SSE_C_SOURCE: &[&str] = &[
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
];

const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
/// What the headers of the object itself begin with; those of a copy's source begin otherwise.
const OWN: &str = "x-amz-";
/// The key of SSE-KMS that every server has.
const OWN_KEY: &str = "aws/s3";
/// Binds a wrapped key to what it is for.
const CONTEXT: &[u8] = b"consign object";

impl From<RingError> for S3Error {
    fn from(error: RingError) -> Self {
        match error {
            RingError::NoSuchMaster { name } => {
                let message = format!("Key '{name}' does not exist");
                Self::because(Code::KMSNotFoundException, message)
            }
            error @ RingError::Unwrap { .. } => Self::internal(error),
        }
    }
}

/// A client's own key, and its MD5 by which it is known.
struct CustomerKey {
    ring: MasterRing,
    md5: [u8; 16],
}

fn invalid(name: &str, message: &'static str) -> S3Error {
    S3Error::because(Code::InvalidArgument, message).with("ArgumentName", name)
}

fn unfit_key() -> S3Error {
    let message = "The secret key was invalid for the specified algorithm.";
    invalid("x-amz-server-side-encryption", message)
}

/// The client's key is not the one that opens what it wants to read.
fn wrong_key() -> S3Error {
    let message = "Requests specifying Server Side Encryption with Customer provided keys must \
                   provide the correct secret key.";
    S3Error::because(Code::AccessDenied, message)
}

impl CustomerKey {
    /// Reads the three headers; none where there are none. A key of another length is refused by
    /// `misfit`.
    fn of(
        headers: &HeaderMap,
        prefix: &str,
        misfit: fn() -> S3Error,
    ) -> Result<Option<Self>, S3Error> {
        // Most requests send nothing that begins so.
        if !headers.keys().any(|name| name.as_str().starts_with(prefix)) {
            return Ok(None);
        }
        let name = |part: &str| format!("{prefix}server-side-encryption-customer-{part}");
        let (of_algorithm, of_key, of_md5) = (name("algorithm"), name("key"), name("key-md5"));
        let algorithm = header(headers, &of_algorithm)?;
        let (key, md5) = (header(headers, &of_key)?, header(headers, &of_md5)?);
        if algorithm.is_none() && key.is_none() && md5.is_none() {
            return Ok(None);
        }
        let short = "x-amz-server-side-encryption";
        match algorithm {
            Some("AES256") => {}
            Some(other) => {
                let message = "The Encryption request you specified is not valid. Supported value: \
                               AES256.";
                return Err(
                    S3Error::because(Code::InvalidEncryptionAlgorithmError, message)
                        .with("ArgumentName", short)
                        .with("ArgumentValue", other),
                );
            }
            None => {
                let message = "Requests specifying Server Side Encryption with Customer provided \
                               keys must provide a valid encryption algorithm.";
                return Err(invalid(short, message));
            }
        }
        let key = key.ok_or_else(|| {
            let message = "Requests specifying Server Side Encryption with Customer provided keys \
                           must provide an appropriate secret key.";
            invalid(short, message)
        })?;
        let md5 = md5.ok_or_else(unfit_key)?;
        let bytes = STANDARD.decode(key).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(misfit)?;
        let found = Algorithm::Md5.digest(&bytes);
        let claimed = STANDARD.decode(md5).unwrap_or_default();
        if !bool::from(found.as_slice().ct_eq(&claimed)) {
            let message = "The calculated MD5 hash of the key did not match the hash that was \
                           provided.";
            return Err(invalid(short, message));
        }
        let md5 = found
            .try_into()
            .map_err(|_length| S3Error::new(Code::InternalError))?;
        let ring = MasterRing::new(String::new(), MasterKey::from_bytes(bytes));
        Ok(Some(Self { ring, md5 }))
    }
}

/// What a writer asks for, in its headers.
fn asked(headers: &HeaderMap) -> Result<Option<DefaultKey>, S3Error> {
    let algorithm = header(headers, "x-amz-server-side-encryption")?;
    let key = header(headers, "x-amz-server-side-encryption-aws-kms-key-id")?;
    let key = key.filter(|key| !key.is_empty());
    match (algorithm, key) {
        (None, None) => Ok(None),
        (Some("AES256"), None) => Ok(Some(DefaultKey::Server)),
        (Some("aws:kms"), key) => Ok(Some(DefaultKey::Named(key.map(str::to_owned)))),
        (Some("aws:kms:dsse"), _) => Err(S3Error::unsupported_option("aws:kms:dsse")),
        (None | Some("AES256"), Some(_)) => {
            let message = "Server Side Encryption with AWS KMS managed key requires HTTP header \
                           x-amz-server-side-encryption : aws:kms";
            Err(invalid("x-amz-server-side-encryption", message))
        }
        (Some(other), None) => {
            let message = "The encryption method specified is not supported";
            Err(invalid("x-amz-server-side-encryption", message).with("ArgumentValue", other))
        }
        (Some(_), Some(_)) => {
            let message = "The encryption method specified is not supported";
            Err(invalid("x-amz-server-side-encryption", message))
        }
    }
}

/// The data key of a new object and how it is kept; none where it is not sealed.
///
/// # Errors
/// `InvalidArgument`, `InvalidEncryptionAlgorithmError`, `KMS.NotFoundException`.
pub fn for_new(
    service: &Service,
    bucket: &Bucket,
    headers: &HeaderMap,
) -> Result<Option<(DataKey, Seal)>, S3Error> {
    let asked = asked(headers)?;
    if let (Some(asked), true) = (&asked, SSE_C.iter().any(|name| !lacks(headers, name))) {
        let message = "Server Side Encryption with Customer provided key is incompatible with the \
                       encryption method specified";
        let method = match asked {
            DefaultKey::Server => "AES256",
            DefaultKey::Named(_) => "aws:kms",
        };
        return Err(invalid("x-amz-server-side-encryption", message).with("ArgumentValue", method));
    }
    let customer = CustomerKey::of(headers, OWN, unfit_key)?;
    let key = DataKey::random();
    if let Some(customer) = customer {
        let wrapped = customer.ring.wrap("", &key, CONTEXT)?;
        let seal = Seal {
            kind: SealKind::Customer(customer.md5),
            wrapped,
            bucket_key: false,
        };
        return Ok(Some((key, seal)));
    }
    let default = bucket.settings.encryption.as_ref();
    let Some(chosen) = asked.or_else(|| default.map(|default| default.key.clone())) else {
        return Ok(None);
    };
    let ring = &service.masters;
    let (kind, master) = match chosen {
        DefaultKey::Server => (SealKind::Server, ring.current().to_owned()),
        DefaultKey::Named(name) => {
            let name = name.unwrap_or_else(|| OWN_KEY.to_owned());
            (SealKind::Named(name.clone()), named(&name))
        }
    };
    let wrapped = ring.wrap(&master, &key, CONTEXT)?;
    let by_default = default.is_some_and(|default| default.bucket_key);
    let bucket_key = match header(headers, BUCKET_KEY)? {
        Some(wanted) => wanted.eq_ignore_ascii_case("true"),
        None => by_default,
    };
    let seal = Seal {
        bucket_key: bucket_key && matches!(kind, SealKind::Named(_)),
        kind,
        wrapped,
    };
    Ok(Some((key, seal)))
}

/// The name in the ring of a key of SSE-KMS, which may also be given by its ARN.
fn named(name: &str) -> String {
    let name = name.rsplit_once(":key/").map_or(name, |(_arn, name)| name);
    format!("kms:{name}")
}

/// The data key of a stored object that a request reads; none where it is not sealed.
///
/// # Errors
/// `InvalidRequest` where the client's key is missing or there is nothing to open with it,
/// `AccessDenied` where it is another one.
pub fn for_read(
    service: &Service,
    headers: &HeaderMap,
    seal: Option<&Seal>,
) -> Result<Option<DataKey>, S3Error> {
    open(service, headers, OWN, seal)
}

/// The data key of an upload that a request puts a part of.
///
/// # Errors
/// `InvalidRequest` where the part's parameters are not those of the upload.
pub fn for_part(
    service: &Service,
    headers: &HeaderMap,
    seal: Option<&Seal>,
) -> Result<Option<DataKey>, S3Error> {
    let customer = check_part(headers, seal)?;
    let Some(seal) = seal else {
        return Ok(None);
    };
    let key = match customer {
        Some(customer) => customer.ring.unwrap(&seal.wrapped, CONTEXT)?,
        None => service.masters.unwrap(&seal.wrapped, CONTEXT)?,
    };
    Ok(Some(key))
}

/// What a request to an upload that is sealed so names as its key, where that is the upload's.
fn check_part(headers: &HeaderMap, seal: Option<&Seal>) -> Result<Option<CustomerKey>, S3Error> {
    let customer = CustomerKey::of(headers, OWN, unfit_key)?;
    let refused = |message: &'static str| Err(S3Error::because(Code::InvalidRequest, message));
    let other = "The provided encryption parameters did not match the ones used originally.";
    match (seal.map(|seal| &seal.kind), &customer, asked(headers)?) {
        (Some(SealKind::Customer(md5)), Some(customer), None) if customer.md5 == *md5 => {}
        (Some(SealKind::Customer(_)), None, _) | (None, Some(_), _) => {
            return refused(
                "The multipart upload initiate requested encryption. Subsequent part requests \
                 must include the appropriate encryption parameters.",
            );
        }
        (Some(_), Some(_), _) | (None, None, Some(_)) => return refused(other),
        (Some(SealKind::Server), None, Some(asked)) if asked != DefaultKey::Server => {
            return refused(other);
        }
        (Some(SealKind::Named(name)), None, Some(asked)) => match asked {
            DefaultKey::Named(asked) if asked.as_ref().is_none_or(|asked| asked == name) => {}
            _ => return refused(other),
        },
        (_, None, _) => {}
    }
    Ok(customer)
}

/// Whether the completion of an upload asks for what it was begun with. It may leave that out: no
/// byte is read or written with it.
///
/// # Errors
/// `InvalidRequest` where it asks for something else.
pub fn check_completion(headers: &HeaderMap, seal: Option<&Seal>) -> Result<(), S3Error> {
    if SSE.iter().any(|name| !lacks(headers, name)) {
        check_part(headers, seal)?;
    }
    Ok(())
}

/// As [`for_read`], for the source of a copy.
///
/// # Errors
/// As [`for_read`].
pub fn for_source(
    service: &Service,
    headers: &HeaderMap,
    seal: Option<&Seal>,
) -> Result<Option<DataKey>, S3Error> {
    open(service, headers, "x-amz-copy-source-", seal)
}

fn open(
    service: &Service,
    headers: &HeaderMap,
    prefix: &str,
    seal: Option<&Seal>,
) -> Result<Option<DataKey>, S3Error> {
    let customer = CustomerKey::of(headers, prefix, wrong_key)?;
    if prefix == OWN && !lacks(headers, "x-amz-server-side-encryption") {
        let message = "x-amz-server-side-encryption header is not supported for this operation.";
        return Err(invalid("x-amz-server-side-encryption", message));
    }
    let not_applicable = || {
        let message = "The encryption parameters are not applicable to this object.";
        S3Error::because(Code::InvalidRequest, message)
    };
    match (seal.map(|seal| (&seal.kind, &seal.wrapped)), customer) {
        (None, None) => Ok(None),
        (Some((SealKind::Customer(_md5), wrapped)), Some(customer)) => {
            let key = customer.ring.unwrap(wrapped, CONTEXT);
            key.map(Some).map_err(|_tag| wrong_key())
        }
        (Some((SealKind::Customer(_), _)), None) => {
            let message = "The object was stored using a form of Server Side Encryption. The \
                           correct parameters must be provided to retrieve the object.";
            Err(S3Error::because(Code::InvalidRequest, message))
        }
        (_, Some(_)) => Err(not_applicable()),
        (Some((_, wrapped)), None) => Ok(Some(service.masters.unwrap(wrapped, CONTEXT)?)),
    }
}

/// Tells how an object is sealed.
///
/// # Errors
/// Never: what is told are words and digests.
pub fn described(reply: Reply, seal: Option<&Seal>) -> Result<Reply, S3Error> {
    let Some(seal) = seal else {
        return Ok(reply);
    };
    match &seal.kind {
        SealKind::Server => Ok(reply.with_static("x-amz-server-side-encryption", "AES256")),
        SealKind::Named(name) => reply
            .with_static("x-amz-server-side-encryption", "aws:kms")
            .with_header("x-amz-server-side-encryption-aws-kms-key-id", name)?
            .with_optional(BUCKET_KEY, seal.bucket_key.then_some("true")),
        SealKind::Customer(md5) => reply
            .with_static("x-amz-server-side-encryption-customer-algorithm", "AES256")
            .with_header(
                "x-amz-server-side-encryption-customer-key-md5",
                &STANDARD.encode(md5),
            ),
    }
}
