//! Which operation of S3 a request asks for: a table, read from top to bottom.

use http::Method;

use super::context::{FormHandler, Handler};
use super::error::{Code, S3Error};
use super::head::Head;
use super::ops;
use super::target::Level;
use crate::auth::Action;

/// An operation of S3, by S3's own name.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is S3's own name")]
pub enum Operation {
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CopyObject,
    CreateBucket,
    CreateBucketMetadataConfiguration,
    CreateBucketMetadataTableConfiguration,
    CreateMultipartUpload,
    CreateSession,
    DeleteBucket,
    DeleteBucketAnalyticsConfiguration,
    DeleteBucketCors,
    DeleteBucketEncryption,
    DeleteBucketIntelligentTieringConfiguration,
    DeleteBucketInventoryConfiguration,
    DeleteBucketLifecycle,
    DeleteBucketMetadataConfiguration,
    DeleteBucketMetadataTableConfiguration,
    DeleteBucketMetricsConfiguration,
    DeleteBucketOwnershipControls,
    DeleteBucketPolicy,
    DeleteBucketReplication,
    DeleteBucketTagging,
    DeleteBucketWebsite,
    DeleteObject,
    DeleteObjectTagging,
    DeleteObjects,
    DeletePublicAccessBlock,
    GetBucketAbac,
    GetBucketAccelerateConfiguration,
    GetBucketAcl,
    GetBucketAnalyticsConfiguration,
    GetBucketCors,
    GetBucketEncryption,
    GetBucketIntelligentTieringConfiguration,
    GetBucketInventoryConfiguration,
    GetBucketLifecycleConfiguration,
    GetBucketLocation,
    GetBucketLogging,
    GetBucketMetadataConfiguration,
    GetBucketMetadataTableConfiguration,
    GetBucketMetricsConfiguration,
    GetBucketNotificationConfiguration,
    GetBucketOwnershipControls,
    GetBucketPolicy,
    GetBucketPolicyStatus,
    GetBucketReplication,
    GetBucketRequestPayment,
    GetBucketTagging,
    GetBucketVersioning,
    GetBucketWebsite,
    GetObject,
    GetObjectAcl,
    GetObjectAttributes,
    GetObjectLegalHold,
    GetObjectLockConfiguration,
    GetObjectRetention,
    GetObjectTagging,
    GetObjectTorrent,
    GetPublicAccessBlock,
    HeadBucket,
    HeadObject,
    ListBucketAnalyticsConfigurations,
    ListBucketIntelligentTieringConfigurations,
    ListBucketInventoryConfigurations,
    ListBucketMetricsConfigurations,
    ListBuckets,
    ListDirectoryBuckets,
    ListMultipartUploads,
    ListObjectVersions,
    ListObjects,
    ListObjectsV2,
    ListParts,
    OptionsObject,
    PostObject,
    PutBucketAbac,
    PutBucketAccelerateConfiguration,
    PutBucketAcl,
    PutBucketAnalyticsConfiguration,
    PutBucketCors,
    PutBucketEncryption,
    PutBucketIntelligentTieringConfiguration,
    PutBucketInventoryConfiguration,
    PutBucketLifecycleConfiguration,
    PutBucketLogging,
    PutBucketMetricsConfiguration,
    PutBucketNotificationConfiguration,
    PutBucketOwnershipControls,
    PutBucketPolicy,
    PutBucketReplication,
    PutBucketRequestPayment,
    PutBucketTagging,
    PutBucketVersioning,
    PutBucketWebsite,
    PutObject,
    PutObjectAcl,
    PutObjectLegalHold,
    PutObjectLockConfiguration,
    PutObjectRetention,
    PutObjectTagging,
    PutPublicAccessBlock,
    RenameObject,
    RestoreObject,
    SelectObjectContent,
    UpdateBucketMetadataInventoryTableConfiguration,
    UpdateBucketMetadataJournalTableConfiguration,
    UpdateObjectEncryption,
    UploadPart,
    UploadPartCopy,
    WriteGetObjectResponse,
}

