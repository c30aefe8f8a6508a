//! Clients of a bucket that keeps versions.

use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use crate::body::Value;
use crate::client::{Dead, Told, Worker};
use crate::model::{Due, Fate, Version};

const KEYS: usize = 6;
/// With more versions than that a key is rather thinned out.
const VERSIONS: usize = 8;

impl Worker {
    /// Makes versions and takes them away again.
    pub(crate) async fn keep(mut self) -> Result<(), Dead> {
        let source = ("raw", format!("own/{}/source", self.name));
        if self.model.latest(&source).is_none() {
            let value = self.value();
            self.put(&source, value).await?;
        }
        while self.goes_on() {
            let key = format!("key/{}", self.index(KEYS));
            let known = self.known(&key);
            let many = known.len() > VERSIONS;
            match self.random.below(100) {
                0..15 => self.put_marker(&key).await?,
                15..25 => {
                    let value = self.model.latest(&source);
                    if let Some(value) = value {
                        let from = format!("raw/{}", source.1);
                        self.copy_version(&key, value, &from).await?;
                    }
                }
                25..50 if !known.is_empty() => {
                    let version = known[self.index(known.len())].clone();
                    self.delete_version(&key, &version).await?;
                }
                50..55 if known.len() > 1 => self.delete_versions(&key, &known[..2]).await?,
                55..75 if !known.is_empty() => {
                    let version = known[self.index(known.len())].clone();
                    self.read_version(&key, &version).await?;
                }
                _ if many => self.delete_version(&key, &known[0].clone()).await?,
                _ => self.put_version(&key).await?,
            }
        }
        Ok(())
    }

    fn known(&self, key: &str) -> Vec<Version> {
        self.model.with(|state| {
            let all = state
                .versions
                .get(key)
                .into_iter()
                .flat_map(|versions| &versions.known);
            all.filter(|version| version.fate == Fate::Kept)
                .cloned()
                .collect()
        })
    }

    async fn put_version(&mut self, key: &str) -> Result<(), Dead> {
        let value = self.value();
        let put = self.s3.put_object().bucket("kept").key(key);
        let put = put.body(ByteStream::from(value.bytes()));
        let number = self.model.begin_version(key, Some(value));
        let told = self.told(put.send().await)?;
        self.made(
            key,
            number,
            told.map(|done| (done.request_id().map(str::to_owned), done.version_id)),
            "ObjectCreated",
        );
        Ok(())
    }

    async fn copy_version(&mut self, key: &str, value: Value, from: &str) -> Result<(), Dead> {
        let copy = self
            .s3
            .copy_object()
            .bucket("kept")
            .key(key)
            .copy_source(from);
        let number = self.model.begin_version(key, Some(value));
        let told = self.told(copy.send().await)?;
        self.made(
            key,
            number,
            told.map(|done| (done.request_id().map(str::to_owned), done.version_id)),
            "ObjectCreated",
        );
        Ok(())
    }

    async fn put_marker(&mut self, key: &str) -> Result<(), Dead> {
        let delete = self.s3.delete_object().bucket("kept").key(key);
        let number = self.model.begin_version(key, None);
        let told = self.told(delete.send().await)?;
        self.made(
            key,
            number,
            told.map(|done| (done.request_id().map(str::to_owned), done.version_id)),
            "ObjectRemoved",
        );
        Ok(())
    }

    fn made(
        &self,
        key: &str,
        number: usize,
        told: Option<(Option<String>, Option<String>)>,
        kind: &'static str,
    ) {
        let Some((request, version)) = told else {
            return self.model.version(key, number, None);
        };
        let Some(version) = version else {
            return self.model.fault(format!("kept/{key}: no version was told"));
        };
        self.model.due(request.as_deref(), key, kind);
        self.model.with(|state| {
            state
                .dues
                .insert(Due::OfVersion(key.to_owned(), version.clone()))
        });
        self.model.version(key, number, Some(&version));
        self.model.answered();
    }

    async fn delete_version(&mut self, key: &str, version: &Version) -> Result<(), Dead> {
        self.model.fate(key, &version.id, Fate::Doubtful);
        let delete = self
            .s3
            .delete_object()
            .bucket("kept")
            .key(key)
            .version_id(&version.id);
        self.deleted(delete.send().await.map(|_done| ()), key, &[version])
    }

    async fn delete_versions(&mut self, key: &str, versions: &[Version]) -> Result<(), Dead> {
        let mut objects = Delete::builder();
        for version in versions {
            self.model.fate(key, &version.id, Fate::Doubtful);
            let object = ObjectIdentifier::builder().key(key).version_id(&version.id);
            objects = objects.objects(object.build().unwrap());
        }
        let delete = self
            .s3
            .delete_objects()
            .bucket("kept")
            .delete(objects.build().unwrap());
        self.deleted(
            delete.send().await.map(|_done| ()),
            key,
            &versions.iter().collect::<Vec<_>>(),
        )
    }

    fn deleted<E: aws_sdk_s3::error::ProvideErrorMetadata>(
        &self,
        done: Result<(), aws_sdk_s3::error::SdkError<E>>,
        key: &str,
        versions: &[&Version],
    ) -> Result<(), Dead> {
        if self.told(done)?.is_some() {
            let now = self.model.now();
            for version in versions {
                self.model.fate(key, &version.id, Fate::Gone(now));
            }
            self.model.answered();
        }
        Ok(())
    }

    /// A version is there until somebody asks for its end, and not any more once that is answered.
    async fn read_version(&mut self, key: &str, version: &Version) -> Result<(), Dead> {
        let Some(value) = &version.what else {
            return Ok(());
        };
        let begun = self.model.now();
        let seen: Told<_> = self
            .look(&("kept", key.to_owned()), Some(&version.id))
            .await;
        let seen = seen?.map(|(seen, _)| seen);
        let fate = self.known_fate(key, &version.id);
        let right = match (&seen, fate) {
            (None, Some(Fate::Kept)) => false,
            (Some(_), Some(Fate::Gone(at))) if at < begun => false,
            (Some(seen), _) => value.shows(seen),
            (None, _) => true,
        };
        if !right {
            let id = &version.id;
            self.model.fault(format!(
                "kept/{key} {id}: saw {seen:?} of {version:?}, {fate:?}"
            ));
        }
        Ok(())
    }

    fn known_fate(&self, key: &str, id: &str) -> Option<Fate> {
        self.model.with(|state| {
            let versions = state.versions.get(key)?;
            let version = versions.known.iter().find(|version| version.id == id)?;
            Some(version.fate)
        })
    }
}
