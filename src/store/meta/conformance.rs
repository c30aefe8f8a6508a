//! What every metadata engine must do: one suite, run over each of them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{
    Batch, Entry, KeyRange, MetaEngine, MetaError, Space, Step, after_prefix, read_counters, scan,
    walk,
};

/// Runs the whole suite over an empty engine.
pub(super) async fn check(engine: Arc<dyn MetaEngine>) {
    puts_and_deletes_are_seen(&*engine).await;
    spaces_are_apart(&*engine).await;
    a_failed_assertion_changes_nothing(&*engine).await;
    ranges_are_half_open_and_in_byte_order(&*engine).await;
    a_walk_seeks_and_stops(&*engine).await;
    counters_add_up(&*engine).await;
    of_many_racers_one_wins(&engine).await;
    increments_under_conflict_lose_none(&engine).await;
    the_rows_of_a_range_are_asserted(engine.as_ref()).await;
    an_empty_range_is_asserted(&*engine).await;
    a_range_goes_at_once(&*engine).await;
    every_row_is_verified_in_pieces(&*engine).await;
}

async fn every_row_is_verified_in_pieces(engine: &dyn MetaEngine) {
    let space = Space::Nonces;
    for key in ["a", "b", "c", "d", "e"] {
        put(engine, space, key, "123456789").await;
    }
    let (mut from, mut bytes, mut pieces) = (Bytes::new(), 0, 0);
    loop {
        let verified = engine.verify(space, from, 15).await.unwrap();
        (bytes, pieces) = (bytes + verified.bytes, pieces + 1);
        let Some(next) = verified.next else { break };
        from = next;
    }
    assert_eq!((bytes, pieces), (50, 3));
}

async fn put(engine: &dyn MetaEngine, space: Space, key: &str, value: &str) {
    let mut batch = Batch::new();
    batch.put(space, key.to_owned(), value.to_owned());
    engine.commit(batch).await.unwrap();
}

async fn get(engine: &dyn MetaEngine, space: Space, key: &str) -> Option<Bytes> {
    engine.get(space, key.as_bytes()).await.unwrap()
}

async fn puts_and_deletes_are_seen(engine: &dyn MetaEngine) {
    assert_eq!(get(engine, Space::System, "a").await, None);
    put(engine, Space::System, "a", "1").await;
    assert_eq!(get(engine, Space::System, "a").await, Some("1".into()));
    let mut batch = Batch::new();
    batch
        .put(Space::System, "a", "2")
        .delete(Space::System, "a")
        .put(Space::System, "b", "");
    engine.commit(batch).await.unwrap();
    assert_eq!(
        get(engine, Space::System, "a").await,
        None,
        "writes apply in their order"
    );
    assert_eq!(
        get(engine, Space::System, "b").await,
        Some(Bytes::new()),
        "empty is a value"
    );
}

async fn spaces_are_apart(engine: &dyn MetaEngine) {
    for space in Space::ALL
        .into_iter()
        .filter(|space| *space != Space::Usage)
    {
        put(engine, space, "same", space.name()).await;
    }
    for space in Space::ALL
        .into_iter()
        .filter(|space| *space != Space::Usage)
    {
        assert_eq!(get(engine, space, "same").await, Some(space.name().into()));
        let mut batch = Batch::new();
        batch.delete(space, "same");
        engine.commit(batch).await.unwrap();
    }
}

async fn a_failed_assertion_changes_nothing(engine: &dyn MetaEngine) {
    put(engine, Space::Objects, "x", "1").await;
    let mut stale = Batch::new();
    stale
        .assert_unchanged(Space::Objects, "x", Some("0".into()))
        .put(Space::Objects, "x", "9");
    assert!(matches!(
        engine.commit(stale).await,
        Err(MetaError::Conflict)
    ));
    let mut taken = Batch::new();
    taken
        .put(Space::Objects, "y", "9")
        .assert_absent(Space::Objects, "x");
    assert!(matches!(
        engine.commit(taken).await,
        Err(MetaError::Conflict)
    ));
    assert_eq!(get(engine, Space::Objects, "x").await, Some("1".into()));
    assert_eq!(get(engine, Space::Objects, "y").await, None);
    let mut right = Batch::new();
    right
        .assert_unchanged(Space::Objects, "x", Some("1".into()))
        .delete(Space::Objects, "x");
    engine.commit(right).await.unwrap();
    assert_eq!(get(engine, Space::Objects, "x").await, None);
}

