"""The webhooks of a file as subscriptions, and what an operator does with one of them by hand.

``webhook_subscribers`` is what ``bus-amqp run`` takes from a function of the bus::

    def webhooks(bus):
        return webhook_subscribers("/etc/bus/webhooks.toml")
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from bus_amqp import Event, InvalidArgumentError, SettingsError, Subscribers
from bus_amqp.extension.webhook.definition import Webhook
from bus_amqp.extension.webhook.errors import ForbiddenAddressError
from bus_amqp.extension.webhook.file import Definitions, load_definitions
from bus_amqp.extension.webhook.history import History
from bus_amqp.extension.webhook.hook import Hook, body_of
from bus_amqp.extension.webhook.lookup import allowed_addresses
from bus_amqp.extension.webhook.record import Delivery, Kind
from bus_amqp.extension.webhook.sender import Post, Sender

TEST_EVENT_TYPE = "WEBHOOK.TEST"
# Every event in hand may take a whole timeout, and all of them together must stay under the half hour after which
# RabbitMQ takes a consumer for dead: 16 a worker, at 25 s at most, are seven minutes.
PREFETCH_OF_A_WORKER = 16


@contextmanager
def webhook_subscribers(definitions: Definitions | Path | str) -> Iterator[Subscribers]:
    """Yield a subscription for each enabled webhook, in a group of its own: ``webhook-<name>``.

    So none waits for another, several processes share the work, and events wait while none runs.  At the end the
    connections and the history are closed: close the bus before, as ``bus-amqp run`` does.  Raises ``SettingsError``,
    ``HistoryError``.
    """
    if not isinstance(definitions, Definitions):
        definitions = load_definitions(definitions)
    enabled = [webhook for webhook in definitions.webhooks if webhook.enabled]
    if not enabled:
        raise SettingsError(f"{definitions.path}: no webhook is enabled")
    with ExitStack() as stack:
        history = stack.enter_context(_history(definitions))
        subscribers = Subscribers()
        for webhook in enabled:
            sender = stack.enter_context(closing(Sender(webhook, _client(definitions, webhook), history)))
            subscribers.on(
                webhook.topics,
                group=webhook.group,
                ordered=webhook.ordered,
                workers=webhook.workers,
                prefetch=PREFETCH_OF_A_WORKER * webhook.workers,
                retry=webhook.policy,
            )(Hook(sender))
        yield subscribers


def send_test(definitions: Definitions, name: str) -> Delivery:
    """Send an event of the type ``WEBHOOK.TEST`` to one webhook now, and write it down as a test.

    It does not pass the bus: no other webhook gets it, and neither topics nor scope are asked.
    """
    event = Event(
        event_category="WebhookTest",
        event_type=TEST_EVENT_TYPE,
        event_source="bus-amqp",
        description=f"a test of the webhook {name}; nothing has happened",
    )
    with _sender(definitions, definitions.webhook(name)) as sender:
        return sender.send(str(event.event_id), event.event_type, body_of(event), Kind.TEST)[1]


def redeliver(definitions: Definitions, number: int) -> Delivery:
    """Send what an earlier delivery sent, to where the webhook leads now, signed anew; write it down as a redelivery.

    Raises ``InvalidArgumentError`` if the history has no such delivery, and ``SettingsError`` if its webhook is not
    in the file any more.
    """
    earlier = body = None
    if definitions.history_file.exists():  # looking must not make it
        with _history(definitions) as history:
            earlier = history.delivery(number)
            body = None if earlier is None else history.body_of(earlier)
    if earlier is None or body is None:
        raise InvalidArgumentError(f"{definitions.history_file} has no delivery {number} (any more)")
    with _sender(definitions, definitions.webhook(earlier.webhook)) as sender:
        return sender.send(earlier.event_id, earlier.event_type, body, Kind.REDELIVERY)[1]


def refusals(definitions: Definitions) -> Iterator[tuple[Webhook, str]]:
    """Look up where each webhook leads now, and yield those to which nothing would be sent, with the reason."""
    for webhook in definitions.webhooks:
        target = webhook.target
        try:
            allowed_addresses(target.host, target.port, definitions.network.policy)
        except ForbiddenAddressError as exc:
            yield webhook, str(exc)
        except OSError as exc:
            yield webhook, f"{target.host} cannot be looked up: {exc.strerror or exc}"


def open_history(definitions: Definitions) -> History:
    """Return the history; whoever asks closes it.  Raises ``HistoryError``."""
    return History(definitions.history_file, deliveries=definitions.history_deliveries)


@contextmanager
def _history(definitions: Definitions) -> Iterator[History]:
    with closing(open_history(definitions)) as history:
        yield history


@contextmanager
def _sender(definitions: Definitions, webhook: Webhook) -> Iterator[Sender]:
    with (
        _history(definitions) as history,
        closing(Sender(webhook, _client(definitions, webhook), history)) as sender,
    ):
        yield sender


def _client(definitions: Definitions, webhook: Webhook) -> Post:
    try:
        from bus_amqp.extension.webhook.client import Client
    except ModuleNotFoundError as exc:
        if exc.name != "httpcore2":
            raise
        raise SettingsError("webhooks need the library httpcore2: pip install 'bus-amqp[webhook]'") from exc
    return Client(
        webhook.target,
        definitions.network.policy,
        timeout_seconds=webhook.timeout_seconds,
        connections=webhook.workers,
        ca_file=webhook.ca_file,
    )