impl Operation {
    /// S3's name for it.
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

/// What tells an operation from others of the same method and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The query has this parameter.
    Query(&'static str),
    /// The query has this parameter with this value.
    Value(&'static str, &'static str),
    /// There is this header.
    Header(&'static str),
    /// The path is this.
    Path(&'static str),
}

/// How an operation is recognised.
#[derive(Debug, Clone)]
pub struct Route {
    /// The operation.
    pub operation: Operation,
    /// By this method,
    pub method: Method,
    /// on this,
    pub level: Level,
    /// with all of these.
    pub marks: &'static [Mark],
    /// What answers it; none where Consign refuses it by name.
    pub serve: Option<Serve>,
}

/// What answers an operation. The permission stands beside the handler, so that no handler can
/// forget to ask for it.
#[derive(Debug, Clone, Copy)]
pub enum Serve {
    /// The proof of who is calling is in the head.
    Head {
        /// What the caller must be allowed to do.
        action: Action,
        /// The options of S3 that the handler heeds; others are refused by name.
        honours: &'static [&'static str],
        /// The handler.
        run: Handler,
    },
    /// The proof is among the fields of the form that is the body.
    Form {
        /// The handler, which proves the form before it keeps a byte of its file.
        run: FormHandler,
    },
}

impl Route {
    /// This operation is answered by `run`, for who may do `action`.
    const fn serve(
        mut self,
        action: Action,
        honours: &'static [&'static str],
        run: Handler,
    ) -> Self {
        self.serve = Some(Serve::Head {
            action,
            honours,
            run,
        });
        self
    }
}

const fn row(operation: Operation, method: Method, level: Level, marks: &'static [Mark]) -> Route {
    Route {
        operation,
        method,
        level,
        marks,
        serve: None,
    }
}

/// All operations. Those with more marks stand before those with fewer.
pub const ROUTES: &[Route] = &[
    row(
        Operation::ListDirectoryBuckets,
        Method::GET,
        Level::Service,
        &[Mark::Query("max-directory-buckets")],
    ),
    row(Operation::ListBuckets, Method::GET, Level::Service, &[]).serve(
        Action::ListAllMyBuckets,
        ops::bucket::LIST_BUCKETS,
        |call| Box::pin(ops::bucket::list_buckets(call)),
    ),
    row(
        Operation::WriteGetObjectResponse,
        Method::POST,
        Level::Service,
        &[Mark::Path("/WriteGetObjectResponse")],
    ),
    row(
        Operation::DeleteBucketAnalyticsConfiguration,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("analytics"), Mark::Query("id")],
    ),
    row(
        Operation::DeleteBucketIntelligentTieringConfiguration,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("intelligent-tiering"), Mark::Query("id")],
    ),
    row(
        Operation::DeleteBucketInventoryConfiguration,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("inventory"), Mark::Query("id")],
    ),
    row(
        Operation::DeleteBucketMetricsConfiguration,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("metrics"), Mark::Query("id")],
    ),
    row(
        Operation::DeleteBucketCors,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("cors")],
    ),
    row(
        Operation::DeleteBucketEncryption,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("encryption")],
    ),
    row(
        Operation::DeleteBucketLifecycle,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("lifecycle")],
    ),
    row(
        Operation::DeleteBucketMetadataConfiguration,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("metadataConfiguration")],
    ),
    row(
        Operation::DeleteBucketMetadataTableConfiguration,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("metadataTable")],
    ),
    row(
        Operation::DeleteBucketOwnershipControls,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("ownershipControls")],
    ),
    row(
        Operation::DeleteBucketPolicy,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("policy")],
    ),
    row(
        Operation::DeleteBucketReplication,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("replication")],
    ),
    row(
        Operation::DeleteBucketTagging,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("tagging")],
    ),
    row(
        Operation::DeleteBucketWebsite,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("website")],
    ),
    row(
        Operation::DeletePublicAccessBlock,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("publicAccessBlock")],
    ),
    row(Operation::DeleteBucket, Method::DELETE, Level::Bucket, &[]).serve(
        Action::DeleteBucket,
        &[],
        |call| Box::pin(ops::bucket::delete_bucket(call)),
    ),
    row(
        Operation::GetBucketAnalyticsConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("analytics"), Mark::Query("id")],
    ),
    row(
        Operation::GetBucketIntelligentTieringConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("intelligent-tiering"), Mark::Query("id")],
    ),
    row(
        Operation::GetBucketInventoryConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("inventory"), Mark::Query("id")],
    ),
    row(
        Operation::GetBucketMetricsConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("metrics"), Mark::Query("id")],
    ),
    row(
        Operation::CreateSession,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("session")],
    ),
    row(
        Operation::GetBucketAbac,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("abac")],
    ),
    row(
        Operation::GetBucketAccelerateConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("accelerate")],
    ),
    row(
        Operation::GetBucketAcl,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("acl")],
    ),
    row(
        Operation::GetBucketCors,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("cors")],
    ),
    row(
        Operation::GetBucketEncryption,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("encryption")],
    ),
    row(
        Operation::GetBucketLifecycleConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("lifecycle")],
    ),
    row(
        Operation::GetBucketLocation,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("location")],
    )
    .serve(Action::GetBucketLocation, &[], |call| {
        Box::pin(ops::bucket::get_bucket_location(call))
    }),
    row(
        Operation::GetBucketLogging,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("logging")],
    ),
    row(
        Operation::GetBucketMetadataConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("metadataConfiguration")],
    ),
    row(
        Operation::GetBucketMetadataTableConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("metadataTable")],
    ),
    row(
        Operation::GetBucketNotificationConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("notification")],
    ),
    row(
        Operation::GetBucketOwnershipControls,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("ownershipControls")],
    ),
    row(
        Operation::GetBucketPolicy,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("policy")],
    ),
    row(
        Operation::GetBucketPolicyStatus,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("policyStatus")],
    ),
    row(
        Operation::GetBucketReplication,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("replication")],
    ),
    row(
        Operation::GetBucketRequestPayment,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("requestPayment")],
    ),
    row(
        Operation::GetBucketTagging,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("tagging")],
    ),
    row(
        Operation::GetBucketVersioning,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("versioning")],
    ),
    row(
        Operation::GetBucketWebsite,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("website")],
    ),
    row(
        Operation::GetObjectLockConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("object-lock")],
    ),
    row(
        Operation::GetPublicAccessBlock,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("publicAccessBlock")],
    ),
    row(
        Operation::ListBucketAnalyticsConfigurations,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("analytics")],
    ),
    row(
        Operation::ListBucketIntelligentTieringConfigurations,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("intelligent-tiering")],
    ),
    row(
        Operation::ListBucketInventoryConfigurations,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("inventory")],
    ),
    row(
        Operation::ListBucketMetricsConfigurations,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("metrics")],
    ),
    row(
        Operation::ListMultipartUploads,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("uploads")],
    ),
    row(
        Operation::ListObjectVersions,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("versions")],
    ),
    row(
        Operation::ListObjectsV2,
        Method::GET,
        Level::Bucket,
        &[Mark::Value("list-type", "2")],
    )
    .serve(Action::ListBucket, ops::list::LIST_OBJECTS_V2, |call| {
        Box::pin(ops::list::list_objects_v2(call))
    }),
    row(Operation::ListObjects, Method::GET, Level::Bucket, &[]).serve(
        Action::ListBucket,
        ops::list::LIST_OBJECTS,
        |call| Box::pin(ops::list::list_objects(call)),
    ),
    row(Operation::HeadBucket, Method::HEAD, Level::Bucket, &[]).serve(
        Action::HeadBucket,
        &[],
        |call| Box::pin(ops::bucket::head_bucket(call)),
    ),
    row(
        Operation::CreateBucketMetadataConfiguration,
        Method::POST,
        Level::Bucket,
        &[Mark::Query("metadataConfiguration")],
    ),
    row(
        Operation::CreateBucketMetadataTableConfiguration,
        Method::POST,
        Level::Bucket,
        &[Mark::Query("metadataTable")],
    ),
    row(
        Operation::DeleteObjects,
        Method::POST,
        Level::Bucket,
        &[Mark::Query("delete")],
    )
    .serve(Action::DeleteObjects, ops::CHECKSUMS, |call| {
        Box::pin(ops::delete::delete_objects(call))
    }),
    row(Operation::PostObject, Method::POST, Level::Bucket, &[]),
    row(
        Operation::PutBucketAnalyticsConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("analytics"), Mark::Query("id")],
    ),
    row(
        Operation::PutBucketIntelligentTieringConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("intelligent-tiering"), Mark::Query("id")],
    ),
    row(
        Operation::PutBucketInventoryConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("inventory"), Mark::Query("id")],
    ),
    row(
        Operation::PutBucketMetricsConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("metrics"), Mark::Query("id")],
    ),
    row(
        Operation::PutBucketAbac,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("abac")],
    ),
    row(
        Operation::PutBucketAccelerateConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("accelerate")],
    ),
    row(
        Operation::PutBucketAcl,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("acl")],
    ),
    row(
        Operation::PutBucketCors,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("cors")],
    ),
    row(
        Operation::PutBucketEncryption,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("encryption")],
    ),
    row(
        Operation::PutBucketLifecycleConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("lifecycle")],
    ),
    row(
        Operation::PutBucketLogging,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("logging")],
    ),
    row(
        Operation::PutBucketNotificationConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("notification")],
    ),
    row(
        Operation::PutBucketOwnershipControls,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("ownershipControls")],
    ),
    row(
        Operation::PutBucketPolicy,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("policy")],
    ),
    row(
        Operation::PutBucketReplication,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("replication")],
    ),
    row(
        Operation::PutBucketRequestPayment,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("requestPayment")],
    ),
    row(
        Operation::PutBucketTagging,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("tagging")],
    ),
    row(
        Operation::PutBucketVersioning,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("versioning")],
    ),
    row(
        Operation::PutBucketWebsite,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("website")],
    ),
    row(
        Operation::PutObjectLockConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("object-lock")],
    ),
    row(
        Operation::PutPublicAccessBlock,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("publicAccessBlock")],
    ),
    row(
        Operation::UpdateBucketMetadataInventoryTableConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("metadataInventoryTable")],
    ),
    row(
        Operation::UpdateBucketMetadataJournalTableConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("metadataJournalTable")],
    ),
    row(Operation::CreateBucket, Method::PUT, Level::Bucket, &[]).serve(
        Action::CreateBucket,
        &[],
        |call| Box::pin(ops::bucket::create_bucket(call)),
    ),
    row(
        Operation::AbortMultipartUpload,
        Method::DELETE,
        Level::Object,
        &[Mark::Query("uploadId")],
    ),
    row(
        Operation::DeleteObjectTagging,
        Method::DELETE,
        Level::Object,
        &[Mark::Query("tagging")],
    ),
    row(Operation::DeleteObject, Method::DELETE, Level::Object, &[]).serve(
        Action::DeleteObject,
        &[],
        |call| Box::pin(ops::delete::delete_object(call)),
    ),
    row(
        Operation::GetObjectAcl,
        Method::GET,
        Level::Object,
        &[Mark::Query("acl")],
    ),
    row(
        Operation::GetObjectAttributes,
        Method::GET,
        Level::Object,
        &[Mark::Query("attributes")],
    ),
    row(
        Operation::GetObjectLegalHold,
        Method::GET,
        Level::Object,
        &[Mark::Query("legal-hold")],
    ),
    row(
        Operation::GetObjectRetention,
        Method::GET,
        Level::Object,
        &[Mark::Query("retention")],
    ),
    row(
        Operation::GetObjectTagging,
        Method::GET,
        Level::Object,
        &[Mark::Query("tagging")],
    ),
    row(
        Operation::GetObjectTorrent,
        Method::GET,
        Level::Object,
        &[Mark::Query("torrent")],
    ),
    row(
        Operation::ListParts,
        Method::GET,
        Level::Object,
        &[Mark::Query("uploadId")],
    ),
    row(Operation::GetObject, Method::GET, Level::Object, &[]).serve(
        Action::GetObject,
        ops::get::READ_OBJECT,
        |call| Box::pin(ops::get::get_object(call)),
    ),
    row(Operation::HeadObject, Method::HEAD, Level::Object, &[]).serve(
        Action::GetObject,
        ops::get::READ_OBJECT,
        |call| Box::pin(ops::get::head_object(call)),
    ),
    row(
        Operation::SelectObjectContent,
        Method::POST,
        Level::Object,
        &[Mark::Query("select"), Mark::Value("select-type", "2")],
    ),
    row(
        Operation::CompleteMultipartUpload,
        Method::POST,
        Level::Object,
        &[Mark::Query("uploadId")],
    ),
    row(
        Operation::CreateMultipartUpload,
        Method::POST,
        Level::Object,
        &[Mark::Query("uploads")],
    ),
    row(
        Operation::RestoreObject,
        Method::POST,
        Level::Object,
        &[Mark::Query("restore")],
    ),
    row(
        Operation::UploadPartCopy,
        Method::PUT,
        Level::Object,
        &[
            Mark::Query("partNumber"),
            Mark::Query("uploadId"),
            Mark::Header("x-amz-copy-source"),
        ],
    ),
    row(
        Operation::UploadPart,
        Method::PUT,
        Level::Object,
        &[Mark::Query("partNumber"), Mark::Query("uploadId")],
    ),
    row(
        Operation::CopyObject,
        Method::PUT,
        Level::Object,
        &[Mark::Header("x-amz-copy-source")],
    ),
    row(
        Operation::PutObjectAcl,
        Method::PUT,
        Level::Object,
        &[Mark::Query("acl")],
    ),
    row(
        Operation::PutObjectLegalHold,
        Method::PUT,
        Level::Object,
        &[Mark::Query("legal-hold")],
    ),
    row(
        Operation::PutObjectRetention,
        Method::PUT,
        Level::Object,
        &[Mark::Query("retention")],
    ),
    row(
        Operation::PutObjectTagging,
        Method::PUT,
        Level::Object,
        &[Mark::Query("tagging")],
    ),
    row(
        Operation::RenameObject,
        Method::PUT,
        Level::Object,
        &[Mark::Query("renameObject")],
    ),
    row(
        Operation::UpdateObjectEncryption,
        Method::PUT,
        Level::Object,
        &[Mark::Query("encryption")],
    ),
    row(Operation::PutObject, Method::PUT, Level::Object, &[]).serve(
        Action::PutObject,
        ops::put::PUT_OBJECT,
        |call| Box::pin(ops::put::put_object(call)),
    ),
    row(
        Operation::OptionsObject,
        Method::OPTIONS,
        Level::Service,
        &[],
    ),
    row(
        Operation::OptionsObject,
        Method::OPTIONS,
        Level::Bucket,
        &[],
    ),
    row(
        Operation::OptionsObject,
        Method::OPTIONS,
        Level::Object,
        &[],
    ),
];

