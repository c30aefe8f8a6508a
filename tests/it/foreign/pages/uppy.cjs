// The page with Uppy in a browser: every way to upload, a reload in the middle, and errors in words.
const assert = require("node:assert/strict");
const s3 = require("@aws-sdk/client-s3");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");
const { APP, BUCKET, CONSIGN, MIB, client, digest, download, file, inBrowser, open, shot, small, step, unfinished, until } =
  require("./common.cjs");

const button = (page, name) => page.getByRole("button", { name });

async function choose(page, way, one) {
  if (way) await page.getByRole("radio", { name: way }).check();
  await page.locator(".uppy-Dashboard-input").first().setInputFiles(one.place);
  await page.locator(".uppy-Dashboard-Item-name").filter({ hasText: one.name.slice(0, 8) }).waitFor();
}

const upload = (page) => page.locator(".uppy-StatusBar-actionBtn--upload").click();

const stored = (page, { name }) => page.getByRole("link", { name: `Download ${name}` }).waitFor();

async function done(page, one) {
  await stored(page, one);
  assert.equal(digest(await download(page, one.name)), digest(one.bytes), one.name);
  await button(page, "Done").click();
}

async function everyWay(page) {
  for (const [way, one] of [
    ["Form", file("form.txt", 3000)],
    ["PUT", file("put ü.pdf", 70_000)],
    ["Multipart", file("parts.zip", 11 * MIB)],
  ]) {
    const asked = page.waitForRequest((request) => request.url().startsWith(CONSIGN) && request.method() !== "OPTIONS");
    await choose(page, way, one);
    await upload(page);
    assert.equal((await asked).method(), way === "PUT" ? "PUT" : "POST");
    await stored(page, one);
    if (way === "Multipart") await shot(page, "uppy-stored");
    await done(page, one);
  }
}

/** Whether Golden Retriever has written down the file and how far its upload is, which it does a moment later. */
const isKept = (page, name) =>
  page.evaluate(async (name) => {
    const wait = (request) => new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: reject }));
    const db = await wait(indexedDB.open("uppy-blobs"));
    const read = db.transaction(["files", "metadata"]);
    const files = await wait(read.objectStore("files").getAll());
    const [state] = await wait(read.objectStore("metadata").getAll());
    db.close();
    const known = Object.values(JSON.parse(state?.metadata ?? "{}").files ?? {}).find((file) => file.name === name);
    return known?.s3Multipart !== undefined && files.some(({ id }) => id.endsWith(known.id));
  }, name);

async function goesOnAfterAReload(page) {
  const one = file("long.zip", 15 * MIB);
  const last = (url) => url.origin === CONSIGN && url.searchParams.get("partNumber") === "3";
  let release;
  const released = new Promise((resolve) => (release = resolve));
  await page.route(last, async (route) => {
    await released;
    await route.continue().catch(() => {}); // the page is another one now
  });
  const held = page.waitForRequest((request) => last(new URL(request.url())));
  await choose(page, "Multipart", one);
  await upload(page);
  await held;
  await until("the file is kept", () => isKept(page, one.name));
  await page.reload();
  release();
  await page.unroute(last);
  await page.getByText("Session restored").waitFor();
  await shot(page, "uppy-restored");
  const sent = [];
  page.on("request", (request) => {
    const part = new URL(request.url()).searchParams.get("partNumber");
    if (part && request.method() === "PUT") sent.push(part);
  });
  await page.locator(".uppy-StatusBar-actionBtn--upload, .uppy-Dashboard-serviceMsg-actionBtn").first().click();
  await stored(page, one);
  assert.deepEqual(sent, ["3"], "only what was missing is sent, and nobody chose the file again");
  await done(page, one);
}

/** Waits for words about this file. */
async function words(page, name) {
  const problem = page.locator("#problems [role=alert]").filter({ hasText: name });
  await problem.waitFor();
  return problem.innerText();
}

async function refused(page) {
  const one = file("old url.txt", 1000);
  await page.route(
    "**/api/uploads",
    async (route) => {
      if (route.request().method() !== "POST") return route.fallback();
      const answer = await route.fetch();
      const json = await answer.json();
      const put = new s3.PutObjectCommand({ Bucket: BUCKET, Key: json.key, ContentType: "text/plain" });
      json.url = await getSignedUrl(client, put, { expiresIn: 60, signingDate: new Date(Date.now() - 3600_000) });
      await route.fulfill({ response: answer, json });
    },
    { times: 1 },
  );
  await choose(page, "PUT", one);
  await upload(page);
  assert.match(await words(page, one.name), /permission to upload has expired.*Request has expired.*AccessDenied.*Request\s+[0-9A-Z]{16}/s);
  await shot(page, "uppy-refused");
  await page.locator(".uppy-StatusBar-actionBtn--retry").click();
  await done(page, one);
  assert.equal(await page.locator("#problems [role=alert]").filter({ hasText: one.name }).count(), 0);

  const grown = file("grown.txt", 5000);
  await page.route(
    "**/api/uploads",
    (route) => {
      if (route.request().method() !== "POST") return route.fallback();
      return route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), size: 1024 }) });
    },
    { times: 1 },
  );
  await choose(page, "Form", grown);
  await upload(page);
  assert.match(await words(page, grown.name), /too large.*At most 1\.0 KiB were allowed.*EntityTooLarge/s);
  await button(page, "Cancel").first().click();
}

async function refusedByUppy(page) {
  const html = file("page.html", 100);
  await page.locator(".uppy-Dashboard-input").first().setInputFiles(html.place);
  assert.match(await words(page, html.name), /can't be taken.*You can only upload: image/s);
}

async function refusedByTheApp(browser) {
  const bob = await open(browser, "bob", `${APP}/uppy.html`);
  const much = file("much.zip", 11 * MIB);
  for (const way of ["Form", "Multipart"]) {
    await choose(bob, way, much);
    await upload(bob);
    assert.match(await words(bob, much.name), /too large for the space.*10\.0 MiB are left/s);
    await button(bob, "Cancel").first().click();
  }
  await bob.context().close();
}

async function aborts(page) {
  const one = file("aborted.zip", 11 * MIB);
  const last = (url) => url.origin === CONSIGN && url.searchParams.get("partNumber") === "2";
  await page.route(last, () => {}); // never answered
  const held = page.waitForRequest((request) => last(new URL(request.url())));
  await choose(page, "Multipart", one);
  await upload(page);
  await held;
  assert.equal((await unfinished()).length, 1);
  await button(page, "Cancel").first().click();
  await until("the parts are gone", async () => (await unfinished()).length === 0);
  await page.unroute(last);
}

async function crowded(page) {
  await choose(page, "PUT", file("small.txt", 10));
  await small(page, "uppy");
}

inBrowser(async (browser) => {
  const page = await open(browser, "ann", `${APP}/uppy.html`);
  await step(everyWay, page);
  await step(goesOnAfterAReload, page);
  await step(refused, page);
  await step(refusedByUppy, page);
  await step(refusedByTheApp, browser);
  await step(aborts, page);
  await step(crowded, page);
});
