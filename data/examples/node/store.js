// What is asked of Consign, through the AWS SDK. The URLs are signed offline: nothing is sent to make one.
import * as s3 from "@aws-sdk/client-s3";
import { createPresignedPost } from "@aws-sdk/s3-presigned-post";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const Bucket = process.env.BUCKET || "uploads";
const PART_BYTES = Number(process.env.PART_BYTES || 8 * 1024 * 1024);
const PARTS_MAX = 10_000;

// The endpoint, the region and the keys come from AWS_ENDPOINT_URL, AWS_REGION and AWS_*_KEY.
const client = new s3.S3Client({
  forcePathStyle: true,
  // Otherwise the SDK signs the checksum of an empty body into the URL, and no file matches it.
  requestChecksumCalculation: "WHEN_REQUIRED",
});

export const partBytes = (size) => Math.max(PART_BYTES, Math.ceil(size / PARTS_MAX));

/** How many bytes the part of this number has; none where there is no such part. */
export function bytesOfPart(size, part) {
  const bytes = partBytes(size);
  const whole = Number.isSafeInteger(part) && part >= 1 && part <= Math.ceil(size / bytes);
  return whole ? Math.min(bytes, size - (part - 1) * bytes) : undefined;
}

// A header that is signed must come as it was signed: this is what bounds a presigned PUT.
const presign = async (command, expiresIn, ...signedHeaders) => ({
  url: await getSignedUrl(client, command, { expiresIn, signableHeaders: new Set(["host", ...signedHeaders]) }),
});

export async function putUrl(Key, { type, size }, seconds) {
  const put = new s3.PutObjectCommand({ Bucket, Key, ContentType: type, ContentLength: size });
  // Consign's own: the URL is good for one upload. S3 does not know it, and ignores it.
  const once = (next) => (args) => {
    args.request.query["x-consign-once"] = "1";
    return next(args);
  };
  put.middlewareStack.add(once, { step: "build" });
  return { ...(await presign(put, seconds, "content-type", "content-length")), headers: { "content-type": type } };
}

export function postPolicy(Key, { type, size }, seconds) {
  return createPresignedPost(client, {
    Bucket,
    Key,
    Fields: { "Content-Type": type, success_action_status: "201", "x-consign-once": "1" },
    Conditions: [["content-length-range", size, size]],
    Expires: seconds,
  });
}

export async function createUrl(Key, type, seconds) {
  const create = new s3.CreateMultipartUploadCommand({ Bucket, Key, ContentType: type });
  return { ...(await presign(create, seconds, "content-type")), headers: { "content-type": type } };
}

export const partUrl = (Key, { uploadId: UploadId, part: PartNumber, bytes: ContentLength }, seconds) =>
  presign(new s3.UploadPartCommand({ Bucket, Key, UploadId, PartNumber, ContentLength }), seconds, "content-length");

export const listUrl = (Key, UploadId, seconds) => presign(new s3.ListPartsCommand({ Bucket, Key, UploadId }), seconds);

export const completeUrl = (Key, UploadId, seconds) =>
  presign(new s3.CompleteMultipartUploadCommand({ Bucket, Key, UploadId }), seconds);

export const abortUrl = (Key, UploadId, seconds) =>
  presign(new s3.AbortMultipartUploadCommand({ Bucket, Key, UploadId }), seconds);

export async function downloadUrl(Key, name, seconds) {
  // Always a download: a page that somebody uploaded never runs.
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (one) => `%${one.charCodeAt(0).toString(16)}`);
  const ResponseContentDisposition = `attachment; filename*=UTF-8''${encoded}`;
  return (await presign(new s3.GetObjectCommand({ Bucket, Key, ResponseContentDisposition }), seconds)).url;
}

export async function createMultipart(Key, type) {
  const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key, ContentType: type }));
  return UploadId;
}

export async function listParts(Key, UploadId) {
  const parts = [];
  // Not `paginateListParts`: it heeds the marker alone, which S3 sends on the last page too, and never ends.
  for (let PartNumberMarker, more = true; more; ) {
    const page = await client.send(new s3.ListPartsCommand({ Bucket, Key, UploadId, PartNumberMarker }));
    parts.push(...(page.Parts ?? []).map((part) => ({ number: part.PartNumber, size: part.Size, etag: part.ETag })));
    PartNumberMarker = page.NextPartNumberMarker;
    more = page.IsTruncated;
  }
  return parts;
}

export async function completeMultipart(Key, UploadId, parts) {
  const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag }));
  await client.send(new s3.CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
}

export async function abortMultipart(Key, UploadId) {
  try {
    await client.send(new s3.AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  } catch (error) {
    if (error.name !== "NoSuchUpload") throw error; // already gone, which is what was wanted
  }
}
