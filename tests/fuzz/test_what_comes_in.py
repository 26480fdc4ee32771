"""Whatever bytes arrive from outside: understood, or refused with the one error that its callers know.

``FUZZ_EXAMPLES`` (default 40) says how many examples each test tries; ``make fuzz`` searches longer, led by coverage.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz import targets
from tests.fuzz.damage import damaged, disordered, json_texts
from tests.fuzz.seeds import seeds

# A loaded machine is slow now and then; how long one example takes says nothing about the code.
fuzzing = settings(deadline=None, max_examples=int(os.environ.get("FUZZ_EXAMPLES", "40")))
sizes = st.sampled_from([b"\x00", b"\x06", b"\x40", b"\xff"])  # of the pieces in which the stream comes: one more


@pytest.mark.parametrize("target", targets.TARGETS)
def test_the_seeds_are_right(target: str) -> None:
    """Damage to what was wrong before would come close to nothing."""
    for seed in seeds(target):
        targets.TARGETS[target](seed)


@pytest.mark.parametrize("target", targets.TARGETS)
@fuzzing
@given(data=st.data())
def test_any_bytes(target: str, data: st.DataObject) -> None:
    """A hostile peer, a foreign publisher, a typing error: none ends a thread or shows a password."""
    targets.TARGETS[target](data.draw(st.binary(max_size=300)))


@pytest.mark.parametrize("target", targets.TARGETS)
@fuzzing
@given(data=st.data())
def test_damaged_bytes(target: str, data: st.DataObject) -> None:
    """As above, close to the real thing: most of it is right."""
    targets.TARGETS[target](data.draw(damaged(target)))


@fuzzing
@given(size=sizes, stream=disordered())
def test_frames_out_of_order_are_the_same_wherever_they_are_cut(size: bytes, stream: bytes) -> None:
    """One decision about a broken stream, not one for each way in which TCP may bring it."""
    targets.frames(size + stream)


@fuzzing
@given(size=sizes, stream=disordered())
def test_frames_out_of_order_end_the_connection_at_worst(size: bytes, stream: bytes) -> None:
    """The reconnect loop knows ``ConnectionLostError``; anything else would be told as a fault of the bus."""
    targets.connection(size + stream)


@fuzzing
@given(text=json_texts())
@example(b'{"eventCategory":"a","eventType":"b","eventSource":"c","details":{"x":NaN}}')
@example(b'{"eventCategory":"a","eventType":"b","eventSource":"c","details":{"x":' + b"[" * 70 + b"]" * 70 + b"}}")
def test_json_as_nobody_should_write_it(text: bytes) -> None:
    """A worker expects one error of the decoder; what it lets in can be sent on, to readers of strict JSON."""
    targets.body(text)
    targets.model(text)
    targets.topic(text)


@fuzzing
@given(user=st.text(max_size=8), noise=st.text(max_size=8), place=st.text("[]:/@#?,%.ah1", max_size=16))
def test_urls_with_signs_that_mean_something(user: str, noise: str, place: str) -> None:
    """P9: a password with an unencoded ``/`` or ``@`` may end up in any part of a url, and in no message."""
    for scheme in ("amqp://", "amqps://", "", "u:p@h,amqp://"):
        targets.url(f"{scheme}{user}@{noise}@{place}".encode(errors="replace"))
