//! Clients that others wrote, unmodified, over a real socket. `scripts/test` installs them.

mod active;
mod deploy;
mod pages;
mod prometheus;
mod proxies;
mod verify;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::certificates::{Authority, Files};
use crate::support::{ACCESS_KEY, REGION, SECRET_KEY, Server};

fn clients() -> PathBuf {
    let folder = std::env::var_os("CONSIGN_TEST_CLIENTS").map_or_else(
        || {
            let home = std::env::var_os("HOME").expect("HOME is set");
            Path::new(&home).join(".cache/consign-test-clients")
        },
        PathBuf::from,
    );
    let needed = [
        "venv/requirements.txt",
        "js/installed.json",
        "pages/python/requirements.txt",
        "pages/web/installed.json",
        "pages/node/installed.json",
        "pages/test/installed.json",
        "lint/python/requirements.txt",
        "lint/node/installed.json",
    ];
    for one in needed {
        assert!(
            folder.join(one).exists(),
            "the foreign clients lack {one}: run scripts/test, which installs them"
        );
    }
    folder
}

async fn run(program: &str, script: &str) {
    run_with("", program, script).await;
}

/// Runs the client against a server of this configuration.
async fn run_with(configuration: &str, program: &str, script: &str) {
    let server = Server::start_with(configuration).await;
    run_against(&server, program, script, &[]);
}

/// Runs the client against that server, and tells it more.
fn run_against(server: &Server, program: &str, script: &str, more: &[(&str, String)]) {
    let clients = clients();
    let work = tempfile::TempDir::new().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/foreign")
        .join(script);
    let path = format!(
        "{}:{}",
        clients.join("venv/bin").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new(program)
        .arg(&script)
        .current_dir(work.path())
        .env("PATH", path)
        .env("NODE_PATH", clients.join("js/node_modules"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_REGION", REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        // The tester's own ~/.aws and ~/.s3cfg must not take part.
        .env("HOME", work.path())
        // rclone refuses to start with a CA bundle of the tester's; tests of TLS bring their own.
        .env_remove("AWS_CA_BUNDLE")
        .env("CONSIGN_ENDPOINT", &server.endpoint)
        .env("CONSIGN_WORK", work.path())
        .envs(more.iter().cloned())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}\n{}\n{}",
        script.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn boto3() {
    run("python3", "boto.py").await;
}

/// An address of this process's own on the loopback network: its port is free without being asked for.
fn own_address() -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.77.{high}.{low}:8077")
}

#[tokio::test]
async fn oss_sdks() {
    let receiver = own_address();
    let configuration =
        format!("dialects = [\"oss\"]\n[oss]\ncallback_urls = [\"http://{receiver}/hooks\"]\n");
    let server = Server::start_with(&configuration).await;
    let more = [("CONSIGN_RECEIVER", receiver)];
    run_against(&server, "python3", "oss.py", &more);
}

#[tokio::test]
async fn every_operation_of_the_service_model() {
    run("python3", "operations.py").await;
}

#[tokio::test]
async fn aws_cli() {
    run("bash", "aws_cli.sh").await;
}

/// Runs the client against a server whose certificate it must trust by its own settings.
async fn run_over_tls(program: &str, script: &str) {
    let (files, authority) = (Files::new(), Authority::new());
    files.put("a", &authority.sign(&["127.0.0.1"]));
    files.put_one("ca.pem", &authority.pem());
    let server = Server::start_with(&format!("[tls]\n{}", files.settings(&["a"]))).await;
    let bundle = files.path("ca.pem").display().to_string();
    let names = ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
    run_against(
        &server,
        program,
        script,
        &names.map(|name| (name, bundle.clone())),
    );
}

#[tokio::test]
async fn boto3_over_tls() {
    run_over_tls("python3", "boto.py").await;
}

#[tokio::test]
async fn aws_cli_and_curl_over_tls() {
    run_over_tls("bash", "aws_cli.sh").await;
}

#[tokio::test]
async fn aws_sdk_js() {
    run("node", "js/client.cjs").await;
}

#[tokio::test]
async fn boto3_and_the_python_helper_demand() {
    run("python3", "demands.py").await;
}

#[tokio::test]
async fn aws_sdk_js_and_the_javascript_helper_demand() {
    run("node", "js/demands.cjs").await;
}

#[tokio::test]
async fn s3cmd() {
    run("bash", "s3cmd.sh").await;
}

#[tokio::test]
async fn rclone() {
    run("bash", "rclone.sh").await;
}

#[tokio::test]
async fn every_request_that_botocore_signs_is_admitted() {
    run("python3", "signatures.py").await;
}

const SIGNATURE_V2: &str = "signature_v2 = true\n";

#[tokio::test]
async fn boto3_by_signature_version_2() {
    run_with(SIGNATURE_V2, "python3", "signature_v2.py").await;
}

#[tokio::test]
async fn s3cmd_by_signature_version_2() {
    run_with(SIGNATURE_V2, "bash", "s3cmd_v2.sh").await;
}
