//! What is found in a restarted server, held against the model.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_s3::Client;
use base64::Engine;
use serde_json::Value as Json;

use crate::body::{Seen, Value};
use crate::client::{Worker, unquoted};
use crate::model::{Due, End, Place};
use crate::support::Server;
use crate::wire::{Ask, Signer};

/// Listings that are small enough for one page.
const PAGE: i32 = 1000;

/// A listing, by key.
type Listed = BTreeMap<String, Seen>;

/// A key's versions, newest first.
type ListedVersions = BTreeMap<String, Vec<(String, Option<Seen>)>>;

fn listed(size: Option<i64>, etag: Option<&str>) -> Seen {
    Seen {
        len: usize::try_from(size.unwrap_or_default()).unwrap(),
        etag: unquoted(etag),
        md5: None,
        tags: None,
    }
}

pub(crate) async fn list(client: &Client, bucket: &str) -> Listed {
    let page = client
        .list_objects_v2()
        .bucket(bucket)
        .max_keys(PAGE)
        .send()
        .await
        .unwrap();
    assert_ne!(page.is_truncated(), Some(true));
    let objects = page.contents.unwrap_or_default().into_iter();
    objects
        .map(|object| {
            let seen = listed(object.size, object.e_tag.as_deref());
            (object.key.unwrap(), seen)
        })
        .collect()
}

/// Versions and delete markers stand apart in the SDK: their times and ids bring them together.
async fn list_versions(client: &Client, bucket: &str) -> ListedVersions {
    let page = client
        .list_object_versions()
        .bucket(bucket)
        .max_keys(PAGE)
        .send()
        .await
        .unwrap();
    assert_ne!(page.is_truncated(), Some(true));
    let mut all: Vec<(String, String, bool, Option<Seen>)> = Vec::new();
    for version in page.versions.unwrap_or_default() {
        let seen = listed(version.size, version.e_tag.as_deref());
        let latest = version.is_latest == Some(true);
        all.push((
            version.key.unwrap(),
            version.version_id.unwrap(),
            latest,
            Some(seen),
        ));
    }
    for marker in page.delete_markers.unwrap_or_default() {
        let latest = marker.is_latest == Some(true);
        all.push((
            marker.key.unwrap(),
            marker.version_id.unwrap(),
            latest,
            None,
        ));
    }
    // An id's bytes begin with the version's sequence.
    let order = |id: &str| {
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(id)
            .unwrap()
    };
    all.sort_by_cached_key(|(key, id, ..)| (key.clone(), std::cmp::Reverse(order(id))));
    let mut versions = ListedVersions::new();
    for (key, id, latest, seen) in all {
        let of_key = versions.entry(key).or_default();
        assert_eq!(
            latest,
            of_key.is_empty(),
            "{id} is not where its listing says"
        );
        of_key.push((id, seen));
    }
    versions
}

async fn list_uploads(client: &Client, bucket: &str) -> BTreeMap<String, String> {
    let page = client
        .list_multipart_uploads()
        .bucket(bucket)
        .send()
        .await
        .unwrap();
    assert_ne!(page.is_truncated(), Some(true));
    let uploads = page.uploads.unwrap_or_default().into_iter();
    uploads
        .map(|upload| (upload.upload_id.unwrap(), upload.key.unwrap()))
        .collect()
}

/// What the administration says a bucket holds: objects and bytes.
async fn usage(server: &Server, bucket: &str) -> (u64, u64) {
    let ask = Ask::new(server, "GET", &format!("/-/admin/v1/quotas/{bucket}"));
    let (ask, _) = ask.authorized(&Signer::now(), &crate::wire::sha256(b""));
    let answer = ask.expect(server, 200, "").await;
    let told: Json = serde_json::from_str(answer.body()).unwrap();
    (
        told["objects"].as_u64().unwrap(),
        told["bytes"].as_u64().unwrap(),
    )
}

fn sum<'a>(seen: impl Iterator<Item = &'a Seen>) -> (u64, u64) {
    seen.fold((0, 0), |(count, bytes), seen| {
        (count + 1, bytes + seen.len as u64)
    })
}

