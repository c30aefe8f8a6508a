//! Why a request was not let in, with the code, message and details that S3 gives for it.

use std::fmt::Write as _;

use crate::clock::Timestamp;

use super::SKEW_MAX;
use super::constraint::ConstraintFault;

/// A signature that is not ours, with what we computed it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The access key that was named.
    pub access_key: String,
    /// What we signed.
    pub string_to_sign: String,
    /// The signature that came with the request.
    pub signature: String,
    /// The canonical request; none for a POST form, whose policy is signed itself.
    pub canonical_request: Option<String>,
}

/// Why a request was not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// A signed request without `x-amz-content-sha256`.
    #[error("Missing required header for this request: x-amz-content-sha256")]
    MissingContentSha256,
    /// An `x-amz-content-sha256` that is neither a digest nor a known word.
    #[error(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
         STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a \
         valid sha256 value."
    )]
    InvalidContentSha256 {
        /// What came.
        value: String,
    },
    /// A header whose bytes are no text where a signature needs text.
    #[error("The header {name} is not valid")]
    InvalidHeader {
        /// Which.
        name: &'static str,
    },
    /// The `Authorization` header breaks its form, or its scope is not ours.
    #[error("The authorization header is malformed; {reason}")]
    MalformedHeader {
        /// How.
        reason: String,
        /// The region to sign for, where that was the fault.
        region: Option<String>,
    },
    /// The query's authentication parameters break their form, or their scope is not ours.
    #[error("{message}")]
    MalformedQuery {
        /// How.
        message: String,
        /// The region to sign for, where that was the fault.
        region: Option<String>,
    },
    /// More than one kind of authentication, or one given twice.
    #[error(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
         query string parameter or the Authorization header should be specified"
    )]
    ManyMechanisms {
        /// The `Authorization` header.
        value: String,
    },
    /// An `Authorization` header of an unknown kind.
    #[error("Unsupported Authorization Type")]
    UnsupportedType {
        /// The header's first word: what follows may be a secret.
        value: String,
    },
    /// Signature Version 2.
    #[error(
        "The authorization mechanism you have provided is not supported. Please use \
         AWS4-HMAC-SHA256."
    )]
    SignatureV2,
    /// An `Authorization` header of Version 2 that breaks its form.
    #[error("AWS authorization header is invalid.  Expected AwsAccessKeyId:signature")]
    MalformedHeaderV2,
    /// The `Expires` of a URL that is signed by Version 2 is no time.
    #[error("Invalid date (should be seconds since epoch): {value}")]
    ExpiresMalformed {
        /// What came.
        value: String,
    },
    /// A URL that is signed by Version 2 and would live longer than this server allows.
    #[error("Expires must be less than {seconds} seconds from now on this server")]
    ExpiresTooFar {
        /// The longest life.
        seconds: u64,
    },
    /// A header that came in the query and can be none.
    #[error("The value of {name} can't stand in a header.")]
    InvalidParameter {
        /// Its name.
        name: String,
    },
    /// Half of a URL that is signed by Version 2.
    #[error(
        "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
    )]
    SignatureV2Incomplete,
    /// Asymmetric signatures.
    #[error("A header you provided implies functionality that is not implemented")]
    Ecdsa {
        /// Which header or parameter.
        header: &'static str,
    },
    /// Neither `x-amz-date` nor `Date` tells when the request was signed.
    #[error("AWS authentication requires a valid Date or x-amz-date header")]
    MissingDate,
    /// The request's time and ours differ too much.
    #[error("The difference between the request time and the current time is too large.")]
    TimeTooSkewed {
        /// The request's, as it was sent.
        request_time: String,
        /// Ours.
        server_time: Timestamp,
    },
    /// A presigned URL's time is over.
    #[error("Request has expired")]
    Expired {
        /// For how many seconds it was good; none where the URL tells its end alone.
        seconds: Option<u64>,
        /// Until when it was good.
        expires: Timestamp,
        /// Our time.
        server_time: Timestamp,
    },
    /// A presigned URL's time has not begun.
    #[error("Request is not yet valid")]
    NotYetValid {
        /// When it begins.
        begins: Timestamp,
        /// Our time.
        server_time: Timestamp,
    },
    /// A demand of the signer's that is none, or that the request does not meet.
    #[error(transparent)]
    Constraint(#[from] ConstraintFault),
    /// Headers that change what is asked for are not covered by the signature.
    #[error("There were headers present in the request which were not signed")]
    HeadersNotSigned(Vec<String>),
    /// No such access key, or one that was switched off.
    #[error("The AWS Access Key Id you provided does not exist in our records.")]
    UnknownKey {
        /// The key.
        access_key: String,
    },
    /// The signature is not that of this request by this key.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check \
         your key and signing method."
    )]
    Mismatch(Box<Mismatch>),
    /// A session's token that is none, or not this key's.
    #[error("The provided token is malformed or otherwise invalid.")]
    InvalidToken,
    /// A session that is over.
    #[error("The provided token has expired.")]
    ExpiredToken,
    /// A form without a field that its signature needs.
    #[error(
        "Bucket POST must contain a field named '{field}'.  If it is specified, please check the \
         order of the fields."
    )]
    FormFieldMissing {
        /// The field.
        field: &'static str,
    },
    /// A form's field whose value cannot be.
    #[error("{message}")]
    FormFieldInvalid {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        message: String,
    },
    /// A form with a policy that nobody signed.
    #[error("Access Denied")]
    FormUnsigned,
    /// A form's policy is over.
    #[error("Invalid according to Policy: Policy expired.")]
    PolicyExpired,
    /// A form breaks one of its policy's conditions.
    #[error("Invalid according to Policy: Policy Condition failed: {condition}")]
    PolicyFailed {
        /// The condition, as JSON.
        condition: String,
    },
    /// A form has fields of which its policy knows nothing.
    #[error("Invalid according to Policy: Extra input fields: {fields}")]
    PolicyExtraFields {
        /// Their names.
        fields: String,
    },
    /// What only OSS knows.
    #[error(transparent)]
    Oss(super::oss::Fault),
    /// A form's policy is no policy.
    #[error("Invalid Policy: {reason}")]
    InvalidPolicy {
        /// Why.
        reason: String,
    },
}

