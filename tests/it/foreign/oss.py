"""OSS's own SDKs, unmodified, against the OSS dialect; boto3 beside them, for the same buckets."""

import base64
import datetime
import hashlib
import hmac
import json
import os
import re
import sys
import time
import urllib.parse

import alibabacloud_oss_v2 as v2
import boto3
import oss2
import requests

from oss_receiver import Receiver, order, variables

ENDPOINT = os.environ["CONSIGN_ENDPOINT"]
AK, SK = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
REGION = os.environ["AWS_REGION"]
ADDRESS = os.environ["CONSIGN_RECEIVER"]
HOOK = f"http://{ADDRESS}/hooks"
BUCKET = "oss-bucket"
FORM = "bucket=${bucket}&object=${object}&etag=${etag}&size=${size}&type=${mimeType}&me=${x:me}"

s3 = boto3.client("s3", endpoint_url=ENDPOINT, config=boto3.session.Config(s3={"addressing_style": "path"}))
s3.create_bucket(Bucket=BUCKET)
receiver = Receiver(ADDRESS, ENDPOINT)


def bucket(version, secret=SK):
    auth = oss2.Auth(AK, secret) if version == 1 else oss2.AuthV4(AK, secret)
    return oss2.Bucket(auth, ENDPOINT, BUCKET, region=REGION, is_path_style=True)


def refused(code, status, call):
    try:
        call()
    except oss2.exceptions.OssError as error:
        assert (error.status, error.code) == (status, code), error
        assert error.request_id
        return error
    raise AssertionError(f"{code} was expected")


def objects(b, name):
    """Put, get, head, ranges, conditions, metadata, deletion."""
    data = b"x" * 100_000
    headers = {"x-oss-meta-a": "B", "x-oss-object-acl": "default", "Content-Type": "text/plain", "x-oss-storage-class": "Standard"}
    put = b.put_object(name, data, headers=headers)
    assert put.status == 200 and put.crc is not None
    assert put.etag == hashlib.md5(data).hexdigest().upper()
    got = b.get_object(name)
    assert got.read() == data and got.client_crc == got.server_crc == put.crc
    assert got.headers["x-oss-meta-a"] == "B" and got.content_type == "text/plain"
    assert got.headers["x-oss-object-type"] == "Normal"
    assert not any(header.lower().startswith("x-amz") for header in got.headers)
    assert b.get_object(name, byte_range=(10, 19)).read() == data[10:20]
    shown = b.get_object(name, params={"response-content-type": "text/html"})
    assert shown.content_type == "text/html"
    head = b.head_object(name)
    assert head.content_length == len(data) and head.etag == put.etag
    assert b.get_object_meta(name).content_length == len(data)
    assert b.object_exists(name) and not b.object_exists(name + "-not")
    refused("", 304, lambda: b.get_object(name, headers={"If-None-Match": f'"{put.etag}"'}))
    refused("PreconditionFailed", 412, lambda: b.get_object(name, headers={"If-Match": '"00"'}))
    assert b.get_object(name, headers={"If-Match": f'"{put.etag}"'}).read() == data
    refused("FileAlreadyExists", 409, lambda: b.put_object(name, b"y", headers={"x-oss-forbid-overwrite": "true"}))
    refused("NotImplemented", 501, lambda: b.put_object(name, b"y", headers={"x-oss-storage-class": "IA"}))
    refused("NotImplemented", 501, lambda: b.get_object_acl(name))
    refused("NoSuchKey", 404, lambda: b.get_object(name + "-not"))
    refused("NoSuchKey", 404, lambda: b.head_object(name + "-not"))
    refused("InvalidDigest", 400, lambda: b.put_object(name, b"y", headers={"Content-MD5": base64.b64encode(b"0" * 16).decode()}))
    b.copy_object(BUCKET, name, name + "-copy")
    assert b.get_object(name + "-copy").read() == data
    assert b.head_object(name + "-copy").server_crc == put.crc
    # The same object to S3's client, and one of S3's to OSS's.
    assert s3.get_object(Bucket=BUCKET, Key=name)["Metadata"] == {"a": "B"}
    s3.put_object(Bucket=BUCKET, Key=name, Body=b"of S3", Metadata={"c": "d"})
    got = b.get_object(name)
    assert got.read() == b"of S3" and got.headers["x-oss-meta-c"] == "d"
    assert got.client_crc == got.server_crc
    assert b.delete_object(name).status == 204
    assert b.batch_delete_objects([name, name + "-copy"]).deleted_keys == [name, name + "-copy"]
    assert not b.object_exists(name + "-copy")


