"""The recorder, as tests use it."""

from __future__ import annotations

import threading

import pytest

from bus_amqp.event import Event
from bus_amqp.subscriber import EventSubscriber
from bus_amqp.testing.recorder import Recorder


def _event() -> Event:
    return Event(event_category="c", event_type="t", event_source="s")


def test_a_recorder_remembers_in_order_and_tells_duplicates_apart() -> None:
    """At least once: a test must be able to say which events came, however often."""
    recorder, first, second = Recorder(), _event(), _event()
    assert isinstance(recorder, EventSubscriber)

    for event in (first, second, first):
        recorder.on_event(event)

    assert recorder.events == [first, second, first]
    assert recorder.ids == [first.event_id, second.event_id, first.event_id]
    assert recorder.ids_without_duplicates() == [first.event_id, second.event_id]


def test_waiting_ends_when_the_events_have_come() -> None:
    """Events come on worker threads while the test waits."""
    recorder, events = Recorder(), [_event() for _ in range(20)]

    def handle() -> None:
        for event in events:
            recorder.on_event(event)

    thread = threading.Thread(target=handle)
    thread.start()
    came = recorder.wait_for(20, timeout_seconds=10)

    thread.join()
    assert came is recorder
    assert recorder.events == events


def test_waiting_in_vain_tells_how_many_came() -> None:
    """A duplicate is no new event: waiting for two must fail when one came twice."""
    recorder, event = Recorder(), _event()
    recorder.on_event(event)
    recorder.on_event(event)

    with pytest.raises(AssertionError, match=r"for 2 events: 1 came \(in 2 deliveries\)"):
        recorder.wait_for(2, timeout_seconds=0.01)


def test_a_cleared_recorder_begins_again() -> None:
    """One recorder, several phases of a test."""
    recorder = Recorder()
    recorder.on_event(_event())

    recorder.clear()

    assert recorder.wait_for(0).events == []
    assert repr(recorder) == "<Recorder 0 events, 0 different>"
