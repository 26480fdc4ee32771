"""``FileLock``: the right to a file of an outbox directory, held by one open file of one process.

``flock``, on a file beside the one that it guards.  Beside, because SQLite has locks of its own on the file itself,
which are lost when anybody in the process closes it.  ``flock``, because the kernel ends it with the process, however
that ends, and because two buses of one process exclude each other, which POSIX record locks would not.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_held: set[FileLock] = set()  # by this process; a child that kept them would hold up who waits for its parent's end


class FileLock:
    """A lock that is held.  ``take`` makes one; ``release`` or the end of the process ends it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        _held.add(self)

    def __repr__(self) -> str:
        return f"<FileLock {self._path.name}>"

    @classmethod
    def take(cls, path: Path) -> FileLock | None:
        """Return the lock, or None while somebody else holds it.  Raises ``OSError``."""
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                os.close(descriptor)
                if isinstance(exc, BlockingIOError):
                    return None
                raise
            if _is_at(path, descriptor):
                return cls(path, descriptor)
            os.close(descriptor)  # its holder removed it just before we locked it: that lock excludes nobody

    def release(self, *, remove: bool) -> None:
        """Give the lock back; ``remove`` the file first where nothing is left that it guards."""
        if self not in _held:
            return  # a forked child: the lock is its parent's
        _held.discard(self)
        if remove:
            with suppress(OSError):  # a file without a holder locks nothing
                self._path.unlink(missing_ok=True)
        # Said, and not left to the close: a thread may be starting a process, which has a copy until it executes.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        found, held = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)


def _leave_to_parent() -> None:
    for lock in _held:
        os.close(lock._descriptor)  # LOCK_UN would end it for the parent too; a closed copy ends nothing
    _held.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
