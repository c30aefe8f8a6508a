//! Temporary credentials: a key that is good for some hours, and the token that proves it.
//!
//! Nothing is stored of a session. Its token holds all that is to be known of it, sealed by the
//! server's own key: an app server may make one for each upload, and none has to be swept away.
//! What a session stands on is looked up each time: with its parent key it ends.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp.html>

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::clock::Timestamp;

use super::policy::OwnPolicy;
use super::{AccessKey, AuthError, KeyRing, Secret, sigv4};

/// Leads the public halves of temporary keys.
pub const PREFIX: &str = "ASIA";
/// Bytes of a token in base64: a policy of 2,048 characters, names, and room.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Leads every token: another form of it would have another byte.
const FORM: u8 = 1;
const MARK_BYTES: usize = 16;

/// The server's key, which seals tokens.
#[derive(Clone)]
pub struct SessionKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey")
    }
}

/// What a new session is to be.
#[derive(Debug, Clone, Copy)]
pub struct NewSession<'a> {
    /// The key that asks for it.
    pub parent: &'a AccessKey,
    /// The key that is assumed, and the name of the session.
    pub role: Option<(&'a AccessKey, &'a str)>,
    /// What narrows its rights: an identity's policy, read and found valid.
    pub policy: Option<&'a OwnPolicy>,
    /// From when
    pub issued: Timestamp,
    /// to when it is good.
    pub expires: Timestamp,
}

/// Random bytes, which this layer cannot draw.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// For the public half.
    pub access_key: [u8; 16],
    /// For the secret.
    pub secret: [u8; 30],
    /// For the seal.
    pub nonce: [u8; NONCE_LEN],
}

/// Temporary credentials, which are shown this once.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret: Secret,
    /// What must come with every signature.
    pub token: String,
}

/// What makes a key temporary.
#[derive(Debug, Clone)]
pub struct Temporary {
    /// The public half of the lasting key whose rights it has.
    pub base: String,
    /// The name of the session, where the key was assumed.
    pub name: Option<String>,
    /// When it was made.
    pub issued: Timestamp,
    /// What narrows its rights.
    pub policy: Option<OwnPolicy>,
}

/// What a token holds.
#[derive(minicbor::Encode, minicbor::Decode)]
struct Sealed {
    #[n(0)]
    secret: String,
    #[n(1)]
    issued: Timestamp,
    #[n(2)]
    expires: Timestamp,
    /// The public half of the key that asked for the session.
    #[n(3)]
    parent: String,
    /// Tells the parent's secret from a later one: who changes it ends what it signed.
    #[cbor(n(4), with = "minicbor::bytes")]
    mark: [u8; MARK_BYTES],
    /// The public half of the key that was assumed.
    #[n(5)]
    role: Option<String>,
    #[n(6)]
    name: Option<String>,
    #[n(7)]
    policy: Option<String>,
}

impl SessionKey {
    /// The key that these bytes are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Whether it is those bytes.
    #[cfg(test)]
    pub(crate) fn is(&self, bytes: &[u8; 32]) -> bool {
        *self.0 == *bytes
    }

    /// Makes temporary credentials; none only where the policy has more bytes than a cipher takes.
    pub fn issue(&self, new: &NewSession<'_>, draw: Draw) -> Option<Credentials> {
        let access_key = format!("{PREFIX}{}", letters(draw.access_key));
        let secret = URL_SAFE_NO_PAD.encode(draw.secret);
        let sealed = Sealed {
            secret: secret.clone(),
            issued: new.issued,
            expires: new.expires,
            parent: new.parent.access_key.clone(),
            mark: self.mark(&new.parent.secret),
            role: new.role.map(|(key, _name)| key.access_key.clone()),
            name: new.role.map(|(_key, name)| name.to_owned()),
            policy: new.policy.map(|policy| policy.text().to_owned()),
        };
        let mut bytes = minicbor::to_vec(&sealed).ok()?;
        let nonce = Nonce::assume_unique_for_key(draw.nonce);
        self.cipher(&access_key)?
            .seal_in_place_append_tag(nonce, Aad::from([FORM]), &mut bytes)
            .ok()?;
        let token = URL_SAFE_NO_PAD.encode([&[FORM], &draw.nonce[..], &bytes].concat());
        Some(Credentials {
            access_key,
            secret: Secret::new(secret),
            token,
        })
    }

