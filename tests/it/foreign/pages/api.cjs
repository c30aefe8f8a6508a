// The app server's API by raw calls: who may what, what is signed, and what callbacks do. The same for each server.
const assert = require("node:assert/strict");
const { randomUUID } = require("node:crypto");
const Database = require("libsql");
const { Webhook } = require("standardwebhooks");
const { APP, BUCKET, CONSIGN, MIB, digest, file, step, unfinished, until } = require("./common.cjs");

const SECRETS = process.env.CALLBACK_SECRETS.split(" ");

/** Signs in, and returns what asks the app server as this user. */
async function as(user) {
  const login = await fetch(`${APP}/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user }),
  });
  assert.equal(login.status, 204);
  const set = login.headers.get("set-cookie");
  assert.match(set, /HttpOnly/);
  assert.match(set, /SameSite=Lax/i);
  const cookie = set.split(";")[0];
  const ask = async (method, path, body) => {
    const headers = { cookie, ...(body && { "content-type": "application/json" }) };
    const answer = await fetch(APP + path, { method, headers, body: body && JSON.stringify(body), redirect: "manual" });
    const text = await answer.text();
    const json = text.startsWith("{") ? JSON.parse(text) : undefined;
    return { status: answer.status, json, code: json?.error?.code, headers: answer.headers };
  };
  const begin = async (way, { name, bytes }, type = "text/plain") => {
    const { status, json } = await ask("POST", "/api/uploads", { way, name, type, size: bytes.length });
    assert.equal(status, 201, JSON.stringify(json));
    return json;
  };
  const listed = async () => (await ask("GET", "/api/uploads")).json.uploads;
  const stored = (id) => until("the callback", async () => (await listed()).find((one) => one.id === id && one.state === "stored"));
  return { user, cookie, ask, begin, listed, stored };
}

const refused = async (asked, status, code) => {
  const answer = await asked;
  assert.deepEqual([answer.status, answer.code], [status, code]);
  return answer.json.error;
};

const put = (upload, bytes, type = "text/plain") =>
  fetch(upload.url, { method: "PUT", body: bytes, headers: type ? { "content-type": type } : {} });

async function permissions({ ann, bob, guest }) {
  for (const cookie of ["", "session=ann", ann.cookie.replace("=ann", "=bob"), `${ann.cookie.slice(0, -1)}x`]) {
    assert.equal((await fetch(`${APP}/api/me`, { headers: { cookie } })).status, 401, cookie);
    assert.equal((await fetch(`${APP}/api/uploads`, { method: "GET", headers: { cookie } })).status, 401, cookie);
  }
  const nobody = await fetch(`${APP}/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"user":"mallory"}',
  });
  assert.equal(nobody.status, 401);

  const wish = { way: "put", name: "a.txt", type: "text/plain", size: 1 };
  const ask = (who, change) => who.ask("POST", "/api/uploads", { ...wish, ...change });
  await refused(ask(guest), 403, "may_not_upload");
  await refused(ask(ann, { way: "carrier pigeon" }), 400, "bad_way");
  await refused(ask(ann, { name: "" }), 400, "bad_name");
  await refused(ask(ann, { name: "x".repeat(256) }), 400, "bad_name");
  for (const type of ["text/html", "", "image/svg+xml\r\nx: y", "image", "text/plain; charset=utf-8"]) {
    await refused(ask(ann, { type }), 415, "type_not_allowed");
  }
  for (const size of [0, -1, 1.5, "1"]) await refused(ask(ann, { size }), 400, "bad_size");
  assert.equal((await refused(ask(ann, { size: 6 * 1024 * MIB }), 413, "file_too_large")).max, 5 * 1024 * MIB);
  assert.equal((await refused(ask(bob, { size: 11 * MIB }), 413, "quota_exceeded")).left, 10 * MIB);

  // Many at once: what was allowed, together, is never more than the quota.
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask(bob, { size: 3 * MIB })));
  const allowed = answers.filter(({ status }) => status === 201);
  assert.equal(allowed.length, 3);
  assert.equal((await bob.ask("GET", "/api/me")).json.used, 9 * MIB);
  for (const { json } of allowed) assert.equal((await bob.ask("DELETE", `/api/uploads/${json.id}`)).status, 204);
  assert.equal((await bob.ask("GET", "/api/me")).json.used, 0);
  await refused(bob.ask("DELETE", `/api/uploads/${allowed[0].json.id}`), 409, "not_pending");
}

