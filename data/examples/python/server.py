"""An app server beside Consign: who may upload, where to, how much; and the record of what arrived.

The bytes never pass through here. The README beside this folder tells how to run it.
"""

import logging
import os
import re
import sqlite3
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote_plus

import uvicorn
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import Body, Cookie, Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from standardwebhooks import Webhook, WebhookVerificationError

import session
import store

HERE = Path(__file__).parent
DATABASE = os.environ.get("DATABASE", "uploads.sqlite")
PORT = int(os.environ.get("PORT", "8080"))
URL_SECONDS = int(os.environ.get("URL_SECONDS", "900"))

MIB = 1024 * 1024
FILE_BYTES_MAX = 5 * 1024 * MIB
MULTIPART_SECONDS = 24 * 3600  # how long an unfinished upload may be resumed, and holds its space
TYPES = ["image/*", "video/*", "audio/*", "text/plain", "application/pdf", "application/zip"]
LIMITS = {"file_bytes_max": FILE_BYTES_MAX, "part_bytes": store.part_bytes(FILE_BYTES_MAX)}
WAYS = ["post", "put", "multipart", "presigned-multipart"]

# Stands for your table of users.
USERS = {
    "ann": {"may_upload": True, "quota": 1024 * MIB},
    "bob": {"may_upload": True, "quota": 10 * MIB},
    "guest": {"may_upload": False, "quota": 0},
}

WEBHOOKS = [Webhook(secret) for secret in os.environ.get("CALLBACK_SECRETS", "").split()]
if not WEBHOOKS:
    raise SystemExit("CALLBACK_SECRETS is not set: no callback could be verified")

log = logging.getLogger("uvicorn.error")


class Refusal(Exception):
    """An answer that is not what was asked for."""

    def __init__(self, status, code, message, **detail):
        super().__init__(message)
        self.status = status
        self.error = {"code": code, "message": message, **detail}


@contextmanager
def transaction():
    """A connection whose work is committed as a whole, or not at all; writers take turns."""
    db = sqlite3.connect(DATABASE, isolation_level=None, timeout=10)
    db.row_factory = sqlite3.Row
    try:
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.execute("COMMIT")
    finally:
        db.close()  # which takes back what was not committed


def execute(statement, *values):
    with transaction() as db:
        return [dict(row) for row in db.execute(statement, values)]


def prepare_database():
    db = sqlite3.connect(DATABASE)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript((HERE / "../schema.sql").read_text())
    db.close()


def now():
    return int(time.time())


def key_of(upload):
    return f"user/{upload['user']}/uploads/{upload['id']}"


# ---- who may, and how much ----


def used(db, user, except_id=""):
    """Bytes that count as used: what is stored, and what may still arrive."""
    row = db.execute(
        """SELECT COALESCE(SUM(size), 0) FROM uploads
           WHERE user = ? AND id <> ? AND (state = 'stored' OR state = 'pending' AND expires > ?)""",
        (user, except_id, now()),
    )
    return row.fetchone()[0]


def is_allowed_type(type):
    return any(type.startswith(one[:-1]) if one.endswith("/*") else type == one for one in TYPES)


def check_may_upload(db, user, file, except_id=""):
    name, type, size = file.get("name"), file.get("type"), file.get("size")
    if not USERS[user]["may_upload"]:
        raise Refusal(403, "may_not_upload", f"{user} may look, but not upload.")
    if not isinstance(name, str) or not 1 <= len(name) <= 255:
        raise Refusal(400, "bad_name", "A file's name has 1 to 255 characters.")
    if not isinstance(type, str) or not re.fullmatch(r"[a-z0-9.+-]+/[a-z0-9.+-]+", type) or not is_allowed_type(type):
        raise Refusal(415, "type_not_allowed", f"Files of the type {type or 'unknown'} are not taken.", types=TYPES)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise Refusal(400, "bad_size", "An empty file can't be uploaded.")
    if size > FILE_BYTES_MAX:
        raise Refusal(413, "file_too_large", "The file is too large.", max=FILE_BYTES_MAX)
    left = USERS[user]["quota"] - used(db, user, except_id)
    if size > left:
        raise Refusal(413, "quota_exceeded", "There is not enough space left.", left=max(left, 0))


def upload_of(user, id, state):
    # Whether somebody else's upload exists is nobody's business.
    found = execute("SELECT * FROM uploads WHERE id = ? AND user = ?", id, user)
    if not found:
        raise Refusal(404, "no_such_upload", "You have no such upload.")
    if found[0]["state"] != state:
        raise Refusal(409, f"not_{state}", f"This upload is {found[0]['state']}.")
    return found[0]


# ---- the API ----

app = FastAPI(openapi_url=None)


@app.exception_handler(Refusal)
def refuse(_request, refusal):
    return JSONResponse({"error": refusal.error}, refusal.status)


