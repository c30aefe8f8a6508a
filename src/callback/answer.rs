//! What a receiver's answer says to an uploader who waits for it.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::endpoint::{Answer, BodyFault, NoAnswer};
use reqwest::StatusCode;

/// Bytes of an answer that an uploader gets, at most: 1 MiB.
pub(super) const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Characters of a receiver's reason that an uploader gets, at most.
const REASON_CHARS_MAX: usize = 500;

/// Why there is no answer for the uploader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The receiver said no: it has done nothing.
    Refused {
        /// What it answered.
        status: u16,
        /// Why, in its own words.
        reason: Option<String>,
    },
    /// Nobody was reached, so that nobody has done anything.
    Unheard(String),
    /// What the receiver has done can't be known.
    Unclear {
        /// What it answered, if it did.
        status: Option<u16>,
        /// What is wrong with that.
        why: String,
    },
}

impl Unanswered {
    /// The status, where there was one.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Unheard(_) => None,
            Self::Unclear { status, .. } => *status,
        }
    }

    /// What an uploader is told of it: nothing about where the receiver is.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Unheard(_) => "the receiver could not be reached".to_owned(),
            Self::Unclear { status: None, .. } => "the receiver did not answer in time".to_owned(),
            Self::Refused { .. } | Self::Unclear { .. } => self.text(),
        }
    }

    /// What the audit says of it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Refused {
                status,
                reason: Some(reason),
            } => format!("the receiver answered {status}: {reason}"),
            Self::Refused { status, .. } => format!("the receiver answered {status}"),
            Self::Unheard(why) | Self::Unclear { why, .. } => why.clone(),
        }
    }
}

/// The body that the uploader gets: JSON, under status 200.
pub(super) fn judge(outcome: Result<Answer, NoAnswer>) -> Result<Bytes, Unanswered> {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(none) if none.maybe_heard => {
            let why = none.error;
            return Err(Unanswered::Unclear { status: None, why });
        }
        Err(none) => return Err(Unanswered::Unheard(none.error)),
    };
    let status = Some(answer.status.as_u16());
    let unclear = |why: &str| {
        let why = why.to_owned();
        Err(Unanswered::Unclear { status, why })
    };
    if answer.status.is_client_error() {
        return Err(Unanswered::Refused {
            status: answer.status.as_u16(),
            reason: answer.body.ok().and_then(|body| reason(&body)),
        });
    }
    if answer.status != StatusCode::OK {
        return unclear(&format!("the receiver answered {}, not 200", answer.status));
    }
    if !answer.is_json {
        return unclear("the receiver's answer has no content-type of JSON");
    }
    match answer.body {
        Ok(body) if is_json(&body) => Ok(body),
        Ok(_body) => unclear("the receiver's answer is not valid JSON"),
        Err(BodyFault::TooLong) => unclear("the receiver's answer is longer than 1 MiB"),
        Err(BodyFault::Broken(why)) => unclear(&format!("the receiver's answer broke off: {why}")),
    }
}

fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok() && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// The `reason` of a JSON object, short enough for an error's message.
pub(super) fn reason(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        reason: Option<String>,
    }
    let said: Said = serde_json::from_slice(body).ok()?;
    said.reason.map(|reason| shortened(&reason))
}

/// `text` with so many characters at most, and none that XML can't carry.
pub(super) fn shortened(text: &str) -> String {
    let shown = |one: char| if one.is_control() { ' ' } else { one };
    text.chars().take(REASON_CHARS_MAX).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, is_json: bool, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            is_json,
            retry_after: None,
            body: Ok(Bytes::copy_from_slice(body.as_bytes())),
        }
    }

    fn unclear(outcome: Result<Answer, NoAnswer>) -> String {
        match judge(outcome) {
            Err(Unanswered::Unclear { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_json_under_200_is_an_answer() {
        assert_eq!(
            judge(Ok(answer(200, true, "{\"a\":1}"))).unwrap(),
            "{\"a\":1}"
        );
        assert_eq!(judge(Ok(answer(200, true, " null "))).unwrap(), " null ");
        for (status, json, body, why) in [
            (204, true, "", "answered 204"),
            (201, true, "{}", "answered 201"),
            (302, true, "{}", "answered 302"),
            (500, true, "{}", "answered 500"),
            (200, false, "{}", "no content-type"),
            (200, true, "", "not valid JSON"),
            (200, true, "{", "not valid JSON"),
            (200, true, "{} {}", "not valid JSON"),
        ] {
            let said = unclear(Ok(answer(status, json, body)));
            assert!(said.contains(why), "{status} {body}: {said}");
        }
        let broken = |fault| {
            let mut answer = answer(200, true, "");
            answer.body = Err(fault);
            unclear(Ok(answer))
        };
        assert!(broken(BodyFault::TooLong).contains("1 MiB"));
        assert!(broken(BodyFault::Broken("x".into())).contains("broke off: x"));
        let not_utf8 = Answer {
            body: Ok(Bytes::from_static(b"\"\xff\"")),
            ..answer(200, true, "")
        };
        assert!(unclear(Ok(not_utf8)).contains("not valid JSON"));
    }

    #[test]
    fn a_refusal_is_told_from_what_is_unclear_and_its_reason_is_bounded() {
        let refused = judge(Ok(answer(409, true, "{\"reason\":\"quota\\u0000 full\"}")));
        let reason = Some("quota  full".to_owned());
        let status = 409;
        assert_eq!(refused, Err(Unanswered::Refused { status, reason }));
        let long = format!("{{\"reason\":\"{}\"}}", "é".repeat(9_000));
        let Err(Unanswered::Refused { reason, .. }) = judge(Ok(answer(400, false, &long))) else {
            panic!("not refused");
        };
        assert_eq!(reason.unwrap().chars().count(), REASON_CHARS_MAX);
        let none = |maybe_heard| NoAnswer {
            error: "e".into(),
            maybe_heard,
        };
        assert_eq!(
            judge(Err(none(false))),
            Err(Unanswered::Unheard("e".into()))
        );
        assert_eq!(unclear(Err(none(true))), "e");
    }
}
