"""``bus-amqp bridge cloudstack``: another system's events, published as ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bus_amqp.cli import options

app = typer.Typer(help="Have another system's events on this bus.")


@app.callback()
def _systems() -> None:
    """Have another system's events on this bus."""


@app.command()
def cloudstack(
    from_exchange: Annotated[
        str, typer.Option("--from", metavar="EXCHANGE", help="CloudStack's exchange, on the same virtual host.")
    ] = "cloudstack-events",
    group: Annotated[str, typer.Option("--group", "-g", metavar="GROUP", help="Whose queue it is.")] = "cloudstack",
    twins: Annotated[
        str, typer.Option("--twins", metavar="drop|mark|keep", help="What becomes of what is said twice.")
    ] = "mark",
    ready_file: Annotated[Path | None, typer.Option("--ready-file", help="Made once the bridge is consuming.")] = None,
    url: options.Url = None,
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
) -> None:
    """Publish Apache CloudStack's events as ours until SIGTERM or Ctrl-C; then end with status 0.

    A second one stands by and takes over.  After a crash the last events come again, with the same ids.
    """
    import logging
    from functools import partial

    from bus_amqp.extension.cloudstack.bridge import BridgeOptions, bridge_to
    from bus_amqp.process.loader import opener_of
    from bus_amqp.process.runner import Consumer, run_consumer

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    loaded = options.settings_from(url, exchange, settings)
    if loaded.exchange == from_exchange:
        raise typer.BadParameter(f"--from and --exchange are both {from_exchange!r}: events would go round for ever")
    wanted = BridgeOptions(from_exchange=from_exchange, group=group, twins=twins)
    bridge = opener_of(partial(bridge_to, options=wanted), "the bridge")
    run_consumer(Consumer(bridge, "bus-amqp bridge cloudstack", ready_file), loaded)
