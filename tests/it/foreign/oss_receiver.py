"""An app server that takes OSS's callbacks and verifies them as OSS's own samples do: by the key whose
address the callback names. What it trusts is the start of that address."""

import base64
import http.server
import json
import threading
import time
import urllib.parse
import urllib.request

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding


class Receiver:
    """Keeps what came, and answers as it is told."""

    def __init__(self, address, trusted):
        self.trusted = trusted
        self.taken = []
        self.answer = (200, b'{"Status":"OK"}', 0)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                valid = receiver.is_valid(self.headers, self.path, body)
                receiver.taken.append((self.path, dict(self.headers.items()), body, valid))
                status, answer, pause = receiver.answer
                time.sleep(pause)
                if self.path.endswith("/down"):
                    status, answer = 502, b""
                self.send_response(status)
                if status == 302:
                    self.send_header("location", "/elsewhere")
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                try:
                    self.wfile.write(answer)
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        host, port = address.split(":")
        self.server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def is_valid(self, headers, path, body):
        url = base64.b64decode(headers["x-oss-pub-key-url"]).decode()
        if not url.startswith(self.trusted):
            return False
        with urllib.request.urlopen(url) as answer:
            key = serialization.load_pem_public_key(answer.read())
        at = path.find("?")
        query = "" if at < 0 else path[at:]
        plain = path if at < 0 else path[:at]
        text = urllib.parse.unquote(plain).encode() + query.encode() + b"\n" + body
        signature = base64.b64decode(headers["authorization"])
        try:
            key.verify(signature, text, padding.PKCS1v15(), hashes.MD5())
        except InvalidSignature:
            return False
        return True

    def last(self):
        """The last callback: its path, its headers and its body. It must verify."""
        path, headers, body, valid = self.taken[-1]
        assert valid, (path, headers, body)
        return path, {name.lower(): value for name, value in headers.items()}, body


def order(url, body, kind=None, **more):
    """`x-oss-callback` in base64."""
    fields = {"callbackUrl": url, "callbackBody": body, **more}
    if kind:
        fields["callbackBodyType"] = kind
    return base64.b64encode(json.dumps(fields).encode()).decode()


def variables(**named):
    """`x-oss-callback-var` in base64."""
    fields = {"x:" + name: value for name, value in named.items()}
    return base64.b64encode(json.dumps(fields).encode()).decode()
