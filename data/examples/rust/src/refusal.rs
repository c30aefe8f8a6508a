//! Answers that are not what was asked for.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A status, and the JSON that the page turns into words.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    error: Value,
}

impl Refusal {
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            error: json!({"code": code, "message": message}),
        }
    }

    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.error[name] = value.into();
        self
    }

    /// Consign refused what we asked of it.
    pub fn store(message: &str, code: Option<String>, request_id: Option<String>) -> Self {
        let message = format!("The store refused: {message}");
        let refusal = Self::new(502, "store_failed", &message);
        refusal.with("s3Code", code).with("requestId", request_id)
    }

    pub fn s3_code(&self) -> Option<&str> {
        self.error["s3Code"].as_str()
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        eprintln!("{error}");
        Self::new(500, "failed", "Something went wrong.")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            eprintln!("{}", self.error);
        }
        (self.status, Json(json!({"error": self.error}))).into_response()
    }
}
