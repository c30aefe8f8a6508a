// The plain page in a browser: every way to upload, a reload in the middle, and each error in words.
// Parts have 5 MiB here. `--briefly`: the ways to upload alone.
const assert = require("node:assert/strict");
const s3 = require("@aws-sdk/client-s3");
const { createPresignedPost } = require("@aws-sdk/s3-presigned-post");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");
const { APP, BUCKET, CONSIGN, MIB, client, digest, download, file, inBrowser, open, shot, small, step, unfinished, until } =
  require("./common.cjs");

const item = (page, name) => page.locator("#queue > li").filter({ hasText: name });
const click = (page, name, button) => item(page, name).getByRole("button", { name: button }).click();

async function choose(page, way, ...files) {
  if (way) await page.getByRole("radio", { name: way }).check();
  await page.locator("#files").setInputFiles(files.map(({ place }) => place));
}

const stored = (page, name) => item(page, name).getByText("Stored, ").waitFor();

/** Waits for a failure of this file, and returns its words. */
async function words(page, name) {
  const problem = item(page, name).getByRole("alert");
  await problem.waitFor();
  return problem.innerText();
}

/** Changes the app server's next answer to "may I upload?". */
const alter = (page, change) =>
  page.route(
    "**/api/uploads",
    async (route) => {
      if (route.request().method() !== "POST") return route.fallback();
      const answer = await route.fetch();
      const json = await answer.json();
      await change(json);
      await route.fulfill({ response: answer, json });
    },
    { times: 1 },
  );

async function everyWay(page) {
  const files = { Form: file("by form.txt", 3000), PUT: file("by put ü.pdf", 70_000), Multipart: file("by parts.zip", 11 * MIB) };
  for (const [way, one] of Object.entries(files)) await choose(page, way, one);
  for (const { name } of Object.values(files)) await stored(page, name);
  for (const { name, bytes } of Object.values(files)) {
    assert.equal(digest(await download(page, name)), digest(bytes), name);
  }
  await page.getByText("11.1 MiB of 1.0 GiB used").waitFor();
  await shot(page, "plain-stored");
  for (const { name } of Object.values(files)) await click(page, name, "Dismiss");
}

/** Lets parts below `number` through and holds the others, until the returned function lets them go on. */
async function holdParts(page, number) {
  let release;
  const released = new Promise((resolve) => (release = resolve));
  let held = 0;
  const pattern = (url) => url.origin === CONSIGN && Number(url.searchParams.get("partNumber")) >= number;
  await page.route(pattern, async (route) => {
    held += 1;
    await released;
    await route.continue().catch(() => {}); // the page may have dropped it
  });
  return { release, isHeld: () => held > 0, stop: () => page.unroute(pattern) };
}

async function goesOnAfterAReload(page) {
  const one = file("long.zip", 12 * MIB);
  const parts = await holdParts(page, 3);
  // What is sent is shown before it is answered, and only what was answered is surely there.
  const answered = ["1", "2"].map((part) =>
    page.waitForResponse((response) => {
      const put = response.request().method() === "PUT";
      return put && new URL(response.url()).searchParams.get("partNumber") === part;
    }),
  );
  await choose(page, "Multipart", one);
  await item(page, one.name).getByText("10.0 MiB of 12.0 MiB").waitFor();
  await Promise.all(answered);
  await page.reload();
  parts.release();
  await parts.stop();
  await item(page, one.name).getByText("Unfinished, 12.0 MiB").waitFor();
  await shot(page, "plain-unfinished");

  const sent = [];
  page.on("request", (request) => {
    const part = new URL(request.url()).searchParams.get("partNumber");
    if (part && request.method() === "PUT") sent.push(part);
  });
  const chooser = page.waitForEvent("filechooser");
  await click(page, one.name, "Choose the file to go on");
  await (await chooser).setFiles(one.place);
  await stored(page, one.name);
  assert.deepEqual(sent, ["3"], "only what was missing is sent");
  assert.equal(digest(await download(page, one.name)), digest(one.bytes));
  await click(page, one.name, "Dismiss");
  await page.reload();
  await page.getByRole("link", { name: `Download ${one.name}` }).waitFor();
  assert.equal(await item(page, one.name).count(), 0, "what is done is forgotten");
}

