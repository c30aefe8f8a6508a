//! Listings: order, pages, prefixes and delimiters.

use aws_sdk_s3::types::EncodingType;

use super::{BUCKET, ODD_KEYS, put, ready};

const TREE: [&str; 7] = ["a", "dir/1", "dir/2", "dir/sub/3", "dir0", "other/4", "z"];

#[tokio::test]
async fn pages_of_any_size_hold_the_same() {
    let (_server, client) = ready().await;
    for key in TREE {
        put(&client, key, b"x").await;
    }
    for (delimiter, expected) in [
        (None, TREE.to_vec()),
        (Some("/"), vec!["a", "dir/", "dir0", "other/", "z"]),
    ] {
        for size in 1..=8 {
            let pages = client.list_objects_v2().bucket(BUCKET).max_keys(size);
            let mut pages = pages
                .set_delimiter(delimiter.map(str::to_owned))
                .into_paginator()
                .send();
            let mut found = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.unwrap();
                found.extend(page.contents().iter().filter_map(|one| one.key.clone()));
                found.extend(
                    page.common_prefixes()
                        .iter()
                        .filter_map(|one| one.prefix.clone()),
                );
            }
            found.sort();
            assert_eq!(found, expected, "pages of {size}");
        }
    }
}

#[tokio::test]
async fn prefix_start_after_and_the_first_version() {
    let (_server, client) = ready().await;
    for key in TREE {
        put(&client, key, b"x").await;
    }
    let v2 = client
        .list_objects_v2()
        .bucket(BUCKET)
        .prefix("dir/")
        .start_after("dir/1");
    let keys: Vec<_> = v2.send().await.unwrap().contents.unwrap();
    let keys: Vec<_> = keys.into_iter().filter_map(|one| one.key).collect();
    assert_eq!(keys, ["dir/2", "dir/sub/3"]);

    let v1 = || {
        client
            .list_objects()
            .bucket(BUCKET)
            .delimiter("/")
            .max_keys(2)
    };
    let first = v1().send().await.unwrap();
    assert_eq!(first.next_marker(), Some("dir/"));
    let second = v1().marker("dir/").send().await.unwrap();
    assert_eq!(second.contents()[0].key(), Some("dir0"));
    assert_eq!(second.common_prefixes()[0].prefix(), Some("other/"));
    let none = client
        .list_objects_v2()
        .bucket(BUCKET)
        .max_keys(0)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (none.key_count(), none.is_truncated()),
        (Some(0), Some(false))
    );
}

#[tokio::test]
async fn odd_keys_are_listed_in_order_of_their_bytes() {
    let (_server, client) = ready().await;
    for key in ODD_KEYS {
        put(&client, key, b"x").await;
    }
    let mut expected = ODD_KEYS.to_vec();
    expected.sort_unstable();
    let plain = client
        .list_objects_v2()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    let found: Vec<_> = plain
        .contents()
        .iter()
        .filter_map(|one| one.key())
        .collect();
    assert_eq!(found, expected);
    let encoded = client
        .list_objects_v2()
        .bucket(BUCKET)
        .encoding_type(EncodingType::Url);
    let encoded = encoded.prefix("sp ").send().await.unwrap();
    assert!(matches!(
        encoded.contents()[0].key(),
        Some("sp+ace" | "sp%20ace")
    ));
}

/// As S3 was seen to answer: the first version's marker hides the prefix that it lies in, a start of the
/// second version does not.
#[tokio::test]
async fn a_marker_inside_a_common_prefix_hides_it() {
    let (_server, client) = ready().await;
    for key in TREE {
        put(&client, key, b"x").await;
        let create = client.create_multipart_upload().bucket(BUCKET).key(key);
        create.send().await.unwrap();
    }
    let v1 = client.list_objects().bucket(BUCKET).delimiter("/");
    let v1 = v1.marker("dir/1").send().await.unwrap();
    assert_eq!(v1.contents()[0].key(), Some("dir0"));
    assert_eq!(v1.common_prefixes()[0].prefix(), Some("other/"));
    let uploads = client.list_multipart_uploads().bucket(BUCKET);
    let uploads = uploads.delimiter("/").key_marker("dir/1").send().await;
    let uploads = uploads.unwrap();
    assert_eq!(uploads.uploads()[0].key(), Some("dir0"));
    assert_eq!(uploads.common_prefixes()[0].prefix(), Some("other/"));
    let v2 = client.list_objects_v2().bucket(BUCKET).delimiter("/");
    let v2 = v2.start_after("dir/1").max_keys(1).send().await.unwrap();
    assert_eq!(v2.start_after(), Some("dir/1"));
    assert_eq!(v2.common_prefixes()[0].prefix(), Some("dir/"));
    let token = v2.next_continuation_token().unwrap();
    let rest = client.list_objects_v2().bucket(BUCKET).delimiter("/");
    let rest = rest.start_after("dir/1").continuation_token(token).send();
    assert_eq!(rest.await.unwrap().start_after(), Some("dir/1"));
}
