//! Clients of a bucket without versions: some write the same keys, some have keys of their own.

use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier, Tag, Tagging,
};

use crate::body::{Piece, Value};
use crate::client::{Dead, PART_BYTES_MIN, Worker};
use crate::model::{End, Place, Rename, Upload};

const SHARED_KEYS: usize = 10;
const OWN_KEYS: usize = 6;
/// How often an object is appended to.
const PIECES: usize = 40;

fn raw(key: String) -> Place {
    ("raw", key)
}

impl Worker {
    /// Writes keys that others write too.
    pub(crate) async fn share(mut self) -> Result<(), Dead> {
        let source = raw(format!("own/{}/source", self.name));
        if self.model.latest(&source).is_none() {
            let value = self.value();
            self.put(&source, value).await?;
        }
        while self.goes_on() {
            let place = raw(format!("shared/{}", self.index(SHARED_KEYS)));
            match self.random.below(100) {
                0..35 => {
                    let value = self.value();
                    self.put(&place, value).await?;
                }
                35..45 => self.delete(&place, false).await?,
                45..55 => self.copy(&source, &place).await?,
                55..63 => self.upload(&place).await?,
                63..70 => {
                    let keys = (0..3).map(|_| raw(format!("shared/{}", self.index(SHARED_KEYS))));
                    let keys: Vec<_> = keys.collect();
                    self.delete_all(keys, false).await?;
                }
                _ => self.read(&place).await?,
            }
        }
        Ok(())
    }

    /// Writes keys that nobody else writes, so that it knows what is there.
    pub(crate) async fn own(mut self) -> Result<(), Dead> {
        while self.goes_on() {
            let place = self.own_place();
            let there = self.model.latest(&place);
            match (self.random.below(100), there) {
                // One key grows until its pieces no longer have room in its record.
                (0..70, Some(value)) if place.1.ends_with("/0") && value.pieces.len() < PIECES => {
                    self.append(&place, &value).await?;
                }
                (0..10, Some(_)) => self.delete(&place, true).await?,
                (10..30, Some(value)) => self.append(&place, &value).await?,
                (30..45, Some(value)) => {
                    let to = self.own_place();
                    self.rename(&place, &to, value).await?;
                }
                (45..55, Some(_)) => {
                    let to = self.own_place();
                    if to != place {
                        self.copy(&place, &to).await?;
                    }
                }
                (55..62, Some(value)) => self.tag(&place, value).await?,
                (62..67, Some(_)) => {
                    let mut places: Vec<_> =
                        (0..2).map(|_| self.own_place()).chain([place]).collect();
                    places.sort();
                    places.dedup();
                    places.retain(|place| self.model.latest(place).is_some());
                    self.delete_all(places, true).await?;
                }
                (67..80, _) => self.upload(&place).await?,
                (80..88, _) => self.read(&place).await?,
                _ => {
                    let tags = ["", "", "", "a=1", "a=1&b=2"][self.index(5)];
                    let value = self.value().with_tags(tags);
                    self.put(&place, value).await?;
                }
            }
        }
        Ok(())
    }

    fn own_place(&mut self) -> Place {
        let number = self.index(OWN_KEYS);
        raw(format!("own/{}/{number}", self.name))
    }

    async fn append(&mut self, place: &Place, value: &Value) -> Result<(), Dead> {
        let piece = Piece {
            seed: self.random.next(),
            len: [1, 300, 5000, 70_000][self.index(4)],
        };
        let change = self.model.begin(place, Some(value.appended(piece)));
        let put = self.s3.put_object().bucket(place.0).key(&place.1);
        let put = put.write_offset_bytes(i64::try_from(value.len).unwrap());
        match self.told(put.body(ByteStream::from(piece.bytes())).send().await)? {
            Some(done) => {
                self.created(place, done.request_id());
                self.model.done(&change);
            }
            None => self.model.refused(&change),
        }
        Ok(())
    }

    async fn rename(&mut self, from: &Place, to: &Place, value: Value) -> Result<(), Dead> {
        if from == to {
            return Ok(());
        }
        let before = self.model.latest(to);
        let gone = self.model.begin(from, None);
        let come = self.model.begin(to, Some(value.clone()));
        let rename = self.s3.rename_object().bucket(to.0).key(&to.1);
        let told = self.told(rename.rename_source(&from.1).send().await);
        let Ok(told) = told else {
            let (from, to) = (from.clone(), to.clone());
            let rename = Rename {
                from,
                to,
                value,
                before,
            };
            self.model.with(|state| state.renames.push(rename));
            return Err(Dead);
        };
        match told {
            Some(done) => {
                self.model.due(done.request_id(), &to.1, "ObjectCreated");
                self.model.due(done.request_id(), &from.1, "ObjectRemoved");
                self.model.done(&come);
                self.model.done(&gone);
            }
            None => {
                self.model.refused(&come);
                self.model.refused(&gone);
            }
        }
        Ok(())
    }

    async fn tag(&mut self, place: &Place, value: Value) -> Result<(), Dead> {
        let number = self.random.below(1000).to_string();
        let tag = Tag::builder().key("n").value(&number).build().unwrap();
        let tagging = Tagging::builder().tag_set(tag).build().unwrap();
        let tagged = value.with_tags(&format!("n={number}"));
        let change = self.model.begin(place, Some(tagged));
        let put = self.s3.put_object_tagging().bucket(place.0).key(&place.1);
        match self.told(put.tagging(tagging).send().await)? {
            Some(_done) => self.model.done(&change),
            None => self.model.refused(&change),
        }
        Ok(())
    }