def listings(b, prefix):
    keys = [f"{prefix}/{folder}/ü {n}&" for folder in "ab" for n in range(3)]
    for key in keys:
        b.put_object(key, b"1")
    listed = [one for one in oss2.ObjectIterator(b, prefix=prefix, max_keys=2)]
    assert [one.key for one in listed] == keys, listed
    assert listed[0].etag == hashlib.md5(b"1").hexdigest().upper() and listed[0].type == "Normal"
    folders = [one.key for one in oss2.ObjectIterator(b, prefix=prefix + "/", delimiter="/", max_keys=1)]
    assert folders == [f"{prefix}/a/", f"{prefix}/b/"], folders
    second = [one.key for one in oss2.ObjectIteratorV2(b, prefix=prefix, max_keys=4)]
    assert second == keys
    assert b.list_objects_v2(prefix=prefix, start_after=keys[3]).object_list[0].key == keys[4]
    assert sorted(b.batch_delete_objects(keys).deleted_keys) == sorted(keys)


def multipart(b, key):
    size = 5 << 20
    parts, data = [], [os.urandom(size), os.urandom(1000)]
    upload = b.init_multipart_upload(key, headers={"Content-Type": "image/x", "x-oss-meta-p": "q"}).upload_id
    for number, piece in enumerate(data, 1):
        result = b.upload_part(key, upload, number, piece)
        assert result.crc is not None
        parts.append(oss2.models.PartInfo(number, result.etag, size=len(piece), part_crc=result.crc))
    listed = b.list_parts(key, upload).parts
    assert [(part.part_number, part.size, part.etag) for part in listed] == [(1, size, parts[0].etag), (2, 1000, parts[1].etag)]
    assert [one.key for one in oss2.MultipartUploadIterator(b, prefix=key)] == [key]
    headers = {"x-oss-callback": order(HOOK, FORM), "x-oss-callback-var": variables(me="ann")}
    done = b.complete_multipart_upload(key, upload, parts, headers=headers)
    assert done.status == 200 and done.resp.read() == b'{"Status":"OK"}' and done.crc
    told = urllib.parse.parse_qs(receiver.last()[2].decode())
    assert told["etag"] == [done.etag] and told["size"] == [str(size + 1000)] and told["me"] == ["ann"], told
    assert told["type"] == ["image/x"]
    head = b.head_object(key)
    assert head.headers["x-oss-object-type"] == "Multipart" and head.server_crc == done.crc
    got = b.get_object(key)
    assert got.read() == b"".join(data) and got.client_crc == got.server_crc
    gone = b.init_multipart_upload(key).upload_id
    b.upload_part(key, gone, 1, b"x")
    assert b.abort_multipart_upload(key, gone).status == 204
    refused("NoSuchUpload", 404, lambda: b.list_parts(key, gone))
    refused("InvalidPart", 400, lambda: b.complete_multipart_upload(key, b.init_multipart_upload(key).upload_id, parts))
    with open("large", "wb") as file:
        file.write(data[0] + data[1])
    oss2.resumable_upload(b, key + "-r", "large", multipart_threshold=1 << 20, part_size=size, num_threads=2)
    assert b.get_object(key + "-r").read() == b"".join(data)


