//! The only source of time: everything that asks for "now" asks a [`Clock`], so that expiry,
//! retries and lifecycle are tested without sleeping.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A moment, in milliseconds since the Unix epoch: the resolution of S3's own times.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct Timestamp(#[n(0)] i64);

/// The last second that HTTP's dates can tell: they have four digits for the year.
const HTTP_DATE_S_MAX: u64 = 253_402_300_799;

/// `time` in whole milliseconds.
pub fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The text was no time in the format that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid time")]
pub struct InvalidTime;

impl Timestamp {
    /// The moment `ms` milliseconds after the Unix epoch.
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// The moment `s` seconds after the Unix epoch.
    pub const fn from_unix_s(s: i64) -> Self {
        Self(s.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn unix_s(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment without its milliseconds: HTTP dates know only seconds.
    #[must_use]
    pub const fn truncated_to_s(self) -> Self {
        Self::from_unix_s(self.unix_s())
    }

    /// The moment `by` later; the end of time where it would overflow.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The moment `by` earlier.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long after `earlier` this is; zero where it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2026-11-24T00:20:26.123Z`: the time format of S3's XML.
    pub fn iso8601_ms(self) -> String {
        self.digits("0000-00-00T00:00:00.000Z")
    }

    /// `2026-11-24T00:20:26Z`: the time format of S3's error details.
    pub fn iso8601_s(self) -> String {
        self.digits("0000-00-00T00:00:00Z")
    }

    /// `24/Nov/2026:00:20:26 +0000`: the time format of S3's access records.
    pub fn log_date(self) -> String {
        self.format("%d/%b/%Y:%H:%M:%S +0000")
    }

    /// `2026-11-24-00-20-26`: the time in the key of access records.
    pub fn log_key(self) -> String {
        self.digits("0000-00-00-00-00-00")
    }

    /// `2026/11/24`.
    pub fn day_path(self) -> String {
        self.digits("0000/00/00")
    }

    /// `20261124T002026Z`: the time format of `X-Amz-Date`.
    pub fn amz_date(self) -> String {
        self.digits("00000000T000000Z")
    }

    /// `20261124`: the day of a credential scope.
    pub fn scope_day(self) -> String {
        self.digits("00000000")
    }

    /// `Tue, 24 Nov 2026 00:20:26 GMT`: HTTP's own date (RFC 9110, section 5.6.7).
    pub fn http_date(self) -> String {
        let s = u64::try_from(self.unix_s()).unwrap_or(0);
        let at = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(s.min(HTTP_DATE_S_MAX)));
        httpdate::fmt_http_date(at.unwrap_or(std::time::UNIX_EPOCH))
    }

    /// Reads `20261124T002026Z`.
    ///
    /// # Errors
    /// [`InvalidTime`] for anything else.
    pub fn parse_amz_date(text: &str) -> Result<Self, InvalidTime> {
        let (Some((date, time)), 16) = (text.split_once('T'), text.len()) else {
            return Err(InvalidTime);
        };
        let time = time.strip_suffix('Z').ok_or(InvalidTime)?;
        let digits = |text: &str, from: usize, to: usize| {
            let digits = text
                .get(from..to)
                .filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
            digits
                .and_then(|digits| digits.parse().ok())
                .ok_or(InvalidTime)
        };
        let field =
            |text, from| i8::try_from(digits(text, from, from + 2)?).map_err(|_| InvalidTime);
        Self::from_civil(jiff::civil::DateTime::new(
            digits(date, 0, 4)?,
            field(date, 4)?,
            field(date, 6)?,
            field(time, 0)?,
            field(time, 2)?,
            field(time, 4)?,
            0,
        ))
    }

    /// Reads an ISO 8601 time with a zone, as POST policies and S3's XML carry them.
    ///
    /// # Errors
    /// [`InvalidTime`] for anything else.
    pub fn parse_iso8601(text: &str) -> Result<Self, InvalidTime> {
        let parsed: jiff::Timestamp = text.parse().map_err(|_ignored| InvalidTime)?;
        Ok(Self(parsed.as_millisecond()))
    }

    /// Reads an HTTP date in any of its three forms, or one of mail.
    ///
    /// # Errors
    /// [`InvalidTime`] for anything else.
    pub fn parse_http_date(text: &str) -> Result<Self, InvalidTime> {
        let Ok(time) = httpdate::parse_http_date(text) else {
            // Clients that write dates as mail has them (`-0000` for GMT) are understood by S3 too.
            // As in those of HTTP, nobody looks at the day of the week.
            let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
            let at = parser.parse_timestamp(text);
            let at = at.map_err(|_neither| InvalidTime)?;
            return Ok(Self(at.as_millisecond()));
        };
        let since = time
            .duration_since(std::time::UNIX_EPOCH)
            .map_err(|_ignored| InvalidTime)?;
        Ok(Self::from_unix_ms(0).plus(since))
    }

    fn from_civil(civil: Result<jiff::civil::DateTime, jiff::Error>) -> Result<Self, InvalidTime> {
        let civil = civil.map_err(|_ignored| InvalidTime)?;
        let at = jiff::tz::TimeZone::UTC
            .to_timestamp(civil)
            .map_err(|_ignored| InvalidTime)?;
        Ok(Self(at.as_millisecond()))
    }

    fn format(self, format: &str) -> String {
        self.jiff().strftime(format).to_string()
    }

    /// Its digits, from the year's down to those of the milliseconds, in the places of the zeros. A
    /// listing writes a thousand times, and this is several times as fast as a format that is read.
    fn digits(self, zeros: &str) -> String {
        let at = jiff::tz::TimeZone::UTC.to_datetime(self.jiff());
        let fields = [at.month(), at.day(), at.hour(), at.minute(), at.second()];
        let number = i64::from(at.year()).max(0);
        let number = fields.iter().fold(number, |number, field| {
            number.wrapping_mul(100).wrapping_add(i64::from(*field))
        });
        let number = number
            .wrapping_mul(1000)
            .wrapping_add(i64::from(at.millisecond()));
        let mut digits = [b'0'; 17];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0'.wrapping_add(u8::try_from(rest % 10).unwrap_or(0));
            rest /= 10;
        }
        let mut text = zeros.as_bytes().to_vec();
        let places = text.iter_mut().filter(|place| **place == b'0');
        for (place, digit) in places.zip(digits) {
            *place = digit;
        }
        String::from_utf8(text).unwrap_or_default()
    }

    fn jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso8601_ms())
    }
}

