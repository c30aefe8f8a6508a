//! The checksum that a client sends with bytes, and where it stands.

use http::HeaderMap;

use super::error::{Code, S3Error};
use super::head::header;
use crate::checksum::{Algorithm, Checksum, Coverage};

/// What the client announces about its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// No checksum.
    None,
    /// An algorithm without a value: the server computes it.
    Compute(Algorithm),
    /// This one, in the head.
    Header(Checksum),
    /// One that will follow the bytes.
    Trailer(Algorithm),
}

impl Claim {
    /// The algorithm, where there is one.
    pub const fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::None => None,
            Self::Compute(algorithm) | Self::Trailer(algorithm) => Some(*algorithm),
            Self::Header(checksum) => Some(checksum.algorithm),
        }
    }

    /// Reads the head.
    ///
    /// # Errors
    /// `InvalidRequest` for a broken value, for two algorithms, and for an announced algorithm that
    /// is not the one that was sent.
    pub fn of(headers: &HeaderMap) -> Result<Self, S3Error> {
        let sent = from_headers(headers)?;
        let trailer = announced_trailer(headers)?;
        let claim = match (sent, trailer) {
            (Some(_), Some(_)) => return Err(several()),
            (Some(checksum), None) => Self::Header(checksum),
            (None, Some(algorithm)) => Self::Trailer(algorithm),
            (None, None) => Self::None,
        };
        match (claim, header(headers, "x-amz-sdk-checksum-algorithm")?) {
            (claim, None) => Ok(claim),
            (claim, Some(name)) => {
                let named = algorithm(name)?;
                match claim {
                    Self::None => Ok(Self::Compute(named)),
                    claim if claim.algorithm() == Some(named) => Ok(claim),
                    _ => Err(S3Error::because(
                        Code::InvalidRequest,
                        "Value for x-amz-sdk-checksum-algorithm header is invalid.",
                    )),
                }
            }
        }
    }
}

/// The algorithm of that name.
///
/// # Errors
/// `InvalidRequest` that lists those there are.
pub fn algorithm(name: &str) -> Result<Algorithm, S3Error> {
    Algorithm::from_name(name).ok_or_else(|| {
        let names = Algorithm::ALL.map(Algorithm::name).join(", ");
        let message = format!(
            "Checksum algorithm provided is unsupported. \
             Please try again with any of the valid types: [{names}]"
        );
        S3Error::because(Code::InvalidRequest, message)
    })
}

/// What a multipart upload asks for: `x-amz-checksum-algorithm` and `x-amz-checksum-type`.
///
/// # Errors
/// `InvalidRequest` for what doesn't go together.
pub fn of_upload(headers: &HeaderMap) -> Result<Option<(Algorithm, Coverage)>, S3Error> {
    let named = header(headers, "x-amz-checksum-algorithm")?
        .map(algorithm)
        .transpose()?;
    let coverage = coverage(headers)?;
    match (named, coverage) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(S3Error::because(
            Code::InvalidRequest,
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        )),
        (Some(algorithm), coverage) => {
            let coverage = coverage.unwrap_or(algorithm.default_coverage());
            if algorithm.allows(coverage) {
                return Ok(Some((algorithm, coverage)));
            }
            let message = format!(
                "The {} checksum type cannot be used with the {} checksum algorithm.",
                coverage.name(),
                algorithm.name().to_ascii_lowercase()
            );
            Err(S3Error::because(Code::InvalidRequest, message))
        }
    }
}

/// `x-amz-checksum-type`, where it is there.
///
/// # Errors
/// `InvalidRequest` for any other value than the two.
pub fn coverage(headers: &HeaderMap) -> Result<Option<Coverage>, S3Error> {
    let Some(name) = header(headers, "x-amz-checksum-type")? else {
        return Ok(None);
    };
    let coverage = Coverage::from_name(name).ok_or_else(|| {
        S3Error::because(
            Code::InvalidRequest,
            "Value for x-amz-checksum-type header is invalid.",
        )
    })?;
    Ok(Some(coverage))
}

/// The one checksum in these headers (or trailers).
///
/// # Errors
/// `InvalidRequest` for a broken value, for several, and for an unknown algorithm.
pub fn from_headers(headers: &HeaderMap) -> Result<Option<Checksum>, S3Error> {
    // What can't be checked must not pass for checked.
    if headers.keys().any(|name| is_unknown(name.as_str())) {
        return Err(S3Error::because(
            Code::InvalidRequest,
            "The algorithm type you specified in x-amz-checksum- header is invalid.",
        ));
    }
    let sent = |algorithm: &Algorithm| headers.contains_key(algorithm.header());
    let mut sent = Algorithm::ALL.into_iter().filter(sent);
    let algorithm = match (sent.next(), sent.next()) {
        (None, _) => return Ok(None),
        // Before any value is looked at, as on S3.
        (Some(_), Some(_)) => return Err(several()),
        (Some(algorithm), None) => algorithm,
    };
    let text = header(headers, algorithm.header())?.unwrap_or_default();
    // A value with a number of parts is about a whole upload: Complete reads it by itself.
    let digest = text.split_once('-').map_or(text, |(digest, _)| digest);
    let checksum = Checksum::parse(algorithm, digest).ok_or_else(|| invalid(algorithm))?;
    Ok(Some(checksum))
}

