//! What S3 itself answers to the letter, where clients compare: recorded of AWS, asked of Consign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Digest as _;

use super::wire::{Answer, Ask, Signer, UNSIGNED, ready};
use crate::support::Server;

const SSE: &str = "x-amz-server-side-encryption";

/// Signs, sends, and demands the status and each of these texts in the answer.
async fn says(server: &Server, ask: Ask, status: u16, texts: &[&str]) -> Answer {
    let (ask, _) = ask.authorized(&Signer::now(), UNSIGNED);
    let answer = ask.expect(server, status, "").await;
    for text in texts {
        assert!(answer.text.contains(text), "{text}: {ask:?}\n{answer:?}");
    }
    answer
}

fn on(server: &Server, method: &'static str, key: &str) -> Ask {
    Ask::new(server, method, &format!("/raw/{key}"))
}

/// With a document and its digest.
fn document(ask: Ask, text: &str) -> Ask {
    let digest = STANDARD.encode(md5::Md5::digest(text));
    ask.header("content-md5", &digest).body(text.as_bytes())
}

/// What stands in the answer between `before` and `after`.
fn between<'a>(answer: &'a Answer, before: &str, after: &str) -> &'a str {
    let (_, rest) = answer.text.split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}

async fn versioned(server: &Server) {
    let text = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let put = document(on(server, "PUT", "").query("versioning", ""), text);
    says(server, put, 200, &[]).await;
}

async fn begin(server: &Server, ask: Ask) -> String {
    let begun = says(server, ask.query("uploads", ""), 200, &[]).await;
    between(&begun, "<UploadId>", "</UploadId>").to_owned()
}

fn part(server: &Server, key: &str, id: &str) -> Ask {
    let put = on(server, "PUT", key).query("partNumber", "1");
    put.query("uploadId", id).body(b"part")
}

fn complete(server: &Server, key: &str, id: &str) -> Ask {
    let etag = hex::encode(md5::Md5::digest(b"part"));
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let ask = on(server, "POST", key).query("uploadId", id);
    ask.body(list.as_bytes())
}

#[tokio::test]
async fn lifecycle_rules_tell_the_least_size_and_when_objects_go() {
    let server = ready().await;
    let name = "x-amz-transition-default-minimum-object-size";
    let lifecycle = |method| on(&server, method, "").query("lifecycle", "");
    let rules = |inner: &str| {
        let rule = format!("<Rule><ID>r</ID><Status>Enabled</Status>{inner}</Rule>");
        let text = format!("<LifecycleConfiguration>{rule}</LifecycleConfiguration>");
        document(lifecycle("PUT"), &text)
    };
    let days = "<Filter/><Expiration><Days>3</Days></Expiration>\
                <NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>\
                </NoncurrentVersionExpiration>";
    for size in ["varies_by_storage_class", "all_storage_classes_128K"] {
        let told = format!("{name}: {size}\r\n");
        let put = rules(days).header(name, size);
        says(&server, put, 200, &[&told]).await;
        says(&server, lifecycle("GET"), 200, &[&told]).await;
    }
    let default = format!("{name}: all_storage_classes_128K\r\n");
    let varies = rules(days).header(name, "varies_by_storage_class");
    says(&server, varies, 200, &[]).await;
    says(&server, rules(days), 200, &[&default]).await;
    let message = "<Message>Invalid TransitionDefaultMinimumObjectSize found: value</Message>";
    let bad = rules(days).header(name, "value");
    says(&server, bad, 400, &["<Code>InvalidRequest</Code>", message]).await;

    let tag = |value: &str| format!("<Tag><Key>k</Key><Value>{value}</Value></Tag>");
    let twice = format!(
        "<Filter><And>{}{}</And></Filter><Expiration><Days>1</Days></Expiration>",
        tag("1"),
        tag("2")
    );
    let message = "<Message>Duplicate Tag Keys are not allowed.</Message>";
    says(
        &server,
        rules(&twice),
        400,
        &["<Code>InvalidRequest</Code>", message],
    )
    .await;
    let date = "2030-01-01T01:00:00.000Z";
    let odd = rules(&format!(
        "<Filter/><Expiration><Date>{date}</Date></Expiration>"
    ));
    let value = format!("<ArgumentName>Date</ArgumentName><ArgumentValue>{date}</ArgumentValue>");
    says(&server, odd, 400, &["<Code>InvalidArgument</Code>", &value]).await;

    versioned(&server).await;
    let put = says(
        &server,
        on(&server, "PUT", "k"),
        200,
        &["x-amz-expiration: "],
    )
    .await;
    let version = between(&put, "x-amz-version-id: ", "\r\n");
    for method in ["GET", "HEAD"] {
        says(
            &server,
            on(&server, method, "k"),
            200,
            &["x-amz-expiration: "],
        )
        .await;
        let named = on(&server, method, "k").query("versionId", version);
        let told = says(&server, named, 200, &["x-amz-version-id: "]).await;
        assert!(!told.text.contains("x-amz-expiration"), "{told:?}");
    }
}