def urls(b, version):
    key = f"url {version}+ä.txt"
    headers = {"Content-Type": "text/plain", "x-oss-meta-u": "1"}
    put = b.sign_url("PUT", key, 60, headers=dict(headers), slash_safe=True)
    assert requests.put(put, data=b"by url", headers={**headers, "x-oss-meta-u": "2"}).status_code == 403
    assert requests.put(put, data=b"by url", headers=headers).status_code == 200
    get = b.sign_url("GET", key, 60, params={"response-content-type": "text/html"}, slash_safe=True)
    got = requests.get(get)
    assert got.content == b"by url" and got.headers["content-type"] == "text/html" and got.headers["x-oss-meta-u"] == "1"
    altered = requests.get(get.replace("html", "plain"))
    assert altered.status_code == 403 and "<Code>SignatureDoesNotMatch</Code>" in altered.text, altered.text
    assert requests.delete(get).status_code == 403
    assert SK not in altered.text and "OSSAccessKeyId" in altered.text
    late = requests.get(b.sign_url("GET", key, -1 if version == 1 else 1, slash_safe=True)) if version == 1 else None
    assert late is None or (late.status_code == 403 and "Request has expired." in late.text)
    mixed = requests.get(get + "&X-Amz-Date=1")
    assert mixed.status_code == 400 and "<Code>InvalidArgument</Code>" in mixed.text, mixed.text
    assert requests.get(get, headers={"x-amz-meta-a": "b"}).status_code == 400
    # The callback in the URL itself, which its signature covers.
    params = {"callback": order(HOOK + "?from=url", FORM), "callback-var": variables(me="url")}
    put = b.sign_url("PUT", key, 60, params=params, slash_safe=True)
    answer = requests.put(put, data=b"by url")
    assert answer.status_code == 200 and answer.json() == {"Status": "OK"}
    path, _, body = receiver.last()
    assert path == "/hooks?from=url" and b"me=url" in body
    other = urllib.parse.quote(order("http://10.0.0.1/", FORM), safe="")
    swapped = re.sub("([?&])callback=[^&]*", rf"\1callback={other}", put)
    answer = requests.put(swapped, data=b"x")
    assert swapped != put and answer.status_code == 403, answer.text


