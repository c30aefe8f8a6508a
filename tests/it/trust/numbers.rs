//! What an operator trusts in, as Prometheus is told of it.

use std::time::Duration;

use crate::certificates::{Authority, Files};
use crate::cli;
use crate::raw::wire::{Ask, Signer, UNSIGNED, ready_with};
use crate::support::{Server, bytes_of, plain_http, until};

const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n";
/// How long a change of files may take to be seen.
const SEEN_MAX: Duration = Duration::from_secs(60);

/// What `client` is told at the address of the administration.
async fn text_by(client: &reqwest::Client, server: &Server) -> String {
    let announced = std::fs::read(server.data_folder().join("server.json")).unwrap();
    let announced: serde_json::Value = serde_json::from_slice(&announced).unwrap();
    let url = format!("{}/metrics", announced["admin"].as_str().unwrap());
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// The number of that name and those labels, as `text` has it.
fn number(text: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("consign_")?.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name}: {text}"));
    // Whole ones, however they are written.
    line.trim().trim_end_matches(".0").parse().unwrap()
}

async fn told(server: &Server, name: &str) -> u64 {
    number(&text_by(&plain_http(), server).await, name)
}

#[tokio::test]
async fn each_certificate_tells_when_it_expires_and_whether_its_files_are_whole() {
    let authority = Authority::new();
    let files = Files::new();
    files.put(
        "a",
        &authority.sign_until(&["127.0.0.1", "files.test"], 2090),
    );
    files.put("b", &authority.sign_until(&["b.test", "*.c.test"], 2080));
    let settings = format!("{ADMIN}[tls]\n{}", files.settings(&["a", "b"]));
    let server = Server::start_with(&settings).await;
    let client = authority.client(None).build().unwrap();
    let expiry = |door: &str, file: &str, names: &str| {
        let file = files.path(file);
        let file = file.display();
        format!(
            "certificate_expiry_time_seconds{{door=\"{door}\",file=\"{file}\",names=\"{names}\"}}"
        )
    };
    let text = text_by(&client, &server).await;
    for door in ["objects", "administration"] {
        let of_a = expiry(door, "a.pem", "files.test");
        assert_eq!(number(&text, &of_a), 3_786_912_000);
        let of_b = expiry(door, "b.pem", "b.test,*.c.test");
        assert_eq!(number(&text, &of_b), 3_471_292_800);
        let current = format!("certificates_current{{door=\"{door}\"}}");
        assert_eq!(number(&text, &current), 1);
    }
    let current = "certificates_current{door=\"administration\"}";
    let becomes = async |name: &str, value: u64| {
        let seen = async {
            while number(&text_by(&client, &server).await, name) != value {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(SEEN_MAX, seen).await.unwrap();
    };
    files.put_one("a.pem", "no certificate");
    becomes(current, 0).await;
    files.put(
        "a",
        &authority.sign_until(&["127.0.0.1", "files.test"], 2091),
    );
    becomes(current, 1).await;
    let of_a = expiry("administration", "a.pem", "files.test");
    becomes(&of_a, 3_818_448_000).await;
}

#[tokio::test]
async fn reloads_are_counted_and_written_down_whoever_orders_them() {
    const GOOD: &str = "config_last_reload_successful";
    const GOOD_AT: &str = "config_last_reload_success_timestamp_seconds";
    let server = Server::start_with(ADMIN).await;
    assert_eq!(told(&server, GOOD).await, 1);
    let began = told(&server, GOOD_AT).await;
    assert!(began > 1_700_000_000);
    server.configure(&format!("lisen = \":1\"\n{ADMIN}"));
    cli::refused(&server, "reload --config /dev/null");
    assert_eq!(told(&server, GOOD).await, 0);
    assert_eq!(told(&server, GOOD_AT).await, began);
    let outcome = |outcome| format!("config_reloads_total{{outcome=\"{outcome}\"}}");
    assert_eq!(told(&server, &outcome("failure")).await, 1);
    server.configure(&format!("inline_bytes_max = 7\n{ADMIN}"));
    server.hang_up();
    until("it is loaded again", async || {
        told(&server, &outcome("success")).await >= 1
    })
    .await;
    assert_eq!(told(&server, GOOD).await, 1);
    // A line of another kind is answered once those before it are written.
    cli::run(&server, "keys add app");
    let listed = cli::run(&server, "audit list --kind reload --json");
    let lines: Vec<serde_json::Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert_eq!(lines[0]["outcome"], "failure");
    assert!(lines[0]["error"].as_str().unwrap().contains("did you mean"));
    assert_eq!(lines[1]["outcome"], "success");
    let waiting = serde_json::json!(["inline_bytes_max"]);
    assert_eq!(lines[1]["waiting_for_restart"], waiting);
    assert!(cli::run(&server, "audit verify").contains("Nobody tampered"));
}

#[tokio::test]
async fn who_is_kept_out_is_counted_and_a_reload_changes_how_soon() {
    // Clients come through a proxy on this machine, and Prometheus by itself.
    let guard =
        |settings: &str| format!("trusted_proxies = [\"127.0.0.1\"]\n{ADMIN}[guard]\n{settings}");
    let server = ready_with(&guard("failures_per_minute_key = 2\n")).await;
    let wrong = Signer {
        secret: "not/the+secret".to_owned(),
        ..Signer::now()
    };
    let by = |signer: &Signer| {
        let ask = Ask::new(&server, "GET", "/raw").header("x-forwarded-for", "192.0.2.1");
        ask.authorized(signer, UNSIGNED).0
    };
    for _ in 0..2 {
        let ask = by(&wrong);
        ask.expect(&server, 403, "SignatureDoesNotMatch").await;
    }
    by(&Signer::now()).expect(&server, 503, "SlowDown").await;
    let refused = |of, reason| format!("guard_refused_total{{of=\"{of}\",reason=\"{reason}\"}}");
    assert_eq!(told(&server, "guard_failures_total").await, 2);
    assert_eq!(told(&server, &refused("key", "failures")).await, 1);
    assert_eq!(told(&server, &refused("address", "rate")).await, 0);
    server.configure(&guard(
        "failures_per_minute_key = 1000\nrequests_per_second_address = 1\n",
    ));
    cli::run(&server, "reload");
    // What was taken is paid for at the new rate: at once, but for a moment.
    until("the new rate holds", async || {
        by(&Signer::now()).send(&server).await.status == 200
    })
    .await;
    for _ in 0..40 {
        by(&Signer::now()).send(&server).await;
    }
    assert!(told(&server, &refused("address", "rate")).await >= 10);
    assert_eq!(told(&server, "guard_failures_total").await, 2);
}

#[tokio::test]
async fn what_a_check_found_is_told_by_kind() {
    let server = Server::start_with(ADMIN).await;
    let client = server.client();
    cli::make_bucket(&client, "uploads").await;
    let large = bytes_of(1, 200_000);
    let put = cli::put_bytes(&client, "uploads", "large", large).await;
    put.unwrap();
    let missing = "fsck_findings{kind=\"missing-blob\"}";
    assert_eq!(told(&server, "fsck_finished_time_seconds").await, 0);
    cli::run(&server, "fsck");
    assert!(told(&server, "fsck_finished_time_seconds").await > 1_700_000_000);
    assert_eq!(told(&server, missing).await, 0);
    std::fs::remove_file(cli::only_blob(&server)).unwrap();
    cli::try_run(&server, "fsck");
    assert_eq!(told(&server, missing).await, 1);
    assert_eq!(told(&server, "fsck_running").await, 0);
}

#[tokio::test]
async fn an_audit_log_that_was_tampered_with_is_told() {
    let mut server = Server::start_with(ADMIN).await;
    cli::run(&server, "keys add app");
    let lines = told(&server, "audit_lines").await;
    assert!(lines >= 3, "{lines}");
    cli::run(&server, "keys disable app");
    assert!(told(&server, "audit_lines").await > lines);
    assert!(told(&server, "audit_written_time_seconds").await > 1_700_000_000);
    assert_eq!(told(&server, "audit_tampered").await, 0);
    assert_eq!(told(&server, "audit_writable").await, 1);
    server.kill();
    let folder = server.data_folder().join("audit");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap();
    let file = file.unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("disable", "enable_")).unwrap();
    server.restart().await;
    assert_eq!(told(&server, "audit_tampered").await, 1);
}
