// Who is asking: a user's name in a cookie, signed, so that nobody writes another name into it.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

// Without a secret of yours everybody signs in again after a restart.
const secret = process.env.SESSION_SECRET || randomBytes(32);
const sign = (user) => createHmac("sha256", secret).update(user).digest("hex");
const settings = "Path=/; HttpOnly; SameSite=Lax";

export const cookieFor = (user) => `session=${user}.${sign(user)}; ${settings}; Max-Age=86400`;
export const noCookie = `session=; ${settings}; Max-Age=0`;

export function userOf(cookies = "") {
  const found = /(?:^|; )session=([a-z0-9-]+)\.([0-9a-f]{64})(?:;|$)/.exec(cookies);
  if (!found) return undefined;
  const [, user, signature] = found;
  return timingSafeEqual(Buffer.from(signature), Buffer.from(sign(user))) ? user : undefined;
}
