// Signs URLs for Consign (or S3) with nothing but Node's own modules.
//
//     node presign.mjs PUT http://127.0.0.1:9000/uploads/cat.jpg x-consign-once=1
import { createHash, createHmac } from "node:crypto";
import { pathToFileURL } from "node:url";

const encode = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => "%" + one.charCodeAt(0).toString(16).toUpperCase());

// `url` has no query; its path is not encoded. `query` may hold x-consign- demands; `headers` must be sent as they are here.
export function presign(method, url, key, secret, { query = {}, headers = {}, seconds = 900, region = "us-east-1" } = {}) {
  const now = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const scope = `${now.slice(0, 8)}/${region}/s3/aws4_request`;
  const [, scheme, host, path] = /^(https?):\/\/([^/]+)(.*)$/.exec(url);
  const lines = Object.entries({ ...headers, host }).map(([name, value]) => [name.toLowerCase(), value.trim()]);
  lines.sort(([a], [b]) => (a < b ? -1 : 1));
  const signed = lines.map(([name]) => name).join(";");
  const pairs = { ...query, "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": `${key}/${scope}`,
    "X-Amz-Date": now, "X-Amz-Expires": String(seconds), "X-Amz-SignedHeaders": signed };
  const place = (path || "/").split("/").map(encode).join("/");
  const text = Object.entries(pairs).map(([name, value]) => [encode(name), encode(value)])
    .sort(([a], [b]) => (a < b ? -1 : 1)).map((pair) => pair.join("=")).join("&");
  const canonical = [method, place, text, ...lines.map((line) => line.join(":")), "", signed, "UNSIGNED-PAYLOAD"].join("\n");
  const digest = createHash("sha256").update(canonical).digest("hex");
  const string = `AWS4-HMAC-SHA256\n${now}\n${scope}\n${digest}`;
  const signature = [...scope.split("/"), string].reduce(
    (signing, step) => createHmac("sha256", signing).update(step).digest(), `AWS4${secret}`);
  return `${scheme}://${host}${place}?${text}&X-Amz-Signature=${signature.toString("hex")}`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [method, url, ...demands] = process.argv.slice(2);
  const query = Object.fromEntries(demands.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
  console.log(presign(method, url, process.env.AWS_ACCESS_KEY_ID, process.env.AWS_SECRET_ACCESS_KEY, { query }));
}
