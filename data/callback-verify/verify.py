"""Verifies Consign's callbacks: Standard Webhooks with the standard library alone."""
import base64, hashlib, hmac, time

TOLERANCE_SECONDS = 5 * 60


def verify(body: bytes, headers, secrets, now=None) -> bool:
    """`headers` has lower-case names, `secrets` the endpoint's `whsec_…` texts (two while one is rotated)."""
    sent_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (sent_id and sent_at.isascii() and sent_at.isdigit()):
        return False
    if abs((time.time() if now is None else now) - int(sent_at)) > TOLERANCE_SECONDS:
        return False  # somebody else may have kept it
    signed = f"{sent_id}.{sent_at}.".encode() + body
    given = [part[3:] for part in headers.get("webhook-signature", "").split(" ") if part.startswith("v1,")]
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
    wanted = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()) for key in keys]
    return any(hmac.compare_digest(one.encode(), want) for one in given for want in wanted)
