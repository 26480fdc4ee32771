"""Sign a request, and verify one: both ends of a webhook's proof of origin.

Signed is ``<timestamp>.<body>``, HMAC-SHA256, in hexadecimal: with the time inside, a request that somebody has
recorded is worth nothing after some minutes.  Pure but for the clock; a receiver needs this file and nothing of the
extra ``webhook``.  docs/guide/webhooks.md has the same in fifteen lines of standard Python, and test vectors.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Sequence

from bus_amqp.extension.webhook.errors import SignatureError

TIMESTAMP_HEADER = "X-Bus-Timestamp"
SIGNATURE_HEADER = "X-Bus-Signature"
TOLERANCE_SECONDS = 300.0
_VERSION = "v1"
_SECONDS = re.compile(r"[0-9]{1,12}")
_MOST_SIGNATURES = 8  # a header with thousands of them would cost the receiver a comparison each


def sign(body: bytes, *, secrets: Sequence[str], timestamp_seconds: int) -> str:
    """Return the header's value: one signature for each secret, so that a secret can be changed without a gap."""
    return ",".join(f"{_VERSION}={_digest(secret, str(timestamp_seconds), body)}" for secret in secrets)


def verify(
    body: bytes,
    *,
    timestamp: str | None,
    signature: str | None,
    secrets: str | Sequence[str],
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now_seconds: float | None = None,
) -> None:
    """Return if the request was signed with one of the secrets within the tolerance.  Raises ``SignatureError``.

    ``body``: the bytes as they came, before anybody parsed them.  ``timestamp``, ``signature``: the two headers, None
    if they are missing.  Takes the same time whether the first or the last character differs.
    """
    known = (secrets,) if isinstance(secrets, str) else tuple(secrets)
    if not known or not all(known):
        raise SignatureError("no secret to verify with: an empty one would verify what anybody has signed")
    if timestamp is None or signature is None:
        raise SignatureError(f"not signed: {TIMESTAMP_HEADER} and {SIGNATURE_HEADER} must both be there")
    if not _SECONDS.fullmatch(timestamp):
        raise SignatureError(f"{TIMESTAMP_HEADER} is no time in seconds")
    given = [
        value.strip().encode(errors="backslashreplace")  # a header may have come with any bytes
        for version, _, value in (part.strip().partition("=") for part in signature.split(",")[:_MOST_SIGNATURES])
        if version == _VERSION
    ]
    matches = [hmac.compare_digest(_digest(secret, timestamp, body).encode(), one) for secret in known for one in given]
    if not any(matches):
        raise SignatureError("signed with none of the known secrets, or changed on the way")
    age_seconds = (time.time() if now_seconds is None else now_seconds) - int(timestamp)
    if abs(age_seconds) > tolerance_seconds:
        raise SignatureError(f"signed {age_seconds:.0f} s ago: {tolerance_seconds:g} s either way are tolerated")


def _digest(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
