//! A case's bytes, signed as it says. Like all of these tests it shares no code with the server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::case::{Case, Chunks, Form, Values};
use crate::raw::wire::{Signer, UNSIGNED, sha256};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const BOUNDARY: &str = "hostile-boundary";

/// A request that is being put together. Lines are without their ends.
struct Making {
    values: Values,
    signer: Signer,
    /// What stands behind the credential's key.
    scope: String,
    method: String,
    target: String,
    headers: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// The bytes of `case`, as `signer` signs it.
pub(super) fn bytes_of(case: &Case, values: &Values, signer: Signer) -> Vec<u8> {
    let mut values = values.clone();
    values.set("date", &signer.date);
    values.set("day", &signer.date[..8]);
    values.set("access-key", &signer.access_key);
    let scope = match &case.scope {
        Some(scope) => values.text(scope),
        None => signer.scope(),
    };
    values.set("scope", &scope);
    if let Some(raw) = &case.raw {
        return values.fill(raw);
    }
    let (method, target) = case.ask.split_once(' ').expect("a method and a target");
    let body = values.fill(&case.body);
    values.set("sha256", STANDARD.encode(Sha256::digest(&body)));
    let mut making = Making {
        signer,
        scope,
        method: method.to_owned(),
        target: values.text(target),
        headers: Vec::new(),
        body,
        values,
    };
    making.add_headers(case);
    making.sign(case);
    making.finish(case)
}

impl Making {
    fn add_headers(&mut self, case: &Case) {
        let host = case.host.as_deref().unwrap_or("{{host}}");
        if !host.is_empty() {
            self.header(&[b"host: ".as_slice(), &self.values.fill(host)].concat());
        }
        for line in &case.headers {
            let line = self.values.fill(line);
            self.header(&line);
        }
        if let Some(form) = &case.form {
            self.body = self.form(form);
            let kind = format!("content-type: multipart/form-data; boundary={BOUNDARY}");
            if !self.has("content-type") {
                self.header(kind.as_bytes());
            }
        }
        if let Some(chunks) = &case.chunks {
            let parts = chunks.parts.iter().map(|part| self.values.fill(part).len());
            let truth = parts.sum::<usize>().to_string();
            let decoded = chunks.decoded.as_deref().unwrap_or(&truth);
            if !decoded.is_empty() {
                self.header(format!("x-amz-decoded-content-length: {decoded}").as_bytes());
            }
        }
    }

    fn header(&mut self, line: &[u8]) {
        self.headers.push(line.to_vec());
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|line| name_of(line) == name)
    }

    fn sign(&mut self, case: &Case) {
        let (way, payload) = case.sign.split_once(' ').unwrap_or((&case.sign, ""));
        let kind = case
            .chunks
            .as_ref()
            .map(|chunks| match chunks.kind.as_str() {
                "signed" => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                "signed-trailer" => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                "unsigned-trailer" => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                other => panic!("no chunks are {other}"),
            });
        let payload = match (payload, kind) {
            ("", Some(kind)) => kind.to_owned(),
            ("", None) => sha256(&self.body),
            (said, _) => self.values.text(said),
        };
        match way {
            "" => {}
            "header" => self.sign_header(&payload),
            "query" => self.sign_query(case),
            "both" => {
                self.sign_query(case);
                self.sign_header(&payload);
            }
            "v2" => self.sign_v2(),
            other => panic!("nothing is signed by {other}"),
        }
        if let Some(chunks) = &case.chunks {
            self.body = self.chunked(chunks);
        }
    }

