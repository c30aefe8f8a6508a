//! How a bucket is served as a website: put, got, deleted. [`crate::s3::website`] serves it.

use super::bucket;
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::Reply;
use crate::s3::xml::{self, Node, XmlWriter};
use crate::store::settings::{RoutingRule, Website};

const CONFIGURATION: bucket::Configuration = bucket::Configuration {
    bytes_max: 128 * 1024,
    is_guarded: false,
};
/// Rules of a website, at most, as S3 has it.
const RULES_MAX: usize = 50;

/// `PutBucketWebsite`.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html>
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`, `InvalidArgument`, `InvalidRequest`.
pub async fn put_bucket_website(call: Call) -> Result<Reply, S3Error> {
    bucket::configure(
        call,
        CONFIGURATION,
        configured,
        |wanted, _bucket, settings| {
            settings.website = Some(wanted.clone());
            Ok(())
        },
    )
    .await
}

/// `GetBucketWebsite`.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketWebsite.html>
///
/// # Errors
/// `NoSuchBucket`, `NoSuchWebsiteConfiguration`.
pub async fn get_bucket_website(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let Some(website) = &bucket.settings.website else {
        let error = S3Error::new(Code::NoSuchWebsiteConfiguration);
        return Err(error.with("BucketName", bucket.name.as_str()));
    };
    let mut document = XmlWriter::new("WebsiteConfiguration");
    if let Some((host, protocol)) = &website.redirect_all {
        document.element("RedirectAllRequestsTo", |document| {
            document.text("HostName", host);
            document.optional("Protocol", protocol.as_deref());
        });
    }
    if let Some(suffix) = &website.index {
        document.element("IndexDocument", |document| {
            document.text("Suffix", suffix);
        });
    }
    if let Some(key) = &website.error {
        document.element("ErrorDocument", |document| {
            document.text("Key", key);
        });
    }
    if !website.rules.is_empty() {
        document.element("RoutingRules", |document| {
            for rule in &website.rules {
                document.element("RoutingRule", |document| write_rule(document, rule));
            }
        });
    }
    Ok(Reply::xml(document))
}

/// `DeleteBucketWebsite`: no fault where there is none.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketWebsite.html>
///
/// # Errors
/// `NoSuchBucket`.
pub async fn delete_bucket_website(call: Call) -> Result<Reply, S3Error> {
    bucket::unset(call, |settings| {
        settings.website = None;
    })
    .await
}

fn write_rule(document: &mut XmlWriter, rule: &RoutingRule) {
    let number = |number: Option<u16>| number.map(|number| number.to_string());
    if rule.prefix.is_some() || rule.status.is_some() {
        document.element("Condition", |document| {
            let status = number(rule.status);
            document.optional("HttpErrorCodeReturnedEquals", status.as_deref());
            document.optional("KeyPrefixEquals", rule.prefix.as_deref());
        });
    }
    document.element("Redirect", |document| {
        document.optional("HostName", rule.host.as_deref());
        document.optional("HttpRedirectCode", number(rule.code).as_deref());
        document.optional("Protocol", rule.protocol.as_deref());
        document.optional("ReplaceKeyPrefixWith", rule.replace_prefix.as_deref());
        document.optional("ReplaceKeyWith", rule.replace_key.as_deref());
    });
}

fn configured(document: &[u8]) -> Result<Website, S3Error> {
    let root = xml::parse(document, "WebsiteConfiguration")?;
    // Before any of them is judged, as on S3.
    if root.child("RedirectAllRequestsTo").is_some() && root.children.len() > 1 {
        let message =
            "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.";
        let name = "RedirectAllRequestsTo";
        return Err(S3Error::argument(name, "not null", message));
    }
    let mut website = Website::default();
    for node in &root.children {
        match node.name.as_str() {
            "IndexDocument" => website.index = Some(suffix(node)?),
            "ErrorDocument" => website.error = Some(error_key(node)?),
            "RedirectAllRequestsTo" => {
                let host = node.required("HostName")?.trim().to_owned();
                check_target(&host)?;
                website.redirect_all = Some((host, protocol(node)?));
            }
            "RoutingRules" => website.rules = rules(node)?,
            _ => return Err(Code::MalformedXML.into()),
        }
    }
    if website.redirect_all.is_none() && website.index.is_none() {
        let message =
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty";
        return Err(S3Error::argument("IndexDocument", "null", message));
    }
    Ok(website)
}

fn suffix(node: &Node) -> Result<String, S3Error> {
    let suffix = node.required("Suffix")?.trim();
    if suffix.is_empty() || suffix.contains('/') {
        let message = "The IndexDocument Suffix is not well formed";
        return Err(S3Error::argument("IndexDocument", suffix, message));
    }
    Ok(suffix.to_owned())
}

fn error_key(node: &Node) -> Result<String, S3Error> {
    let key = node.required("Key")?.trim();
    if crate::name::ObjectKey::parse(key).is_err() {
        let message = "The ErrorDocument Key is not well formed";
        return Err(S3Error::argument("ErrorDocument", key, message));
    }
    Ok(key.to_owned())
}

fn rules(node: &Node) -> Result<Vec<RoutingRule>, S3Error> {
    let rules: Vec<_> = node.children.iter().map(rule).collect::<Result<_, _>>()?;
    if rules.is_empty() {
        return Err(Code::MalformedXML.into());
    }
    if rules.len() > RULES_MAX {
        let message = "The number of routing rules must not exceed the allowed limit of 50 rules.";
        return Err(invalid(message));
    }
    Ok(rules)
}

fn rule(node: &Node) -> Result<RoutingRule, S3Error> {
    if node.name != "RoutingRule" {
        return Err(Code::MalformedXML.into());
    }
    let redirect = node.child("Redirect").ok_or(Code::MalformedXML)?;
    let text = |node: &Node, name: &str| node.text_of(name).map(|text| text.trim().to_owned());
    let mut rule = RoutingRule {
        protocol: protocol(redirect)?,
        host: text(redirect, "HostName"),
        replace_prefix: text(redirect, "ReplaceKeyPrefixWith"),
        replace_key: text(redirect, "ReplaceKeyWith"),
        code: status(redirect, "HttpRedirectCode", 301..=399)?,
        ..RoutingRule::default()
    };
    if let Some(condition) = node.child("Condition") {
        rule.prefix = text(condition, "KeyPrefixEquals");
        rule.status = status(condition, "HttpErrorCodeReturnedEquals", 400..=599)?;
        if rule.prefix.is_none() && rule.status.is_none() {
            return Err(invalid(
                "Condition cannot be empty. To redirect all requests without a condition, the \
                 condition element shouldn't be present.",
            ));
        }
    }
    if rule.replace_prefix.is_some() && rule.replace_key.is_some() {
        return Err(invalid(
            "You can only define ReplaceKeyPrefix or ReplaceKey but not both.",
        ));
    }
    for part in [&rule.host, &rule.replace_prefix, &rule.replace_key] {
        check_target(part.as_deref().unwrap_or_default())?;
    }
    Ok(rule)
}

/// What becomes part of a `Location` header must not write headers of its own.
fn check_target(text: &str) -> Result<(), S3Error> {
    if text.chars().any(char::is_control) {
        return Err(invalid("A redirect must not hold control characters."));
    }
    Ok(())
}

fn protocol(node: &Node) -> Result<Option<String>, S3Error> {
    match node.text_of("Protocol").map(str::trim) {
        None => Ok(None),
        Some(given @ ("http" | "https")) => Ok(Some(given.to_owned())),
        Some(_) => Err(invalid(
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be \
             selected automatically.",
        )),
    }
}

fn status(
    node: &Node,
    name: &str,
    among: std::ops::RangeInclusive<u16>,
) -> Result<Option<u16>, S3Error> {
    let Some(text) = node.text_of(name).map(str::trim) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(status) if among.contains(&status) => Ok(Some(status)),
        _ if *among.start() < 400 => Err(invalid(format!(
            "The provided HTTP redirect code ({text}) is not valid. Valid codes are 3XX except 300."
        ))),
        _ => Err(invalid(format!(
            "The provided HTTP error code ({text}) is not valid. Valid codes are 4XX or 5XX."
        ))),
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::because(Code::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inner: &str) -> Result<Website, Code> {
        let root = "WebsiteConfiguration";
        let document = format!("<{root}>{inner}</{root}>");
        configured(document.as_bytes()).map_err(|error| error.code())
    }

    const INDEX: &str = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>";

    #[test]
    fn a_website_is_judged_as_by_s3() {
        let all = "<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>";
        assert_eq!(
            read(all).unwrap().redirect_all,
            Some(("h".to_owned(), None))
        );
        let index =
            |suffix: &str| format!("<IndexDocument><Suffix>{suffix}</Suffix></IndexDocument>");
        let routed = |rule: &str| {
            format!("{INDEX}<RoutingRules><RoutingRule>{rule}</RoutingRule></RoutingRules>")
        };
        let to = "<Redirect><HostName>h</HostName></Redirect>";
        let both = "<Redirect><ReplaceKeyWith>a</ReplaceKeyWith>\
                    <ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith></Redirect>";
        for (inner, code) in [
            (index("/index.html"), Code::InvalidArgument),
            (index(""), Code::InvalidArgument),
            (format!("{all}{INDEX}"), Code::InvalidArgument),
            (String::new(), Code::InvalidArgument),
            (routed(""), Code::MalformedXML),
            (routed(both), Code::InvalidRequest),
            (routed(&format!("<Condition/>{to}")), Code::InvalidRequest),
            (
                routed("<Redirect><Protocol>ftp</Protocol></Redirect>"),
                Code::InvalidRequest,
            ),
            (
                routed("<Redirect><HttpRedirectCode>200</HttpRedirectCode></Redirect>"),
                Code::InvalidRequest,
            ),
            (
                routed("<Redirect><HostName>h&#10;x: y</HostName></Redirect>"),
                Code::InvalidRequest,
            ),
            (format!("{INDEX}<RoutingRules/>"), Code::MalformedXML),
            (format!("{INDEX}<Other/>"), Code::MalformedXML),
        ] {
            assert_eq!(read(&inner), Err(code), "{inner}");
        }
        // Before the suffix, which is not well formed either.
        let root = "WebsiteConfiguration";
        let both = format!("<{root}>{}{all}</{root}>", index("/"));
        let refused = configured(both.as_bytes()).unwrap_err();
        assert!(refused.message().starts_with("RedirectAllRequestsTo"));
        let condition = "<Condition><KeyPrefixEquals>a/</KeyPrefixEquals></Condition>";
        let rules = read(&routed(&format!("{condition}{to}"))).unwrap().rules;
        assert_eq!(rules[0].prefix.as_deref(), Some("a/"));
    }
}