    /// What the token of that temporary key holds; none where it was not sealed here, for it.
    fn open(&self, access_key: &str, token: &str) -> Option<Sealed> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (&form, rest) = bytes.split_first()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .cipher(access_key)?
            .open_in_place(nonce, Aad::from([form]), &mut sealed)
            .ok()?;
        minicbor::decode(opened)
            .ok()
            .filter(|_sealed: &Sealed| form == FORM)
    }

    /// Each temporary key has a cipher of its own: a token is good for no other, and no number of
    /// sessions wears the server's key out.
    fn cipher(&self, access_key: &str) -> Option<LessSafeKey> {
        let derived = Zeroizing::new(self.derive("token", access_key));
        let key = UnboundKey::new(&AES_256_GCM, derived.as_slice()).ok()?;
        Some(LessSafeKey::new(key))
    }

    fn mark(&self, secret: &Secret) -> [u8; MARK_BYTES] {
        let whole = self.derive("secret", secret.expose());
        let mut mark = [0; MARK_BYTES];
        for (to, from) in mark.iter_mut().zip(whole) {
            *to = from;
        }
        mark
    }

    fn derive(&self, what: &str, of: &str) -> [u8; 32] {
        sigv4::hmac(
            self.0.as_slice(),
            format!("session {what}\0{of}").as_bytes(),
        )
    }
}

/// The key of that public half, which is there and not switched off; a temporary one by its token.
///
/// # Errors
/// [`AuthError::InvalidToken`], [`AuthError::ExpiredToken`].
pub(super) fn find(
    keys: &dyn KeyRing,
    access_key: &str,
    token: Option<&str>,
    now: Timestamp,
) -> Result<Option<Arc<AccessKey>>, AuthError> {
    let lasting = keys.find(access_key);
    let Some(token) = token else {
        return Ok(lasting.filter(|key| !key.disabled));
    };
    let opened = match (lasting, keys.session_key()) {
        (None, Some(key)) => key.open(access_key, token).map(|sealed| (key, sealed)),
        // A lasting key has no token.
        _ => None,
    };
    let (key, sealed) = opened.ok_or(AuthError::InvalidToken)?;
    if now >= sealed.expires {
        return Err(AuthError::ExpiredToken);
    }
    Ok(sealed.into_key(access_key, key, keys).map(Arc::new))
}

impl Sealed {
    /// The key that the token stands for, as long as what it stands on is there.
    fn into_key(self, access_key: &str, key: &SessionKey, keys: &dyn KeyRing) -> Option<AccessKey> {
        let alive = |access_key: &str| keys.find(access_key).filter(|key| !key.disabled);
        let parent = alive(&self.parent)
            .filter(|one| bool::from(key.mark(&one.secret).ct_eq(&self.mark)))?;
        let base = match &self.role {
            None => Arc::clone(&parent),
            Some(role) => alive(role).filter(|role| role.owner == parent.owner)?,
        };
        // One that can't be read must not become none, which would narrow nothing.
        let policy = self.policy.as_deref().map(OwnPolicy::parse);
        let policy = policy.transpose().ok()?;
        Some(AccessKey {
            access_key: access_key.to_owned(),
            name: base.name.clone(),
            secret: Secret::new(self.secret),
            disabled: false,
            // What limits the parent limits all that comes of it.
            scope: base.scope.meet(&parent.scope),
            // A session never administers the server.
            root: false,
            owner: base.owner.clone(),
            policy: base.policy.clone(),
            temporary: Some(Box::new(Temporary {
                base: base.access_key.clone(),
                name: self.name,
                issued: self.issued,
                policy,
            })),
        })
    }
}

