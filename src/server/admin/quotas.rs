//! How much buckets hold, and may hold.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Asked};
use crate::name::BucketName;
use crate::s3::AdminError;
use crate::store::settings::Quota;
use crate::store::{Bucket, StoreError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    bytes: Option<u64>,
    objects: Option<u64>,
}

impl Admin {
    pub(super) async fn answer_quotas(&self, asked: &Asked<'_>) -> Result<Value, AdminError> {
        let name = asked.path.strip_prefix("quotas/");
        let name = name.and_then(|name| BucketName::parse(name).ok());
        let name = name.ok_or_else(|| asked.unknown())?;
        let bucket = match *asked.method {
            Method::GET => self.store.bucket(&name).await,
            Method::PUT => {
                let Set { bytes, objects } = asked.json()?;
                let quota = Quota { bytes, objects };
                let changed = self.store.update_bucket(&name, |_bucket, settings| {
                    settings.quota = (quota != Quota::default()).then_some(quota);
                    Ok::<_, StoreError>(())
                });
                changed.await
            }
            _ => return Err(asked.unknown()),
        };
        let bucket = bucket.map_err(failed)?;
        self.quota(&bucket).await.map_err(failed)
    }

    async fn quota(&self, bucket: &Bucket) -> Result<Value, StoreError> {
        let usage = self.store.usage(bucket).await?;
        let quota = bucket.settings.quota.unwrap_or_default();
        Ok(json!({
            "bucket": bucket.name.as_str(),
            "bytes": usage.bytes,
            "bytes_max": quota.bytes,
            "objects": usage.objects,
            "objects_max": quota.objects,
        }))
    }
}

fn failed(error: StoreError) -> AdminError {
    match error {
        StoreError::NoSuchBucket => AdminError::NotFound(error.to_string()),
        other => AdminError::Failed(other.to_string()),
    }
}
