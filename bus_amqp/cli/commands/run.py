"""``bus-amqp run``: one consumer process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bus_amqp.cli import options


def run(
    reference: Annotated[
        str | None, typer.Argument(metavar="MODULE:NAME", help="A Subscribers, or a function of the bus.")
    ] = None,
    installed: Annotated[
        bool, typer.Option("--installed", help="Run the installed plug-ins: see `subscribers list`.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="This plug-in alone; may be repeated.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--except", metavar="NAME", help="All but this plug-in; may be repeated.")
    ] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Run the others where a plug-in cannot be, and log which.")
    ] = False,
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
    """Run the subscribers of MODULE:NAME, or the --installed ones, until SIGTERM or Ctrl-C; then end with status 0.

    Start it more than once to have more processes share the work of a group.
    """
    if (reference is None) is not installed:
        raise typer.BadParameter("say either MODULE:NAME or --installed")
    if not installed and (only or without or skip_broken):
        raise typer.BadParameter("--only, --except and --skip-broken choose among the --installed plug-ins")
    if only and without:
        raise typer.BadParameter("say either --only or --except")
    import logging

    from bus_amqp.process.plug_ins import Choice
    from bus_amqp.process.runner import Consumer, run_consumer

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    loaded = options.settings_from(url, exchange, settings)
    subscribers = reference or Choice(tuple(only or ()), tuple(without or ()), is_skipping_broken=skip_broken)
    run_consumer(Consumer(subscribers, name or reference or "installed plug-ins", ready_file, ledger), loaded)
