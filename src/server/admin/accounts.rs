//! Accounts: made and listed.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Asked};
use crate::s3::AdminError;
use crate::store::accounts::{Account, AccountError, NewAccount};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    name: String,
    id: Option<String>,
    email: Option<String>,
}

impl Admin {
    pub(super) async fn answer_accounts(&self, asked: &Asked<'_>) -> Result<Value, AdminError> {
        match (asked.method, asked.path) {
            (&Method::GET, "accounts") => {
                let accounts = self.accounts.list();
                let accounts: Vec<_> = accounts.iter().map(|found| self.account(found)).collect();
                Ok(json!({ "accounts": accounts }))
            }
            (&Method::POST, "accounts") => {
                let Add { name, id, email } = asked.json()?;
                let made = self.accounts.add(NewAccount { name, id, email }).await?;
                Ok(self.account(&made))
            }
            _ => Err(asked.unknown()),
        }
    }

    fn account(&self, account: &Account) -> Value {
        json!({
            "name": account.name,
            "canonical_id": account.id,
            "number": account.number,
            "email": account.email,
            "arn": account.arn(),
            "created": account.created.iso8601_ms(),
            "root": account.id == self.accounts.root().id,
        })
    }
}

impl From<AccountError> for AdminError {
    fn from(error: AccountError) -> Self {
        let text = error.to_string();
        match error {
            AccountError::AccountExists { .. } | AccountError::InvalidAccount { .. } => {
                Self::Invalid(text)
            }
            AccountError::Store(_) => Self::Failed(text),
        }
    }
}