async function byPut({ ann, bob }) {
  const one = file("über 'alles' (1).txt", 5000);
  const upload = await ann.begin("put", one);
  assert.match(upload.key, new RegExp(`^user/ann/uploads/[0-9a-f-]{36}$`));
  assert.ok(upload.url.startsWith(`${CONSIGN}/${BUCKET}/${upload.key}?`));
  // The URL is for this type and this length, and for nothing else.
  assert.equal((await put(upload, one.bytes.subarray(1))).status, 403);
  assert.equal((await put(upload, Buffer.concat([one.bytes, one.bytes]))).status, 403);
  assert.equal((await put(upload, one.bytes, "text/html")).status, 403);
  assert.equal((await put(upload, one.bytes)).status, 200);
  // Nor once more: what is stored stays what it is.
  assert.equal((await put(upload, Buffer.alloc(one.bytes.length))).status, 403);
  const row = await ann.stored(upload.id);
  assert.deepEqual([row.name, row.size, row.type], [one.name, 5000, "text/plain"]);

  const answer = await ann.ask("GET", `/api/uploads/${upload.id}/file`);
  assert.equal(answer.status, 302);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  const got = await fetch(answer.headers.get("location"));
  assert.ok(got.url.startsWith(CONSIGN));
  assert.equal(got.headers.get("content-disposition"), "attachment; filename*=UTF-8''%C3%BCber%20%27alles%27%20%281%29.txt");
  assert.equal(digest(Buffer.from(await got.arrayBuffer())), digest(one.bytes));

  // Private: to other users, and to whoever knows the key.
  assert.equal((await fetch(`${CONSIGN}/${BUCKET}/${upload.key}`)).status, 403);
  for (const [method, path, body] of [
    ["GET", "/file"],
    ["GET", "/parts"],
    ["POST", "/complete"],
    ["POST", "/sign", { operation: "upload" }],
    ["DELETE", ""],
  ]) {
    await refused(bob.ask(method, `/api/uploads/${upload.id}${path}`, body), 404, "no_such_upload");
  }
  assert.deepEqual(await bob.listed(), []);
  await refused(ann.ask("GET", `/api/uploads/${randomUUID()}/file`), 404, "no_such_upload");
  await refused(ann.ask("DELETE", `/api/uploads/${upload.id}`), 409, "not_pending");
  return upload;
}

async function byForm({ ann }) {
  const one = file("form.pdf", 2000);
  const upload = await ann.begin("post", one, "application/pdf");
  const send = async (change, bytes) => {
    const form = new FormData();
    for (const [name, value] of Object.entries({ ...upload.fields, ...change })) form.append(name, value);
    form.append("file", new Blob([bytes]), "form.pdf");
    const answer = await fetch(upload.url, { method: "POST", body: form });
    return [answer.status, /<Code>(\w+)</.exec(await answer.text())?.[1]];
  };
  assert.deepEqual(await send({}, Buffer.concat([one.bytes, one.bytes])), [400, "EntityTooLarge"]);
  assert.deepEqual(await send({}, one.bytes.subarray(1)), [400, "EntityTooSmall"]);
  assert.deepEqual(await send({ "Content-Type": "text/html" }, one.bytes), [403, "AccessDenied"]);
  assert.deepEqual(await send({ key: upload.key.replace("ann", "bob") }, one.bytes), [403, "AccessDenied"]);
  assert.deepEqual(await send({}, one.bytes), [201, undefined]);
  assert.deepEqual(await send({}, one.bytes), [403, "AccessDenied"], "a form is good for one upload");
  assert.equal((await ann.stored(upload.id)).size, 2000);
}

