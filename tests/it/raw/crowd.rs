//! Many clients that do nothing: they cost little, and the others are served.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::types::{BucketLoggingStatus, LoggingEnabled};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::wire::{Ask, Signer, UNSIGNED, ready_with};
use crate::support::{Server, bytes_of, plain_http, until};

const PATIENCE: Duration = Duration::from_secs(60);
const CROWD: u64 = 1000;
const MIB: u64 = 1024;

/// This process needs a file for each of its ends of the connections.
fn raise_open_files() -> u64 {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    maximum.unwrap_or(u64::MAX)
}

/// What the kernel tells of a process: `VmRSS` in KiB, `Threads`.
fn status(server: &Server, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

async fn open(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.authority()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

#[tokio::test]
async fn a_thousand_idle_connections_and_a_thousand_half_sent_uploads_cost_little() {
    let crowd = CROWD.min((raise_open_files() - 500) / 4);
    let server = ready_with("[limits]\nidle_seconds = 300\nbody_idle_seconds = 300\n").await;
    let client = server.client();
    let before = status(&server, "VmRSS:");

    let mut idle = Vec::new();
    for _connection in 0..crowd {
        let mut stream = open(&server, b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        idle.push(stream);
    }
    let of_idle = status(&server, "VmRSS:").saturating_sub(before);

    let half = bytes_of(1, 100_000);
    let mut sending = Vec::new();
    for number in 0..crowd {
        let ask = Ask::new(&server, "PUT", &format!("/raw/half/{number}"))
            .header("content-length", "200000");
        let head = ask.authorized(&Signer::now(), UNSIGNED).0.bytes(false);
        let mut stream = open(&server, &head).await;
        stream.write_all(&half).await.unwrap();
        sending.push(stream);
    }
    let staging = server.data_folder().join("blobs/tmp");
    let all = usize::try_from(crowd).unwrap();
    until("the uploads are staged", async || files_in(&staging) == all).await;
    let of_both = status(&server, "VmRSS:").saturating_sub(before);
    let threads = status(&server, "Threads:");

    // While they all hold on, others are served.
    for len in [10, 3_000_000] {
        let body = bytes_of(2, len);
        let put = client.put_object().bucket("raw").key("served");
        put.body(body.clone().into()).send().await.unwrap();
        let got = client.get_object().bucket("raw").key("served");
        let got = got.send().await.unwrap().body.collect().await.unwrap();
        assert!(got.into_bytes() == body);
    }
    eprintln!(
        "{crowd} idle: {of_idle} KiB, and as many half-sent: {of_both} KiB, {threads} threads"
    );
    assert!(of_idle < 40 * MIB, "{of_idle} KiB for {crowd} idle ones");
    assert!(of_both < 300 * MIB, "{of_both} KiB for both");
    assert!(threads < 160, "{threads} threads");

    // Those who go on are heard, those who went away leave nothing.
    let mut last = sending.pop().unwrap();
    last.write_all(&half).await.unwrap();
    let mut answer = [0; 15];
    last.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    drop(sending);
    until("what was given up goes", async || files_in(&staging) == 0).await;
}

/// Has the records of the bucket's requests delivered to another.
async fn log_requests(server: &Server) {
    let client = server.client();
    let made = client.create_bucket().bucket("records").send().await;
    made.unwrap();
    let to = LoggingEnabled::builder().target_bucket("records");
    let to = to.target_prefix("").build().unwrap();
    let status = BucketLoggingStatus::builder().logging_enabled(to).build();
    let put = client.put_bucket_logging().bucket("raw");
    put.bucket_logging_status(status).send().await.unwrap();
}

#[tokio::test]
async fn requests_beyond_the_limit_are_told_to_slow_down_and_the_operator_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let server = ready_with(&format!(
        "[limits]\nrequests = 1\n[logging]\nseconds = 1\n[access_log]\nfile = \"{}\"\n",
        log.display()
    ))
    .await;
    log_requests(&server).await;
    let put = |path: &str, sent: &str| {
        let ask = Ask::new(&server, "PUT", path).header("content-length", "6");
        let mut bytes = ask.authorized(&Signer::now(), UNSIGNED).0.bytes(false);
        bytes.extend_from_slice(sent.as_bytes());
        bytes
    };
    // Answered only with its second half: until then it takes the one place there is.
    let head = "PUT /raw/slow HTTP/1.1\r\nexpect: 100-continue\r\n";
    let mut slow = put("/raw/slow", "");
    let first_line = slow.iter().position(|byte| *byte == b'\n').unwrap();
    slow.splice(..=first_line, head.bytes());
    let mut slow = open(&server, &slow).await;
    let mut leave = [0; 25];
    slow.read_exact(&mut leave).await.unwrap();
    assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");

    let mut refused = String::new();
    let mut second = open(&server, &put("/raw/second", "abc")).await;
    second.read_to_string(&mut refused).await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("<Code>SlowDown</Code>"), "{refused}");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    let healthy = plain_http().get(format!("{}/-/healthy", server.endpoint));
    assert_eq!(healthy.send().await.unwrap().status(), 200);
    assert!(server.command(&["status"]).status.success());

    slow.write_all(b"abcdef").await.unwrap();
    let mut answer = [0; 15];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    recorded(&server, &log).await;
}

/// Waits for the record of the second request, in the operator's file and in the bucket of its own bucket's
/// records, where the owner is known.
async fn recorded(server: &Server, log: &Path) {
    let told = |text: &str| {
        let mut lines = text.lines().map(str::to_owned);
        let line = lines.find(|line| line.contains(" REST.PUT.OBJECT second "))?;
        assert!(line.contains(" 503 SlowDown "), "{line}");
        assert!(line.contains("\"PUT /raw/second HTTP/1.1\""), "{line}");
        Some(line)
    };
    let client = server.client();
    let both = async {
        let in_file = loop {
            match told(&std::fs::read_to_string(log).unwrap_or_default()) {
                Some(line) => break line,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        assert!(in_file.starts_with("- raw ["), "{in_file}");
        loop {
            let listed = client.list_objects_v2().bucket("records").send().await;
            for object in listed.unwrap().contents() {
                let got = client.get_object().bucket("records");
                let got = got.key(object.key().unwrap()).send().await.unwrap();
                let text = got.body.collect().await.unwrap().to_vec();
                if let Some(line) = told(std::str::from_utf8(&text).unwrap()) {
                    return line;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let delivered = tokio::time::timeout(PATIENCE, both).await.unwrap();
    let (owner, _) = delivered.split_once(' ').unwrap();
    assert_eq!(owner.len(), 64, "{delivered}");
}
