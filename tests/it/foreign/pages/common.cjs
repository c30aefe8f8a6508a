// What the drivers of the example pages share: the app server's API, a browser, files, and Consign itself.
const assert = require("node:assert/strict");
const { createHash, randomBytes } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const s3 = require("@aws-sdk/client-s3");
const { chromium } = require("playwright-core");

const APP = process.env.APP_URL;
const CONSIGN = process.env.CONSIGN_ENDPOINT;
const WORK = process.env.CONSIGN_WORK;
const BUCKET = "uploads";
const MIB = 1024 * 1024;
const PATIENCE_MS = 60_000;

const client = new s3.S3Client({
  endpoint: CONSIGN,
  region: "us-east-1",
  forcePathStyle: true,
  requestChecksumCalculation: "WHEN_REQUIRED",
});

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** A file of random bytes in the work folder. */
function file(name, size) {
  const place = path.join(WORK, name);
  const bytes = randomBytes(size);
  fs.writeFileSync(place, bytes);
  return { name, place, bytes };
}

/** Waits until `look` returns something true; what it watches is another process. */
async function until(what, look) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A browser with real CORS between the app server's origin and Consign's; a step's failure leaves a picture. */
async function inBrowser(work) {
  assert.notEqual(new URL(APP).origin, new URL(CONSIGN).origin);
  await inAnyBrowser(work);
}

/** A browser, whatever its pages come from. */
async function inAnyBrowser(work) {
  // Debian's headless shell is the same engine without a desktop's parts: it starts in a third of the time.
  const known = [process.env.CHROMIUM, "/usr/bin/chromium-headless-shell", "/usr/bin/chromium"];
  const executablePath = known.find((one) => one && fs.existsSync(one));
  assert.ok(executablePath, "there is no Chromium: run scripts/test, which installs it, or name it in CHROMIUM");
  const browser = await chromium.launch({ executablePath, args: ["--no-proxy-server"] });
  try {
    await work(browser);
  } catch (error) {
    const pages = browser.contexts().flatMap((context) => context.pages());
    for (const page of pages) {
      const seen = await page.locator("body").innerText().catch(() => "");
      console.error(`at ${page.url()} the page says:\n${seen}\n`);
      if (process.env.SCREENSHOTS) await shot(page, "failed").catch(() => {});
    }
    throw error;
  } finally {
    await browser.close();
  }
}

/** Runs a step of a driver and tells how long it took. */
async function step(work, ...about) {
  const began = Date.now();
  await work(...about);
  console.log(`${work.name}: ${Date.now() - began} ms`);
}

/** A picture for people to look at, where SCREENSHOTS names a folder. */
async function shot(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
}

/** A page of its own, signed in as `user`; what a script of it throws is a failure. */
async function open(browser, user, address = APP, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.on("pageerror", (error) => {
    console.error("the page threw:", error);
    process.exitCode = 1;
  });
  await page.goto(address);
  await page.getByLabel("User", { exact: true }).selectOption(user);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  return page;
}

/** Nothing sticks out at the width of a small telephone, and everybody can read it (Uppy's own part is Uppy's). */
async function small(page, name) {
  const width = 360;
  await page.setViewportSize({ width, height: 740 });
  await page.addScriptTag({ path: require.resolve("axe-core/axe.min.js") });
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
    const { violations } = await page.evaluate(() => globalThis.axe.run({ exclude: [".uppy-Root"] }));
    const faults = violations.map(({ help, nodes }) => `${help}: ${nodes.map(({ html }) => html)}`);
    assert.deepEqual(faults, [], colorScheme);
    await shot(page, `${name}-360-${colorScheme}`);
  }
}

/** Downloads the listed file of this name as the user of `page` would. */
async function download(page, name) {
  const href = await page.getByRole("link", { name: `Download ${name}` }).getAttribute("href");
  const answer = await page.request.get(new URL(href, APP).href);
  assert.equal(answer.status(), 200);
  assert.ok(answer.url().startsWith(CONSIGN), "a download is redirected to Consign");
  assert.match(answer.headers()["content-disposition"], /^attachment/);
  return answer.body();
}

/** Uploads of several parts that Consign holds unfinished. */
async function unfinished() {
  const { Uploads = [] } = await client.send(new s3.ListMultipartUploadsCommand({ Bucket: BUCKET }));
  return Uploads.map(({ Key }) => Key);
}

module.exports = { APP, BUCKET, CONSIGN, MIB, client, digest, download, file, inAnyBrowser, inBrowser, open, shot, small, step, unfinished, until };