async function pausesAndAborts(page) {
  const one = file("paused.zip", 11 * MIB);
  const parts = await holdParts(page, 2);
  await choose(page, "Multipart", one);
  await item(page, one.name).getByText("5.0 MiB of 11.0 MiB").waitFor();
  await click(page, one.name, "Pause");
  await item(page, one.name).getByText("Paused", { exact: true }).waitFor();
  parts.release();
  await parts.stop();
  await click(page, one.name, "Resume");
  await stored(page, one.name);
  assert.equal(digest(await download(page, one.name)), digest(one.bytes));
  await click(page, one.name, "Dismiss");

  const other = file("aborted.zip", 11 * MIB);
  const held = await holdParts(page, 2);
  await choose(page, "Multipart", other);
  await item(page, other.name).getByText("5.0 MiB of 11.0 MiB").waitFor();
  assert.equal((await unfinished()).length, 1);
  const gone = page.waitForResponse((answer) => answer.request().method() === "DELETE");
  await click(page, other.name, "Abort");
  assert.equal((await gone).status(), 204);
  held.release();
  await held.stop();
  assert.deepEqual(await unfinished(), [], "its parts are gone from Consign");
  await item(page, other.name).waitFor({ state: "detached" });
  await page.reload();
  await page.getByRole("heading", { name: "Your files" }).waitFor();
  assert.equal(await item(page, other.name).count(), 0);
}

/** A URL as the app server signed it an hour ago. */
const expiredPut = async (upload) => {
  const put = new s3.PutObjectCommand({ Bucket: BUCKET, Key: upload.key, ContentType: upload.headers["content-type"] });
  upload.url = await getSignedUrl(client, put, { expiresIn: 60, signingDate: new Date(Date.now() - 3600_000) });
};

const expiredForm = async (upload) => {
  const { "Content-Type": type } = upload.fields;
  const about = { Bucket: BUCKET, Key: upload.key, Fields: { "Content-Type": type }, Expires: -60 };
  Object.assign(upload, await createPresignedPost(client, about));
};

/** What the page says of each refusal of Consign: a row for each. `then` is the button that mends it. */
const REFUSALS = [
  { name: "old url.txt", way: "PUT", change: expiredPut, says: [/permission to upload has expired/, /AccessDenied/, /Request has expired/] },
  // Many times what a socket holds: the answer must reach the page although the server stops reading.
  { name: "old url of much.zip", size: 12 * MIB, way: "PUT", change: expiredPut, says: [/permission to upload has expired/] },
  { name: "old form.txt", way: "Form", change: expiredForm, says: [/permission to upload has expired/, /Policy expired/] },
  {
    name: "other type.txt",
    way: "Form",
    change: (upload) => (upload.fields["Content-Type"] = "image/png"),
    says: [/wrong type/, /Policy Condition failed/, /AccessDenied/],
  },
  {
    name: "altered.txt",
    way: "PUT",
    change: (upload) => (upload.headers["content-type"] = "image/png"),
    says: [/not the one that was allowed/, /SignatureDoesNotMatch/],
  },
];

async function refusedByConsign(page) {
  for (const { name, way, change, says, size = 2000 } of REFUSALS) {
    await alter(page, change);
    await choose(page, way, file(name, size));
    const said = await words(page, name);
    for (const part of says) assert.match(said, part, name);
    assert.match(said, /Request\s+[0-9A-Z]{16,}/, "the request's number is shown");
    if (name === "old url.txt") await shot(page, "plain-refused");
    await click(page, name, "Try again");
    await stored(page, name);
    await click(page, name, "Dismiss");
  }
}

/** A URL that was used already: by somebody else, or by this page, whose answer was lost. */
async function usedTwice(page) {
  const one = file("twice.txt", 1000);
  await alter(page, async ({ url, headers }) => {
    assert.equal((await fetch(url, { method: "PUT", headers, body: one.bytes })).status, 200);
  });
  await choose(page, "PUT", one);
  assert.match(await words(page, one.name), /used already.*x-consign-once/s);
  await untilRecorded(page, one.name);
  await click(page, one.name, "Try again");
  await stored(page, one.name);
  await click(page, one.name, "Dismiss");
}

/** A file that grew after the app server was asked. */
async function tooLarge(page) {
  for (const size of [5000, 12 * MIB]) {
    const one = file(`grown to ${size}.txt`, size);
    await page.route(
      "**/api/uploads",
      (route) => {
        if (route.request().method() !== "POST") return route.fallback();
        return route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), size: 1024 }) });
      },
      { times: 1 },
    );
    await choose(page, "Form", one);
    const said = await words(page, one.name);
    assert.match(said, /too large/);
    assert.match(said, /At most 1\.0 KiB were allowed/);
    assert.match(said, /EntityTooLarge/);
    await click(page, one.name, "Abort");
  }
}

async function refusedByTheApp(page, browser) {
  const html = file("page.html", 100);
  await choose(page, "PUT", html);
  assert.match(await words(page, html.name), /wrong type.*text\/html.*Allowed are image/s);
  await click(page, html.name, "Dismiss");

  const bob = await open(browser, "bob");
  const much = file("much.zip", 11 * MIB);
  await choose(bob, "PUT", much);
  assert.match(await words(bob, much.name), /too large for the space.*10\.0 MiB are left/s);
  assert.equal(await bob.getByRole("link", { name: "Download" }).count(), 0, "nobody sees another's files");
  await bob.context().close();

  const guest = await open(browser, "guest");
  await guest.getByText("You may look, but not upload.").waitFor();
  const any = file("any.txt", 10);
  await choose(guest, "Form", any);
  assert.match(await words(guest, any.name), /may not upload/);
  await guest.context().close();
}

