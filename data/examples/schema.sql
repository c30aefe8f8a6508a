-- What every app server here keeps. One row of `uploads` for each upload that was allowed, one of `audit` for each
-- callback that was taken: a callback that comes twice has the same webhook-id, so that its second row is refused.
CREATE TABLE IF NOT EXISTS uploads (
    id        TEXT PRIMARY KEY,           -- a UUID, the last part of the object's key
    user      TEXT NOT NULL,
    way       TEXT NOT NULL CHECK (way IN ('post', 'put', 'multipart', 'presigned-multipart')),
    name      TEXT NOT NULL,              -- what the user calls the file
    type      TEXT NOT NULL,
    size      INTEGER NOT NULL,           -- bytes: as announced; once stored, as the callback says
    state     TEXT NOT NULL CHECK (state IN ('pending', 'stored', 'aborted')),
    upload_id TEXT,                       -- S3's, of a multipart upload that the app server began
    created   INTEGER NOT NULL,           -- Unix seconds, as is `expires`
    expires   INTEGER NOT NULL,           -- until then a pending upload counts as used space
    etag      TEXT,
    sequencer TEXT,                       -- of the newest event: an older one that comes late changes nothing
    stored_at TEXT
);

CREATE INDEX IF NOT EXISTS uploads_of_user ON uploads (user, state);

CREATE TABLE IF NOT EXISTS audit (
    webhook_id TEXT PRIMARY KEY,
    received   INTEGER NOT NULL,
    event      TEXT NOT NULL,             -- such as ObjectCreated:Put
    key        TEXT NOT NULL,
    body       TEXT NOT NULL
);
