"""What is asked of Consign, through boto3. The URLs are signed offline: nothing is sent to make one."""

import os
from urllib.parse import quote

import boto3
from botocore.client import Config

BUCKET = os.environ.get("BUCKET", "uploads")
PART_BYTES = int(os.environ.get("PART_BYTES", 8 * 1024 * 1024))
PARTS_MAX = 10_000

# The endpoint, the region and the keys come from AWS_ENDPOINT_URL, AWS_DEFAULT_REGION and AWS_*_KEY.
client = boto3.client(
    "s3",
    region_name=os.environ.get("AWS_REGION"),
    config=Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        # Otherwise a URL may demand a checksum that no browser sends.
        request_checksum_calculation="when_required",
    ),
)


def once(request, signature_version, **_):
    """Consign's own: the URL is good for one upload. S3 does not know it, and ignores it."""
    if signature_version.endswith("-query"):  # and not "-presign-post": a form has it among its fields
        request.url += "&x-consign-once=1" if "?" in request.url else "?x-consign-once=1"


client.meta.events.register("before-sign.s3.PutObject", once)


def part_bytes(size):
    return max(PART_BYTES, -(-size // PARTS_MAX))


def bytes_of_part(size, part):
    """How many bytes the part of this number has; none where there is no such part."""
    each = part_bytes(size)
    if not isinstance(part, int) or not 1 <= part <= -(-size // each):
        return None
    return min(each, size - (part - 1) * each)


def presign(operation, seconds, **parameters):
    return client.generate_presigned_url(operation, Params={"Bucket": BUCKET, **parameters}, ExpiresIn=seconds)


def put_url(key, type, size, seconds):
    # A header that is signed must come as it was signed: this is what bounds a presigned PUT.
    url = presign("put_object", seconds, Key=key, ContentType=type, ContentLength=size)
    return {"url": url, "headers": {"content-type": type}}


def post_policy(key, type, size, seconds):
    fields = {"Content-Type": type, "success_action_status": "201", "x-consign-once": "1"}
    conditions = [{name: value} for name, value in fields.items()]
    conditions.append(["content-length-range", size, size])
    return client.generate_presigned_post(BUCKET, key, fields, conditions, ExpiresIn=seconds)


def create_url(key, type, seconds):
    url = presign("create_multipart_upload", seconds, Key=key, ContentType=type)
    return {"url": url, "headers": {"content-type": type}}


def part_url(key, upload_id, part, length, seconds):
    about = {"Key": key, "UploadId": upload_id, "PartNumber": part, "ContentLength": length}
    return {"url": presign("upload_part", seconds, **about)}


def upload_url(operation, key, upload_id, seconds):
    """A URL for "list_parts", "complete_multipart_upload" or "abort_multipart_upload"."""
    return {"url": presign(operation, seconds, Key=key, UploadId=upload_id)}


def download_url(key, name, seconds):
    # Always a download: a page that somebody uploaded never runs.
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return presign("get_object", seconds, Key=key, ResponseContentDisposition=disposition)


def create_multipart(key, type):
    return client.create_multipart_upload(Bucket=BUCKET, Key=key, ContentType=type)["UploadId"]


def list_parts(key, upload_id):
    pages = client.get_paginator("list_parts").paginate(Bucket=BUCKET, Key=key, UploadId=upload_id)
    return [
        {"number": part["PartNumber"], "size": part["Size"], "etag": part["ETag"]}
        for page in pages
        for part in page.get("Parts", [])
    ]


def complete_multipart(key, upload_id, parts):
    parts = [{"PartNumber": part["number"], "ETag": part["etag"]} for part in parts]
    client.complete_multipart_upload(
        Bucket=BUCKET, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
    )


def abort_multipart(key, upload_id):
    try:
        client.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload_id)
    except client.exceptions.NoSuchUpload:
        pass  # already gone, which is what was wanted
