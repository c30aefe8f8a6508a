//! What is there to be attacked, and whether it is still as it was.

use std::collections::BTreeSet;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{CorsConfiguration, CorsRule, IndexDocument, WebsiteConfiguration};
use serde_json::Value;

use super::MEMORY_BYTES_MAX;
use super::case::{Case, Values};
use crate::raw::wire::Signer;
use crate::support::Server;

/// What nobody may read here.
pub(super) const SECRETS: &[&str] = &["the secret of raw", "the secret of the tenant"];

/// A server with buckets, keys and an upload that is under way.
pub(super) struct World {
    pub(super) server: Server,
    pub(super) values: Values,
    tenant: Client,
    signers: Vec<(&'static str, String, String)>,
}

impl World {
    pub(super) async fn begin(configuration: &str) -> Self {
        let server = Server::start_with(configuration).await;
        let client = server.client();
        for (bucket, key, body) in [
            ("raw", "k", "0123456789"),
            ("raw", "secret", SECRETS[0]),
            ("open", "index.html", "<h1>open</h1>"),
        ] {
            // The first of a bucket makes it.
            client.create_bucket().bucket(bucket).send().await.ok();
            let put = client.put_object().bucket(bucket).key(key);
            put.body(body.as_bytes().to_vec().into())
                .send()
                .await
                .unwrap();
        }
        open_to_pages(&client).await;
        let tenant = server.tenant("tenant");
        tenant
            .create_bucket()
            .bucket("private")
            .send()
            .await
            .unwrap();
        let theirs = tenant.put_object().bucket("private").key("theirs");
        let theirs = theirs.body(SECRETS[1].as_bytes().to_vec().into());
        theirs.send().await.unwrap();
        let mut values = Values::default();
        let upload = client.create_multipart_upload().bucket("raw").key("multi");
        let upload = upload.send().await.unwrap();
        values.set("upload", upload.upload_id().unwrap());
        let part = client
            .upload_part()
            .bucket("raw")
            .key("multi")
            .part_number(1);
        let part = part.upload_id(upload.upload_id().unwrap());
        let part = part.body(b"part one".to_vec().into()).send().await.unwrap();
        values.set("part-etag", part.e_tag().unwrap().trim_matches('"'));
        values.set("host", server.authority());
        values.set("port", server.authority().rsplit(':').next().unwrap());
        let signers = keys(&server);
        Self {
            server,
            values,
            tenant,
            signers,
        }
    }

    /// Who signs the case.
    pub(super) fn signer(&self, case: &Case) -> Signer {
        let signer = Signer::seconds_ago(case.seconds_ago);
        let name = if case.signer.is_empty() {
            "root"
        } else {
            &case.signer
        };
        match name {
            "root" => signer,
            "wrong" => Signer {
                secret: "guess".to_owned(),
                ..signer
            },
            "stranger" => Signer {
                access_key: "AKIASTRANGER00000001".to_owned(),
                ..signer
            },
            name => {
                let mut known = self.signers.iter();
                let found = known.find(|(known, ..)| *known == name);
                let (_, access_key, secret) = found.unwrap_or_else(|| panic!("nobody is {name}"));
                Signer {
                    access_key: access_key.clone(),
                    secret: secret.clone(),
                    ..signer
                }
            }
        }
    }

    /// What is stored, in all buckets, and what was set for them.
    pub(super) async fn snapshot(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for client in [&self.server.client(), &self.tenant] {
            let buckets = client.list_buckets().send().await.unwrap();
            for bucket in buckets.buckets() {
                let bucket = bucket.name().unwrap();
                let versions = client.list_object_versions().bucket(bucket);
                let versions = versions.send().await.unwrap();
                assert_eq!(versions.is_truncated(), Some(false));
                let keys = versions.versions().iter().filter_map(|one| one.key());
                found.extend(keys.map(|key| format!("{bucket}/{key}")));
                let markers = versions.delete_markers().iter().filter_map(|one| one.key());
                found.extend(markers.map(|key| format!("a marker {bucket}/{key}")));
                let uploads = client.list_multipart_uploads().bucket(bucket);
                let uploads = uploads.send().await.unwrap();
                let keys = uploads.uploads().iter().filter_map(|one| one.key());
                found.extend(keys.map(|key| format!("an upload {bucket}/{key}")));
                found.extend(settings(client, bucket).await);
            }
        }
        found
    }

