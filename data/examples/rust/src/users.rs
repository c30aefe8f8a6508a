//! Who may upload what, and how much.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use rusqlite::Transaction;

use crate::database::{self, Upload};
use crate::refusal::Refusal;
use crate::session;

const MIB: i64 = 1024 * 1024;
pub const FILE_BYTES_MAX: i64 = 5 * 1024 * MIB;
pub const TYPES: [&str; 6] = [
    "image/*",
    "video/*",
    "audio/*",
    "text/plain",
    "application/pdf",
    "application/zip",
];

/// Stands for your table of users: name, whether they may upload, and how many bytes.
const USERS: [(&str, bool, i64); 3] = [
    ("ann", true, 1024 * MIB),
    ("bob", true, 10 * MIB),
    ("guest", false, 0),
];

/// Who is signed in.
pub struct User {
    pub name: &'static str,
    pub may_upload: bool,
    pub quota: i64,
}

impl User {
    pub fn named(name: &str) -> Option<Self> {
        let found = USERS.iter().find(|(known, ..)| *known == name);
        found.map(|&(name, may_upload, quota)| Self {
            name,
            may_upload,
            quota,
        })
    }
}

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let name = session::user_of(&parts.headers);
        name.and_then(|name| Self::named(&name))
            .ok_or_else(|| Refusal::new(401, "not_signed_in", "Please sign in."))
    }
}

fn is_allowed_type(mime: &str) -> bool {
    let well_formed = |part: &str| {
        let one =
            |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || b".+-".contains(&one);
        !part.is_empty() && part.bytes().all(one)
    };
    let parts = mime.split_once('/');
    parts.is_some_and(|(main, sub)| well_formed(main) && well_formed(sub))
        && TYPES.iter().any(|one| match one.strip_suffix('*') {
            Some(start) => mime.starts_with(start),
            None => mime == *one,
        })
}

/// May they upload this? The space that is looked for here is taken in the same transaction.
pub fn check_may_upload(db: &Transaction<'_>, user: &User, upload: &Upload) -> Result<(), Refusal> {
    let Upload {
        name, mime, size, ..
    } = upload;
    if !user.may_upload {
        let message = format!("{} may look, but not upload.", user.name);
        return Err(Refusal::new(403, "may_not_upload", &message));
    }
    if !(1..=255).contains(&name.chars().count()) {
        return Err(Refusal::new(
            400,
            "bad_name",
            "A file's name has 1 to 255 characters.",
        ));
    }
    if !is_allowed_type(mime) {
        let mime = if mime.is_empty() { "unknown" } else { mime };
        let message = format!("Files of the type {mime} are not taken.");
        return Err(Refusal::new(415, "type_not_allowed", &message).with("types", TYPES.to_vec()));
    }
    if *size < 1 {
        return Err(Refusal::new(
            400,
            "bad_size",
            "An empty file can't be uploaded.",
        ));
    }
    if *size > FILE_BYTES_MAX {
        let refusal = Refusal::new(413, "file_too_large", "The file is too large.");
        return Err(refusal.with("max", FILE_BYTES_MAX));
    }
    let left = user.quota - database::used(db, user.name, &upload.id)?;
    if *size > left {
        let refusal = Refusal::new(413, "quota_exceeded", "There is not enough space left.");
        return Err(refusal.with("left", left.max(0)));
    }
    Ok(())
}
