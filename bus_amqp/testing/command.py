"""Run one outside command to its end, with a deadline, and turn its failure into an error that tells.

The environment is inherited as it is; what must differ is set by ``env``, because nobody but the settings reads it.
"""

import subprocess
from collections.abc import Mapping, Sequence

from bus_amqp.errors import TransportError

_LINES_TOLD = 8


def with_variables(arguments: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """Return the command that runs ``arguments`` with these variables set on top of the inherited ones."""
    return ["env", *(f"{name}={value}" for name, value in variables.items()), *arguments]


def run_command(arguments: Sequence[str], *, timeout_seconds: float, variables: Mapping[str, str] | None = None) -> str:
    """Return what the command printed; raise ``TransportError`` with its last lines if it fails or takes too long."""
    command = with_variables(arguments, variables or {}) if variables else list(arguments)
    shown = " ".join(arguments)
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise TransportError(f"`{shown}` took longer than {timeout_seconds:g} s") from exc
    except OSError as exc:
        raise TransportError(f"`{shown}` could not be run: {exc.strerror or exc}") from exc
    if ended.returncode == 0:
        return ended.stdout
    told = "\n".join((ended.stderr.strip() or ended.stdout.strip()).splitlines()[-_LINES_TOLD:])
    raise TransportError(f"`{shown}` failed with status {ended.returncode}: {told or 'it said nothing'}")
