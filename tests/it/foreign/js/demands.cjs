// Demands in what aws-sdk-js v3 signs, as the README shows it, and in what data/signing/presign.mjs signs.
const assert = require("node:assert/strict");
const path = require("node:path");
const s3 = require("@aws-sdk/client-s3");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");
const { createPresignedPost } = require("@aws-sdk/s3-presigned-post");

const Bucket = "js-demands";
const endpoint = process.env.CONSIGN_ENDPOINT;
const client = new s3.S3Client({ endpoint, region: "us-east-1", forcePathStyle: true });

// `command`, signed with these demands.
function demanding(command, demands) {
  command.middlewareStack.add((next) => (args) => {
    for (const [name, value] of Object.entries(demands)) args.request.query[`x-consign-${name}`] = value;
    return next(args);
  }, { step: "build", name: "demands" });
  return command;
}

async function expect(sent, status, code = "") {
  const answer = await sent;
  const text = await answer.text();
  assert.ok(answer.status === status && text.includes(code), `${status} ${code}: ${answer.status} ${text}`);
  return answer;
}

const put = (url, body, type) => fetch(url, { method: "PUT", body, headers: type ? { "content-type": type } : {} });

async function puts() {
  const command = new s3.PutObjectCommand({ Bucket, Key: "a b+é.png" });
  const demands = { "content-length-range": "3,5", "content-type": "image/*,application/pdf", once: "1" };
  const url = await getSignedUrl(client, demanding(command, demands), { expiresIn: 600 });
  await expect(put(url, "12345", "text/html"), 403, "AccessDenied");
  await expect(put(url, "123456", "image/png"), 400, "EntityTooLarge");
  await expect(put(url.replace("3%2C5", "3%2C9"), "123456", "image/png"), 403, "SignatureDoesNotMatch");
  await expect(put(url, "12345", "image/png"), 200);
  await expect(put(url, "12345", "image/png"), 403, "AccessDenied");
}

async function parts() {
  const Key = "parts";
  const begin = demanding(new s3.CreateMultipartUploadCommand({ Bucket, Key }), { "content-length-range": "0,9" });
  const { UploadId } = await client.send(begin);
  const command = new s3.UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1 });
  const url = await getSignedUrl(client, demanding(command, { "content-length-range": "5,20" }), { expiresIn: 600 });
  await expect(put(url, "1234"), 400, "EntityTooSmall");
  await expect(put(url, "1234567890"), 400, "EntityTooLarge");
  const part = await expect(put(url, "12345"), 200);
  const Parts = [{ PartNumber: 1, ETag: part.headers.get("etag") }];
  await client.send(new s3.CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
}

async function forms() {
  const { url, fields } = await createPresignedPost(client, {
    Bucket,
    Key: "form",
    Fields: { "x-consign-once": "1" },
    Conditions: [["in", "$content-type", ["image/png", "image/gif"]]],
    Expires: 600,
  });
  const post = (type) => {
    const form = new FormData();
    for (const [name, value] of Object.entries({ ...fields, "content-type": type })) form.append(name, value);
    form.append("file", new Blob(["x"]), "x");
    return fetch(url, { method: "POST", body: form });
  };
  await expect(post("text/html"), 403, "Policy Condition failed");
  await expect(post("image/gif"), 204);
  await expect(post("image/gif"), 403, "AccessDenied");
}

async function byHand() {
  const { presign } = await import(path.join(__dirname, "../../../../data/signing/presign.mjs"));
  const keys = [process.env.AWS_ACCESS_KEY_ID, process.env.AWS_SECRET_ACCESS_KEY];
  const where = `${endpoint}/${Bucket}/by hand/é+%7E~(1)!*.txt`;
  const query = { "x-consign-content-length-range": "1,5", "x-consign-once": "1" };
  const url = presign("PUT", where, ...keys, { query, headers: { "Content-Type": "text/plain" } });
  await expect(put(url, "123456", "text/plain"), 400, "EntityTooLarge");
  await expect(put(url, "hello", "text/html"), 403, "SignatureDoesNotMatch");
  await expect(put(url, "hello", "text/plain"), 200);
  await expect(put(url, "hello", "text/plain"), 403, "AccessDenied");
  const got = await fetch(presign("GET", where, ...keys));
  assert.equal(await got.text(), "hello");
}

async function main() {
  await client.send(new s3.CreateBucketCommand({ Bucket }));
  await puts();
  await parts();
  await forms();
  await byHand();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
