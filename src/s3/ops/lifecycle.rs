//! A bucket's lifecycle rules: put, got, deleted; and what answers say of them.

use std::collections::BTreeSet;

use super::bucket;
use crate::clock::Timestamp;
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::head::Head;
use crate::s3::reply::Reply;
use crate::s3::xml::{self, Node, XmlWriter};
use crate::store::settings::{
    DayLength, Expiration, FilterForm, LifecycleFilter, LifecycleRule, NoncurrentExpiration,
    TransitionSize,
};
use crate::store::{Bucket, ObjectRecord};

const TRANSITION_SIZE: &str = "x-amz-transition-default-minimum-object-size";

/// Options that [`put_bucket_lifecycle_configuration`] honours.
pub const LIFECYCLE: &[&str] = &[TRANSITION_SIZE];

/// What S3 moves objects to.
const TRANSITION_CLASSES: [&str; 6] = [
    "DEEP_ARCHIVE",
    "GLACIER",
    "GLACIER_IR",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "STANDARD_IA",
];
const CONFIGURATION: bucket::Configuration = bucket::Configuration {
    bytes_max: 2 << 20,
    is_guarded: true,
};
const RULES_MAX: usize = 1000;
const ID_CHARS_MAX: usize = 255;

/// `PutBucketLifecycleConfiguration`.
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`, `InvalidArgument`, `InvalidRequest`; `NotImplemented` for a
/// transition, as there is one storage class.
pub async fn put_bucket_lifecycle_configuration(call: Call) -> Result<Reply, S3Error> {
    let size = transition_size(&call.head)?;
    let read = |document: &[u8]| configured(&xml::parse(document, "LifecycleConfiguration")?);
    let reply = bucket::configure(call, CONFIGURATION, read, |wanted, _bucket, settings| {
        settings.lifecycle.clone_from(wanted);
        settings.transition_size = size;
        Ok(())
    });
    Ok(reply.await?.with_static(TRANSITION_SIZE, size.as_str()))
}

/// What the request says of small objects; who says nothing has them all stay.
fn transition_size(head: &Head) -> Result<TransitionSize, S3Error> {
    let Some(name) = head.header(TRANSITION_SIZE)? else {
        return Ok(TransitionSize::default());
    };
    let mut sizes = TransitionSize::ALL.into_iter();
    sizes.find(|size| size.as_str() == name).ok_or_else(|| {
        let message = format!("Invalid TransitionDefaultMinimumObjectSize found: {name}");
        S3Error::because(Code::InvalidRequest, message)
    })
}

/// `DeleteBucketLifecycle`: no fault where there is no rule.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn delete_bucket_lifecycle(call: Call) -> Result<Reply, S3Error> {
    bucket::unset(call, |settings| {
        settings.lifecycle.clear();
        settings.transition_size = TransitionSize::default();
    })
    .await
}

/// `GetBucketLifecycleConfiguration`.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchLifecycleConfiguration`.
pub async fn get_bucket_lifecycle_configuration(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let rules = &bucket.settings.lifecycle;
    if rules.is_empty() {
        let error = S3Error::new(Code::NoSuchLifecycleConfiguration);
        return Err(error.with("BucketName", bucket.name.as_str()));
    }
    let mut document = XmlWriter::new("LifecycleConfiguration");
    for rule in rules {
        document.element("Rule", |document| write_rule(document, rule));
    }
    let size = bucket.settings.transition_size;
    Ok(Reply::xml(document).with_static(TRANSITION_SIZE, size.as_str()))
}

fn write_rule(document: &mut XmlWriter, rule: &LifecycleRule) {
    if let Some(expiration) = rule.expiration {
        document.element("Expiration", |document| {
            match expiration {
                Expiration::Days(days) => document.value("Days", days),
                Expiration::Date(date) => document.text("Date", &date.iso8601_s()),
                Expiration::DeleteMarkers => document.value("ExpiredObjectDeleteMarker", true),
            };
        });
    }
    document.text("ID", &rule.id);
    let filter = &rule.filter;
    match filter.form {
        FilterForm::Prefix => {
            document.text("Prefix", filter.prefix.as_deref().unwrap_or_default());
        }
        FilterForm::Single => {
            document.element("Filter", |document| write_filter(document, filter));
        }
        FilterForm::And => {
            document.element("Filter", |document| {
                document.element("And", |document| write_filter(document, filter));
            });
        }
    }
    document.text("Status", if rule.enabled { "Enabled" } else { "Disabled" });
    if let Some(noncurrent) = rule.noncurrent {
        document.element("NoncurrentVersionExpiration", |document| {
            document.value("NoncurrentDays", noncurrent.days);
            if let Some(newer) = noncurrent.newer {
                document.value("NewerNoncurrentVersions", newer);
            }
        });
    }
    if let Some(days) = rule.abort_days {
        document.element("AbortIncompleteMultipartUpload", |document| {
            document.value("DaysAfterInitiation", days);
        });
    }
}

