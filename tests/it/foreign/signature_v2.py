"""boto3 with Signature Version 2, on a server that takes it: in the header, and in presigned URLs."""

import io
import os

import boto3
import requests
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = "v2-uploads"
ENDPOINT = os.environ["CONSIGN_ENDPOINT"]


def client(version, **more):
    config = Config(signature_version=version, s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=ENDPOINT, config=config, **more)


def code(run):
    try:
        run()
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise AssertionError("this must be refused")


def with_headers(headers, run):
    """`run` of a client to whose next requests these headers are added before they are signed."""
    v2 = client("s3")
    v2.meta.events.register("before-call.s3.*", lambda params, **_: params["headers"].update(headers))
    return run(v2)


def by_header():
    v2 = client("s3")
    v2.create_bucket(Bucket=BUCKET)
    for key in ("plain", "dir/a b+c%/é~(1)*.txt", "//x//"):
        body = os.urandom(1000)
        v2.put_object(Bucket=BUCKET, Key=key, Body=body, ContentType="text/plain", Metadata={"a": "b  c"})
        got = v2.get_object(Bucket=BUCKET, Key=key, ResponseContentType="a/b; c=d")
        assert got["Body"].read() == body and got["ContentType"] == "a/b; c=d", key
    body = os.urandom(11 * 1024 * 1024)
    config = TransferConfig(multipart_threshold=5 * 1024 * 1024, multipart_chunksize=5 * 1024 * 1024)
    v2.upload_fileobj(io.BytesIO(body), BUCKET, "parts", Config=config)
    back = io.BytesIO()
    v2.download_fileobj(BUCKET, "parts", back)
    assert back.getvalue() == body
    v2.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "plain"})
    v2.put_object_tagging(Bucket=BUCKET, Key="copy", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert v2.get_object_tagging(Bucket=BUCKET, Key="copy")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert len(v2.list_objects_v2(Bucket=BUCKET, MaxKeys=2)["Contents"]) == 2
    v2.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "copy"}, {"Key": "//x//"}]})
    assert v2.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None

    secret = client("s3", aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key="guess")
    assert code(lambda: secret.list_objects(Bucket=BUCKET)) == "SignatureDoesNotMatch"
    stranger = client("s3", aws_access_key_id="AKIASTRANGER", aws_secret_access_key="guess")
    assert code(lambda: stranger.list_objects(Bucket=BUCKET)) == "InvalidAccessKeyId"
    for date, expected in (
        ("Bad Date", "AccessDenied"),
        ("Tue, 07 Jul 2010 21:53:04 GMT", "RequestTimeTooSkewed"),
        ("Tue, 07 Jul 9999 21:53:04 GMT", "RequestTimeTooSkewed"),
        ("Tue, 07 Jul 1950 21:53:04 GMT", "AccessDenied"),
    ):
        said = with_headers({"x-amz-date": date}, lambda v2: code(lambda: v2.put_object(Bucket=BUCKET, Key="k")))
        assert said == expected, (date, said)
    # A body that is not what its digest says.
    wrong = {"content-md5": "rL0Y20zC+Fzt72VPzMSk2A=="}
    said = with_headers(wrong, lambda v2: code(lambda: v2.put_object(Bucket=BUCKET, Key="k", Body=b"x")))
    assert said == "BadDigest", said


def by_query(version):
    # The names of both of botocore's: a client of either presigns so.
    v2 = client(version)
    where = {"Bucket": BUCKET, "Key": "url é+%.txt"}
    put = v2.generate_presigned_url("put_object", Params=dict(where, Metadata={"foo": "bar"}), ExpiresIn=60)
    assert "Signature=" in put and "X-Amz-Algorithm" not in put and "x-amz-meta-foo=bar" in put, put
    answer = requests.put(put, data=b"hello")
    assert answer.status_code == 200 and not answer.content, answer.text
    assert client("s3").head_object(**where)["Metadata"] == {"foo": "bar"}
    for headers in ({"x-amz-meta-wrong": "wrong"}, {"content-type": "text/xml"}, {"x-amz-acl": "public-read"}):
        answer = requests.put(put, data=b"hello", headers=headers)
        assert answer.status_code == 403 and "<StringToSign>PUT" in answer.text, answer.text
    assert requests.put(put, data=b"hello", headers={"content-encoding": "identity"}).status_code == 200

    typed = v2.generate_presigned_url("put_object", Params=dict(where, ContentType="text/plain"), ExpiresIn=60)
    assert requests.put(typed, data=b"hello", headers={"content-type": "text/plain"}).status_code == 200
    assert requests.put(typed, data=b"hello", headers={"content-type": "text/xml"}).status_code == 403

    named = dict(where, ResponseContentDisposition='attachment; filename="a b.txt"')
    get = v2.generate_presigned_url("get_object", Params=named, ExpiresIn=60)
    answer = requests.get(get)
    assert (answer.status_code, answer.content) == (200, b"hello"), answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="a b.txt"'
    for changed in (get.replace("a%20b.txt", "c"), get + "&acl", get.replace("url", "uri"), get + "&retention"):
        answer = requests.get(changed)
        assert answer.status_code == 403 and "SignatureDoesNotMatch" in answer.text, (changed, answer.text)

    old = v2.generate_presigned_url("get_object", Params=where, ExpiresIn=-1)
    answer = requests.get(old)
    assert answer.status_code == 403 and "<Code>AccessDenied</Code>" in answer.text
    assert "Request has expired" in answer.text and "<Expires>" in answer.text and "<ServerTime>" in answer.text
    assert "X-Amz-Expires" not in answer.text
    for name in ("AWSAccessKeyId", "Signature", "Expires"):
        answer = requests.get(get.replace(name, "x-" + name))
        said = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        assert answer.status_code == 403 and said in answer.text, answer.text
    far = v2.generate_presigned_url("get_object", Params=where, ExpiresIn=700_000)
    assert requests.get(far).status_code == 403


def with_a_session():
    sts = boto3.client("sts", endpoint_url=ENDPOINT)
    given = sts.get_session_token()["Credentials"]
    keys = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }
    v2 = client("s3", **keys)
    v2.put_object(Bucket=BUCKET, Key="session", Body=b"x")
    url = v2.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "session"}, ExpiresIn=60)
    assert requests.get(url).content == b"x"
    keys["aws_session_token"] += "x"
    assert code(lambda: client("s3", **keys).list_objects(Bucket=BUCKET)) == "InvalidToken"
    # STS itself, and the administration, know Version 4 alone.
    answer = requests.get(ENDPOINT + "/-/admin/v1/keys", headers={"authorization": "AWS a:b"})
    assert answer.status_code == 400 and "AWS4-HMAC-SHA256" in answer.text, answer.text


def with_a_form():
    form = client("s3").generate_presigned_post(BUCKET, "form", ExpiresIn=60)
    assert "AWSAccessKeyId" in form["fields"], form
    answer = requests.post(form["url"], data=form["fields"], files={"file": ("a", b"meow")})
    assert answer.status_code == 204, answer.text


by_header()
by_query("s3")
by_query("s3-query")
with_a_session()
with_a_form()
