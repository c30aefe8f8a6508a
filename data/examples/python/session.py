"""Who is asking: a user's name in a cookie, signed, so that nobody writes another name into it."""

import hashlib
import hmac
import os
import secrets

# Without a secret of yours everybody signs in again after a restart.
SECRET = os.environ.get("SESSION_SECRET", "").encode() or secrets.token_bytes(32)


def sign(user):
    return hmac.new(SECRET, user.encode(), hashlib.sha256).hexdigest()


def cookie_for(user):
    return f"{user}.{sign(user)}"


def user_of(cookie):
    user, _, signature = (cookie or "").rpartition(".")
    if hmac.compare_digest(signature.encode(), sign(user).encode()):
        return user
    return None