@app.exception_handler(RequestValidationError)
def refuse_input(_request, _error):
    return JSONResponse({"error": {"code": "bad_request", "message": "That is not JSON as it is expected here."}}, 400)


@app.exception_handler(ClientError)
def store_refused(_request, error):
    log.error("%s", error)
    code, request_id = error.response["Error"]["Code"], error.response["ResponseMetadata"].get("RequestId")
    message = f"The store refused: {error.response['Error'].get('Message')}"
    return refuse(_request, Refusal(502, "store_failed", message, s3Code=code, requestId=request_id))


@app.exception_handler(BotoCoreError)
def store_unreachable(_request, error):
    log.error("%s", error)
    return refuse(_request, Refusal(502, "store_failed", "The store can't be reached."))


def signed_in(session_cookie: Annotated[str | None, Cookie(alias="session")] = None):
    user = session.user_of(session_cookie)
    if user not in USERS:
        raise Refusal(401, "not_signed_in", "Please sign in.")
    return user


User = Annotated[str, Depends(signed_in)]
Json = Annotated[dict[str, Any], Body()]


@app.post("/login", status_code=204)
def login(body: Json):
    """A stub: whoever says that it is ann is ann. Yours asks for a proof."""
    user = body.get("user")
    if not isinstance(user, str) or user not in USERS:
        raise Refusal(401, "no_such_user", "There is no such user.")
    answer = Response(status_code=204)
    answer.set_cookie("session", session.cookie_for(user), max_age=86400, httponly=True, samesite="lax")
    return answer


@app.post("/logout", status_code=204)
def logout():
    answer = Response(status_code=204)
    answer.delete_cookie("session", httponly=True, samesite="lax")
    return answer


@app.get("/api/me")
def me(user: User):
    with transaction() as db:
        return {"user": user, **USERS[user], "used": used(db, user), "types": TYPES, **LIMITS}


@app.get("/api/uploads")
def uploads(user: User):
    return {
        "uploads": execute(
            """SELECT id, way, name, type, size, state, created, stored_at FROM uploads
               WHERE user = ? AND (state = 'stored' OR state = 'pending' AND expires > ?)
               ORDER BY rowid DESC LIMIT 1000""",
            user,
            now(),
        )
    }


def signed(upload):
    """What the browser needs in order to send the bytes; sizes and types are part of what is signed."""
    key, type, size = key_of(upload), upload["type"], upload["size"]
    about = {"id": upload["id"], "key": key, "way": upload["way"], "expires_in": URL_SECONDS}
    match upload["way"]:
        case "post":
            return about | store.post_policy(key, type, size, URL_SECONDS)
        case "put":
            return about | store.put_url(key, type, size, URL_SECONDS)
        case "multipart":
            return about | {"part_bytes": store.part_bytes(size)}
        case _:
            return about | store.create_url(key, type, URL_SECONDS) | {"part_bytes": store.part_bytes(size)}


def seconds_of(way):
    return URL_SECONDS if way in ("post", "put") else MULTIPART_SECONDS


@app.post("/api/uploads", status_code=201)
def begin(user: User, body: Json):
    """May I upload? The space is taken in the same transaction in which it is looked for."""
    way = body.get("way")
    if way not in WAYS:
        raise Refusal(400, "bad_way", f"A way to upload is one of {', '.join(WAYS)}.")
    with transaction() as db:
        check_may_upload(db, user, body)
        upload = {"id": str(uuid.uuid4()), "user": user, "now": now(), "expires": now() + seconds_of(way)}
        upload |= {name: body[name] for name in ("way", "name", "type", "size")}
        db.execute(
            """INSERT INTO uploads (id, user, way, name, type, size, state, created, expires)
               VALUES (:id, :user, :way, :name, :type, :size, 'pending', :now, :expires)""",
            upload,
        )
    if way == "multipart":
        upload_id = store.create_multipart(key_of(upload), upload["type"])
        execute("UPDATE uploads SET upload_id = ? WHERE id = ?", upload_id, upload["id"])
    return signed(upload)


OPERATIONS = {
    "list": "list_parts",
    "complete": "complete_multipart_upload",
    "abort": "abort_multipart_upload",
}


