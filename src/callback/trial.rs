//! `consign callbacks send --test`: one call now, outside the outbox, whose outcome is shown.

use std::time::Duration;

use serde_json::{Value, json};

use super::answer::{ANSWER_BYTES_MAX, judge};
use super::audit::AdminError;
use super::deliver::Callbacks;
use super::endpoint::Post;
use super::event::{Event, TEST};
use crate::clock::whole_ms;
use crate::id::MessageId;

/// Of the answer so much is shown.
const SHOWN_BYTES_MAX: usize = 4 * 1024;

impl Callbacks {
    /// Sends S3's test event about `bucket` to `endpoint` and tells what came of it: `id`, `status`,
    /// `ms`, `answer`, `error`, and whether the answer would do for a `synchronous` callback.
    ///
    /// # Errors
    /// [`AdminError::NoSuchEndpoint`].
    pub async fn send_test(&self, endpoint: &str, bucket: &str) -> Result<Value, AdminError> {
        let found = self.endpoint(endpoint);
        let endpoint = found.ok_or_else(|| AdminError::NoSuchEndpoint(endpoint.to_owned()))?;
        let now = self.clock.now();
        let id = MessageId::new(now);
        let event = Event {
            bucket: bucket.to_owned(),
            request_id: id.to_string(),
            ..Event::of_server(TEST, now)
        };
        let begun = tokio::time::Instant::now();
        let sent = endpoint.post(Post {
            id,
            attempt: 1,
            body: event.json().to_string(),
            at: now,
            within: Duration::from_secs(endpoint.config.timeout_seconds),
            answer_bytes_max: ANSWER_BYTES_MAX,
        });
        let outcome = sent.await;
        let ms = whole_ms(begun.elapsed());
        let (status, answer, error) = match &outcome {
            Err(none) => (None, None, Some(none.error.clone())),
            Ok(came) => {
                let failed = format!("the receiver answered {}", came.status);
                let failed = (!came.status.is_success()).then_some(failed);
                let body = came.body.as_ref().ok();
                (
                    Some(came.status.as_u16()),
                    body.map(|body| shown(body)),
                    failed,
                )
            }
        };
        let synchronous = match judge(outcome) {
            Ok(_body) => "would be the uploader's answer".to_owned(),
            Err(fault) => format!("no: {}", fault.text()),
        };
        let (id, endpoint) = (format!("msg_{id}"), endpoint.name());
        Ok(json!({
            "id": id, "endpoint": endpoint, "status": status, "ms": ms, "answer": answer,
            "error": error, "synchronous": synchronous,
        }))
    }
}

/// The beginning of an answer.
fn shown(body: &[u8]) -> String {
    let shown = body.get(..SHOWN_BYTES_MAX).unwrap_or(body);
    String::from_utf8_lossy(shown).into_owned()
}