fn write_filter(document: &mut XmlWriter, filter: &LifecycleFilter) {
    document.optional("Prefix", filter.prefix.as_deref());
    for (key, value) in &filter.tags {
        document.element("Tag", |document| {
            document.text("Key", key);
            document.text("Value", value);
        });
    }
    for (name, bytes) in [
        ("ObjectSizeGreaterThan", filter.larger_than),
        ("ObjectSizeLessThan", filter.smaller_than),
    ] {
        if let Some(bytes) = bytes {
            document.value(name, bytes);
        }
    }
}

fn configured(root: &Node) -> Result<Vec<LifecycleRule>, S3Error> {
    let rules: Vec<_> = root.children.iter().map(rule).collect::<Result<_, _>>()?;
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(Code::MalformedXML.into());
    }
    let ids: BTreeSet<_> = rules.iter().map(|rule| rule.id.as_str()).collect();
    if ids.len() < rules.len() {
        let message = "Rule ID must be unique. Found same ID for more than one rule";
        return Err(S3Error::because(Code::InvalidArgument, message));
    }
    Ok(rules)
}

fn malformed() -> S3Error {
    S3Error::new(Code::MalformedXML)
}

fn rule(node: &Node) -> Result<LifecycleRule, S3Error> {
    if node.name != "Rule" {
        return Err(malformed());
    }
    let enabled = match node.required("Status")?.trim() {
        "Enabled" => true,
        "Disabled" => false,
        _ => return Err(malformed()),
    };
    for name in ["Transition", "NoncurrentVersionTransition"] {
        node.all(name).try_for_each(refuse_transition)?;
    }
    let rule = LifecycleRule {
        id: id(node)?,
        enabled,
        filter: filter(node)?,
        expiration: node.child("Expiration").map(expiration).transpose()?,
        noncurrent: node
            .child("NoncurrentVersionExpiration")
            .map(noncurrent)
            .transpose()?,
        abort_days: node
            .child("AbortIncompleteMultipartUpload")
            .map(|node| {
                days(
                    node,
                    "DaysAfterInitiation",
                    "AbortIncompleteMultipartUpload",
                )
            })
            .transpose()?,
    };
    if rule.expiration.is_none() && rule.noncurrent.is_none() && rule.abort_days.is_none() {
        let message = "At least one action needs to be specified in a rule";
        return Err(S3Error::because(Code::InvalidRequest, message));
    }
    let by_tag = !rule.filter.tags.is_empty();
    if by_tag && rule.abort_days.is_some() {
        let message = "AbortIncompleteMultipartUpload cannot be specified with Tags.";
        return Err(S3Error::because(Code::InvalidRequest, message));
    }
    if by_tag && rule.expiration == Some(Expiration::DeleteMarkers) {
        let message = "ExpiredObjectDeleteMarker cannot be specified with Tags.";
        return Err(S3Error::because(Code::InvalidRequest, message));
    }
    Ok(rule)
}

fn id(node: &Node) -> Result<String, S3Error> {
    let given = node
        .text_of("ID")
        .map(str::trim)
        .filter(|id| !id.is_empty());
    let Some(given) = given else {
        return Ok(hex::encode(crate::id::random::<24>()));
    };
    if given.chars().count() > ID_CHARS_MAX {
        let message = "ID length should not exceed allowed limit of 255";
        return Err(S3Error::because(Code::InvalidArgument, message));
    }
    Ok(given.to_owned())
}

fn days(node: &Node, name: &str, action: &str) -> Result<u32, S3Error> {
    let text = node.required(name)?.trim();
    let number: i64 = text.parse().map_err(|_none| malformed())?;
    let number = u32::try_from(number).ok().filter(|days| *days > 0);
    number.ok_or_else(|| {
        let message = format!("'{name}' for {action} action must be a positive integer");
        S3Error::because(Code::InvalidArgument, message)
    })
}

