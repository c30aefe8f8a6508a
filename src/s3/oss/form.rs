//! `PostObject` in either dialect: a form says in its fields which it speaks.
//!
//! <https://www.alibabacloud.com/help/en/oss/developer-reference/postobject>

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;

use super::answer::Told;
use super::asked::add_header;
use super::callback::{Done, Order, RawOrder};
use super::expand::is_custom;
use super::mixed;
use crate::auth::oss::form::{authenticate_form, is_of_oss};
use crate::s3::body::form::Form;
use crate::s3::context::FormCall;
use crate::s3::error::{Code, S3Error};
use crate::s3::head::Head;
use crate::s3::ops::post_form::{self, Entry, find};
use crate::s3::prove::prove;
use crate::s3::query::Query;
use crate::s3::reply::Reply;
use crate::s3::route::Operation;

/// Fields that are kept with the object like the headers of that name, and the one that OSS has for a
/// field which browsers fill in by themselves.
const KEPT: &[(&str, &str)] = &[
    ("cache-control", "cache-control"),
    ("content-disposition", "content-disposition"),
    ("content-encoding", "content-encoding"),
    ("content-language", "content-language"),
    ("content-md5", "content-md5"),
    ("content-type", "content-type"),
    ("expires", "expires"),
    ("x-oss-content-type", "content-type"),
];

/// Takes a form, which its fields prove.
///
/// # Errors
/// As the same of S3, in the words of the form's dialect.
pub(in crate::s3) async fn post_object(call: FormCall) -> Result<Reply, S3Error> {
    let form = post_form::read(&call.head, call.body).await?;
    let call = post_form::Received {
        service: call.service,
        head: call.head,
        form,
        id: call.id,
        peer: call.peer,
    };
    if !call.form.fields.iter().any(|(name, _)| is_of_oss(name)) {
        return post_form::take(call).await;
    }
    let (host, id) = (call.head.arrival.authority().to_owned(), call.id);
    let taken = take(call).await;
    let reply = taken.map_err(|error| error.told_in_oss(host))?;
    reply.with_header("x-oss-request-id", &id.to_string())
}

async fn take(call: post_form::Received) -> Result<Reply, S3Error> {
    refuse_mixture(&call.form.fields)?;
    let service = Arc::clone(&call.service);
    let name = call.head.bucket()?;
    let settings = service.settings.auth();
    let fields = &call.form.fields;
    let grant = prove(
        &service,
        (call.peer, &call.head.learned),
        |keys, now| authenticate_form(fields, name.as_str(), keys, &settings, now),
        |error, _now| S3Error::from(error),
    )?;
    let asked = as_head(&call.head, &call.form)?;
    let raw = raw_order(fields)?;
    let order = raw
        .map(|raw| Order::read(&service, &raw, Operation::PostObject, grant.who()))
        .transpose()?
        .flatten();
    let told = Told {
        operation: Operation::PostObject,
        info: false,
        encode: false,
        kept: asked.headers.contains_key("if-none-match"),
        bucket: asked.target.bucket.clone(),
    };
    let key = post_form::key(fields)?;
    let done = Done::of(&asked, call.id, call.peer).with_key(key);
    let entry = Entry { grant, asked };
    let stored = post_form::store(call, entry).await;
    let reply = stored.map_err(|error| told.refusal(error))?;
    let reply = told.reply(&service, reply).await?;
    match order {
        Some(order) => order.carry_out(&service, done, reply).await,
        None => Ok(reply),
    }
}

fn refuse_mixture(fields: &[(String, String)]) -> Result<(), S3Error> {
    let of_s3 = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("x-amz-") || name == "awsaccesskeyid"
    };
    match fields.iter().find(|(name, _)| of_s3(name)) {
        Some((name, _)) => Err(mixed(name)),
        None => Ok(()),
    }
}

/// The fields as the head of a `PutObject` that asks for the same.
fn as_head(head: &Head, form: &Form) -> Result<Head, S3Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in &form.fields {
        let lower = name.to_ascii_lowercase();
        if lower == "x-oss-security-token" || value.is_empty() {
            continue;
        }
        if let Some((_, header)) = KEPT.iter().find(|(field, _)| *field == lower) {
            // OSS's own field comes before that of the browser.
            if !headers.contains_key(*header) || lower == "x-oss-content-type" {
                headers.remove(*header);
                add_header(&mut headers, header, value)?;
            }
        } else if lower.starts_with("x-oss-") {
            add_header(&mut headers, &lower, value)?;
        }
    }
    if let Some(kind) = &form.file_type
        && !headers.contains_key("content-type")
    {
        add_header(&mut headers, "content-type", kind)?;
    }
    Ok(Head {
        headers: headers.into(),
        query: Query::default(),
        ..head.clone()
    })
}

/// The callback that the form asks for, with each of its `x:` fields as a variable.
fn raw_order(fields: &[(String, String)]) -> Result<Option<RawOrder>, S3Error> {
    let Some(order) = find(fields, "callback").filter(|order| !order.is_empty()) else {
        return Ok(None);
    };
    let mut variables = BTreeMap::new();
    for (name, value) in fields.iter().filter(|(name, _)| name.starts_with("x:")) {
        if !is_custom(name) {
            let message = format!("The variable {name} must be in lower case.");
            let error = S3Error::because(Code::InvalidArgument, message);
            return Err(error.with("ArgumentName", name.as_str()));
        }
        variables.insert(name.clone(), value.clone());
    }
    Ok(Some(RawOrder {
        order: order.to_owned(),
        variables,
    }))
}
