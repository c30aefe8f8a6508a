//! An app server beside Consign: who may upload, where to, how much; and the record of what arrived.
//! The bytes never pass through here. The README two folders up tells how to run it.

mod database;
mod hooks;
mod refusal;
mod session;
mod sign;
mod store;
mod users;

use std::collections::HashMap;
use std::env::var;
use std::error::Error;
use std::path::Path as FilePath;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use rusqlite::Transaction;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use standardwebhooks::Webhook;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;
use uuid::Uuid;

use crate::database::{Database, Upload};
use crate::refusal::Refusal;
use crate::sign::Signer;
use crate::store::{Part, Store};
use crate::users::{FILE_BYTES_MAX, TYPES, User, check_may_upload};

/// Of each part but the last; S3 wants 5 MiB at least.
const PART_BYTES: i64 = 8 * 1024 * 1024;
/// How long an unfinished upload may be resumed, and holds its space.
const MULTIPART_SECONDS: u32 = 24 * 3600;
const WAYS: [&str; 4] = ["post", "put", "multipart", "presigned-multipart"];

pub struct App {
    db: Database,
    store: Store,
    webhooks: Vec<Webhook>,
    url_seconds: u32,
}

type Shared = State<Arc<App>>;
type Answer = Result<Json<Value>, Refusal>;

fn upload_of(db: &Transaction<'_>, user: &User, id: &str, state: &str) -> Result<Upload, Refusal> {
    // Whether somebody else's upload exists is nobody's business.
    let upload = database::find(db, user.name, id)?
        .ok_or_else(|| Refusal::new(404, "no_such_upload", "You have no such upload."))?;
    if upload.state != state {
        let message = format!("This upload is {}.", upload.state);
        return Err(Refusal::new(409, &format!("not_{state}"), &message));
    }
    Ok(upload)
}

impl App {
    async fn upload_of(
        &self,
        user: User,
        id: String,
        state: &'static str,
    ) -> Result<Upload, Refusal> {
        self.db
            .transaction(move |db| upload_of(db, &user, &id, state))
            .await
    }

    fn seconds_of(&self, way: &str) -> u32 {
        if matches!(way, "post" | "put") {
            self.url_seconds
        } else {
            MULTIPART_SECONDS
        }
    }

    /// What the browser needs in order to send the bytes; sizes and types are part of what is signed.
    fn signed(&self, upload: &Upload) -> Value {
        let Upload {
            id,
            way,
            mime,
            size,
            ..
        } = upload;
        let (key, seconds) = (upload.key(), self.url_seconds);
        let mut answer = match way.as_str() {
            "post" => self.store.post_policy(&key, mime, *size, seconds),
            "put" => self.store.put_url(&key, mime, *size, seconds),
            "multipart" => json!({}),
            _ => self.store.create_url(&key, mime, seconds),
        };
        if way.ends_with("multipart") {
            answer["part_bytes"] = json!(self.store.part_bytes(*size));
        }
        let about = json!({"id": id, "key": key, "way": way, "expires_in": seconds});
        if let (Value::Object(answer), Value::Object(about)) = (&mut answer, about) {
            answer.extend(about);
        }
        answer
    }

    async fn parts_of(&self, upload: &Upload) -> Result<Vec<Part>, Refusal> {
        let Some(upload_id) = &upload.upload_id else {
            return Err(Refusal::new(
                400,
                "bad_operation",
                "This upload has no parts.",
            ));
        };
        self.store.list_parts(&upload.key(), upload_id).await
    }
}

// ---- the API ----

/// A stub: whoever says that it is ann is ann. Yours asks for a proof.
async fn login(Json(body): Json<HashMap<String, String>>) -> Result<impl IntoResponse, Refusal> {
    let user = body.get("user").and_then(|name| User::named(name));
    let user = user.ok_or_else(|| Refusal::new(401, "no_such_user", "There is no such user."))?;
    let cookie = session::cookie_for(user.name);
    Ok((
        StatusCode::NO_CONTENT,
        AppendHeaders([(header::SET_COOKIE, cookie)]),
    ))
}

async fn logout() -> impl IntoResponse {
    let cookie = session::no_cookie();
    (
        StatusCode::NO_CONTENT,
        AppendHeaders([(header::SET_COOKIE, cookie)]),
    )
}

