"""``bus-amqp forward``: send what an outbox directory holds."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from bus_amqp.cli import options, output


def forward(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An outbox_directory, or what follows spool:.")],
    once: Annotated[bool, typer.Option("--once", help="Send what is there, and end.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also events that were moved aside: too old, or refused for good.")
    ] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="With --once: seconds it may take.")] = 3600.0,
    url: options.Url = None,
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
) -> None:
    """Send the events that killed processes and spools have left in DIR, oldest first, and watch for new ones.

    Several may run on one directory, beside living publishers: each file is sent by one process.
    """
    import logging

    from bus_amqp.process.forwarder import forward as send

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    done = send(
        directory, options.settings_from(url, exchange, settings),
        is_once=once, is_again=again, timeout_seconds=timeout,
    )  # fmt: skip
    with suppress(output.OutputClosedError):  # the status is owed even if nobody reads the line
        output.result(
            f"{done.sent} sent, {done.outbox.moved_aside} moved aside, {done.renewed} taken back from aside; left: "
            f"{done.outbox.aside_files} aside files, {done.outbox.damaged_files} damaged ones"
        )
    if done.outbox.moved_aside:
        raise typer.Exit(1)