/// Query parameters and headers that mean something to S3. One that the operation at hand doesn't
/// honour must be refused by name: a client that asks for encryption must not get none.
const OPTIONS: &[&str] = &[
    "bucket-region",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "id",
    "key-marker",
    "marker",
    "max-buckets",
    "max-directory-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "partNumber",
    "prefix",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "start-after",
    "upload-id-marker",
    "uploadId",
    "version-id-marker",
    "versionId",
    "x-amz-acl",
    "x-amz-bucket-namespace",
    "x-amz-bucket-object-lock-enabled",
    "x-amz-bucket-object-lock-token",
    "x-amz-bypass-governance-retention",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-md5",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-sha512",
    "x-amz-checksum-type",
    "x-amz-checksum-xxhash128",
    "x-amz-checksum-xxhash3",
    "x-amz-checksum-xxhash64",
    "x-amz-client-token",
    "x-amz-confirm-remove-self-bucket-access",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
    "x-amz-create-session-mode",
    "x-amz-expected-bucket-owner",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-if-match-initiated-time",
    "x-amz-if-match-last-modified-time",
    "x-amz-if-match-size",
    "x-amz-max-parts",
    "x-amz-metadata-directive",
    "x-amz-mfa",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-ownership",
    "x-amz-optional-object-attributes",
    "x-amz-part-number-marker",
    "x-amz-rename-source",
    "x-amz-rename-source-if-match",
    "x-amz-rename-source-if-modified-since",
    "x-amz-rename-source-if-none-match",
    "x-amz-rename-source-if-unmodified-since",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-context",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
    "x-amz-skip-destination-validation",
    "x-amz-source-expected-bucket-owner",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    "x-amz-transition-default-minimum-object-size",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
];

