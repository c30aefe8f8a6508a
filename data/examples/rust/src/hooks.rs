//! The callback: verified, then recorded once.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::App;
use crate::database::{self, Event};
use crate::refusal::Refusal;

/// Takes a callback that one of the secrets signed within the last five minutes.
pub async fn take(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    // The signature is over the bytes as they came; the library compares it in constant time.
    if !app
        .webhooks
        .iter()
        .any(|webhook| webhook.verify(&body, &headers).is_ok())
    {
        return Err(Refusal::new(
            401,
            "not_verified",
            "The signature does not verify.",
        ));
    }
    let malformed = || Refusal::new(400, "bad_callback", "That is no callback of Consign.");
    let text = std::str::from_utf8(&body)
        .map_err(|_| malformed())?
        .to_owned();
    let message: Value = serde_json::from_str(&text).map_err(|_| malformed())?;
    let records = message["Records"].as_array().map_or(&[][..], Vec::as_slice);
    let events: Option<Vec<_>> = records.iter().map(event_of).collect();
    let events = events.ok_or_else(malformed)?;
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok());
    let id = id.ok_or_else(malformed)?.to_owned();
    app.db
        .transaction(move |db| Ok(database::record(db, &id, &events, &text)?))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn event_of(record: &Value) -> Option<Event> {
    let object = &record["s3"]["object"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let key = object["key"].as_str()?.replace('+', " ");
    Some(Event {
        name: text(&record["eventName"])?,
        at: text(&record["eventTime"])?,
        key: percent_decode_str(&key).decode_utf8().ok()?.into_owned(),
        size: object["size"].as_i64(),
        etag: text(&object["eTag"]),
        sequencer: text(&object["sequencer"]),
    })
}
