//! Sessions, in headers, queries and forms.

use super::*;

/// A ring with one lasting key, and a session of it that is good for 15 minutes.
struct WithSession(SessionKey);

impl KeyRing for WithSession {
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        Ring.find(access_key)
    }

    fn session_key(&self) -> Option<&SessionKey> {
        Some(&self.0)
    }
}

impl WithSession {
    fn new() -> (Self, Credentials) {
        let key = SessionKey::from_bytes([1; 32]);
        let parent = Ring.find(AK).unwrap();
        let new = NewSession {
            parent: &parent,
            role: None,
            policy: None,
            issued: t0(),
            expires: t0().plus(Duration::from_secs(900)),
        };
        let draw = Draw {
            access_key: [1; 16],
            secret: [2; 30],
            nonce: [3; 12],
        };
        let made = key.issue(&new, draw).unwrap();
        (Self(key), made)
    }

    fn code(&self, sent: &Sent, seconds: u64) -> String {
        let head = SignedHead {
            method: &sent.method,
            raw_path: &sent.path,
            raw_query: &sent.query,
            headers: &sent.headers,
            authority: &sent.authority,
            elsewhere: None,
            bucket: sent.bucket,
            path: &sent.path,
            payload: None,
            peer: None,
            heeds: &[],
        };
        let now = t0().plus(Duration::from_secs(seconds));
        let grant = authenticate(&head, self, &settings(), now);
        grant.map_or_else(|e| e.code().to_owned(), |g| g.who().owner().to_owned())
    }
}

/// Requests by header and by query that `made` signs with this token.
fn by_session(made: &Credentials, token: Option<&str>) -> [Sent; 2] {
    let signer = Signer {
        access_key: &made.access_key,
        secret: &made.secret,
        region: "us-east-1",
    };
    let mut headers = HeaderMap::new();
    let query: Vec<_> = token
        .map(|t| ("X-Amz-Security-Token", t))
        .into_iter()
        .collect();
    let target = |query| Target {
        method: "GET",
        endpoint: "http://h",
        path: "/b/k",
        query,
    };
    if let Some(token) = token {
        headers.insert("x-amz-security-token", token.parse().unwrap());
    }
    sign_header(
        &signer,
        &target(&[]),
        &mut headers,
        "UNSIGNED-PAYLOAD",
        t0(),
    );
    let url = presign_url(&signer, &target(&query), &HeaderMap::new(), 3600, t0());
    let sent = |query: &str, headers| Sent {
        method: Method::GET,
        path: "/b/k".into(),
        query: query.into(),
        headers,
        authority: "h".into(),
        bucket: None,
    };
    [
        sent("", headers),
        sent(url.split_once('?').unwrap().1, HeaderMap::new()),
    ]
}

#[test]
fn a_session_signs_with_its_token_until_it_ends() {
    let (ring, made) = WithSession::new();
    let code = |token: Option<&str>, seconds| {
        by_session(&made, token).map(|sent| ring.code(&sent, seconds))
    };
    let token = made.token.as_str();
    assert_eq!(code(Some(token), 899), ["owner", "owner"]);
    assert_eq!(code(Some(token), 900), ["ExpiredToken", "ExpiredToken"]);
    assert_eq!(code(None, 0), ["InvalidAccessKeyId", "InvalidAccessKeyId"]);
    assert_eq!(code(Some("x"), 0), ["InvalidToken", "InvalidToken"]);
    let forged = Credentials {
        secret: Secret::new("guess"),
        ..made.clone()
    };
    let codes = by_session(&forged, Some(token)).map(|sent| ring.code(&sent, 0));
    assert_eq!(codes, ["SignatureDoesNotMatch", "SignatureDoesNotMatch"]);
    let lasting = Credentials {
        access_key: AK.into(),
        secret: Secret::new(SK),
        ..made.clone()
    };
    let codes = by_session(&lasting, Some(token)).map(|sent| ring.code(&sent, 0));
    assert_eq!(codes, ["InvalidToken", "InvalidToken"]);
    // A token that is not signed, or there twice.
    let [mut by_header, mut by_query] = by_session(&made, Some(token));
    by_header.edit(";x-amz-security-token", "");
    assert_eq!(ring.code(&by_header, 0), "AccessDenied");
    by_query.set("x-amz-security-token", token);
    assert_eq!(ring.code(&by_query, 0), "InvalidToken");
}

#[test]
fn a_form_of_a_session_has_its_token() {
    let (ring, made) = WithSession::new();
    let signer = Signer {
        access_key: &made.access_key,
        secret: &made.secret,
        region: "us-east-1",
    };
    let judge = |token: Option<&str>, spoken: &str, seconds| {
        let policy = format!(
            r#"{{"expiration":"2013-05-25T00:00:00Z","conditions":[{{"bucket":"photos"}},
                ["starts-with","$x-amz-algorithm",""],["starts-with","$x-amz-credential",""],
                ["starts-with","$x-amz-date",""]{spoken}]}}"#
        );
        let mut fields = sign_post(&signer, &policy, t0());
        fields.extend(token.map(|t| ("x-amz-security-token".to_owned(), t.to_owned())));
        let now = t0().plus(Duration::from_secs(seconds));
        authenticate_form(&form::signed(&fields), &ring, &settings(), now)
            .map_or_else(|e| e.code(), |_| "ok")
    };
    let spoken = r#",["starts-with","$x-amz-security-token",""]"#;
    let token = made.token.as_str();
    assert_eq!(judge(Some(token), spoken, 899), "ok");
    assert_eq!(judge(Some(token), spoken, 900), "ExpiredToken");
    assert_eq!(judge(Some(token), "", 0), "AccessDenied");
    assert_eq!(judge(Some("x"), spoken, 0), "InvalidToken");
    assert_eq!(judge(None, spoken, 0), "InvalidAccessKeyId");
    let alone = [("x-amz-security-token".to_owned(), token.to_owned())];
    let refused = authenticate_form(&form::signed(&alone), &ring, &settings(), t0());
    assert_eq!(refused.unwrap_err().code(), "InvalidArgument");
}
