//! Accounts over an engine in memory.

use super::*;
use crate::clock::SystemClock;
use crate::store::meta::memory::MemoryEngine;

async fn open(meta: &Arc<MemoryEngine>) -> Arc<Accounts> {
    let meta: Arc<dyn MetaEngine> = Arc::<MemoryEngine>::clone(meta);
    Accounts::open(meta, Arc::new(SystemClock)).await.unwrap()
}

fn named(name: &str) -> NewAccount {
    NewAccount {
        name: name.into(),
        ..NewAccount::default()
    }
}

#[tokio::test]
async fn an_account_is_found_by_each_of_its_words_and_outlives_a_restart() {
    let meta = Arc::new(MemoryEngine::new());
    let accounts = open(&meta).await;
    let new = NewAccount {
        id: Some("ab".repeat(32)),
        email: Some("Ann@Example.com".into()),
        ..named("Ann")
    };
    let made = accounts.add(new).await.unwrap();
    assert!(made.number.len() == 12 && made.number.bytes().all(|b| b.is_ascii_digit()));
    assert_eq!(made.arn(), format!("arn:aws:iam::{}:root", made.number));
    for accounts in [&accounts, &open(&meta).await] {
        for word in [
            &made.id,
            &made.number,
            "Ann",
            "ann@example.com",
            "ANN@example.COM",
        ] {
            assert_eq!(accounts.find(word).as_ref(), Some(&made), "{word}");
        }
        assert_eq!(accounts.by_id(&made.id).as_ref(), Some(&made));
        assert_eq!(accounts.by_number(&made.number).as_ref(), Some(&made));
        assert_eq!(accounts.by_email("ann@EXAMPLE.com").as_ref(), Some(&made));
        let elsewhere = [
            accounts.by_id("Ann"),
            accounts.by_number(&made.id),
            accounts.by_email("Ann"),
        ];
        assert_eq!(elsewhere, [None, None, None]);
        assert_eq!(
            accounts.list(),
            [Arc::clone(&made), Arc::clone(accounts.root())]
        );
    }
    assert_eq!(open(&meta).await.root(), accounts.root());
}

#[tokio::test]
async fn the_owner_of_an_older_store_becomes_an_account() {
    let meta = Arc::new(MemoryEngine::new());
    let id = "0c".repeat(32);
    let mut batch = Batch::new();
    batch.put(Space::System, OWNER, encode(&id).unwrap());
    meta.commit(batch).await.unwrap();
    let accounts = open(&meta).await;
    assert_eq!(accounts.root().id, id);
    assert_eq!(accounts.by_id(&id).as_ref(), Some(accounts.root()));
}

#[tokio::test]
async fn a_taken_word_or_an_unfit_one_makes_no_account() {
    let accounts = open(&Arc::new(MemoryEngine::new())).await;
    let new = NewAccount {
        id: Some("ab".repeat(32)),
        email: Some("ann@example.com".into()),
        ..named("Ann")
    };
    accounts.add(new.clone()).await.unwrap();
    let other = |id: Option<String>, email: Option<&str>, name: &str| NewAccount {
        id,
        email: email.map(str::to_owned),
        name: name.to_owned(),
    };
    for taken in [
        new,
        other(None, None, "Ann"),
        other(None, Some("ANN@example.com"), "Bob"),
        other(Some("ab".repeat(32)), None, "Bob"),
        other(None, None, ROOT_NAME),
        other(None, None, &"ab".repeat(32)),
    ] {
        let refused = accounts.add(taken.clone()).await;
        assert!(
            matches!(refused, Err(AccountError::AccountExists { .. })),
            "{taken:?}"
        );
    }
    for unfit in [
        other(None, None, ""),
        other(None, None, "a\nb"),
        other(Some("AB".repeat(32)), None, "Bob"),
        other(Some("ab".into()), None, "Bob"),
        other(None, Some("bob"), "Bob"),
        other(None, Some("b@o@b"), "Bob"),
    ] {
        let refused = accounts.add(unfit.clone()).await;
        assert!(
            matches!(refused, Err(AccountError::InvalidAccount { .. })),
            "{unfit:?}"
        );
    }
    assert_eq!(accounts.list().len(), 2);
}
