//! The header that carries a trace from one program to the next.
//!
//! <https://www.w3.org/TR/trace-context/>

use std::fmt;

/// Another program's span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace that it belongs to.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
    /// Whether that program tells of it.
    pub is_sampled: bool,
}

impl Parent {
    /// Reads a header; none where it is none of the kind.
    pub fn parse(header: &str) -> Option<Self> {
        let mut fields = header.trim().split('-');
        let version = one::<1>(fields.next()?)?;
        let (trace, span) = (one(fields.next()?)?, one(fields.next()?)?);
        let [flags] = one(fields.next()?)?;
        // Later versions may add fields; this one has none, and 255 is no version.
        let more = fields.next().is_some();
        let valid = match version {
            [0] => !more,
            [version] => version != u8::MAX,
        };
        let named = trace != [0; 16] && span != [0; 8];
        (valid && named).then_some(Self {
            trace,
            span,
            is_sampled: flags & 1 == 1,
        })
    }
}

fn one<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    let bytes = hex::decode(text).ok().filter(|_| lower)?;
    bytes.try_into().ok()
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (hex::encode(self.trace), hex::encode(self.span));
        write!(f, "00-{trace}-{span}-{:02x}", u8::from(self.is_sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_written_alike() {
        let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = Parent::parse(sent).unwrap();
        assert!(parent.is_sampled);
        assert_eq!(parent.to_string(), sent);
        let later = sent.replacen("00", "01", 1) + "-more";
        assert_eq!(Parent::parse(&later), Some(parent));
    }

    #[test]
    fn what_is_no_parent_is_none() {
        for sent in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033311-01",
            "00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01",
        ] {
            assert_eq!(Parent::parse(sent), None, "{sent}");
        }
    }
}
