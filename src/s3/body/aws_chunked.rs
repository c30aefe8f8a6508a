//! Takes the `aws-chunked` framing off a body.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>

use bytes::{Buf as _, Bytes};

use crate::s3::error::{Code, S3Error};

/// Bytes of a line in front of a chunk, at most: a size, a signature of 64 digits.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Bytes of all trailers, at most.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Bytes of one chunk, at most: as much as an object may have.
const CHUNK_BYTES_MAX: u64 = 5 << 30;

/// What the framing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// Each chunk carries a signature.
    pub signed: bool,
    /// Trailers follow the last chunk.
    pub trailer: bool,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of the object.
    Data(Bytes),
    /// The chunk is whole; this was its signature. (The last, empty chunk ends too.)
    ChunkEnd(Option<String>),
    /// The trailers, and their signature where they are signed.
    Trailer {
        /// Name in lower case and value.
        fields: Vec<(String, String)>,
        /// `x-amz-trailer-signature`.
        signature: Option<String>,
    },
}

#[derive(Debug)]
enum State {
    Line,
    Data {
        left: u64,
        signature: Option<String>,
    },
    DataEnd {
        signature: Option<String>,
    },
    LastEnd,
    Trailer,
    Done,
}

/// The decoder: bytes in as they come, pieces out.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    state: State,
    line: Vec<u8>,
    trailer_bytes: usize,
    fields: Vec<(String, String)>,
    signature: Option<String>,
}

impl Decoder {
    /// A decoder at the start of a body.
    pub const fn new(framing: Framing) -> Self {
        Self {
            framing,
            state: State::Line,
            line: Vec::new(),
            trailer_bytes: 0,
            fields: Vec::new(),
            signature: None,
        }
    }

    /// Takes `bytes` in and puts what they complete into `out`.
    ///
    /// # Errors
    /// `InvalidChunkSizeError` or `InvalidRequest` for what is no such framing.
    pub fn push(&mut self, mut bytes: Bytes, out: &mut Vec<Piece>) -> Result<(), S3Error> {
        while !bytes.is_empty() {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Line => match self.take_line(&mut bytes, CHUNK_LINE_BYTES_MAX)? {
                    Some(line) => self.state = self.chunk_line(&line, out)?,
                    None => self.state = State::Line,
                },
                State::Data { left, signature } => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let piece = bytes.split_to(most);
                    let left = left.saturating_sub(u64::try_from(most).unwrap_or(u64::MAX));
                    out.push(Piece::Data(piece));
                    self.state = if left == 0 {
                        State::DataEnd { signature }
                    } else {
                        State::Data { left, signature }
                    };
                }
                State::DataEnd { signature } => match self.take_line(&mut bytes, 2)? {
                    Some(line) if line.is_empty() => {
                        out.push(Piece::ChunkEnd(signature));
                        self.state = State::Line;
                    }
                    Some(_) => return Err(malformed("A chunk is longer than it says.")),
                    None => self.state = State::DataEnd { signature },
                },
                State::LastEnd => match self.take_line(&mut bytes, 2)? {
                    Some(line) if line.is_empty() => self.state = State::Done,
                    Some(_) => return Err(malformed("Bytes follow the last chunk.")),
                    None => self.state = State::LastEnd,
                },
                State::Trailer => {
                    let left = TRAILER_BYTES_MAX.saturating_sub(self.trailer_bytes);
                    match self.take_line(&mut bytes, left)? {
                        Some(line) => self.state = self.trailer_line(&line, out)?,
                        None => self.state = State::Trailer,
                    }
                }
                State::Done => return Err(malformed("Bytes follow the last chunk.")),
            }
        }
        Ok(())
    }

    /// Whether the last chunk and what must follow it have come.
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The next line without its end, once it is whole.
    fn take_line(&mut self, bytes: &mut Bytes, most: usize) -> Result<Option<String>, S3Error> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = bytes.split_to(end.unwrap_or(bytes.len()));
        if self.line.len() + taken.len() > most {
            return Err(malformed("A line of the chunked body is too long."));
        }
        self.line.extend_from_slice(&taken);
        if end.is_none() {
            return Ok(None);
        }
        bytes.advance(1);
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        String::from_utf8(std::mem::take(&mut self.line))
            .map(Some)
            .map_err(|_no_utf8| malformed("A line of the chunked body is not valid."))
    }

    fn chunk_line(&mut self, line: &str, out: &mut Vec<Piece>) -> Result<State, S3Error> {
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        let size = size.trim();
        let digits = !size.is_empty() && size.bytes().all(|b| b.is_ascii_hexdigit());
        let size = digits.then(|| u64::from_str_radix(size, 16).ok()).flatten();
        let size = size.filter(|size| *size <= CHUNK_BYTES_MAX);
        let size = size.ok_or(S3Error::new(Code::InvalidChunkSizeError))?;
        let signature = extension
            .trim()
            .strip_prefix("chunk-signature=")
            .map(str::to_owned);
        if self.framing.signed && signature.is_none() {
            return Err(malformed("A chunk has no chunk-signature."));
        }
        if size > 0 {
            return Ok(State::Data {
                left: size,
                signature,
            });
        }
        out.push(Piece::ChunkEnd(signature));
        Ok(if self.framing.trailer {
            State::Trailer
        } else {
            State::LastEnd
        })
    }

    fn trailer_line(&mut self, line: &str, out: &mut Vec<Piece>) -> Result<State, S3Error> {
        self.trailer_bytes += line.len() + 2;
        let waits = self.framing.signed && self.signature.is_none();
        if line.is_empty() {
            // Some clients put an empty line between the trailers and their signature.
            if waits && !self.fields.is_empty() {
                return Ok(State::Trailer);
            }
            if waits {
                return Err(malformed("The trailers have no x-amz-trailer-signature."));
            }
            let fields = std::mem::take(&mut self.fields);
            out.push(Piece::Trailer {
                fields,
                signature: self.signature.take(),
            });
            return Ok(State::Done);
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| malformed("A trailer is not valid."))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        if name == "x-amz-trailer-signature" {
            self.signature = Some(value);
        } else if self.signature.is_some() {
            return Err(malformed(
                "A trailer follows the signature of the trailers.",
            ));
        } else {
            self.fields.push((name, value));
        }
        Ok(State::Trailer)
    }
}