fn expiration(node: &Node) -> Result<Expiration, S3Error> {
    let [kind] = node.children.as_slice() else {
        return Err(malformed());
    };
    match kind.name.as_str() {
        "Days" => days(node, "Days", "Expiration").map(Expiration::Days),
        "Date" => date(kind.text.trim()).map(Expiration::Date),
        "ExpiredObjectDeleteMarker" if kind.text.trim() == "true" => Ok(Expiration::DeleteMarkers),
        _ => Err(malformed()),
    }
}

fn date(text: &str) -> Result<Timestamp, S3Error> {
    let full = if text.contains('T') {
        text.to_owned()
    } else {
        format!("{text}T00:00:00Z")
    };
    let date = Timestamp::parse_iso8601(&full).ok();
    let date = date.filter(|_date| full.as_bytes().get(4) == Some(&b'-'));
    let date = date.ok_or_else(malformed)?;
    if date.unix_s().rem_euclid(24 * 3600) != 0 {
        let message = "'Date' must be at midnight GMT";
        return Err(S3Error::argument("Date", text, message));
    }
    Ok(date)
}

/// There is one storage class. A transition that S3 would refuse too is refused as S3 does it.
fn refuse_transition(node: &Node) -> Result<(), S3Error> {
    let class = node.required("StorageClass")?.trim();
    if !TRANSITION_CLASSES.contains(&class) {
        return Err(malformed());
    }
    node.text_of("Date").map(str::trim).map(date).transpose()?;
    for days in ["Days", "NoncurrentDays", "NewerNoncurrentVersions"] {
        let number = node.text_of(days).map(|text| text.trim().parse::<u32>());
        number.transpose().map_err(|_none| malformed())?;
    }
    Err(S3Error::unsupported_option(node.name.as_str()))
}

fn noncurrent(node: &Node) -> Result<NoncurrentExpiration, S3Error> {
    let newer = node.text_of("NewerNoncurrentVersions");
    let newer = newer.map(|text| text.trim().parse().map_err(|_none| malformed()));
    Ok(NoncurrentExpiration {
        days: days(node, "NoncurrentDays", "NoncurrentVersionExpiration")?,
        newer: newer.transpose()?,
    })
}

fn filter(node: &Node) -> Result<LifecycleFilter, S3Error> {
    let (prefix, filter) = (node.child("Prefix"), node.child("Filter"));
    let mut found = LifecycleFilter::default();
    match (prefix, filter) {
        (Some(prefix), None) => {
            found.prefix = Some(prefix.text.clone());
            found.form = FilterForm::Prefix;
        }
        // S3 takes several conditions in an `And` only. Other servers' clients write them side by
        // side, beside an `And` too: all of them must hold then, and they are told as an `And`.
        (None, Some(filter)) => {
            conditions(filter, &mut found)?;
            if filter.children.len() > 1 || filter.child("And").is_some() {
                found.form = FilterForm::And;
            }
            let keys: BTreeSet<_> = found.tags.iter().map(|(key, _)| key).collect();
            if keys.len() < found.tags.len() {
                let message = "Duplicate Tag Keys are not allowed.";
                return Err(S3Error::because(Code::InvalidRequest, message));
            }
        }
        _ => return Err(malformed()),
    }
    Ok(found)
}

fn conditions(node: &Node, filter: &mut LifecycleFilter) -> Result<(), S3Error> {
    for child in &node.children {
        let number = || child.text.trim().parse().map_err(|_none| malformed());
        match child.name.as_str() {
            "And" if node.name == "Filter" => conditions(child, filter)?,
            "Prefix" => add_prefix(&child.text, filter)?,
            "Tag" => {
                let (key, value) = (child.required("Key")?, child.required("Value")?);
                filter.tags.push((key.to_owned(), value.to_owned()));
            }
            "ObjectSizeGreaterThan" => filter.larger_than = Some(number()?),
            "ObjectSizeLessThan" => filter.smaller_than = Some(number()?),
            _ => return Err(malformed()),
        }
    }
    Ok(())
}

/// Of two prefixes that both must hold, the longer one says all; no key begins with two others.
fn add_prefix(prefix: &str, filter: &mut LifecycleFilter) -> Result<(), S3Error> {
    match &filter.prefix {
        Some(other) if other.starts_with(prefix) => Ok(()),
        Some(other) if !prefix.starts_with(other) => Err(malformed()),
        _ => {
            filter.prefix = Some(prefix.to_owned());
            Ok(())
        }
    }
}

