//! Who is told of what happens in a bucket: put and got. The callbacks' hook applies it.
//!
//! Topics, queues and functions are the same here: the last part of their ARN names a callback
//! endpoint of the server's configuration.

use http::StatusCode;

use super::{about, bucket};
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::Reply;
use crate::s3::xml::{self, Node, XmlWriter};
use crate::store::settings::{NotificationRule, ReceiverKind, covers};
use crate::store::{Bucket, EventName};

/// The option that takes receivers as they are named.
pub const SKIP_VALIDATION: &[&str] = &["x-amz-skip-destination-validation"];
/// Bytes of a configuration, at most.
const CONFIGURATION_BYTES_MAX: u64 = 256 * 1024;
/// Rules of a bucket, at most.
const RULES_MAX: usize = 100;
const ID_CHARS_MAX: usize = 255;
const FILTER_BYTES_MAX: usize = 1024;
/// Events that S3 has and that never happen here, since there is one class, one copy and no archive.
const NEVER: [&str; 10] = [
    "ReducedRedundancyLostObject",
    "Replication:OperationFailedReplication",
    "Replication:OperationMissedThreshold",
    "Replication:OperationNotTracked",
    "Replication:OperationReplicatedAfterThreshold",
    "ObjectRestore:Post",
    "ObjectRestore:Completed",
    "ObjectRestore:Delete",
    "LifecycleTransition",
    "IntelligentTiering",
];