def callbacks(b):
    key = 'hooks/a "b"&c.png'
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes([0, 0, 0, 3, 0, 0, 0, 2, 8, 6, 0, 0, 0]) + b"\0" * 16
    names = ["bucket", "object", "etag", "size", "mimeType", "imageInfo.height", "imageInfo.width", "imageInfo.format",
             "crc64", "contentMd5", "vpcId", "clientIp", "reqId", "operation", "x:me", "x:none"]
    body = "{" + ",".join(f'"{name}":${{{name}}}' for name in names) + ',"quoted":"<${object}>"}'
    headers = {"x-oss-callback": order(HOOK, body, "application/json"), "x-oss-callback-var": variables(me='a"\n'),
               "Content-Type": "image/png"}
    put = b.put_object(key, png, headers=headers)
    assert put.status == 200 and put.resp.read() == b'{"Status":"OK"}'
    path, sent, body = receiver.last()
    told = json.loads(body)
    assert sent["content-type"] == "application/json" and sent["x-oss-bucket"] == BUCKET
    assert told == {"bucket": BUCKET, "object": key, "etag": hashlib.md5(png).hexdigest().upper(), "size": len(png),
                    "mimeType": "image/png", "imageInfo.height": 2, "imageInfo.width": 3, "imageInfo.format": "png",
                    "crc64": str(put.crc), "contentMd5": base64.b64encode(hashlib.md5(png).digest()).decode(), "vpcId": "",
                    "clientIp": "127.0.0.1", "reqId": put.request_id, "operation": "PutObject", "x:me": 'a"\n', "x:none": "",
                    "quoted": f"<{key}>"}, told
    # Several addresses are tried in turn.
    two = b.put_object(key, png, headers={"x-oss-callback": order(f"{HOOK}/down;{HOOK}/up", FORM)})
    assert two.status == 200 and [one[0] for one in receiver.taken[-2:]] == ["/hooks/down", "/hooks/up"]

    def failed(answer, why):
        receiver.answer = answer
        put = b.put_object(key, b"kept", headers={"x-oss-callback": order(HOOK, FORM)})
        text = put.resp.read().decode()
        receiver.answer = (200, b'{"Status":"OK"}', 0)
        assert put.status == 203 and "<Code>CallbackFailed</Code>" in text and why in text, text
        assert b.get_object(key).read() == b"kept"
        b.put_object(key, b"other")

    failed((500, b"{}", 0), "Error status : 500.")
    failed((302, b"{}", 0), "Error status : 302.")
    failed((200, b"no json", 0), "Response body is not valid json format.")
    failed((200, b'"' + b"x" * (1 << 20) + b'"', 0), "Response body is too long.")
    failed((200, b"{}", 6), "Cost too long time.")
    b.delete_object(key)
    before = len(receiver.taken)
    for bad, code, status in [
        (order("http://127.0.0.1:1/hooks", FORM), "AccessDenied", 403),
        (order(f"http://{ADDRESS}/other", FORM), "AccessDenied", 403),
        (order(f"{HOOK}/../other", FORM), "AccessDenied", 403),
        (order(f"{HOOK};http://169.254.169.254/", FORM), "AccessDenied", 403),
        (order(HOOK, FORM, callbackHost="10.0.0.1"), "AccessDenied", 403),
        (order(";".join([HOOK] * 6), FORM), "InvalidArgument", 400),
        (order(HOOK, ""), "InvalidArgument", 400),
        (order(HOOK, "${objekt}"), "InvalidArgument", 400),
        (order(HOOK, FORM, "text/plain"), "InvalidArgument", 400),
        (order(HOOK, FORM, other="1"), "InvalidArgument", 400),
        ("e30", "InvalidArgument", 400),
        ("!", "InvalidArgument", 400),
    ]:
        refused(code, status, lambda: b.put_object(key, b"x", headers={"x-oss-callback": bad}))
    refused("InvalidArgument", 400, lambda: b.put_object(key, b"x", headers={"x-oss-callback-var": variables(me="a")}))
    refused("NotImplemented", 501, lambda: b.init_multipart_upload(key, headers={"x-oss-callback": order(HOOK, FORM)}))
    assert len(receiver.taken) == before and not b.object_exists(key)
    named = b.put_object(key, b"x", headers={"x-oss-callback": order(HOOK, FORM, callbackHost=ADDRESS, callbackSNI=True)})
    assert named.status == 200 and receiver.last()[1]["host"] == ADDRESS


def form(version, conditions, seconds=60, secret=SK):
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    policy = {"expiration": until.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "conditions": [{"bucket": BUCKET}, *conditions]}
    policy = base64.b64encode(json.dumps(policy).encode())
    if version == 1:
        signature = base64.b64encode(hmac.new(secret.encode(), policy, hashlib.sha1).digest()).decode()
        return {"policy": policy.decode(), "OSSAccessKeyId": AK, "Signature": signature}
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    key = ("aliyun_v4" + secret).encode()
    for part in [now[:8], REGION, "oss", "aliyun_v4_request"]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return {
        "policy": policy.decode(), "x-oss-signature-version": "OSS4-HMAC-SHA256", "x-oss-date": now,
        "x-oss-credential": f"{AK}/{now[:8]}/{REGION}/oss/aliyun_v4_request",
        "x-oss-signature": hmac.new(key, policy, hashlib.sha256).hexdigest(),
    }


