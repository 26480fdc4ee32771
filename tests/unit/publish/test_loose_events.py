"""``bus_amqp.publish.loose_events``: single files become rows of a journal, in order, each once."""

from pathlib import Path

import pytest

from bus_amqp.publish.loose_event import add
from bus_amqp.publish.loose_events import LooseEvents
from bus_amqp.publish.outbox_directory import OutboxDirectory
from tests.unit.publish.disk import Make, names, put, take_all, words
from tests.unit.publish.loose import add_some, gather, stored


@pytest.fixture
def loose(tmp_path: Path) -> LooseEvents:
    return LooseEvents(OutboxDirectory(tmp_path, "bus.events"))


def test_a_gathered_event_is_what_was_stored(loose: LooseEvents, tmp_path: Path) -> None:
    """Every property that the message of the command would have, and the time of its acceptance, for it may expire."""
    message = ("k.ü", '{"a":"ü\\n\u2028"}'.encode(), "id", 7, "VM.START", "cron")
    assert add(str(tmp_path), "bus.events", message, is_mandatory=True, now=1234.5)

    _, journal = loose.gather(loose.look())

    assert journal is not None
    [event] = journal.read(0, max_events=10, max_bytes=10**9)
    journal.close()
    found = event.message
    assert (found.routing_key, found.body, found.message_id, found.timestamp, found.type, found.app_id) == message
    assert (event.accepted_at, found.mandatory, found.content_type) == (1234.5, True, "application/json")
    assert (found.headers, event.reason) == (None, None)


def test_gathered_events_come_behind_what_was_there_and_before_what_comes(
    make: Make, loose: LooseEvents, tmp_path: Path
) -> None:
    """Old file, loose ones, a later process: that order, and it is the outbox itself that gathers."""
    left = make()
    put(left, 1, 2)
    left.close()
    add_some(tmp_path, 3, 4)
    gather(loose)
    add_some(tmp_path, 5, 6, now=1.0)  # the clock was set back

    outbox = make()
    put(outbox, 7)

    assert outbox.health().adopted_files == 3
    assert words(take_all(outbox)) == [1, 2, 3, 4, 5, 6, 7]
    outbox.close()
    assert list(tmp_path.iterdir()) == []


def test_those_of_another_exchange_stay(loose: LooseEvents, tmp_path: Path) -> None:
    """Two systems with one spool: each sends its own."""
    add_some(tmp_path, 1, exchange="theirs")
    add_some(tmp_path, 2)

    gather(loose)

    assert stored(tmp_path) == ["a.b.c.2.e"]
    assert len(names(tmp_path, ".event")) == 1
    assert loose.look() == []  # and is not looked into again
    theirs = LooseEvents(OutboxDirectory(tmp_path, "theirs"))
    gather(theirs)
    assert names(tmp_path, ".event") == []
