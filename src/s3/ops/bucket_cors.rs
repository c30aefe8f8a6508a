//! A bucket's rules for browsers: put, got, deleted. [`crate::s3::cors`] applies them.

use super::bucket;
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::Reply;
use crate::s3::xml::{self, Node, XmlWriter};
use crate::store::settings::CorsRule;

const CONFIGURATION: bucket::Configuration = bucket::Configuration {
    bytes_max: 64 * 1024,
    is_guarded: true,
};
/// Rules of a bucket, at most.
const RULES_MAX: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// `PutBucketCors`: the new rules take the place of the old ones.
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`, `InvalidRequest` for a rule that makes no sense.
pub async fn put_bucket_cors(call: Call) -> Result<Reply, S3Error> {
    bucket::configure(
        call,
        CONFIGURATION,
        configured,
        |wanted, _bucket, settings| {
            settings.cors.clone_from(wanted);
            Ok(())
        },
    )
    .await
}

/// `GetBucketCors`.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchCORSConfiguration`.
pub async fn get_bucket_cors(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let rules = &bucket.settings.cors;
    if rules.is_empty() {
        let error = S3Error::new(Code::NoSuchCORSConfiguration);
        return Err(error.with("BucketName", bucket.name.as_str()));
    }
    let mut document = XmlWriter::new("CORSConfiguration");
    for rule in rules {
        document.element("CORSRule", |document| {
            document.optional("ID", rule.id.as_deref());
            for (name, values) in [
                ("AllowedHeader", &rule.allowed_headers),
                ("AllowedMethod", &rule.allowed_methods),
                ("AllowedOrigin", &rule.allowed_origins),
                ("ExposeHeader", &rule.expose_headers),
            ] {
                for value in values {
                    document.text(name, value);
                }
            }
            if let Some(seconds) = rule.max_age_seconds {
                document.value("MaxAgeSeconds", seconds);
            }
        });
    }
    Ok(Reply::xml(document))
}

/// `DeleteBucketCors`: no fault where there is no rule.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn delete_bucket_cors(call: Call) -> Result<Reply, S3Error> {
    bucket::unset(call, |settings| settings.cors.clear()).await
}

fn configured(document: &[u8]) -> Result<Vec<CorsRule>, S3Error> {
    let root = xml::parse(document, "CORSConfiguration")?;
    let rules: Vec<_> = root.children.iter().map(rule).collect::<Result<_, _>>()?;
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(Code::MalformedXML.into());
    }
    Ok(rules)
}

fn rule(node: &Node) -> Result<CorsRule, S3Error> {
    if node.name != "CORSRule" {
        return Err(Code::MalformedXML.into());
    }
    let mut rule = CorsRule::default();
    for child in &node.children {
        let text = child.text.trim();
        match child.name.as_str() {
            "ID" => rule.id = Some(text.to_owned()),
            "AllowedOrigin" => rule.allowed_origins.push(origin(text)?),
            "AllowedMethod" => rule.allowed_methods.push(method(text)?),
            "AllowedHeader" => rule.allowed_headers.push(pattern("AllowedHeader", text)?),
            "ExposeHeader" => rule.expose_headers.push(exposed(text)?),
            "MaxAgeSeconds" => {
                let seconds = text.parse();
                rule.max_age_seconds = Some(seconds.map_err(|_none| Code::MalformedXML)?);
            }
            _ => return Err(Code::MalformedXML.into()),
        }
    }
    if rule.id.as_ref().is_some_and(|id| id.chars().count() > 255) {
        return Err(invalid(
            "The ID of a CORS rule has at most 255 characters.".to_owned(),
        ));
    }
    if rule.allowed_origins.is_empty() || rule.allowed_methods.is_empty() {
        return Err(Code::MalformedXML.into());
    }
    Ok(rule)
}

fn invalid(message: String) -> S3Error {
    S3Error::because(Code::InvalidRequest, message)
}

fn method(text: &str) -> Result<String, S3Error> {
    if METHODS.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(invalid(format!(
        "Found unsupported HTTP method in CORS config. Unsupported method is {text}"
    )))
}

fn origin(text: &str) -> Result<String, S3Error> {
    pattern("AllowedOrigin", text)
}

fn pattern(name: &str, text: &str) -> Result<String, S3Error> {
    if text.matches('*').count() > 1 {
        return Err(invalid(format!(
            "{name} \"{text}\" can not have more than one wildcard."
        )));
    }
    Ok(text.to_owned())
}

/// A name that is sent back as it stands: anything but a header's name would let a rule write
/// headers of its own.
fn exposed(text: &str) -> Result<String, S3Error> {
    if text.contains('*') {
        return Err(invalid(format!(
            "ExposeHeader \"{text}\" contains wildcard. We currently do not support wildcard for \
             ExposeHeader."
        )));
    }
    if http::HeaderName::from_bytes(text.as_bytes()).is_err() {
        return Err(invalid(format!(
            "ExposeHeader \"{}\" is not a valid header name.",
            text.escape_default()
        )));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inner: &str) -> Result<Vec<CorsRule>, Code> {
        let rules = format!("<CORSConfiguration><CORSRule>{inner}</CORSRule></CORSConfiguration>");
        configured(rules.as_bytes()).map_err(|error| error.code())
    }

    #[test]
    fn rules_are_judged_as_by_s3() {
        let least = "<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>";
        let with = |more: &str| read(&format!("{least}{more}"));
        let rules = with("<MaxAgeSeconds>3000</MaxAgeSeconds><ExposeHeader>ETag</ExposeHeader>");
        let rule = rules.unwrap().remove(0);
        assert_eq!(rule.max_age_seconds, Some(3000));
        assert_eq!(rule.expose_headers, ["ETag"]);
        for (more, code) in [
            ("<AllowedMethod>PATCH</AllowedMethod>", Code::InvalidRequest),
            ("<AllowedOrigin>a*b*</AllowedOrigin>", Code::InvalidRequest),
            ("<ExposeHeader>x-*</ExposeHeader>", Code::InvalidRequest),
            (
                "<ExposeHeader>a&#10;b: c</ExposeHeader>",
                Code::InvalidRequest,
            ),
            ("<MaxAgeSeconds>x</MaxAgeSeconds>", Code::MalformedXML),
            ("<Other/>", Code::MalformedXML),
        ] {
            assert_eq!(with(more), Err(code), "{more}");
        }
        assert_eq!(
            read("<AllowedMethod>GET</AllowedMethod>"),
            Err(Code::MalformedXML)
        );
        assert!(configured(b"<CORSConfiguration/>").is_err());
    }
}