    /// That the server still works, in its bounds, and never panicked.
    pub(super) async fn is_well(&self) {
        let get = self.server.client().get_object().bucket("raw").key("k");
        let got = get.send().await.unwrap().body.collect().await.unwrap();
        assert_eq!(got.to_vec(), b"0123456789");
        let log = self.server.log();
        let bad = log.lines().find(|line| {
            line.contains("panicked") || line.contains("InternalError") || line.contains("ERROR")
        });
        assert_eq!(bad, None);
        let memory = self.server.memory_bytes_max();
        assert!(memory < MEMORY_BYTES_MAX, "{} MiB", memory >> 20);
    }
}

/// What a bucket says of itself, as far as a request may change it.
async fn settings(client: &Client, bucket: &str) -> Vec<String> {
    let policy = client.get_bucket_policy().bucket(bucket).send().await;
    let cors = client.get_bucket_cors().bucket(bucket).send().await;
    let tags = client.get_bucket_tagging().bucket(bucket).send().await;
    let website = client.get_bucket_website().bucket(bucket).send().await;
    let lifecycle = client.get_bucket_lifecycle_configuration().bucket(bucket);
    let lifecycle = lifecycle.send().await;
    let acl = client.get_bucket_acl().bucket(bucket).send().await.unwrap();
    let versioning = client.get_bucket_versioning().bucket(bucket);
    let versioning = versioning.send().await.unwrap();
    let said = [
        ("policy", policy.is_ok()),
        ("cors", cors.is_ok()),
        ("tags", tags.is_ok()),
        ("website", website.is_ok()),
        ("lifecycle", lifecycle.is_ok()),
        ("grants", acl.grants().len() > 1),
        ("versioning", versioning.status().is_some()),
    ];
    let said = said.into_iter().filter(|(_, is_set)| *is_set);
    said.map(|(what, _)| format!("{bucket} has {what}"))
        .collect()
}

/// The bucket `open` is a website that everybody may read, and pages may ask for it.
async fn open_to_pages(client: &Client) {
    let rule = CorsRule::builder()
        .allowed_methods("GET")
        .allowed_origins("https://app.example")
        .expose_headers("etag")
        .build()
        .unwrap();
    let rules = CorsConfiguration::builder()
        .cors_rules(rule)
        .build()
        .unwrap();
    let put = client.put_bucket_cors().bucket("open");
    put.cors_configuration(rules).send().await.unwrap();
    let index = IndexDocument::builder()
        .suffix("index.html")
        .build()
        .unwrap();
    let website = WebsiteConfiguration::builder()
        .index_document(index)
        .build();
    let put = client.put_bucket_website().bucket("open");
    put.website_configuration(website).send().await.unwrap();
    let policy = serde_json::json!({"Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::open/*",
    }]});
    let put = client.put_bucket_policy().bucket("open");
    put.policy(policy.to_string()).send().await.unwrap();
}

/// Keys of each kind: who they are, and their halves.
fn keys(server: &Server) -> Vec<(&'static str, String, String)> {
    let below = ["--bucket", "raw", "--prefix", "user/"];
    let made = [
        ("narrow", below.to_vec()),
        ("reader", [below.as_slice(), &["--read-only"]].concat()),
        ("foreign", vec!["--account", "tenant"]),
        ("disabled", Vec::new()),
    ];
    let made = made.map(|(name, options)| {
        let output = server.command(&[&["keys", "add", name, "--json"], &*options].concat());
        assert!(output.status.success(), "{output:?}");
        let key: Value = serde_json::from_slice(&output.stdout).unwrap();
        let half = |half: &str| key[half].as_str().unwrap().to_owned();
        (name, half("access_key"), half("secret_key"))
    });
    let disabled = server.command(&["keys", "disable", "disabled"]);
    assert!(disabled.status.success(), "{disabled:?}");
    made.into()
}
