//! The pages that S3 sends where a website has none of its own.

use std::fmt::Write as _;

use http::HeaderValue;

use crate::id::{RequestId, host_id};
use crate::s3::error::S3Error;
use crate::s3::reply::Reply;

/// The page of `error`; `second` is what became of the website's own page, and its key.
pub(super) fn of(error: &S3Error, second: Option<(&str, &S3Error)>, id: RequestId) -> Reply {
    let (_, status) = error.code().wire();
    let reason = status.canonical_reason().unwrap_or_default();
    let title = format!("{} {reason}", status.as_u16());
    let mut html =
        format!("<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n");
    list(&mut html, error, &[]);
    item(&mut html, "RequestId", &id.to_string());
    item(&mut html, "HostId", &host_id(id));
    html.push_str("</ul>\n");
    if let Some((key, second)) = second {
        html.push_str(
            "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n<ul>\n",
        );
        list(&mut html, second, &[("Key", key)]);
        html.push_str("</ul>\n");
    }
    html.push_str("<hr/>\n</body>\n</html>\n");
    let reply = Reply::full("text/html; charset=utf-8", html).with_status(status);
    described(reply, error)
}

/// The answer with the headers that tell scripts of the error.
pub(super) fn described(mut reply: Reply, error: &S3Error) -> Reply {
    let (code, _) = error.code().wire();
    for (name, value) in [
        ("x-amz-error-code", code),
        ("x-amz-error-message", error.message()),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            reply.headers.insert(name, value);
        }
    }
    reply
}

fn list(html: &mut String, error: &S3Error, more: &[(&str, &str)]) {
    let (code, _) = error.code().wire();
    item(html, "Code", code);
    item(html, "Message", error.message());
    for (name, value) in error.detail() {
        item(html, name, value);
    }
    for (name, value) in more {
        if !error.names(name) {
            item(html, name, value);
        }
    }
}

fn item(html: &mut String, name: &str, value: &str) {
    let value = quick_xml::escape::escape(value);
    // Writing to a `String` can't fail.
    let _never = writeln!(html, "<li>{name}: {value}</li>");
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::s3::error::Code;

    #[tokio::test]
    async fn a_page_is_s3s_and_never_the_visitors() {
        let id = RequestId::random();
        let error = S3Error::new(Code::NoSuchKey).with("Key", "<b>");
        let second = S3Error::new(Code::NoSuchKey);
        let reply = of(&error, Some(("error.html", &second)), id);
        assert_eq!(reply.headers["x-amz-error-code"], "NoSuchKey");
        let html = reply.body.collect().await.unwrap().to_bytes();
        let wanted = format!(
            "<html>\n<head><title>404 Not Found</title></head>\n<body>\n<h1>404 Not Found</h1>\n<ul>\n\
             <li>Code: NoSuchKey</li>\n<li>Message: The specified key does not exist.</li>\n\
             <li>Key: &lt;b&gt;</li>\n<li>RequestId: {id}</li>\n<li>HostId: {}</li>\n</ul>\n\
             <h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n<ul>\n\
             <li>Code: NoSuchKey</li>\n<li>Message: The specified key does not exist.</li>\n\
             <li>Key: error.html</li>\n</ul>\n<hr/>\n</body>\n</html>\n",
            host_id(id)
        );
        assert_eq!(html, wanted);
    }
}
