//! A browser's form taken apart as it streams in: small fields first, then one file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use multer::{Field, Multipart};

use super::Payload;
use crate::s3::error::{Code, S3Error};

/// Bytes of the names and values of all fields before the file.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html>
const FIELDS_BYTES_MAX: u64 = 20 * 1024;

/// Bytes before the file with boundaries and headers. It also bounds the number of fields.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of a boundary: RFC 2046, section 5.1.1. Each piece of a file is searched for it, and as many
/// bytes are held back.
const BOUNDARY_BYTES_MAX: usize = 70;

/// Bytes after the file that are read and ignored; a client that sends more is cut off.
const REST_BYTES_MAX: u64 = 64 * 1024;

/// A form up to its file, which is yet to come.
pub struct Form {
    /// The fields before the file, in their order.
    pub fields: Vec<(String, String)>,
    /// What the client calls the file, where it says so.
    pub filename: Option<String>,
    /// Of what type the client says the file is.
    pub file_type: Option<String>,
    file: Field<'static>,
    rest: Rest,
}

/// What comes after the file.
pub struct Rest {
    multipart: Multipart<'static>,
    budget: Arc<AtomicU64>,
}

impl Form {
    /// Reads the fields before the file.
    ///
    /// # Errors
    /// `PreconditionFailed` for a body of another type, `MalformedPOSTRequest` for a broken one,
    /// `MaxPostPreDataLengthExceeded`, and `InvalidArgument` where there is no file.
    pub async fn read(body: Payload, content_type: Option<&str>) -> Result<Self, S3Error> {
        let boundary = boundary(content_type)?;
        body.announced_len()?;
        let budget = Arc::new(AtomicU64::new(HEAD_BYTES_MAX));
        let pieces = bounded(body.into_stream(), Arc::clone(&budget));
        let mut multipart = Multipart::new(pieces, boundary);
        let (mut fields, mut bytes_left) = (Vec::new(), FIELDS_BYTES_MAX);
        loop {
            let Some(mut field) = multipart.next_field().await.map_err(broken)? else {
                return Err(no_file());
            };
            let name = field.name().ok_or(Code::MalformedPOSTRequest)?.to_owned();
            if name.eq_ignore_ascii_case("file") {
                budget.store(u64::MAX, Ordering::Relaxed);
                return Ok(Self {
                    fields,
                    filename: field.file_name().map(str::to_owned),
                    file_type: field.content_type().map(ToString::to_string),
                    file: field,
                    rest: Rest { multipart, budget },
                });
            }
            spend(&mut bytes_left, name.len())?;
            let mut value = Vec::new();
            while let Some(bytes) = field.chunk().await.map_err(broken)? {
                spend(&mut bytes_left, bytes.len())?;
                value.extend_from_slice(&bytes);
            }
            let value = String::from_utf8(value).map_err(|_no_utf8| {
                let message = format!("The field {name} is not valid UTF-8.");
                S3Error::argument(name.as_str(), "", message)
            })?;
            fields.push((name, value));
        }
    }

    /// The file's bytes, and what is to be read once they are all there.
    pub fn into_file(self) -> (BoxStream<'static, Result<Bytes, S3Error>>, Rest) {
        let file = stream::try_unfold(self.file, |mut field| async move {
            let bytes = field.chunk().await.map_err(broken)?;
            Ok(bytes.map(|bytes| (bytes, field)))
        });
        (file.boxed(), self.rest)
    }
}

impl Rest {
    /// Reads to the form's end. Fields here count for nothing, but the form must be whole.
    ///
    /// # Errors
    /// `MalformedPOSTRequest` or `IncompleteBody` where it is not.
    pub async fn ignore(mut self) -> Result<(), S3Error> {
        self.budget.store(REST_BYTES_MAX, Ordering::Relaxed);
        loop {
            match self.skip_field().await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if error.code() == Code::MaxPostPreDataLengthExceededError => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn skip_field(&mut self) -> Result<bool, S3Error> {
        let Some(mut field) = self.multipart.next_field().await.map_err(broken)? else {
            return Ok(false);
        };
        while field.chunk().await.map_err(broken)?.is_some() {}
        Ok(true)
    }
}

fn boundary(content_type: Option<&str>) -> Result<String, S3Error> {
    match content_type.map(multer::parse_boundary) {
        Some(Ok(boundary)) if boundary.len() <= BOUNDARY_BYTES_MAX => Ok(boundary),
        Some(Ok(_too_long)) => Err(Code::MalformedPOSTRequest.into()),
        Some(Err(multer::Error::NoBoundary)) => Err(Code::MalformedPOSTRequest.into()),
        None | Some(Err(_)) => {
            let condition = "Bucket POST must be of the enclosure-type multipart/form-data";
            Err(S3Error::new(Code::PreconditionFailed).with("Condition", condition))
        }
    }
}

/// `stream`, until `budget` bytes have come. It yields one piece at a time: `multer` would read all
/// that is ready into its memory, which is no bound where the client is fast.
fn bounded(
    mut stream: BoxStream<'static, Result<Bytes, S3Error>>,
    budget: Arc<AtomicU64>,
) -> impl Stream<Item = Result<Bytes, S3Error>> + Send + 'static {
    let mut yielded = false;
    stream::poll_fn(move |cx| {
        if std::mem::take(&mut yielded) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let left = budget.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Some(Err(too_long())));
        }
        let piece = stream.poll_next_unpin(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &piece {
            yielded = true;
            let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            budget.store(left.saturating_sub(len), Ordering::Relaxed);
        }
        piece
    })
}