/// Where "now" comes from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_unix_ms(0).plus(since.unwrap_or_default())
    }
}

/// A clock that stands still until it is moved: for tests of what time does.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `at`.
    pub const fn at(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.unix_ms()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_those_that_s3_uses() {
        let at = Timestamp::from_unix_ms(1_369_353_600_007);
        assert_eq!(at.iso8601_ms(), "2013-05-24T00:00:00.007Z");
        assert_eq!(at.iso8601_s(), "2013-05-24T00:00:00Z");
        assert_eq!(at.amz_date(), "20130524T000000Z");
        assert_eq!(at.scope_day(), "20130524");
        assert_eq!(at.log_key(), "2013-05-24-00-00-00");
        assert_eq!(at.day_path(), "2013/05/24");
        assert_eq!(at.http_date(), "Fri, 24 May 2013 00:00:00 GMT");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let at = Timestamp::from_unix_s(1_369_353_601);
        assert_eq!(Timestamp::parse_amz_date(&at.amz_date()), Ok(at));
        assert_eq!(Timestamp::parse_iso8601(&at.iso8601_ms()), Ok(at));
        assert_eq!(Timestamp::parse_http_date(&at.http_date()), Ok(at));
        for zone in ["-0000", "+0000"] {
            let mail = at.http_date().replace("GMT", zone);
            assert_eq!(Timestamp::parse_http_date(&mail), Ok(at));
        }
        let mail = "Mon, 24 May 2013 01:00:01 +0100";
        assert_eq!(Timestamp::parse_http_date(mail), Ok(at));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "20130524",
            "20130524T000000",
            "20131324T000000Z",
            "2013-05-24T00:00:00Z",
            "20130524T0000000",
            "2013052T0000000Z",
            "+0130524T000000Z",
            "20130524T00:000Z",
        ] {
            assert_eq!(Timestamp::parse_amz_date(text), Err(InvalidTime), "{text}");
        }
    }
}
