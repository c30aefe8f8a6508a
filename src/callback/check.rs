//! Uploads that a receiver must allow before they begin.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::answer::{judge, shortened};
use super::config::CheckConfig;
use super::deliver::Callbacks;
use crate::config::WhenDown;
use crate::id::MessageId;
use crate::store::hook::{Proposed, Verdict};

/// What the question is called.
pub(super) const CHECK: &str = "consign:CheckUpload";
/// Verdicts that are kept at a time.
const KEPT_MAX: usize = 10_000;

/// Every check, and what came of the last ones.
#[derive(Debug, Default)]
pub(super) struct Checks {
    checks: Vec<CheckConfig>,
    kept: Mutex<HashMap<[u8; 32], (Instant, Verdict)>>,
}

/// What a receiver says of an upload.
#[derive(Deserialize)]
struct Said {
    allow: bool,
    reason: Option<String>,
}

impl Checks {
    pub(super) fn new(checks: &[CheckConfig]) -> Self {
        Self {
            checks: checks.to_vec(),
            kept: Mutex::default(),
        }
    }

    fn matching(&self, upload: &Proposed<'_>) -> impl Iterator<Item = &CheckConfig> {
        let (bucket, key) = (upload.bucket.name.as_str(), upload.key);
        self.checks.iter().filter(move |check| {
            (check.bucket == "*" || check.bucket == bucket) && key.starts_with(&check.prefix)
        })
    }

    fn kept(&self, question: &[u8; 32]) -> Option<Verdict> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, verdict) = kept.get(question)?;
        (Instant::now() < *until).then(|| verdict.clone())
    }

    fn keep(&self, question: [u8; 32], check: &CheckConfig, verdict: &Verdict) {
        if check.cache_time.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_question, (until, _verdict)| now < *until);
        }
        if kept.len() < KEPT_MAX {
            kept.insert(question, (now + check.cache_time, verdict.clone()));
        }
    }
}

impl Callbacks {
    /// Asks every receiver that must allow `upload`, one after the other, until one does not.
    pub(super) async fn admitted(&self, upload: &Proposed<'_>) -> Verdict {
        let configured = self.configured();
        let checks = &configured.checks;
        for check in checks.matching(upload) {
            let facts = facts(upload);
            // The same question is the same upload tried again: nothing else is alike in all of this.
            let text = Value::Object(facts.clone()).to_string();
            let question = Sha256::digest(format!("{}\0{text}", check.endpoint));
            let question: [u8; 32] = question.into();
            let verdict = match checks.kept(&question) {
                Some(verdict) => verdict,
                None => match self.judged(check, upload, facts).await {
                    Ok(verdict) => {
                        checks.keep(question, check, &verdict);
                        verdict
                    }
                    Err(why) => down(check, &why),
                },
            };
            if verdict != Verdict::Allowed {
                return verdict;
            }
        }
        Verdict::Allowed
    }

    /// What the receiver says; an error where it can't be asked.
    async fn judged(
        &self,
        check: &CheckConfig,
        upload: &Proposed<'_>,
        mut facts: Map<String, Value>,
    ) -> Result<Verdict, String> {
        let endpoint = self.endpoint(&check.endpoint);
        let endpoint = endpoint.ok_or("the endpoint is not there")?;
        let now = self.clock.now();
        facts.insert("time".to_owned(), now.iso8601_ms().into());
        let request = upload.origin.request_id.to_string();
        facts.insert("requestId".to_owned(), request.into());
        let body = Value::Object(facts).to_string();
        let deadline = Instant::now() + check.time;
        let call = self.call(&endpoint, (MessageId::new(now), 1), body, deadline);
        let answer = tokio::select! {
            answer = call => judge(answer).map_err(|fault| fault.text())?,
            () = self.stop_grace() => return Err("the server stops".to_owned()),
        };
        let said: Said = serde_json::from_slice(&answer)
            .map_err(|error| format!("the receiver's answer says neither yes nor no: {error}"))?;
        Ok(if said.allow {
            Verdict::Allowed
        } else {
            Verdict::Refused {
                reason: said.reason.map(|reason| shortened(&reason)),
            }
        })
    }
}

/// What is asked, save for what differs between two tries.
fn facts(upload: &Proposed<'_>) -> Map<String, Value> {
    let origin = upload.origin;
    let vars = origin.callback.iter().flat_map(|callback| &callback.vars);
    let vars: Map<String, Value> = vars
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    let facts = json!({
        "event": CHECK,
        "operation": upload.operation,
        "bucket": upload.bucket.name.as_str(),
        "key": upload.key,
        "size": upload.len,
        "contentType": upload.content_type,
        "principal": origin.principal,
        "sourceIp": origin.source_ip.map(|ip| ip.to_string()),
        "vars": vars,
    });
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}

fn down(check: &CheckConfig, why: &str) -> Verdict {
    let endpoint = &check.endpoint;
    match check.when_down {
        WhenDown::Allow => {
            tracing::warn!(endpoint, why, "an upload goes on unchecked");
            Verdict::Allowed
        }
        WhenDown::Refuse => {
            tracing::warn!(endpoint, why, "an upload can't be checked");
            Verdict::Down
        }
    }
}
