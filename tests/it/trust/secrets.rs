//! No secret on the disk in plain, and none in any log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::holders;
use crate::raw::form;
use crate::raw::wire::{Ask, Signer, UNSIGNED, ready_with, sha256};
use crate::raw::{chunks, signature_v2, sts};
use crate::receiver;
use crate::support::{SECRET_KEY, Server};

fn consign(server: &Server, arguments: &[&str]) -> Value {
    let output = server.command(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn the_disk_holds_no_secret_of_a_key_and_a_new_master_key_opens_it() {
    let master = |byte: u8| STANDARD.encode([byte; 32]);
    let first = format!("[encryption]\nmaster_key = \"{}\"\n", master(1));
    let mut server = Server::start_with(&first).await;
    let made = consign(&server, &["keys", "add", "app"]);
    let chosen = "chosen/by+its/owner";
    let add = [
        "keys",
        "add",
        "own",
        "--access-key",
        "CKOWN",
        "--secret-key",
        chosen,
    ];
    consign(&server, &add);
    let before = consign(&server, &["keys", "rotate", "app"]);
    consign(&server, &["keys", "disable", "own"]);
    let signer = Signer {
        access_key: text(&made, "access_key"),
        secret: text(&before, "secret_key"),
        ..sts::root()
    };
    let session = sts::assume(&server, &signer, "app", None).await;
    server.ask_to_stop();
    server.ended().await;
    for secret in [
        &text(&made, "secret_key"),
        &signer.secret,
        chosen,
        SECRET_KEY,
    ] {
        let found = holders(&server.data_folder(), secret.as_bytes());
        assert!(found.is_empty(), "{secret} is in {found:?}");
    }
    // Public halves are found: the search can find.
    let found = holders(&server.data_folder(), signer.access_key.as_bytes());
    assert!(!found.is_empty());

    // The master key is changed: once beside the old one, then alone.
    let both = format!(
        "[encryption]\nmaster_key = \"{}\"\nprevious_master_keys = [\"{}\"]\n",
        master(2),
        master(1)
    );
    let second = format!("[encryption]\nmaster_key = \"{}\"\n", master(2));
    for configuration in [both, second] {
        server.restart_with(&configuration).await;
        server
            .client()
            .create_bucket()
            .bucket("raw")
            .send()
            .await
            .ok();
        let ask = Ask::new(&server, "PUT", "/raw/k").body(b"x");
        let by_key = Signer {
            service: "s3",
            ..signer.clone()
        };
        let signed = ask.authorized(&by_key, &sha256(b"x")).0;
        signed.expect(&server, 200, "").await;
        let by_session = sts::put_url(&server, &session, "k");
        by_session.expect(&server, 200, "").await;
        server.ask_to_stop();
        server.ended().await;
    }
    // With another one alone the keys are refused, and not lost.
    let third = format!("[encryption]\nmaster_key = \"{}\"\n", master(3));
    server.restart_with(&third).await;
    let by_key = Signer {
        service: "s3",
        ..signer
    };
    let ask = |server: &Server| {
        Ask::new(server, "GET", "/raw")
            .authorized(&by_key, UNSIGNED)
            .0
    };
    ask(&server)
        .expect(&server, 403, "InvalidAccessKeyId")
        .await;
    server.logs("a key's secret can't be read").await;
    let rotated = consign(&server, &["keys", "rotate", "app"]);
    let renewed = Signer {
        secret: text(&rotated, "secret_key"),
        ..by_key.clone()
    };
    let again = Ask::new(&server, "GET", "/raw").authorized(&renewed, UNSIGNED);
    again.0.expect(&server, 200, "").await;
}

/// What must be in no log, by what it is.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: &str) {
        assert!(secret.len() >= 8, "{what}: {secret}");
        self.0.push((what, secret.to_owned()));
    }

    /// The signature of a request, wherever it stands in it.
    fn of(&mut self, what: &'static str, ask: &Ask) {
        let in_query = ask
            .query
            .iter()
            .filter(|(name, _)| name.ends_with("ignature"));
        for (_name, value) in in_query {
            self.add(what, value);
        }
        let header = ask.headers.iter().find(|(name, _)| name == "authorization");
        if let Some((_name, value)) = header {
            let mark = ["Signature=", ":"]
                .into_iter()
                .find_map(|mark| value.split_once(mark));
            self.add(what, mark.unwrap().1);
        }
    }
}

/// A form with a signature, good or not.
fn posted(server: &Server, by: &Signer, secrets: &mut Secrets) -> Ask {
    let conditions = [json!(["starts-with", "$key", ""])];
    let fields = form::fields_by(by, &conditions, 600, &[("key", "form")]);
    for (name, value) in &fields {
        if name.ends_with("signature") {
            secrets.add("a form's signature", value);
        }
    }
    form::ask(server, &fields, b"file", "")
}

