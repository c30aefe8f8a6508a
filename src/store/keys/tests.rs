//! Keys over an engine in memory.

use futures_util::FutureExt as _;

use super::*;
use crate::clock::SystemClock;
use crate::store::meta::memory::MemoryEngine;
use crate::store::seal::MasterKey;

async fn open(meta: &Arc<MemoryEngine>) -> Arc<Keys> {
    let root = RootKey {
        access_key: "ROOTKEY".into(),
        secret: Secret::new("hush-hush"),
    };
    let meta: Arc<dyn MetaEngine> = Arc::<MemoryEngine>::clone(meta);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let accounts = Accounts::open(meta.clone(), clock.clone()).await.unwrap();
    let masters = MasterRing::new("1".into(), MasterKey::from_bytes([1; 32]));
    Keys::open(meta, clock, accounts, root, masters)
        .await
        .unwrap()
}

fn named(name: &str) -> NewKey {
    NewKey {
        name: name.into(),
        ..NewKey::default()
    }
}

#[tokio::test]
async fn a_key_outlives_a_restart_and_so_does_the_owner() {
    let meta = Arc::new(MemoryEngine::new());
    let keys = open(&meta).await;
    let new = NewKey {
        read_only: true,
        bucket: Some("photos".into()),
        ..named("web")
    };
    let made = keys.add(new).await.unwrap();
    assert_eq!(
        (made.key.access_key.len(), made.secret.expose().len()),
        (20, 40)
    );
    let again = open(&meta).await;
    assert_eq!((again.owner(), again.owner().len()), (keys.owner(), 64));
    for ring in [keys, again] {
        let found = ring.find(&made.key.access_key).unwrap();
        assert_eq!(found.secret.expose(), made.secret.expose());
        assert_eq!((found.scope.read_only, found.root), (true, false));
        assert!(ring.find("ROOTKEY").unwrap().root);
        assert_eq!(ring.list().await.unwrap(), std::slice::from_ref(&made.key));
    }
}

#[tokio::test]
async fn a_key_is_switched_off_and_on_and_given_a_new_secret() {
    let keys = open(&Arc::new(MemoryEngine::new())).await;
    let made = keys.add(named("web")).await.unwrap();
    let access_key = &made.key.access_key;
    keys.disable("web").await.unwrap();
    assert!(keys.find(access_key).unwrap().disabled);
    keys.enable(access_key).await.unwrap();
    assert!(!keys.find(access_key).unwrap().disabled);
    let rotated = keys.rotate("web").await.unwrap();
    assert_ne!(rotated.secret.expose(), made.secret.expose());
    let found = keys.find(access_key).unwrap();
    assert_eq!(found.secret.expose(), rotated.secret.expose());
    let missing = keys.disable("nobody").await;
    assert!(matches!(missing, Err(KeyError::NoSuchAccessKey { .. })));
    assert!(matches!(
        keys.disable("ROOTKEY").await,
        Err(KeyError::RootKey)
    ));
}

