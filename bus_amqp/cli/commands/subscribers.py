"""``bus-amqp subscribers list``: the plug-ins that ``bus-amqp run --installed`` would run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bus_amqp.cli import output

if TYPE_CHECKING:
    from bus_amqp.process.plug_ins import Description
    from bus_amqp.subscriber import Declared
    from bus_amqp.topic import EventTopic

app = typer.Typer(help="Subscribers that installed distributions announce: look at them.")


@app.callback()
def _subscribers() -> None:
    """Keep ``list`` a command of its own: typer makes the only one of an app the app."""


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """Show the installed plug-ins, who brings them, and what they subscribe to.

    Imports them, and asks no broker.  Status 1 if one of them is broken.
    """
    from bus_amqp.process.plug_ins import ENTRY_POINTS, described, installed_plug_ins

    descriptions = [described(plug_in) for plug_in in installed_plug_ins()]
    if as_json:
        for description in descriptions:
            output.result(json.dumps(_record(description)))
    elif descriptions:
        _draw(descriptions)
    if not descriptions:
        output.say(f"no plug-in is installed: no distribution has an entry point in the group {ENTRY_POINTS}")
    broken = [description for description in descriptions if description.fault]
    for description in broken:
        output.error(f"plug-in {description.plug_in}: {description.fault}")
    if broken:
        raise typer.Exit(1)


def _record(description: Description) -> dict[str, object]:
    plug_in = description.plug_in
    return {
        "name": plug_in.name,
        "reference": plug_in.reference,
        "distribution": plug_in.distribution,
        "version": plug_in.version,
        "needs_bus": description.needs_bus,
        "fault": description.fault,
        "subscriptions": [
            {
                "group": declared.options.group,
                "ordered": declared.options.ordered,
                "topics": [topic.model_dump(exclude_none=True) for topic in declared.topics],
                **({} if declared.foreign is None else {"foreign_exchange": declared.foreign.exchange}),
            }
            for declared in description.declared
        ],
    }


def _draw(descriptions: Sequence[Description]) -> None:
    from rich.table import Table
    from rich.text import Text

    from bus_amqp.cli import drawing

    table = Table(box=None, header_style="bold")
    for heading in ("name", "distribution", "reference", "group: topics"):
        table.add_column(heading)
    for description in descriptions:
        plug_in = description.plug_in
        cells = (plug_in.name, f"{plug_in.distribution} {plug_in.version}", plug_in.reference)
        subscribes = [Text(output.printable(line)) for line in _subscriptions(description)]
        table.add_row(*(Text(output.printable(cell)) for cell in cells), Text("\n").join(subscribes))
    drawing.draw(table)


def _subscriptions(description: Description) -> list[str]:
    if description.fault:
        return ["cannot be loaded: see below"]
    if description.needs_bus:
        return ["known when it is given a bus"]
    return [_told(declared) for declared in description.declared]


def _told(declared: Declared) -> str:
    group = declared.options.group or "temporary"
    if declared.options.ordered:
        group += " (ordered)"
    if declared.foreign is not None:
        return f"{group}: exchange {declared.foreign.exchange}"
    return f"{group}: {' | '.join(map(_of_topic, declared.topics))}"


def _of_topic(topic: EventTopic) -> str:
    words = topic.model_dump(exclude_none=True).values()
    return " ".join(word or '""' for word in words) or "everything"