def forms(b, version):
    def post(fields, data=b"by form", kind="text/plain"):
        return requests.post(f"{ENDPOINT}/{BUCKET}/", data=fields, files={"file": ("n.txt", data, kind)}, allow_redirects=False)

    key = f"form/{version}/${{filename}}"
    signed = form(version, [["starts-with", "$key", "form/"], ["content-length-range", 1, 100]])
    fields = {"key": key, "x-oss-meta-f": "g", **signed}
    answer = post(fields)
    assert answer.status_code == 204 and answer.headers["x-oss-request-id"], answer.text
    got = b.get_object(f"form/{version}/n.txt")
    assert got.read() == b"by form" and got.headers["x-oss-meta-f"] == "g" and got.content_type == "text/plain"
    assert answer.headers["x-oss-hash-crc64ecma"] == str(got.server_crc)
    assert answer.headers["etag"] == f'"{got.etag}"'
    made = post({**fields, "success_action_status": "201", "x-oss-content-type": "image/x"})
    assert made.status_code == 201 and f"<Bucket>{BUCKET}</Bucket>" in made.text and "xmlns" not in made.text
    assert b.head_object(f"form/{version}/n.txt").content_type == "image/x"
    called = post({**fields, "callback": order(HOOK, FORM), "x:me": "form"})
    assert called.status_code == 200 and called.json() == {"Status": "OK"}, called.text
    assert b"me=form" in receiver.last()[2]
    kept = post({**fields, "x-oss-forbid-overwrite": "true"})
    assert kept.status_code == 409 and "<Code>FileAlreadyExists</Code>" in kept.text, kept.text
    for wrong, code, status in [
        ({**fields, "key": "other/n"}, "AccessDenied", 403),
        ({**fields, **form(version, [], secret="wrong")}, "SignatureDoesNotMatch", 403),
        ({**fields, **form(version, [], seconds=-1)}, "AccessDenied", 403),
        ({**fields, "policy": form(version, [])["policy"]}, "SignatureDoesNotMatch", 403),
        ({**fields, "x-amz-meta-a": "b"}, "InvalidArgument", 400),
        ({**fields, "x-oss-new": "b"}, "NotImplemented", 501),
        ({**fields, "callback": order("http://10.0.0.1/", FORM)}, "AccessDenied", 403),
        ({**fields, "callback": order(HOOK, FORM), "x:Me": "form"}, "InvalidArgument", 400),
        ({"key": key, "x-oss-meta-f": "g"}, "AccessDenied", 403),
    ]:
        answer = post(wrong)
        assert answer.status_code == status and f"<Code>{code}</Code>" in answer.text, (wrong, answer.text)
        assert f"<HostId>{ENDPOINT[7:]}</HostId>" in answer.text
    assert "<Code>EntityTooLarge</Code>" in post(fields, b"x" * 101).text
    # A form of S3's is one still.
    s3_form = s3.generate_presigned_post(BUCKET, "form/s3")
    answer = requests.post(s3_form["url"], data=s3_form["fields"], files={"file": b"x"})
    assert answer.status_code == 204 and "x-amz-request-id" in answer.headers and "x-oss-request-id" not in answer.headers


def refusals(version):
    refused("SignatureDoesNotMatch", 403, lambda: bucket(version, "wrong").put_object("k", b"x"))
    refused("SignatureDoesNotMatch", 403, lambda: bucket(version, "wrong").head_object("k"))
    auth = oss2.Auth("nobody", SK) if version == 1 else oss2.AuthV4("nobody", SK)
    nobody = oss2.Bucket(auth, ENDPOINT, BUCKET, region=REGION, is_path_style=True)
    refused("InvalidAccessKeyId", 403, lambda: nobody.get_object("k"))
    missing = oss2.Bucket(bucket(version).auth, ENDPOINT, "no-such-bucket", region=REGION, is_path_style=True)
    refused("NoSuchBucket", 404, lambda: missing.put_object("k", b"x"))
    anyone = oss2.Bucket(oss2.AnonymousAuth(), ENDPOINT, BUCKET, is_path_style=True)
    refused("AccessDenied", 403, lambda: anyone.get_object("k", headers={"x-oss-request-payer": "requester"}))