async function unreachable(page, browser) {
  const one = file("cut.txt", 1000);
  const consign = `${CONSIGN}/**`;
  await page.route(consign, (route) => route.abort("connectionrefused"));
  await choose(page, "PUT", one);
  assert.match(await words(page, one.name), /The store can't be reached/);
  await page.unroute(consign);
  await click(page, one.name, "Try again");
  await stored(page, one.name);
  await click(page, one.name, "Dismiss");

  const offline = file("offline.txt", 1000);
  await page.context().setOffline(true);
  await choose(page, "PUT", offline);
  assert.match(await words(page, offline.name), /You are offline/);
  await page.context().setOffline(false);
  await click(page, offline.name, "Try again");
  await stored(page, offline.name);
  await click(page, offline.name, "Dismiss");

  // The same app by a name that the bucket's rules don't admit: the browser keeps Consign's answer back.
  const elsewhere = await open(browser, "ann", APP.replace("127.0.0.1", "localhost"));
  const foreign = file("foreign.txt", 1000);
  await choose(elsewhere, "PUT", foreign);
  assert.match(await words(elsewhere, foreign.name), /The store can't be reached.*CORS/s);
  await elsewhere.context().close();
}

const expiredPart = (url) => {
  const { pathname, searchParams } = new URL(url);
  const part = new s3.UploadPartCommand({
    Bucket: BUCKET,
    Key: decodeURIComponent(pathname.slice(BUCKET.length + 2)),
    UploadId: searchParams.get("uploadId"),
    PartNumber: Number(searchParams.get("partNumber")),
  });
  return getSignedUrl(client, part, { expiresIn: 60, signingDate: new Date(Date.now() - 3600_000) });
};

/** A part whose URL expired on the way is signed again, and nobody need know. */
async function partsAreSignedAgain(page) {
  const one = file("slept.zip", 9 * MIB);
  let urls = 0;
  await page.route("**/api/uploads/*/sign", async (route) => {
    const answer = await route.fetch();
    const json = await answer.json();
    urls += 1;
    if (urls === 1) json.url = await expiredPart(json.url);
    await route.fulfill({ response: answer, json });
  });
  await choose(page, "Multipart", one);
  await stored(page, one.name);
  assert.equal(urls, 3, "two parts, one of them twice");
  await page.unroute("**/api/uploads/*/sign");
  await click(page, one.name, "Dismiss");
}

/** Everything that the page can show, at once, on a small telephone. */
async function crowded(page) {
  await alter(page, expiredPut);
  const one = file(`a-name-without-a-single-space-${"x".repeat(60)}.txt`, 1000);
  await choose(page, "PUT", one);
  await words(page, one.name);
  const other = file("done.txt", 1000);
  await choose(page, "Form", other);
  await stored(page, other.name);
  await small(page, "plain");
}

const untilRecorded = (page, sought) =>
  until("the callback", async () => {
    const { uploads } = await (await page.request.get(`${APP}/api/uploads`)).json();
    return uploads.some(({ name, state }) => name === sought && state === "stored");
  });

/** The answer to a completion that is lost on its way is no reason to send anything again. */
async function completesOnce(page) {
  const one = file("answered late.zip", 6 * MIB);
  const complete = "**/api/uploads/*/complete";
  await page.route(complete, async (route) => {
    await route.fetch();
    await route.abort("connectionreset");
  });
  await choose(page, "Multipart", one);
  assert.match(await words(page, one.name), /The app server can't be reached/);
  await page.unroute(complete);
  await untilRecorded(page, one.name);
  const parts = [];
  page.on("request", (request) => request.url().includes("partNumber") && parts.push(request.url()));
  await click(page, one.name, "Try again");
  await stored(page, one.name);
  assert.deepEqual(parts, []);
  await click(page, one.name, "Dismiss");
}

inBrowser(async (browser) => {
  const page = await open(browser, "ann");
  await step(everyWay, page);
  if (process.argv.includes("--briefly")) return;
  await step(goesOnAfterAReload, page);
  await step(pausesAndAborts, page);
  await step(refusedByConsign, page);
  await step(usedTwice, page);
  await step(tooLarge, page);
  await step(refusedByTheApp, page, browser);
  await step(unreachable, page, browser);
  await step(partsAreSignedAgain, page);
  await step(completesOnce, page);
  await step(crowded, page);
});
