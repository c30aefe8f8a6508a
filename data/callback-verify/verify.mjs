// Verifies Consign's callbacks: Standard Webhooks with Node's own crypto alone.
import { createHmac, timingSafeEqual } from "node:crypto";

const TOLERANCE_SECONDS = 5 * 60;

/** `body` is a Buffer of the bytes as they came, `headers` has lower-case names, `secrets` the `whsec_…` texts. */
export function verify(body, headers, secrets, now = Date.now() / 1000) {
  const id = headers["webhook-id"], at = headers["webhook-timestamp"] ?? "";
  if (!id || !/^[0-9]+$/.test(at)) return false;
  if (Math.abs(now - Number(at)) > TOLERANCE_SECONDS) return false; // somebody else may have kept it
  const signed = Buffer.concat([Buffer.from(`${id}.${at}.`), body]);
  const given = (headers["webhook-signature"] ?? "").split(" ").filter((part) => part.startsWith("v1,"));
  const keys = secrets.map((secret) => Buffer.from(secret.replace(/^whsec_/, ""), "base64"));
  const wanted = keys.map((key) => createHmac("sha256", key).update(signed).digest());
  const same = (one, want) => one.length === want.length && timingSafeEqual(one, want);
  return given.some((part) => wanted.some((want) => same(Buffer.from(part.slice(3), "base64"), want)));
}