    async fn delete_all(&mut self, mut places: Vec<Place>, surely: bool) -> Result<(), Dead> {
        places.sort();
        places.dedup();
        if places.is_empty() {
            return Ok(());
        }
        let named = |place: &Place| ObjectIdentifier::builder().key(&place.1).build().unwrap();
        let objects = Delete::builder().set_objects(Some(places.iter().map(named).collect()));
        let changes: Vec<_> = places
            .iter()
            .map(|place| self.model.begin(place, None))
            .collect();
        let delete = self
            .s3
            .delete_objects()
            .bucket("raw")
            .delete(objects.build().unwrap());
        let Some(done) = self.told(delete.send().await)? else {
            for change in &changes {
                self.model.refused(change);
            }
            return Ok(());
        };
        for change in &changes {
            let key = &change.place.1;
            if done
                .deleted()
                .iter()
                .any(|gone| gone.key.as_ref() == Some(key))
            {
                if surely {
                    self.model.due(done.request_id(), key, "ObjectRemoved");
                }
                self.model.done(change);
            } else {
                self.model
                    .fault(format!("{key} was not deleted: {:?}", done.errors()));
            }
        }
        Ok(())
    }

    /// An object in parts: some copied, some given up.
    async fn upload(&mut self, place: &Place) -> Result<(), Dead> {
        self.model.with(|state| state.unnamed_uploads += 1);
        let create = self
            .s3
            .create_multipart_upload()
            .bucket(place.0)
            .key(&place.1);
        let created = self.told(create.send().await)?;
        self.model.with(|state| state.unnamed_uploads -= 1);
        let Some(id) = created.and_then(|created| created.upload_id) else {
            return Ok(());
        };
        let upload = Upload {
            key: place.1.clone(),
            ..Upload::default()
        };
        self.model
            .with(|state| state.uploads.insert(id.clone(), upload));
        self.model.answered();
        let large = self.chance(12);
        let mut pieces = vec![self.piece()];
        if large {
            pieces.insert(
                0,
                Piece {
                    seed: self.random.next(),
                    len: PART_BYTES_MIN,
                },
            );
        }
        let mut parts = Vec::new();
        for (number, piece) in (1..).zip(pieces) {
            let Some(part) = self.part(place, &id, number, piece).await? else {
                return Ok(());
            };
            parts.push(part);
        }
        if self.chance(25) {
            return self.abort(place, &id).await;
        }
        self.complete(place, &id, parts).await
    }

    /// One part, from its bytes or from an object of ours.
    async fn part(
        &mut self,
        place: &Place,
        id: &str,
        number: i32,
        piece: Piece,
    ) -> Result<Option<(i32, Value)>, Dead> {
        self.model
            .with(|state| state.uploads.get_mut(id).unwrap().more = true);
        let source = self.own_place();
        let known = self
            .model
            .latest(&source)
            .filter(|value| value.len > 0 && number > 1 && source != *place);
        let (value, done) = match known {
            Some(value) => {
                let copy = self
                    .s3
                    .upload_part_copy()
                    .bucket(place.0)
                    .key(&place.1)
                    .upload_id(id);
                let copy = copy
                    .part_number(number)
                    .copy_source(format!("raw/{}", source.1));
                (value.copied(), self.told(copy.send().await)?.is_some())
            }
            None => {
                let part = self
                    .s3
                    .upload_part()
                    .bucket(place.0)
                    .key(&place.1)
                    .upload_id(id);
                let part = part
                    .part_number(number)
                    .body(ByteStream::from(piece.bytes()));
                (Value::whole(piece), self.told(part.send().await)?.is_some())
            }
        };
        self.model.with(|state| {
            let upload = state.uploads.get_mut(id).unwrap();
            upload.more = false;
            if done {
                upload.parts.insert(number, value.clone());
            }
        });
        self.model.answered();
        Ok(done.then_some((number, value)))
    }

    async fn abort(&mut self, place: &Place, id: &str) -> Result<(), Dead> {
        self.ends(id, End::Aborted);
        let abort = self
            .s3
            .abort_multipart_upload()
            .bucket(place.0)
            .key(&place.1);
        self.told(abort.upload_id(id).send().await)?;
        self.model.with(|state| state.uploads.remove(id));
        self.model.answered();
        Ok(())
    }

    pub(crate) async fn complete(
        &mut self,
        place: &Place,
        id: &str,
        parts: Vec<(i32, Value)>,
    ) -> Result<(), Dead> {
        let values: Vec<_> = parts.iter().map(|(_, value)| value.clone()).collect();
        let change = self.model.begin(place, Some(Value::of_parts(&values)));
        self.ends(id, End::Completed(change.clone()));
        let named = parts.iter().map(|(number, value)| {
            CompletedPart::builder()
                .part_number(*number)
                .e_tag(&value.etag)
                .build()
        });
        let named = CompletedMultipartUpload::builder().set_parts(Some(named.collect()));
        let complete = self
            .s3
            .complete_multipart_upload()
            .bucket(place.0)
            .key(&place.1);
        match self.told(
            complete
                .upload_id(id)
                .multipart_upload(named.build())
                .send()
                .await,
        )? {
            Some(done) => {
                self.created(place, done.request_id());
                self.model.with(|state| state.uploads.remove(id));
                self.model.done(&change);
            }
            None => {
                self.model
                    .with(|state| state.uploads.get_mut(id).unwrap().end = None);
                self.model.refused(&change);
            }
        }
        Ok(())
    }

    fn ends(&self, id: &str, end: End) {
        self.model
            .with(|state| state.uploads.get_mut(id).unwrap().end = Some(end));
    }
}
