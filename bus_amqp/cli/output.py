"""All printing of the command line, line by line.  Results go to stdout, everything about them to stderr.

Loads nothing that it does not need at once: the shortcut of `publish --spool` prints through it too.
"""

import os
import sys


class OutputClosedError(Exception):
    """Nobody reads our stdout any more (``| head``): time to end, and no fault."""


class OutputFailedError(OSError):
    """stdout cannot be written, for another reason than that nobody reads it: a full disk."""


def say(text: str) -> None:
    """Tell a person what happens."""
    from contextlib import suppress

    if sys.stderr is None:  # `2>&-`: print would take stdout instead
        return
    with suppress(BrokenPipeError):  # whoever closed stderr does not want to hear it
        print(text, file=sys.stderr, flush=True)


def error(text: str) -> None:
    """Tell in one line why there will be no result."""
    say(f"error: {' '.join(text.split())}")


def result(text: str) -> None:
    """Write one line of the result at once, for the next program in the pipe.

    Raises ``OutputClosedError``, ``OutputFailedError``.
    """
    if sys.stdout is None:  # `>&-`: print would write nowhere without a word
        raise OutputClosedError("stdout is closed")
    try:
        print(_encodable(text), flush=True)
    except BrokenPipeError as exc:
        forget_stdout()
        raise OutputClosedError("stdout is closed") from exc
    except OSError as exc:
        forget_stdout()
        raise OutputFailedError(f"stdout: {exc.strerror}") from exc


def _encodable(text: str) -> str:
    # A terminal in Latin-1 or ASCII shows an escape for what it cannot: better than to end there.
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, errors="backslashreplace").decode(encoding)


def printable(text: str) -> str:
    """Return the text in one line without control characters: what comes from elsewhere must not steer a terminal."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def forget_stdout() -> None:
    """Point stdout to nowhere: Python flushes it once more at its end, and would complain."""
    if sys.stdout is None:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def is_stdout_closed() -> bool:
    """Whether the reader of our pipe is gone, before we have anything to write to it."""
    import select

    if sys.stdout is None:
        return True
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(state & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, state in poll.poll(0))


def is_terminal() -> bool:
    """Whether a person watches stdout."""
    return sys.stdout is not None and sys.stdout.isatty()


def terminal_lines() -> int:
    """Return the height of the terminal."""
    import shutil

    return shutil.get_terminal_size().lines


def confirm(question: str, *, is_certain: bool) -> None:
    """Ask whether to go on, unless that is certain.  Ends the command for a no, and where nobody is to be asked."""
    import typer

    if is_certain:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} Nobody is here to ask: say --yes")
    if not typer.confirm(question, err=True):
        say("nothing was done")
        raise typer.Exit(1)
