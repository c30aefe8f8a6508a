"""Demands in what boto3 signs, as the README shows it, and in what data/signing/presign.py signs."""

import os
import sys
from pathlib import Path
from urllib.parse import urlencode, quote

import boto3
import requests
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).parents[3] / "data" / "signing"))
from presign import presign  # noqa: E402

BUCKET = "boto-demands"
ENDPOINT = os.environ["CONSIGN_ENDPOINT"]
s3 = boto3.client("s3", endpoint_url=ENDPOINT, config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))


def demand(operation, **demands):
    """Every `operation` that this client signs from now on demands these."""
    text = urlencode({f"x-consign-{name.replace('_', '-')}": value for name, value in demands.items()}, quote_via=quote)

    def add(request, **_):
        request.url += ("&" if "?" in request.url else "?") + text

    s3.meta.events.unregister(f"before-sign.s3.{operation}", unique_id=operation)
    s3.meta.events.register(f"before-sign.s3.{operation}", add, unique_id=operation)


def expect(answer, status, code=""):
    assert answer.status_code == status and code in answer.text, f"{status} {code}: {answer.status_code} {answer.text}"


def puts():
    demand("PutObject", content_length_range="3,5", content_type="image/*,application/pdf", once="1")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "a b+é.png"}, ExpiresIn=600)
    png = {"content-type": "image/png"}
    expect(requests.put(url, data=b"12345", headers={"content-type": "text/html"}), 403, "AccessDenied")
    expect(requests.put(url, data=b"123456", headers=png), 400, "EntityTooLarge")
    expect(requests.put(url, data=b"12", headers=png), 400, "EntityTooSmall")
    expect(requests.put(url.replace("3%2C5", "3%2C9"), data=b"123456", headers=png), 403, "SignatureDoesNotMatch")
    expect(requests.put(url, data=b"12345", headers=png), 200)
    expect(requests.put(url, data=b"12345", headers=png), 403, "AccessDenied")


def parts():
    # Signed in the header by the app server itself.
    demand("CreateMultipartUpload", content_length_range="0,9")
    where = {"Bucket": BUCKET, "Key": "parts"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    demand("UploadPart", require="checksum")
    params = dict(where, UploadId=upload, PartNumber=1)
    url = s3.generate_presigned_url("upload_part", Params=params, ExpiresIn=600)
    expect(requests.put(url, data=b"12345"), 400, "InvalidRequest")
    md5 = {"content-md5": "gnzLDuqKcGxMNKFokfhOew=="}
    expect(requests.put(url, data=b"1234567890", headers=md5), 400, "EntityTooLarge")
    part = requests.put(url, data=b"12345", headers=md5)
    expect(part, 200)
    done = [{"PartNumber": 1, "ETag": part.headers["etag"]}]
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": done})


def forms():
    # boto3 signs a form's address as a PutObject too.
    s3.meta.events.unregister("before-sign.s3.PutObject", unique_id="PutObject")
    demands = {"x-consign-once": "1", "x-consign-content-type": "image/*"}
    conditions = [{name: value} for name, value in demands.items()]
    conditions.append(["in", "$content-type", ["image/png", "text/html"]])
    form = s3.generate_presigned_post(BUCKET, "form", Fields=demands, Conditions=conditions, ExpiresIn=600)

    def post(kind):
        fields = dict(form["fields"], **{"content-type": kind})
        return requests.post(form["url"], data=fields, files={"file": b"x"})

    expect(post("image/gif"), 403, "Policy Condition failed")
    expect(post("text/html"), 403, "x-consign-content-type")
    expect(post("image/png"), 204)
    expect(post("image/png"), 403, "AccessDenied")


def by_hand():
    keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    url = f"{ENDPOINT}/{BUCKET}/by hand/é+%7E~(1)!*.txt"
    demands = {"x-consign-content-length-range": "1,5", "x-consign-once": "1"}
    put = presign("PUT", url, *keys, demands, {"Content-Type": "text/plain"})
    plain = {"content-type": "text/plain"}
    expect(requests.put(put, data=b"123456", headers=plain), 400, "EntityTooLarge")
    expect(requests.put(put, data=b"hello", headers={"content-type": "text/html"}), 403, "SignatureDoesNotMatch")
    expect(requests.put(put, data=b"hello", headers=plain), 200)
    expect(requests.put(put, data=b"hello", headers=plain), 403, "AccessDenied")
    got = requests.get(presign("GET", url, *keys))
    assert (got.status_code, got.content) == (200, b"hello"), got.text


s3.create_bucket(Bucket=BUCKET)
puts()
parts()
forms()
by_hand()
