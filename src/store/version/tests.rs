//! Versions against a plain model: what a key's history must be after any sequence of changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::VersionRef;
use super::listing::{ListedVersion, VersionQuery};
use crate::clock::{ManualClock, Timestamp};
use crate::id::RequestId;
use crate::name::{BucketName, ObjectKey};
use crate::store::blob::memory::MemoryBlobs;
use crate::store::meta::memory::MemoryEngine;
use crate::store::{
    Bucket, DeleteCondition, ETag, EventName, Line, NewBucket, NewObject, NoHook, ObjectHeaders,
    ObjectQuery, ObjectStore, Origin, StoreError, StoreSettings, Versioning, WriteCondition,
};

/// A change of one of three keys.
#[derive(Debug, Clone, Copy)]
enum Change {
    Put(u8),
    Delete(u8),
    /// Of the key's versions, counted from the newest.
    DeleteVersion(u8, usize),
    Set(Versioning),
}

/// A version as the model knows it: its name, and its length or that it is a delete marker.
type Version = (VersionRef, Option<u64>);

/// Newest first.
#[derive(Debug, Default)]
struct Model {
    keys: BTreeMap<String, Vec<Version>>,
    versioning: Versioning,
}

impl Model {
    fn add(&mut self, key: &str, version: Version) {
        let versions = self.keys.entry(key.to_owned()).or_default();
        if version.0 == VersionRef::Null {
            versions.retain(|(name, _)| *name != VersionRef::Null);
        }
        versions.insert(0, version);
    }