#[tokio::test]
async fn a_delete_marker_takes_no_list_and_names_what_was_asked() {
    let server = ready().await;
    versioned(&server).await;
    says(&server, on(&server, "PUT", "k"), 200, &[]).await;
    let gone = says(&server, on(&server, "DELETE", "k"), 204, &[]).await;
    let version = between(&gone, "x-amz-version-id: ", "\r\n");
    let acl = |method| on(&server, method, "k").query("acl", "");
    let kind = "<ResourceType>DeleteMarker</ResourceType>";
    let refused = [
        "<Code>MethodNotAllowed</Code>",
        "<Method>PUT</Method>",
        kind,
    ];
    let private = || acl("PUT").header("x-amz-acl", "private");
    says(&server, private(), 405, &refused).await;
    let named = private().query("versionId", version);
    says(&server, named, 405, &refused).await;
    says(
        &server,
        acl("GET"),
        404,
        &["<Code>NoSuchKey</Code>", "<Key>k</Key>"],
    )
    .await;
    let named = acl("GET").query("versionId", version);
    says(&server, named, 405, &["<Method>GET</Method>", kind]).await;
    for method in ["GET", "DELETE"] {
        let tags = on(&server, method, "k").query("tagging", "");
        let method = format!("<Method>{method}</Method>");
        says(&server, tags, 405, &[&method, kind]).await;
    }
}

#[tokio::test]
async fn a_storage_class_that_is_none_is_the_clients_mistake() {
    let server = ready().await;
    let put = |class| on(&server, "PUT", "k").header("x-amz-storage-class", class);
    for none in ["OUTPOSTS", "FakeClass"] {
        let told = format!("<StorageClassRequested>{none}</StorageClassRequested>");
        let code = "<Code>InvalidStorageClass</Code>";
        says(&server, put(none), 400, &[code, &told]).await;
        let begin = on(&server, "POST", "k").query("uploads", "");
        let begin = begin.header("x-amz-storage-class", none);
        says(&server, begin, 400, &[code, &told]).await;
    }
    says(
        &server,
        put("GLACIER"),
        501,
        &["<Code>NotImplemented</Code>"],
    )
    .await;
    says(&server, put("STANDARD"), 200, &[]).await;
}

#[tokio::test]
async fn a_copy_onto_itself_may_seal_anew() {
    let server = ready().await;
    let put = |key| on(&server, "PUT", key);
    let copy = |key| put(key).header("x-amz-copy-source", &format!("/raw/{key}"));
    let illegal = ["<Code>InvalidRequest</Code>", "to itself without changing"];
    says(&server, put("plain").body(b"x"), 200, &[]).await;
    says(&server, copy("plain"), 400, &illegal).await;
    let aes = put("aes").header(SSE, "AES256").body(b"x");
    says(&server, aes, 200, &[]).await;
    // On S3 every object has at least the server's seal: no other is no change.
    says(&server, copy("aes"), 400, &illegal).await;
    let kms = put("kms").header(SSE, "aws:kms").body(b"x");
    says(&server, kms, 200, &[]).await;
    says(&server, copy("kms"), 200, &["<CopyObjectResult"]).await;
    let head = says(&server, on(&server, "HEAD", "kms"), 200, &[]).await;
    assert!(!head.text.contains("aws:kms"), "{head:?}");
    says(&server, copy("kms"), 400, &illegal).await;

    let default = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
                   <SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>\
                   </ServerSideEncryptionConfiguration>";
    let set = document(on(&server, "PUT", "").query("encryption", ""), default);
    says(&server, set, 200, &[]).await;
    for key in ["plain", "aes"] {
        says(&server, copy(key), 200, &[SSE, "AES256"]).await;
    }
    for key in ["plain", "aes", "kms"] {
        let got = says(&server, on(&server, "GET", key), 200, &[]).await;
        assert!(got.text.ends_with("\r\n\r\nx"), "{got:?}");
    }
}