/// `consign fsck`, which reads every byte: nothing is wrong, nothing left over.
pub(crate) fn fsck(server: &Server) -> Json {
    let mut report = Json::Null;
    for _ in 0..50 {
        let output = server.command(&["fsck", "--read-blobs", "--json"]);
        report = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "{report:#}");
        // What lifecycle rules delete meanwhile is garbage for a moment.
        if (&report["leftover_files"], &report["garbage"]) == (&0.into(), &0.into()) {
            return report;
        }
    }
    panic!("something is left over: {report:#}");
}

/// Files below `blobs/data`, and below `blobs/tmp`.
pub(crate) fn files(server: &Server) -> (usize, usize) {
    let blobs = server.data_folder().join("blobs");
    let in_folder = |folder: std::path::PathBuf| std::fs::read_dir(folder).unwrap().count();
    let folders = std::fs::read_dir(blobs.join("data")).unwrap();
    let data = folders
        .map(|folder| in_folder(folder.unwrap().path()))
        .sum();
    (data, in_folder(blobs.join("tmp")))
}

/// Everything that a restarted server must show. Nothing is under way but what it does by itself.
pub(crate) async fn all(server: &Server, worker: &mut Worker) {
    let client = server.client();
    let fsck = async { tokio::task::block_in_place(|| fsck(server)) };
    let (raw, asked, versions, uploads, _report) = tokio::join!(
        list(&client, "raw"),
        list(&client, "asked"),
        list_versions(&client, "kept"),
        list_uploads(&client, "raw"),
        fsck,
    );
    assert_eq!(files(server).1, 0, "staged files are left");
    assert_eq!(usage(server, "raw").await, sum(raw.values()), "of raw");
    assert_eq!(
        usage(server, "asked").await,
        sum(asked.values()),
        "of asked"
    );
    let (markers, seen): (Vec<_>, Vec<_>) = versions
        .values()
        .flatten()
        .map(|(_, seen)| seen)
        .partition(|seen| seen.is_none());
    let (objects, bytes) = sum(seen.into_iter().flatten());
    let objects = objects + markers.len() as u64;
    assert_eq!(usage(server, "kept").await, (objects, bytes), "of kept");

    decide_uploads(worker, &uploads, &raw);
    settle_renames(worker, &raw);
    settle(worker, "raw", &raw).await;
    settle(worker, "asked", &asked).await;
    settle_versions(worker, versions).await;
    settle_fleeting(worker, &list(&client, "fleeting").await);
    settle_buckets(worker, &client).await;
    use_up(worker, server).await;
    take_agreed(worker, asked).await;
    end_uploads(worker, &uploads).await;
    worker.model.assert_no_faults();
}

/// An upload that is still there was not completed, and one that is gone was.
fn decide_uploads(worker: &Worker, there: &BTreeMap<String, String>, raw: &Listed) {
    let model = &worker.model;
    let known = model.with(|state| state.uploads.clone());
    let unknown = there.keys().filter(|id| !known.contains_key(*id)).count();
    assert!(
        unknown <= model.with(|state| state.unnamed_uploads),
        "uploads that nobody began: {there:?}"
    );
    for (id, upload) in &known {
        match (&upload.end, there.contains_key(id)) {
            (None, gone_or_there) => assert!(gone_or_there, "an upload is lost: {upload:?}"),
            (Some(End::Completed(change)), still) => {
                model.decide(change, !still);
                let own = upload.key.starts_with("own/");
                assert!(
                    still || !own || raw.contains_key(&upload.key),
                    "its object is lost: {upload:?}"
                );
            }
            (Some(End::Aborted), _) => {}
        }
    }
}

/// A rename happened to both of its keys or to none.
fn settle_renames(worker: &Worker, raw: &Listed) {
    for rename in worker
        .model
        .with(|state| std::mem::take(&mut state.renames))
    {
        let is_value = |place: &Place| {
            raw.get(&place.1)
                .is_some_and(|seen| rename.value.shows(seen))
        };
        let same = rename
            .before
            .as_ref()
            .is_some_and(|before| before.etag == rename.value.etag);
        let (there, here) = (is_value(&rename.from), is_value(&rename.to));
        assert!(same || there != here, "half a rename: {rename:?}");
        assert!(here || there, "an object went away: {rename:?}");
    }
}

