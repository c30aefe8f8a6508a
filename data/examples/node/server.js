// An app server beside Consign: who may upload, where to, how much; and the record of what arrived.
// The bytes never pass through here. The README beside this folder tells how to run it.
import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import Fastify from "fastify";
import fastifyStatic from "@fastify/static";
import Database from "libsql";
import { Webhook } from "standardwebhooks";
import * as session from "./session.js";
import * as store from "./store.js";

const { CALLBACK_SECRETS = "", DATABASE = "uploads.sqlite", PORT = "8080", URL_SECONDS = "900" } = process.env;

const MIB = 1024 * 1024;
const FILE_BYTES_MAX = 5 * 1024 * MIB;
const URL_SECONDS_MAX = Number(URL_SECONDS);
const MULTIPART_SECONDS_MAX = 24 * 3600; // how long an unfinished upload may be resumed, and holds its space
const TYPES = ["image/*", "video/*", "audio/*", "text/plain", "application/pdf", "application/zip"];
const LIMITS = { file_bytes_max: FILE_BYTES_MAX, part_bytes: store.partBytes(FILE_BYTES_MAX) };
const WAYS = ["post", "put", "multipart", "presigned-multipart"];

// Stands for your table of users.
const USERS = {
  ann: { mayUpload: true, quota: 1024 * MIB },
  bob: { mayUpload: true, quota: 10 * MIB },
  guest: { mayUpload: false, quota: 0 },
};

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const db = new Database(DATABASE);
db.pragma("journal_mode = WAL");
db.exec(readFileSync(here("../schema.sql"), "utf8"));

const webhooks = CALLBACK_SECRETS.split(" ").filter(Boolean).map((secret) => new Webhook(secret));
if (webhooks.length === 0) throw new Error("CALLBACK_SECRETS is not set: no callback could be verified");

/** An answer that is not what was asked for. */
class Refusal extends Error {
  constructor(status, code, message, detail = {}) {
    super(message);
    Object.assign(this, { statusCode: status, code, detail });
  }
}

const now = () => Math.floor(Date.now() / 1000);
const keyOf = (upload) => `user/${upload.user}/uploads/${upload.id}`;

// ---- who may, and how much ----

/** Bytes that count as used: what is stored, and what may still arrive. */
function used(user, exceptId = "") {
  const row = db
    .prepare(
      `SELECT COALESCE(SUM(size), 0) AS bytes FROM uploads
       WHERE user = ? AND id <> ? AND (state = 'stored' OR state = 'pending' AND expires > ?)`,
    )
    .get(user, exceptId, now());
  return row.bytes;
}

const isAllowedType = (type) =>
  TYPES.some((one) => (one.endsWith("/*") ? type.startsWith(one.slice(0, -1)) : type === one));

function checkMayUpload(user, { name, type, size }, exceptId) {
  const { mayUpload, quota } = USERS[user];
  if (!mayUpload) throw new Refusal(403, "may_not_upload", `${user} may look, but not upload.`);
  if (typeof name !== "string" || name === "" || name.length > 255) {
    throw new Refusal(400, "bad_name", "A file's name has 1 to 255 characters.");
  }
  if (typeof type !== "string" || !/^[a-z0-9.+-]+\/[a-z0-9.+-]+$/.test(type) || !isAllowedType(type)) {
    throw new Refusal(415, "type_not_allowed", `Files of the type ${type || "unknown"} are not taken.`, { types: TYPES });
  }
  if (!Number.isSafeInteger(size) || size < 1) throw new Refusal(400, "bad_size", "An empty file can't be uploaded.");
  if (size > FILE_BYTES_MAX) throw new Refusal(413, "file_too_large", "The file is too large.", { max: FILE_BYTES_MAX });
  const left = quota - used(user, exceptId);
  if (size > left) throw new Refusal(413, "quota_exceeded", "There is not enough space left.", { left: Math.max(left, 0) });
}

function uploadOf(user, id, state) {
  // Whether somebody else's upload exists is nobody's business.
  const upload = db.prepare("SELECT * FROM uploads WHERE id = ? AND user = ?").get(id, user);
  if (!upload) throw new Refusal(404, "no_such_upload", "You have no such upload.");
  if (upload.state !== state) throw new Refusal(409, `not_${state}`, `This upload is ${upload.state}.`);
  return upload;
}

// ---- the API ----

const app = Fastify({ logger: { level: "warn" } });

app.setErrorHandler((error, _request, reply) => {
  if (error.$metadata) {
    app.log.error(error);
    error = new Refusal(502, "store_failed", `The store refused: ${error.message}`, {
      s3Code: error.name,
      requestId: error.$metadata.requestId,
    });
  }
  if (!error.statusCode || error.statusCode >= 500) app.log.error(error);
  const { statusCode = 500, code = "failed", detail = {} } = error;
  const message = error.statusCode ? error.message : "Something went wrong.";
  reply.code(statusCode).send({ error: { code, message, ...detail } });
});