async function inParts({ ann }) {
  const one = file("parts.zip", 11 * MIB);
  const upload = await ann.begin("multipart", one, "application/zip");
  const each = upload.part_bytes;
  const count = Math.ceil(one.bytes.length / each);
  assert.ok(count > 1);
  const about = `/api/uploads/${upload.id}`;
  for (const part of [0, count + 1, 1.5, -1]) {
    const { status } = await ann.ask("POST", `${about}/sign`, { operation: "part", part });
    assert.ok(status === 400 || status === 422, `part ${part}: ${status}`);
  }
  for (let part = 1; part <= count; part += 1) {
    await refused(ann.ask("POST", `${about}/complete`), 409, "incomplete");
    const bytes = one.bytes.subarray((part - 1) * each, part * each);
    const { json } = await ann.ask("POST", `${about}/sign`, { operation: "part", part });
    assert.equal((await put(json, bytes.subarray(1), "")).status, 403, "a part has its length");
    assert.equal((await put(json, bytes, "")).status, 200);
    const { json: there } = await ann.ask("GET", `${about}/parts`);
    assert.deepEqual(there.parts.at(-1), { number: part, size: bytes.length });
  }
  assert.equal((await ann.ask("POST", `${about}/complete`)).status, 200);
  await ann.stored(upload.id);
  assert.equal((await ann.ask("POST", `${about}/complete`)).status, 200, "a lost answer may be asked for again");

  const dropped = await ann.begin("multipart", one, "application/zip");
  assert.equal((await unfinished()).length, 1);
  assert.equal((await ann.ask("DELETE", `/api/uploads/${dropped.id}`)).status, 204);
  assert.deepEqual(await unfinished(), []);
  await refused(ann.ask("GET", `/api/uploads/${dropped.id}/parts`), 409, "not_pending");
}

