"""P2, for events in somebody else's format: accepted is accepted, whatever they look like on the wire."""

from __future__ import annotations

from pathlib import Path

from bus_amqp import Event, ForeignMessage, ForeignSource, connect
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import an_event, events_of
from tests.promise.waiting import TIMEOUT_SECONDS
from tests.promise.world import World


def as_text(event: Event) -> ForeignMessage:
    """Encode: the key in another order, the body no JSON object of ours."""
    return ForeignMessage(
        routing_key=f"theirs.{event.resource_uuid}",
        body=f"event={event.model_dump_json(by_alias=True)}".encode(),
        content_type="text/plain",
    )


def from_text(message: ForeignMessage) -> Event:
    """Decode it."""
    assert message.content_type == "text/plain"
    assert message.routing_key.startswith("theirs.")
    return Event.model_validate_json(message.body.removeprefix(b"event="), by_alias=True, by_name=False)


def test_p2_events_travel_in_somebody_elses_format(world: World) -> None:
    """Confirmed and mandatory as ever: consumers that were there before are served by this bus."""
    recorder = Recorder()
    world.connect().subscribe(ForeignSource(world.exchange, from_text), recorder, group="old")
    events = events_of(50)

    with world.connect(encoder=as_text) as bus:
        for receipt in bus.publish_many(events, mandatory=True):
            receipt.result(TIMEOUT_SECONDS)

    assert recorder.wait_for(50).events == events


def test_p2_a_disk_outbox_keeps_them_as_they_were_encoded(world: World, tmp_path: Path) -> None:
    """What a killed publisher has left is sent by the next one, which need not know the format."""
    recorder, event = Recorder(), an_event()
    world.connect().subscribe(ForeignSource(world.exchange, from_text), recorder, group="old")

    with connect(f"spool:{tmp_path}", exchange=world.exchange, encoder=as_text) as spool:
        spool.publish(event)
    world.connect(publisher={"outbox_directory": tmp_path}).flush(TIMEOUT_SECONDS)

    assert recorder.wait_for(1).events == [event]
