"""``bus-amqp publish``: one event from flags, or many from JSON lines."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from bus_amqp.cli import options, output

if TYPE_CHECKING:
    from bus_amqp.bus import EventBus
    from bus_amqp.event import Event
    from bus_amqp.receipt import Receipt

_IN_FLIGHT = 10_000  # far below the outbox's own bound: a fast file waits here for confirms


def publish(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="JSON lines, as `tail --json` writes them; - is stdin.")
    ] = None,
    category: options.Category = None,
    event_type: options.TypePattern = None,
    source: options.Source = None,
    resource_type: options.ResourceType = None,
    resource_uuid: options.ResourceUuid = None,
    description: Annotated[str | None, typer.Option("--description", "-d", help="For people.")] = None,
    details: Annotated[str | None, typer.Option("--details", metavar="JSON", help="A JSON object.")] = None,
    mandatory: Annotated[bool, typer.Option("--mandatory", help="Fail if no queue wants the event.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait for the last confirms.")] = 30.0,
    spool: Annotated[
        Path | None, typer.Option("--spool", metavar="DIR", help="Store for `forward DIR`; needs no broker now.")
    ] = None,
    url: options.Url = None,
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
) -> None:
    """Publish one event described by options, or each line of FILE as an event.

    Succeeds when the broker has confirmed every one, or with --spool when every one is on disk.
    """
    from bus_amqp.engine.connect import connect

    asked = {
        "event_category": category,
        "event_type": event_type,
        "event_source": source,
        "resource_type": resource_type,
        "resource_uuid": resource_uuid,
        "description": description,
        "details": details,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if file is not None and given:
        raise typer.BadParameter("give either FILE or the options of one event")
    event = None if file is not None else _event_from(given)
    if spool is not None and url is not None:
        raise typer.BadParameter("give either --spool or --url")
    options.warn_of_typing_error(event_type, "It is published as it is.")
    loaded = options.settings_from(url if spool is None else f"spool:{spool.absolute()}", exchange, settings)
    with _opened(file) as lines, connect(client_name="bus-amqp publish", settings=loaded) as bus:
        # Without a listener the bus would log what was refused: we read every receipt, and tell which line it was.
        bus.on_failed(lambda receipt: None)
        run = _Run(bus, mandatory=mandatory, timeout_seconds=timeout, is_spool=spool is not None)
        if event is not None:
            run.publish(event, "the event")
        else:
            run.publish_lines(lines)
        run.finish()
    with suppress(output.OutputClosedError):  # the status is owed even if nobody reads the line
        done = f"{run.published} stored" if spool else f"{run.published} published, {run.confirmed} confirmed"
        output.result(f"{done}, {run.refused} refused")
    if run.refused or run.confirmed < run.published:
        raise typer.Exit(1)


def _event_from(given: dict[str, str]) -> Event:
    from pydantic import ValidationError

    from bus_amqp.event import Event

    for name, option in (("event_category", "--category"), ("event_type", "--type"), ("event_source", "--source")):
        if name not in given:
            raise typer.BadParameter(f"an event needs {option} (or give a FILE of JSON lines, or - for stdin)")
    try:
        details = {"details": json.loads(given["details"])} if "details" in given else {}
        return Event.model_validate({**given, **details})
    except json.JSONDecodeError as exc:
        raise typer.BadParameter(f"--details is not JSON: {exc}") from exc
    except ValidationError as exc:
        raise typer.BadParameter(options.faults_of(exc)) from exc


@contextmanager
def _opened(file: str | None) -> Iterator[IO[bytes]]:
    if file == "-" and sys.stdin is None:  # `<&-`
        raise typer.BadParameter("stdin is closed: there is nothing to read")
    if file is None or file == "-":
        yield BytesIO() if file is None else sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            lines = stack.enter_context(Path(file).open("rb"))
        except OSError as exc:
            raise typer.BadParameter(f"{file}: {exc.strerror}") from exc
        yield lines


@dataclass(slots=True)
class _Run:
    """What became of each event; ``bus`` accepts no more than can be confirmed soon."""

    bus: EventBus
    mandatory: bool
    timeout_seconds: float
    is_spool: bool = False  # another process will send it: a receipt says nothing more
    published: int = 0
    confirmed: int = 0
    refused: int = 0
    _open: deque[tuple[str, Receipt]] = field(default_factory=deque)

    def publish_lines(self, lines: IO[bytes]) -> None:
        """Publish each line.  One that is no event is told and counted; the others go on."""
        from pydantic import ValidationError

        from bus_amqp.event import Event

        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                event = Event.model_validate_json(line, by_alias=True, by_name=False, extra="ignore")
            except ValidationError as exc:
                self._refuse(f"line {number}", options.faults_of(exc))
                continue
            self.publish(event, f"line {number}")

    def publish(self, event: Event, place: str) -> None:
        """Publish one event."""
        from bus_amqp.errors import EventBusException

        if len(self._open) >= _IN_FLIGHT:
            self._settle_oldest()
        try:
            receipt = self._accepted(event)
        except EventBusException as exc:
            self._refuse(place, str(exc))
            return
        self.published += 1
        if self.is_spool:
            self.confirmed += 1
            return
        self._open.append((place, receipt))

    def _accepted(self, event: Event) -> Receipt:
        from bus_amqp.errors import OutboxFullError

        while True:
            try:
                return self.bus.publish(event, mandatory=self.mandatory)
            except OutboxFullError as exc:  # by size, say: a file can wait for room, as no management server can
                if not exc.is_transient or not self._settle_oldest():
                    raise

    def finish(self) -> None:
        """Wait for the confirms that are still open; the whole of them has ``timeout_seconds``."""
        from bus_amqp.errors import UndeliveredError

        try:
            self.bus.flush(self.timeout_seconds)
        except UndeliveredError as exc:
            output.error(str(exc))
            self.timeout_seconds = 0  # of those, none will be waited for again
        while self._open:
            if not self._settle_oldest():
                self._open.popleft()  # neither confirmed nor refused: the totals show it

    def _settle_oldest(self) -> bool:
        """Wait for its confirm and count it; return False if it does not come in time."""
        if not self._open:
            return False
        place, receipt = self._open[0]
        try:
            error = receipt.exception(self.timeout_seconds)
        except TimeoutError:
            return False
        self._open.popleft()
        if error is None:
            self.confirmed += 1
        else:
            output.error(f"{place}: {error}")
        return True

    def _refuse(self, place: str, why: str) -> None:
        self.refused += 1
        output.error(f"{place}: {why}")
