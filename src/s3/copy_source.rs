//! The source of a copy: named in a header, read once, judged like any read.

use std::ops::Range;

use futures_util::TryStreamExt as _;

use super::access::Caller;
use super::condition::{Conditions, Verdict};
use super::error::{Code, S3Error};
use super::head::Head;
use super::query::decode;
use super::sse;
use super::target::key_from_text;
use crate::auth::Action;
use crate::checksum::{Algorithm, Checksum, Hasher};
use crate::clock::Timestamp;
use crate::name::{BucketName, ObjectKey};
use crate::store::blob::BlobStream;
use crate::store::read::Wanted;
use crate::store::seal::DataKey;
use crate::store::{Bucket, Object, ObjectStore, Stager, StoreError, VersionRef};

/// Options that say which source is copied.
pub const COPY_SOURCE: &[&str] = &[
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
];

/// What a copy is made from.
#[derive(Debug)]
pub struct CopySource {
    /// The bucket.
    pub bucket: Bucket,
    /// The key.
    pub key: ObjectKey,
    /// The version, where one is named.
    pub version: Option<VersionRef>,
    /// The object as it was found.
    pub object: Object,
    /// The key of its bytes, where they are sealed.
    pub key_of: Option<DataKey>,
}

/// `x-amz-copy-source`: bucket and key, percent-encoded (a `+` is a space, as some clients write it), and
/// a version behind `?versionId=`.
pub(crate) fn parse(text: &str) -> Result<(BucketName, ObjectKey, Option<VersionRef>), S3Error> {
    let argument = |message: &'static str| S3Error::argument("x-amz-copy-source", text, message);
    let (path, version) = match text.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version)),
        None => (text, None),
    };
    let path = decode(path, true).ok_or_else(|| argument("Invalid copy source encoding."))?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
    // S3 names the header twice, where it finds no key at all.
    let name = "x-amz-copy-source";
    let no_key = || S3Error::argument(name, name, "Invalid copy source object key");
    let (bucket, key) = path.split_once('/').ok_or_else(no_key)?;
    if key.is_empty() {
        return Err(argument(message));
    }
    let bucket = BucketName::parse(bucket)
        .map_err(|_invalid| argument("Invalid copy source bucket name"))?;
    let version = version.map(|version| {
        VersionRef::parse(version)
            .ok_or_else(|| S3Error::argument("versionId", version, "Invalid version id specified"))
    });
    Ok((bucket, key_from_text(key)?, version.transpose()?))
}

impl CopySource {
    /// Finds the source that the caller names, if they may read it and its conditions hold.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, `AccessDenied`, `PreconditionFailed`, and what the header breaks.
    pub async fn find(caller: &Caller<'_>) -> Result<Self, S3Error> {
        let head = caller.head;
        let (name, key, version) = parse(head.header("x-amz-copy-source")?.unwrap_or_default())?;
        let action = match version {
            Some(_) => Action::GetObjectVersion,
            None => Action::GetObject,
        };
        // The source's version is not that of the request's own key.
        let of_source = Head {
            query: super::query::Query::default(),
            ..head.clone()
        };
        let reader = Caller {
            head: &of_source,
            ..*caller
        };
        reader.may(action, Some(&name), Some(key.as_str())).await?;
        let store = &caller.service.store;
        let bucket = store.bucket(&name).await.map_err(|error| match error {
            StoreError::NoSuchBucket => {
                S3Error::new(Code::NoSuchBucket).with("BucketName", name.as_str())
            }
            error => error.into(),
        })?;
        let object = store.object(&bucket, &key, version.as_ref()).await;
        let object = object.map_err(|error| of_source_error(error, &key))?;
        let seal = object.record.extras.seal.as_ref();
        let key_of = sse::for_source(caller.service, &head.headers, seal)?;
        let found = Self {
            bucket,
            key,
            version,
            object,
            key_of,
        };
        found.check_conditions(head, caller.service.clock.now())?;
        Ok(found)
    }

    fn check_conditions(&self, head: &Head, now: Timestamp) -> Result<(), S3Error> {
        let record = &self.object.record;
        let conditions = Conditions::of_copy_source(&head.headers, now)?;
        match conditions.judge(&record.etag.to_string(), record.modified)? {
            Verdict::Proceed => Ok(()),
            Verdict::NotModified(condition) => Err(conditions.failed(condition)),
        }
    }

    /// What `x-amz-copy-source-version-id` says: S3 sends none for a null version.
    pub fn version_name(&self) -> Option<String> {
        self.object.record.version.map(|id| id.to_string())
    }

    /// The source's bytes in `range`.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn bytes(
        &self,
        store: &ObjectStore,
        range: Range<u64>,
    ) -> Result<BlobStream, S3Error> {
        let key = self.key_of.clone();
        Ok(store.read(&self.object, Wanted { range, key }).await?)
    }
}

fn of_source_error(error: StoreError, key: &ObjectKey) -> S3Error {
    match error {
        StoreError::NoSuchKey | StoreError::DeleteMarker { named: false, .. } => {
            S3Error::new(Code::NoSuchKey).with("Key", key.as_str())
        }
        StoreError::DeleteMarker { named: true, .. } => S3Error::because(
            Code::InvalidRequest,
            "The source of a copy request may not specifically refer to a delete marker by \
             version id.",
        ),
        error => error.into(),
    }
}

/// The MD5 of what a stream brings, and its checksum by each of `algorithms`; `copy` takes the bytes
/// where they are to be kept. The hashing is done
/// beside the runtime's threads.
///
/// # Errors
/// What the stream fails with.
pub async fn digest(
    mut bytes: BlobStream,
    algorithms: Vec<Algorithm>,
    mut copy: Option<&mut Stager>,
) -> Result<([u8; 16], Vec<Checksum>), S3Error> {
    let with_md5 = std::iter::once(Algorithm::Md5).chain(algorithms);
    let mut hashers: Vec<Hasher> = with_md5.map(Hasher::new).collect();
    while let Some(piece) = bytes.try_next().await.map_err(StoreError::from)? {
        let seen = piece.clone();
        let hashing = tokio::task::spawn_blocking(move || {
            for hasher in &mut hashers {
                hasher.update(&seen);
            }
            hashers
        });
        if let Some(stager) = &mut copy {
            stager.write(piece).await?;
        }
        hashers = hashing.await.map_err(S3Error::internal)?;
    }
    let mut hashers = hashers.into_iter();
    let md5 = hashers.next().map(Hasher::finish).unwrap_or_default();
    let md5 = md5
        .try_into()
        .map_err(|_length| S3Error::new(Code::InternalError))?;
    let checksums = hashers.map(|hasher| Checksum::full(hasher.algorithm(), hasher.finish()));
    Ok((md5, checksums.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_once() {
        let read = |text| parse(text).map_err(|error| error.code());
        let (bucket, key, version) = read("/abc/a+b%2Fc%2Bd?versionId=null").unwrap();
        assert_eq!((bucket.as_str(), key.as_str()), ("abc", "a b/c+d"));
        assert_eq!(version, Some(VersionRef::Null));
        assert_eq!(read("abc/%2e%2e/x").unwrap().1.as_str(), "../x");
        for bad in [
            "",
            "abc",
            "abc/",
            "/abc",
            "abc/k?versionId=x",
            "abc/%zz",
            "a/k",
        ] {
            assert_eq!(read(bad).unwrap_err(), Code::InvalidArgument, "{bad}");
        }
    }
}