    fn drop_version(&mut self, key: &str, version: VersionRef) {
        if let Some(versions) = self.keys.get_mut(key) {
            versions.retain(|(name, _)| *name != version);
            if versions.is_empty() {
                self.keys.remove(key);
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let key = 0_u8..3;
    prop_oneof![
        4 => key.clone().prop_map(Change::Put),
        2 => key.clone().prop_map(Change::Delete),
        3 => (key, 0_usize..4).prop_map(|(key, at)| Change::DeleteVersion(key, at)),
        1 => Just(Change::Set(Versioning::Enabled)),
        1 => Just(Change::Set(Versioning::Suspended)),
    ]
}

fn origin() -> Origin {
    Origin {
        request_id: RequestId::random(),
        principal: "me".into(),
        source_ip: None,
        event: EventName::ObjectRemovedDelete,
        callback: None,
        once: None,
    }
}

struct World {
    store: ObjectStore,
    bucket: BucketName,
    clock: Arc<ManualClock>,
    model: Model,
    written: u64,
}

impl World {
    async fn new() -> Self {
        let (meta, blobs) = (Arc::new(MemoryEngine::new()), Arc::new(MemoryBlobs::new()));
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_s(1_000)));
        let settings = StoreSettings::default();
        let opened = ObjectStore::open(meta, blobs, clock.clone(), Arc::new(NoHook), settings);
        let store = opened.await.unwrap();
        let bucket = BucketName::parse("abc").unwrap();
        let new = NewBucket {
            owner: "me".into(),
            region: "eu".into(),
            settings: crate::store::Settings::default(),
        };
        store.create_bucket(&bucket, new).await.unwrap();
        let (model, written) = (Model::default(), 0);
        Self {
            store,
            bucket,
            clock,
            model,
            written,
        }
    }

    async fn bucket(&self) -> Bucket {
        self.store.bucket(&self.bucket).await.unwrap()
    }

    async fn put(&mut self, key: &ObjectKey) {
        self.written += 1;
        let mut stager = self.store.stage(None);
        let bytes = vec![b'x'; usize::try_from(self.written).unwrap()];
        stager.write(bytes.into()).await.unwrap();
        let new = NewObject {
            headers: ObjectHeaders::default(),
            etag: ETag::md5([0; 16]),
            checksum: None,
            crc64ecma: None,
            owner: "me".into(),
            extras: crate::store::Extras::default(),
        };
        let staged = stager.finish().await.unwrap();
        let (bucket, when, by) = (self.bucket().await, WriteCondition::default(), origin());
        let put = self.store.put_object(&bucket, key, new, staged, &when, &by);
        let record = put.await.unwrap().record;
        let version = (VersionRef::of(&record), Some(record.len));
        self.model.add(key.as_str(), version);
    }

    async fn delete(&mut self, key: &ObjectKey) {
        let (bucket, when, by) = (self.bucket().await, DeleteCondition::default(), origin());
        let done = self.store.delete_object(&bucket, key, None, &when, &by);
        let done = done.await.unwrap();
        if self.model.versioning == Versioning::Off {
            self.model.drop_version(key.as_str(), VersionRef::Null);
        } else {
            assert!(done.delete_marker);
            self.model.add(key.as_str(), (done.version.unwrap(), None));
        }
    }

    async fn delete_version(&mut self, key: &ObjectKey, at: usize) {
        let versions = self.model.keys.get(key.as_str());
        let version = versions.and_then(|versions| versions.get(at));
        let version = version.map_or(VersionRef::Null, |version| version.0);
        let (bucket, when, by) = (self.bucket().await, DeleteCondition::default(), origin());
        let done = self
            .store
            .delete_object(&bucket, key, Some(&version), &when, &by);
        done.await.unwrap();
        self.model.drop_version(key.as_str(), version);
    }

    async fn apply(&mut self, change: Change) {
        self.clock.advance(std::time::Duration::from_millis(1));
        let key = |key: u8| ObjectKey::parse(format!("k/{key}")).unwrap();
        match change {
            Change::Put(k) => self.put(&key(k)).await,
            Change::Delete(k) => self.delete(&key(k)).await,
            Change::DeleteVersion(k, at) => self.delete_version(&key(k), at).await,
            Change::Set(versioning) => {
                self.model.versioning = versioning;
                let set = self.store.update_bucket(&self.bucket, |_bucket, settings| {
                    settings.versioning = versioning;
                    Ok::<_, StoreError>(())
                });
                set.await.unwrap();
            }
        }
    }

    /// Every version by pages of `limit`.
    async fn listed(&self, limit: usize) -> Vec<(String, bool, Version)> {
        let bucket = self.bucket().await;
        let mut q = VersionQuery {
            limit,
            ..VersionQuery::default()
        };
        let mut all = Vec::new();
        loop {
            let page = self.store.list_versions(&bucket, q.clone()).await.unwrap();
            for item in page.items {
                let ListedVersion::Version {
                    key,
                    latest,
                    record,
                } = item
                else {
                    panic!("a common prefix without a delimiter");
                };
                let len = (!record.is_delete_marker()).then_some(record.len);
                all.push((
                    key.as_str().to_owned(),
                    latest,
                    (VersionRef::of(&record), len),
                ));
            }
            let Some(next) = page.next else { return all };
            q.key_marker = Some(next.key);
            q.version_id_marker = next.version;
        }
    }

    async fn check(&self) {
        let mut expected = Vec::new();
        let (mut objects, mut count, mut bytes) = (Vec::new(), 0_i64, 0_u64);
        for (key, versions) in &self.model.keys {
            for (at, version) in versions.iter().enumerate() {
                expected.push((key.clone(), at == 0, *version));
                count += 1;
                bytes += version.1.unwrap_or(0);
            }
            objects.extend(versions[0].1.map(|_len| key.clone()));
        }
        for limit in [1, 2, 1000] {
            assert_eq!(self.listed(limit).await, expected, "pages of {limit}");
        }
        let bucket = self.bucket().await;
        let q = ObjectQuery {
            limit: 1000,
            ..ObjectQuery::default()
        };
        let note = |names: &mut Vec<String>, line: &Line<'_>| names.push(line.name().to_owned());
        let listed = self.store.list_objects(&bucket, q, Vec::new(), note).await;
        let (names, _next) = listed.unwrap();
        assert_eq!(names, objects);
        let usage = self.store.usage(&bucket).await.unwrap();
        assert_eq!(
            (usage.objects, usage.bytes),
            (count, i64::try_from(bytes).unwrap())
        );
        for (key, _latest, (version, len)) in expected {
            let key = ObjectKey::parse(key).unwrap();
            let found = self.store.object(&bucket, &key, Some(&version)).await;
            match (found, len) {
                (Ok(object), Some(len)) => assert_eq!(object.record.len, len),
                (Err(StoreError::DeleteMarker { named: true, .. }), None) => {}
                other => panic!("{key:?} {version}: {other:?}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_keys_history_is_what_the_model_says(changes in prop::collection::vec(change(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for change in changes {
                world.apply(change).await;
            }
            world.check().await;
        });
    }
}

/// What a rule leaves of a key that was put twice, deleted, and put under another prefix.
#[tokio::test]
async fn lifecycle_rules_let_go_what_is_due_and_nothing_else() {
    use crate::store::settings::{
        DayLength, Expiration, LifecycleFilter, LifecycleRule, NoncurrentExpiration,
    };
    let mut world = World::new().await;
    world.apply(Change::Set(Versioning::Enabled)).await;
    let rule = LifecycleRule {
        id: "r".into(),
        enabled: true,
        filter: LifecycleFilter {
            prefix: Some("k/0".into()),
            ..LifecycleFilter::default()
        },
        expiration: Some(Expiration::Days(2)),
        noncurrent: Some(NoncurrentExpiration {
            days: 1,
            newer: None,
        }),
        abort_days: None,
    };
    let set = world
        .store
        .update_bucket(&world.bucket, |_bucket, settings| {
            settings.lifecycle = vec![rule.clone()];
            Ok::<_, StoreError>(())
        });
    set.await.unwrap();
    for change in [
        Change::Put(0),
        Change::Put(0),
        Change::Put(1),
        Change::Put(1),
    ] {
        world.apply(change).await;
    }
    let day = DayLength::default();
    let pass = async |world: &World| world.store.apply_lifecycle(day).await.unwrap().expired;
    assert_eq!(pass(&world).await, 0);
    world.clock.advance(day.0 * 2);
    // The noncurrent version goes at the first midnight after a day, the current one a day later.
    assert_eq!(pass(&world).await, 1);
    assert_eq!(world.listed(1000).await.len(), 3);
    world.clock.advance(day.0);
    assert_eq!(pass(&world).await, 1);
    let listed = world.listed(1000).await;
    assert_eq!(
        (listed.len(), listed[0].2.1),
        (4, None),
        "a delete marker is current"
    );
    world.clock.advance(day.0 * 4);
    // What it hides goes first; then nothing is left for it to hide.
    assert_eq!(pass(&world).await, 1);
    assert_eq!(pass(&world).await, 1);
    let listed = world.listed(1000).await;
    assert!(listed.iter().all(|(key, ..)| key == "k/1"), "{listed:?}");
    assert_eq!(listed.len(), 2);
}
