//! Conditions on what is there: RFC 9110, section 13, in the order of precedence that S3 keeps.

use http::HeaderMap;

use super::error::{Code, S3Error};
use super::head::header;
use crate::clock::Timestamp;

/// The four conditions of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Leads the names of a copy's conditions on its source.
    prefix: &'static str,
    if_match: Option<String>,
    if_none_match: Option<String>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

/// What the conditions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Proceed,
    /// The client has it already, as this condition says: 304.
    NotModified(&'static str),
}

impl Conditions {
    /// Reads the headers of GET and HEAD. A date that is yet to come (after `now`) says nothing of what
    /// was modified since.
    ///
    /// # Errors
    /// `InvalidArgument` for one that isn't UTF-8. A date that can't be read is no condition.
    pub fn of(headers: &HeaderMap, now: Timestamp) -> Result<Self, S3Error> {
        Self::with_prefix(headers, "", now)
    }

    /// Reads the headers that a copy puts on its source.
    ///
    /// # Errors
    /// As [`Conditions::of`].
    pub fn of_copy_source(headers: &HeaderMap, now: Timestamp) -> Result<Self, S3Error> {
        Self::with_prefix(headers, "x-amz-copy-source-", now)
    }

    /// Reads the headers that a rename puts on its source.
    ///
    /// # Errors
    /// As [`Conditions::of`].
    pub fn of_rename_source(headers: &HeaderMap, now: Timestamp) -> Result<Self, S3Error> {
        Self::with_prefix(headers, "x-amz-rename-source-", now)
    }

    fn with_prefix(
        headers: &HeaderMap,
        prefix: &'static str,
        now: Timestamp,
    ) -> Result<Self, S3Error> {
        let text = |name: &'static str| match prefix {
            "" => header(headers, name),
            _ => header(headers, &format!("{prefix}{name}")),
        };
        let date = |name: &'static str| {
            let date = text(name)?.and_then(|text| Timestamp::parse_http_date(text).ok());
            Ok::<_, S3Error>(date)
        };
        Ok(Self {
            prefix,
            if_match: text("if-match")?.map(str::to_owned),
            if_none_match: text("if-none-match")?.map(str::to_owned),
            if_modified_since: date("if-modified-since")?.filter(|since| *since <= now),
            if_unmodified_since: date("if-unmodified-since")?,
        })
    }

    /// Judges what is there: `etag` without quotes, `modified` when it was written.
    ///
    /// # Errors
    /// `PreconditionFailed` that names the condition.
    pub fn judge(&self, etag: &str, modified: Timestamp) -> Result<Verdict, S3Error> {
        let modified = modified.truncated_to_s();
        let failed = |name| self.failed(name);
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) if !lists(tags, etag) => return Err(failed("If-Match")),
            (None, Some(since)) if modified > since => return Err(failed("If-Unmodified-Since")),
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) if lists(tags, etag) => Ok(Verdict::NotModified("If-None-Match")),
            (None, Some(since)) if modified <= since => {
                Ok(Verdict::NotModified("If-Modified-Since"))
            }
            _ => Ok(Verdict::Proceed),
        }
    }

    /// Judges that nothing is there.
    ///
    /// # Errors
    /// `PreconditionFailed` that names a condition which demands something.
    pub fn judge_nothing(&self) -> Result<(), S3Error> {
        if self.if_match.is_some() {
            return Err(self.failed("If-Match"));
        }
        if self.if_none_match.is_none() && self.if_modified_since.is_some() {
            return Err(self.failed("If-Modified-Since"));
        }
        Ok(())
    }

    /// That the condition of that name does not hold.
    pub fn failed(&self, name: &'static str) -> S3Error {
        let condition = format!("{}{name}", self.prefix);
        S3Error::new(Code::PreconditionFailed).with("Condition", condition)
    }
}

/// Whether the list of entity tags has this one. S3 also takes tags without quotes.
fn lists(tags: &str, etag: &str) -> bool {
    tags.split(',').any(|tag| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
        tag == "*" || tag == etag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Sent<'a> = &'a [(&'static str, &'a str)];

    #[test]
    fn only_a_demand_for_something_fails_where_nothing_is() {
        let now = Timestamp::from_unix_s(1_369_353_600);
        let since = now.http_date();
        for (name, value, holds) in [
            ("if-match", "*", false),
            ("if-modified-since", since.as_str(), false),
            ("if-none-match", "*", true),
            ("if-unmodified-since", since.as_str(), true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let judged = Conditions::of(&headers, now).unwrap().judge_nothing();
            assert_eq!(judged.is_ok(), holds, "{name}");
        }
    }

    #[test]
    fn precedence_is_that_of_http() {
        let at = Timestamp::from_unix_ms(1_369_353_600_900);
        let (same, before) = (
            at.http_date(),
            Timestamp::from_unix_s(1_369_353_599).http_date(),
        );
        let later = Timestamp::from_unix_s(1_369_353_602).http_date();
        let rows: &[(Sent<'_>, Option<Verdict>)] = &[
            (&[], Some(Verdict::Proceed)),
            (&[("if-match", "\"x\"")], Some(Verdict::Proceed)),
            (&[("if-match", "y, x")], Some(Verdict::Proceed)),
            (&[("if-match", "*")], Some(Verdict::Proceed)),
            (&[("if-match", "\"y\"")], None),
            (
                &[("if-none-match", "\"x\"")],
                Some(Verdict::NotModified("If-None-Match")),
            ),
            (&[("if-none-match", "\"y\"")], Some(Verdict::Proceed)),
            (
                &[("if-modified-since", &same)],
                Some(Verdict::NotModified("If-Modified-Since")),
            ),
            (&[("if-modified-since", &later)], Some(Verdict::Proceed)),
            (&[("if-modified-since", &before)], Some(Verdict::Proceed)),
            (
                &[("if-modified-since", "yesterday")],
                Some(Verdict::Proceed),
            ),
            (&[("if-unmodified-since", &same)], Some(Verdict::Proceed)),
            (&[("if-unmodified-since", &before)], None),
            (
                &[("if-match", "x"), ("if-unmodified-since", &before)],
                Some(Verdict::Proceed),
            ),
            (
                &[("if-none-match", "y"), ("if-modified-since", &same)],
                Some(Verdict::Proceed),
            ),
            (
                &[("if-none-match", "x"), ("if-modified-since", &before)],
                Some(Verdict::NotModified("If-None-Match")),
            ),
        ];
        for (sent, expected) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in *sent {
                headers.insert(*name, value.parse().unwrap());
            }
            let verdict = Conditions::of(&headers, at).unwrap().judge("x", at);
            assert_eq!(verdict.ok(), *expected, "{sent:?}");
        }
    }
}
