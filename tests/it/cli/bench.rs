//! `consign bench` beside a real server: that it runs, not how fast.

use serde_json::Value;

use super::{get, refused, run};
use crate::certificates::{Authority, Files};
use crate::support::Server;

fn bench(server: &Server, line: &str) -> Vec<Value> {
    let line = format!("bench --seconds 0.2 --json {line}");
    let measured: Value = serde_json::from_str(&run(server, &line)).unwrap();
    measured["runs"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_kind_of_run_is_measured() {
    let server = Server::start().await;
    let runs = [
        "put:1KiB:2",
        "get:1KiB:2",
        "head:1MiB:1",
        "delete:100KiB:2",
        "list:1500:2",
        "listdir:1500:1",
        "multipart:11MiB:5MiB:2",
        "complete:30",
        "copy:6MiB",
    ];
    let pid = server.pid();
    let line = format!("--objects 16 --keep --pid {pid},{pid} {}", runs.join(" "));
    let measured = bench(&server, &line);
    for (run, name) in measured.iter().zip(runs) {
        assert_eq!(run["run"], name);
        assert!(run["requests"].as_u64() > Some(0), "{run}");
        assert!(run["operations_per_second"].as_f64() > Some(0.0), "{run}");
        assert!(run["p50_ms"].as_f64() <= run["p999_ms"].as_f64());
        assert!(run["server_peak_mib"].as_f64() > Some(0.0), "{run}");
    }
    assert_eq!(measured.len(), runs.len());
    assert!(measured[6]["complete"]["p50_ms"].as_f64() > Some(0.0));
    // What was written is gone, but for the bucket that is kept.
    let buckets = server.client().list_buckets().send().await.unwrap();
    for bucket in buckets.buckets() {
        let name = bucket.name().unwrap();
        let listed = server.client().list_objects_v2().bucket(name);
        let keys = listed.send().await.unwrap().key_count();
        let kept = if name == "consign-bench-1500" {
            1000
        } else {
            0
        };
        assert_eq!(keys, Some(kept), "{name}");
    }
}

#[tokio::test]
async fn puts_stream_as_sdks_do() {
    let server = Server::start().await;
    for form in ["signed", "chunks", "unsigned"] {
        let line = format!("--objects 3 --stream {form} put:300KiB:2 put:0B:1");
        for run in bench(&server, &line) {
            assert!(run["requests"].as_u64() > Some(0), "{form}: {run}");
        }
    }
}

#[tokio::test]
async fn a_wrong_key_list_is_found_out() {
    let server = Server::start().await;
    bench(&server, "--keep listdir:200:1");
    let client = server.client();
    let object = client.put_object().bucket("consign-bench-200");
    object.key("00/00000000005").send().await.unwrap();
    let told = refused(&server, "bench --seconds 0.2 --keep list:200:1");
    assert!(told.contains("not the 200 that are there"), "{told}");
}

#[tokio::test]
async fn nothing_is_signed_for_anonymous_runs() {
    let server = Server::start().await;
    let made = server.client().create_bucket().bucket("consign-bench");
    made.send().await.unwrap();
    let told = refused(&server, "bench --anonymous --seconds 0.2 put:1KiB:1");
    assert!(told.contains("403"), "{told}");
}

#[tokio::test]
async fn a_server_is_measured_over_tls_as_its_data_folder_knows_it() {
    let authority = Authority::new();
    let files = Files::new();
    files.put("a", &authority.sign(&["a.example"]));
    let server = Server::start_with(&format!("[tls]\n{}", files.settings(&["a"]))).await;
    let measured = bench(&server, "--objects 4 put:1KiB:1 get:100KiB:2");
    assert_eq!(measured.len(), 2);
    // Who is told the address by hand knows the certificate by an authority, or not at all.
    let port = server.endpoint.rsplit(':').next().unwrap();
    let line = format!("bench --seconds 0.2 --endpoint https://localhost:{port} put:1KiB:1");
    assert!(refused(&server, &line).contains("certificate"));
}

#[tokio::test]
async fn limits_of_the_machine_need_no_server() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let line = format!("--limits {}", folder.path().display());
    assert_eq!(bench(&server, &line).len(), 6);
}

#[tokio::test]
async fn a_soak_checks_every_byte_and_sees_what_the_server_takes() {
    let server = Server::start().await;
    let pid = server.pid();
    let line = format!("bench --soak 6 --slow 2 --seconds 3 --pid {pid} --json");
    let report: Value = serde_json::from_str(&run(&server, &line)).unwrap();
    assert_eq!(report["faults"], 0, "{report}");
    let done = |name: &str| {
        let rows = report["operations"].as_array().unwrap();
        let row = rows.iter().find(|row| row["operation"] == name);
        row.map_or(0, |row| row["count"].as_u64().unwrap())
    };
    for name in ["put", "get", "head", "delete"] {
        assert!(done(name) > 0, "{name}: {report}");
    }
    let seen = report["server"].as_array().unwrap();
    assert!(seen.iter().all(|at| at["open_files"].as_u64() > Some(0)));
}

#[tokio::test]
async fn a_bucket_is_filled_as_uploads_would() {
    let mut server = Server::start().await;
    let fill = "bench --fill 2300 --listed-bytes 100";
    assert!(refused(&server, fill).contains("is held by process"));
    bench(&server, "--keep --listed-bytes 100 list:200:1");
    server.ask_to_stop();
    assert!(server.ended().await.success());
    assert!(refused(&server, fill).contains("there is no bucket consign-bench-2300"));
    server.restart().await;
    let name = "consign-bench-2300";
    bench(&server, &format!("--bucket {name} --objects 1 put:0B:1"));
    server.ask_to_stop();
    assert!(server.ended().await.success());
    // A second time it changes nothing that shows.
    for _time in 0..2 {
        let told = bench(&server, "--fill 2300 --listed-bytes 100");
        assert_eq!(told[0]["objects"], 2300);
        assert!(run(&server, "fsck").contains("Nothing is wrong."));
    }
    server.restart().await;
    let client = server.client();
    let head = |bucket: &str, key: &str| client.head_object().bucket(bucket).key(key).send();
    let made = head(name, "99/0000002277").await.unwrap();
    let put = head("consign-bench-200", "99/0000000199").await.unwrap();
    assert_eq!(made.e_tag(), put.e_tag());
    assert_eq!(made.content_type(), put.content_type());
    assert_eq!(made.content_length(), Some(100));
    assert_eq!(get(&client, name, "00/0000000000").await, Ok(()));
    // Every key is compared; were one missing, it would be put, and the bytes of others differ.
    // What was there before a run is there after it.
    let line = "--listed-bytes 100 list:2300:2 listdir:2300:1";
    assert_eq!(bench(&server, line).len(), 2);
    let quota: Value =
        serde_json::from_str(&run(&server, &format!("quota {name} --json"))).unwrap();
    assert_eq!(
        (&quota["objects"], &quota["bytes"]),
        (&2300.into(), &230_000.into())
    );
}