/// `PutBucketNotificationConfiguration`: the new rules take the place of the old ones, and each
/// receiver gets a test message.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html>
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`, `InvalidArgument` for a rule that makes no sense or a receiver
/// that is not there, `NotImplemented` for `EventBridge`.
pub async fn put_bucket_notification(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let origin = call.origin(EventName::ObjectCreatedPut);
    let Call {
        service,
        head,
        body,
        ..
    } = call;
    let rules = configured(&body.xml(CONFIGURATION_BYTES_MAX).await?, &bucket)?;
    let skips = head.header("x-amz-skip-destination-validation")?;
    if !skips.is_some_and(|skips| skips.eq_ignore_ascii_case("true")) {
        let hook = service.store.hook();
        let missing = rules.iter().filter(|rule| !hook.knows(rule.endpoint()));
        check_receivers(missing)?;
    }
    let set = service
        .store
        .set_notifications(&bucket.name, &rules, &origin);
    set.await.map_err(|error| about(&head, error))?;
    Ok(Reply::empty(StatusCode::OK))
}

/// `GetBucketNotificationConfiguration`: an empty document where nobody is told.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html>
///
/// # Errors
/// `NoSuchBucket`.
pub async fn get_bucket_notification(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let mut document = XmlWriter::new("NotificationConfiguration");
    for rule in &bucket.settings.notifications {
        let (element, receiver) = names(rule.kind);
        document.element(element, |document| {
            document.text("Id", &rule.id);
            document.text(receiver, &rule.arn);
            for event in &rule.events {
                document.text("Event", event);
            }
            if rule.filtered {
                document.element("Filter", |document| write_filter(document, rule));
            }
        });
    }
    Ok(Reply::xml(document))
}

fn write_filter(document: &mut XmlWriter, rule: &NotificationRule) {
    document.element("S3Key", |document| {
        for (name, value) in [("Prefix", &rule.prefix), ("Suffix", &rule.suffix)] {
            if let Some(value) = value {
                document.element("FilterRule", |document| {
                    document.text("Name", name);
                    document.text("Value", value);
                });
            }
        }
    });
}

/// The elements of a rule and of its receiver.
const fn names(kind: ReceiverKind) -> (&'static str, &'static str) {
    match kind {
        ReceiverKind::Topic => ("TopicConfiguration", "Topic"),
        ReceiverKind::Queue => ("QueueConfiguration", "Queue"),
        ReceiverKind::Function => ("CloudFunctionConfiguration", "CloudFunction"),
    }
}

fn check_receivers<'a>(missing: impl Iterator<Item = &'a NotificationRule>) -> Result<(), S3Error> {
    let mut missing = (1..).zip(missing).peekable();
    if missing.peek().is_none() {
        return Ok(());
    }
    let message = "Unable to validate the following destination configurations";
    let error = S3Error::because(Code::InvalidArgument, message);
    Err(missing.fold(error, |error, (number, rule)| {
        let kind = match rule.kind {
            ReceiverKind::Topic => "topic",
            ReceiverKind::Queue => "queue",
            ReceiverKind::Function => "Lambda",
        };
        let said = format!("The destination {kind} does not exist");
        error
            .with(format!("ArgumentName{number}"), &rule.arn)
            .with(format!("ArgumentValue{number}"), said)
    }))
}

fn configured(document: &[u8], bucket: &Bucket) -> Result<Vec<NotificationRule>, S3Error> {
    let root = xml::parse(document, "NotificationConfiguration")?;
    if root.children.len() > RULES_MAX {
        return Err(Code::MalformedXML.into());
    }
    let rules: Vec<_> = root
        .children
        .iter()
        .map(|node| rule(node, &bucket.region))
        .collect::<Result<_, _>>()?;
    for (at, rule) in rules.iter().enumerate() {
        for other in rules.iter().skip(at.saturating_add(1)) {
            if rule.id == other.id {
                let message = "Same ID used for multiple configurations. IDs must be unique";
                return Err(S3Error::because(Code::InvalidArgument, message));
            }
            check_overlap(rule, other)?;
        }
    }
    Ok(rules)
}

fn rule(node: &Node, region: &str) -> Result<NotificationRule, S3Error> {
    let kind = match node.name.as_str() {
        "TopicConfiguration" => ReceiverKind::Topic,
        "QueueConfiguration" => ReceiverKind::Queue,
        "CloudFunctionConfiguration" => ReceiverKind::Function,
        "EventBridgeConfiguration" => {
            return Err(S3Error::unsupported_option("EventBridgeConfiguration"));
        }
        _ => return Err(Code::MalformedXML.into()),
    };
    let (_, receiver) = names(kind);
    let arn = node.required(receiver)?.trim();
    check_arn(kind, arn, region)?;
    let events: Vec<_> = node
        .all("Event")
        .map(|event| event.text.trim().to_owned())
        .collect();
    if events.is_empty() {
        return Err(Code::MalformedXML.into());
    }
    for event in &events {
        check_event(event)?;
    }
    let id = node.text_of("Id").map(str::trim).unwrap_or_default();
    if id.chars().count() > ID_CHARS_MAX {
        let message = "ID length should not exceed allowed limit of 255";
        return Err(S3Error::argument("Id", id, message));
    }
    let id = match id {
        "" => uuid::Uuid::from_bytes(crate::id::random()).to_string(),
        id => id.to_owned(),
    };
    let mut rule = NotificationRule {
        id,
        kind,
        arn: arn.to_owned(),
        events,
        ..NotificationRule::default()
    };
    if let Some(filter) = node.child("Filter") {
        rule.filtered = true;
        let key = filter.child("S3Key").ok_or(Code::MalformedXML)?;
        for one in key.all("FilterRule") {
            add_filter(&mut rule, one)?;
        }
    }
    Ok(rule)
}

fn add_filter(rule: &mut NotificationRule, node: &Node) -> Result<(), S3Error> {
    let (name, value) = (node.required("Name")?.trim(), node.required("Value")?);
    let (part, label) = match name.to_ascii_lowercase().as_str() {
        "prefix" => (&mut rule.prefix, "prefix"),
        "suffix" => (&mut rule.suffix, "suffix"),
        _ => {
            let message = "filter rule name must be either prefix or suffix";
            return Err(S3Error::argument("FilterRule.Name", name, message));
        }
    };
    if value.len() > FILTER_BYTES_MAX {
        let message = "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation";
        return Err(S3Error::argument("FilterRule.Value", value, message));
    }
    if part.replace(value.to_owned()).is_some() {
        let message = format!("Cannot specify more than one {label} rule in a filter.");
        return Err(S3Error::argument("FilterRule.Name", name, message));
    }
    Ok(())
}

fn check_arn(kind: ReceiverKind, arn: &str, region: &str) -> Result<(), S3Error> {
    let (_, receiver) = names(kind);
    let refuse = |message: &'static str| Err(S3Error::argument(receiver, arn, message));
    let parts: Vec<_> = arn.split(':').collect();
    let ["arn", partition, service, place, _account, .., name] = parts.as_slice() else {
        return refuse("The ARN could not be parsed");
    };
    let ours = match kind {
        ReceiverKind::Topic => "sns",
        ReceiverKind::Queue => "sqs",
        ReceiverKind::Function => "lambda",
    };
    if !partition.starts_with("aws") || *service != ours || name.is_empty() {
        return refuse("The ARN is not well formed");
    }
    if *place != region {
        return refuse(
            "The notification destination service region is not valid for the bucket location \
             constraint",
        );
    }
    Ok(())
}

fn check_event(event: &str) -> Result<(), S3Error> {
    let raised = EventName::ALL.iter().any(|one| covers(event, one.as_str()));
    if raised || NEVER.iter().any(|one| covers(event, one)) {
        return Ok(());
    }
    let message = "The event is not supported for notifications";
    Err(S3Error::argument("Event", event, message))
}

/// Refuses two rules that would tell the same twice.
fn check_overlap(one: &NotificationRule, other: &NotificationRule) -> Result<(), S3Error> {
    let mut events = EventName::ALL.iter().map(|event| event.as_str());
    let both = |event| {
        let by = |rule: &NotificationRule| rule.events.iter().any(|p| covers(p, event));
        by(one) && by(other)
    };
    if !events.any(both) {
        return Ok(());
    }
    let of = |part: &Option<String>| part.clone().unwrap_or_default();
    let (a, b) = (of(&one.prefix), of(&other.prefix));
    let (x, y) = (of(&one.suffix), of(&other.suffix));
    let prefixes = a.starts_with(&b) || b.starts_with(&a);
    if !prefixes || !(x.ends_with(&y) || y.ends_with(&x)) {
        return Ok(());
    }
    let message = if one.filtered || other.filtered {
        "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the \
         prefixes are overlapping for the same event type."
    } else {
        "Configurations overlap. Configurations on the same bucket cannot share a common event type."
    };
    Err(S3Error::because(Code::InvalidArgument, message))
}
