"""``bus-amqp tail``: watch events go by."""

from __future__ import annotations

from queue import Empty, Full, Queue
from threading import Event as Flag
from typing import TYPE_CHECKING, Annotated

import typer

from bus_amqp.cli import options, output

if TYPE_CHECKING:
    from collections.abc import Callable

    from bus_amqp.event import Event
    from bus_amqp.foreign import ForeignMessage, ForeignSource
    from bus_amqp.topic import EventTopic

_AHEAD = 1000  # events waiting to be printed; more wait on the broker
_LOOK_SECONDS = 0.25


def tail(
    category: options.Category = None,
    event_type: options.TypePattern = None,
    resource_type: options.ResourceType = None,
    resource_uuid: options.ResourceUuid = None,
    source: options.Source = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as it travels.")] = False,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="End after so many events.")] = None,
    url: options.Url = None,
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
    cloudstack: Annotated[
        str | None,
        typer.Option("--cloudstack", metavar="URL", help="Look at a live Apache CloudStack's events instead."),
    ] = None,
    from_exchange: Annotated[
        str, typer.Option("--from", metavar="EXCHANGE", help="With --cloudstack: the exchange that it publishes to.")
    ] = "cloudstack-events",
) -> None:
    """Print events as they happen: all of them, or those of a topic.  Takes them from nobody.

    With --cloudstack, all that is declared is a queue of this connection's own, which goes with it.
    """
    from bus_amqp.engine.connect import connect

    if cloudstack is not None and url is not None:
        raise typer.BadParameter("give either --url or --cloudstack")
    topic = options.topic_from(category, event_type, resource_type, resource_uuid, source)
    options.warn_of_typing_error(event_type, "Events of types of your own may still match.")
    loaded = options.settings_from(cloudstack or url, exchange, settings)
    if cloudstack is not None:
        loaded = loaded.model_copy(update={"declare": False})  # not even our exchange
    arrived: Queue[Event | str] = Queue(_AHEAD)
    is_over = Flag()

    def take(event: Event | str) -> None:
        while not is_over.is_set():  # `close` waits for us, so we must not wait for room that nobody will make
            try:
                arrived.put(event, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return

    with connect(client_name="bus-amqp tail", settings=loaded) as bus:
        bus.subscribe(topic if cloudstack is None else _cloudstack(from_exchange, topic, take), take)
        output.say(f"tail: subscribed on {bus.health().broker}")
        try:
            _print(arrived, count, as_json)
        except output.OutputClosedError:
            pass  # `| head` has seen enough
        finally:
            is_over.set()


def _cloudstack(exchange: str, topic: EventTopic, tell: Callable[[str], None]) -> ForeignSource:
    """Return what to look at: the events of the topic, and a word on each message that cannot be understood."""
    from bus_amqp.errors import UndecodableError
    from bus_amqp.extension.cloudstack.decoder import CloudStackDecoder
    from bus_amqp.foreign import ForeignSource
    from bus_amqp.retry import Discard

    translated = CloudStackDecoder(takes_own=True)

    def decode(message: ForeignMessage) -> Event:
        try:
            event = translated(message)
        except UndecodableError as exc:
            tell(f"not understood ({exc.reason}): {message.routing_key!r}: {exc}")
            raise Discard(exc.reason) from exc
        if not topic.matches(event):
            raise Discard("nobody asked for it")
        return event

    return ForeignSource(exchange, decode, exclusive=True)


def _print(arrived: Queue[Event | str], count: int | None, as_json: bool) -> None:
    printed = 0
    while count is None or printed < count:
        try:
            event = arrived.get(timeout=_LOOK_SECONDS)
        except Empty:
            if output.is_stdout_closed():
                return
            continue
        if isinstance(event, str):
            output.say(f"tail: {output.printable(event)}")
            continue
        output.result(event.model_dump_json(by_alias=True, exclude_none=True) if as_json else _line(event))
        printed += 1


def _line(event: Event) -> str:
    resource = f" {event.resource_type or '-'} {event.resource_uuid or '-'}"
    text = " ".join(event.description.split())
    time = f"{event.event_time:%Y-%m-%d %H:%M:%S}.{event.event_time.microsecond // 1000:03d}Z"
    line = f"{time} {event.event_category:<18} {event.event_type:<24}{resource} {event.event_source} {text}"
    return output.printable(line.rstrip())
