"""The signature: what a receiver may rely on."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.extension.webhook.errors import SignatureError
from bus_amqp.extension.webhook.signature import sign, verify

SECRET, OLD_SECRET = "a secret of the tests", "the one before it"
BODY, NOW = b'{"eventType":"VM.START"}', 1_700_000_000


def check(body: bytes = BODY, *, secrets: str | list[str] = SECRET, at: float = NOW, **headers: str | None) -> None:
    given = {"timestamp": str(NOW), "signature": sign(BODY, secrets=[SECRET], timestamp_seconds=NOW), **headers}
    verify(body, secrets=secrets, now_seconds=at, **given)


def test_the_signature_is_that_of_any_other_hmac() -> None:
    """Receivers are written in other languages: timestamp, dot, body, HMAC-SHA256, hexadecimal, and nothing else."""
    expected = hmac.new(SECRET.encode(), b"1700000000." + BODY, hashlib.sha256).hexdigest()

    assert sign(BODY, secrets=[SECRET], timestamp_seconds=NOW) == f"v1={expected}"


@given(st.binary(max_size=200), st.text(min_size=1, max_size=40), st.integers(0, 10**11))
def test_what_is_signed_is_verified(body: bytes, secret: str, seconds: int) -> None:
    """Any body, any secret: a receiver that refuses good requests loses events."""
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    signature = sign(body, secrets=[secret], timestamp_seconds=seconds)

    verify(body, timestamp=str(seconds), signature=signature, secrets=secret, now_seconds=seconds)


def test_two_secrets_at_once_let_both_sides_change_them_without_a_gap() -> None:
    """Whoever changes first, the sender or the receiver, no request is refused in between."""
    both = sign(BODY, secrets=[SECRET, OLD_SECRET], timestamp_seconds=NOW)

    check(signature=both, secrets=SECRET)
    check(signature=both, secrets=OLD_SECRET)
    check(secrets=[OLD_SECRET, SECRET])


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"signature": None}, "not signed"),
        ({"timestamp": None}, "not signed"),
        ({"signature": ""}, "none of the known"),
        ({"signature": "v1="}, "none of the known"),
        ({"signature": "v0=" + "0" * 64}, "none of the known"),
        ({"signature": sign(BODY, secrets=[SECRET], timestamp_seconds=NOW).upper()}, "none of the known"),
        ({"signature": sign(BODY, secrets=[OLD_SECRET], timestamp_seconds=NOW)}, "none of the known"),
        ({"signature": "v1=\udcff"}, "none of the known"),
        ({"timestamp": str(NOW + 1)}, "none of the known"),
        ({"timestamp": f"{NOW} "}, "no time"),
        ({"timestamp": f"0{NOW}"}, "none of the known"),
        ({"timestamp": "-1"}, "no time"),
        ({"timestamp": "١٧٠٠٠٠٠٠٠٠"}, "no time"),
        ({"timestamp": "9" * 13}, "no time"),
        ({"body": BODY + b" "}, "none of the known"),
        ({"at": NOW + 301}, "signed 301 s ago"),
        ({"at": NOW - 301}, "signed -301 s ago"),
        ({"secrets": OLD_SECRET}, "none of the known"),
        ({"secrets": ""}, "no secret"),
        ({"secrets": []}, "no secret"),
        ({"secrets": [SECRET, ""]}, "no secret"),
    ],
)
def test_anything_else_is_refused(headers: dict[str, str | None], told: str) -> None:
    """Forged, changed, replayed, unsigned: each would be somebody else's event."""
    with pytest.raises(SignatureError, match=told):
        check(**headers)  # type: ignore[arg-type]  # a table of wrong arguments


def test_a_version_that_is_not_known_does_not_hide_one_that_is() -> None:
    """A later sender may sign twice, so that receivers can be changed one by one."""
    known = sign(BODY, secrets=[SECRET], timestamp_seconds=NOW)

    check(signature=f"v2=0123, {known}")


def test_the_tolerance_is_for_both_sides_of_now() -> None:
    """Clocks differ in both directions."""
    check(at=NOW + 300)
    check(at=NOW - 300)
