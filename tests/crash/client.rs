//! What every client does alike: asks, reads what came back, tells the model.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;

use crate::body::{Piece, Seen, Value, md5_of};
use crate::model::{Model, Place};
use crate::support::Random;

pub(crate) const PART_BYTES_MIN: usize = 5 << 20;

/// No answer came: the server is dead.
#[derive(Debug)]
pub(crate) struct Dead;

/// What a client was told, where it was told anything.
pub(crate) type Told<T> = Result<Option<T>, Dead>;

/// One of the clients of a storm.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) s3: Client,
    pub(crate) model: Arc<Model>,
    pub(crate) random: Random,
    pub(crate) name: String,
    pub(crate) authority: String,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) made: u64,
}

impl Worker {
    pub(crate) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    /// Sizes around each way of storing: empty, inline, the edge, a file.
    pub(crate) fn piece(&mut self) -> Piece {
        const SIZES: [usize; 12] = [
            0,
            1,
            100,
            4096,
            4097,
            20_000,
            65_536,
            65_537,
            70_000,
            100_000,
            300_000,
            1 << 20,
        ];
        let len = SIZES[self.index(SIZES.len())];
        Piece {
            seed: self.random.next(),
            len,
        }
    }

    pub(crate) fn value(&mut self) -> Value {
        Value::whole(self.piece())
    }

    /// A name that no other client takes.
    pub(crate) fn new_name(&mut self) -> String {
        self.made += 1;
        format!("{}-{}", self.name, self.made)
    }

    /// What an SDK's call came to. A refusal is one of those that a race explains.
    pub(crate) fn told<T, E: ProvideErrorMetadata>(
        &self,
        result: Result<T, SdkError<E>>,
    ) -> Told<T> {
        const RACES: [&str; 9] = [
            "NoSuchKey",
            "NoSuchVersion",
            "NoSuchUpload",
            "OperationAborted",
            "ConditionalRequestConflict",
            "PreconditionFailed",
            "InvalidWriteOffset",
            "SlowDown",
            "NoSuchBucket",
        ];
        match result {
            Ok(done) => Ok(Some(done)),
            Err(SdkError::ServiceError(refused)) => {
                let code = refused.err().code().unwrap_or_default();
                if !RACES.contains(&code) {
                    let status = refused.raw().status();
                    let said = refused.err().message();
                    self.model
                        .fault(format!("{}: refused: {status} {code}: {said:?}", self.name));
                }
                Ok(None)
            }
            Err(SdkError::ConstructionFailure(wrong)) => panic!("{wrong:?}"),
            Err(_) => Err(Dead),
        }
    }

    /// Writes an object, and waits for the answer.
    pub(crate) async fn put(&mut self, place: &Place, value: Value) -> Result<(), Dead> {
        let put = self.s3.put_object().bucket(place.0).key(&place.1);
        let put = put.set_tagging((!value.tags.is_empty()).then(|| value.tags.clone()));
        // A sealed object's bytes are written anew where another's are linked.
        let sealed = self.chance(10).then_some(ServerSideEncryption::Aes256);
        let put = put.set_server_side_encryption(sealed);
        let put = put.body(ByteStream::from(value.bytes()));
        let change = self.model.begin(place, Some(value));
        match self.told(put.send().await)? {
            Some(done) => {
                self.created(place, done.request_id());
                self.model.done(&change);
            }
            None => self.model.refused(&change),
        }
        Ok(())
    }

    /// A callback is due where there is an endpoint for such.
    pub(crate) fn created(&self, place: &Place, request: Option<&str>) {
        if matches!(place.0, "raw" | "kept") {
            self.model.due(request, &place.1, "ObjectCreated");
        }
    }

    /// Reads an object, and has the model judge it.
    pub(crate) async fn read(&self, place: &Place) -> Result<(), Dead> {
        let begun = self.model.now();
        let seen = self.look(place, None).await?;
        self.model
            .saw(place, begun, seen.map(|(seen, _)| seen).as_ref());
        Ok(())
    }

    /// What is there, and its version; none where there is nothing.
    pub(crate) async fn look(
        &self,
        place: &Place,
        version: Option<&str>,
    ) -> Result<Option<(Seen, Option<String>)>, Dead> {
        let get = self.s3.get_object().bucket(place.0).key(&place.1);
        let get = get.set_version_id(version.map(str::to_owned));
        let Some(got) = self.told(get.send().await)? else {
            return Ok(None);
        };
        let (etag, version) = (unquoted(got.e_tag.as_deref()), got.version_id);
        let bytes = got.body.collect().await.map_err(|_cut| Dead)?.into_bytes();
        let md5 = Some(md5_of(&bytes));
        Ok(Some((
            Seen {
                len: bytes.len(),
                etag,
                md5,
                tags: None,
            },
            version,
        )))
    }

    /// Copies what is known to be under `from`.
    pub(crate) async fn copy(&mut self, from: &Place, to: &Place) -> Result<(), Dead> {
        let Some(value) = self.model.latest(from) else {
            return Ok(());
        };
        let copy = self.s3.copy_object().bucket(to.0).key(&to.1);
        let copy = copy.copy_source(format!("{}/{}", from.0, from.1));
        let change = self.model.begin(to, Some(value.clone()));
        match self.told(copy.send().await)? {
            Some(done) => {
                self.created(to, done.request_id());
                self.model.done(&change);
            }
            None => self.model.refused(&change),
        }
        Ok(())
    }

    /// Deletes an object, which is surely there or maybe.
    pub(crate) async fn delete(&self, place: &Place, surely: bool) -> Result<(), Dead> {
        let change = self.model.begin(place, None);
        let delete = self.s3.delete_object().bucket(place.0).key(&place.1);
        match self.told(delete.send().await)? {
            Some(done) => {
                if surely {
                    self.model.due(done.request_id(), &place.1, "ObjectRemoved");
                }
                self.model.done(&change);
            }
            None => self.model.refused(&change),
        }
        Ok(())
    }
}

pub(crate) fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}