fn malformed(message: &'static str) -> S3Error {
    S3Error::because(Code::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: Framing = Framing {
        signed: true,
        trailer: false,
    };
    const SIGNED_TRAILER: Framing = Framing {
        signed: true,
        trailer: true,
    };
    const UNSIGNED_TRAILER: Framing = Framing {
        signed: false,
        trailer: true,
    };

    /// The data as one, then everything else in order.
    fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<Piece>, bool), Code> {
        let (mut decoder, mut out) = (Decoder::new(framing), Vec::new());
        for piece in pieces {
            let pushed = decoder.push(Bytes::copy_from_slice(piece), &mut out);
            pushed.map_err(|error| error.code())?;
        }
        let (mut data, mut rest) = (Vec::new(), Vec::new());
        for piece in out {
            match piece {
                Piece::Data(bytes) => data.extend_from_slice(&bytes),
                other => rest.push(other),
            }
        }
        Ok((data, rest, decoder.is_done()))
    }

    #[test]
    fn every_split_gives_the_same() {
        let bodies: [(Framing, &[u8]); 4] = [
            (SIGNED, b"5;chunk-signature=aa\r\nhello\r\n0;chunk-signature=bb\r\n\r\n"),
            (
                SIGNED_TRAILER,
                b"5;chunk-signature=aa\r\nhello\r\n0;chunk-signature=bb\r\nx-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:cc\r\n\r\n",
            ),
            (
                SIGNED_TRAILER,
                b"5;chunk-signature=aa\r\nhello\r\n0;chunk-signature=bb\r\nx-amz-checksum-crc32c:sOO8/Q==\n\r\nx-amz-trailer-signature:cc\r\n\r\n",
            ),
            (UNSIGNED_TRAILER, b"2\r\nhe\r\n3\r\nllo\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"),
        ];
        for (framing, body) in bodies {
            let whole = decode(framing, &[body]).unwrap();
            assert_eq!(whole.0, b"hello");
            assert!(whole.2);
            for at in 0..body.len() {
                let (a, b) = body.split_at(at);
                assert!(!decode(framing, &[a]).unwrap().2, "done at {at}");
                assert_eq!(decode(framing, &[a, b]).unwrap(), whole, "{at}");
            }
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(decode(framing, &bytes).unwrap(), whole);
        }
    }

    #[test]
    fn what_is_no_framing_is_refused() {
        let long = "1".repeat(300);
        for (framing, body, code) in [
            (SIGNED, "5\r\nhello\r\n", Code::InvalidRequest),
            (
                SIGNED,
                "z;chunk-signature=a\r\n",
                Code::InvalidChunkSizeError,
            ),
            (
                SIGNED,
                ";chunk-signature=a\r\n",
                Code::InvalidChunkSizeError,
            ),
            (
                SIGNED,
                "+5;chunk-signature=a\r\n",
                Code::InvalidChunkSizeError,
            ),
            (
                SIGNED,
                "ffffffffffffffffff;chunk-signature=a\r\n",
                Code::InvalidChunkSizeError,
            ),
            (SIGNED, long.as_str(), Code::InvalidRequest),
            (UNSIGNED_TRAILER, "2\r\nhello\r\n", Code::InvalidRequest),
            (
                UNSIGNED_TRAILER,
                "0\r\nno trailer\r\n",
                Code::InvalidRequest,
            ),
            (UNSIGNED_TRAILER, "0\r\n\r\nmore", Code::InvalidRequest),
            (
                SIGNED_TRAILER,
                "0;chunk-signature=a\r\n\r\n",
                Code::InvalidRequest,
            ),
        ] {
            assert_eq!(
                decode(framing, &[body.as_bytes()]).unwrap_err(),
                code,
                "{body}"
            );
        }
    }
}