const me = (request) => {
  const user = session.userOf(request.headers.cookie);
  if (!user || !Object.hasOwn(USERS, user)) throw new Refusal(401, "not_signed_in", "Please sign in.");
  return user;
};

// A stub: whoever says that it is ann is ann. Yours asks for a proof.
app.post("/login", (request, reply) => {
  const user = request.body?.user;
  if (typeof user !== "string" || !Object.hasOwn(USERS, user)) throw new Refusal(401, "no_such_user", "There is no such user.");
  reply.header("set-cookie", session.cookieFor(user)).code(204).send();
});

app.post("/logout", (_request, reply) => {
  reply.header("set-cookie", session.noCookie).code(204).send();
});

app.get("/api/me", (request) => {
  const user = me(request);
  const { mayUpload, quota } = USERS[user];
  return { user, may_upload: mayUpload, quota, used: used(user), types: TYPES, ...LIMITS };
});

app.get("/api/uploads", (request) => ({
  uploads: db
    .prepare(
      `SELECT id, way, name, type, size, state, created, stored_at FROM uploads
       WHERE user = ? AND (state = 'stored' OR state = 'pending' AND expires > ?) ORDER BY rowid DESC LIMIT 1000`,
    )
    .all(me(request), now()),
}));

/** What the browser needs in order to send the bytes; sizes and types are part of what is signed. */
async function signed(upload) {
  const about = { id: upload.id, key: keyOf(upload), way: upload.way, expires_in: URL_SECONDS_MAX };
  const { type, size } = upload;
  switch (upload.way) {
    case "post":
      return { ...about, ...(await store.postPolicy(about.key, { type, size }, URL_SECONDS_MAX)) };
    case "put":
      return { ...about, ...(await store.putUrl(about.key, { type, size }, URL_SECONDS_MAX)) };
    case "multipart":
      return { ...about, part_bytes: store.partBytes(size) };
    default:
      return { ...about, ...(await store.createUrl(about.key, type, URL_SECONDS_MAX)), part_bytes: store.partBytes(size) };
  }
}

const secondsOf = (way) => (way === "post" || way === "put" ? URL_SECONDS_MAX : MULTIPART_SECONDS_MAX);

// May I upload? The space is taken in the same transaction in which it is looked for.
const begin = db.transaction((user, { way, name, type, size }) => {
  checkMayUpload(user, { name, type, size });
  const upload = { id: randomUUID(), user, way, name, type, size };
  db.prepare(
    `INSERT INTO uploads (id, user, way, name, type, size, state, created, expires)
     VALUES (@id, @user, @way, @name, @type, @size, 'pending', @now, @expires)`,
  ).run({ ...upload, now: now(), expires: now() + secondsOf(way) });
  return upload;
});

app.post("/api/uploads", async (request, reply) => {
  const user = me(request);
  const { way, name, type, size } = request.body ?? {};
  if (!WAYS.includes(way)) throw new Refusal(400, "bad_way", `A way to upload is one of ${WAYS.join(", ")}.`);
  const upload = begin.immediate(user, { way, name, type, size });
  if (way === "multipart") {
    upload.upload_id = await store.createMultipart(keyOf(upload), type);
    db.prepare("UPDATE uploads SET upload_id = ? WHERE id = ?").run(upload.upload_id, upload.id);
  }
  reply.code(201);
  return signed(upload);
});

// A fresh URL: for the next part, or because the first one expired.
const renew = db.transaction((upload, uploadId) => {
  checkMayUpload(upload.user, upload, upload.id);
  db.prepare("UPDATE uploads SET expires = ?, upload_id = COALESCE(upload_id, ?) WHERE id = ?")
    .run(now() + secondsOf(upload.way), uploadId ?? null, upload.id);
});

app.post("/api/uploads/:id/sign", async (request) => {
  const upload = uploadOf(me(request), request.params.id, "pending");
  const { operation, part, upload_id: uploadId = upload.upload_id } = request.body ?? {};
  const hasParts = typeof uploadId === "string" && upload.way.endsWith("multipart");
  renew.immediate(upload, hasParts ? uploadId : null);
  if (operation === "upload") return signed(upload);
  if (!hasParts) throw new Refusal(400, "bad_operation", "This upload has no parts.");
  const key = keyOf(upload);
  switch (operation) {
    case "part": {
      const bytes = store.bytesOfPart(upload.size, part);
      if (!bytes) throw new Refusal(400, "bad_part", "The upload has no such part.");
      return store.partUrl(key, { uploadId, part, bytes }, URL_SECONDS_MAX);
    }
    case "list":
      return store.listUrl(key, uploadId, URL_SECONDS_MAX);
    case "complete":
      return store.completeUrl(key, uploadId, URL_SECONDS_MAX);
    case "abort":
      db.prepare("UPDATE uploads SET state = 'aborted' WHERE id = ? AND state = 'pending'").run(upload.id);
      return store.abortUrl(key, uploadId, URL_SECONDS_MAX);
    default:
      throw new Refusal(400, "bad_operation", "An operation is one of upload, part, list, complete, abort.");
  }
});