#[tokio::test]
async fn a_completion_asks_for_its_upload_before_its_document() {
    let server = ready().await;
    let empty = on(&server, "POST", "k").query("uploadId", "fakeid");
    let told = ["<Code>NoSuchUpload</Code>", "<UploadId>fakeid</UploadId>"];
    says(&server, empty, 404, &told).await;
    let id = begin(&server, on(&server, "POST", "k")).await;
    let empty = on(&server, "POST", "k").query("uploadId", &id);
    says(&server, empty, 400, &["<Code>InvalidRequest</Code>"]).await;

    // Without an algorithm of the client's, S3 has its own checksum and heeds no other.
    says(&server, part(&server, "k", &id), 200, &[]).await;
    let own = "x-amz-checksum-crc64nvme";
    let wrong = complete(&server, "k", &id).header(own, "AAAAAAAAAAA=");
    let message = "The crc64nvme you specified did not match the calculated checksum.";
    says(&server, wrong, 400, &["<Code>BadDigest</Code>", message]).await;
    let other = complete(&server, "k", &id).header("x-amz-checksum-crc32c", "AAAAAA==-2");
    let told = [
        "<ChecksumCRC64NVME>",
        "<ChecksumType>FULL_OBJECT</ChecksumType>",
    ];
    says(&server, other, 200, &told).await;
}

#[tokio::test]
async fn the_algorithm_of_a_put_is_that_of_its_checksum() {
    let server = ready().await;
    let put = |name| on(&server, "PUT", "k").header("x-amz-checksum-algorithm", name);
    let own = "x-amz-checksum-crc64nvme: ";
    for name in ["CRC32", "TEST"] {
        says(&server, put(name).body(b"x"), 200, &[own]).await;
    }
    let sum = "jRxFeF7ckg==";
    let other = put("SHA1").header("x-amz-checksum-crc32", sum);
    says(&server, other, 400, &["<Code>InvalidRequest</Code>"]).await;
    let sum = "jc3/Ag==";
    let other = put("SHA1").header("x-amz-checksum-crc32", sum).body(b"x");
    says(&server, other, 400, &["<Code>BadDigest</Code>"]).await;
    let sum = "AAAAAA==";
    let other = put("SHA1").header("x-amz-checksum-crc32", sum);
    says(&server, other, 200, &["x-amz-checksum-crc32: AAAAAA==\r\n"]).await;
}

#[tokio::test]
async fn a_bucket_key_is_kept_and_told() {
    let server = ready().await;
    let name = "x-amz-server-side-encryption-bucket-key-enabled";
    let told = format!("{name}: true\r\n");
    let told = told.as_str();
    let sealed = |ask: Ask| ask.header(SSE, "aws:kms").header(name, "true");
    says(&server, sealed(on(&server, "PUT", "k")), 200, &[told]).await;
    let copy = on(&server, "PUT", "copy").header("x-amz-copy-source", "/raw/k");
    says(&server, sealed(copy), 200, &[told]).await;
    let create = sealed(on(&server, "POST", "parts")).query("uploads", "");
    let begun = says(&server, create, 200, &[told]).await;
    let id = between(&begun, "<UploadId>", "</UploadId>");
    says(&server, part(&server, "parts", id), 200, &[told]).await;
    says(&server, complete(&server, "parts", id), 200, &[told]).await;
    for key in ["k", "copy", "parts"] {
        for method in ["GET", "HEAD"] {
            says(&server, on(&server, method, key), 200, &[told]).await;
        }
    }
    let silent = async |ask: Ask| {
        let answer = says(&server, ask, 200, &[]).await;
        assert!(!answer.text.contains(name), "{answer:?}");
    };
    silent(on(&server, "PUT", "none").header(SSE, "aws:kms")).await;
    let aes = on(&server, "PUT", "aes").header(SSE, "AES256");
    silent(aes.header(name, "true")).await;

    let default = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
                   <SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault>\
                   <BucketKeyEnabled>true</BucketKeyEnabled></Rule>\
                   </ServerSideEncryptionConfiguration>";
    let set = document(on(&server, "PUT", "").query("encryption", ""), default);
    says(&server, set, 200, &[]).await;
    says(&server, on(&server, "PUT", "default"), 200, &[told]).await;
    says(&server, on(&server, "GET", "default"), 200, &[told]).await;
    silent(on(&server, "PUT", "default").header(name, "false")).await;
}

