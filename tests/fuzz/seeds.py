"""What the fuzzers begin with: for each target some bytes that are right, so that damage comes close to them."""

from __future__ import annotations

import json

from amqp import spec

from bus_amqp.event import Event
from bus_amqp.wire.codec import encode
from tests.fuzz.targets import SECRET, TARGETS
from tests.unit.transport.amqp.broker_streams import cut_into_frames, frames_of

_PROPERTIES = {
    "content_type": "application/json", "message_id": "0197f3c2-5b1e-7c44-9d2a-3f6b8e1d7a90", "timestamp": 1700000000,
    "type": "VM.START", "app_id": "server", "delivery_mode": 2,
    "application_headers": {"n": 1, "text": "ü", "deep": {"list": [1, "x", None, True, 1.5]}},
}  # fmt: skip
_EVENT = Event(
    event_category="UsageEvent", event_type="VM.START", event_source="management-server", resource_type="Vm",
    resource_uuid="vm-1", description="ü\n", details={"n": [1, 2.5, None, {"deep": True}]}, correlation_id="c",
)  # fmt: skip
_TOPIC = {"eventType": "VM.#", "eventCategory": "UsageEvent", "resourceType": None, "resourceUUID": ""}


def _delivered(body: bytes, **properties: object) -> bytes:
    event = (2, spec.Basic.Deliver, "tag", 7, True, "bus.events", "A.B.C.D.E", body, _PROPERTIES | properties)
    return b"".join(frames_of(event))


def _streams() -> list[bytes]:
    returned = (1, spec.Basic.Return, "NO_ROUTE", 1, False, "bus.events", "A.B.C.D.E", b"body", _PROPERTIES)
    others = [
        (1, spec.Basic.Ack, 3, True), (1, spec.Basic.Nack, 4, False), returned, (2, spec.Basic.Cancel),
        (0, spec.Connection.Blocked), (0, spec.Connection.Close), (2, spec.Channel.Close),
    ]  # fmt: skip
    written = [b"".join(frames_of(one)) for one in others]
    bodies = [b"", b"x", b"y" * 9000, b"z" * 20_000]
    half = "\ud800"
    halves = _delivered(b"x", message_id=half, app_id=half, content_type=half, application_headers={half: half})
    not_text = _delivered(b"x", content_type="\x7f" * 255).replace(b"\x7f", b"\xff")
    return [
        *written,
        *map(_delivered, bodies),
        not_text,
        halves,
        b"".join([_delivered(b"first"), written[0], _delivered(b"second")]),
    ]


def seeds(target: str) -> list[bytes]:
    """Return the beginnings of one target."""
    streams = [bytes([size]) + stream for stream in _streams() for size in (6, 255)]
    method, header, *_ = cut_into_frames(_delivered(b"x"))
    message = encode(_EVENT, max_event_bytes=10_000).body
    found = {
        "frames": streams,
        "connection": streams,
        "properties": [header[7 + 12 : -1]],
        "delivery": [method[7:-1]],
        "body": [message, b'{"eventCategory":"a","eventType":"b","eventSource":"c","details":{"x":1e999}}'],
        "model": [message],
        "key": [b"UsageEvent\nVM.START\nVm\nvm-1\nserver"],
        "topic": [json.dumps(_TOPIC).encode()],
        "cloudstack": [
            b'm.ActionEvent.VM-START.com-cloud-vm-VMInstanceVO$$EnhancerByCGLIB$$1a.*\n{"eventDateTime":"2026-03-04 '
            b'17:59:24 +0100","status":"Completed","description":"a \\u003d b","Account":"t","account":"c",'
            b'"entityuuid":"u"}',
            b'm.AsyncJobEvent.complete.VirtualMachine.u-1\n{"cmdInfo":"{\\"id\\":\\"[1]\\"}","jobResult":"a.B/c/{}"}',
        ],
        "url": [f"{scheme}://user@{place}".encode() for scheme in ("amqp", "amqps") for place in ("h:1/v", "[::1]:2/")],
    }
    assert found.keys() == TARGETS.keys()
    assert SECRET.encode() not in b"".join(b"".join(each) for each in found.values())
    return found[target]