#[tokio::test]
async fn a_taken_word_or_an_unfit_one_makes_no_key() {
    let keys = open(&Arc::new(MemoryEngine::new())).await;
    let own = NewKey {
        access_key: Some("MINE".into()),
        ..named("web")
    };
    keys.add(own.clone()).await.unwrap();
    for (access_key, name) in [
        ("MINE", "other"),
        ("OTHER", "web"),
        ("web", "other"),
        ("OTHER", "MINE"),
        ("ROOTKEY", "other"),
        ("OTHER", "root"),
    ] {
        let new = NewKey {
            access_key: Some(access_key.into()),
            ..named(name)
        };
        let refused = keys.add(new).await;
        assert!(
            matches!(refused, Err(KeyError::KeyExists { .. })),
            "{access_key} {name}"
        );
    }
    let slash = NewKey {
        access_key: Some("a/b/c".into()),
        ..named("x")
    };
    let short = NewKey {
        secret_key: Some(Secret::new("short")),
        ..named("x")
    };
    let bucket = NewKey {
        bucket: Some("NO".into()),
        ..named("x")
    };
    for new in [named(""), slash, short, bucket] {
        assert!(matches!(
            keys.add(new).await,
            Err(KeyError::InvalidKey { .. })
        ));
    }
    assert_eq!(keys.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_that_is_removed_frees_its_name() {
    let meta = Arc::new(MemoryEngine::new());
    let keys = open(&meta).await;
    let made = keys.add(named("web")).await.unwrap();
    keys.remove("web").await.unwrap();
    assert!(keys.find(&made.key.access_key).is_none());
    let again = keys.remove(&made.key.access_key).await;
    assert!(matches!(again, Err(KeyError::NoSuchAccessKey { .. })));
    keys.add(named("web")).await.unwrap();
    assert!(open(&meta).await.find(&made.key.access_key).is_none());
}

#[tokio::test]
async fn a_change_whose_caller_goes_away_reaches_the_ring() {
    let keys = open(&Arc::new(MemoryEngine::new())).await;
    let made = keys.add(named("web")).await.unwrap();
    assert!(
        keys.disable("web").now_or_never().is_none(),
        "it is under way"
    );
    while !keys.find(&made.key.access_key).unwrap().disabled {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_keys_policy_is_judged_when_it_is_made_and_kept() {
    let meta = Arc::new(MemoryEngine::new());
    let keys = open(&meta).await;
    let with = |policy: &str| NewKey {
        policy: Some(policy.into()),
        ..named("web")
    };
    let valid = r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
    for policy in [
        "",
        "{}",
        r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}}"#,
    ] {
        let refused = keys.add(with(policy)).await;
        let invalid = matches!(refused, Err(KeyError::InvalidPolicy(_)));
        assert!(invalid, "{policy}: {refused:?}");
    }
    let blanks = format!("{}{valid}", " ".repeat(40 * 1024));
    let refused = keys.add(with(&blanks)).await;
    assert!(matches!(refused, Err(KeyError::InvalidKey { .. })));
    let made = keys.add(with(valid)).await.unwrap();
    assert_eq!(made.key.policy.as_deref(), Some(valid));
    keys.rotate("web").await.unwrap();
    for ring in [open(&meta).await, keys] {
        let found = ring.find(&made.key.access_key).unwrap();
        assert_eq!(found.policy.as_ref().unwrap().text(), valid);
    }
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_allows_nothing() {
    let meta = Arc::new(MemoryEngine::new());
    let keys = open(&meta).await;
    let made = keys.add(named("web")).await.unwrap();
    let (_raw, mut record) = keys.stored("web").await.unwrap().unwrap();
    record.policy = Some("{".into());
    let mut batch = Batch::new();
    let at = row(KEY_ROW, &made.key.access_key);
    batch.put(Space::Keys, at, encode(&record).unwrap());
    keys.meta.commit(batch).await.unwrap();
    let found = open(&meta).await.find(&made.key.access_key).unwrap();
    assert!(found.disabled);
}

#[tokio::test]
async fn a_key_acts_for_its_account() {
    let meta = Arc::new(MemoryEngine::new());
    let keys = open(&meta).await;
    let new = crate::store::accounts::NewAccount {
        name: "Ann".into(),
        ..Default::default()
    };
    let ann = keys.accounts.add(new).await.unwrap();
    let of = |account: &str, name: &str| NewKey {
        account: Some(account.into()),
        ..named(name)
    };
    let made = keys.add(of("Ann", "web")).await.unwrap();
    assert_eq!(made.key.owner, ann.id);
    let found = open(&meta).await.find(&made.key.access_key).unwrap();
    assert_eq!(found.owner, ann.id);
    keys.rotate("web").await.unwrap();
    assert_eq!(keys.find(&made.key.access_key).unwrap().owner, ann.id);
    let nobody = keys.add(of("Bob", "other")).await;
    assert!(matches!(nobody, Err(KeyError::NoSuchAccount { .. })));
}
