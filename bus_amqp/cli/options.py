"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bus_amqp.cli import output

if TYPE_CHECKING:
    from bus_amqp.settings import Settings
    from bus_amqp.topic import EventTopic


def known_types(incomplete: str) -> list[str]:
    """Return the event types of the catalogue that begin like this, for the shell to complete."""
    from bus_amqp.source.catalogue import known_event_types

    return sorted(event_type for event_type in known_event_types() if event_type.startswith(incomplete))


Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="amqp://user:password@host:port/vhost. Better in BUS_AMQP_URL: arguments are visible to every user.",
    ),
]
Exchange = Annotated[
    str | None, typer.Option("--exchange", metavar="NAME", help="The bus's exchange; default: bus.events.")
]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="A TOML file; default: BUS_AMQP_SETTINGS_FILE.")
]
Category = Annotated[str | None, typer.Option("--category", "-c", metavar="WORD", help="Such as UsageEvent.")]
TypePattern = Annotated[
    str | None,
    typer.Option(
        "--type",
        "-t",
        metavar="WORDS",
        help="Such as VM.START; in a topic also VM.# or *.START.",
        autocompletion=known_types,
    ),
]
ResourceType = Annotated[str | None, typer.Option("--resource-type", metavar="WORD", help="Such as VirtualMachine.")]
ResourceUuid = Annotated[str | None, typer.Option("--resource-uuid", metavar="UUID", help="Which one.")]
Source = Annotated[str | None, typer.Option("--source", "-s", metavar="WORD", help="Such as management-server.")]


def settings_from(url: str | None, exchange: str | None = None, file: Path | None = None) -> Settings:
    """Return the settings.  Raises ``SettingsError``."""
    from bus_amqp.settings import load_settings

    return load_settings(url=url, exchange=exchange, settings_file=file)


def topic_from(
    category: str | None,
    event_type: str | None,
    resource_type: str | None,
    resource_uuid: str | None,
    source: str | None,
) -> EventTopic:
    """Return the topic that the options describe; none of them: everything.  Raises ``InvalidArgumentError``."""
    from bus_amqp.topic import EventTopic

    return EventTopic(
        event_category=category,
        event_type=event_type,
        resource_type=resource_type,
        resource_uuid=resource_uuid,
        event_source=source,
    )


def warn_of_typing_error(event_type: str | None, what_happens: str) -> None:
    """Say that a type, or a pattern of types, is probably mistyped.  It is taken as it is: types are open."""
    if event_type is None:
        return
    from bus_amqp.source.catalogue import known_event_types

    if meant := known_event_types().suggest_pattern(event_type):
        output.say(f"warning: no known event type is {event_type}: did you mean {meant}? {what_happens}")


def faults_of(exc: Exception) -> str:
    """Return pydantic's faults in one line: the place and what is wrong with it."""
    from pydantic import ValidationError

    assert isinstance(exc, ValidationError)
    faults = exc.errors(include_url=False, include_input=False, include_context=False)
    told = [
        # The second word of a place is a label of the union with null, which says nothing to a reader.
        f"{'.'.join(map(str, (*fault['loc'][:1], *fault['loc'][2:]))) or 'input'}: "
        f"{fault['msg'].removeprefix('Value error, ')}"
        for fault in faults
        if fault["loc"][1:] != ("null",)
    ]
    return "; ".join(told)
