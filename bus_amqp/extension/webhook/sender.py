"""``Sender``: sign one event for one webhook, send it, and write down what came of it.

Called on the webhook's worker threads for events, and by the command line for tests and redeliveries.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote
from uuid import uuid4

from bus_amqp import SettingsError, __version__
from bus_amqp.extension.webhook.answer import Answer
from bus_amqp.extension.webhook.definition import Webhook
from bus_amqp.extension.webhook.errors import HistoryError
from bus_amqp.extension.webhook.file import secrets_of
from bus_amqp.extension.webhook.history import History
from bus_amqp.extension.webhook.record import Delivery, Kind
from bus_amqp.extension.webhook.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

logger = logging.getLogger("bus_amqp.webhook")

USER_AGENT = f"bus-amqp-webhook/{__version__}"
_MASK = "***"


class Post(Protocol):
    """The way out: ``Client``, or what a test puts in its place."""

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send the body and return what came of it."""

    def close(self) -> None:
        """End it."""


class Sender:
    """One webhook's deliveries.  Safe from any thread."""

    def __init__(self, webhook: Webhook, client: Post, history: History) -> None:
        self.webhook = webhook
        self.history = history
        self._client = client
        self._shown_url = webhook.target.shown

    def __repr__(self) -> str:
        return f"<Sender {self.webhook.name}>"

    def send(self, event_id: str, event_type: str, body: bytes, kind: Kind) -> tuple[Answer, Delivery]:
        """Send the body now, whatever was sent before; return what came of it, as it was written down."""
        now = datetime.now(UTC)
        headers = self._headers(event_id, event_type, kind)
        try:
            secrets = secrets_of(self.webhook)
        except SettingsError as exc:  # the file was there at the start; unsigned it must not go
            answer = Answer(None, error=str(exc))
        else:
            seconds = int(now.timestamp())
            headers[TIMESTAMP_HEADER] = str(seconds)
            if secrets:
                headers[SIGNATURE_HEADER] = sign(body, secrets=secrets, timestamp_seconds=seconds)
            answer = self._client.post({**headers, **self.webhook.headers}, body)
        delivery = Delivery(
            webhook=self.webhook.name,
            kind=kind,
            event_id=event_id,
            event_type=event_type,
            attempted_at=now,
            duration_seconds=answer.duration_seconds,
            url=self._shown_url,
            address=answer.address,
            request_headers=self._shown(headers),
            status=answer.status,
            excerpt=answer.excerpt,
            error=answer.error,
            is_success=answer.is_success,
        )
        return answer, self._written_down(delivery, body)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _headers(self, event_id: str, event_type: str, kind: Kind) -> dict[str, str]:
        return {
            "Host": self.webhook.target.host_header,
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "X-Bus-Event-Id": event_id,
            "X-Bus-Event-Type": quote(event_type, safe="!#$&'()*+,/:;=?@[]^`{|}~"),  # any text may be a type
            "X-Bus-Webhook": self.webhook.name,
            "X-Bus-Delivery-Id": str(uuid4()),
            "X-Bus-Delivery-Kind": kind.value,
        }

    def _shown(self, headers: Mapping[str, str]) -> dict[str, str]:
        # The webhook's own headers are there for secrets, whatever their names; a signature can be tried secrets on.
        masked = dict.fromkeys((*self.webhook.headers, *({SIGNATURE_HEADER} & headers.keys())), _MASK)
        return {**headers, **masked}

    def _written_down(self, delivery: Delivery, body: bytes) -> Delivery:
        try:
            return replace(delivery, number=self.history.record(delivery, body))
        except HistoryError as exc:
            # A full disk must not stop deliveries, and what was delivered must not be sent again for want of a note.
            logger.error("webhook %s: a delivery could not be written down: %s", delivery.webhook, exc)
            return delivery