/// Details of an error: element names and texts, in S3's order.
pub type Details = Vec<(&'static str, String)>;

impl AuthError {
    /// S3's code, message and details for this fault.
    pub fn wire(&self) -> (&'static str, String, Details) {
        (self.code(), self.to_string(), self.details())
    }

    /// S3's code for this fault.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Oss(fault) => fault.code(),
            Self::MissingContentSha256 | Self::SignatureV2 => "InvalidRequest",
            Self::InvalidContentSha256 { .. }
            | Self::InvalidHeader { .. }
            | Self::InvalidParameter { .. }
            | Self::MalformedHeaderV2
            | Self::ManyMechanisms { .. }
            | Self::UnsupportedType { .. }
            | Self::FormFieldInvalid { .. }
            | Self::FormFieldMissing { .. } => "InvalidArgument",
            Self::MalformedHeader { .. } => "AuthorizationHeaderMalformed",
            Self::MalformedQuery { .. } => "AuthorizationQueryParametersError",
            Self::Ecdsa { .. } => "NotImplemented",
            Self::TimeTooSkewed { .. } => "RequestTimeTooSkewed",
            Self::MissingDate
            | Self::SignatureV2Incomplete
            | Self::ExpiresMalformed { .. }
            | Self::ExpiresTooFar { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::HeadersNotSigned(_)
            | Self::FormUnsigned
            | Self::PolicyExpired
            | Self::PolicyFailed { .. }
            | Self::PolicyExtraFields { .. } => "AccessDenied",
            Self::Constraint(fault) => fault.code(),
            Self::UnknownKey { .. } => "InvalidAccessKeyId",
            Self::Mismatch(_) => "SignatureDoesNotMatch",
            Self::InvalidToken => "InvalidToken",
            Self::ExpiredToken => "ExpiredToken",
            Self::InvalidPolicy { .. } => "InvalidPolicyDocument",
        }
    }

    fn details(&self) -> Details {
        match self {
            Self::Oss(fault) => fault.details(),
            Self::InvalidContentSha256 { value } => argument("x-amz-content-sha256", value),
            Self::InvalidHeader { name } => argument(name, ""),
            Self::InvalidParameter { name } => argument(name, ""),
            // What follows may be worth stealing.
            Self::MalformedHeaderV2 => argument("Authorization", "AWS"),
            Self::ManyMechanisms { value } | Self::UnsupportedType { value } => {
                argument("Authorization", value)
            }
            Self::MalformedHeader {
                region: Some(region),
                ..
            }
            | Self::MalformedQuery {
                region: Some(region),
                ..
            } => vec![("Region", region.clone())],
            Self::Ecdsa { header } => vec![("Header", (*header).to_owned())],
            Self::TimeTooSkewed {
                request_time,
                server_time,
            } => vec![
                ("RequestTime", request_time.clone()),
                ("ServerTime", server_time.iso8601_s()),
                (
                    "MaxAllowedSkewMilliseconds",
                    SKEW_MAX.as_millis().to_string(),
                ),
            ],
            Self::Expired {
                seconds,
                expires,
                server_time,
            } => expired(*seconds, *expires, *server_time),
            Self::NotYetValid {
                begins,
                server_time,
            } => vec![
                ("RequestTime", begins.iso8601_s()),
                ("ServerTime", server_time.iso8601_s()),
            ],
            Self::Constraint(fault) => fault.details(),
            Self::HeadersNotSigned(names) => vec![("HeadersNotSigned", names.join(", "))],
            Self::UnknownKey { access_key } => vec![("AWSAccessKeyId", access_key.clone())],
            Self::Mismatch(mismatch) => mismatch.details(),
            Self::FormFieldMissing { field } => argument(field, ""),
            Self::FormFieldInvalid { field, value, .. } => argument(field, value),
            Self::MissingContentSha256
            | Self::MalformedHeader { .. }
            | Self::MalformedQuery { .. }
            | Self::SignatureV2
            | Self::SignatureV2Incomplete
            | Self::ExpiresMalformed { .. }
            | Self::ExpiresTooFar { .. }
            | Self::MissingDate
            | Self::InvalidToken
            | Self::ExpiredToken
            | Self::FormUnsigned
            | Self::PolicyExpired
            | Self::PolicyFailed { .. }
            | Self::PolicyExtraFields { .. }
            | Self::InvalidPolicy { .. } => Vec::new(),
        }
    }
}