async fn settle(worker: &Worker, bucket: &'static str, listed: &Listed) {
    let keys = worker.model.keys(bucket);
    let strange: Vec<_> = listed
        .keys()
        .filter(|key| !keys.contains_key(*key))
        .collect();
    assert!(strange.is_empty(), "objects that nobody wrote: {strange:?}");
    for (key, (touched, before)) in keys {
        let place: Place = (bucket, key);
        let in_list = listed.get(&place.1);
        if !touched {
            let same = match (&before, in_list) {
                (None, None) => true,
                (Some(before), Some(seen)) => before.shows(seen),
                _ => false,
            };
            assert!(same, "{place:?}: {in_list:?} instead of {before:?}");
            continue;
        }
        let seen = worker.look(&place, None).await.unwrap();
        let mut seen = seen.map(|(seen, _version)| seen);
        let alike = |one: &Seen, other: &Seen| (one.len, &one.etag) == (other.len, &other.etag);
        let agrees = match (&seen, in_list) {
            (None, None) => true,
            (Some(seen), Some(in_list)) => alike(seen, in_list),
            _ => false,
        };
        assert!(agrees, "{place:?}: {seen:?} is listed as {in_list:?}");
        if let Some(seen) = &mut seen
            && place.1.starts_with("own/")
        {
            seen.tags = Some(tags(worker, &place).await);
        }
        worker.model.settle(&place, seen.as_ref());
    }
}

async fn tags(worker: &Worker, place: &Place) -> String {
    let get = worker.s3.get_object_tagging().bucket(place.0).key(&place.1);
    let tags = get.send().await.unwrap().tag_set;
    let tags: Vec<_> = tags
        .iter()
        .map(|tag| format!("{}={}", tag.key, tag.value))
        .collect();
    tags.join("&")
}

async fn settle_versions(worker: &Worker, mut listed: ListedVersions) {
    let known = worker
        .model
        .with(|state| state.versions.keys().cloned().collect::<Vec<_>>());
    for key in known {
        let mut versions = listed.remove(&key).unwrap_or_default();
        let place: Place = ("kept", key.clone());
        // The current version is what is read.
        let newest = versions.first_mut();
        let current = worker.look(&place, None).await.unwrap();
        let newest = newest.and_then(|(id, seen)| Some((id.clone(), seen.as_mut()?)));
        match (current, newest) {
            (None, None) => {}
            (Some((current, Some(id))), Some((listed_id, seen))) => {
                assert_eq!(id, listed_id, "{key}");
                seen.md5 = current.md5;
            }
            (current, newest) => panic!("{key}: {current:?} is listed as {newest:?}"),
        }
        let now = worker.model.now();
        let new = worker.model.with(|state| {
            let of_key = state.versions.get_mut(&key).unwrap();
            let new = of_key.settle(now, &versions)?;
            let dues = new.into_iter().map(|id| Due::OfVersion(key.clone(), id));
            state.dues.extend(dues);
            Ok::<_, String>(())
        });
        new.unwrap_or_else(|fault| panic!("kept/{key}: {fault}\n{versions:#?}"));
    }
    assert!(listed.is_empty(), "versions that nobody made: {listed:?}");
}

/// What goes by itself may be gone, but what is there is whole.
fn settle_fleeting(worker: &Worker, listed: &Listed) {
    let fleeting = worker.model.with(|state| state.fleeting.clone());
    for (key, seen) in listed {
        let known = fleeting.get(key).is_some_and(|value| value.shows(seen));
        assert!(known, "fleeting/{key}: {seen:?}");
    }
}

async fn settle_buckets(worker: &Worker, client: &Client) {
    let listed = client
        .list_buckets()
        .send()
        .await
        .unwrap()
        .buckets
        .unwrap_or_default();
    let listed: Vec<_> = listed
        .into_iter()
        .filter_map(|bucket| bucket.name)
        .collect();
    for (name, must) in worker
        .model
        .with(|state| std::mem::take(&mut state.buckets))
    {
        let there = listed.contains(&name);
        assert!(
            must.is_none_or(|must| must == there),
            "bucket {name}: {must:?}, {there}"
        );
        if there {
            client.delete_bucket().bucket(&name).send().await.unwrap();
        }
    }
}

