"""boto3 as an app server and its clients use it: upload_fileobj, presigned URL, presigned POST, listing."""

import io
import os

import boto3
import requests
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

MIB = 1024 * 1024
BUCKET = "boto-uploads"
s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["CONSIGN_ENDPOINT"],
    config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
)


def uploads(key, size):
    body = os.urandom(size)
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=5 * MIB)
    s3.upload_fileobj(io.BytesIO(body), BUCKET, key, Config=config)
    back = io.BytesIO()
    s3.download_fileobj(BUCKET, key, back)
    assert back.getvalue() == body, key


def presigned_urls():
    where = {"Bucket": BUCKET, "Key": "presigned +%/é.txt"}
    typed = dict(where, ContentType="text/plain")
    put = s3.generate_presigned_url("put_object", Params=typed, ExpiresIn=60)
    answer = requests.put(put, data=b"hello", headers={"content-type": "text/plain"})
    assert answer.status_code == 200, answer.text
    answer = requests.put(put, data=b"hello", headers={"content-type": "text/html"})
    assert answer.status_code == 403 and "SignatureDoesNotMatch" in answer.text, answer.text
    get = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
    answer = requests.get(get)
    assert (answer.status_code, answer.content) == (200, b"hello"), answer.text
    assert answer.headers["content-type"] == "text/plain"
    assert requests.get(get + "0").status_code == 403


def post(fields, url, body):
    return requests.post(url, data=fields, files={"file": ("cat.jpg", body)})


def presigned_posts():
    form = s3.generate_presigned_post(
        BUCKET,
        "form/${filename}",
        Fields={"success_action_status": "201", "x-amz-meta-by": "form"},
        Conditions=[
            {"success_action_status": "201"},
            {"x-amz-meta-by": "form"},
            ["content-length-range", 1, 1000],
        ],
        ExpiresIn=60,
    )
    answer = post(form["fields"], form["url"], b"meow")
    assert answer.status_code == 201 and "<Key>form/cat.jpg</Key>" in answer.text, answer.text
    kept = s3.get_object(Bucket=BUCKET, Key="form/cat.jpg")
    assert kept["Body"].read() == b"meow" and kept["Metadata"] == {"by": "form"}
    answer = post(form["fields"], form["url"], b"x" * 1001)
    assert answer.status_code == 400 and "EntityTooLarge" in answer.text, answer.text
    answer = post(form["fields"], form["url"], b"")
    assert answer.status_code == 400 and "EntityTooSmall" in answer.text, answer.text
    answer = post(dict(form["fields"], acl="public-read"), form["url"], b"meow")
    assert answer.status_code == 403, answer.text
    assert s3.get_object(Bucket=BUCKET, Key="form/cat.jpg")["Body"].read() == b"meow"


def checksums():
    names = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "XXHASH64", "XXHASH3", "XXHASH128"]
    for name in names:
        body = os.urandom(100_000)
        where = {"Bucket": BUCKET, "Key": "sum/" + name}
        put = s3.put_object(**where, Body=body, ChecksumAlgorithm=name)
        got = s3.get_object(**where, ChecksumMode="ENABLED")
        # botocore computes it before it sends, and again over what it reads.
        field = "Checksum" + name
        assert got["Body"].read() == body and got[field] == put[field], (name, put, got)
    body = os.urandom(12 * MIB)
    for name in ("CRC32C", "SHA256", "CRC64NVME"):
        config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
        extra = {"ChecksumAlgorithm": name}
        s3.upload_fileobj(io.BytesIO(body), BUCKET, "sum/parts", ExtraArgs=extra, Config=config)
        got = s3.get_object(Bucket=BUCKET, Key="sum/parts", ChecksumMode="ENABLED")
        assert got["Body"].read() == body
        whole = name == "CRC64NVME"
        assert got["ChecksumType"] == ("FULL_OBJECT" if whole else "COMPOSITE"), got
        assert got["Checksum" + name].endswith("-3") != whole, got


def lists_and_deletes():
    keys = [f"list/{n:03}" for n in range(25)]
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="list/", PaginationConfig={"PageSize": 10}
    )
    assert [item["Key"] for page in pages for item in page["Contents"]] == keys
    top = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")
    assert {"Prefix": "list/"} in top["CommonPrefixes"]
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
    assert len(answer["Deleted"]) == 25 and "Errors" not in answer
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="list/")["KeyCount"] == 0


def settings():
    """What SDKs parse of a bucket's settings and of what is known of an object."""
    name = "boto-settings"
    tags = [{"Key": "team", "Value": "a"}]
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"Tags": tags}, ObjectOwnership="ObjectWriter")
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == tags
    rules = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "ObjectWriter"}], rules
    assert s3.get_bucket_policy_status(Bucket=name)["PolicyStatus"] == {"IsPublic": False}
    block = dict.fromkeys(
        ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"], False
    )
    assert s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"] == block
    block["BlockPublicAcls"] = True
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"] == block
    s3.delete_public_access_block(Bucket=name)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    got = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert got == [rule], got
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)

    sent = s3.put_object(Bucket=name, Key="from", Body=b"hello", ACL="public-read", ChecksumAlgorithm="SHA256")
    acl = s3.get_object_acl(Bucket=name, Key="from")
    everybody = "http://acs.amazonaws.com/groups/global/AllUsers"
    granted = [(one["Grantee"].get("URI", one["Grantee"].get("ID")), one["Permission"]) for one in acl["Grants"]]
    assert granted == [(everybody, "READ"), (acl["Owner"]["ID"], "FULL_CONTROL")], granted
    s3.rename_object(Bucket=name, Key="to", RenameSource="from")
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    got = s3.get_object_attributes(Bucket=name, Key="to", ObjectAttributes=wanted)
    assert got["ETag"] == sent["ETag"].strip('"') and got["ObjectSize"] == 5, got
    assert got["StorageClass"] == "STANDARD" and "ObjectParts" not in got, got
    assert got["Checksum"] == {"ChecksumSHA256": sent["ChecksumSHA256"], "ChecksumType": "FULL_OBJECT"}, got
    try:
        s3.rename_object(Bucket=name, Key="to", RenameSource="from")
    except ClientError as error:
        told = error.response["Error"]
        assert (told["Code"], told["Key"]) == ("NoSuchKey", "from"), told
    else:
        raise AssertionError("an absent key was renamed")


def refuses_what_is_absent():
    try:
        s3.get_object(Bucket=BUCKET, Key="absent")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchKey", error
    else:
        raise AssertionError("an absent key was found")


s3.create_bucket(Bucket=BUCKET)
for size in (0, 1, 4096, 65536, 65537, 8 * MIB - 1, 8 * MIB, 17 * MIB):
    uploads(f"size/{size}", size)
checksums()
presigned_urls()
presigned_posts()
lists_and_deletes()
settings()
refuses_what_is_absent()