/// 80 of the bits, in Base32.
fn letters(bytes: [u8; 16]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letter = |byte: u8| LETTERS.get(usize::from(byte % 32)).copied();
    bytes
        .into_iter()
        .map(|byte| char::from(letter(byte).unwrap_or(b'A')))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;
    use crate::auth::Scope;

    struct Ring {
        keys: HashMap<String, Arc<AccessKey>>,
        session: SessionKey,
    }

    impl KeyRing for Ring {
        fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
            self.keys.get(access_key).cloned()
        }

        fn session_key(&self) -> Option<&SessionKey> {
            Some(&self.session)
        }
    }

    impl Ring {
        fn change(&mut self, name: &str, change: impl Fn(&mut AccessKey)) {
            let mut key = AccessKey::clone(&self.keys[name]);
            change(&mut key);
            self.keys.insert(name.to_owned(), Arc::new(key));
        }
    }

    fn key(name: &str) -> AccessKey {
        AccessKey {
            access_key: name.into(),
            name: name.to_lowercase(),
            secret: Secret::new(format!("secret of {name}")),
            disabled: false,
            scope: Scope::default(),
            root: name == "ROOT",
            owner: "o".into(),
            policy: None,
            temporary: None,
        }
    }

    fn ring() -> Ring {
        let keys = ["ROOT", "APP", "ROLE"].map(|name| (name.to_owned(), Arc::new(key(name))));
        Ring {
            keys: keys.into(),
            session: SessionKey::from_bytes([7; 32]),
        }
    }

    const T0: Timestamp = Timestamp::from_unix_s(1_000_000);
    const DRAW: Draw = Draw {
        access_key: [1; 16],
        secret: [2; 30],
        nonce: [3; NONCE_LEN],
    };

    fn policy() -> OwnPolicy {
        let text = r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
        OwnPolicy::parse(text).unwrap()
    }

    fn issue(ring: &Ring, parent: &str, role: Option<&str>) -> Credentials {
        let parent = ring.find(parent).unwrap();
        let role = role.map(|role| ring.find(role).unwrap());
        let policy = policy();
        let new = NewSession {
            parent: &parent,
            role: role.as_deref().map(|role| (role, "s1")),
            policy: Some(&policy),
            issued: T0,
            expires: T0.plus(Duration::from_secs(900)),
        };
        ring.session.issue(&new, DRAW).unwrap()
    }

    fn found(
        ring: &Ring,
        made: &Credentials,
        seconds: u64,
    ) -> Result<Option<Arc<AccessKey>>, AuthError> {
        let now = T0.plus(Duration::from_secs(seconds));
        find(ring, &made.access_key, Some(&made.token), now)
    }

    #[test]
    fn a_session_is_its_key_narrowed_until_it_ends() {
        let ring = ring();
        let made = issue(&ring, "ROOT", None);
        assert!(made.access_key.starts_with("ASIA") && made.access_key.len() == 20);
        let key = found(&ring, &made, 899).unwrap().unwrap();
        assert_eq!(key.secret.expose(), made.secret.expose());
        assert_eq!((key.name.as_str(), key.root), ("root", false));
        let temporary = key.temporary.as_ref().unwrap();
        assert_eq!((temporary.base.as_str(), &temporary.name), ("ROOT", &None));
        assert_eq!(temporary.policy.as_ref().unwrap().text(), policy().text());
        assert_eq!(
            found(&ring, &made, 900).unwrap_err(),
            AuthError::ExpiredToken
        );
        assert!(find(&ring, &made.access_key, None, T0).unwrap().is_none());
    }

    #[test]
    fn a_token_is_good_for_its_key_and_server_only() {
        let mut ring = ring();
        let made = issue(&ring, "APP", None);
        let spoiled = |access_key: &str, token: &str| find(&ring, access_key, Some(token), T0);
        for at in 0..made.token.len() {
            let mut token = made.token.clone().into_bytes();
            token[at] = if token[at] == b'A' { b'B' } else { b'A' };
            let token = String::from_utf8(token).unwrap();
            // The last letter's low bits are no part of the bytes: base64 refuses those.
            let refused = spoiled(&made.access_key, &token);
            assert_eq!(refused.unwrap_err(), AuthError::InvalidToken, "{at}");
        }
        for (access_key, token) in [
            ("ASIABBBBBBBBBBBBBBBA", made.token.as_str()),
            ("APP", made.token.as_str()),
            (made.access_key.as_str(), ""),
            (made.access_key.as_str(), "AQ"),
            (made.access_key.as_str(), "é"),
        ] {
            let refused = spoiled(access_key, token);
            assert_eq!(
                refused.unwrap_err(),
                AuthError::InvalidToken,
                "{access_key}"
            );
        }
        ring.session = SessionKey::from_bytes([8; 32]);
        assert_eq!(found(&ring, &made, 0).unwrap_err(), AuthError::InvalidToken);
    }

    #[test]
    fn a_session_ends_with_what_it_stands_on() {
        let alive = |spoil: &dyn Fn(&mut Ring)| {
            let mut ring = ring();
            let made = issue(&ring, "APP", Some("ROLE"));
            spoil(&mut ring);
            found(&ring, &made, 1).unwrap().is_some()
        };
        assert!(alive(&|_ring| {}));
        assert!(alive(
            &|ring| ring.change("ROLE", |key| key.secret = Secret::new("new"))
        ));
        assert!(!alive(
            &|ring| ring.change("APP", |key| key.secret = Secret::new("new"))
        ));
        assert!(!alive(
            &|ring| ring.change("ROLE", |key| key.owner = "p".into())
        ));
        for name in ["APP", "ROLE"] {
            assert!(!alive(&|ring| ring.change(name, |key| key.disabled = true)));
            assert!(!alive(&|ring| drop(ring.keys.remove(name))));
        }
    }

    #[test]
    fn a_session_has_the_rights_of_its_role_within_the_scope_of_its_parent() {
        let mut ring = ring();
        ring.change("APP", |key| key.scope.read_only = true);
        ring.change("ROLE", |key| {
            key.scope.bucket = Some("b".into());
            key.policy = Some(Arc::new(policy()));
        });
        let made = issue(&ring, "APP", Some("ROLE"));
        let key = found(&ring, &made, 1).unwrap().unwrap();
        assert_eq!(
            (key.scope.read_only, key.scope.bucket.as_deref()),
            (true, Some("b"))
        );
        assert!(key.policy.is_some());
        let temporary = key.temporary.as_ref().unwrap();
        assert_eq!(temporary.name.as_deref(), Some("s1"));
    }
}
