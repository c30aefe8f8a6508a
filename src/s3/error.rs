//! S3's errors: one row a code, and the XML document that carries one to the client.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

use super::xml::XmlWriter;
use crate::id::RequestId;

macro_rules! codes {
    ($($name:ident $wire:literal $status:literal $message:literal;)*) => {
        /// A code of S3.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is S3's own name; its row says what it means")]
        pub enum Code { $($name,)* }

        impl Code {
            /// Each of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn row(self) -> (&'static str, u16, &'static str) {
                match self { $(Self::$name => ($wire, $status, $message),)* }
            }
        }
    };
}

codes! {
    AccessControlListNotSupported "AccessControlListNotSupported" 400 "The bucket does not allow ACLs";
    AccessDenied "AccessDenied" 403 "Access Denied";
    AccessForbidden "AccessForbidden" 403 "CORSResponse: CORS is not enabled for this bucket.";
    AccountProblem "AccountProblem" 403 "There is a problem with your account that prevents the operation from completing successfully.";
    AmbiguousGrantByEmailAddress "AmbiguousGrantByEmailAddress" 400 "The email address you provided is associated with more than one account.";
    AuthorizationHeaderMalformed "AuthorizationHeaderMalformed" 400 "The authorization header that you provided is not valid.";
    AuthorizationQueryParametersError "AuthorizationQueryParametersError" 400 "The authorization query parameters that you provided are not valid.";
    BadDigest "BadDigest" 400 "The Content-MD5 you specified did not match what we received.";
    BadRequest "BadRequest" 400 "Bad Request";
    BucketAlreadyExists "BucketAlreadyExists" 409 "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.";
    BucketAlreadyOwnedByYou "BucketAlreadyOwnedByYou" 409 "Your previous request to create the named bucket succeeded and you already own it.";
    BucketNotEmpty "BucketNotEmpty" 409 "The bucket you tried to delete is not empty";
    CallbackFailed "CallbackFailed" 203 "The object is stored, but its callback was not answered.";
    ConditionalRequestConflict "ConditionalRequestConflict" 409 "The conditional request cannot succeed due to a conflicting operation against this resource.";
    CredentialsNotSupported "CredentialsNotSupported" 400 "This request does not support credentials.";
    CrossLocationLoggingProhibitted "CrossLocationLoggingProhibitted" 403 "Cross S3 location logging not allowed. ";
    EntityTooLarge "EntityTooLarge" 400 "Your proposed upload exceeds the maximum allowed size";
    EntityTooSmall "EntityTooSmall" 400 "Your proposed upload is smaller than the minimum allowed size";
    ExpiredToken "ExpiredToken" 400 "The provided token has expired.";
    FileAlreadyExists "FileAlreadyExists" 409 "The object you specified already exists and can not be overwritten.";
    IdempotencyParameterMismatch "IdempotencyParameterMismatch" 400 "Parameters on this idempotent request are inconsistent with parameters used in previous request(s).";
    IllegalLocationConstraintException "IllegalLocationConstraintException" 400 "The specified location constraint is incompatible for the region specific endpoint this request was sent to.";
    IllegalVersioningConfigurationException "IllegalVersioningConfigurationException" 400 "The versioning configuration specified in the request is invalid.";
    IncompleteBody "IncompleteBody" 400 "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    IncorrectNumberOfFilesInPostRequest "IncorrectNumberOfFilesInPostRequest" 400 "POST requires exactly one file upload per request.";
    InlineDataTooLarge "InlineDataTooLarge" 400 "Inline data exceeds the maximum allowed size.";
    InsufficientStorage "InsufficientStorage" 507 "There is no space left to store this.";
    InternalError "InternalError" 500 "We encountered an internal error. Please try again.";
    InvalidAccessKeyId "InvalidAccessKeyId" 403 "The AWS Access Key Id you provided does not exist in our records.";
    InvalidArgument "InvalidArgument" 400 "Invalid Argument";
    InvalidBucketAclWithObjectOwnership "InvalidBucketAclWithObjectOwnership" 400 "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
    InvalidBucketName "InvalidBucketName" 400 "The specified bucket is not valid.";
    InvalidBucketOwnerAWSAccountID "InvalidBucketOwnerAWSAccountID" 400 "The value of the expected bucket owner parameter must be an AWS account ID.";
    InvalidBucketState "InvalidBucketState" 409 "The request is not valid for the current state of the bucket.";
    InvalidChunkSizeError "InvalidChunkSizeError" 403 "The chunk size is not valid.";
    InvalidDigest "InvalidDigest" 400 "The Content-MD5 you specified was invalid.";
    InvalidEncryptionAlgorithmError "InvalidEncryptionAlgorithmError" 400 "The encryption request that you specified is not valid. The valid value is AES256.";
    InvalidLocationConstraint "InvalidLocationConstraint" 400 "The specified location-constraint is not valid";
    InvalidObjectState "InvalidObjectState" 403 "The operation is not valid for the object's storage class";
    InvalidPart "InvalidPart" 400 "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
    InvalidPartNumber "InvalidPartNumber" 416 "The requested partnumber is not satisfiable";
    InvalidWriteOffset "InvalidWriteOffset" 400 "The write offset value that you specified does not match the current object size.";
    InvalidPartOrder "InvalidPartOrder" 400 "The list of parts was not in ascending order. Parts must be ordered by part number.";
    InvalidPayer "InvalidPayer" 403 "All access to this object has been disabled.";
    InvalidPolicyDocument "InvalidPolicyDocument" 400 "The content of the form does not meet the conditions specified in the policy document.";
    InvalidRange "InvalidRange" 416 "The requested range is not satisfiable";
    InvalidRequest "InvalidRequest" 400 "Invalid Request";
    InvalidRetentionPeriod "InvalidRetentionPeriod" 400 "Default retention period must be a positive integer value.";
    InvalidSecurity "InvalidSecurity" 403 "The provided security credentials are not valid.";
    InvalidSOAPRequest "InvalidSOAPRequest" 400 "The SOAP request body is invalid.";
    InvalidStorageClass "InvalidStorageClass" 400 "The storage class you specified is not valid";
    InvalidTag "InvalidTag" 400 "The tag provided was not a valid tag.";
    InvalidTargetBucketForLogging "InvalidTargetBucketForLogging" 400 "The target bucket for logging does not exist";
    InvalidToken "InvalidToken" 400 "The provided token is malformed or otherwise invalid.";
    InvalidURI "InvalidURI" 400 "Couldn't parse the specified URI.";
    KMSNotFoundException "KMS.NotFoundException" 400 "The request was rejected because the specified entity or resource could not be found.";
    KeyTooLongError "KeyTooLongError" 400 "Your key is too long";
    MalformedACLError "MalformedACLError" 400 "The XML you provided was not well-formed or did not validate against our published schema";
    MalformedPOSTRequest "MalformedPOSTRequest" 400 "The body of your POST request is not well-formed multipart/form-data.";
    MalformedPolicy "MalformedPolicy" 400 "Your policy contains a principal that is not valid.";
    MalformedXML "MalformedXML" 400 "The XML you provided was not well-formed or did not validate against our published schema";
    MalformedTrailerError "MalformedTrailerError" 400 "The request contained trailing data that was not well-formed or did not conform to our published schema.";
    MaxMessageLengthExceeded "MaxMessageLengthExceeded" 400 "Your request was too large.";
    MaxPostPreDataLengthExceededError "MaxPostPreDataLengthExceeded" 400 "Your POST request fields preceding the upload file were too large.";
    MetadataTooLarge "MetadataTooLarge" 400 "Your metadata headers exceed the maximum allowed metadata size";
    MethodNotAllowed "MethodNotAllowed" 405 "The specified method is not allowed against this resource.";
    MissingAttachment "MissingAttachment" 400 "A SOAP attachment was expected, but none was found.";
    MissingAuthenticationToken "MissingAuthenticationToken" 403 "The request was not signed.";
    MissingContentLength "MissingContentLength" 411 "You must provide the Content-Length HTTP header.";
    MissingRequestBodyError "MissingRequestBodyError" 400 "Request body is empty.";
    MissingSecurityElement "MissingSecurityElement" 400 "The SOAP 1.1 request is missing a security element.";
    MissingSecurityHeader "MissingSecurityHeader" 400 "Your request was missing a required header";
    NoLoggingStatusForKey "NoLoggingStatusForKey" 400 "There is no such thing as a logging status subresource for a key.";
    NoSuchBucket "NoSuchBucket" 404 "The specified bucket does not exist";
    NoSuchBucketPolicy "NoSuchBucketPolicy" 404 "The bucket policy does not exist";
    NoSuchConfiguration "NoSuchConfiguration" 404 "The specified configuration does not exist.";
    NoSuchCORSConfiguration "NoSuchCORSConfiguration" 404 "The CORS configuration does not exist";
    NoSuchKey "NoSuchKey" 404 "The specified key does not exist.";
    NoSuchLifecycleConfiguration "NoSuchLifecycleConfiguration" 404 "The lifecycle configuration does not exist";
    NoSuchObjectLockConfiguration "NoSuchObjectLockConfiguration" 404 "The specified object does not have a ObjectLock configuration";
    NoSuchPublicAccessBlockConfiguration "NoSuchPublicAccessBlockConfiguration" 404 "The public access block configuration was not found";
    NoSuchTagSet "NoSuchTagSet" 404 "The TagSet does not exist";
    NoSuchUpload "NoSuchUpload" 404 "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    NoSuchVersion "NoSuchVersion" 404 "The specified version does not exist.";
    NoSuchWebsiteConfiguration "NoSuchWebsiteConfiguration" 404 "The specified bucket does not have a website configuration";
    NotImplemented "NotImplemented" 501 "A header you provided implies functionality that is not implemented";
    NotModified "NotModified" 304 "Not Modified";
    NotSignedUp "NotSignedUp" 403 "Your account is not signed up for the Amazon S3 service.";
    ObjectLockConfigurationNotFoundError "ObjectLockConfigurationNotFoundError" 404 "Object Lock configuration does not exist for this bucket";
    OperationAborted "OperationAborted" 409 "A conflicting conditional operation is currently in progress against this resource. Please try again.";
    OwnershipControlsNotFoundError "OwnershipControlsNotFoundError" 404 "The bucket ownership controls were not found";
    PermanentRedirect "PermanentRedirect" 301 "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.";
    PreconditionFailed "PreconditionFailed" 412 "At least one of the pre-conditions you specified did not hold";
    QuotaExceeded "QuotaExceeded" 403 "The bucket's quota is exceeded.";
    Redirect "Redirect" 307 "Temporary redirect.";
    ReplicationConfigurationNotFoundError "ReplicationConfigurationNotFoundError" 404 "The replication configuration was not found";
    RequestHeaderSectionTooLarge "RequestHeaderSectionTooLarge" 400 "Your request header section exceeds the maximum allowed size.";
    RequestIsNotMultiPartContent "RequestIsNotMultiPartContent" 400 "Bucket POST must be of the enclosure-type multipart/form-data.";
    RequestTimeout "RequestTimeout" 400 "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.";
    RequestTimeTooSkewed "RequestTimeTooSkewed" 403 "The difference between the request time and the current time is too large.";
    RequestTorrentOfBucketError "RequestTorrentOfBucketError" 400 "Requesting the torrent file of a bucket is not permitted.";
    RestoreAlreadyInProgress "RestoreAlreadyInProgress" 409 "Object restore is already in progress.";
    ServerSideEncryptionConfigurationNotFoundError "ServerSideEncryptionConfigurationNotFoundError" 404 "The server side encryption configuration was not found";
    ServiceUnavailable "ServiceUnavailable" 503 "Service is unable to handle request.";
    SignatureDoesNotMatch "SignatureDoesNotMatch" 403 "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
    SlowDown "SlowDown" 503 "Please reduce your request rate.";
    TemporaryRedirect "TemporaryRedirect" 307 "You are being redirected to the bucket while the DNS server is being updated.";
    TokenRefreshRequired "TokenRefreshRequired" 400 "The provided token must be refreshed.";
    TooManyBuckets "TooManyBuckets" 400 "You have attempted to create more buckets than allowed.";
    TooManyParts "TooManyParts" 400 "You have attempted to upload more parts than allowed.";
    UnexpectedContent "UnexpectedContent" 400 "This request does not support content";
    UnresolvableGrantByEmailAddress "UnresolvableGrantByEmailAddress" 400 "The email address you provided does not match any account on record.";
    UnsupportedSignature "UnsupportedSignature" 400 "The provided request is signed with an unsupported STS Token version or the signature version is not supported.";
    UploadRefused "UploadRefused" 403 "The receiver of the upload's callback refused it: nothing was stored.";
    UploadWithdrawn "UploadWithdrawn" 502 "The upload's callback was not answered: nothing was stored.";
    UserKeyMustBeSpecified "UserKeyMustBeSpecified" 400 "The bucket POST must contain the specified field name. If it is specified, check the order of the fields.";
    XAmzContentSHA256Mismatch "XAmzContentSHA256Mismatch" 400 "The provided 'x-amz-content-sha256' header does not match what was computed.";
}

