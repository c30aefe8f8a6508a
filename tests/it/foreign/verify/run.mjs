import assert from "node:assert";
import { readFileSync } from "node:fs";

const { verify } = await import(`${process.env.KITS}/verify.mjs`);
for (const row of JSON.parse(readFileSync(process.env.VECTORS, "utf8"))) {
  assert.strictEqual(verify(Buffer.from(row.body), row.headers, row.secrets, row.now), row.valid, row.name);
  console.log(row.name);
}
