//! The chain of the audit log's lines: each names the one before it, and is signed with a key that is
//! derived from the master key. Who can write the files but does not have that key can neither change
//! a line, nor take one out, nor add one.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// For what the key is derived.
pub(super) const PURPOSE: &str = "audit";
/// Leads the signature at the end of each line.
const MAC: &str = ",\"mac\":\"";

/// The key that signs lines.
pub(super) type ChainKey = Zeroizing<[u8; 32]>;

/// Where a chain stands: its last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Its number, from 1; 0 before the first.
    pub seq: u64,
    /// Its signature.
    pub mac: [u8; 32],
}

impl Head {
    /// As it is kept: the number in big-endian bytes, and the signature.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.seq.to_be_bytes().as_slice(), &self.mac].concat()
    }

    /// What [`Head::to_bytes`] made.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (seq, mac) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            seq: u64::from_be_bytes(*seq),
            mac: mac.try_into().ok()?,
        })
    }

    /// Whether the line of that number, which names that signature, follows it.
    fn precedes(&self, seq: u64, named: &[u8; 32]) -> bool {
        self.seq.checked_add(1) == Some(seq) && self.mac.ct_eq(named).into()
    }

    /// Whether that line is another one of the same number.
    pub(super) fn contradicts(&self, other: &Self) -> bool {
        self.seq == other.seq && !bool::from(self.mac.ct_eq(&other.mac))
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no line of an audit log.
    #[error("it is no line of an audit log")]
    Malformed,
    /// Its signature is not that of its text.
    #[error("it was changed, or is signed with another master key")]
    Changed,
    /// It does not follow the line before it.
    #[error("it does not follow the line before it: lines were taken out, added or moved")]
    Unchained,
    /// The server remembers another line of that number.
    #[error("it is not the line that the server remembers")]
    Replaced,
    /// There should be more lines.
    #[error("lines up to number {seq} are missing")]
    Missing {
        /// The last line that the server remembers.
        seq: u64,
    },
}

/// What the chain reads of a line.
#[derive(Deserialize)]
struct Link {
    seq: u64,
    previous: String,
    mac: String,
}

/// The line that follows `head` and tells `fields`, a JSON object; with its end, and the new head.
pub(super) fn line(key: &ChainKey, head: Head, fields: &str) -> Option<(String, Head)> {
    let inner = fields.strip_prefix('{')?;
    let inner = inner.strip_suffix('}')?;
    let seq = head.seq.checked_add(1)?;
    let previous = hex::encode(head.mac);
    let mut text = format!("{{\"seq\":{seq},\"previous\":\"{previous}\",{inner}");
    let mac = sign(key, &text)?;
    let mac: [u8; 32] = mac.finalize().into_bytes().into();
    text.push_str(MAC);
    text.push_str(&hex::encode(mac));
    text.push_str("\"}\n");
    Some((text, Head { seq, mac }))
}

/// Judges a line, which must follow `before` where that is known.
///
/// # Errors
/// [`Fault`].
pub(super) fn judge(keys: &[ChainKey], before: Option<Head>, line: &str) -> Result<Head, Fault> {
    let link: Link = serde_json::from_str(line).map_err(|_json| Fault::Malformed)?;
    let at = line.rfind(MAC).ok_or(Fault::Malformed)?;
    let (text, end) = line.split_at(at);
    // Nothing may stand behind the signature that it does not cover.
    if end != format!("{MAC}{}\"}}", link.mac) {
        return Err(Fault::Malformed);
    }
    let mut mac = [0; 32];
    let mut previous = [0; 32];
    hex::decode_to_slice(&link.mac, &mut mac).map_err(|_hex| Fault::Malformed)?;
    hex::decode_to_slice(&link.previous, &mut previous).map_err(|_hex| Fault::Malformed)?;
    let is_good = |key: &ChainKey| sign(key, text).is_some_and(|is| is.verify_slice(&mac).is_ok());
    if !keys.iter().any(is_good) {
        return Err(Fault::Changed);
    }
    if let Some(before) = before
        && !before.precedes(link.seq, &previous)
    {
        return Err(Fault::Unchained);
    }
    Ok(Head { seq: link.seq, mac })
}

fn sign(key: &ChainKey, text: &str) -> Option<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).ok()?;
    Some(mac.chain_update(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> ChainKey {
        Zeroizing::new([byte; 32])
    }

    #[test]
    fn a_line_is_good_where_it_was_written_and_nowhere_else() {
        let keys = [key(1)];
        let (first, head) = line(&keys[0], Head::default(), "{\"a\":\"b\"}").unwrap();
        let (second, next) = line(&keys[0], head, "{\"a\":\"c\"}").unwrap();
        let (first, second) = (first.trim_end(), second.trim_end());
        assert_eq!(judge(&keys, Some(Head::default()), first), Ok(head));
        assert_eq!(judge(&keys, None, second), Ok(next));
        assert_eq!(judge(&keys, Some(head), second), Ok(next));
        assert_eq!(judge(&keys, Some(next), second), Err(Fault::Unchained));
        assert_eq!(judge(&[key(2)], None, first), Err(Fault::Changed));
        assert_eq!(judge(&[key(2), key(1)], None, first), Ok(head));
        for spoiled in [
            first.replace("\"b\"", "\"B\""),
            first.replace("\"seq\":1", "\"seq\":2"),
            first.replace(",\"a\"", ", \"a\""),
        ] {
            assert_eq!(
                judge(&keys, None, &spoiled),
                Err(Fault::Changed),
                "{spoiled}"
            );
        }
        let added = first.replace("\"}", "\",\"x\":1}");
        for spoiled in [added.as_str(), "", "{}", "no line", first.split_at(40).0] {
            assert!(judge(&keys, None, spoiled).is_err(), "{spoiled}");
        }
    }
}
