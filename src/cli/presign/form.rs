//! `consign presign post`: a POST policy, as fields, a curl command or an HTML page.

use clap::Args;
use serde_json::{Value, json};

use super::{Context, demand, quote};
use crate::auth::constraint::Constraint;
use crate::auth::presign::sign_post;
use crate::auth::sigv4::ALGORITHM;
use crate::cli::{CliError, print_json};
use crate::clock::{Clock, SystemClock};
use crate::name::{BucketName, ObjectKey};

/// What S3 puts the uploaded file's own name in place of.
const FILENAME: &str = "${filename}";

#[derive(Debug, Args)]
pub(super) struct FormArgs {
    /// The object; `${filename}` stands for the file's own name
    #[arg(value_name = "BUCKET/KEY", value_parser = super::object)]
    object: (BucketName, ObjectKey),
    #[command(flatten)]
    size: demand::SizeArgs,
    #[command(flatten)]
    demand: demand::DemandArgs,
    /// A field whose value the uploader chooses, but which must begin so: Content-Type=image/
    #[arg(long, value_name = "FIELD=PREFIX", value_parser = super::parameter)]
    starts_with: Vec<(String, String)>,
    /// A field with a fixed value: Content-Type=image/png, success_action_status=201
    #[arg(long, value_name = "FIELD=VALUE", value_parser = super::parameter)]
    field: Vec<(String, String)>,
    /// Print an HTML page with the form
    #[arg(long, conflicts_with_all = ["json", "curl"])]
    html: bool,
}

/// A signed form: where it goes, and its fields before the file.
#[derive(Debug)]
struct Form {
    url: String,
    fields: Vec<(String, String)>,
}

pub(super) fn print(context: &Context<'_>, args: &FormArgs) -> Result<(), CliError> {
    let form = signed(context, args)?;
    if context.by.json {
        let fields: serde_json::Map<_, _> = form
            .fields
            .into_iter()
            .map(|(name, value)| (name, json!(value)))
            .collect();
        return print_json(&json!({ "url": form.url, "fields": fields }));
    }
    if context.by.curl {
        println!("{}", curl(&form));
    } else if args.html {
        println!("{}", html(&form));
    } else {
        println!("POST {}", form.url);
        for (name, value) in &form.fields {
            println!("{name}: {value}");
        }
        println!("file: (the file, as the last field)");
    }
    Ok(())
}

fn signed(context: &Context<'_>, args: &FormArgs) -> Result<Form, CliError> {
    let (bucket, key) = &args.object;
    let signer = context.signer();
    let now = SystemClock.now();
    let mut fields = vec![("key".to_owned(), key.as_str().to_owned())];
    fields.extend(args.field.iter().cloned());
    fields.extend(args.starts_with.iter().cloned());
    fields.extend(demand::checked(args.demand.pairs(), Constraint::OF_OBJECT)?);
    let proof = [
        ("x-amz-algorithm", ALGORITHM.to_owned()),
        ("x-amz-credential", signer.credential(now).text()),
        ("x-amz-date", now.amz_date()),
    ];
    let proof = proof.map(|(name, value)| (name.to_owned(), value));
    let all: Vec<_> = fields.iter().cloned().chain(proof).collect();
    let policy = json!({
        "expiration": now.plus(context.by.expires).iso8601_ms(),
        "conditions": conditions(bucket, args, &all),
    });
    fields.extend(sign_post(&signer, &policy.to_string(), now));
    Ok(Form {
        url: format!("{}/{}", context.endpoint, bucket.as_str()),
        fields,
    })
}

fn conditions(bucket: &BucketName, args: &FormArgs, fields: &[(String, String)]) -> Vec<Value> {
    let mut conditions = vec![json!({ "bucket": bucket.as_str() })];
    for (name, value) in fields {
        let chosen = args.starts_with.iter().any(|(field, _)| field == name);
        conditions.push(match value.split_once(FILENAME) {
            // S3 checks the key after the file's name is in place.
            Some((before, _)) if name == "key" => json!(["starts-with", "$key", before]),
            _ if chosen => json!(["starts-with", format!("${name}"), value]),
            _ => json!({ name: value }),
        });
    }
    if let Some((min, max)) = args.size.range(5 * 1024 * 1024 * 1024) {
        conditions.push(json!(["content-length-range", min, max]));
    }
    conditions
}

fn curl(form: &Form) -> String {
    let field = |(name, value): &(String, String)| {
        format!("--form-string {} ", quote(&format!("{name}={value}")))
    };
    let fields: String = form.fields.iter().map(field).collect();
    format!("curl -fsS {fields}-F file=@FILE {}", quote(&form.url))
}

fn html(form: &Form) -> String {
    let field = |(name, value): &(String, String)| {
        format!(
            "  <input type=\"hidden\" name=\"{}\" value=\"{}\">\n",
            escape(name),
            escape(value)
        )
    };
    let fields: String = form.fields.iter().map(field).collect();
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Upload</title>\n\
         <form action=\"{}\" method=\"post\" enctype=\"multipart/form-data\">\n{fields}  \
         <input type=\"file\" name=\"file\" required>\n  <button>Upload</button>\n</form>",
        escape(&form.url)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_can_hold_any_value() {
        assert_eq!(escape("\"<a&b>"), "&quot;&lt;a&amp;b&gt;");
    }
}