async fn me(State(app): Shared, user: User) -> Answer {
    let used = app
        .db
        .transaction(move |db| Ok(database::used(db, user.name, "")?))
        .await?;
    Ok(Json(json!({
        "user": user.name, "may_upload": user.may_upload, "quota": user.quota, "used": used,
        "types": TYPES, "file_bytes_max": FILE_BYTES_MAX,
        "part_bytes": app.store.part_bytes(FILE_BYTES_MAX),
    })))
}

async fn uploads(State(app): Shared, user: User) -> Answer {
    let list = app
        .db
        .transaction(move |db| Ok(database::list(db, user.name)?))
        .await?;
    Ok(Json(json!({"uploads": list})))
}

/// May I upload? The space is taken in the same transaction in which it is looked for.
async fn begin(
    State(app): Shared,
    user: User,
    Json(body): Json<Map<String, Value>>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let text = |name: &str| {
        body.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let way = text("way");
    if !WAYS.contains(&way.as_str()) {
        let message = format!("A way to upload is one of {}.", WAYS.join(", "));
        return Err(Refusal::new(400, "bad_way", &message));
    }
    let mut upload = Upload {
        id: Uuid::new_v4().to_string(),
        user: user.name.to_owned(),
        way,
        name: text("name"),
        mime: text("type"),
        size: body.get("size").and_then(Value::as_i64).unwrap_or_default(),
        state: "pending".to_owned(),
        upload_id: None,
    };
    let seconds = app.seconds_of(&upload.way);
    upload = app
        .db
        .transaction(move |db| {
            check_may_upload(db, &user, &upload)?;
            database::insert(db, &upload, seconds)?;
            Ok(upload)
        })
        .await?;
    if upload.way == "multipart" {
        let upload_id = app
            .store
            .create_multipart(&upload.key(), &upload.mime)
            .await?;
        let id = upload.id.clone();
        app.db
            .transaction(move |db| Ok(database::set_upload_id(db, &id, &upload_id)?))
            .await?;
    }
    Ok((StatusCode::CREATED, Json(app.signed(&upload))))
}

#[derive(Deserialize)]
struct ToSign {
    operation: String,
    part: Option<i64>,
    upload_id: Option<String>,
}

/// A fresh URL: for the next part, or because the first one expired.
async fn sign(
    State(app): Shared,
    user: User,
    Path(id): Path<String>,
    Json(ask): Json<ToSign>,
) -> Answer {
    let shared = Arc::clone(&app);
    let operation = ask.operation.clone();
    let (upload, upload_id) = app
        .db
        .transaction(move |db| {
            let upload = upload_of(db, &user, &id, "pending")?;
            check_may_upload(db, &user, &upload)?;
            let named = ask.upload_id.or_else(|| upload.upload_id.clone());
            let upload_id = named.filter(|_| upload.way.ends_with("multipart"));
            let seconds = shared.seconds_of(&upload.way);
            database::prolong(db, &id, seconds, upload_id.as_deref())?;
            if operation == "abort" && upload_id.is_some() {
                database::forget(db, &id)?;
            }
            Ok((upload, upload_id))
        })
        .await?;
    if ask.operation == "upload" {
        return Ok(Json(app.signed(&upload)));
    }
    let bad = |code: &str, message: &str| Refusal::new(400, code, message);
    let upload_id = upload_id.ok_or_else(|| bad("bad_operation", "This upload has no parts."))?;
    let (key, seconds) = (upload.key(), app.url_seconds);
    let method = match ask.operation.as_str() {
        "part" => {
            let part = ask.part.unwrap_or_default();
            let bytes = app.store.bytes_of_part(upload.size, part);
            let bytes = bytes.ok_or_else(|| bad("bad_part", "The upload has no such part."))?;
            return Ok(Json(app.store.part_url(
                (&key, &upload_id),
                part,
                bytes,
                seconds,
            )));
        }
        "list" => "GET",
        "complete" => "POST",
        "abort" => "DELETE",
        _ => {
            let message = "An operation is one of upload, part, list, complete, abort.";
            return Err(bad("bad_operation", message));
        }
    };
    Ok(Json(
        json!({"url": app.store.upload_url(method, &key, &upload_id, seconds)}),
    ))
}

async fn parts(State(app): Shared, user: User, Path(id): Path<String>) -> Answer {
    let upload = app.upload_of(user, id, "pending").await?;
    let there = app.parts_of(&upload).await?;
    let there: Vec<_> = there
        .iter()
        .map(|part| json!({"number": part.number, "size": part.size}))
        .collect();
    Ok(Json(
        json!({"part_bytes": app.store.part_bytes(upload.size), "parts": there}),
    ))
}

/// The parts are listed here rather than told by the browser: what is completed is what is there.
async fn complete(State(app): Shared, user: User, Path(id): Path<String>) -> Answer {
    let sought = id.clone();
    let upload = app
        .db
        .transaction(move |db| match upload_of(db, &user, &sought, "pending") {
            // The answer to the first try was lost.
            Err(_) if upload_of(db, &user, &sought, "stored").is_ok() => Ok(None),
            found => found.map(Some),
        })
        .await?;
    if let Some(upload) = upload {
        let there = app.parts_of(&upload).await?;
        let total: i64 = there.iter().map(|part| part.size).sum();
        if total != upload.size {
            let message = format!("{total} of {} bytes are there.", upload.size);
            return Err(Refusal::new(409, "incomplete", &message));
        }
        let upload_id = upload.upload_id.as_deref().unwrap_or_default();
        app.store.complete(&upload.key(), upload_id, &there).await?;
    }
    Ok(Json(json!({"id": id})))
}

async fn abort(
    State(app): Shared,
    user: User,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let upload = app.upload_of(user, id, "pending").await?;
    if let Some(upload_id) = &upload.upload_id {
        app.store.abort(&upload.key(), upload_id).await?;
    }
    app.db
        .transaction(move |db| Ok(database::forget(db, &upload.id)?))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Private download: the bucket is closed, and this URL opens one object for a minute.
async fn download(
    State(app): Shared,
    user: User,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Refusal> {
    let upload = app.upload_of(user, id, "stored").await?;
    let url = app.store.download_url(&upload.key(), &upload.name, 60);
    let headers = [
        (header::LOCATION, url),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((StatusCode::FOUND, headers))
}

// ---- the start ----

fn app() -> Result<App, Box<dyn Error>> {
    let secrets = var("CALLBACK_SECRETS").unwrap_or_default();
    let webhooks: Vec<_> = secrets
        .split_whitespace()
        .map(Webhook::new)
        .collect::<Result<_, _>>()?;
    if webhooks.is_empty() {
        return Err("CALLBACK_SECRETS is not set: no callback could be verified".into());
    }
    let needed = |name: &str| var(name).map_err(|_| format!("{name} is not set"));
    Ok(App {
        db: Database::open(&var("DATABASE").unwrap_or_else(|_| "uploads.sqlite".into()))?,
        store: Store {
            signer: Signer {
                endpoint: needed("AWS_ENDPOINT_URL")?.trim_end_matches('/').to_owned(),
                region: var("AWS_REGION").unwrap_or_else(|_| "us-east-1".into()),
                bucket: var("BUCKET").unwrap_or_else(|_| "uploads".into()),
                access_key: needed("AWS_ACCESS_KEY_ID")?,
                secret_key: needed("AWS_SECRET_ACCESS_KEY")?,
            },
            http: reqwest::Client::new(),
            part_bytes: var("PART_BYTES").map_or(Ok(PART_BYTES), |bytes| bytes.parse())?,
        },
        webhooks,
        url_seconds: var("URL_SECONDS").map_or(Ok(900), |seconds| seconds.parse())?,
    })
}

fn router(app: App, web: &FilePath) -> Router {
    let no_sniffing = SetResponseHeaderLayer::overriding(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Router::new()
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/api/me", get(me))
        .route("/api/uploads", get(uploads).post(begin))
        .route("/api/uploads/{id}", delete(abort))
        .route("/api/uploads/{id}/sign", post(sign))
        .route("/api/uploads/{id}/parts", get(parts))
        .route("/api/uploads/{id}/complete", post(complete))
        .route("/api/uploads/{id}/file", get(download))
        .route("/hooks/consign", post(hooks::take))
        .fallback_service(ServeDir::new(web))
        .layer(no_sniffing)
        .with_state(Arc::new(app))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = var("PORT").map_or(Ok(8080), |port| port.parse())?;
    let web = var("WEB").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../web").into());
    let router = router(app()?, FilePath::new(&web));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async {
        // Without a handler the signal ends the process by itself, which is as good.
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await?;
    Ok(())
}