@app.post("/api/uploads/{id}/sign")
def sign(id: str, user: User, body: Json):
    """A fresh URL: for the next part, or because the first one expired."""
    upload = upload_of(user, id, "pending")
    operation, part = body.get("operation"), body.get("part")
    upload_id = body.get("upload_id", upload["upload_id"])
    has_parts = isinstance(upload_id, str) and upload["way"].endswith("multipart")
    with transaction() as db:
        check_may_upload(db, user, upload, except_id=id)
        db.execute(
            "UPDATE uploads SET expires = ?, upload_id = COALESCE(upload_id, ?) WHERE id = ?",
            (now() + seconds_of(upload["way"]), upload_id if has_parts else None, id),
        )
    if operation == "upload":
        return signed(upload)
    if not has_parts:
        raise Refusal(400, "bad_operation", "This upload has no parts.")
    if operation == "part":
        length = store.bytes_of_part(upload["size"], part)
        if length is None:
            raise Refusal(400, "bad_part", "The upload has no such part.")
        return store.part_url(key_of(upload), upload_id, part, length, URL_SECONDS)
    if operation not in OPERATIONS:
        raise Refusal(400, "bad_operation", "An operation is one of upload, part, list, complete, abort.")
    if operation == "abort":
        forget(id)
    return store.upload_url(OPERATIONS[operation], key_of(upload), upload_id, URL_SECONDS)


def forget(id):
    execute("UPDATE uploads SET state = 'aborted' WHERE id = ? AND state = 'pending'", id)


def parts_of(upload):
    if upload["upload_id"] is None:
        raise Refusal(400, "bad_operation", "This upload has no parts.")
    return store.list_parts(key_of(upload), upload["upload_id"])


@app.get("/api/uploads/{id}/parts")
def parts(id: str, user: User):
    upload = upload_of(user, id, "pending")
    there = [{"number": part["number"], "size": part["size"]} for part in parts_of(upload)]
    return {"part_bytes": store.part_bytes(upload["size"]), "parts": there}


@app.post("/api/uploads/{id}/complete")
def complete(id: str, user: User):
    """The parts are listed here rather than told by the browser: what is completed is what is there."""
    if execute("SELECT 1 FROM uploads WHERE id = ? AND user = ? AND state = 'stored'", id, user):
        return {"id": id}  # the answer to the first try was lost
    upload = upload_of(user, id, "pending")
    there = parts_of(upload)
    total = sum(part["size"] for part in there)
    if total != upload["size"]:
        raise Refusal(409, "incomplete", f"{total} of {upload['size']} bytes are there.")
    store.complete_multipart(key_of(upload), upload["upload_id"], there)
    return {"id": id}


@app.delete("/api/uploads/{id}", status_code=204)
def abort(id: str, user: User):
    upload = upload_of(user, id, "pending")
    if upload["upload_id"]:
        store.abort_multipart(key_of(upload), upload["upload_id"])
    forget(id)


@app.get("/api/uploads/{id}/file")
def download(id: str, user: User):
    """Private download: the bucket is closed, and this URL opens one object for a minute."""
    upload = upload_of(user, id, "stored")
    url = store.download_url(key_of(upload), upload["name"], 60)
    return RedirectResponse(url, 302, {"cache-control": "no-store"})


# ---- the callback ----

BODY_BYTES_MAX = MIB


def verified(body, headers):
    """The body, if one of the secrets signed it within the last five minutes."""
    for webhook in WEBHOOKS:
        try:
            return webhook.verify(body, headers)
        except WebhookVerificationError as error:
            log.debug("%s", error)
    raise Refusal(401, "not_verified", "The signature does not verify.")


def record(webhook_id, records, body):
    """At least once means: sometimes twice. The record and its effect are one transaction, keyed by webhook-id."""
    names = [one["eventName"] for one in records] or ["TestEvent"]
    keys = [unquote_plus(one["s3"]["object"]["key"]) for one in records] or [""]
    with transaction() as db:
        inserted = db.execute(
            "INSERT OR IGNORE INTO audit (webhook_id, received, event, key, body) VALUES (?, ?, ?, ?, ?)",
            (webhook_id, now(), names[0], keys[0], body),
        )
        if inserted.rowcount == 0:
            return
        for one, name, key in zip(records, names, keys):
            place = re.fullmatch(r"user/([^/]+)/uploads/([0-9a-f-]{36})", key)
            if not place or not name.startswith("ObjectCreated:"):
                continue
            happened = one["s3"]["object"] | {"at": one["eventTime"], "user": place[1], "id": place[2]}
            db.execute(
                """UPDATE uploads SET state = 'stored', size = :size, etag = :eTag,
                       sequencer = :sequencer, stored_at = :at
                   WHERE id = :id AND user = :user AND (sequencer IS NULL OR sequencer < :sequencer)""",
                happened,
            )


@app.post("/hooks/consign", status_code=204)
async def callback(request: Request):
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise Refusal(413, "body_too_large", "No callback is that large.")
    # The signature is over the bytes as they came.
    message = verified(body, dict(request.headers))
    records = message.get("Records", [])
    await run_in_threadpool(record, request.headers["webhook-id"], records, body.decode())


# ---- the pages ----


@app.middleware("http")
async def no_sniffing(request, call_next):
    answer = await call_next(request)
    answer.headers["x-content-type-options"] = "nosniff"
    return answer


app.mount("/", StaticFiles(directory=HERE / "../web", html=True, follow_symlink=True))

if __name__ == "__main__":
    prepare_database()
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
