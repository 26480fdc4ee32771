"""How tests wait: for a condition, with a deadline, never for a length of time."""

import threading
import time
from collections.abc import Callable

from tests.patience import TIMEOUT_SECONDS

LOOK_SECONDS = 0.01


def wait_until(condition: Callable[[], object], what: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Return as soon as the condition holds.  Raises ``AssertionError`` that names what did not come."""
    deadline = time.monotonic() + timeout_seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_seconds:g} s in vain: {what}"
        pause.wait(LOOK_SECONDS)
