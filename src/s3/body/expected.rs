//! What the head claims of a body's bytes, and whether it holds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;

use super::Digest;
use super::digest::Digests;
use crate::checksum::md5::Md5;
use crate::checksum::{self, Algorithm, Checksum, Hasher};
use crate::s3::checksum_header::{self, Claim};
use crate::s3::error::{Code, S3Error};
use crate::s3::head::header;

/// What the head claims of the bytes.
pub(super) struct Expected {
    content_md5: Option<[u8; 16]>,
    pub(super) claim: Claim,
    pub(super) algorithm: Algorithm,
}

impl Expected {
    pub(super) fn of(headers: &HeaderMap, wanted: Option<Algorithm>) -> Result<Self, S3Error> {
        let content_md5 = match header(headers, "content-md5")? {
            None => None,
            Some(text) => {
                let md5 = BASE64.decode(text).ok().and_then(|md5| md5.try_into().ok());
                let invalid = || S3Error::new(Code::InvalidDigest).with("Content-MD5", text);
                Some(md5.ok_or_else(invalid)?)
            }
        };
        let claim = Claim::of(headers)?;
        match (wanted, claim.algorithm()) {
            (Some(wanted), Some(sent)) if wanted != sent => {
                Err(checksum_header::another_type(wanted.name(), sent.name()))
            }
            (wanted, sent) => {
                let algorithm = sent.or(wanted).unwrap_or(Algorithm::Crc64Nvme);
                Ok(Self {
                    content_md5,
                    claim,
                    algorithm,
                })
            }
        }
    }

    /// Whether the client sent an MD5.
    pub(super) const fn has_md5(&self) -> bool {
        self.content_md5.is_some()
    }

    /// Demands a checksum that comes with the bytes.
    pub(super) fn check_present(&self) -> Result<(), S3Error> {
        let sent = matches!(self.claim, Claim::Header(_) | Claim::Trailer(_));
        if sent || self.has_md5() {
            return Ok(());
        }
        let message = "x-consign-require=checksum: the bytes must come with Content-MD5, a checksum in \
                       an x-amz-checksum- header or trailer, or their SHA-256 in \
                       x-amz-content-sha256";
        Err(S3Error::because(Code::InvalidRequest, message))
    }

    pub(super) fn judge(
        self,
        digests: Digests,
        sha256: Option<[u8; 32]>,
        len: u64,
    ) -> Result<Digest, S3Error> {
        if let (Some(client), Some(ours)) = (sha256, digests.sha256) {
            let ours = ours.finish();
            if ours != client {
                return Err(S3Error::new(Code::XAmzContentSHA256Mismatch)
                    .with("ClientComputedContentSHA256", hex::encode(client))
                    .with("S3ComputedContentSHA256", hex::encode(ours)));
            }
        }
        let md5 = digests.md5.map(Md5::finish);
        if let Some(client) = self.content_md5
            && md5 != Some(client)
        {
            return Err(S3Error::new(Code::BadDigest)
                .with("ExpectedDigest", hex::encode(client))
                .with("CalculatedDigest", BASE64.encode(md5.unwrap_or_default())));
        }
        let claimed = match self.claim {
            Claim::Trailer(algorithm) => Some(trailing(algorithm, &digests.trailers)?),
            // A trailer that nobody announced would be heeded by nobody.
            _ if !digests.trailers.is_empty() => return Err(Code::MalformedTrailerError.into()),
            Claim::None | Claim::Compute(_) => None,
            Claim::Header(checksum) => Some(checksum),
        };
        let checksum = Checksum::full(self.algorithm, digests.checksum.finish());
        if claimed.is_some_and(|claimed| claimed.digest != checksum.digest) {
            return Err(checksum_header::mismatch(self.algorithm));
        }
        let also = digests
            .also
            .map(|hasher| Checksum::full(hasher.algorithm(), hasher.finish()));
        let crc64ecma = digests.crc64ecma.map(Hasher::finish);
        Ok(Digest {
            len,
            md5,
            checksum,
            also,
            crc64ecma: crc64ecma.and_then(checksum::as_number),
        })
    }
}

fn trailing(algorithm: Algorithm, trailers: &[(String, String)]) -> Result<Checksum, S3Error> {
    match trailers {
        [(name, text)] if name == algorithm.header() => {
            Checksum::parse(algorithm, text).ok_or_else(|| checksum_header::invalid(algorithm))
        }
        _ => Err(Code::MalformedTrailerError.into()),
    }
}