async fn keys(engine: &dyn MetaEngine, range: KeyRange, limit: usize) -> Vec<Bytes> {
    let rows = scan(engine, Space::Versions, range, limit).await.unwrap();
    rows.into_iter().map(|Entry { key, .. }| key).collect()
}

async fn ranges_are_half_open_and_in_byte_order(engine: &dyn MetaEngine) {
    let all: [&[u8]; 6] = [b"", b"a", b"a\x00", b"a\xff", b"b", b"\xff\xff"];
    let mut batch = Batch::new();
    for key in all.iter().rev() {
        batch.put(Space::Versions, key.to_vec(), "");
    }
    engine.commit(batch).await.unwrap();
    assert_eq!(keys(engine, KeyRange::all(), 99).await, all);
    assert_eq!(keys(engine, KeyRange::all(), 2).await, all[..2]);
    assert_eq!(keys(engine, KeyRange::all(), 0).await, [""; 0]);
    assert_eq!(keys(engine, KeyRange::prefix("a"), 99).await, all[1..4]);
    assert_eq!(
        keys(engine, KeyRange::prefix(&b"\xff"[..]), 99).await,
        all[5..]
    );
    let range = KeyRange {
        start: "a\x00".into(),
        end: Some("b".into()),
    };
    assert_eq!(keys(engine, range, 99).await, all[2..4]);
    assert_eq!(after_prefix(b"a\xff\xff"), Some("b".into()));
    assert_eq!(after_prefix(b"\xff"), None);
}

async fn a_walk_seeks_and_stops(engine: &dyn MetaEngine) {
    let mut batch = Batch::new();
    for n in 0..100 {
        batch.put(Space::Parts, format!("{n:02}"), "");
    }
    engine.commit(batch).await.unwrap();
    let visit = |seen: &mut Vec<String>, key: &[u8], _value: &[u8]| {
        seen.push(String::from_utf8_lossy(key).into_owned());
        match key {
            b"12" => Step::Seek("5".into()),
            b"51" => Step::Seek("98x".into()),
            b"99" => Step::Stop,
            _ => Step::Next,
        }
    };
    let range = KeyRange {
        start: "11".into(),
        end: None,
    };
    let seen = walk(engine, Space::Parts, range, Vec::new(), visit)
        .await
        .unwrap();
    assert_eq!(seen, ["11", "12", "50", "51", "99"]);
}

async fn counters_add_up(engine: &dyn MetaEngine) {
    for (objects, bytes) in [(1, 100), (1, 50), (-1, -100)] {
        let mut batch = Batch::new();
        batch.add(Space::Usage, "bucket", [objects, bytes]);
        engine.commit(batch).await.unwrap();
    }
    let row = engine.get(Space::Usage, b"bucket").await.unwrap().unwrap();
    assert_eq!(read_counters(&row), [1, 50]);
}

async fn of_many_racers_one_wins(engine: &Arc<dyn MetaEngine>) {
    let racers = (0..50).map(|racer| {
        let mut batch = Batch::new();
        batch.assert_absent(Space::Uploads, "prize");
        batch.put(Space::Uploads, "prize", racer.to_string());
        engine.commit(batch)
    });
    let results = join_all(racers).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Ok(()) | Err(MetaError::Conflict)))
    );
}

async fn increments_under_conflict_lose_none(engine: &Arc<dyn MetaEngine>) {
    let racers = (0..16).map(|_racer| async {
        loop {
            let seen = engine.get(Space::Buckets, b"count").await.unwrap();
            let count: u32 = seen
                .as_ref()
                .map_or(0, |v| String::from_utf8_lossy(v).parse().unwrap());
            let mut batch = Batch::new();
            batch.assert_unchanged(Space::Buckets, "count", seen);
            batch.put(Space::Buckets, "count", (count + 1).to_string());
            match engine.commit(batch).await {
                Ok(()) => break,
                Err(MetaError::Conflict) => {}
                Err(other) => panic!("{other}"),
            }
        }
    });
    join_all(racers).await;
    assert_eq!(
        engine.get(Space::Buckets, b"count").await.unwrap(),
        Some("16".into())
    );
}