/// Tries every signature that is good for one use once more: it is used up if its object is there.
async fn use_up(worker: &mut Worker, server: &Server) {
    for once in worker.model.with(|state| std::mem::take(&mut state.onces)) {
        let place = once.change.place.clone();
        let there = worker.model.latest(&place).is_some();
        assert!(there || !once.won, "{place:?} is lost");
        let change = worker.model.begin(&place, Some(once.value.clone()));
        let answer = once.ask.send(server).await;
        assert_eq!(
            matches!(answer.status, 200 | 204),
            !there,
            "{place:?}: {answer:?}"
        );
        if there {
            worker.model.refused(&change);
        } else {
            worker.created(&place, answer.header("x-amz-request-id"));
            worker.model.done(&change);
            once.ask.expect(server, 403, "AccessDenied").await;
        }
        // It has served; the bucket stays small.
        worker.delete(&place, true).await.unwrap();
        let seen = worker.look(&place, None).await.unwrap();
        worker
            .model
            .settle(&place, seen.map(|(seen, _)| seen).as_ref());
    }
}

/// Notes what an app server agreed to, and makes room.
async fn take_agreed(worker: &Worker, there: Listed) {
    for key in there.into_keys() {
        let place: Place = ("asked", key);
        worker.delete(&place, false).await.unwrap();
        worker.model.settle(&place, None);
        worker.model.with(|state| state.agreed.insert(place.1));
    }
}

/// Parts that were answered outlive the server: half of the uploads are completed from them.
async fn end_uploads(worker: &mut Worker, there: &BTreeMap<String, String>) {
    let known = worker.model.with(|state| {
        state.unnamed_uploads = 0;
        std::mem::take(&mut state.uploads)
    });
    for (id, key) in there {
        let place: Place = ("raw", key.clone());
        let upload = known.get(id).cloned().unwrap_or_default();
        let listed = worker
            .s3
            .list_parts()
            .bucket("raw")
            .key(key)
            .upload_id(id)
            .send();
        let listed = listed.await.unwrap().parts.unwrap_or_default();
        for (number, value) in &upload.parts {
            let part = listed.iter().find(|part| part.part_number == Some(*number));
            let etag = part.map(|part| unquoted(part.e_tag.as_deref()));
            assert_eq!(etag.as_ref(), Some(&value.etag), "part {number} of {key}");
        }
        let strange = listed.len() - upload.parts.len();
        assert!(
            strange <= usize::from(upload.more || !known.contains_key(id)),
            "{listed:?}"
        );
        let ends_well = !upload.parts.is_empty() && strange == 0 && worker.chance(50);
        if ends_well {
            let parts: Vec<(i32, Value)> = upload.parts.clone().into_iter().collect();
            worker
                .model
                .with(|state| state.uploads.insert(id.clone(), upload));
            worker.complete(&place, id, parts).await.unwrap();
            let seen = worker
                .look(&place, None)
                .await
                .unwrap()
                .map(|(seen, _)| seen);
            worker.model.settle(&place, seen.as_ref());
        } else {
            let abort = worker.s3.abort_multipart_upload().bucket("raw").key(key);
            abort.upload_id(id).send().await.unwrap();
        }
    }
    let left = list_uploads(&worker.s3, "raw").await;
    assert!(left.is_empty(), "{left:?}");
}

/// Deletes everything; what is left then nobody owns.
pub(crate) async fn empty(server: &Server) {
    let client = server.client();
    for bucket in ["raw", "asked"] {
        for key in list(&client, bucket).await.into_keys() {
            client
                .delete_object()
                .bucket(bucket)
                .key(key)
                .send()
                .await
                .unwrap();
        }
    }
    for (key, versions) in list_versions(&client, "kept").await {
        for (id, _seen) in versions {
            let delete = client.delete_object().bucket("kept").key(&key);
            delete.version_id(id).send().await.unwrap();
        }
    }
    for bucket in ["raw", "asked", "kept"] {
        assert_eq!(usage(server, bucket).await, (0, 0), "of {bucket}");
    }
    // The rest goes by itself, in a second or two.
    for _ in 0..600 {
        let left =
            list(&client, "fleeting").await.len() + list_uploads(&client, "fleeting").await.len();
        if left == 0 {
            assert_eq!(usage(server, "fleeting").await, (0, 0), "of fleeting");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("lifecycle rules do not end what they should");
}

/// A client that checks.
pub(crate) fn worker(server: &Server, model: &Arc<crate::model::Model>, seed: u64) -> Worker {
    Worker {
        s3: server.client(),
        model: Arc::clone(model),
        random: crate::support::Random(seed),
        name: "check".to_owned(),
        authority: server.authority().to_owned(),
        stop: Arc::default(),
        made: 0,
    }
}