impl Code {
    /// Its name and its status on the wire.
    pub fn wire(self) -> (&'static str, StatusCode) {
        let (name, status, _) = self.row();
        (
            name,
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        )
    }

    /// What S3 says with it.
    pub const fn message(self) -> &'static str {
        self.row().2
    }

    /// The code of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.row().0 == name)
    }
}

/// An error on its way to the client.
pub struct S3Error {
    code: Code,
    message: Cow<'static, str>,
    detail: Vec<(Cow<'static, str>, String)>,
    headers: Vec<(&'static str, String)>,
    oss_host: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    explained: bool,
}

impl fmt::Debug for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The details may hold what the client sent with its signature: they stay out of logs.
        write!(f, "{}: {}", self.code.row().0, self.message)
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for S3Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<Code> for S3Error {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl S3Error {
    /// The code with S3's own message.
    pub const fn new(code: Code) -> Self {
        Self {
            code,
            message: Cow::Borrowed(code.message()),
            detail: Vec::new(),
            headers: Vec::new(),
            oss_host: None,
            source: None,
            explained: false,
        }
    }

    /// The code with another message.
    pub fn because(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            ..Self::new(code)
        }
    }

    /// `InvalidArgument` that names the argument and what it was.
    pub fn argument(
        name: impl Into<String>,
        value: impl Into<String>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::because(Code::InvalidArgument, message)
            .with("ArgumentName", name)
            .with("ArgumentValue", value)
    }

    /// `NotImplemented` that names the header or query parameter.
    pub fn unsupported_option(name: impl Into<String>) -> Self {
        Self::new(Code::NotImplemented).with("Header", name)
    }

    /// `InternalError`; `source` is logged, not sent.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::InternalError).caused_by(source)
    }

    /// Adds an element to the document.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.detail.push((name.into(), value.into()));
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// It is to be told in the words of OSS, to a request that was sent to `host`.
    #[must_use]
    pub fn told_in_oss(mut self, host: String) -> Self {
        self.oss_host = Some(host);
        self
    }

    /// The host that the request was sent to, where it is to be told in the words of OSS.
    pub fn oss_host(&self) -> Option<&str> {
        self.oss_host.as_deref()
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Tells the client how the operator learns more of it.
    #[must_use]
    pub const fn explained(mut self) -> Self {
        self.explained = true;
        self
    }

    /// The code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The elements beside code and message.
    pub fn detail(&self) -> &[(Cow<'static, str>, String)] {
        &self.detail
    }

    /// The headers to answer with.
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// Whether the document has an element of that name.
    pub fn names(&self, element: &str) -> bool {
        self.detail.iter().any(|(name, _)| *name == element)
    }

    /// The XML document.
    pub fn document(&self, id: RequestId, host_id: &str) -> String {
        let mut xml = XmlWriter::plain("Error");
        xml.text("Code", self.code.row().0);
        xml.text("Message", &self.message);
        for (name, value) in &self.detail {
            xml.text(name, value);
        }
        xml.text("RequestId", &id.to_string());
        xml.text("HostId", host_id);
        if self.explained {
            xml.text("Hint", &format!("consign explain --request-id {id}"));
        }
        xml.finish()
    }
}