async fn an_empty_range_is_asserted(engine: &dyn MetaEngine) {
    let emptied = || {
        let mut batch = Batch::new();
        batch.assert_empty(Space::Layouts, KeyRange::prefix("p/"));
        batch.put(Space::Layouts, "p/last", "");
        batch
    };
    put(engine, Space::Layouts, "p", "").await;
    put(engine, Space::Layouts, "p0", "").await;
    let (first, second) = tokio::join!(engine.commit(emptied()), engine.commit(emptied()));
    let outcome = [first.is_ok(), second.is_ok()];
    assert!(
        outcome == [true, false] || outcome == [false, true],
        "{outcome:?}"
    );
}

/// Of batches that are sent at once, each sees what one before it took away, and what one put there since.
async fn a_range_goes_at_once(engine: &dyn MetaEngine) {
    for key in ["d", "d/1", "d/2", "d/3", "d0"] {
        put(engine, Space::Parts, key, "x").await;
    }
    let all = || KeyRange::prefix("d/");
    let row = |key: &'static str| Entry {
        key: key.into(),
        value: "x".into(),
    };
    let mut first = Batch::new();
    first
        .put(Space::Parts, "d/4", "x")
        .delete_range(Space::Parts, "d/".into().."d/2".into())
        .put(Space::Parts, "d/11", "x");
    let mut rest = Batch::new();
    let left = ["d/11", "d/2", "d/3", "d/4"].map(row).to_vec();
    rest.assert_rows(Space::Parts, all(), left)
        .assert_absent(Space::Parts, "d/1")
        .delete_range(Space::Parts, "d/".into().."d0".into());
    let mut stale = Batch::new();
    stale
        .assert_unchanged(Space::Parts, "d/2", Some("x".into()))
        .put(Space::Parts, "d/5", "x");
    let mut last = Batch::lazy();
    last.assert_empty(Space::Parts, all())
        .put(Space::Parts, "d/6", "x");
    let sent = [first, rest, stale, last].map(|batch| engine.commit(batch));
    let done = join_all(sent).await;
    let done: Vec<_> = done.iter().map(Result::is_ok).collect();
    assert_eq!(done, [true, true, false, true]);
    let left = scan(engine, Space::Parts, KeyRange::prefix("d"), 9)
        .await
        .unwrap();
    assert_eq!(left, ["d", "d/6", "d0"].map(row));
}

/// Batches that are sent at once and each stand on what the one before did: wherever a group of them
/// ends, each sees all that came before it.
async fn the_rows_of_a_range_are_asserted(engine: &dyn MetaEngine) {
    let names = ["r/1", "r/2", "r/3"];
    put(engine, Space::Layouts, "r", "outside").await;
    put(engine, Space::Layouts, "r0", "outside").await;
    put(engine, Space::Layouts, "r/2", "0").await;
    // In turn each name is there, with another value, or not.
    let state = |turn: usize| {
        let is_there = move |(at, _name): &(usize, &&str)| match turn {
            0 => *at == 1,
            turn => (turn >> at) & 1 == 1,
        };
        let rows = names.iter().enumerate().filter(is_there);
        let row = move |(_at, name): (usize, &&'static str)| Entry {
            key: Bytes::from_static(name.as_bytes()),
            value: turn.to_string().into(),
        };
        rows.map(row).collect::<Vec<_>>()
    };
    let step = |turn: usize, sees: usize| {
        let mut batch = Batch::new();
        batch.assert_rows(Space::Layouts, KeyRange::prefix("r/"), state(sees));
        for name in names {
            batch.delete(Space::Layouts, name);
        }
        for Entry { key, value } in state(turn) {
            batch.put(Space::Layouts, key, value);
        }
        batch
    };
    let turns = (1..40).map(|turn| engine.commit(step(turn, turn - 1)));
    let stale = (1..40).map(|turn| engine.commit(step(turn + 100, turn + 50)));
    let both = turns.zip(stale).flat_map(|(turn, stale)| [turn, stale]);
    for (at, outcome) in join_all(both.collect::<Vec<_>>()).await.iter().enumerate() {
        let fits = at.is_multiple_of(2);
        assert_eq!(outcome.is_ok(), fits, "{at}: {outcome:?}");
    }
}