    fn sign_header(&mut self, payload: &str) {
        if !self.has("x-amz-content-sha256") {
            self.header(format!("x-amz-content-sha256: {payload}").as_bytes());
        }
        if !self.has("x-amz-date") {
            self.header(format!("x-amz-date: {}", self.signer.date).as_bytes());
        }
        let (names, signature) = self.signature(payload);
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={names},Signature={signature}",
            self.signer.access_key, self.scope
        );
        self.header(format!("authorization: {value}").as_bytes());
        self.values.set("authorization", value);
        self.note(&signature);
    }

    fn sign_query(&mut self, case: &Case) {
        let expires = case.expires.as_deref().unwrap_or("600");
        let names = self.names();
        let credential = format!("{}/{}", self.signer.access_key, self.scope);
        let auth = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={}\
             &X-Amz-Expires={}&X-Amz-SignedHeaders={}",
            encode(credential.as_bytes(), false),
            self.signer.date,
            encode(expires.as_bytes(), false),
            encode(names.as_bytes(), false)
        );
        let mark = if self.target.contains('?') { '&' } else { '?' };
        self.target.push_str(&format!("{mark}{auth}"));
        let payload = self.value_of("x-amz-content-sha256");
        let (_, signature) = self.signature(payload.as_deref().unwrap_or(UNSIGNED));
        self.target
            .push_str(&format!("&X-Amz-Signature={signature}"));
        self.values
            .set("query", format!("{auth}&X-Amz-Signature={signature}"));
        self.note(&signature);
    }

    /// What a replacement may want of a signature.
    fn note(&mut self, signature: &str) {
        self.values.set("signature", signature);
        self.values.set("SIGNATURE", signature.to_uppercase());
        self.values.set("half-signature", &signature[..32]);
        let flipped = if signature.starts_with('0') { "1" } else { "0" };
        self.values
            .set("other-signature", format!("{flipped}{}", &signature[1..]));
    }

    fn names(&self) -> String {
        let mut names: Vec<_> = self.headers.iter().map(|line| name_of(line)).collect();
        names.sort();
        names.dedup();
        names.join(";")
    }

    fn value_of(&self, name: &str) -> Option<String> {
        let mut values = self.headers.iter().filter(|line| name_of(line) == name);
        let first = values.next().map(|line| value_of(line))?;
        Some(values.fold(first, |all, line| format!("{all},{}", value_of(line))))
    }

    fn signature(&self, payload: &str) -> (String, String) {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let mut query: Vec<_> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(canonical_pair)
            .collect();
        query.sort();
        let names = self.names();
        let headers: String = names
            .split(';')
            .map(|name| format!("{name}:{}\n", self.value_of(name).unwrap_or_default()))
            .collect();
        let canonical = format!(
            "{}\n{}\n{}\n{headers}\n{names}\n{payload}",
            self.method,
            encode(&decode(path, false), true),
            query.join("&")
        );
        let hash = hex::encode(Sha256::digest(canonical));
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{hash}",
            self.signer.date, self.scope
        );
        (names, self.signed(&text))
    }

    /// The signature of a text under the scope that the case may have changed.
    fn signed(&self, text: &str) -> String {
        let start = format!("AWS4{}", self.signer.secret).into_bytes();
        let key = self
            .scope
            .split('/')
            .fold(start, |key, step| mac(&key, step));
        hex::encode(mac(&key, text))
    }

    fn sign_v2(&mut self) {
        let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000");
        let date = date.to_string();
        let path = self.target.split('?').next().unwrap_or_default().to_owned();
        let text = format!("{}\n\n\n{date}\n{path}", self.method);
        let mut mac = Hmac::<Sha1>::new_from_slice(self.signer.secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let key = self.signer.access_key.clone();
        self.header(format!("date: {date}").as_bytes());
        self.header(format!("authorization: AWS {key}:{signature}").as_bytes());
    }

    fn chunked(&self, chunks: &Chunks) -> Vec<u8> {
        let mut before = self.values.text("{{signature}}");
        let signed = chunks.kind != "unsigned-trailer";
        let trailer = chunks.kind != "signed";
        let (date, scope) = (&self.signer.date, &self.scope);
        let parts = chunks.parts.iter().map(|part| self.values.fill(part));
        let mut framed: Vec<Vec<u8>> = Vec::new();
        for part in parts.chain([Vec::new()]) {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{before}\n{EMPTY}\n{}",
                sha256(&part)
            );
            let mark = if signed {
                before = self.signed(&text);
                format!(";chunk-signature={before}")
            } else {
                String::new()
            };
            let end = if part.is_empty() && trailer {
                ""
            } else {
                "\r\n"
            };
            let head = format!("{:x}{mark}\r\n", part.len());
            framed.push([head.as_bytes(), &part, end.as_bytes()].concat());
        }
        let all = (0..framed.len()).collect();
        let order = chunks.order.clone().unwrap_or(all);
        let mut body: Vec<u8> = order.iter().flat_map(|at| framed[*at].clone()).collect();
        if trailer {
            let line = self.values.text(&chunks.trailer);
            let digest = sha256(format!("{line}\n").as_bytes());
            let text = format!("AWS4-HMAC-SHA256-TRAILER\n{date}\n{scope}\n{before}\n{digest}");
            body.extend_from_slice(format!("{line}\r\n").as_bytes());
            if signed {
                let line = format!("x-amz-trailer-signature:{}\r\n", self.signed(&text));
                body.extend_from_slice(line.as_bytes());
            }
            body.extend_from_slice(b"\r\n");
        }
        body
    }

    fn form(&self, form: &Form) -> Vec<u8> {
        let mut body = Vec::new();
        let fields = form.fields.iter().map(|line| self.field(line));
        let added = form.added.iter().map(|line| self.field(line));
        for (name, value) in fields.chain(self.proof(form)).chain(added) {
            body.extend_from_slice(&part(&name, &value));
        }
        if !form.no_file {
            let file = form.file.as_deref().unwrap_or("meow");
            let head = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; \
                 filename=\"cat.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(&self.values.fill(file));
            body.extend_from_slice(b"\r\n");
        }
        for line in &form.after {
            let (name, value) = self.field(line);
            body.extend_from_slice(&part(&name, &value));
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        body
    }

    fn field(&self, line: &str) -> (String, Vec<u8>) {
        let (name, value) = line.split_once(": ").expect("name: value");
        (self.values.text(name), self.values.fill(value))
    }

    /// The fields that prove a form.
    fn proof(&self, form: &Form) -> Vec<(String, Vec<u8>)> {
        let signer = &self.signer;
        let expires_in = jiff::SignedDuration::from_secs(form.expires_in.unwrap_or(600));
        let at = jiff::Timestamp::now() + expires_in;
        let credential = format!("{}/{}", signer.access_key, self.scope);
        let own = [
            ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("x-amz-credential", credential),
            ("x-amz-date", signer.date.clone()),
        ];
        let mut conditions = vec![json!({"bucket": "raw"})];
        conditions.extend(own.iter().map(|(name, value)| json!({*name: value})));
        let more = form.policy.iter().map(|text| self.values.text(text));
        conditions.extend(more.map(|text| serde_json::from_str(&text).expect(&text)));
        let expiration = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let policy = json!({"expiration": expiration, "conditions": conditions}).to_string();
        let mut values = self.values.clone();
        values.set("expiration", &expiration);
        let policy = form
            .policy_text
            .as_ref()
            .map_or(policy, |text| values.text(text));
        let policy = STANDARD.encode(policy);
        let signature = self.signed(&policy);
        let all = own
            .into_iter()
            .chain([("policy", policy), ("x-amz-signature", signature)])
            .filter(|(name, _)| !form.without.iter().any(|without| without == name));
        let said = all.map(|(name, value)| match form.instead.get(name) {
            Some(other) => (name.to_owned(), values.fill(other)),
            None => (name.to_owned(), value.into_bytes()),
        });
        said.collect()
    }

    fn finish(mut self, case: &Case) -> Vec<u8> {
        for line in &case.added {
            let line = self.values.fill(line);
            self.header(&line);
        }
        if !case.added_query.is_empty() {
            let mark = if self.target.contains('?') { '&' } else { '?' };
            let added = self.values.text(&case.added_query);
            self.target.push_str(&format!("{mark}{added}"));
        }
        let later = self.replace_in_body(case);
        if !self.has("content-length") && !self.has("transfer-encoding") {
            self.header(format!("content-length: {}", self.body.len()).as_bytes());
        }
        if !self.has("connection") {
            self.header(b"connection: close");
        }
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for line in &self.headers {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        let head = bytes.len() - self.body.len();
        for (old, new) in later {
            let mut places = bytes[..head].windows(old.len());
            let at = places.position(|window| window == old);
            let at = at.unwrap_or_else(|| panic!("{}: nothing to replace", case.name));
            bytes.splice(at..at + old.len(), new);
        }
        bytes
    }

    /// Replaces what stands in the body, before its length is told; the rest stands in the head.
    fn replace_in_body(&mut self, case: &Case) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut later = Vec::new();
        for (old, new) in &case.replace {
            let (old, new) = (self.values.fill(old), self.values.fill(new));
            let place = self
                .body
                .windows(old.len())
                .position(|window| window == old);
            match place {
                Some(at) => drop(self.body.splice(at..at + old.len(), new)),
                None => later.push((old, new)),
            }
        }
        later
    }
}

fn part(name: &str, value: &[u8]) -> Vec<u8> {
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
    [head.as_bytes(), value, b"\r\n"].concat()
}

fn name_of(line: &[u8]) -> String {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

/// The value as it is signed: runs of spaces folded.
fn value_of(line: &[u8]) -> String {
    let at = line.iter().position(|byte| *byte == b':');
    let value = at.and_then(|at| line.get(at + 1..)).unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn canonical_pair(pair: &str) -> String {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = encode(&decode(name, true), false);
    format!("{name}={}", encode(&decode(value, true), false))
}

fn decode(text: &str, plus_is_space: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = escape.and_then(|digits| hex::decode(digits).ok()) {
            out.extend_from_slice(&byte);
            at += 3;
            continue;
        }
        let space = plus_is_space && bytes[at] == b'+';
        out.push(if space { b' ' } else { bytes[at] });
        at += 1;
    }
    out
}

fn encode(bytes: &[u8], keep_slash: bool) -> String {
    let one = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(*byte).to_string()
        }
        b'/' if keep_slash => "/".to_owned(),
        other => format!("%{other:02X}"),
    };
    bytes.iter().map(one).collect()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
