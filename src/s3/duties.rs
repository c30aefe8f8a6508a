//! What a signer demanded beyond S3, as the protocol keeps it: by the head, and by the bytes.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::body::ReceiveOptions;
use super::context::Service;
use super::error::{Code, S3Error};
use crate::auth::constraint::{CallbackChoice, Constraint, ContentTypes, Duties, LengthRange};

/// Judges what is known before a byte of the body is read.
///
/// # Errors
/// `AccessDenied` for a type that was not demanded and for what was used before, `InvalidArgument`
/// for an endpoint that is not configured.
pub(super) async fn check(
    service: &Service,
    headers: &HeaderMap,
    duties: &Duties,
) -> Result<(), S3Error> {
    if let Some(types) = &duties.content_types {
        check_type(headers, types)?;
    }
    if let Some(callback) = &duties.callback {
        check_callback(service, callback)?;
    }
    Ok(service.store.check_unused(duties.once.as_ref()).await?)
}

/// What is wanted of the bytes, as far as the signer limits it.
pub(super) fn limited(want: ReceiveOptions, duties: &Duties) -> ReceiveOptions {
    let mut want = want;
    if let Some(LengthRange { min, max }) = duties.length_range {
        want.min_len = want.min_len.max(min);
        want.max_len = want.max_len.min(max);
    }
    want.needs_checksum |= duties.require_checksum;
    want
}

/// [`limited`], for a part of an upload whose whole is to keep these duties: its length is judged
/// with those of the others.
pub(super) fn limited_as_part(want: ReceiveOptions, whole: &Duties) -> ReceiveOptions {
    ReceiveOptions {
        needs_checksum: want.needs_checksum || whole.require_checksum,
        ..want
    }
}

fn check_type(headers: &HeaderMap, types: &ContentTypes) -> Result<(), S3Error> {
    let mut given = headers.get_all(CONTENT_TYPE).iter();
    let text = match (given.next(), given.next()) {
        (Some(one), None) => one.to_str().unwrap_or_default(),
        // Of two, readers might see the other one.
        _ => "",
    };
    if types.admit(text) {
        return Ok(());
    }
    let message = "The Content-Type is none of those that x-consign-content-type allows";
    Err(S3Error::because(Code::AccessDenied, message)
        .with("ContentType", text)
        .with("ContentTypesAllowed", types.text()))
}

fn check_callback(service: &Service, callback: &CallbackChoice) -> Result<(), S3Error> {
    let name = Constraint::Callback.name();
    if !service.store.hook().knows(&callback.endpoint) {
        let message = format!("{name} names an endpoint that the server's configuration has not.");
        return Err(S3Error::argument(name, &callback.endpoint, message));
    }
    Ok(())
}
