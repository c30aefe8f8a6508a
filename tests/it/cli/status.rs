//! `consign status`.

use super::{json, make_bucket, put, run, try_run};
use crate::receiver::SECRET;
use crate::support::Server;

#[tokio::test]
async fn it_tells_how_the_server_is() {
    let unheard = format!(
        "durability = \"none\"\n[[callback.endpoint]]\nname = \"app\"\nurl = \"http://127.0.0.1:9/\"\n\
         secrets = [\"{SECRET}\"]\n[[callback.rule]]\nendpoint = \"app\"\nbucket = \"uploads\"\n\
         events = [\"s3:ObjectCreated:*\"]\n"
    );
    let mut server = Server::start_with(&unheard).await;
    make_bucket(&server.client(), "uploads").await;
    for key in ["a", "b"] {
        put(&server.client(), "uploads", key).await.unwrap();
    }
    let status = json(&server, "status");
    assert_eq!(status["ready"], true);
    assert_eq!(status["endpoint"], server.endpoint.as_str());
    assert_eq!(status["buckets"]["first"][0]["objects"], 2);
    assert_eq!(status["buckets"]["first"][0]["bytes"], 10);
    assert_eq!(status["callbacks"]["waiting"], 2);
    assert_eq!(status["callbacks"]["dead"], 0);
    assert_eq!(status["fsck"], "never");
    assert!(status["disk_free_bytes"].as_u64() > Some(0), "{status}");
    assert!(status["connections"].as_u64() > Some(0), "{status}");
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("durability"), "{warnings}");
    run(&server, "fsck");
    assert_eq!(json(&server, "status")["fsck"], "clean");
    let shown = run(&server, "status");
    assert!(
        shown.contains("bucket       uploads: 2 objects, 10 bytes\n"),
        "{shown}"
    );
    assert_eq!(run(&server, "status --quiet"), "");
    server.kill();
    assert_eq!(try_run(&server, "status --quiet").status.code(), Some(1));
}
