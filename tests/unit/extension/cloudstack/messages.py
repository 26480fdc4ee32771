"""Messages for the tests: rebuilt from what CloudStack's versions have sent, with invented values.

No CloudStack has produced them: keys, names and forms are those of its source, documentation and issues.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bus_amqp import ForeignMessage

FIXTURES = Path(__file__).with_name("fixtures")
RECEIVED = datetime(2026, 3, 4, 17, 5, tzinfo=UTC)


def cases(name: str) -> list[dict[str, Any]]:
    """Return the cases of a file: ``name``, ``key``, ``body``, and what is expected of them."""
    loaded: list[dict[str, Any]] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def a_message(routing_key: str, body: str | bytes | dict[str, Any], **properties: Any) -> ForeignMessage:
    """Return a message as CloudStack sends it: text/plain, and no property beside."""
    if isinstance(body, dict):
        body = json.dumps(body)
    return ForeignMessage(
        **{
            "routing_key": routing_key,
            "body": body if isinstance(body, bytes) else body.encode(),
            "exchange": "cloudstack-events",
            "content_type": "text/plain",
            "received_at": RECEIVED,
            **properties,
        }
    )


def message_of(case: dict[str, Any]) -> ForeignMessage:
    """Return the message of a case."""
    timestamp = datetime.fromisoformat(case["timestamp"]) if "timestamp" in case else None
    return a_message(case["key"], case["body"], timestamp=timestamp)
