//! Bodies: chunks, forms, sealed bytes. However they are cut on their way, they say the same.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body::Frame;
use http_body_util::StreamBody;

use super::input::{block_on, split};
use crate::id::BlobId;
use crate::s3::body::aws_chunked::{Decoder, Framing, Piece};
use crate::s3::body::form::Form;
use crate::s3::body::{Payload, Proof};
use crate::s3::{Code, S3Error};
use crate::store::blob::BlobStream;
use crate::store::seal::DataKey;
use crate::store::seal::chunk::{Sealer, SegmentKey, open, sealed_len, sealed_range};

/// What a chunked body says.
#[derive(Debug, PartialEq, Eq, Default)]
struct Said {
    data: Vec<u8>,
    chunks: Vec<Option<String>>,
    trailer: Option<(Vec<(String, String)>, Option<String>)>,
    done: bool,
}

fn decode(framing: Framing, pieces: &[&[u8]]) -> Option<Said> {
    let (mut decoder, mut out) = (Decoder::new(framing), Vec::new());
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece), &mut out).ok()?;
    }
    let mut said = Said {
        done: decoder.is_done(),
        ..Said::default()
    };
    for piece in out {
        match piece {
            Piece::Data(bytes) => said.data.extend_from_slice(&bytes),
            Piece::ChunkEnd(signature) => said.chunks.push(signature),
            Piece::Trailer { fields, signature } => said.trailer = Some((fields, signature)),
        }
    }
    Some(said)
}

/// The next line of `left`, without its end.
fn line<'a>(left: &mut &'a [u8]) -> Option<&'a str> {
    let at = left.iter().position(|byte| *byte == b'\n')?;
    let line = &left[..at];
    *left = &left[at + 1..];
    std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()
}

/// The simplest decoder of a whole body there can be: none where it is not whole and right.
fn simply(framing: Framing, body: &[u8]) -> Option<Said> {
    let (mut said, mut left) = (Said::default(), body);
    loop {
        let line = line(&mut left)?;
        let (size, signature) = line.split_once(';').unwrap_or((line, ""));
        let size = u64::from_str_radix(size.trim().trim_start_matches('+'), 16).ok()?;
        let size = usize::try_from(size).ok()?;
        let signature = signature.trim().strip_prefix("chunk-signature=");
        said.chunks.push(signature.map(str::to_owned));
        if size == 0 {
            break;
        }
        said.data.extend_from_slice(left.get(..size)?);
        left = left.get(size..)?;
        if !self::line(&mut left)?.is_empty() {
            return None;
        }
    }
    let mut fields = Vec::new();
    let mut signature = None;
    loop {
        let line = line(&mut left)?;
        match line.split_once(':') {
            // Before the signature of signed trailers an empty line may stand.
            None if framing.trailer && framing.signed && signature.is_none() => {}
            None => break,
            Some((name, value)) => {
                let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
                if name == "x-amz-trailer-signature" {
                    signature = Some(value);
                } else {
                    fields.push((name, value));
                }
            }
        }
    }
    said.trailer = framing.trailer.then_some((fields, signature));
    said.done = true;
    left.is_empty().then_some(said)
}

/// `aws-chunked` in each of its modes.
pub(super) fn chunked(data: &[u8]) {
    let (body, mut script) = split(data);
    let mode = script.byte();
    let framing = Framing {
        signed: mode & 1 == 1,
        trailer: mode & 2 == 2,
    };
    let whole = decode(framing, &[body]);
    let pieces = script.cut(body);
    assert_eq!(decode(framing, &pieces), whole, "in pieces");
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(decode(framing, &bytes), whole, "byte by byte");
    if let Some(whole) = whole.filter(|whole| whole.done) {
        assert_eq!(Some(whole), simply(framing, body));
    }
}

/// What a form says.
#[derive(Debug, PartialEq, Eq)]
struct Filled {
    fields: Vec<(String, String)>,
    filename: Option<String>,
    kind: Option<String>,
    file: Vec<u8>,
}