/// Whether a header of that name would tell a checksum by an algorithm that there is not.
fn is_unknown(name: &str) -> bool {
    let kind = name.strip_prefix("x-amz-checksum-");
    kind.is_some_and(|kind| !["algorithm", "mode", "type"].contains(&kind))
        && Algorithm::from_header(name).is_none()
}

/// `InvalidRequest` for a value that is no digest of the algorithm.
pub fn invalid(algorithm: Algorithm) -> S3Error {
    let message = format!("Value for {} header is invalid.", algorithm.header());
    S3Error::because(Code::InvalidRequest, message)
}

/// `InvalidRequest` for a part whose checksum is not of its upload's algorithm.
pub fn another_type(expected: &str, actual: &str) -> S3Error {
    let message = format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        expected.to_ascii_lowercase(),
        actual.to_ascii_lowercase()
    );
    S3Error::because(Code::InvalidRequest, message)
}

/// `BadDigest` for a value that isn't the bytes'.
pub fn mismatch(algorithm: Algorithm) -> S3Error {
    let name = algorithm.name();
    let message = format!("The {name} you specified did not match the calculated checksum.");
    S3Error::because(Code::BadDigest, message)
}

/// `InvalidRequest` for more checksums than one.
pub fn several() -> S3Error {
    S3Error::because(
        Code::InvalidRequest,
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )
}

fn announced_trailer(headers: &HeaderMap) -> Result<Option<Algorithm>, S3Error> {
    let Some(names) = header(headers, "x-amz-trailer")? else {
        return Ok(None);
    };
    let mut found = None;
    for name in names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let algorithm = Algorithm::from_header(name).ok_or_else(|| {
            S3Error::because(
                Code::InvalidRequest,
                "The value specified in the x-amz-trailer header is not supported",
            )
        })?;
        if found.replace(algorithm).is_some() {
            return Err(several());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(sent: &[(&'static str, &str)]) -> Result<Claim, Code> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.insert(*name, value.parse().unwrap());
        }
        Claim::of(&headers).map_err(|error| error.code())
    }

    #[test]
    fn one_checksum_at_one_place() {
        let crc = Checksum::full(Algorithm::Crc32, vec![0; 4]);
        let sdk = "x-amz-sdk-checksum-algorithm";
        assert_eq!(claim(&[]), Ok(Claim::None));
        assert_eq!(
            claim(&[(sdk, "crc32")]),
            Ok(Claim::Compute(Algorithm::Crc32))
        );
        assert_eq!(
            claim(&[("x-amz-checksum-crc32", "AAAAAA=="), (sdk, "CRC32")]),
            Ok(Claim::Header(crc))
        );
        assert_eq!(
            claim(&[("x-amz-trailer", "x-amz-checksum-sha1")]),
            Ok(Claim::Trailer(Algorithm::Sha1))
        );
        for bad in [
            &[("x-amz-checksum-crc32", "AAAA")][..],
            &[
                ("x-amz-checksum-crc32", "AAAAAA=="),
                ("x-amz-checksum-crc32c", "AAAAAA=="),
            ],
            &[
                ("x-amz-checksum-crc32", "AAAAAA=="),
                ("x-amz-trailer", "x-amz-checksum-sha1"),
            ],
            &[("x-amz-checksum-crc32", "AAAAAA=="), (sdk, "SHA1")],
            &[("x-amz-trailer", "x-other")],
            &[(sdk, "CRC31")],
        ] {
            assert_eq!(claim(bad), Err(Code::InvalidRequest), "{bad:?}");
        }
        let broken = HeaderMap::from_iter([
            (
                "x-amz-checksum-crc32".parse().unwrap(),
                "?".parse().unwrap(),
            ),
            ("x-amz-checksum-sha1".parse().unwrap(), "?".parse().unwrap()),
        ]);
        let refused = from_headers(&broken).unwrap_err();
        assert_eq!(refused.message(), several().message());
    }

    #[test]
    fn a_checksum_that_nobody_can_check_is_refused() {
        for name in ["x-amz-checksum-rot13", "x-amz-checksum-"] {
            assert_eq!(
                claim(&[(name, "AAAA")]),
                Err(Code::InvalidRequest),
                "{name}"
            );
        }
        assert_eq!(
            claim(&[("x-amz-checksum-mode", "ENABLED")]),
            Ok(Claim::None)
        );
    }
}
