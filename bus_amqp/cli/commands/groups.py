"""``bus-amqp groups list | show | create | delete``: who shares work, and how much of it waits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from bus_amqp.cli import options, output

if TYPE_CHECKING:
    from bus_amqp.admin.groups import Groups, GroupState
    from bus_amqp.settings import Settings

app = typer.Typer(help="Groups of consumers: look at them, make one before its first consumer, delete one.")

Name = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
ManagementUrl = Annotated[
    str | None,
    typer.Option(
        "--management-url",
        metavar="URL",
        help="RabbitMQ's management API; default: port 15672 (TLS: 15671) of the broker's host, with its user.",
    ),
]


@app.command("list")
def list_(
    as_json: AsJson = False,
    management_url: ManagementUrl = None,
    url: options.Url = None,
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
) -> None:
    """Show all groups: what waits, who consumes, how many dead letters.

    AMQP has no list of queues: this needs the management plug-in.  `groups show` needs none.
    """
    from bus_amqp.admin.groups import group_names
    from bus_amqp.admin.management import management_of
    from bus_amqp.engine.connect import first_url
    from bus_amqp.errors import TransportError

    loaded = options.settings_from(url, exchange, settings)
    management = management_of(loaded, first_url(loaded), management_url)
    try:
        names = group_names(loaded.exchange, management.queues())
        bindings = management.bindings(loaded.exchange) if names else {}
    except TransportError as exc:
        output.error(
            f"{exc}. AMQP cannot list queues: enable the plug-in rabbitmq_management, or say where it is "
            "(--management-url), or name the groups: bus-amqp groups show GROUP..."
        )
        raise typer.Exit(1) from exc
    with _groups(loaded) as groups:
        states = [groups.show(name) for name in names]
    _print(states, bindings, as_json=as_json)
    if not states:
        output.say(f"no group has a queue on exchange {loaded.exchange}")


@app.command()
def show(
    names: Annotated[list[str], typer.Argument(metavar="GROUP...", help="One group or several.")],
    as_json: AsJson = False,
    url: options.Url = None,
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
) -> None:
    """Show the named groups.  Needs no management plug-in.  Status 1 if one of them is not there."""
    loaded = options.settings_from(url, exchange, settings)
    with _groups(loaded) as groups:
        states = [groups.show(name) for name in names]
    _print(states, None, as_json=as_json)
    missing = [state for state in states if not state.exists]
    for state in missing:
        output.error(f"group {state.name} has no queue {state.queue}")
    if missing:
        raise typer.Exit(1)


@app.command()
def create(
    name: Name,
    category: options.Category = None,
    event_type: options.TypePattern = None,
    resource_type: options.ResourceType = None,
    resource_uuid: options.ResourceUuid = None,
    source: options.Source = None,
    ordered: Annotated[bool, typer.Option("--ordered", help="One process works, the others stand by.")] = False,
    url: options.Url = None,
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
) -> None:
    """Make a group before its first consumer, so that events of the topic wait for it (all, if none is given).

    Say the topic and --ordered as the subscription will; for several topics, call it once for each.
    """
    topic = options.topic_from(category, event_type, resource_type, resource_uuid, source)
    loaded = options.settings_from(url, exchange, settings)
    with _groups(loaded) as groups:
        state = groups.create(name, [topic], ordered=ordered)
    output.result(f"{state.queue}: {state.ready} events wait, {state.consumers} consumers")


@app.command()
def delete(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Even while it has consumers.")] = False,
    with_dead_letters: Annotated[bool, typer.Option("--with-dead-letters", help="Its dead letters too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: options.Url = None,
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
) -> None:
    """Delete a group with the events that wait for it.  Says what would be lost, and asks."""
    loaded = options.settings_from(url, exchange, settings)
    with _groups(loaded) as groups:
        state = groups.show(name) if with_dead_letters else groups.existing(name)
    kept = "" if with_dead_letters or not state.dead_letters else f"; its {state.dead_letters} dead letters stay"
    lost = f"{state.ready or 0} events that wait"
    if with_dead_letters:
        lost += f" and {state.dead_letters or 0} dead letters"
    if not (state.consumers and not force):  # that is refused below, and no question of taste
        output.confirm(f"delete group {name}, {state.consumers or 0} consumers: {lost} are lost{kept}.", is_certain=yes)
    with _groups(loaded) as groups:
        state = groups.delete(name, force=force, with_dead_letters=with_dead_letters)
    dead = f", {state.dead_letters or 0} dead letters" if with_dead_letters else ""
    output.result(f"deleted {state.queue}: {state.ready or 0} events{dead}")


@contextmanager
def _groups(settings: Settings) -> Iterator[Groups]:
    from bus_amqp.admin.groups import Groups
    from bus_amqp.admin.operator_connection import operator_connection

    with operator_connection(settings, client_name="bus-amqp groups") as connection:
        yield Groups(connection, settings.exchange, may_declare=settings.declare)


def _print(states: Sequence[GroupState], bindings: Mapping[str, Sequence[str]] | None, *, as_json: bool) -> None:
    """``bindings`` None: not known."""
    if as_json:
        for state in states:
            record = {
                "group": state.name,
                "queue": state.queue,
                "ready": state.ready,
                "consumers": state.consumers,
                "ordered": state.is_ordered,
                "dead_letters": state.dead_letters,
                **({} if bindings is None else {"bindings": list(bindings.get(state.queue, ()))}),
            }
            output.result(json.dumps(record))
        return
    if not states:
        return
    from rich.table import Table
    from rich.text import Text

    from bus_amqp.cli import drawing

    table = Table(box=None, header_style="bold")
    for heading, justify in (("group", "left"), ("ready", "right"), ("consumers", "right"), ("dead letters", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("ordered")
    if bindings is not None:
        table.add_column("bindings")
    for state in states:
        cells = [state.name, _number(state.ready), _number(state.consumers), _number(state.dead_letters)]
        cells.append({True: "yes", False: "no", None: "?"}[state.is_ordered])
        if bindings is not None:
            cells.append(" ".join(bindings.get(state.queue, ())))
        table.add_row(*(Text(output.printable(cell)) for cell in cells))
    drawing.draw(table)


def _number(count: int | None) -> str:
    return "-" if count is None else str(count)
