//! Callbacks: listed, looked at, tried again.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Asked};
use crate::callback::audit::LIST_MAX;
use crate::callback::{self, State};
use crate::id::MessageId;
use crate::s3::AdminError;

/// What a list shows where its length is not asked for.
const LIST_DEFAULT: usize = 100;

/// Which messages to try again: one, or every dead letter (of one endpoint).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    id: Option<String>,
    #[serde(default)]
    dead: bool,
    endpoint: Option<String>,
}

/// Where to send a test event, and which bucket it is to name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trial {
    endpoint: String,
    bucket: Option<String>,
}

impl Admin {
    pub(super) async fn answer_callbacks(&self, asked: &Asked<'_>) -> Result<Value, AdminError> {
        match (asked.method, asked.path) {
            (&Method::GET, "callbacks") => self.list_callbacks(asked).await,
            (&Method::POST, "callbacks/retry") => self.retry_callbacks(asked.json()?).await,
            (&Method::POST, "callbacks/test") => {
                let Trial { endpoint, bucket } = asked.json()?;
                let bucket = bucket.as_deref().unwrap_or_default();
                Ok(self.callbacks.send_test(&endpoint, bucket).await?)
            }
            (&Method::GET, path) => {
                let id = path.strip_prefix("callbacks/").unwrap_or_default();
                Ok(self.callbacks.show(message_id(id)?).await?)
            }
            _ => Err(asked.unknown()),
        }
    }

    async fn list_callbacks(&self, asked: &Asked<'_>) -> Result<Value, AdminError> {
        let state = match asked.query.get("state").unwrap_or("pending") {
            "pending" => State::Pending,
            "dead" => State::Dead,
            "delivered" => State::Delivered,
            "asked" => State::Asked,
            "withdrawn" => State::Withdrawn,
            other => {
                let text = format!(
                    "a state is pending, dead, delivered, asked or withdrawn, not \"{other}\""
                );
                return Err(AdminError::Invalid(text));
            }
        };
        let limit = asked.query.number("limit", LIST_DEFAULT, LIST_MAX);
        let limit = limit.map_err(|error| AdminError::Invalid(error.to_string()))?;
        let endpoint = asked.query.get("endpoint");
        Ok(self.callbacks.list(state, endpoint, limit).await?)
    }

    async fn retry_callbacks(&self, retry: Retry) -> Result<Value, AdminError> {
        if let Some(id) = &retry.id {
            let retried = self.callbacks.retry(message_id(id)?).await?;
            return Ok(json!({ "callbacks": [retried] }));
        }
        if !retry.dead {
            let text = "name a message by its \"id\", or all with \"dead\": true";
            return Err(AdminError::Invalid(text.to_owned()));
        }
        let endpoint = retry.endpoint.as_deref();
        let dead = self.callbacks.list(State::Dead, endpoint, LIST_MAX).await?;
        let rows = dead.get("callbacks").and_then(Value::as_array);
        let mut retried = Vec::new();
        for row in rows.into_iter().flatten() {
            let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
            match self.callbacks.retry(message_id(id)?).await {
                Ok(message) => retried.push(message),
                // Somebody else was faster.
                Err(callback::AdminError::NoSuchMessage) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(json!({ "callbacks": retried }))
    }
}

/// An id as lists show it, or as receivers see it in `webhook-id`.
fn message_id(text: &str) -> Result<MessageId, AdminError> {
    let id = MessageId::parse(text.strip_prefix("msg_").unwrap_or(text));
    id.ok_or_else(|| AdminError::Invalid(format!("\"{text}\" is no message's id")))
}

impl From<callback::AdminError> for AdminError {
    fn from(error: callback::AdminError) -> Self {
        let text = error.to_string();
        match error {
            callback::AdminError::NoSuchMessage | callback::AdminError::NoSuchEndpoint(_) => {
                Self::NotFound(text)
            }
            callback::AdminError::NotMade => Self::Invalid(text),
            callback::AdminError::Meta(_) => Self::Failed(text),
        }
    }
}
