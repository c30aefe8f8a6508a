//! What a client stores beside an object: content headers and user metadata.

use http::HeaderMap;

use super::encoded_word;
use super::error::{Code, S3Error};
use super::head::header;

/// Bytes of all names and values of an object's user metadata.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
pub const USER_METADATA_BYTES_MAX: usize = 2048;

const USER_PREFIX: &str = "x-amz-meta-";

/// The user metadata: names in lower case without `x-amz-meta-`, encoded words decoded, repeats joined by
/// commas.
///
/// # Errors
/// `MetadataTooLarge`; `InvalidArgument` for what is no UTF-8.
pub fn user_metadata(headers: &HeaderMap) -> Result<Vec<(String, String)>, S3Error> {
    let mut user: Vec<(String, String)> = Vec::new();
    for name in headers.keys() {
        let Some(short) = name.as_str().strip_prefix(USER_PREFIX) else {
            continue;
        };
        if short.is_empty() {
            continue;
        }
        let values = headers.get_all(name).iter().map(|value| {
            let text = std::str::from_utf8(value.as_bytes()).map_err(|_no_utf8| {
                let message = format!("The header {name} is not valid UTF-8.");
                S3Error::argument(name.as_str(), "", message)
            })?;
            Ok::<_, S3Error>(encoded_word::decode(text.trim()).into_owned())
        });
        user.push((
            short.to_owned(),
            values.collect::<Result<Vec<_>, _>>()?.join(","),
        ));
    }
    check_size(&user)?;
    user.sort_unstable();
    Ok(user)
}

/// Checks the size of user metadata that came by another way than headers: a form's fields.
///
/// # Errors
/// `MetadataTooLarge`.
pub fn check_size(user: &[(String, String)]) -> Result<(), S3Error> {
    let size: usize = user
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if size <= USER_METADATA_BYTES_MAX {
        return Ok(());
    }
    Err(S3Error::new(Code::MetadataTooLarge)
        .with("Size", size.to_string())
        .with("MaxSizeAllowed", USER_METADATA_BYTES_MAX.to_string()))
}

/// A value that will be sent as a header later on.
///
/// # Errors
/// `InvalidArgument` where it holds a control character: a line break would forge a header.
pub fn storable<'a>(name: &str, value: &'a str) -> Result<&'a str, S3Error> {
    if value.chars().any(|c| c.is_control() && c != '\t') {
        let message = format!("The value of {name} must not hold control characters.");
        return Err(S3Error::argument(name, "", message));
    }
    Ok(value)
}

/// A content header, where it is there and not empty.
///
/// # Errors
/// `InvalidArgument` for what can't be stored.
pub fn content_header(headers: &HeaderMap, name: &str) -> Result<Option<String>, S3Error> {
    let Some(value) = header(headers, name)? else {
        return Ok(None);
    };
    let value = storable(name, value)?;
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

/// `Content-Encoding` without `aws-chunked`, which is about the transfer and not about the object.
///
/// # Errors
/// `InvalidArgument` for what can't be stored.
pub fn content_encoding(headers: &HeaderMap) -> Result<Option<String>, S3Error> {
    let mut kept = Vec::new();
    for value in headers.get_all(http::header::CONTENT_ENCODING) {
        let text = value.to_str().map_err(|_no_text| {
            S3Error::argument("Content-Encoding", "", "The Content-Encoding is not valid.")
        })?;
        let encodings = text.split(',').map(str::trim);
        kept.extend(encodings.filter(|e| !e.is_empty() && !e.eq_ignore_ascii_case("aws-chunked")));
    }
    Ok((!kept.is_empty()).then(|| kept.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_metadata_is_bounded_and_joined() {
        let mut headers = HeaderMap::new();
        headers.append("x-amz-meta-b", "1".parse().unwrap());
        headers.append("x-amz-meta-b", "2".parse().unwrap());
        headers.append("x-amz-meta-a", "a".repeat(2043).parse().unwrap());
        let user = user_metadata(&headers).unwrap();
        assert_eq!(user.get(1), Some(&("b".to_owned(), "1,2".to_owned())));
        headers.append("x-amz-meta-c", "".parse().unwrap());
        assert_eq!(
            user_metadata(&headers).unwrap_err().code(),
            Code::MetadataTooLarge
        );
    }

    #[test]
    fn the_transfers_encoding_is_not_the_objects() {
        let mut headers = HeaderMap::new();
        headers.append("content-encoding", "aws-chunked".parse().unwrap());
        assert_eq!(content_encoding(&headers).unwrap(), None);
        headers.append("content-encoding", "gzip, AWS-chunked".parse().unwrap());
        assert_eq!(content_encoding(&headers).unwrap().as_deref(), Some("gzip"));
        assert!(storable("x", "a\r\nb").is_err());
    }
}
