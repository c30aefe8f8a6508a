//! What is stored: the order of keys, and records of any bytes.

use std::fmt::Debug;

use super::input::split_text;
use crate::auth::acl::Acl;
use crate::id::{BucketId, UploadId};
use crate::store::keyspace;
use crate::store::record::{BucketRecord, Layout, decode, encode};
use crate::store::settings::Settings;
use crate::store::{ObjectRecord, PartRecord, UploadRecord};

/// Two keys and two numbers: their rows lie as the keys do, and tell the key again.
fn keys(data: &[u8]) {
    read_rows(data);
    let Some((text, mut script)) = split_text(data) else {
        return;
    };
    let (one, two) = text.split_once('\n').unwrap_or((text, ""));
    let (bucket, sequence) = (BucketId(script.number()), script.number());
    let object = |key| keyspace::object(bucket, key);
    assert_eq!(object(one).cmp(&object(two)), one.cmp(two));
    let (a, b) = (
        keyspace::escaped_key(bucket, one),
        keyspace::escaped_key(bucket, two),
    );
    assert_eq!(a.cmp(&b), one.cmp(two));
    assert!(one == two || !(a.starts_with(&b) || b.starts_with(&a)));
    let prefix = keyspace::escaped_prefix(bucket, two);
    assert_eq!(a.starts_with(&prefix), one.starts_with(two));
    let row = keyspace::version(bucket, one, sequence);
    assert_eq!(keyspace::read_version(&row).as_deref(), Some(one));
    assert_eq!(
        keyspace::before_key_end(&row[8..]),
        &keyspace::escaped_prefix(bucket, one)[8..]
    );
    let other = script.number();
    let later = keyspace::version(bucket, one, other);
    assert_eq!(row.cmp(&later), other.cmp(&sequence), "newest first");
    let elsewhere = keyspace::version(bucket, two, other);
    assert!(one == two || row.cmp(&elsewhere) == one.cmp(two));
    let id = UploadId::from_bytes([script.byte(); 16]);
    let row = keyspace::upload(bucket, one, &id);
    assert_eq!(keyspace::read_upload(&row), Some((one.to_owned(), id)));
    let next = BucketId(bucket.0.wrapping_add(1));
    assert!(!row.starts_with(&keyspace::bucket_prefix(next)));
}

/// A row of any bytes names a key only where that key makes this row.
fn read_rows(row: &[u8]) {
    let bucket = row.first_chunk().copied().map(u64::from_be_bytes);
    let bucket = BucketId(bucket.unwrap_or_default());
    if let Some(key) = keyspace::read_version(row) {
        let sequence = row.last_chunk().copied().map(u64::from_be_bytes);
        assert_eq!(keyspace::version(bucket, &key, !sequence.unwrap()), row);
    }
    if let Some((key, id)) = keyspace::read_upload(row) {
        assert_eq!(keyspace::upload(bucket, &key, &id), row);
    }
    assert!(row.starts_with(keyspace::before_key_end(row)));
}

/// What can be read is written again as what means the same.
fn check<T>(bytes: &[u8], again: impl Fn(&T, &T) -> bool)
where
    T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()> + Debug,
{
    let Ok(record) = decode::<T>(bytes, "x") else {
        return;
    };
    let written = encode(&record).unwrap();
    let read: T = decode(&written, "x").unwrap();
    assert!(again(&record, &read), "{record:?}\n{read:?}");
    assert_eq!(encode(&read).unwrap(), written);
}

/// A record of any bytes: the first chooses which.
fn records(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 7 {
        0 => check::<ObjectRecord>(bytes, PartialEq::eq),
        1 => check::<UploadRecord>(bytes, PartialEq::eq),
        2 => check::<PartRecord>(bytes, PartialEq::eq),
        3 => check::<BucketRecord>(bytes, PartialEq::eq),
        4 => check::<Settings>(bytes, PartialEq::eq),
        5 => check::<Acl>(bytes, PartialEq::eq),
        _ => check::<Layout>(bytes, |one, two| {
            one.segments == two.segments && one.parts == two.parts
        }),
    }
}

/// Seeds that nobody can write by hand: one record of each kind that [`records`] reads.
#[cfg(test)]
pub(super) fn record_seeds() -> Vec<Vec<u8>> {
    use crate::clock::Timestamp;
    use crate::id::InlineId;
    use crate::store::record::{ETag, ObjectPart, Segment};
    let inline = Segment::Inline(InlineId::from_bytes([1; 16]), 3);
    let etag = ETag::multipart([2; 16], 1);
    let mut object = ObjectRecord::new(
        "o".into(),
        Timestamp::from_unix_s(1),
        7,
        etag,
        (3, vec![inline]),
    );
    object.parts = Some(vec![ObjectPart {
        number: 1,
        len: 3,
        checksum: None,
    }]);
    object.headers.user = vec![("a".into(), "b".into())];
    object.extras.tags = Some(vec![("t".into(), "v".into())]);
    let layout = Layout {
        segments: vec![inline],
        parts: None,
    };
    let bucket = BucketRecord {
        id: BucketId(1),
        created: Timestamp::from_unix_s(1),
        owner: "o".into(),
        region: "us-east-1".into(),
        settings: Some(Settings::default()),
    };
    [
        (0, encode(&object)),
        (3, encode(&bucket)),
        (4, encode(&Settings::default())),
        (5, encode(&Acl::private("o"))),
        (6, encode(&layout)),
    ]
    .into_iter()
    .map(|(kind, bytes)| [&[kind][..], &bytes.unwrap()].concat())
    .collect()
}

/// Both.
pub(super) fn rows_and_records(data: &[u8]) {
    keys(data);
    records(data);
}
