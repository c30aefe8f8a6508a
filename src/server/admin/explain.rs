//! Requests that were refused, and what is wrong with their signatures.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Asked};
use crate::auth::explain::Request;
use crate::s3::AdminError;
use crate::s3::explain::Refused;

/// Bytes of a request that is to be explained.
const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// A request to explain. It is searched for here, where the keys are: no secret goes over the wire.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToExplain {
    request: Request,
}

impl Admin {
    pub(super) fn answer_explain(&self, asked: &Asked<'_>) -> Result<Value, AdminError> {
        let ToExplain { request } = asked.json()?;
        if request.bytes() > REQUEST_BYTES_MAX {
            return Err(AdminError::Invalid("the request is too large".to_owned()));
        }
        let explanation = self.explainer.load().explain(&request, self.clock.now());
        Ok(json!({ "explanation": explanation }))
    }

    pub(super) fn answer_refusals(&self, asked: &Asked<'_>) -> Result<Value, AdminError> {
        match (asked.method, asked.path.strip_prefix("refusals/")) {
            (&Method::GET, None) if asked.path == "refusals" => {
                let all = self.refusals.list();
                Ok(json!({ "refusals": all.iter().map(row).collect::<Vec<_>>() }))
            }
            (&Method::GET, Some(id)) => {
                let refused = self.refusals.find(id);
                let refused = refused.ok_or_else(|| {
                    let text = format!(
                        "no refused request {id} is kept: only the last 256 are, until a restart"
                    );
                    AdminError::NotFound(text)
                })?;
                let mut told = row(&refused);
                if let Value::Object(told) = &mut told {
                    let explanation = self.explainer.load().explain_refused(&refused);
                    told.insert("explanation".to_owned(), json!(explanation));
                }
                Ok(told)
            }
            _ => Err(asked.unknown()),
        }
    }
}

fn row(refused: &Refused) -> Value {
    let request = &refused.request;
    json!({
        "id": refused.id.to_string(),
        "at": refused.at.iso8601_ms(),
        "client": refused.client.map(|client| client.ip().to_string()),
        "method": request.method.as_ref().map(Method::as_str),
        "host": request.authority,
        "path": request.raw_path,
        "code": refused.code,
    })
}
