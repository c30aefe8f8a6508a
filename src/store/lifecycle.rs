//! Applies buckets' lifecycle rules: ordinary deletions, each of which asserts what it saw, so that
//! a pass may stop at any point and be done again.

use super::settings::{DayLength, Expiration, LifecycleRule, Versioning};
use super::version::listing::{ListedVersion, VersionQuery};
use super::{
    Bucket, BucketQuery, DeleteCondition, EventName, ListedUpload, ObjectRecord, ObjectStore,
    Origin, StoreError, UploadQuery, VersionRef,
};
use crate::clock::Timestamp;
use crate::fail_point;
use crate::id::RequestId;
use crate::name::ObjectKey;

/// Rows that are read at a time.
const PAGE: usize = 1000;

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LifecycleReport {
    /// Versions that went, or that a delete marker took the place of.
    pub expired: u64,
    /// Uploads that were given up.
    pub aborted: u64,
}

/// One pass over a bucket.
struct Pass<'a> {
    store: &'a ObjectStore,
    bucket: &'a Bucket,
    rules: Vec<&'a LifecycleRule>,
    day: DayLength,
    now: Timestamp,
    report: LifecycleReport,
}

/// A key's versions, newest first.
type Versions = Vec<ObjectRecord>;

impl ObjectStore {
    /// Applies the rules of every bucket once.
    ///
    /// # Errors
    /// What the engines fails with; a version that changed or is locked is left for the next pass.
    pub async fn apply_lifecycle(&self, day: DayLength) -> Result<LifecycleReport, StoreError> {
        let mut report = LifecycleReport::default();
        let mut q = BucketQuery {
            limit: PAGE,
            ..BucketQuery::default()
        };
        loop {
            let page = self.list_buckets(q.clone()).await?;
            for bucket in &page.buckets {
                let rules = bucket.settings.lifecycle.iter();
                let rules: Vec<_> = rules.filter(|rule| rule.enabled).collect();
                if rules.is_empty() {
                    continue;
                }
                let mut pass = Pass {
                    store: self,
                    bucket,
                    rules,
                    day,
                    now: self.clock().now(),
                    report,
                };
                pass.versions().await?;
                pass.uploads().await?;
                report = pass.report;
            }
            match page.next {
                Some(next) => q.after = Some(next),
                None => return Ok(report),
            }
        }
    }
}

