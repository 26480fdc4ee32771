"""The command ``bus-amqp``: its parts, and how it ends.

Exit status: 0 well; 1 failed; 2 used wrongly; 130 Ctrl-C; 143 SIGTERM.  What goes wrong is told in one line that
begins with ``error:``, never in a traceback.  Each command imports what it needs when it is called: ``--help`` must
not wait for a broker's client.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from bus_amqp.cli import output
from bus_amqp.cli.commands import bridge, broker, dead_letters, demo, groups, subscribers, webhooks
from bus_amqp.cli.commands.forward import forward
from bus_amqp.cli.commands.notify import notify
from bus_amqp.cli.commands.permissions import permissions
from bus_amqp.cli.commands.publish import publish
from bus_amqp.cli.commands.run import run
from bus_amqp.cli.commands.tail import tail
from bus_amqp.cli.exit_status import FAILED, INTERRUPTED, TERMINATED, USED_WRONGLY
from bus_amqp.errors import EventBusException, InvalidArgumentError, SettingsError

# Older releases of Typer use click, newer ones a copy of their own: by its child the class is found in both.
_UsageError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if issubclass(kind, Exception) and kind.__name__ == "ClickException"
)

app = typer.Typer(
    name="bus-amqp",
    help="An event bus for cloud control planes, over RabbitMQ.",
    rich_markup_mode=None,  # plain help: rich would double the time that it takes
    pretty_exceptions_enable=False,
)
app.command()(publish)
app.command()(forward)
app.command()(tail)
app.command()(run)
app.command()(notify)
app.command()(permissions)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(groups.app, name="groups")
app.add_typer(subscribers.app, name="subscribers")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(broker.app, name="broker")
app.add_typer(bridge.app, name="bridge")
app.add_typer(demo.app, name="demo")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        import bus_amqp

        output.result(f"bus-amqp {bus_amqp.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        output.say(context.get_help())
        raise typer.Exit(USED_WRONGLY)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)  # so that `with connect(...)` closes the bus


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(arguments)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status = app(args=arguments, standalone_mode=False)
    except output.OutputClosedError:
        return 0  # the reader of our pipe has what it wanted
    except _UsageError as exc:
        output.error(f"{exc.format_message()} (see --help)")  # type: ignore[attr-defined]  # click's ClickException
        return USED_WRONGLY
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except EventBusException as exc:
        output.error(str(exc))
        return USED_WRONGLY if isinstance(exc, InvalidArgumentError | SettingsError) else FAILED
    except OSError as exc:  # typer prints the help without asking us: a full disk, most likely
        output.forget_stdout()
        output.error(str(exc))
        return FAILED
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