#[tokio::test]
async fn a_lists_document_names_who_is_there_and_of_which_kind() {
    let server = ready().await;
    let instance = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";
    let put = |owner: &str, kind: &str, id: &str| {
        let grantee = format!("<Grantee {instance} xsi:type=\"{kind}\"><ID>{id}</ID></Grantee>");
        let text = format!(
            "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant>\
             {grantee}<Permission>READ</Permission></Grant></AccessControlList>\
             </AccessControlPolicy>"
        );
        document(on(&server, "PUT", "").query("acl", ""), &text)
    };
    let acl = says(&server, on(&server, "GET", "").query("acl", ""), 200, &[]).await;
    let own = between(&acl, "<ID>", "</ID>");
    let nobody = "<Message>Invalid id</Message><ArgumentName>CanonicalUser/ID</ArgumentName>\
                  <ArgumentValue>wrong-id</ArgumentValue>";
    let user = "CanonicalUser";
    says(&server, put("wrong-id", user, own), 400, &[nobody]).await;
    says(&server, put(own, user, "wrong-id"), 400, &[nobody]).await;
    let malformed = ["<Code>MalformedACLError</Code>"];
    says(&server, put(own, "BadType", "wrong-id"), 400, &malformed).await;
    let tenant = server.tenant("tenant");
    let theirs = tenant.list_buckets().send().await.unwrap().owner.unwrap();
    let theirs = put(theirs.id().unwrap(), user, own);
    says(&server, theirs, 403, &["<Code>AccessDenied</Code>"]).await;
}

#[tokio::test]
async fn what_a_lock_refuses_is_said_as_s3_says_it() {
    let server = ready().await;
    let bucket = Ask::new(&server, "PUT", "/locked");
    let bucket = bucket.header("x-amz-bucket-object-lock-enabled", "true");
    says(&server, bucket, 200, &[]).await;
    let at = |method, key: &str| Ask::new(&server, method, &format!("/locked/{key}"));
    let (mode, until) = (
        "x-amz-object-lock-mode",
        "x-amz-object-lock-retain-until-date",
    );
    let past = "2019-12-31T00:00:00Z";
    let missing = |name: &str| format!("<ArgumentName>{name}</ArgumentName>");
    let put = || at("PUT", "k");
    says(
        &server,
        put().header(mode, "GOVERNANCE"),
        400,
        &[&missing(until)],
    )
    .await;
    says(&server, put().header(until, past), 400, &[&missing(mode)]).await;
    let both = put().header(mode, "GOVERNANCE").header(until, past);
    says(
        &server,
        both,
        400,
        &["must be in the future!", &missing(until)],
    )
    .await;
    says(&server, put(), 200, &[]).await;

    let retention = |key, date: &str| {
        let text = format!(
            "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{date}</RetainUntilDate></Retention>"
        );
        document(at("PUT", key).query("retention", ""), &text)
    };
    let name = format!(
        "{}<ArgumentValue>{past}</ArgumentValue>",
        missing("RetainUntilDate")
    );
    says(&server, retention("k", past), 400, &[&name]).await;
    let hold = |ask: Ask| ask.query("legal-hold", "");
    let held = "<LegalHold><Status>ON</Status></LegalHold>";
    let lost = ["<Code>NoSuchKey</Code>", "<Key>lost</Key>"];
    says(
        &server,
        retention("lost", "2199-01-01T00:00:00Z"),
        404,
        &lost,
    )
    .await;
    says(&server, document(hold(at("PUT", "lost")), held), 404, &lost).await;
    let code = "<Code>NoSuchObjectLockConfiguration</Code>";
    for ask in [hold(at("GET", "k")), at("GET", "k").query("retention", "")] {
        let unset = says(&server, ask, 404, &[code]).await;
        assert!(!unset.text.contains("<Key>"), "{unset:?}");
    }
    let other = |text| document(hold(on(&server, "PUT", "k")), text);
    for none in ["", "<LegalHold/>"] {
        says(&server, other(none), 400, &["<Code>MalformedXML</Code>"]).await;
    }
    let missing = "Bucket is missing Object Lock Configuration";
    says(
        &server,
        other(held),
        400,
        &["<Code>InvalidRequest</Code>", missing],
    )
    .await;
}

