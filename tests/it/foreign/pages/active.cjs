// Opens the page that is named in a real browser, and prints what it could reach.
const { inAnyBrowser } = require("./common.cjs");

inAnyBrowser(async (browser) => {
  const page = await browser.newPage();
  await page.goto(process.argv[2]);
  await page.waitForFunction(() => globalThis.reached);
  console.log(JSON.stringify(await page.evaluate(() => globalThis.reached)));
}).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
