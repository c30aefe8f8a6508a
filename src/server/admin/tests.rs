//! The administration over engines in memory.

use super::*;
use crate::auth::{AuthSettings, KeyRing as _, Secret, sigv4};
use crate::callback::CallbackConfig;
use crate::clock::SystemClock;
use crate::s3::Reach;
use crate::store::blob::memory::MemoryBlobs;
use crate::store::keys::RootKey;
use crate::store::meta::memory::MemoryEngine;
use crate::store::seal::{MasterKey, MasterRing};
use crate::store::{NoHook, StoreSettings};

async fn admin() -> Admin {
    let meta = Arc::new(MemoryEngine::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let root = RootKey {
        access_key: "ROOTKEY".into(),
        secret: Secret::new("hush-hush"),
    };
    let accounts = Accounts::open(meta.clone(), clock.clone()).await.unwrap();
    let masters = MasterRing::new("1".into(), MasterKey::from_bytes([1; 32]));
    let keys = Keys::open(meta.clone(), clock.clone(), accounts.clone(), root, masters);
    let keys = keys.await.unwrap();
    let config = CallbackConfig::default();
    let callbacks = Callbacks::new(
        &config,
        meta.clone(),
        clock.clone(),
        tokio_util::sync::CancellationToken::new(),
    )
    .unwrap();
    let (blobs, hook) = (Arc::new(MemoryBlobs::new()), Arc::new(NoHook));
    let settings = StoreSettings::default();
    let store = ObjectStore::open(meta.clone(), blobs, clock.clone(), hook, settings);
    let reach = Arc::new(Reach::default());
    let auth = AuthSettings {
        region: "us-east-1".into(),
        service: sigv4::SERVICE,
        presign_seconds_max: 60,
        signature_v2: false,
    };
    Admin {
        meta: meta.clone(),
        refusals: Arc::default(),
        explainer: Arc::new(ArcSwap::from_pointee(Explainer::new(
            reach,
            keys.clone(),
            auth,
            "h:9000".into(),
        ))),
        orders: reload::orders().0,
        store: store.await.unwrap(),
        keys,
        accounts,
        callbacks,
        started: clock.now(),
        background: Background::default(),
        fsck: Arc::default(),
        backup: BackupJob::default(),
        source: None,
        certificates: Vec::new(),
        itself: Itself {
            data_dir: ".".into(),
            endpoint: "http://h:9000".into(),
            admin_endpoint: None,
            connections: crate::server::listen::Places::new(1),
            warnings: Vec::new(),
        },
        clock,
    }
}

async fn ask(admin: &Admin, line: &str, body: &Value) -> Result<Value, AdminError> {
    let (method, path) = line.split_once(' ').unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let method = method.parse().unwrap();
    admin
        .handle(method, path.into(), query.into(), body.into())
        .await
}

#[tokio::test]
async fn keys_are_made_and_changed() {
    let admin = admin().await;
    let add = json!({"name": "app", "read_only": true, "bucket": "uploads", "prefix": null});
    let made = ask(&admin, "POST keys", &add).await.unwrap();
    let access_key = made["access_key"].as_str().unwrap();
    assert_eq!(made["secret_key"].as_str().unwrap().len(), 40);
    for (path, disabled) in [("disable", true), ("enable", false)] {
        let line = format!("POST keys/{path}");
        let changed = ask(&admin, &line, &json!({"key": "app"})).await.unwrap();
        assert_eq!(
            (&changed["disabled"], changed.get("secret_key")),
            (&disabled.into(), None)
        );
        assert_eq!(admin.keys.find(access_key).unwrap().disabled, disabled);
    }
    let which = json!({"key": access_key});
    let rotated = ask(&admin, "POST keys/rotate", &which).await.unwrap();
    assert_ne!(rotated["secret_key"], made["secret_key"]);
    let listed = ask(&admin, "GET keys", &Value::Null).await.unwrap();
    let names: Vec<_> = listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["name"])
        .collect();
    assert_eq!(names, ["root", "app"]);
    assert!(!listed.to_string().contains("secret"));
    ask(&admin, "POST keys/remove", &which).await.unwrap();
    let gone = ask(&admin, "POST keys/remove", &which).await;
    assert!(matches!(gone, Err(AdminError::NotFound(_))), "{gone:?}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let admin = admin().await;
    for (line, body) in [
        ("POST keys", json!({"name": "x", "reed_only": true})),
        ("POST keys", json!({"name": ""})),
        ("POST keys/disable", json!({"key": "ROOTKEY"})),
        ("POST keys/disable", json!({})),
        ("GET callbacks?state=lost", Value::Null),
        ("GET callbacks?limit=many", Value::Null),
        ("GET callbacks/nonsense", Value::Null),
        ("POST callbacks/retry", json!({})),
    ] {
        let refused = ask(&admin, line, &body).await;
        assert!(
            matches!(refused, Err(AdminError::Invalid(_))),
            "{line} {body}: {refused:?}"
        );
    }
    let nowhere = format!("GET callbacks/{}", "0".repeat(32));
    for line in [
        "GET elsewhere",
        "PUT keys",
        "PUT callbacks",
        nowhere.as_str(),
    ] {
        let refused = ask(&admin, line, &Value::Null).await;
        assert!(
            matches!(refused, Err(AdminError::NotFound(_))),
            "{line}: {refused:?}"
        );
    }
    let none = ask(&admin, "GET callbacks?state=dead", &Value::Null)
        .await
        .unwrap();
    assert_eq!(none, json!({"callbacks": []}));
    let status = ask(&admin, "GET status", &Value::Null).await.unwrap();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_check_of_the_store_is_begun_once_and_asked_for() {
    let admin = admin().await;
    let none = ask(&admin, "GET fsck", &Value::Null).await;
    assert!(matches!(none, Err(AdminError::NotFound(_))), "{none:?}");
    let begun = ask(&admin, "POST fsck", &json!({"read_blobs": true}))
        .await
        .unwrap();
    assert_eq!(begun["running"], true);
    let twice = ask(&admin, "POST fsck", &json!({})).await;
    assert!(matches!(twice, Err(AdminError::Invalid(_))), "{twice:?}");
    admin.background.tasks.close();
    admin.background.tasks.wait().await;
    let done = ask(&admin, "GET fsck", &Value::Null).await.unwrap();
    assert_eq!(
        (&done["running"], &done["report"]["records"]),
        (&false.into(), &0.into())
    );
}