fn oss_headers(by: &Signer) -> (String, String) {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let date = jiff::Timestamp::now()
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    let text = format!("GET\n\n\n{date}\n/raw/form");
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(by.secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    (date, STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn no_log_holds_a_secret_a_signature_or_a_token() {
    let configuration = format!(
        "dialects = [\"oss\"]\nsignature_v2 = true\n[log]\nlevel = \"trace\"\n[oss]\n\
         callback_urls = [\"http://127.0.0.1:1/\"]\n[[callback.endpoint]]\nname = \"app\"\n\
         url = \"http://127.0.0.1:1/hooks\"\nsecrets = [\"{}\"]\n[[callback.rule]]\n\
         endpoint = \"app\"\nbucket = \"raw\"\nevents = [\"s3:ObjectCreated:*\"]\n",
        receiver::SECRET
    );
    let mut server = ready_with(&configuration).await;
    let mut secrets = Secrets::default();
    secrets.add("the root key", SECRET_KEY);
    secrets.add("a callback's secret", receiver::SECRET);
    secrets.add(
        "a callback's secret, bare",
        receiver::SECRET.trim_start_matches("whsec_"),
    );
    let made = consign(&server, &["keys", "add", "app"]);
    secrets.add("a made key", &text(&made, "secret_key"));
    let add = |secret| {
        [
            "keys",
            "add",
            "own",
            "--access-key",
            "CKOWN",
            "--secret-key",
            secret,
        ]
    };
    consign(&server, &add("chosen/by+its/owner"));
    secrets.add("a chosen key", "chosen/by+its/owner");
    let refused = server.command(&add("another/one+that"));
    assert!(!refused.status.success());
    secrets.add("a key that was refused", "another/one+that");
    let rotated = consign(&server, &["keys", "rotate", "app"]);
    secrets.add("a rotated key", &text(&rotated, "secret_key"));
    let good = Signer {
        access_key: text(&made, "access_key"),
        secret: text(&rotated, "secret_key"),
        ..Signer::now()
    };
    let wrong = Signer {
        secret: "not/the+secret/of/this/key".to_owned(),
        ..good.clone()
    };
    let nobody = Signer {
        access_key: "CKNOBODY".to_owned(),
        ..good.clone()
    };
    let session = sts::assume(&server, &sts::root(), "app", None).await;
    secrets.add("a session's secret", &session.signer.secret);
    secrets.add("a session's token", &session.token[..40]);
    let by_session = sts::put_url(&server, &session, "k");
    secrets.of("a session's signature", &by_session);
    by_session.expect(&server, 200, "").await;
    let sealing = STANDARD.encode([7; 32]);
    let digest = {
        use md5::Digest as _;
        STANDARD.encode(md5::Md5::digest([7; 32]))
    };
    secrets.add("a client's own key", &sealing);
    for (by, status) in [(&good, 200), (&wrong, 403), (&nobody, 403)] {
        let get = || Ask::new(&server, "PUT", "/raw/k").body(b"hello");
        let sealed = get()
            .header("x-amz-server-side-encryption-customer-algorithm", "AES256")
            .header("x-amz-server-side-encryption-customer-key", &sealing)
            .header("x-amz-server-side-encryption-customer-key-md5", &digest);
        let mut asks = vec![
            get().authorized(by, &sha256(b"hello")).0,
            sealed.authorized(by, UNSIGNED).0,
            get().presigned(by, "600"),
        ];
        let mut late = get().presigned(by, "600");
        late.query
            .push(("x-amz-acl".to_owned(), "private".to_owned()));
        asks.push(late);
        for (at, ask) in asks.iter().enumerate() {
            secrets.of("a signature", ask);
            let answer = ask.send(&server).await;
            let expected = if at == 3 { 403 } else { status };
            assert_eq!(answer.status, expected, "{ask:?} {answer:?}");
        }
        posted(&server, by, &mut secrets).send(&server).await;
        let (date, signature) = oss_headers(by);
        secrets.add("a signature of OSS", &signature);
        let of_oss = Ask::new(&server, "GET", "/raw/form")
            .header("date", &date)
            .header(
                "authorization",
                &format!("OSS {}:{signature}", by.access_key),
            );
        assert_eq!(of_oss.send(&server).await.status, status);
    }
    // An STS that refuses logs it, below the level of what is told of every request.
    let stranger = Signer {
        secret: wrong.secret.clone(),
        ..sts::root()
    };
    let refused = sts::signed(sts::call(&server, "GetCallerIdentity", &[]), &stranger);
    secrets.of("a signature for STS", &refused);
    assert_eq!(refused.send(&server).await.status, 403);
    for ask in [
        signature_v2::by_header(&server, "/raw"),
        signature_v2::by_query(&server, "/raw"),
    ] {
        secrets.of("a signature of Version 2", &ask);
        ask.expect(&server, 200, "").await;
    }
    let chunked = chunks::signed(&server, &[b"hello", b"world"], None);
    secrets.of("a seed", &chunked);
    chunked.expect(&server, 200, "").await;
    let mut spoiled = chunks::signed(&server, &[b"hello", b"world"], None);
    let len = spoiled.body.len();
    spoiled.body[len - 100] ^= 1;
    spoiled.send(&server).await;
    let presigned = Ask::new(&server, "GET", "/raw/k").presigned(&wrong, "600");
    let query: Vec<_> = presigned
        .query
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    let url = format!("{}/raw/k?{}", server.endpoint, query.join("&"));
    let explained = server.command(&["explain", &url]);
    let told = [explained.stdout, explained.stderr].concat();
    let refusals = server.command(&["explain", "--list"]);
    let told = [told, refusals.stdout, refusals.stderr].concat();
    server.ask_to_stop();
    server.ended().await;
    let log = server.log();
    assert!(log.contains("\"level\":\"TRACE\"") || log.contains("\"level\":\"DEBUG\""));
    let told = String::from_utf8_lossy(&told).into_owned();
    for (what, secret) in &secrets.0 {
        for (place, text) in [("the log", &log), ("explain", &told)] {
            let at = text.find(secret.as_str());
            let around = at.map(|at| &text[at.saturating_sub(200)..at]);
            assert_eq!(around, None, "{place} holds {what}");
        }
        // The audit and the access logs lie in the folder.
        let found = holders(&server.data_folder(), secret.as_bytes());
        let logs = found.iter().filter(|path| !path.ends_with("root-key.json"));
        assert_eq!(logs.count(), 0, "{what} is in {found:?}");
    }
}
