"""JSON as others write it, and how these tests have it decoded."""

import json
from typing import Any

from bus_amqp.event import Event
from bus_amqp.wire.codec import decode
from bus_amqp.wire.message import Properties
from tests.unit.fakes import FakeDelivery

MIB = 1024 * 1024
SIX: dict[str, Any] = {
    "eventCategory": "ActionEvent",
    "eventType": "VM.START",
    "eventSource": "management-server",
    "resourceType": "VirtualMachine",
    "resourceUUID": "vm-1",
    "description": "started",
}
SECRET = "hunter2-hunter2"


def a_body(**changes: object) -> bytes:
    return json.dumps({**SIX, **changes}).encode()


def decode_body(body: bytes, **properties: Any) -> Event:
    return decode(FakeDelivery(body=body, properties=Properties(**properties)))
