"""Signs URLs for Consign (or S3) with nothing but Python's standard library.

    python3 presign.py PUT http://127.0.0.1:9000/uploads/cat.jpg x-consign-once=1
"""
import datetime, hashlib, hmac, os, sys
from urllib.parse import quote, urlsplit


def presign(method, url, key, secret, query=None, headers=None, seconds=900, region="us-east-1"):
    """`url` has no query. `query` may hold x-consign- demands; `headers` must be sent as they are here."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    parts = urlsplit(url)
    lines = {name.lower(): value.strip() for name, value in (headers or {}).items()}
    lines = sorted({**lines, "host": parts.netloc}.items())
    signed = ";".join(name for name, _ in lines)
    pairs = {**(query or {}), "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{key}/{scope}",
             "X-Amz-Date": now, "X-Amz-Expires": str(seconds), "X-Amz-SignedHeaders": signed}
    path = quote(parts.path or "/", safe="/~")
    text = "&".join(f"{name}={value}" for name, value in
                    sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs.items()))
    canonical = "\n".join([method, path, text, *(f"{name}:{value}" for name, value in lines), "", signed,
                           "UNSIGNED-PAYLOAD"])
    string = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signing = f"AWS4{secret}".encode()
    for step in (*scope.split("/"), string):
        signing = hmac.new(signing, step.encode(), hashlib.sha256).digest()
    return f"{parts.scheme}://{parts.netloc}{path}?{text}&X-Amz-Signature={signing.hex()}"


if __name__ == "__main__":
    demands = dict(pair.split("=", 1) for pair in sys.argv[3:])
    print(presign(sys.argv[1], sys.argv[2], os.environ["AWS_ACCESS_KEY_ID"],
                  os.environ["AWS_SECRET_ACCESS_KEY"], demands))
