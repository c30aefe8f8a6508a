//! Accounts: who owns buckets and objects. All are held in memory, since every request asks for some.

mod record;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Mutex;

use super::garbage::to_its_end;
use super::meta::{self, Batch, KeyRange, MetaEngine, MetaError, Space};
use super::record::{decode, encode};
use super::{StoreError, TRIES_MAX};
use crate::clock::Clock;

pub use record::{Account, NewAccount};

use record::{ACCOUNT_ROW, WORD_ROW, new_id, new_number, row, validate};

/// Where the system keeps the canonical id of the account that the root key belongs to.
const OWNER: &[u8] = b"owner";
const ROOT_NAME: &str = "consign";

/// Why an account can't be made.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// An account answers to that word.
    #[error("there is an account {what} already")]
    AccountExists {
        /// The name, id or email address.
        what: String,
    },
    /// What was asked for is no account.
    #[error("{reason}")]
    InvalidAccount {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<MetaError> for AccountError {
    fn from(error: MetaError) -> Self {
        Self::Store(error.into())
    }
}

/// Every account by each word that means it.
type Book = HashMap<String, Arc<Account>>;

/// The store's accounts.
pub struct Accounts {
    meta: Arc<dyn MetaEngine>,
    clock: Arc<dyn Clock>,
    root: Arc<Account>,
    book: ArcSwap<Book>,
    // Keeps the book's changes in the order of their batches.
    changing: Mutex<()>,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Accounts {
    /// Reads the stored accounts; at the first start, makes the one of the root key.
    ///
    /// # Errors
    /// What the engine fails with.
    pub async fn open(
        meta: Arc<dyn MetaEngine>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StoreError> {
        let root = Arc::new(root(meta.as_ref(), clock.as_ref()).await?);
        let mut book = Book::new();
        let range = KeyRange::prefix([ACCOUNT_ROW].to_vec());
        for row in meta::scan(meta.as_ref(), Space::Accounts, range, usize::MAX).await? {
            enter(&mut book, &Arc::new(decode(&row.value, "an account")?));
        }
        Ok(Arc::new(Self {
            meta,
            clock,
            root,
            book: ArcSwap::from_pointee(book),
            changing: Mutex::new(()),
        }))
    }

    /// The account that the root key belongs to: the server's owner.
    pub const fn root(&self) -> &Arc<Account> {
        &self.root
    }

    /// The account that `word` means: its canonical id, number, email address or name.
    pub fn find(&self, word: &str) -> Option<Arc<Account>> {
        let exactly = self.book.load().get(word).cloned();
        exactly.or_else(|| self.by_email(word))
    }

    /// The account of that canonical id.
    pub fn by_id(&self, id: &str) -> Option<Arc<Account>> {
        self.book
            .load()
            .get(id)
            .filter(|found| found.id == id)
            .cloned()
    }

    /// The account of those 12 digits.
    pub fn by_number(&self, number: &str) -> Option<Arc<Account>> {
        self.book
            .load()
            .get(number)
            .filter(|found| found.number == number)
            .cloned()
    }

    /// The account of that email address, in any case.
    pub fn by_email(&self, email: &str) -> Option<Arc<Account>> {
        let email = email.to_lowercase();
        let same = |found: &&Arc<Account>| {
            found
                .email
                .as_ref()
                .is_some_and(|own| own.to_lowercase() == email)
        };
        self.book.load().get(&email).filter(same).cloned()
    }

    /// All accounts by name.
    pub fn list(&self) -> Vec<Arc<Account>> {
        let book = self.book.load();
        let by_id = book.iter().filter(|(word, account)| **word == account.id);
        let mut accounts: Vec<_> = by_id.map(|(_, account)| Arc::clone(account)).collect();
        accounts.sort_by(|a, b| a.name.cmp(&b.name));
        accounts
    }

    /// Makes an account, though its caller may go away meanwhile.
    ///
    /// # Errors
    /// [`AccountError::InvalidAccount`], or [`AccountError::AccountExists`] where one answers to
    /// its name, id or email address.
    pub async fn add(self: &Arc<Self>, new: NewAccount) -> Result<Arc<Account>, AccountError> {
        validate(&new)?;
        let accounts = Arc::clone(self);
        to_its_end(async move { accounts.add_now(new).await }).await
    }

    async fn add_now(&self, new: NewAccount) -> Result<Arc<Account>, AccountError> {
        let _order = self.changing.lock().await;
        let mut account = Account {
            id: new.id.unwrap_or_else(new_id),
            name: new.name,
            email: new.email,
            number: new_number(),
            created: self.clock.now(),
        };
        for _try in 0..TRIES_MAX {
            let given = account
                .words()
                .into_iter()
                .filter(|word| *word != account.number);
            for what in given {
                let at = row(WORD_ROW, &what);
                if self.meta.get(Space::Accounts, &at).await?.is_some() {
                    return Err(AccountError::AccountExists { what });
                }
            }
            let mut batch = Batch::new();
            put(&account, &mut batch)?;
            match self.meta.commit(batch).await {
                Ok(()) => {
                    let account = Arc::new(account);
                    self.book.rcu(|book| {
                        let mut book = HashMap::clone(book);
                        enter(&mut book, &account);
                        book
                    });
                    return Ok(account);
                }
                // The number was drawn before, or somebody was faster: the words tell.
                Err(MetaError::Conflict) => account.number = new_number(),
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }
}

fn enter(book: &mut Book, account: &Arc<Account>) {
    let words = account.words().into_iter();
    book.extend(words.map(|word| (word, Arc::clone(account))));
}

fn put(account: &Account, batch: &mut Batch) -> Result<(), StoreError> {
    for word in account.words() {
        let at = Bytes::from(row(WORD_ROW, &word));
        batch.assert_absent(Space::Accounts, at.clone());
        batch.put(Space::Accounts, at, account.id.clone().into_bytes());
    }
    let at = row(ACCOUNT_ROW, &account.id);
    batch.put(Space::Accounts, at, encode(account)?);
    Ok(())
}

/// The server's own account, made up at the first start and the same ever after.
async fn root(meta: &dyn MetaEngine, clock: &dyn Clock) -> Result<Account, StoreError> {
    for _try in 0..TRIES_MAX {
        let known = meta.get(Space::System, OWNER).await?;
        let id = known
            .as_ref()
            .map(|raw| decode::<String>(raw, "the owner's id"));
        let id = id.transpose()?.unwrap_or_else(new_id);
        let stored = meta.get(Space::Accounts, &row(ACCOUNT_ROW, &id)).await?;
        if let Some(raw) = stored {
            return decode(&raw, "an account");
        }
        let account = Account {
            name: ROOT_NAME.to_owned(),
            email: None,
            number: new_number(),
            created: clock.now(),
            id,
        };
        let mut batch = Batch::new();
        batch.assert_unchanged(Space::System, OWNER, known);
        batch.put(Space::System, OWNER, encode(&account.id)?);
        put(&account, &mut batch)?;
        match meta.commit(batch).await {
            Ok(()) => return Ok(account),
            Err(MetaError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict)
}
