//! What is kept, in `SQLite`: uploads that were allowed, and callbacks that came. ../schema.sql says what it means.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};
use serde_json::{Value, json};

use crate::refusal::Refusal;

#[derive(Clone)]
pub struct Database(Arc<Mutex<Connection>>);

/// An upload that somebody was allowed.
pub struct Upload {
    pub id: String,
    pub user: String,
    pub way: String,
    pub name: String,
    pub mime: String,
    pub size: i64,
    pub state: String,
    pub upload_id: Option<String>,
}

impl Upload {
    pub fn key(&self) -> String {
        format!("user/{}/uploads/{}", self.user, self.id)
    }
}

/// Something that Consign told.
pub struct Event {
    pub name: String,
    pub at: String,
    pub key: String,
    pub size: Option<i64>,
    pub etag: Option<String>,
    pub sequencer: Option<String>,
}

impl Database {
    pub fn open(path: &str) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.execute_batch(include_str!("../../schema.sql"))?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs `work`, which is committed as a whole or not at all, where it keeps no other request waiting.
    pub async fn transaction<T, W>(&self, work: W) -> Result<T, Refusal>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        let connection = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            // A panic rolled its transaction back: the connection is as good as before.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let outcome = work(&transaction)?;
            transaction.commit()?;
            Ok(outcome)
        });
        done.await
            .unwrap_or_else(|_| Err(Refusal::new(500, "failed", "Something went wrong.")))
    }
}

/// Bytes that count as used: what is stored, and what may still arrive.
pub fn used(db: &Transaction<'_>, user: &str, except_id: &str) -> rusqlite::Result<i64> {
    db.query_row(
        "SELECT COALESCE(SUM(size), 0) FROM uploads
         WHERE user = ? AND id <> ? AND (state = 'stored' OR state = 'pending' AND expires > ?)",
        params![user, except_id, now()],
        |row| row.get(0),
    )
}

pub fn insert(db: &Transaction<'_>, upload: &Upload, seconds: u32) -> rusqlite::Result<()> {
    let Upload {
        id,
        user,
        way,
        name,
        mime,
        size,
        ..
    } = upload;
    let (now, expires) = (now(), now() + i64::from(seconds));
    db.execute(
        "INSERT INTO uploads (id, user, way, name, type, size, state, created, expires)
         VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?)",
        params![id, user, way, name, mime, size, now, expires],
    )?;
    Ok(())
}

pub fn find(db: &Transaction<'_>, user: &str, id: &str) -> rusqlite::Result<Option<Upload>> {
    db.query_row(
        "SELECT id, user, way, name, type, size, state, upload_id FROM uploads WHERE id = ? AND user = ?",
        [id, user],
        |row| {
            Ok(Upload {
                id: row.get(0)?,
                user: row.get(1)?,
                way: row.get(2)?,
                name: row.get(3)?,
                mime: row.get(4)?,
                size: row.get(5)?,
                state: row.get(6)?,
                upload_id: row.get(7)?,
            })
        },
    )
    .optional()
}

pub fn list(db: &Transaction<'_>, user: &str) -> rusqlite::Result<Vec<Value>> {
    let names = [
        "id",
        "way",
        "name",
        "type",
        "size",
        "state",
        "created",
        "stored_at",
    ];
    let query = format!(
        "SELECT {} FROM uploads WHERE user = ? AND (state = 'stored' OR state = 'pending' AND expires > ?)
         ORDER BY rowid DESC LIMIT 1000",
        names.join(", ")
    );
    let mut statement = db.prepare(&query)?;
    let rows = statement.query_map(params![user, now()], |row| {
        let cells = names
            .iter()
            .map(|name| Ok(((*name).to_owned(), cell(row, name)?)));
        cells
            .collect::<rusqlite::Result<serde_json::Map<_, _>>>()
            .map(Value::from)
    })?;
    rows.collect()
}

fn cell(row: &Row<'_>, name: &str) -> rusqlite::Result<Value> {
    Ok(match row.get(name)? {
        Cell::Integer(number) => json!(number),
        Cell::Text(text) => json!(text),
        _ => Value::Null,
    })
}

/// Keeps the space of an upload for longer; the browser may have begun a multipart upload meanwhile.
pub fn prolong(
    db: &Transaction<'_>,
    id: &str,
    seconds: u32,
    upload_id: Option<&str>,
) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE uploads SET expires = ?, upload_id = COALESCE(upload_id, ?) WHERE id = ?",
        params![now() + i64::from(seconds), upload_id, id],
    )?;
    Ok(())
}

pub fn set_upload_id(db: &Transaction<'_>, id: &str, upload_id: &str) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE uploads SET upload_id = ? WHERE id = ?",
        [upload_id, id],
    )?;
    Ok(())
}

pub fn forget(db: &Transaction<'_>, id: &str) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE uploads SET state = 'aborted' WHERE id = ? AND state = 'pending'",
        [id],
    )?;
    Ok(())
}

/// At least once means: sometimes twice. The record and its effect are one transaction, keyed by webhook-id.
pub fn record(
    db: &Transaction<'_>,
    webhook_id: &str,
    events: &[Event],
    body: &str,
) -> rusqlite::Result<()> {
    let first = events.first();
    let name = first.map_or("TestEvent", |event| &event.name);
    let key = first.map_or("", |event| &event.key);
    let inserted = db.execute(
        "INSERT OR IGNORE INTO audit (webhook_id, received, event, key, body) VALUES (?, ?, ?, ?, ?)",
        params![webhook_id, now(), name, key, body],
    )?;
    if inserted == 0 {
        return Ok(());
    }
    for event in events
        .iter()
        .filter(|event| event.name.starts_with("ObjectCreated:"))
    {
        let Some((user, id)) = place_of(&event.key) else {
            continue;
        };
        let Event {
            at,
            size,
            etag,
            sequencer,
            ..
        } = event;
        db.execute(
            "UPDATE uploads SET state = 'stored', size = ?1, etag = ?2, sequencer = ?3, stored_at = ?4
             WHERE id = ?5 AND user = ?6 AND (sequencer IS NULL OR sequencer < ?3)",
            params![size, etag, sequencer, at, id, user],
        )?;
    }
    Ok(())
}

/// The user and the upload of `user/USER/uploads/ID`.
fn place_of(key: &str) -> Option<(&str, &str)> {
    let (user, id) = key.strip_prefix("user/")?.split_once("/uploads/")?;
    (!user.contains('/') && !id.contains('/')).then_some((user, id))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
