//! The audit log: what is in it, and what is found out.

use serde_json::Value;

use crate::raw::wire::{Ask, Signer, UNSIGNED, ready};
use crate::support::Server;

fn consign(server: &Server, arguments: &[&str]) -> (bool, String) {
    let output = server.command(arguments);
    let told = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&told).into_owned(),
    )
}

fn lines(server: &Server) -> Vec<Value> {
    let (done, told) = consign(server, &["audit", "list", "--last", "1000", "--json"]);
    assert!(done, "{told}");
    told.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn of<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

#[tokio::test]
async fn changes_and_refusals_are_in_the_log_and_reads_are_not() {
    let mut server = ready().await;
    assert!(consign(&server, &["keys", "add", "app", "--bucket", "raw"]).0);
    assert!(consign(&server, &["keys", "list"]).0);
    assert!(!consign(&server, &["keys", "disable", "nobody"]).0);
    assert!(consign(&server, &["quota", "raw", "--bytes", "10GiB"]).0);
    let client = server.client();
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
        "Action":"s3:GetObject","Resource":"arn:aws:s3:::raw/*"}]}"#;
    client
        .put_bucket_policy()
        .bucket("raw")
        .policy(policy)
        .send()
        .await
        .unwrap();
    client.list_objects_v2().bucket("raw").send().await.unwrap();
    let held = client.put_object_legal_hold().bucket("raw").key("none");
    held.send().await.unwrap_err();
    let wrong = Signer {
        secret: "not/the+secret".to_owned(),
        ..Signer::now()
    };
    let refused = Ask::new(&server, "GET", "/raw/secret")
        .authorized(&wrong, UNSIGNED)
        .0;
    let told = refused.expect(&server, 403, "SignatureDoesNotMatch").await;
    let request = told.header("x-amz-request-id").unwrap().to_owned();
    let stranger = Ask::new(&server, "DELETE", "/raw/secret");
    stranger.expect(&server, 403, "AccessDenied").await;
    // Another change is answered once all before it are written.
    assert!(consign(&server, &["keys", "rotate", "app"]).0);

    let all = lines(&server);
    let admin = of(&all, "admin");
    let done: Vec<_> = admin
        .iter()
        .map(|line| {
            (
                line["operation"].as_str().unwrap(),
                line["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        done,
        [
            ("POST keys", 200),
            ("POST keys/disable", 404),
            ("PUT quotas/raw", 200),
            ("POST keys/rotate", 200)
        ],
        "{admin:?}"
    );
    assert_eq!(admin[0]["about"]["name"], "app");
    assert_eq!(
        (&admin[0]["name"], &admin[0]["client"]),
        (&"root".into(), &"127.0.0.1".into())
    );
    assert_eq!(of(&all, "asked").len(), 4);
    let buckets = of(&all, "bucket");
    let done: Vec<_> = buckets
        .iter()
        .map(|line| line["operation"].as_str().unwrap())
        .collect();
    assert_eq!(done, ["CreateBucket", "PutBucketPolicy"]);
    let objects = of(&all, "object");
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert_eq!(objects[0]["operation"], "PutObjectLegalHold");
    assert_eq!(objects[0]["about"]["key"], "none");
    let denied = of(&all, "denied");
    assert_eq!(denied.len(), 2, "{denied:?}");
    assert_eq!(denied[0]["code"], "SignatureDoesNotMatch");
    assert_eq!(denied[0]["request"], request.as_str());
    assert_eq!(denied[1]["method"], "DELETE");

    let (good, told) = consign(&server, &["audit", "verify"]);
    assert!(good && told.contains("Nobody tampered"), "{told}");
    // A kill loses nothing that was answered.
    assert!(consign(&server, &["keys", "enable", "app"]).0);
    server.kill();
    let (good, told) = consign(&server, &["audit", "verify"]);
    assert!(good, "{told}");
    assert_eq!(of(&lines(&server), "admin").len(), 5);
}

#[tokio::test]
async fn who_takes_a_line_out_is_found_out() {
    let mut server = ready().await;
    assert!(consign(&server, &["keys", "add", "app"]).0);
    server.ask_to_stop();
    server.ended().await;
    let folder = server.data_folder().join("audit");
    let file = std::fs::read_dir(folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = whole.split_inclusive('\n').collect();
    let cut = lines[..lines.len() - 1].concat();
    let out = [lines[..1].concat(), lines[2..].concat()].concat();
    for (text, says) in [
        (cut, "are missing"),
        (out, "line 2: it does not follow"),
        (whole.replace("\"app\"", "\"abb\""), "it was changed"),
    ] {
        std::fs::write(&file, text).unwrap();
        let (good, told) = consign(&server, &["audit", "verify"]);
        assert!(!good && told.contains(says), "{says}: {told}");
    }
    std::fs::write(&file, &whole).unwrap();
    let (good, told) = consign(&server, &["audit", "verify"]);
    assert!(good, "{told}");
    let copy = server.data_folder().join("copy.jsonl");
    std::fs::write(&copy, &whole).unwrap();
    let (good, told) = consign(&server, &["audit", "verify", copy.to_str().unwrap()]);
    assert!(good, "{told}");
}