fn expired(seconds: Option<u64>, expires: Timestamp, server_time: Timestamp) -> Details {
    let seconds = seconds.map(|seconds| ("X-Amz-Expires", seconds.to_string()));
    let times = [
        ("Expires", expires.iso8601_s()),
        ("ServerTime", server_time.iso8601_s()),
    ];
    seconds.into_iter().chain(times).collect()
}

impl Mismatch {
    fn details(&self) -> Details {
        let mut details = vec![
            ("AWSAccessKeyId", self.access_key.clone()),
            ("StringToSign", self.string_to_sign.clone()),
            ("SignatureProvided", self.signature.clone()),
            ("StringToSignBytes", spaced_hex(&self.string_to_sign)),
        ];
        if let Some(canonical) = &self.canonical_request {
            details.push(("CanonicalRequest", canonical.clone()));
            details.push(("CanonicalRequestBytes", spaced_hex(canonical)));
        }
        details
    }
}

/// The details that name an argument.
pub(super) fn argument(name: &str, value: &str) -> Details {
    vec![
        ("ArgumentName", name.to_owned()),
        ("ArgumentValue", value.to_owned()),
    ]
}

fn spaced_hex(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        let space = if out.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _infallible = write!(out, "{space}{byte:02x}");
    }
    out
}