def anybody(version):
    """Who is not named may write where everybody may, but has nobody called."""
    name = f"oss-open-{version}"
    s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=name)
    s3.put_bucket_acl(Bucket=name, ACL="public-read-write")
    owner = oss2.Bucket(bucket(version).auth, ENDPOINT, name, region=REGION, is_path_style=True)
    assert owner.get_bucket_info().acl.grant == "public-read-write"
    anyone = oss2.Bucket(oss2.AnonymousAuth(), ENDPOINT, name, is_path_style=True)
    assert anyone.put_object("k", b"x", headers={"x-oss-meta-a": "b"}).crc
    refused("AccessDenied", 403, lambda: anyone.put_object("k", b"x", headers={"x-oss-callback": order(HOOK, FORM)}))
    fields = {"key": "f", "x-oss-meta-a": "b"}
    def post(fields):
        return requests.post(f"{ENDPOINT}/{name}/", data=fields, files={"file": b"x"}).status_code
    assert (post(fields), post({**fields, "callback": order(HOOK, FORM)})) == (204, 403)


def session(version):
    """Temporary credentials, with their token in a header and in a URL."""
    sts = boto3.client("sts", endpoint_url=ENDPOINT)
    given = sts.get_session_token()["Credentials"]
    kind = oss2.AUTH_VERSION_4 if version == 4 else oss2.AUTH_VERSION_1
    def with_token(token):
        auth = oss2.StsAuth(given["AccessKeyId"], given["SecretAccessKey"], token, kind)
        return oss2.Bucket(auth, ENDPOINT, BUCKET, region=REGION, is_path_style=True)
    b = with_token(given["SessionToken"])
    b.put_object("session", b"x")
    assert requests.get(b.sign_url("GET", "session", 60)).content == b"x"
    refused("InvalidToken", 400, lambda: with_token("wrong").get_object("session"))


