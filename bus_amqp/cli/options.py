"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bus_amqp.settings import Settings
    from bus_amqp.topic import EventTopic

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
    str | None, typer.Option("--type", "-t", metavar="WORDS", help="Such as VM.START; in a topic also VM.# or *.START.")
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