/// Options that are honoured everywhere, or that S3 itself ignores where they mean nothing
/// (`x-amz-request-payer` on a bucket whose owner pays).
const COMMON: &[&str] = &[
    "x-amz-expected-bucket-owner",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
];

/// Values that ask for what is the case anyway.
const DEFAULTS: &[(&str, &str)] = &[
    ("x-amz-acl", "private"),
    ("x-amz-acl", "bucket-owner-full-control"),
    ("x-amz-storage-class", "STANDARD"),
    ("x-amz-bucket-object-lock-enabled", "false"),
    ("x-amz-object-ownership", "BucketOwnerEnforced"),
    ("x-amz-tagging", ""),
    ("versionId", "null"),
];

impl Route {
    /// The route of this request.
    ///
    /// # Errors
    /// `MethodNotAllowed` where S3 has no such operation.
    pub fn of(head: &Head) -> Result<&'static Self, S3Error> {
        let level = head.target.level();
        let here = |route: &&Self| route.level == level;
        let found = ROUTES.iter().filter(here).find(|route| {
            route.method == head.method && route.marks.iter().all(|mark| mark.is_in(head))
        });
        // A sub-resource that this method doesn't know must not fall through to the plain
        // operation: DELETE ?acl must never delete the bucket.
        let lost = ROUTES
            .iter()
            .filter(here)
            .flat_map(|route| route.marks)
            .any(|mark| {
                mark.is_sub_resource()
                    && mark.is_in(head)
                    && found.is_none_or(|route| !route.marks.contains(mark))
            });
        match found {
            Some(route) if !lost || !route.marks.is_empty() => Ok(route),
            _ => Err(S3Error::new(Code::MethodNotAllowed)
                .with("Method", head.method.as_str())
                .with("ResourceType", head.resource_type())),
        }
    }

    /// Refuses an option of S3 that is neither `honoured` by the operation nor asks for what is the
    /// case anyway.
    ///
    /// # Errors
    /// `NotImplemented` that names it.
    pub fn check_options(&self, head: &Head, honoured: &[&str]) -> Result<(), S3Error> {
        let known = |name: &str| {
            !OPTIONS.contains(&name)
                || COMMON.contains(&name)
                || honoured.contains(&name)
                || self.marks.iter().any(|mark| mark.name() == name)
        };
        for (name, value) in head.query.iter() {
            if !known(name) && !DEFAULTS.contains(&(name, value)) {
                return Err(S3Error::unsupported_option(name));
            }
        }
        for (name, value) in &head.headers {
            let default = value
                .to_str()
                .is_ok_and(|v| DEFAULTS.contains(&(name.as_str(), v)));
            if !known(name.as_str()) && !default {
                return Err(S3Error::unsupported_option(name.as_str()));
            }
        }
        Ok(())
    }

    /// `NotImplemented` that names the operation.
    pub fn unsupported(&self) -> S3Error {
        let name = self.operation.name();
        let message = format!("Consign does not implement the operation {name}.");
        S3Error::because(Code::NotImplemented, message).with("Operation", name)
    }
}

