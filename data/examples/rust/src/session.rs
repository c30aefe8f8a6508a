//! Who is asking: a user's name in a cookie, signed, so that nobody writes another name into it.

use std::sync::OnceLock;

use axum::http::HeaderMap;
use subtle::ConstantTimeEq as _;

use crate::sign::hmac;

const SETTINGS: &str = "Path=/; HttpOnly; SameSite=Lax";

/// Without a secret of yours everybody signs in again after a restart.
fn secret() -> &'static [u8] {
    static SECRET: OnceLock<Vec<u8>> = OnceLock::new();
    SECRET.get_or_init(|| match std::env::var("SESSION_SECRET") {
        Ok(secret) if !secret.is_empty() => secret.into_bytes(),
        _ => {
            let mut secret = vec![0; 32];
            getrandom::fill(&mut secret).expect("the system has randomness");
            secret
        }
    })
}

fn sign(user: &str) -> String {
    hex::encode(hmac(secret(), user.as_bytes()))
}

pub fn cookie_for(user: &str) -> String {
    format!("session={user}.{}; {SETTINGS}; Max-Age=86400", sign(user))
}

pub fn no_cookie() -> String {
    format!("session=; {SETTINGS}; Max-Age=0")
}

pub fn user_of(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get("cookie")?.to_str().ok()?;
    let session = cookies
        .split("; ")
        .find_map(|one| one.strip_prefix("session="))?;
    let (user, signature) = session.rsplit_once('.')?;
    let is_ours: bool = signature.as_bytes().ct_eq(sign(user).as_bytes()).into();
    is_ours.then(|| user.to_owned())
}