async fn read_form(pieces: &[&[u8]], boundary: &str) -> Result<Filled, Code> {
    let frames: Vec<_> = pieces
        .iter()
        .map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let len: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut headers = http::HeaderMap::new();
    headers.insert("content-length", len.into());
    let body = StreamBody::new(stream::iter(frames));
    let payload = Payload::new(body, headers, Proof::Unsigned, Duration::from_secs(60));
    let kind = format!("multipart/form-data; boundary={boundary}");
    let read = async {
        let form = Form::read(payload, Some(&kind)).await?;
        let mut filled = Filled {
            fields: form.fields.clone(),
            filename: form.filename.clone(),
            kind: form.file_type.clone(),
            file: Vec::new(),
        };
        let (mut file, rest) = form.into_file();
        while let Some(piece) = file.next().await {
            filled.file.extend_from_slice(&piece?);
        }
        drop(file);
        rest.ignore().await?;
        Ok::<_, S3Error>(filled)
    };
    read.await.map_err(|error| error.code())
}

/// A browser's form.
pub(super) fn form(data: &[u8]) {
    let (body, mut script) = split(data);
    let pieces = script.cut(body);
    block_on(async {
        let whole = read_form(&[body], "b").await;
        assert_eq!(
            read_form(&pieces, "b").await.ok(),
            whole.as_ref().ok().map(Filled::again)
        );
        if body.len() < 4096 {
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(
                read_form(&bytes, "b").await.ok(),
                whole.as_ref().ok().map(Filled::again)
            );
        }
        if let Ok(filled) = whole {
            let bytes = filled.fields.iter().map(|(n, v)| n.len() + v.len());
            assert!(bytes.sum::<usize>() <= 20 * 1024);
            assert!(filled.file.len() < body.len());
        }
    });
}

impl Filled {
    fn again(&self) -> Self {
        Self {
            fields: self.fields.clone(),
            filename: self.filename.clone(),
            kind: self.kind.clone(),
            file: self.file.clone(),
        }
    }
}

async fn opened(sealed: &[u8], range: std::ops::Range<u64>, plain: u64) -> Option<Vec<u8>> {
    let key = SegmentKey::derive(&DataKey::from_bytes([7; 32]), &[9; 16]).unwrap();
    let wanted = sealed_range(&range, plain);
    let len = u64::try_from(sealed.len()).unwrap();
    let (from, to) = (wanted.start.min(len), wanted.end.min(len));
    let bytes = Bytes::copy_from_slice(
        &sealed[usize::try_from(from).unwrap()..usize::try_from(to.max(from)).unwrap()],
    );
    let stream: BlobStream = stream::iter([Ok(bytes)]).boxed();
    let id = BlobId::from_bytes([1; 16]);
    let mut stream = open(key, id, stream, range, plain);
    let mut out = Vec::new();
    while let Some(piece) = stream.next().await {
        out.extend_from_slice(&piece.ok()?);
    }
    Some(out)
}

/// Sealed bytes: any range of them opens to what was sealed; changed, they don't.
pub(super) fn sealed(data: &[u8]) {
    let (text, mut script) = split(data);
    // As many chunks as are worth their time, with every remainder.
    let len = script.below(3) * 65_536 + script.below(40) * usize::from(script.byte() & 1);
    let plain: Vec<u8> = (0..len)
        .map(|at| text.get(at % text.len().max(1)).copied().unwrap_or(0) ^ (at % 251) as u8)
        .collect();
    let key = SegmentKey::derive(&DataKey::from_bytes([7; 32]), &[9; 16]).unwrap();
    let mut sealer = Sealer::new(key);
    let mut sealed = Vec::new();
    let (front, back) = plain.split_at(script.below(len + 1));
    for piece in [front, back] {
        for chunk in sealer.push(piece).unwrap() {
            sealed.extend_from_slice(&chunk);
        }
    }
    sealed.extend_from_slice(&sealer.finish().unwrap());
    let plain_len = u64::try_from(len).unwrap();
    assert_eq!(u64::try_from(sealed.len()).unwrap(), sealed_len(plain_len));
    let one = script.number() % (plain_len + 1);
    let two = script.number() % (plain_len + 1);
    let range = one.min(two)..one.max(two);
    let wanted = &plain[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
    block_on(async {
        let found = opened(&sealed, range.clone(), plain_len).await;
        assert_eq!(found.as_deref(), Some(wanted));
        let at = script.below(sealed.len());
        let change = script.byte();
        sealed[at] ^= change;
        if script.byte() & 1 == 1 {
            sealed.truncate(script.below(sealed.len()));
        }
        // Never a wrong byte: either it was elsewhere, or it does not open.
        if let Some(found) = opened(&sealed, range, plain_len).await {
            assert_eq!(found, wanted);
        }
    });
}
