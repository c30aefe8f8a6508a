//! What a policy's conditions may ask of a request.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html>

use super::Caller;
use crate::auth::policy::Context;
use crate::s3::tags;

/// Headers that have a condition key of their own name.
const HEADERS: &[&str] = &[
    "x-amz-acl",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-metadata-directive",
    "x-amz-object-ownership",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];

/// Options of listings that have a condition key of their own name.
const OPTIONS: &[&str] = &["delimiter", "max-keys", "prefix"];

/// What is known of the request.
pub(super) fn of_request(caller: &Caller<'_>) -> Context {
    let mut context = Context::new();
    let head = caller.head;
    let text = |name: &str| head.header(name).ok().flatten();
    for name in HEADERS {
        context.set_if(&format!("s3:{name}"), text(name));
    }
    for name in OPTIONS {
        context.set_if(&format!("s3:{name}"), head.query.get(name));
    }
    context.set_if("s3:VersionId", head.query.get("versionId"));
    context.set_if("s3:if-match", text("if-match"));
    context.set_if("s3:if-none-match", text("if-none-match"));
    for (header, key) in [
        ("x-amz-object-lock-mode", "s3:object-lock-mode"),
        ("x-amz-object-lock-legal-hold", "s3:object-lock-legal-hold"),
        (
            "x-amz-object-lock-retain-until-date",
            "s3:object-lock-retain-until-date",
        ),
        ("user-agent", "aws:UserAgent"),
        ("referer", "aws:Referer"),
    ] {
        context.set_if(key, text(header));
    }
    if let Some(Ok(tags)) = text("x-amz-tagging").map(tags::of_header) {
        for (name, value) in tags {
            context.set(&format!("s3:RequestObjectTag/{name}"), value);
            context.add("s3:RequestObjectTagKeys", name);
        }
    }
    who(caller, &mut context);
    context
}

fn who(caller: &Caller<'_>, context: &mut Context) {
    let head = caller.head;
    let now = caller.service.clock.now();
    context.set("aws:CurrentTime", now.iso8601_ms());
    context.set("aws:EpochTime", now.unix_s().to_string());
    // Consign itself speaks plain HTTP: only a proxy that is trusted can say otherwise.
    context.set("aws:SecureTransport", head.arrival.is_secure().to_string());
    context.set_if(
        "aws:SourceIp",
        caller.peer.map(|peer| peer.ip().to_string()),
    );
    if let Some(signature) = caller.signature {
        context.set("s3:authType", signature.auth_type.name());
        context.set("s3:signatureversion", signature.version.name());
        let age = signature.age.map(|age| age.as_millis().to_string());
        context.set_if("s3:signatureAge", age);
    }
    let kind = if caller.who.key().is_some() {
        "User"
    } else {
        "Anonymous"
    };
    context.set("aws:PrincipalType", kind);
    if let Some(key) = caller.who.key() {
        // A session is its key, narrowed: by none of these can it escape what is said of the key.
        let temporary = key.temporary.as_deref();
        let base = temporary.map_or(&key.access_key, |temporary| &temporary.base);
        context.set("aws:username", key.name.as_str());
        context.set("aws:userid", base.as_str());
        if let Some(temporary) = temporary {
            context.set("aws:TokenIssueTime", temporary.issued.iso8601_ms());
            context.set("aws:MultiFactorAuthPresent", "false");
        }
        if let Some(account) = caller.service.accounts.by_id(&key.owner) {
            context.set("aws:PrincipalAccount", account.number.as_str());
            let arn = format!("arn:aws:iam::{}:user/{}", account.number, key.name);
            context.set("aws:PrincipalArn", arn);
        }
    }
}
