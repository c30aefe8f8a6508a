// aws-sdk-js v3: put, get, list, multipart, the presigner and presigned-post.
const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const s3 = require("@aws-sdk/client-s3");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");
const { createPresignedPost } = require("@aws-sdk/s3-presigned-post");

const Bucket = "js-uploads";
const client = new s3.S3Client({ endpoint: process.env.CONSIGN_ENDPOINT, region: "us-east-1", forcePathStyle: true });

async function objects() {
  await client.send(new s3.CreateBucketCommand({ Bucket }));
  await client.send(new s3.PutObjectCommand({ Bucket, Key: "a/ü +%.txt", Body: "hello", Metadata: { by: "js" } }));
  const got = await client.send(new s3.GetObjectCommand({ Bucket, Key: "a/ü +%.txt" }));
  assert.equal(await got.Body.transformToString(), "hello");
  assert.deepEqual(got.Metadata, { by: "js" });
  const listed = await client.send(new s3.ListObjectsV2Command({ Bucket, Prefix: "a/" }));
  assert.deepEqual(listed.Contents.map((one) => one.Key), ["a/ü +%.txt"]);
}

async function multipart() {
  const Key = "large";
  const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key }));
  const bodies = [randomBytes(5 * 1024 * 1024), randomBytes(1000)];
  const Parts = [];
  for (const [index, Body] of bodies.entries()) {
    const PartNumber = index + 1;
    const { ETag } = await client.send(new s3.UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
    Parts.push({ ETag, PartNumber });
  }
  const done = await client.send(
    new s3.CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }),
  );
  assert.match(done.ETag, /-2"$/);
  const got = await client.send(new s3.GetObjectCommand({ Bucket, Key }));
  assert.ok(Buffer.concat(bodies).equals(Buffer.from(await got.Body.transformToByteArray())));
}

async function presigned() {
  const Key = "presigned.txt";
  const put = await getSignedUrl(client, new s3.PutObjectCommand({ Bucket, Key }), { expiresIn: 60 });
  let answer = await fetch(put, { method: "PUT", body: "by url" });
  assert.equal(answer.status, 200, await answer.text());
  const get = await getSignedUrl(client, new s3.GetObjectCommand({ Bucket, Key }), { expiresIn: 60 });
  answer = await fetch(get);
  assert.equal(await answer.text(), "by url");
  answer = await fetch(get.replace("presigned.txt", "presigned.tx"));
  assert.equal(answer.status, 403);
}

async function form() {
  const { url, fields } = await createPresignedPost(client, {
    Bucket,
    Key: "form/${filename}",
    Conditions: [["content-length-range", 0, 10], ["starts-with", "$key", "form/"]],
    Expires: 60,
  });
  const send = (body) => {
    const data = new FormData();
    for (const [name, value] of Object.entries(fields)) data.append(name, value);
    data.append("file", new Blob([body]), "f.txt");
    return fetch(url, { method: "POST", body: data });
  };
  let answer = await send("by form");
  assert.equal(answer.status, 204, await answer.text());
  const got = await client.send(new s3.GetObjectCommand({ Bucket, Key: "form/f.txt" }));
  assert.equal(await got.Body.transformToString(), "by form");
  answer = await send("more than ten");
  assert.equal(answer.status, 400);
  assert.match(await answer.text(), /EntityTooLarge/);
}

(async () => {
  await objects();
  await multipart();
  await presigned();
  await form();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