/** Each step by a URL, as Uppy does it. */
async function byUrls({ ann }) {
  const one = file("urls.zip", 6 * MIB);
  const begin = async () => {
    const upload = await ann.begin("presigned-multipart", one, "application/zip");
    const created = await fetch(upload.url, { method: "POST", headers: upload.headers });
    const upload_id = /<UploadId>([^<]+)</.exec(await created.text())[1];
    const sign = async (operation, part) => {
      const { status, json } = await ann.ask("POST", `/api/uploads/${upload.id}/sign`, { operation, part, upload_id });
      assert.equal(status, 200, JSON.stringify(json));
      return json;
    };
    return { upload, sign };
  };
  const { upload, sign } = await begin();
  const etags = [];
  for (const part of [1, 2]) {
    const bytes = one.bytes.subarray((part - 1) * upload.part_bytes, part * upload.part_bytes);
    const answer = await put(await sign("part", part), bytes, "");
    assert.equal(answer.status, 200);
    etags.push(answer.headers.get("etag"));
  }
  const list = await (await fetch((await sign("list")).url)).text();
  for (const etag of etags) assert.ok(list.includes(etag.replaceAll('"', "&quot;")) || list.includes(etag), list);
  const parts = etags.map((etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
  const body = `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`;
  const done = await fetch((await sign("complete")).url, { method: "POST", body });
  assert.equal(done.status, 200, await done.text());
  await ann.stored(upload.id);

  const other = await begin();
  const { url } = await other.sign("abort");
  assert.equal((await fetch(url, { method: "DELETE" })).status, 204);
  assert.deepEqual(await unfinished(), []);

  // Uppy drops a file that failed without an abort: the app server does it then.
  const third = await begin();
  await third.sign("part", 1);
  assert.equal((await unfinished()).length, 1);
  assert.equal((await ann.ask("DELETE", `/api/uploads/${third.upload.id}`)).status, 204);
  assert.deepEqual(await unfinished(), []);
}

async function callbacks({ ann, upload }) {
  const db = new Database(process.env.DATABASE, { readonly: true });
  const rows = (where, ...values) => db.prepare(`SELECT COUNT(*) AS n FROM audit WHERE ${where}`).get(...values).n;
  assert.equal(rows("key = ?", upload.key), 1, "Consign's own callback");
  const sequencer = db.prepare("SELECT sequencer FROM uploads WHERE id = ?").get(upload.id).sequencer;

  const event = (size, sequencer) => {
    const object = { key: upload.key, size, eTag: "0".repeat(32), sequencer };
    const record = { eventName: "ObjectCreated:Put", eventTime: "2026-01-01T00:00:00.000Z", s3: { object } };
    return JSON.stringify({ Records: [record] });
  };
  const tell = async (id, body, { secret = SECRETS[0], at = new Date(), sent = body, without } = {}) => {
    const headers = {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(at / 1000)),
      "webhook-signature": new Webhook(secret).sign(id, at, body),
    };
    delete headers[without];
    return (await fetch(`${APP}/hooks/consign`, { method: "POST", headers, body: sent })).status;
  };
  const sizeNow = async () => (await ann.listed()).find(({ id }) => id === upload.id).size;

  const newer = event(7, "F".repeat(16));
  const forged = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  const minutes = (count) => new Date(Date.now() + count * 60_000);
  assert.equal(await tell("bad", newer, { secret: forged }), 401);
  assert.equal(await tell("bad", newer, { at: minutes(-6) }), 401, "an old one is no replay");
  assert.equal(await tell("bad", newer, { at: minutes(6) }), 401);
  assert.equal(await tell("bad", newer, { sent: newer.replace(":7,", ":8,") }), 401);
  for (const without of ["webhook-id", "webhook-timestamp", "webhook-signature"]) {
    assert.equal(await tell("bad", newer, { without }), 401, without);
  }
  assert.equal(rows("webhook_id = 'bad'"), 0);
  assert.equal(await sizeNow(), 5000);

  // Older than what is known: recorded, and nothing else.
  assert.equal(await tell("late", event(3, "0".repeat(16))), 204);
  assert.equal(await sizeNow(), 5000);
  // Twice, at once and later: one row, one effect.
  assert.deepEqual(await Promise.all([tell("twice", newer), tell("twice", newer)]), [204, 204]);
  assert.equal(await tell("twice", newer), 204);
  assert.equal(rows("webhook_id = 'twice'"), 1);
  assert.equal(await sizeNow(), 7);
  assert.ok(sequencer > "0".repeat(16) && sequencer < "F".repeat(16));
  // By the other secret, during a rotation; and S3's test event.
  assert.equal(await tell("rotated", newer, { secret: SECRETS[1] }), 204);
  assert.equal(await tell("test", JSON.stringify({ Event: "s3:TestEvent", Bucket: BUCKET })), 204);
  assert.equal(rows("event = 'TestEvent'"), 1);
  db.close();
}

async function pages() {
  for (const [path, type] of [["/", /html/], ["/uppy.html", /html/], ["/page.js", /javascript/], ["/style.css", /css/], ["/node_modules/uppy/dist/uppy.min.mjs", /javascript/]]) {
    const answer = await fetch(APP + path);
    assert.equal(answer.status, 200, path);
    assert.match(answer.headers.get("content-type"), type);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    await answer.body.cancel();
  }
  for (const path of ["/..%2fschema.sql", "/%2e%2e/schema.sql", "/node_modules/..%2f..%2fschema.sql", "/nothing"]) {
    const answer = await fetch(APP + path);
    assert.ok(answer.status >= 400, `${path}: ${answer.status}`);
    assert.ok(!(await answer.text()).includes("CREATE TABLE"), path);
  }
}

(async () => {
  const who = { ann: await as("ann"), bob: await as("bob"), guest: await as("guest") };
  await step(pages);
  await step(permissions, who);
  await step(async function put() {
    who.upload = await byPut(who);
  });
  await step(byForm, who);
  await step(inParts, who);
  await step(byUrls, who);
  await step(callbacks, who);
})();
