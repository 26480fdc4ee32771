"""``bus-amqp run``: one consumer process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bus_amqp.cli import options


def run(
    reference: Annotated[str, typer.Argument(metavar="MODULE:NAME", help="A Subscribers, or a function of the bus.")],
    name: Annotated[str | None, typer.Option("--name", help="What operators see in the broker's connections.")] = None,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", help="Made once every subscription is consuming.")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Gets a JSON line for each event that was handled.")
    ] = None,
    url: options.Url = None,
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
) -> None:
    """Run the subscribers of MODULE:NAME until SIGTERM or Ctrl-C, then end in good order with status 0.

    Start it more than once to have more processes share the work of a group.
    """
    import logging

    from bus_amqp.process.runner import Consumer, run_consumer

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    loaded = options.settings_from(url, exchange, settings)
    run_consumer(Consumer(reference, name or reference, ready_file, ledger), loaded)