function partsOf(upload) {
  if (!upload.upload_id) throw new Refusal(400, "bad_operation", "This upload has no parts.");
  return store.listParts(keyOf(upload), upload.upload_id);
}

app.get("/api/uploads/:id/parts", async (request) => {
  const upload = uploadOf(me(request), request.params.id, "pending");
  const parts = await partsOf(upload);
  return { part_bytes: store.partBytes(upload.size), parts: parts.map(({ number, size }) => ({ number, size })) };
});

// The parts are listed here rather than told by the browser: what is completed is what is there.
app.post("/api/uploads/:id/complete", async (request) => {
  const user = me(request);
  const { id } = request.params;
  const done = db.prepare("SELECT 1 FROM uploads WHERE id = ? AND user = ? AND state = 'stored'").get(id, user);
  if (done) return { id }; // the answer to the first try was lost
  const upload = uploadOf(user, id, "pending");
  const parts = await partsOf(upload);
  const bytes = parts.reduce((sum, part) => sum + part.size, 0);
  if (bytes !== upload.size) {
    throw new Refusal(409, "incomplete", `${bytes} of ${upload.size} bytes are there.`);
  }
  await store.completeMultipart(keyOf(upload), upload.upload_id, parts);
  return { id };
});

app.delete("/api/uploads/:id", async (request, reply) => {
  const upload = uploadOf(me(request), request.params.id, "pending");
  if (upload.upload_id) await store.abortMultipart(keyOf(upload), upload.upload_id);
  db.prepare("UPDATE uploads SET state = 'aborted' WHERE id = ? AND state = 'pending'").run(upload.id);
  reply.code(204).send();
});

// Private download: the bucket is closed, and this URL opens one object for a minute.
app.get("/api/uploads/:id/file", async (request, reply) => {
  const upload = uploadOf(me(request), request.params.id, "stored");
  reply.header("cache-control", "no-store").redirect(await store.downloadUrl(keyOf(upload), upload.name, 60), 302);
});

// ---- the callback ----

/** The body, if one of the secrets signed it within the last five minutes. */
function verified(body, headers) {
  for (const webhook of webhooks) {
    try {
      return webhook.verify(body, headers);
    } catch (error) {
      app.log.debug(error);
    }
  }
  throw new Refusal(401, "not_verified", "The signature does not verify.");
}

// At least once means: sometimes twice. The record and its effect are one transaction, keyed by webhook-id.
const record = db.transaction((webhookId, events, body) => {
  const first = events[0];
  const { changes } = db
    .prepare("INSERT OR IGNORE INTO audit (webhook_id, received, event, key, body) VALUES (?, ?, ?, ?, ?)")
    .run(webhookId, now(), first?.name ?? "TestEvent", first?.key ?? "", body);
  if (changes === 0) return;
  for (const { name, key, size, etag, sequencer, at } of events) {
    const place = /^user\/([^/]+)\/uploads\/([0-9a-f-]{36})$/.exec(key);
    if (!place || !name.startsWith("ObjectCreated:")) continue;
    db.prepare(
      `UPDATE uploads SET state = 'stored', size = @size, etag = @etag, sequencer = @sequencer, stored_at = @at
       WHERE id = @id AND user = @user AND (sequencer IS NULL OR sequencer < @sequencer)`,
    ).run({ id: place[2], user: place[1], size, etag, sequencer, at });
  }
});

const eventOf = ({ eventName, eventTime, s3: { object } }) => ({
  name: eventName,
  at: eventTime,
  key: decodeURIComponent(object.key.replaceAll("+", " ")),
  size: object.size,
  etag: object.eTag,
  sequencer: object.sequencer,
});

app.register(async (hooks) => {
  // The signature is over the bytes, so that they are needed as they came.
  hooks.removeAllContentTypeParsers();
  hooks.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  hooks.post("/hooks/consign", (request, reply) => {
    const { Records = [] } = verified(request.body, request.headers);
    record.immediate(request.headers["webhook-id"], Records.map(eventOf), request.body.toString());
    reply.code(204).send();
  });
});

// ---- the pages ----

app.addHook("onSend", async (_request, reply) => {
  reply.header("x-content-type-options", "nosniff");
});
app.register(fastifyStatic, { root: here("../web") });

const address = await app.listen({ host: "127.0.0.1", port: Number(PORT) });
console.log(`listening on ${address}`);
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await app.close();
    db.close();
    process.exit(0);
  });
}
