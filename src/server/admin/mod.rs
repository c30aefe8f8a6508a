//! The administration's work: what the operator's commands ask of a running server.
//!
//! Every request here is the root key's, with a proven body: `s3::admin` lets no other through.

mod accounts;
mod backup;
mod callbacks;
mod explain;
mod fsck;
mod job;
mod keys;
mod quotas;
mod scrub;
mod status;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::backup::Source;
use super::reload::{self, Orders};
use super::tls::Tls;
use super::{Background, audit};
use crate::callback::Callbacks;
use crate::clock::{Clock, Timestamp};
use crate::s3::explain::{Explainer, Refusals};
use crate::s3::{AdminError, AdminHandler, Query};
use crate::store::ObjectStore;
use crate::store::accounts::Accounts;
use crate::store::keys::Keys;
use crate::store::meta::MetaEngine;

pub(super) use backup::BackupJob;
pub(super) use fsck::{Fsck, readings as fsck_readings};
pub(super) use status::Itself;

/// What the operator may see and change.
#[derive(Debug)]
pub(super) struct Admin {
    pub(super) meta: Arc<dyn MetaEngine>,
    pub(super) store: ObjectStore,
    pub(super) keys: Arc<Keys>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) callbacks: Arc<Callbacks>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) started: Timestamp,
    pub(super) background: Background,
    pub(super) fsck: Arc<Fsck>,
    pub(super) backup: BackupJob,
    /// What backups are made of; none where nothing is kept on a disk.
    pub(super) source: Option<Source>,
    pub(super) certificates: Vec<Arc<Tls>>,
    pub(super) itself: Itself,
    pub(super) refusals: Arc<Refusals>,
    pub(super) explainer: Arc<ArcSwap<Explainer>>,
    pub(super) orders: Orders,
}

/// A request as its path names it.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    query: Query,
    body: &'a [u8],
}

impl AdminHandler for Admin {
    fn handle(
        &self,
        method: Method,
        path: String,
        query: String,
        body: Bytes,
    ) -> BoxFuture<'_, Result<Value, AdminError>> {
        async move {
            let asked = Asked {
                method: &method,
                path: &path,
                query: Query::parse(&query).map_err(|e| AdminError::Invalid(e.to_string()))?,
                body: &body,
            };
            self.answer(&asked).await
        }
        .boxed()
    }
}

impl Admin {
    async fn answer(&self, asked: &Asked<'_>) -> Result<Value, AdminError> {
        let group = asked.path.split('/').next().unwrap_or_default();
        match (group, asked.method) {
            ("status", &Method::GET) => Ok(self.status().await),
            ("accounts", _) => self.answer_accounts(asked).await,
            ("keys", _) => self.answer_keys(asked).await,
            ("callbacks", _) => self.answer_callbacks(asked).await,
            ("quotas", _) => self.answer_quotas(asked).await,
            ("explain", &Method::POST) => self.answer_explain(asked),
            ("refusals", _) => self.answer_refusals(asked),
            ("audit", &Method::GET) => self.audit_head().await,
            ("backup", _) => self.answer_backup(asked),
            ("reload", &Method::POST) => self.answer_reload().await,
            ("fsck", _) => self.answer_fsck(asked),
            ("scrub", _) => self.answer_scrub(asked).await,
            _ => Err(asked.unknown()),
        }
    }

    /// The last line of the audit log: what `consign audit verify` holds the files against.
    async fn audit_head(&self) -> Result<Value, AdminError> {
        let known = audit::known(&*self.meta).await;
        let head = known.map_err(|error| AdminError::Failed(error.to_string()))?;
        let head = head.unwrap_or_default();
        Ok(json!({ "seq": head.seq, "mac": hex::encode(head.mac) }))
    }

    async fn answer_reload(&self) -> Result<Value, AdminError> {
        match reload::order(&self.orders).await {
            Some(Ok(waiting)) => Ok(json!({ "waiting_for_restart": waiting })),
            Some(Err(message)) => Err(AdminError::Invalid(message)),
            None => Err(AdminError::Failed(
                "nobody heeds orders to reload".to_owned(),
            )),
        }
    }
}

impl Asked<'_> {
    /// The body's JSON.
    fn json<T: DeserializeOwned>(&self) -> Result<T, AdminError> {
        let body = if self.body.is_empty() {
            b"{}"
        } else {
            self.body
        };
        serde_json::from_slice(body).map_err(|error| AdminError::Invalid(error.to_string()))
    }

    fn unknown(&self) -> AdminError {
        let Self { method, path, .. } = self;
        AdminError::NotFound(format!("the administration knows no {method} {path}"))
    }
}

#[cfg(test)]
mod tests;
