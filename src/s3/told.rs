//! An uploader is told what the receiver of its callback says.

use super::error::{Code, S3Error};
use super::reply::{Reply, ReplyBody};
use crate::store::hook::Told;

/// What a client must know of an object that is there, whatever became of its callback.
const KEPT: [&str; 2] = ["etag", "x-amz-version-id"];

/// The answer to an upload: S3's own, or under S3's headers the receiver's.
///
/// # Errors
/// `CallbackFailed` where the object is there and its receiver gave no answer.
pub(super) fn answered(reply: Reply, told: Told) -> Result<Reply, S3Error> {
    match told {
        Told::Nothing => Ok(reply),
        Told::Answer(body) => {
            let reply = Reply {
                status: http::StatusCode::OK,
                body: ReplyBody::full(body),
                ..reply
            };
            Ok(reply.with_static("content-type", "application/json"))
        }
        Told::Failed(why) => {
            let message = format!(
                "The object is stored, but its callback was not answered: {why}. It is tried again \
                 without you."
            );
            let error = S3Error::because(Code::CallbackFailed, message);
            let kept = KEPT.into_iter().filter_map(|name| {
                let value = reply.headers.get(name)?.to_str().ok()?;
                Some((name, value.to_owned()))
            });
            Err(kept.fold(error, |error, (name, value)| error.with_header(name, value)))
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::*;

    fn reply() -> Reply {
        let reply = Reply::full("application/xml", "<a/>").with_status(StatusCode::CREATED);
        reply.with_header("etag", "\"e\"").unwrap()
    }

    #[test]
    fn the_receivers_answer_takes_the_place_of_the_body_alone() {
        let same = answered(reply(), Told::Nothing).unwrap();
        assert_eq!((same.status, same.body.len()), (StatusCode::CREATED, 4));
        let json = answered(reply(), Told::Answer(Bytes::from_static(b"{\"a\":1}"))).unwrap();
        assert_eq!((json.status, json.body.len()), (StatusCode::OK, 7));
        assert_eq!(json.headers["content-type"], "application/json");
        assert_eq!(json.headers["etag"], "\"e\"");
    }

    #[test]
    fn a_failed_callback_is_an_error_that_names_what_is_stored() {
        let error = answered(reply(), Told::Failed("why".into())).unwrap_err();
        assert_eq!(error.code(), Code::CallbackFailed);
        assert!(error.message().contains("is stored") && error.message().contains("why"));
        assert_eq!(error.headers(), [("etag", "\"e\"".to_owned())]);
    }
}
