"""``bus-amqp demo``: the design document's scene, on a real broker if there is any way to one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bus_amqp.cli import options, output

app = typer.Typer(
    help="Show the bus at work: a management server, monitoring, billing and a workflow, as processes.\n\n"
    "The parties are the examples of the documentation: pip install 'bus-amqp[examples]'."
)


@app.callback(invoke_without_command=True)
def demo(
    context: typer.Context,
    events: Annotated[int, typer.Option("--events", min=1, help="How many events to publish.")] = 20_000,
    rate: Annotated[float, typer.Option("--rate", min=0, help="Events per second; 0: as fast as it goes.")] = 700.0,
    seed: Annotated[int, typer.Option("--seed", help="Another number, another history of the cloud.")] = 1,
    url: options.Url = None,
    screenshot: Annotated[Path | None, typer.Option("--screenshot", hidden=True)] = None,
    kill_at: Annotated[
        float | None,
        typer.Option("--kill-at", min=0, max=1, hidden=True, help="Kill the broker at this share, as K would."),
    ] = None,
) -> None:
    """Show the bus at work: a management server, monitoring, billing and a workflow, as processes.

    Ends with status 1 if an event was lost.  On a terminal, K kills the broker and R starts it again.
    """
    from bus_amqp.cli.demo.publisher import Load

    context.obj = Load(events, rate, seed), url
    if context.invoked_subcommand is not None:
        return
    from bus_amqp.cli.demo.conductor import Wish, run_demo

    wish = Wish(Load(events, rate, seed), screenshot.absolute() if screenshot else None, kill_at)
    if not run_demo(wish, options.settings_from(url)):
        output.error("not every event reached every party that should have it")
        raise typer.Exit(1)


@app.command(hidden=True)
def publisher(
    context: typer.Context,
    ledger: Annotated[Path | None, typer.Option("--ledger", help="Gets a JSON line for each event.")] = None,
) -> None:
    """Be the management server."""
    from contextlib import nullcontext

    from bus_amqp.cli.demo.publisher import FLUSH_SECONDS, publish_stream
    from bus_amqp.cli.demo.tally import PUBLISHER
    from bus_amqp.engine.connect import connect
    from bus_amqp.process.ledger import Ledger

    load, url = context.obj
    settings = options.settings_from(url)
    books = nullcontext() if ledger is None else Ledger(ledger)
    with books as opened, connect(client_name=PUBLISHER, settings=settings) as bus:
        accepted = publish_stream(bus, load, opened)
        bus.flush(FLUSH_SECONDS)
    output.say(f"{accepted} events published and confirmed")
