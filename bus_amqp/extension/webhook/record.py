"""``Delivery``: one attempt to deliver, as it is written down.  Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """Why it was sent: the bus brought the event; somebody asked for a test; somebody asked for it once more."""

    EVENT = "event"
    TEST = "test"
    REDELIVERY = "redelivery"


@dataclass(frozen=True, slots=True)
class Delivery:
    """``url``: without its query.  ``request_headers``: as sent, what may be secret masked.  ``number``: 0 if new."""

    webhook: str
    kind: Kind
    event_id: str
    event_type: str
    attempted_at: datetime
    duration_seconds: float
    url: str
    address: str | None
    request_headers: Mapping[str, str]
    status: int | None
    excerpt: str
    error: str | None
    is_success: bool
    number: int = 0
