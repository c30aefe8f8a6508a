//! What is stored of an account, and what a new one may be.

use super::AccountError;
use crate::clock::Timestamp;
use crate::id::random;

/// Leads the rows that hold an account, by its canonical id.
pub(super) const ACCOUNT_ROW: u8 = b'a';
/// Leads the rows that hold a canonical id, by a word that names the account.
pub(super) const WORD_ROW: u8 = b'w';

const NAME_BYTES: std::ops::RangeInclusive<usize> = 1..=128;
const EMAIL_BYTES_MAX: usize = 254;
const ID_DIGITS: usize = 64;
const NUMBER_DIGITS: u32 = 12;

/// What a new account is given.
#[derive(Debug, Clone, Default)]
pub struct NewAccount {
    /// Its display name.
    pub name: String,
    /// Its canonical id; made up where there is none.
    pub id: Option<String>,
    /// Its email address.
    pub email: Option<String>,
}

/// Who owns buckets and objects; its keys act for it.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Account {
    /// Its canonical id: 64 hexadecimal digits.
    #[n(0)]
    pub id: String,
    /// Its display name.
    #[n(1)]
    pub name: String,
    /// Its email address.
    #[n(2)]
    pub email: Option<String>,
    /// Its 12 digits, which ARNs and expected owners name.
    #[n(3)]
    pub number: String,
    /// When it was made.
    #[n(4)]
    pub created: Timestamp,
}

impl Account {
    /// What policies call the account as a whole.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:root", self.number)
    }

    /// What policies call its user of that name.
    pub fn user_arn(&self, user: &str) -> String {
        format!("arn:aws:iam::{}:user/{user}", self.number)
    }

    /// Every word that means this account; none means another one too.
    pub(super) fn words(&self) -> Vec<String> {
        let email = self.email.as_deref().map(str::to_lowercase);
        let mut words = vec![self.id.clone(), self.number.clone()];
        for word in std::iter::once(self.name.clone()).chain(email) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }
}

pub(super) fn row(kind: u8, what: &str) -> Vec<u8> {
    [&[kind], what.as_bytes()].concat()
}

pub(super) fn validate(new: &NewAccount) -> Result<(), AccountError> {
    let refuse = |reason| Err(AccountError::InvalidAccount { reason });
    if !NAME_BYTES.contains(&new.name.len()) || new.name.contains(char::is_control) {
        return refuse("an account's name has 1 to 128 bytes and no control characters");
    }
    let hexadecimal = |id: &String| {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        id.len() == ID_DIGITS && id.bytes().all(digit)
    };
    if !new.id.as_ref().is_none_or(hexadecimal) {
        return refuse("a canonical id has 64 digits out of 0-9 and a-f");
    }
    let address = |email: &String| {
        let plain = !email.contains(|c: char| c.is_control() || c.is_whitespace());
        let halves = email.split_once('@');
        let whole = halves.is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains('@'));
        plain && whole && email.len() <= EMAIL_BYTES_MAX
    };
    if !new.email.as_ref().is_none_or(address) {
        return refuse("an email address looks like name@example.com");
    }
    Ok(())
}

pub(super) fn new_id() -> String {
    hex::encode(random::<32>())
}

/// Twelve digits, of which the first is no zero: some tools take them for a number.
pub(super) fn new_number() -> String {
    let least = 10_u64.pow(NUMBER_DIGITS - 1);
    let span = least.saturating_mul(9);
    let drawn = u64::from_ne_bytes(random()) % span;
    least.saturating_add(drawn).to_string()
}
