"""``bus_amqp.publish.outbox``: what is larger than the outbox."""

import time
from collections.abc import Callable

import pytest

from bus_amqp.errors import BusClosedError, OutboxFullError
from bus_amqp.publish.outbox import OVERHEAD_BYTES, Outbox
from tests.unit.fakes import an_entry

LONG = 30.0  # a timeout that must not be what ends a wait


@pytest.mark.parametrize(
    ("put", "told"),
    [
        (
            lambda outbox: outbox.put(an_entry(size_bytes=10_000), LONG),
            r"an event of \d+ bytes can never.*outbox_bytes",
        ),
        (lambda outbox: outbox.put_many([an_entry(size_bytes=10_000)], LONG), "an event of .*outbox_bytes"),
        (lambda outbox: outbox.put_many([an_entry() for _ in range(5)], LONG), "5 events of .*4 events.*in parts"),
    ],
    ids=["one event", "a batch of one", "a batch"],
)
def test_what_can_never_fit_fails_at_once_and_is_not_called_transient(put: Callable[[Outbox], bool], told: str) -> None:
    """Who tries transient errors again would wait, and try again, for ever."""
    outbox = Outbox(4, 4 * OVERHEAD_BYTES)

    started = time.monotonic()
    with pytest.raises(OutboxFullError, match=told) as refused:
        put(outbox)

    assert time.monotonic() - started < 1
    assert not refused.value.is_transient
    assert OutboxFullError.is_transient, "of a full outbox it stays true"
    outbox.put(an_entry(size_bytes=0), 0)
    assert outbox.accepted == 1
    outbox.close()
    with pytest.raises(BusClosedError):
        put(outbox)
