//! A bucket as plain files, and back.

use std::path::Path;
use std::process::Output;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use tempfile::TempDir;

use super::{make_bucket, put_bytes};
use crate::support::{Server, bytes_of};

/// Keys that are no path, clash with another, or lead elsewhere.
const KEYS: [&str; 16] = [
    "a",
    "a/b",
    "a/b/c",
    "a/",
    "a//b",
    "/a",
    "..",
    "../../etc/passwd",
    "x/../y",
    ".hidden",
    "c:d\\e",
    "new\nline",
    "ä ö+x=y&z%20",
    "<&\">",
    "objects.jsonl",
    "./x",
];

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Every key of the bucket, with all that its readers see.
async fn seen(client: &Client, bucket: &str) -> Vec<String> {
    let list = client
        .list_objects_v2()
        .bucket(bucket)
        .send()
        .await
        .unwrap();
    let mut seen = Vec::new();
    for object in list.contents() {
        let key = object.key().unwrap();
        let got = client
            .get_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .unwrap();
        let told = format!(
            "{key:?} {:?} {:?} {:?} {:?} {:?}",
            got.content_type(),
            got.cache_control(),
            got.content_disposition(),
            got.metadata()
                .map(|all| all.iter().collect::<std::collections::BTreeMap<_, _>>()),
            got.tag_count(),
        );
        let bytes = got.body.collect().await.unwrap().to_vec();
        let tags = client
            .get_object_tagging()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .unwrap();
        seen.push(format!(
            "{told} {:?} {} {:?}",
            tags.tag_set(),
            bytes.len(),
            md5_of(&bytes)
        ));
    }
    seen
}

fn md5_of(bytes: &[u8]) -> String {
    use md5::Digest as _;
    hex::encode(md5::Md5::digest(bytes))
}

async fn filled(server: &Server) -> Client {
    let client = server.client();
    for bucket in ["from", "into"] {
        make_bucket(&client, bucket).await;
    }
    for (seed, key) in KEYS.into_iter().enumerate() {
        let bytes = bytes_of(seed as u64, 10 + seed);
        assert_eq!(
            put_bytes(&client, "from", key, bytes).await,
            Ok(()),
            "{key:?}"
        );
    }
    let long = "long/".to_owned() + &"x".repeat(1000);
    assert_eq!(
        put_bytes(&client, "from", &long, b"long".to_vec()).await,
        Ok(())
    );
    let rich = client
        .put_object()
        .bucket("from")
        .key("rich")
        .content_type("text/x-a; b=c");
    let rich = rich
        .cache_control("no-store")
        .content_disposition("attachment; filename=\"a\"");
    let rich = rich
        .metadata("who", "me")
        .metadata("what", "it is")
        .tagging("a=b%2B&c=d%3D%20e");
    rich.body(ByteStream::from_static(b"rich"))
        .send()
        .await
        .unwrap();
    // More than one part.
    let large = bytes_of(1, 17 * 1024 * 1024);
    assert_eq!(put_bytes(&client, "from", "large", large).await, Ok(()));
    client
}

fn run(server: &Server, folder: &Path, verb: &str, bucket: &str) -> Output {
    let folder = folder.to_str().unwrap();
    match verb {
        "export" => server.command(&[verb, bucket, folder]),
        _ => server.command(&[verb, folder, bucket]),
    }
}

#[tokio::test]
async fn every_object_makes_the_way_to_files_and_back() {
    let server = Server::start().await;
    let client = filled(&server).await;
    let count = KEYS.len() + 3;
    let place = TempDir::new().unwrap();
    let folder = place.path().join("files-of-it");
    let exported = run(&server, &folder, "export", "from");
    assert!(exported.status.success(), "{exported:?}");
    assert!(
        said(&exported).starts_with(&format!("{count} objects")),
        "{exported:?}"
    );
    // Nothing went elsewhere, and a plain key is a plain file.
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read(folder.join("files/rich")).unwrap(), b"rich");
    let imported = run(&server, &folder, "import", "into");
    assert!(imported.status.success(), "{imported:?}");
    assert_eq!(seen(&client, "into").await, seen(&client, "from").await);
    // Again: nothing is to be done, but for what changed.
    let again = said(&run(&server, &folder, "export", "from"));
    assert!(
        again.contains(&format!("0 bytes exported; {count} were there")),
        "{again}"
    );
    let again = said(&run(&server, &folder, "import", "into"));
    assert!(
        again.contains(&format!("{count} were there already")),
        "{again}"
    );
    assert_eq!(
        put_bytes(&client, "from", "a/b", b"new".to_vec()).await,
        Ok(())
    );
    let delete = client.delete_object().bucket("from").key("rich");
    delete.send().await.unwrap();
    let changed = said(&run(&server, &folder, "export", "from"));
    assert!(
        changed.starts_with("1 objects of 3 bytes exported"),
        "{changed}"
    );
    assert!(!folder.join("files/rich").exists());
    let changed = said(&run(&server, &folder, "import", "into"));
    assert!(
        changed.starts_with("1 objects of 3 bytes imported"),
        "{changed}"
    );
}

#[tokio::test]
async fn files_that_are_not_the_exported_ones_are_refused() {
    let server = Server::start().await;
    let client = server.client();
    for bucket in ["from", "into"] {
        make_bucket(&client, bucket).await;
    }
    for key in ["a", "b", "c"] {
        assert_eq!(
            put_bytes(&client, "from", key, b"abc".to_vec()).await,
            Ok(())
        );
    }
    let place = TempDir::new().unwrap();
    let folder = place.path().join("x");
    let nothing = run(&server, &folder, "import", "into");
    assert!(said(&nothing).contains("holds no export"), "{nothing:?}");
    assert!(run(&server, &folder, "export", "from").status.success());
    std::fs::write(folder.join("files/a"), "abd").unwrap();
    std::fs::remove_file(folder.join("files/b")).unwrap();
    std::fs::write(place.path().join("secret"), "abc").unwrap();
    std::os::unix::fs::symlink(place.path().join("secret"), folder.join("files/b")).unwrap();
    let list = std::fs::read_to_string(folder.join("objects.jsonl")).unwrap();
    let list = list.replace("files/c", "files/../../secret");
    std::fs::write(folder.join("objects.jsonl"), list).unwrap();
    let imported = run(&server, &folder, "import", "into");
    assert_eq!(imported.status.code(), Some(1));
    let said = said(&imported);
    assert!(
        said.contains("\"a\": its file is not the one that was exported"),
        "{said}"
    );
    for key in ["b", "c"] {
        assert!(said.contains(&format!("\"{key}\": its file")), "{said}");
    }
    assert_eq!(seen(&client, "into").await, [] as [String; 0]);
    let missing = run(&server, &folder, "import", "nowhere");
    assert_eq!(missing.status.code(), Some(1));
}
