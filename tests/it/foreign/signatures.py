"""botocore, an independent signer, signs random paths, queries and headers: every one must be admitted, and
the same request with one thing changed must not."""

import http.client
import os
import random
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ENDPOINT = os.environ["CONSIGN_ENDPOINT"]
HOST = urlsplit(ENDPOINT).netloc
SEED = int(os.environ.get("CONSIGN_TEST_SEED", "20261124"))
ROUNDS = 150
CREDENTIALS = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
LETTERS = "abzAZ059-_.~!*'();:@&=+$,/?#[]% \"<>\\^`{|}\tüß漢🐈"
chance = random.Random(SEED)


def text(low, high, letters=LETTERS):
    return "".join(chance.choice(letters) for _ in range(chance.randint(low, high)))


def send(method, target, headers, body):
    connection = http.client.HTTPConnection(HOST, timeout=30)
    connection.request(method, target, body=body, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def signed(method, path, query, headers, body):
    url = f"{ENDPOINT}{path}" + (f"?{query}" if query else "")
    presigned = chance.random() < 0.5
    # Signing a query, botocore would move a body into it as a form's fields.
    data = None if presigned else body
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=data)
    signer = S3SigV4QueryAuth if presigned else S3SigV4Auth
    signer(CREDENTIALS, "s3", "us-east-1").add_auth(request)
    target = request.url[len(ENDPOINT):]
    return target, dict(request.headers.items())


def random_headers():
    # Blanks at the ends and in runs are folded before signing.
    words = "ab  c=,;/+%"
    return {
        f"x-amz-meta-{text(1, 8, 'abcxyz019')}": ("v" + text(0, 20, words) + "v")
        for _ in range(chance.randint(0, 4))
    }


def one_round(number):
    key = f"k{number}/" + text(1, 30)
    # Half of the keys with every letter escaped that may be: both spellings are one key.
    path = "/signatures/" + quote(key, safe="/~")
    body = text(0, 40).encode()
    headers = random_headers()
    target, all_headers = signed("PUT", path, "", headers, body)
    status, content = send("PUT", target, all_headers, body)
    assert status == 200, (SEED, number, target, all_headers, content)

    query = ""
    if chance.random() < 0.7:
        query = "response-content-disposition=" + quote("a" + text(0, 12, "abc +&=/%;~"), safe="~")
    target, all_headers = signed("GET", path, query, {}, b"")
    status, content = send("GET", target, all_headers, None)
    assert (status, content) == (200, body), (SEED, number, target, content)

    changed = target.replace("/signatures/k", "/signatures/q", 1)
    status, content = send("GET", changed, all_headers, None)
    assert status == 403 and b"SignatureDoesNotMatch" in content, (SEED, number, changed, content)


target, headers = signed("PUT", "/signatures", "", {}, b"")
assert send("PUT", target, headers, b"")[0] == 200
for number in range(ROUNDS):
    one_round(number)