fn spend(left: &mut u64, len: usize) -> Result<(), S3Error> {
    let len = u64::try_from(len).unwrap_or(u64::MAX);
    *left = left.checked_sub(len).ok_or_else(too_long)?;
    Ok(())
}

fn too_long() -> S3Error {
    S3Error::new(Code::MaxPostPreDataLengthExceededError)
        .with("MaxPostPreDataLengthBytes", FIELDS_BYTES_MAX.to_string())
}

fn no_file() -> S3Error {
    let message = "POST requires exactly one file upload per request.";
    S3Error::argument("file", "0", message)
}

fn broken(error: multer::Error) -> S3Error {
    match error {
        multer::Error::StreamReadFailed(source) => match source.downcast::<S3Error>() {
            Ok(ours) => *ours,
            Err(foreign) => S3Error::new(Code::IncompleteBody).caused_by(foreign),
        },
        other => S3Error::new(Code::MalformedPOSTRequest).caused_by(other),
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values may hold a signature: only the names are shown.
        let names = self.fields.iter().map(|(name, _)| name.as_str());
        f.debug_list().entries(names).finish()
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;
    use crate::s3::body::Proof;

    const TYPE: &str = "multipart/form-data; boundary=b";

    fn part(name: &str, value: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    /// A form of this text, sent in pieces of `size` bytes.
    fn payload(text: &str, size: usize) -> Payload {
        let pieces: Vec<_> = text
            .as_bytes()
            .chunks(size)
            .map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let mut headers = HeaderMap::new();
        headers.insert("content-length", text.len().into());
        let body = StreamBody::new(stream::iter(pieces));
        Payload::new(body, headers, Proof::Unsigned, Duration::from_secs(5))
    }

    async fn outcome(text: &str, size: usize) -> Result<(usize, String), Code> {
        let read = async {
            let form = Form::read(payload(text, size), Some(TYPE)).await?;
            let fields = form.fields.len();
            let (mut file, rest) = form.into_file();
            let mut bytes = Vec::new();
            while let Some(piece) = file.next().await {
                bytes.extend_from_slice(&piece?);
            }
            drop(file);
            rest.ignore().await?;
            Ok::<_, S3Error>((fields, String::from_utf8(bytes).unwrap()))
        };
        read.await.map_err(|error| error.code())
    }

    #[tokio::test]
    async fn a_form_is_read_however_it_is_cut() {
        let text = part("key", "k") + &part("File", "a\r\n--c") + &part("key", "late") + "--b--";
        for size in 1..text.len() {
            let read = outcome(&text, size).await;
            assert_eq!(read, Ok((1, "a\r\n--c".to_owned())), "{size}");
        }
    }

    #[tokio::test]
    async fn a_form_that_is_broken_or_too_long_is_refused() {
        let file = part("file", "x");
        let end = "--b--\r\n";
        let max = usize::try_from(FIELDS_BYTES_MAX).unwrap();
        let fits = part("a", &"x".repeat(max - 1)) + &file + end;
        assert_eq!(outcome(&fits, 4096).await, Ok((1, "x".to_owned())));
        let long = part("a", &"x".repeat(max)) + &file + end;
        let many = part("", "").repeat(2000) + &file + end;
        let headless = format!("--b\r\nX: {}", "x".repeat(1 << 20));
        for long in [&long, &many, &headless] {
            let refused = outcome(long, 4096).await;
            assert_eq!(refused, Err(Code::MaxPostPreDataLengthExceededError));
        }
        let malformed = Err(Code::MalformedPOSTRequest);
        assert_eq!(outcome("", 9).await, malformed);
        assert_eq!(outcome(&file, 9).await, malformed);
        assert_eq!(outcome(&(part("key", "k") + "--b"), 9).await, malformed);
        let without = part("key", "k") + end;
        assert_eq!(outcome(&without, 9).await, Err(Code::InvalidArgument));
        let cut_off = file + &part("late", &"x".repeat(1 << 20));
        assert_eq!(outcome(&cut_off, 4096).await, Ok((0, "x".to_owned())));
    }

    #[tokio::test]
    async fn the_body_must_be_a_form() {
        let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
        for (sent, code) in [
            (None, Code::PreconditionFailed),
            (Some("text/plain"), Code::PreconditionFailed),
            (Some("multipart/form-data"), Code::MalformedPOSTRequest),
            (Some(long.as_str()), Code::MalformedPOSTRequest),
        ] {
            let refused = Form::read(payload("x", 1), sent).await.unwrap_err();
            assert_eq!(refused.code(), code, "{sent:?}");
        }
    }
}
