"""Every operation of S3's service model, as botocore ships it, is answered or refused by name."""

import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

client = boto3.client(
    "s3",
    endpoint_url=os.environ["CONSIGN_ENDPOINT"],
    config=Config(
        retries={"total_max_attempts": 1},
        inject_host_prefix=False,
        s3={"addressing_style": "path"},
    ),
)
BUCKET = "operations"
# Names that botocore keeps for what now has another one: the requests are the same.
ALIASES = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
GIVEN = {"Bucket": BUCKET, "Key": "k", "CopySource": f"{BUCKET}/k", "PartNumber": 1}


def value(name, shape, depth=0):
    """The least that botocore takes for a member."""
    if name in GIVEN and depth == 0:
        return GIVEN[name]
    kind = shape.type_name
    if kind == "structure":
        one = list(shape.members)[:1] if getattr(shape, "is_tagged_union", False) else []
        wanted = shape.required_members or one
        return {m: value(m, shape.members[m], depth + 1) for m in wanted}
    if kind == "list":
        return [value("", shape.member, depth + 1)]
    if kind == "map":
        return {}
    if kind in ("integer", "long", "float", "double"):
        return 1
    if kind == "boolean":
        return True
    if kind == "timestamp":
        return "2030-01-01T00:00:00Z"
    if kind == "blob":
        return b""
    least = "t" * max(4, shape.metadata.get("min", 4))
    return shape.enum[0] if getattr(shape, "enum", None) else least


def outcome(name, model):
    shape = model.input_shape
    given = value("", shape) if shape else {}
    if shape:
        given = {m: value(m, shape.members[m]) for m in shape.required_members}
    try:
        client._make_api_call(name, given)
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code == "NotImplemented":
            known = ALIASES.get(name, name)
            # A part of the request may be refused by itself, and is then named too.
            detail = error.response["Error"].get("Header", "")
            assert known in message or detail, f"{name}: {message}"
            return "refused"
        if code == "AuthorizationHeaderMalformed" and "incorrect service" in message:
            return "of another service"
        assert status < 500, f"{name}: {status} {code} {message}"
    return "answered"


client.create_bucket(Bucket=BUCKET)
names = client.meta.service_model.operation_names
# What removes the bucket comes last.
order = sorted(names, key=lambda name: (name == "DeleteBucket", name.startswith("Delete"), name))
outcomes = {
    name: outcome(name, client.meta.service_model.operation_model(name)) for name in order
}
for kind in ("answered", "refused", "of another service"):
    chosen = [name for name, found in outcomes.items() if found == kind]
    print(f"{kind} ({len(chosen)}): {', '.join(sorted(chosen))}")
assert outcomes["PutObject"] == "answered" and outcomes["SelectObjectContent"] == "refused"
others = {name for name, found in outcomes.items() if found == "of another service"}
assert others == {"ListDirectoryBuckets", "WriteGetObjectResponse"}, others
assert len(names) > 100, len(names)
