"""``bus-amqp broker up | down | status``: a RabbitMQ for development."""

from __future__ import annotations

from typing import Annotated

import typer

from bus_amqp.cli import output

app = typer.Typer(help="A RabbitMQ for development, on this machine.")


@app.command()
def up(
    install: Annotated[
        bool, typer.Option("--install/--no-install", help="As root on Debian or Ubuntu, install it if need be.")
    ] = False,
) -> None:
    """Start one (Docker, or the installed rabbitmq-server) unless it runs; it stays when this command ends."""
    from bus_amqp.settings import rabbitmq_image
    from bus_amqp.testing import standing_broker

    broker = standing_broker.up(image=rabbitmq_image(), allow_install=install, say=output.say)
    output.say(f"{broker.kind} runs; `bus-amqp broker down` ends it")
    output.result(f"export BUS_AMQP_URL={broker.url}")


@app.command()
def down() -> None:
    """End the one that `up` started, and forget its queues."""
    from bus_amqp.testing import standing_broker

    broker = standing_broker.down()
    output.say(f"ended: {broker.kind}" if broker is not None else "no broker of ours runs")


@app.command()
def status() -> None:
    """Tell whether a broker answers: the one of BUS_AMQP_URL, or the one that `up` started."""
    from bus_amqp.cli.options import settings_from
    from bus_amqp.engine.connect import connect
    from bus_amqp.settings import without_password
    from bus_amqp.testing import standing_broker

    settings = settings_from(None)
    broker = None if settings.url else standing_broker.status()
    url = settings.url or (broker.url if broker is not None else None)
    if url is None:
        output.error("no broker: BUS_AMQP_URL is not set, and `bus-amqp broker up` has not been called")
        raise typer.Exit(1)
    # A setting is split into the nodes of its cluster by `connect` itself, an argument is one url.
    with connect(None if settings.url else url, client_name="bus-amqp broker status", settings=settings) as bus:
        output.result(f"{bus.health().broker} ({broker.kind if broker is not None else without_password(url)})")