impl Mark {
    fn is_in(&self, head: &Head) -> bool {
        match self {
            Self::Query(name) => head.query.has(name),
            Self::Value(name, value) => head.query.get(name) == Some(value),
            Self::Header(name) => head.headers.contains_key(*name),
            Self::Path(path) => head.raw_path == *path,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Query(name) | Self::Value(name, _) | Self::Header(name) | Self::Path(name) => {
                name
            }
        }
    }

    /// Whether it alone turns a request into one about something else than the object or bucket.
    const fn is_sub_resource(&self) -> bool {
        // `id` and `partNumber` are arguments: they only narrow down what a sub-resource is about.
        match self {
            Self::Query(name) => !matches!(name.as_bytes(), b"id" | b"partNumber"),
            Self::Value(..) | Self::Header(_) | Self::Path(_) => false,
        }
    }
}

impl Head {
    /// What S3's errors call that which the request is about.
    pub fn resource_type(&self) -> &'static str {
        let is = |name| self.query.has(name);
        match self.target.level() {
            Level::Service => "SERVICE",
            Level::Object if is("uploadId") || is("uploads") => "UPLOAD",
            Level::Object if is("acl") => "ACL",
            Level::Object => "OBJECT",
            Level::Bucket if is("policy") => "BUCKETPOLICY",
            Level::Bucket if is("acl") => "ACL",
            Level::Bucket => "BUCKET",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &Method, uri: &str, headers: &[(&'static str, &str)]) -> Head {
        let mut request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "h");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Head::parse(&request.body(()).unwrap().into_parts().0, &[]).unwrap()
    }

    #[test]
    fn each_route_leads_to_its_own_operation() {
        for route in ROUTES {
            let path = match route.level {
                Level::Service => "/",
                Level::Bucket => "/abc",
                Level::Object => "/abc/d",
            };
            let (mut path, mut query, mut headers) = (path.to_owned(), Vec::new(), Vec::new());
            for mark in route.marks {
                match mark {
                    Mark::Query(name) => query.push((*name).to_owned()),
                    Mark::Value(name, value) => query.push(format!("{name}={value}")),
                    Mark::Header(name) => headers.push((*name, "/abc/e")),
                    Mark::Path(found) => path = (*found).to_owned(),
                }
            }
            let head = head(
                &route.method,
                &format!("{path}?{}", query.join("&")),
                &headers,
            );
            assert_eq!(
                Route::of(&head).unwrap().operation,
                route.operation,
                "{route:?}"
            );
        }
    }

    #[test]
    fn a_foreign_sub_resource_is_not_ignored() {
        for (method, uri) in [
            (Method::DELETE, "/abc?acl"),
            (Method::PUT, "/abc?versions"),
            (Method::DELETE, "/abc/d?acl"),
            (Method::PATCH, "/abc/d"),
            (Method::POST, "/"),
            (Method::POST, "/abc?policy"),
        ] {
            let error = Route::of(&head(&method, uri, &[])).unwrap_err();
            assert_eq!(error.code(), Code::MethodNotAllowed, "{method} {uri}");
        }
    }

    #[test]
    fn an_option_that_is_not_honoured_is_refused_by_name() {
        let check = |uri: &str, headers: &[(&'static str, &str)]| {
            let head = head(&Method::PUT, uri, headers);
            let checked = Route::of(&head)
                .unwrap()
                .check_options(&head, &["x-amz-checksum-crc32"]);
            checked.err().map(|error| error.detail().to_vec())
        };
        let refused = |name: &str| Some(vec![("Header", name.to_owned())]);
        let sse = "x-amz-server-side-encryption";
        assert_eq!(check("/abc/d", &[(sse, "AES256")]), refused(sse));
        assert_eq!(
            check("/abc/d", &[("x-amz-acl", "public-read")]),
            refused("x-amz-acl")
        );
        assert_eq!(check("/abc/d", &[("x-amz-acl", "private")]), None);
        assert_eq!(check("/abc/d?versionId=1", &[]), refused("versionId"));
        assert_eq!(
            check("/abc/d?x-id=PutObject&unknown=1", &[("x-amz-meta-a", "b")]),
            None
        );
        assert_eq!(check("/abc/d", &[("x-amz-checksum-crc32", "")]), None);
    }
}
