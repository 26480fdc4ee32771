"""Where the installed command ``bus-amqp`` begins: the shortcut if it fits, else the command line as a whole.

A process that stores one event takes less time for that than typer and pydantic take to be loaded.  So little is loaded
here, and the exit statuses only where one is needed: a file takes about 0.2 ms.
"""

import sys

TYPE_CHECKING = False  # for type checkers true; typing would have to be imported
if TYPE_CHECKING:
    from types import FrameType


def main() -> int:
    """Run the command line and return the exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["publish"] and any(argument.startswith("--spool") for argument in arguments):
        status = _by_shortcut(arguments)
        if status is not None:
            return status
    from bus_amqp.cli.main import main as whole_command_line

    return whole_command_line()


def _by_shortcut(arguments: list[str]) -> int | None:
    """Return the status; None, and nothing was done, if it does not fit."""
    # The C half of `signal`: the other one would bring `enum` with it.
    from _signal import SIGTERM, signal  # type: ignore[import-not-found]  # typeshed knows the whole only

    before = signal(SIGTERM, _terminate)
    try:
        from bus_amqp.cli.shortcut import stored

        return _told() if stored(arguments) else None
    except KeyboardInterrupt:
        from bus_amqp.cli.exit_status import INTERRUPTED

        return INTERRUPTED
    finally:
        signal(SIGTERM, before)


def _told() -> int:
    from bus_amqp.cli import output

    try:
        output.result("1 stored, 0 refused")
    except output.OutputClosedError:
        return 0  # the status is owed even if nobody reads the line
    except output.OutputFailedError as exc:
        from bus_amqp.cli.exit_status import FAILED

        output.error(str(exc))
        return FAILED
    return 0


def _terminate(number: int, frame: "FrameType | None") -> None:
    from bus_amqp.cli.exit_status import TERMINATED

    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
