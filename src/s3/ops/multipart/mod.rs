//! Uploads in parts: begun, given parts, listed, made an object, given up.

mod complete;
mod create;
mod list;
mod part;
mod part_copy;

pub use complete::{COMPLETE, complete_multipart_upload};
pub use create::{CREATE, abort_multipart_upload, create_multipart_upload};
pub use list::{LIST_PARTS, LIST_UPLOADS, list_multipart_uploads, list_parts};
pub use part::upload_part;
pub use part_copy::{PART_COPY, upload_part_copy};

use super::about;
use crate::id::UploadId;
use crate::s3::context::Owner;
use crate::s3::error::{Code, S3Error};
use crate::s3::head::Head;
use crate::s3::xml::XmlWriter;
use crate::store::StoreError;

/// The upload that the query names. An id that we can't have given is one of no upload.
fn upload_id(head: &Head) -> Result<UploadId, S3Error> {
    UploadId::parse(upload_text(head)).ok_or_else(|| no_such_upload(head))
}

fn upload_text(head: &Head) -> &str {
    head.query.get("uploadId").unwrap_or_default()
}

fn no_such_upload(head: &Head) -> S3Error {
    S3Error::new(Code::NoSuchUpload).with("UploadId", upload_text(head))
}

/// The store's error as S3's, which names the upload.
fn of_upload(head: &Head, error: StoreError) -> S3Error {
    match error {
        StoreError::NoSuchUpload => no_such_upload(head),
        error => about(head, error),
    }
}

/// The element of an owner or initiator.
pub(super) fn principal(document: &mut XmlWriter, element: &str, who: &Owner) {
    document.element(element, |document| {
        document.text("ID", &who.id);
        document.text("DisplayName", &who.display_name);
    });
}
