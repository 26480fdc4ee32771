"""Forked children of a program, each with a deadline."""

import faulthandler
import os
import threading
import time
import traceback
from collections.abc import Callable

SECONDS = 30.0


def fork(work: Callable[[], object]) -> int:
    """Fork; the child works and ends."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    faulthandler.dump_traceback_later(SECONDS - 2)
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(pid: int) -> int:
    """Wait for a child within the time; return its exit status, or kill it and say so."""
    deadline = time.monotonic() + SECONDS
    pause = threading.Event()
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        pause.wait(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise AssertionError(f"child {pid} hung")
