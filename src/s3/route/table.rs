//! The table of all operations: how each is recognised, what it demands, what answers it.

use http::Method;

use super::{Mark, Operation, Route, row};
use crate::auth::Action;
use crate::auth::constraint::Constraint;
use crate::s3::acl::ACL_HEADERS;
use crate::s3::copy_source::COPY_SOURCE;
use crate::s3::sse::{SSE, SSE_C, SSE_C_SOURCE};
use crate::s3::target::Level;
use crate::s3::{cors, ops};

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
        &[ops::bucket::LIST_BUCKETS],
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
    )
    .serve(Action::PutBucketCors, &[], |call| {
        Box::pin(ops::bucket_cors::delete_bucket_cors(call))
    }),
    row(
        Operation::DeleteBucketEncryption,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("encryption")],
    )
    .serve(Action::PutEncryptionConfiguration, &[], |call| {
        Box::pin(ops::bucket_encryption::delete_bucket_encryption(call))
    }),
    row(
        Operation::DeleteBucketLifecycle,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("lifecycle")],
    )
    .serve(Action::PutLifecycleConfiguration, &[], |call| {
        Box::pin(ops::lifecycle::delete_bucket_lifecycle(call))
    }),
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
    )
    .serve(Action::PutBucketOwnershipControls, &[], |call| {
        Box::pin(ops::bucket_policy::delete_bucket_ownership_controls(call))
    }),
    row(
        Operation::DeleteBucketPolicy,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("policy")],
    )
    .serve(Action::DeleteBucketPolicy, &[], |call| {
        Box::pin(ops::bucket_policy::delete_bucket_policy(call))
    }),
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
    )
    .serve(Action::PutBucketTagging, &[], |call| {
        Box::pin(ops::bucket_tagging::delete_bucket_tagging(call))
    }),
    row(
        Operation::DeleteBucketWebsite,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("website")],
    )
    .serve(Action::DeleteBucketWebsite, &[], |call| {
        Box::pin(ops::bucket_website::delete_bucket_website(call))
    }),
    row(
        Operation::DeletePublicAccessBlock,
        Method::DELETE,
        Level::Bucket,
        &[Mark::Query("publicAccessBlock")],
    )
    .serve(Action::PutBucketPublicAccessBlock, &[], |call| {
        Box::pin(ops::bucket_policy::delete_public_access_block(call))
    }),
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
    )
    .serve(Action::GetBucketAcl, &[], |call| {
        Box::pin(ops::acl::get_bucket_acl(call))
    }),
    row(
        Operation::GetBucketCors,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("cors")],
    )
    .serve(Action::GetBucketCors, &[], |call| {
        Box::pin(ops::bucket_cors::get_bucket_cors(call))
    }),
    row(
        Operation::GetBucketEncryption,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("encryption")],
    )
    .serve(Action::GetEncryptionConfiguration, &[], |call| {
        Box::pin(ops::bucket_encryption::get_bucket_encryption(call))
    }),
    row(
        Operation::GetBucketLifecycleConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("lifecycle")],
    )
    .serve(Action::GetLifecycleConfiguration, &[], |call| {
        Box::pin(ops::lifecycle::get_bucket_lifecycle_configuration(call))
    }),
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
    )
    .serve(Action::GetBucketLogging, &[], |call| {
        Box::pin(ops::bucket_logging::get_bucket_logging(call))
    }),
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
    )
    .serve(Action::GetBucketNotification, &[], |call| {
        Box::pin(ops::bucket_notification::get_bucket_notification(call))
    }),
    row(
        Operation::GetBucketOwnershipControls,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("ownershipControls")],
    )
    .serve(Action::GetBucketOwnershipControls, &[], |call| {
        Box::pin(ops::bucket_policy::get_bucket_ownership_controls(call))
    }),
    row(
        Operation::GetBucketPolicy,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("policy")],
    )
    .serve(Action::GetBucketPolicy, &[], |call| {
        Box::pin(ops::bucket_policy::get_bucket_policy(call))
    }),
    row(
        Operation::GetBucketPolicyStatus,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("policyStatus")],
    )
    .serve(Action::GetBucketPolicyStatus, &[], |call| {
        Box::pin(ops::bucket_policy::get_bucket_policy_status(call))
    }),
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
    )
    .serve(Action::GetBucketRequestPayment, &[], |call| {
        Box::pin(ops::request_payment::get_bucket_request_payment(call))
    }),
    row(
        Operation::GetBucketTagging,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("tagging")],
    )
    .serve(Action::GetBucketTagging, &[], |call| {
        Box::pin(ops::bucket_tagging::get_bucket_tagging(call))
    }),
    row(
        Operation::GetBucketVersioning,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("versioning")],
    )
    .serve(Action::GetBucketVersioning, &[], |call| {
        Box::pin(ops::versioning::get_bucket_versioning(call))
    }),
    row(
        Operation::GetBucketWebsite,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("website")],
    )
    .serve(Action::GetBucketWebsite, &[], |call| {
        Box::pin(ops::bucket_website::get_bucket_website(call))
    }),
    row(
        Operation::GetObjectLockConfiguration,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("object-lock")],
    )
    .serve(Action::GetBucketObjectLockConfiguration, &[], |call| {
        Box::pin(ops::lock::get_object_lock_configuration(call))
    }),
    row(
        Operation::GetPublicAccessBlock,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("publicAccessBlock")],
    )
    .serve(Action::GetBucketPublicAccessBlock, &[], |call| {
        Box::pin(ops::bucket_policy::get_public_access_block(call))
    }),
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
    )
    .serve(
        Action::ListBucketMultipartUploads,
        &[ops::multipart::LIST_UPLOADS],
        |call| Box::pin(ops::multipart::list_multipart_uploads(call)),
    ),
    row(
        Operation::ListObjectVersions,
        Method::GET,
        Level::Bucket,
        &[Mark::Query("versions")],
    )
    .serve(
        Action::ListBucketVersions,
        &[ops::list_versions::LIST_OBJECT_VERSIONS],
        |call| Box::pin(ops::list_versions::list_object_versions(call)),
    ),
    row(
        Operation::ListObjectsV2,
        Method::GET,
        Level::Bucket,
        &[Mark::Value("list-type", "2")],
    )
    .serve(Action::ListBucket, &[ops::list::LIST_OBJECTS_V2], |call| {
        Box::pin(ops::list::list_objects_v2(call))
    }),
    row(Operation::ListObjects, Method::GET, Level::Bucket, &[]).serve(
        Action::ListBucket,
        &[ops::list::LIST_OBJECTS],
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
    .serve(
        Action::DeleteObjects,
        &[ops::CHECKSUMS, ops::delete::BYPASS],
        |call| Box::pin(ops::delete::delete_objects(call)),
    ),
    row(Operation::PostObject, Method::POST, Level::Bucket, &[])
        .serve_form(|call| Box::pin(ops::post_form::post_object(call)))
        .heeding(Constraint::OF_OBJECT),
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
    )
    .serve(
        Action::PutBucketAcl,
        &[ops::CHECKSUMS, ACL_HEADERS],
        |call| Box::pin(ops::acl::put_bucket_acl(call)),
    ),
    row(
        Operation::PutBucketCors,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("cors")],
    )
    .serve(Action::PutBucketCors, &[ops::CHECKSUMS], |call| {
        Box::pin(ops::bucket_cors::put_bucket_cors(call))
    }),
    row(
        Operation::PutBucketEncryption,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("encryption")],
    )
    .serve(
        Action::PutEncryptionConfiguration,
        &[ops::CHECKSUMS],
        |call| Box::pin(ops::bucket_encryption::put_bucket_encryption(call)),
    ),
    row(
        Operation::PutBucketLifecycleConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("lifecycle")],
    )
    .serve(
        Action::PutLifecycleConfiguration,
        &[ops::CHECKSUMS, ops::lifecycle::LIFECYCLE],
        |call| Box::pin(ops::lifecycle::put_bucket_lifecycle_configuration(call)),
    ),
    row(
        Operation::PutBucketLogging,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("logging")],
    )
    .serve(Action::PutBucketLogging, &[ops::CHECKSUMS], |call| {
        Box::pin(ops::bucket_logging::put_bucket_logging(call))
    }),
    row(
        Operation::PutBucketNotificationConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("notification")],
    )
    .serve(
        Action::PutBucketNotification,
        &[ops::CHECKSUMS, ops::bucket_notification::SKIP_VALIDATION],
        |call| Box::pin(ops::bucket_notification::put_bucket_notification(call)),
    ),
    row(
        Operation::PutBucketOwnershipControls,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("ownershipControls")],
    )
    .serve(
        Action::PutBucketOwnershipControls,
        &[ops::CHECKSUMS],
        |call| Box::pin(ops::bucket_policy::put_bucket_ownership_controls(call)),
    ),
    row(
        Operation::PutBucketPolicy,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("policy")],
    )
    .serve(
        Action::PutBucketPolicy,
        &[ops::CHECKSUMS, ops::bucket_policy::PUT_BUCKET_POLICY],
        |call| Box::pin(ops::bucket_policy::put_bucket_policy(call)),
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
    )
    .serve(Action::PutBucketRequestPayment, &[ops::CHECKSUMS], |call| {
        Box::pin(ops::request_payment::put_bucket_request_payment(call))
    }),
    row(
        Operation::PutBucketTagging,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("tagging")],
    )
    .serve(Action::PutBucketTagging, &[ops::CHECKSUMS], |call| {
        Box::pin(ops::bucket_tagging::put_bucket_tagging(call))
    }),
    row(
        Operation::PutBucketVersioning,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("versioning")],
    )
    .serve(Action::PutBucketVersioning, &[ops::CHECKSUMS], |call| {
        Box::pin(ops::versioning::put_bucket_versioning(call))
    }),
    row(
        Operation::PutBucketWebsite,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("website")],
    )
    .serve(Action::PutBucketWebsite, &[ops::CHECKSUMS], |call| {
        Box::pin(ops::bucket_website::put_bucket_website(call))
    }),
    row(
        Operation::PutObjectLockConfiguration,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("object-lock")],
    )
    .serve(
        Action::PutBucketObjectLockConfiguration,
        &[ops::CHECKSUMS],
        |call| Box::pin(ops::lock::put_object_lock_configuration(call)),
    ),
    row(
        Operation::PutPublicAccessBlock,
        Method::PUT,
        Level::Bucket,
        &[Mark::Query("publicAccessBlock")],
    )
    .serve(
        Action::PutBucketPublicAccessBlock,
        &[ops::CHECKSUMS],
        |call| Box::pin(ops::bucket_policy::put_public_access_block(call)),
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
        &[ACL_HEADERS, ops::bucket::CREATE_BUCKET],
        |call| Box::pin(ops::bucket::create_bucket(call)),
    ),
    row(
        Operation::AbortMultipartUpload,
        Method::DELETE,
        Level::Object,
        &[Mark::Query("uploadId")],
    )
    .serve(Action::AbortMultipartUpload, &[], |call| {
        Box::pin(ops::multipart::abort_multipart_upload(call))
    }),
    row(
        Operation::DeleteObjectTagging,
        Method::DELETE,
        Level::Object,
        &[Mark::Query("tagging")],
    )
    .serve(Action::DeleteObjectTagging, &[ops::VERSION], |call| {
        Box::pin(ops::tagging::delete_object_tagging(call))
    }),
    row(Operation::DeleteObject, Method::DELETE, Level::Object, &[]).serve(
        Action::DeleteObject,
        &[ops::delete::BYPASS, ops::delete::DELETE_OBJECT],
        |call| Box::pin(ops::delete::delete_object(call)),
    ),
    row(
        Operation::GetObjectAcl,
        Method::GET,
        Level::Object,
        &[Mark::Query("acl")],
    )
    .serve(Action::GetObjectAcl, &[ops::VERSION], |call| {
        Box::pin(ops::acl::get_object_acl(call))
    }),
    row(
        Operation::GetObjectAttributes,
        Method::GET,
        Level::Object,
        &[Mark::Query("attributes")],
    )
    .serve(
        Action::GetObjectAttributes,
        &[SSE_C, ops::VERSION, ops::attributes::ATTRIBUTES],
        |call| Box::pin(ops::attributes::get_object_attributes(call)),
    ),
    row(
        Operation::GetObjectLegalHold,
        Method::GET,
        Level::Object,
        &[Mark::Query("legal-hold")],
    )
    .serve(Action::GetObjectLegalHold, &[ops::VERSION], |call| {
        Box::pin(ops::lock::get_object_legal_hold(call))
    }),
    row(
        Operation::GetObjectRetention,
        Method::GET,
        Level::Object,
        &[Mark::Query("retention")],
    )
    .serve(Action::GetObjectRetention, &[ops::VERSION], |call| {
        Box::pin(ops::lock::get_object_retention(call))
    }),
    row(
        Operation::GetObjectTagging,
        Method::GET,
        Level::Object,
        &[Mark::Query("tagging")],
    )
    .serve(Action::GetObjectTagging, &[ops::VERSION], |call| {
        Box::pin(ops::tagging::get_object_tagging(call))
    }),
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
    )
    .serve(
        Action::ListMultipartUploadParts,
        &[ops::multipart::LIST_PARTS],
        |call| Box::pin(ops::multipart::list_parts(call)),
    ),
    row(Operation::GetObject, Method::GET, Level::Object, &[]).serve(
        Action::GetObject,
        &[SSE, ops::VERSION, ops::get::READ_OBJECT],
        |call| Box::pin(ops::get::get_object(call)),
    ),
    row(Operation::HeadObject, Method::HEAD, Level::Object, &[]).serve(
        Action::GetObject,
        &[SSE, ops::VERSION, ops::get::READ_OBJECT],
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
    )
    .serve(
        Action::PutObject,
        &[SSE, ops::CHECKSUMS, ops::multipart::COMPLETE],
        |call| Box::pin(ops::multipart::complete_multipart_upload(call)),
    ),
    row(
        Operation::CreateMultipartUpload,
        Method::POST,
        Level::Object,
        &[Mark::Query("uploads")],
    )
    .serve(
        Action::PutObject,
        &[
            ACL_HEADERS,
            ops::lock::LOCK_HEADERS,
            SSE,
            ops::put::PUT_OBJECT,
            ops::multipart::CREATE,
        ],
        |call| Box::pin(ops::multipart::create_multipart_upload(call)),
    )
    .heeding(Constraint::OF_OBJECT),
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
    )
    .serve(
        Action::PutObject,
        &[COPY_SOURCE, SSE_C, SSE_C_SOURCE, ops::multipart::PART_COPY],
        |call| Box::pin(ops::multipart::upload_part_copy(call)),
    ),
    row(
        Operation::UploadPart,
        Method::PUT,
        Level::Object,
        &[Mark::Query("partNumber"), Mark::Query("uploadId")],
    )
    .serve(Action::PutObject, &[SSE, ops::CHECKSUMS], |call| {
        Box::pin(ops::multipart::upload_part(call))
    })
    .heeding(Constraint::OF_PART),
    row(
        Operation::CopyObject,
        Method::PUT,
        Level::Object,
        &[Mark::Header("x-amz-copy-source")],
    )
    .serve(
        Action::PutObject,
        &[
            COPY_SOURCE,
            SSE_C_SOURCE,
            ACL_HEADERS,
            ops::lock::LOCK_HEADERS,
            SSE,
            ops::put::PUT_OBJECT,
            ops::copy::COPY_OBJECT,
        ],
        |call| Box::pin(ops::copy::copy_object(call)),
    ),
    row(
        Operation::PutObjectAcl,
        Method::PUT,
        Level::Object,
        &[Mark::Query("acl")],
    )
    .serve(
        Action::PutObjectAcl,
        &[ops::CHECKSUMS, ops::VERSION, ACL_HEADERS],
        |call| Box::pin(ops::acl::put_object_acl(call)),
    ),
    row(
        Operation::PutObjectLegalHold,
        Method::PUT,
        Level::Object,
        &[Mark::Query("legal-hold")],
    )
    .serve(
        Action::PutObjectLegalHold,
        &[ops::CHECKSUMS, ops::VERSION],
        |call| Box::pin(ops::lock::put_object_legal_hold(call)),
    ),
    row(
        Operation::PutObjectRetention,
        Method::PUT,
        Level::Object,
        &[Mark::Query("retention")],
    )
    .serve(
        Action::PutObjectRetention,
        &[ops::CHECKSUMS, ops::VERSION, ops::delete::BYPASS],
        |call| Box::pin(ops::lock::put_object_retention(call)),
    ),
    row(
        Operation::PutObjectTagging,
        Method::PUT,
        Level::Object,
        &[Mark::Query("tagging")],
    )
    .serve(
        Action::PutObjectTagging,
        &[ops::CHECKSUMS, ops::VERSION],
        |call| Box::pin(ops::tagging::put_object_tagging(call)),
    ),
    row(
        Operation::RenameObject,
        Method::PUT,
        Level::Object,
        &[Mark::Query("renameObject")],
    )
    .serve(Action::PutObject, &[ops::rename::RENAME_OBJECT], |call| {
        Box::pin(ops::rename::rename_object(call))
    }),
    row(
        Operation::UpdateObjectEncryption,
        Method::PUT,
        Level::Object,
        &[Mark::Query("encryption")],
    ),
    row(
        Operation::PutObject,
        Method::PUT,
        Level::Object,
        &[Mark::Header(ops::append::OFFSET)],
    )
    .serve(
        Action::PutObject,
        &[
            ops::CHECKSUMS,
            ACL_HEADERS,
            ops::lock::LOCK_HEADERS,
            SSE,
            ops::put::PUT_OBJECT,
        ],
        |call| Box::pin(ops::append::append_object(call)),
    )
    .heeding(Constraint::OF_OBJECT),
    row(Operation::PutObject, Method::PUT, Level::Object, &[])
        .serve(
            Action::PutObject,
            &[
                ops::CHECKSUMS,
                ACL_HEADERS,
                ops::lock::LOCK_HEADERS,
                SSE,
                ops::put::PUT_OBJECT,
            ],
            |call| Box::pin(ops::put::put_object(call)),
        )
        .heeding(Constraint::OF_OBJECT),
    row(
        Operation::OptionsObject,
        Method::OPTIONS,
        Level::Service,
        &[],
    )
    .open(|service, head| Box::pin(cors::preflight(service, head))),
    row(
        Operation::OptionsObject,
        Method::OPTIONS,
        Level::Bucket,
        &[],
    )
    .open(|service, head| Box::pin(cors::preflight(service, head))),
    row(
        Operation::OptionsObject,
        Method::OPTIONS,
        Level::Object,
        &[],
    )
    .open(|service, head| Box::pin(cors::preflight(service, head))),
];