/// Tells when a current version goes, and by which rule: the first to let it go.
///
/// # Errors
/// Never: what is told is a date and an encoded name.
pub fn described(
    reply: Reply,
    bucket: &Bucket,
    key: &str,
    record: &ObjectRecord,
) -> Result<Reply, S3Error> {
    let day = DayLength::default();
    let due = bucket.settings.lifecycle.iter().filter_map(|rule| {
        let due = rule.expires(key, record, day)?;
        Some((due, rule))
    });
    let Some((due, rule)) = due.min_by_key(|(due, _rule)| *due) else {
        return Ok(reply);
    };
    let id = crate::auth::canonical::encode(rule.id.as_bytes(), false);
    let text = format!("expiry-date=\"{}\", rule-id=\"{id}\"", due.http_date());
    reply.with_header("x-amz-expiration", &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inner: &str) -> Result<Vec<LifecycleRule>, Code> {
        let rules = format!("<L><Rule>{inner}</Rule></L>");
        let root = xml::parse(rules.as_bytes(), "L").unwrap();
        configured(&root).map_err(|error| error.code())
    }

    #[test]
    fn rules_are_judged_as_by_s3() {
        let head = "<Status>Enabled</Status><Filter><Prefix>a/</Prefix></Filter>";
        let with = |more: &str| read(&format!("{head}{more}"));
        let days = |days: &str| with(&format!("<Expiration><Days>{days}</Days></Expiration>"));
        let rule = days("3").unwrap().remove(0);
        assert_eq!(rule.expiration, Some(Expiration::Days(3)));
        assert_eq!(rule.filter.prefix.as_deref(), Some("a/"));
        assert!(!rule.id.is_empty());
        assert_eq!(days("0"), Err(Code::InvalidArgument));
        assert_eq!(days("x"), Err(Code::MalformedXML));
        assert_eq!(with(""), Err(Code::InvalidRequest));
        let at = |date: &str| with(&format!("<Expiration><Date>{date}</Date></Expiration>"));
        assert!(at("2030-01-01").is_ok() && at("2030-01-01T00:00:00.000Z").is_ok());
        assert_eq!(at("2030-01-01T00:00:01Z"), Err(Code::InvalidArgument));
        assert_eq!(at("20200101"), Err(Code::MalformedXML));
        let moved = "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>";
        assert_eq!(with(moved), Err(Code::NotImplemented));
        let class = "<StorageClass>GLACIER</StorageClass>";
        let at = |date: &str| {
            with(&format!(
                "<Transition><Date>{date}</Date>{class}</Transition>"
            ))
        };
        assert_eq!(at("2030-01-01"), Err(Code::NotImplemented));
        assert_eq!(at("2030-01-01T00:00:01Z"), Err(Code::InvalidArgument));
        let unknown = "<Transition><Days>1</Days><StorageClass>GOLD</StorageClass></Transition>";
        assert_eq!(with(unknown), Err(Code::MalformedXML));
        assert_eq!(
            read("<Status>enabled</Status><Prefix/>"),
            Err(Code::MalformedXML)
        );
        let stale = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>\
                     </AbortIncompleteMultipartUpload>";
        let filtered = |inner: &str| {
            let days = "<Expiration><Days>1</Days></Expiration>";
            let rule = format!("<Status>Enabled</Status><Filter>{inner}</Filter>{days}");
            read(&rule).map(|mut rules| rules.remove(0).filter)
        };
        let both = "<Prefix>a/</Prefix><And><Prefix>a</Prefix>\
                    <Tag><Key>k</Key><Value>v</Value></Tag></And>";
        let filter = filtered(both).unwrap();
        assert_eq!(filter.prefix.as_deref(), Some("a/"));
        assert_eq!((filter.tags.len(), filter.form), (1, FilterForm::And));
        let two = "<And><Prefix>a</Prefix><Prefix>b</Prefix></And>";
        assert_eq!(filtered(two), Err(Code::MalformedXML));
        let deep = "<And><And><Prefix>a</Prefix></And></And>";
        assert_eq!(filtered(deep), Err(Code::MalformedXML));
        let tag = "<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>";
        let tagged = read(&format!("<Status>Enabled</Status>{tag}{stale}"));
        assert_eq!(tagged, Err(Code::InvalidRequest));
    }
}
