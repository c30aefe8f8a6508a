//! URLs that are good for one upload: of any number of uses one wins, whatever dies in between.

use std::time::Duration;

use super::super::wire::{Ask, Signer, absent, ready};
use crate::support::{Random, Server};

/// A URL for one upload, signed for a host whose name outlives the server's port.
fn once(server: &Server, key: &str) -> Ask {
    let mut ask = Ask::new(server, "PUT", &format!("/raw/{key}"));
    ask.headers = vec![("host".to_owned(), "storage.example".to_owned())];
    let ask = ask.query("x-consign-once", "1");
    ask.presigned(&Signer::now(), "600").body(key.as_bytes())
}

async fn exists(server: &Server, key: &str) -> bool {
    let head = server.client().head_object().bucket("raw").key(key);
    head.send().await.is_ok()
}

#[tokio::test]
async fn the_second_upload_is_refused_after_a_restart_too() {
    let mut server = ready().await;
    let url = once(&server, "k");
    // What fails is no use.
    let mut spoiled = url.clone();
    spoiled.headers.push((
        "content-md5".to_owned(),
        "AAAAAAAAAAAAAAAAAAAAAA==".to_owned(),
    ));
    spoiled.expect(&server, 400, "BadDigest").await;
    let mut cut = url.clone();
    cut.headers
        .push(("content-length".to_owned(), "9".to_owned()));
    cut.send(&server).await;
    absent(&server, "k").await;

    url.expect(&server, 200, "").await;
    let again = url
        .clone()
        .body(b"other")
        .expect(&server, 403, "AccessDenied")
        .await;
    assert!(again.text.contains("<UsedAt>"), "{again:?}");
    assert!(again.text.contains("good for one upload"), "{again:?}");
    server.kill();
    server.restart().await;
    url.clone()
        .body(b"other")
        .expect(&server, 403, "AccessDenied")
        .await;
    let got = server
        .client()
        .get_object()
        .bucket("raw")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(got.body.collect().await.unwrap().into_bytes(), "k");
    // It was one use of one signature: deleting what it made gives nothing back.
    server
        .client()
        .delete_object()
        .bucket("raw")
        .key("k")
        .send()
        .await
        .unwrap();
    url.expect(&server, 403, "AccessDenied").await;
    let mut later = once(&server, "k");
    later.query[0].1 = "2".to_owned();
    later.expect(&server, 403, "SignatureDoesNotMatch").await;
}

#[tokio::test]
async fn of_64_at_once_one_wins() {
    let server = ready().await;
    // Inline, and in a blob of its own.
    for (key, len) in [("small", 3), ("large", 300_000)] {
        let url = once(&server, key).body(&vec![b'x'; len]);
        let all = futures_util::future::join_all((0..64).map(|_| url.send(&server))).await;
        let won = all.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1, "{key}");
        for lost in all.iter().filter(|answer| answer.status != 200) {
            let known = lost.status == 403 && lost.text.contains("<Code>AccessDenied</Code>");
            assert!(known, "{lost:?}");
        }
    }
    let fsck = server.command(&["fsck"]);
    assert!(fsck.status.success(), "{fsck:?}");
}

/// Kills the server while `URLS` URLs are used from several sides: whatever came of it, an object is
/// there if and only if its URL is used up.
#[tokio::test]
async fn sigkill_between_makes_no_second_use() {
    const URLS: usize = 24;
    let mut random = Random(20_261_126);
    let mut server = ready().await;
    for round in 0..3 {
        let urls: Vec<_> = (0..URLS)
            .map(|at| once(&server, &format!("{round}-{at}")))
            .collect();
        let authority = server.authority().to_owned();
        let storm = urls.iter().flat_map(|url| [url; 3]);
        let storm = storm.map(|url| url.send_to(&authority));
        let pause = tokio::time::sleep(Duration::from_micros(random.below(60_000)));
        let mut storm = Box::pin(futures_util::future::join_all(storm));
        let early = tokio::select! {
            all = &mut storm => Some(all),
            () = pause => None,
        };
        server.kill();
        let answers = match early {
            Some(all) => all,
            None => storm.await,
        };
        server.restart().await;
        for (at, url) in urls.iter().enumerate() {
            let of_url = answers.iter().skip(at * 3).take(3);
            let won = of_url.filter(|answer| answer.status == 200).count();
            let there = exists(&server, &format!("{round}-{at}")).await;
            assert!(won <= 1 && (won == 0 || there), "{won} {there}");
            let again = url.send(&server).await;
            assert_eq!(again.status, if there { 403 } else { 200 }, "{again:?}");
            url.expect(&server, 403, "AccessDenied").await;
        }
    }
    let fsck = server.command(&["fsck"]);
    assert!(fsck.status.success(), "{fsck:?}");
}
