//! A request's query: decoded once, in the order in which it came.

use std::borrow::Cow;
use std::ops::Range;

use super::error::{Code, S3Error};
use crate::auth::canonical::{is_coded, nibbles, pieces};

/// The decoded parameters: one text, and where each name and value stands in it.
#[derive(Debug, Clone, Default)]
pub struct Query {
    text: String,
    places: Vec<(Range<usize>, Range<usize>)>,
}

/// What the names of a presigned URL's own parameters begin with.
pub(super) const PRESIGNED: &str = "X-Amz-";

/// Parameters of a presigned URL: room for so many is made once.
const PARAMETERS: usize = 8;

impl Query {
    /// Decodes what stands behind the `?`.
    ///
    /// # Errors
    /// `InvalidURI` where a name or a value isn't percent-encoded UTF-8.
    pub fn parse(raw: &str) -> Result<Self, S3Error> {
        let mut query = Self::default();
        if raw.is_empty() {
            return Ok(query);
        }
        query.text.reserve(raw.len());
        query.places.reserve(PARAMETERS);
        for (name, value) in pieces(raw) {
            let decoded = decoded(name, true).zip(decoded(value, true));
            let (name, value) = decoded.ok_or(S3Error::new(Code::InvalidURI))?;
            query.push(&name, &value);
        }
        Ok(query)
    }

    /// The value of the first parameter of that name; empty where it has none.
    pub fn get(&self, name: &str) -> Option<&str> {
        // Lengths first: they tell most names apart.
        let is = |found: &Range<usize>| found.len() == name.len() && at(&self.text, found) == name;
        let found = self.places.iter().find(|(found, _)| is(found));
        found.map(|(_, value)| at(&self.text, value))
    }

    /// Whether there is a parameter of that name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Adds a parameter at the end.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        let begin = self.text.len();
        self.text.push_str(name);
        let middle = self.text.len();
        self.text.push_str(value);
        self.places.push((begin..middle, middle..self.text.len()));
    }

    /// Takes those parameters out whose name `is` wanted.
    pub(crate) fn take(&mut self, is: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let Self { text, places } = self;
        let taken = places.extract_if(.., |(name, _)| is(at(text, name)));
        taken
            .map(|(name, value)| (at(text, &name).to_owned(), at(text, &value).to_owned()))
            .collect()
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let places = self.places.iter();
        places.map(|(name, value)| (at(&self.text, name), at(&self.text, value)))
    }

    /// Those that may ask for something: without a presigned URL's own, whose names neither an operation nor an
    /// option has.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
            .filter(|(name, _value)| !name.starts_with(PRESIGNED))
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

/// What stands there; places are made where text is put.
fn at<'a>(text: &'a str, place: &Range<usize>) -> &'a str {
    text.get(place.clone()).unwrap_or_default()
}

/// Percent-decodes; nothing where an escape is broken or the result isn't UTF-8.
pub(super) fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    decoded(text, plus_is_space).map(Cow::into_owned)
}

/// The same, without a copy where there is nothing to decode.
pub(super) fn decoded(text: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    let mut rest = text.as_bytes();
    if !is_coded(rest) {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(rest.len());
    while let Some(run) = rest.iter().position(|byte| matches!(byte, b'%' | b'+')) {
        let (plain, behind) = rest.split_at(run);
        out.extend_from_slice(plain);
        rest = match behind {
            [b'%', high, low, after @ ..] => {
                out.push(nibbles(*high, *low)?);
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
    String::from_utf8(out).ok().map(Cow::Owned)
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