#[tokio::test]
async fn a_clients_key_that_does_not_fit_opens_nothing() {
    let server = ready().await;
    let with = |ask: Ask, key: &[u8], algorithm: &str| {
        let name = |part: &str| format!("{SSE}-customer-{part}");
        ask.header(&name("algorithm"), algorithm)
            .header(&name("key"), &STANDARD.encode(key))
            .header(&name("key-md5"), &STANDARD.encode(md5::Md5::digest(key)))
    };
    let put = || on(&server, "PUT", "k");
    says(&server, with(put(), &[7; 32], "AES256"), 200, &[]).await;
    let unfit = "The secret key was invalid for the specified algorithm.";
    says(&server, with(put(), &[7; 10], "AES256"), 400, &[unfit]).await;
    let get = with(on(&server, "GET", "k"), &[7; 10], "AES256");
    let denied = "must provide the correct secret key.";
    says(&server, get, 403, &["<Code>AccessDenied</Code>", denied]).await;
    let head = with(on(&server, "HEAD", "k"), &[7; 10], "AES256");
    says(&server, head, 403, &[]).await;
    let both = with(put().header(SSE, "AES256"), &[7; 32], "KMS");
    let incompatible = "is incompatible with the encryption method specified";
    says(
        &server,
        both,
        400,
        &["<Code>InvalidArgument</Code>", incompatible],
    )
    .await;
    let unknown = with(put(), &[7; 32], "KMS");
    says(
        &server,
        unknown,
        400,
        &["<Code>InvalidEncryptionAlgorithmError</Code>"],
    )
    .await;
}

#[tokio::test]
async fn buckets_tell_their_arn_and_their_region() {
    let server = ready().await;
    let arn = "x-amz-bucket-arn: arn:aws:s3:::other\r\n";
    let other = |method| Ask::new(&server, method, "/other");
    says(&server, other("PUT"), 200, &[arn]).await;
    says(&server, other("HEAD"), 200, &[arn]).await;
    let element = "<BucketArn>arn:aws:s3:::other</BucketArn>";
    says(&server, Ask::new(&server, "GET", "/"), 200, &[element]).await;

    says(&server, on(&server, "PUT", "k"), 200, &[]).await;
    let open = on(&server, "PUT", "").query("acl", "");
    says(&server, open.header("x-amz-acl", "public-read"), 200, &[]).await;
    let region = "x-amz-bucket-region: us-east-1\r\n";
    let list = || on(&server, "GET", "");
    says(&server, list().query("list-type", "2"), 200, &[region]).await;
    says(&server, list(), 200, &[region, "<Owner>"]).await;
    let anonymous = list().expect(&server, 200, "").await;
    assert!(anonymous.text.contains("<Key>k</Key>"), "{anonymous:?}");
    assert!(!anonymous.text.contains("<Owner>"), "{anonymous:?}");
}

#[tokio::test]
async fn what_can_not_be_read_or_sent_is_named() {
    let server = ready().await;
    says(&server, on(&server, "PUT", "k"), 200, &[]).await;
    let name = "x-amz-copy-source";
    let copy = on(&server, "PUT", "copy").header(name, "wrongformat");
    let told = format!("<ArgumentName>{name}</ArgumentName><ArgumentValue>{name}</ArgumentValue>");
    let message = "<Message>Invalid copy source object key</Message>";
    says(&server, copy, 400, &[message, &told]).await;

    let get = |value| on(&server, "GET", "k").query("response-cache-control", value);
    let told = "<Message>Header value cannot be represented using ISO-8859-1.</Message>\
                <ArgumentName>response-cache-control</ArgumentName>\
                <ArgumentValue>non-ascii-\u{2014}_</ArgumentValue>";
    says(&server, get("non-ascii-\u{2014}_"), 400, &[told]).await;
    // One byte, which is no UTF-8.
    says(
        &server,
        get("caf\u{e9}"),
        200,
        &["cache-control: caf\u{fffd}\r\n"],
    )
    .await;
    says(
        &server,
        get("a\r\nb: c"),
        400,
        &["<Code>InvalidArgument</Code>"],
    )
    .await;
}
