"""boto3, botocore's signer and plain HTTP through a real nginx: with its Host and without, and below a path."""

import base64
import hashlib
import http.client
import os
import zlib
from urllib.parse import urlsplit

import boto3
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

MIB = 1024 * 1024
BUCKET = "proxied"
KEYS = ["plain", "with space +%&=;é.txt", "two//slashes/../dots/.", "a+b", "tail/"]
CREDENTIALS = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])


def client(endpoint):
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return boto3.client("s3", endpoint_url=endpoint, config=config)


def by_header(s3):
    for key in KEYS:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode(), ContentType="text/plain", Metadata={"a": "b  c"})
        got = s3.get_object(Bucket=BUCKET, Key=key)
        assert got["Body"].read() == key.encode() and got["Metadata"] == {"a": "b  c"}, key
    listed = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/", Prefix="two/")
    assert listed["CommonPrefixes"] == [{"Prefix": "two//"}], listed


def by_url(s3):
    for key in KEYS:
        where = {"Bucket": BUCKET, "Key": key}
        typed = dict(where, ContentType="image/png")
        put = s3.generate_presigned_url("put_object", Params=typed, ExpiresIn=60)
        # A client that folds paths would send another one than was signed.
        answer = plain("PUT", put, {"content-type": "image/png"}, b"by url")
        assert answer[0] == 200, (key, answer)
        assert plain("PUT", put, {"content-type": "text/html"}, b"")[0] == 403
        get = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
        assert plain("GET", get, {}, None) == (200, b"by url"), key
        assert plain("GET", get + "&utm_source=mail", {}, None)[0] == 403


def plain(method, url, headers, body):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.request(method, url[len(f"{parts.scheme}://{parts.netloc}"):], body=body, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def by_form(s3, public):
    form = s3.generate_presigned_post(BUCKET, "form/${filename}", ExpiresIn=60)
    answer = requests.post(form["url"], data=form["fields"], files={"file": ("cat.txt", b"meow")})
    assert answer.status_code == 204, answer.text
    assert answer.headers["location"] == f"{public}/{BUCKET}/form%2Fcat.txt", answer.headers


def in_chunks(endpoint):
    """A body of unknown length on the wire, in chunks of its own with a trailer."""
    body = os.urandom(3 * MIB + 5)
    url = f"{endpoint}/{BUCKET}/chunked"
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(len(body)),
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    request = AWSRequest(method="PUT", url=url, headers=headers)
    request.context["checksum"] = {"request_algorithm": {"in": "trailer", "algorithm": "crc32"}}
    S3SigV4Auth(CREDENTIALS, "s3", "us-east-1").add_auth(request)
    assert request.headers["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    checksum = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()

    def pieces(checksum):
        for at in range(0, len(body), MIB):
            piece = body[at:at + MIB]
            yield b"%x\r\n" % len(piece) + piece + b"\r\n"
        yield f"0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()

    # As a stream, which HTTP chunks once more, and with its length.
    for data in (pieces(checksum), b"".join(pieces(checksum))):
        answer = requests.put(url, data=data, headers=dict(request.headers.items()))
        assert answer.status_code == 200, answer.text
    wrong = b"".join(pieces("AAAAAA=="))
    answer = requests.put(url, data=wrong, headers=dict(request.headers.items()))
    assert answer.status_code == 400 and "BadDigest" in answer.text, answer.text
    got = client(endpoint).get_object(Bucket=BUCKET, Key="chunked")
    assert got["Body"].read() == body


def large(s3, endpoint):
    piece = os.urandom(MIB)
    path = os.path.join(os.environ["CONSIGN_WORK"], "large")
    with open(path, "wb") as file:
        for _ in range(100):
            file.write(piece)
    with open(path, "rb") as file:
        s3.put_object(Bucket=BUCKET, Key="large", Body=file)
    with open(path, "rb") as file:
        url = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "larger"}, ExpiresIn=60)
        assert requests.put(url, data=file).status_code == 200
    want = hashlib.sha256(piece * 100).digest()
    for key in ("large", "larger"):
        got = hashlib.sha256()
        for part in s3.get_object(Bucket=BUCKET, Key=key)["Body"].iter_chunks(MIB):
            got.update(part)
        assert got.digest() == want, key


def expects(s3):
    """A refusal comes before the body does."""
    url = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "k"}, ExpiresIn=60)
    headers = {"expect": "100-continue"}
    assert plain("PUT", url, headers, b"expected")[0] == 200
    assert plain("PUT", url.replace("/k?", "/other?"), headers, b"expected")[0] == 403


for number, name in enumerate(("CONSIGN_KEPT", "CONSIGN_REWRITTEN", "CONSIGN_PREFIXED", "CONSIGN_STRIPPED")):
    endpoint = os.environ[name]
    s3 = client(endpoint)
    if number == 0:
        s3.create_bucket(Bucket=BUCKET)
        large(s3, endpoint)
    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == [BUCKET]
    by_header(s3)
    by_url(s3)
    # A proxy that hides the host that was asked for leaves the first of the public URLs.
    by_form(s3, os.environ["CONSIGN_KEPT"] if name == "CONSIGN_REWRITTEN" else endpoint)
    in_chunks(endpoint)
    expects(s3)
