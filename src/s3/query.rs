//! A request's query: decoded once, in the order in which it came.

use super::error::{Code, S3Error};
use crate::auth::canonical::is_coded;

/// The decoded parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes what stands behind the `?`.
    ///
    /// # Errors
    /// `InvalidURI` where a name or a value isn't percent-encoded UTF-8.
    pub fn parse(raw: &str) -> Result<Self, S3Error> {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name, true)?, decode(value, true)?))
        });
        decoded
            .collect::<Option<_>>()
            .map(Self)
            .ok_or(S3Error::new(Code::InvalidURI))
    }

    /// The value of the first parameter of that name; empty where it has none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether there is a parameter of that name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Adds a parameter at the end.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Takes those parameters out whose name `is` wanted.
    pub(crate) fn take(&mut self, is: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        self.0.extract_if(.., |(name, _)| is(name)).collect()
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A number from 0 to `most`, which is what larger ones become; `default` where there is none.
    ///
    /// # Errors
    /// `InvalidArgument` that names the parameter where it is no such number.
    pub fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, S3Error> {
        match self.get(name) {
            None | Some("") => Ok(default),
            Some(text) => match text.parse::<i32>() {
                Ok(number) => match usize::try_from(number) {
                    Ok(number) => Ok(number.min(most)),
                    Err(_negative) => {
                        let message =
                            format!("Argument {name} must be an integer between 0 and 2147483647");
                        Err(S3Error::argument(name, text, message))
                    }
                },
                Err(_no_number) => {
                    let message = format!("Provided {name} not an integer or within integer range");
                    Err(S3Error::argument(name, text, message))
                }
            },
        }
    }
}

/// Percent-decodes; nothing where an escape is broken or the result isn't UTF-8.
pub(super) fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut rest = text.as_bytes();
    if !is_coded(rest) {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(rest.len());
    while let Some(run) = rest.iter().position(|byte| matches!(byte, b'%' | b'+')) {
        let (plain, behind) = rest.split_at(run);
        out.extend_from_slice(plain);
        rest = match behind {
            [b'%', high, low, after @ ..] => {
                let high = char::from(*high).to_digit(16)?;
                let low = char::from(*low).to_digit(16)?;
                out.push(u8::try_from(high * 16 + low).ok()?);
                after
            }
            [b'+', after @ ..] => {
                out.push(if plus_is_space { b' ' } else { b'+' });
                after
            }
            _ => return None,
        };
    }
    out.extend_from_slice(rest);
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_once() {
        let query = Query::parse("acl&prefix=a%2Fb%252F+c&x=1=2&&x=3").unwrap();
        assert_eq!(query.get("acl"), Some(""));
        assert_eq!(query.get("prefix"), Some("a/b%2F c"));
        assert_eq!(query.get("x"), Some("1=2"));
        assert!(Query::parse("a=%zz").is_err() && Query::parse("a=%ff").is_err());
    }

    #[test]
    fn numbers_are_bounded() {
        let query = Query::parse("a=7&b=5000&c=-1&d=x").unwrap();
        assert_eq!(query.number("a", 1000, 1000).unwrap(), 7);
        assert_eq!(query.number("b", 1000, 1000).unwrap(), 1000);
        assert_eq!(query.number("z", 1000, 1000).unwrap(), 1000);
        for name in ["c", "d"] {
            assert_eq!(
                query.number(name, 1, 9).unwrap_err().code(),
                Code::InvalidArgument
            );
        }
    }
}