def second_sdk(version):
    config = v2.config.load_default()
    config.credentials_provider = v2.credentials.StaticCredentialsProvider(AK, SK)
    config.region, config.endpoint, config.use_path_style = REGION, ENDPOINT, True
    config.signature_version = f"v{version}"
    client = v2.Client(config)
    key, data = f"v2/{version} ü+.bin", os.urandom(200_000)
    put = client.put_object(v2.PutObjectRequest(bucket=BUCKET, key=key, body=data, metadata={"a": "b"}, forbid_overwrite=True))
    assert put.etag == f'"{hashlib.md5(data).hexdigest().upper()}"' and put.hash_crc64
    got = client.get_object(v2.GetObjectRequest(bucket=BUCKET, key=key, range_header="bytes=5-9", range_behavior="standard"))
    assert got.body.content == data[5:10] and got.status_code == 206
    head = client.head_object(v2.HeadObjectRequest(bucket=BUCKET, key=key))
    assert head.metadata == {"a": "b"} and head.hash_crc64 == put.hash_crc64 and head.object_type == "Normal"
    pages = client.list_objects_v2_paginator().iter_page(v2.ListObjectsV2Request(bucket=BUCKET, prefix="v2/", max_keys=1))
    assert key in [one.key for page in pages for one in page.contents or []]
    pages = client.list_objects_paginator().iter_page(v2.ListObjectsRequest(bucket=BUCKET, prefix="v2/", max_keys=1))
    assert key in [one.key for page in pages for one in page.contents or []]
    info = client.get_bucket_info(v2.GetBucketInfoRequest(bucket=BUCKET)).bucket_info
    assert (info.name, info.location, info.acl) == (BUCKET, f"oss-{REGION}", "private"), vars(info)
    assert client.get_bucket_location(v2.GetBucketLocationRequest(bucket=BUCKET)).location == f"oss-{REGION}"
    uploader = client.uploader(part_size=5 << 20, parallel_num=2)
    large = os.urandom((5 << 20) + 10)
    result = uploader.upload_from(v2.PutObjectRequest(bucket=BUCKET, key=key + "l"), __import__("io").BytesIO(large))
    assert result.upload_id and client.get_object(v2.GetObjectRequest(bucket=BUCKET, key=key + "l")).body.content == large
    upload = client.initiate_multipart_upload(v2.InitiateMultipartUploadRequest(bucket=BUCKET, key=key))
    assert upload.key == key
    part = client.upload_part(v2.UploadPartRequest(bucket=BUCKET, key=key, upload_id=upload.upload_id, part_number=1, body=b"1"))
    parts = client.list_parts(v2.ListPartsRequest(bucket=BUCKET, key=key, upload_id=upload.upload_id)).parts
    assert [(one.etag, one.hash_crc64) for one in parts] == [(part.etag, part.hash_crc64)]
    done = client.complete_multipart_upload(v2.CompleteMultipartUploadRequest(
        bucket=BUCKET, key=key, upload_id=upload.upload_id, callback=order(HOOK, FORM), callback_var=variables(me="v2"),
        complete_multipart_upload=v2.CompleteMultipartUpload(parts=[v2.UploadPart(part_number=1, etag=part.etag)])))
    assert json.loads(done.callback_result if isinstance(done.callback_result, str) else json.dumps(done.callback_result)) == {"Status": "OK"}, vars(done)
    assert b"me=v2" in receiver.last()[2]
    url = client.presign(v2.PutObjectRequest(bucket=BUCKET, key=key, callback=order(HOOK, FORM)), expires=datetime.timedelta(seconds=60))
    put = requests.put(url.url, data=b"signed", headers=dict(url.signed_headers))
    assert put.status_code == 200 and put.json() == {"Status": "OK"}, put.text
    url = client.presign(v2.GetObjectRequest(bucket=BUCKET, key=key), expires=datetime.timedelta(seconds=3))
    assert requests.get(url.url).content == b"signed"
    time.sleep(4.1)  # The URL's own clock is what is tested.
    late = requests.get(url.url)
    assert late.status_code == 403 and "Request has expired." in late.text, late.text
    deleted = client.delete_multiple_objects(v2.DeleteMultipleObjectsRequest(bucket=BUCKET, objects=[v2.DeleteObject(key=key), v2.DeleteObject(key=key + "l")]))
    assert sorted(one.key for one in deleted.deleted_objects) == sorted([key, key + "l"])
    assert client.delete_object(v2.DeleteObjectRequest(bucket=BUCKET, key=key)).status_code == 204
    try:
        client.head_object(v2.HeadObjectRequest(bucket=BUCKET, key=key))
        raise AssertionError("it is gone")
    except v2.exceptions.OperationError as error:
        assert error.unwrap().code == "NoSuchKey" and error.unwrap().status_code == 404, error


for version in (1, 4):
    b = bucket(version)
    for step in (
        lambda: objects(b, f"o/ä b+{version}.txt"), lambda: listings(b, f"l{version}"), lambda: multipart(b, f"m/{version}"),
        lambda: urls(b, version), lambda: callbacks(b), lambda: forms(b, version), lambda: refusals(version),
        lambda: anybody(version), lambda: session(version), lambda: second_sdk(version),
    ):
        step()
    info = b.get_bucket_info()
    assert (info.name, info.location, info.acl.grant) == (BUCKET, f"oss-{REGION}", "private")
    assert b.get_bucket_location().location == f"oss-{REGION}"
assert all(valid for _, _, _, valid in receiver.taken) and len(receiver.taken) > 20
assert not any(path == "/elsewhere" for path, *_ in receiver.taken)
sys.exit(0)