impl Pass<'_> {
    async fn versions(&mut self) -> Result<(), StoreError> {
        let mut q = VersionQuery {
            limit: PAGE,
            ..VersionQuery::default()
        };
        let mut held: Option<(ObjectKey, Versions)> = None;
        loop {
            let page = self.store.list_versions(self.bucket, q.clone()).await?;
            for item in page.items {
                let ListedVersion::Version { key, record, .. } = item else {
                    continue;
                };
                match &mut held {
                    Some((same, versions)) if *same == key => versions.push(*record),
                    held => {
                        if let Some((key, versions)) = held.replace((key, vec![*record])) {
                            self.key(&key, &versions).await?;
                        }
                    }
                }
            }
            let Some(next) = page.next else { break };
            (q.key_marker, q.version_id_marker) = (Some(next.key), next.version);
        }
        if let Some((key, versions)) = held {
            self.key(&key, &versions).await?;
        }
        Ok(())
    }

    async fn key(&mut self, key: &ObjectKey, versions: &[ObjectRecord]) -> Result<(), StoreError> {
        let mut newer: Option<&ObjectRecord> = None;
        for (place, record) in versions.iter().enumerate() {
            let goes = match newer {
                None if record.is_delete_marker() => {
                    versions.len() == 1 && self.marker_expires(key, record)
                }
                None => self.expires(key, record),
                Some(newer) => self.noncurrent_expires(key, record, newer, place),
            };
            if goes {
                self.expire(key, record, newer.is_some()).await?;
            }
            newer = Some(record);
        }
        Ok(())
    }

    fn expires(&self, key: &ObjectKey, record: &ObjectRecord) -> bool {
        let mut due = self
            .rules
            .iter()
            .filter_map(|rule| rule.expires(key.as_str(), record, self.day));
        due.any(|due| due <= self.now)
    }

    /// A delete marker with nothing behind it goes by its own kind of rule, or by age as objects do.
    fn marker_expires(&self, key: &ObjectKey, record: &ObjectRecord) -> bool {
        self.rules.iter().any(|rule| {
            if rule.expiration == Some(Expiration::DeleteMarkers) {
                return rule.filter.takes_key(key.as_str());
            }
            let due = rule.expires(key.as_str(), record, self.day);
            due.is_some_and(|due| due <= self.now)
        })
    }

    /// `place` counts from the current version, which is 0.
    fn noncurrent_expires(
        &self,
        key: &ObjectKey,
        record: &ObjectRecord,
        newer: &ObjectRecord,
        place: usize,
    ) -> bool {
        self.rules.iter().any(|rule| {
            let Some(noncurrent) = rule.noncurrent else {
                return false;
            };
            let kept = noncurrent.newer.unwrap_or(0);
            rule.filter.takes(key.as_str(), record)
                && self.day.after(newer.modified, noncurrent.days) <= self.now
                && u32::try_from(place).unwrap_or(u32::MAX) > kept
        })
    }

    async fn expire(
        &mut self,
        key: &ObjectKey,
        record: &ObjectRecord,
        noncurrent: bool,
    ) -> Result<(), StoreError> {
        let keeps = self.bucket.settings.versioning != Versioning::Off;
        let named = noncurrent || record.is_delete_marker() || !keeps;
        let version = named.then(|| VersionRef::of(record));
        let when = DeleteCondition {
            if_match: Some(record.etag.to_string()),
            modified: Some(record.modified.truncated_to_s()),
            ..DeleteCondition::default()
        };
        let by = Origin {
            request_id: RequestId::random(),
            principal: "lifecycle".to_owned(),
            source_ip: None,
            event: EventName::LifecycleExpirationDelete,
            callback: None,
            once: None,
        };
        let gone = self
            .store
            .delete_object(self.bucket, key, version.as_ref(), &when, &by);
        let gone = gone.await;
        fail_point::reach("lifecycle.expired");
        match gone {
            Ok(_deleted) => self.report.expired = self.report.expired.saturating_add(1),
            // It changed meanwhile, or must not be lost: the next pass looks again.
            Err(StoreError::PreconditionFailed { .. } | StoreError::Locked) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn uploads(&mut self) -> Result<(), StoreError> {
        if self.rules.iter().all(|rule| rule.abort_days.is_none()) {
            return Ok(());
        }
        let mut q = UploadQuery {
            limit: PAGE,
            ..UploadQuery::default()
        };
        loop {
            let page = self.store.list_uploads(self.bucket, q.clone()).await?;
            for item in page.items {
                let ListedUpload::Upload { key, id, record } = item else {
                    continue;
                };
                let stale = self.rules.iter().any(|rule| {
                    let due = rule
                        .abort_days
                        .map(|days| self.day.after(record.initiated, days));
                    rule.filter.takes_key(&key) && due.is_some_and(|due| due <= self.now)
                });
                let Some(key) = ObjectKey::parse(key).ok().filter(|_key| stale) else {
                    continue;
                };
                let aborted = self.store.abort_upload(self.bucket, &key, &id).await;
                fail_point::reach("lifecycle.aborted");
                match aborted {
                    Ok(()) => self.report.aborted = self.report.aborted.saturating_add(1),
                    Err(StoreError::NoSuchUpload) => {}
                    Err(error) => return Err(error),
                }
            }
            let Some(next) = page.next else {
                return Ok(());
            };
            (q.key_marker, q.upload_id_marker) = (Some(next.key), next.id);
        }
    }
}
