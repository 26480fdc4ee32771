"""``bus_amqp.publish.loose_event``: one event into a directory, however the process and the directory fare."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bus_amqp.publish import loose_event
from bus_amqp.publish.loose_event import MAX_LOOSE, add
from bus_amqp.publish.loose_events import PART_SECONDS, LooseEvents
from bus_amqp.publish.outbox_directory import OutboxDirectory

MESSAGE = ("a.b.c.d.e", b'{"a":"\xc3\xbc\\n"}', "id", 1, "b", "e")

# Ends itself with SIGKILL before its n-th call of the system; a write may be cut in two.
KILLED = """
import os, signal, sys
from bus_amqp.publish import loose_event
directory, left = sys.argv[1], int(sys.argv[2])
class System:
    def __getattr__(self, name):
        found = getattr(os, name)
        if name not in ("open", "write", "close", "rename", "unlink", "listdir"):
            return found
        def call(*arguments):
            global left
            left -= 1
            if left < 0:
                if name == "write":
                    os.write(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return found(*arguments)
        return call
loose_event.os = System()
sys.exit(0 if loose_event.add(directory, "bus.events", ("a.b.c.d.e", b"{}", "new", 1, "b", "e"), is_mandatory=False,
                              now=2.0) else 1)
"""


def ids(directory: Path) -> list[str]:
    """Return the ids of all events, as who gathers them sees them."""
    loose = LooseEvents(OutboxDirectory(directory, "bus.events"))
    _, journal = loose.gather(loose.look())
    assert list(directory.glob("*.damaged")) == []
    if journal is None:
        return []
    found = [event.message.message_id for event in journal.read(0, max_events=1000, max_bytes=10**9)]
    journal.close()
    return found


def test_killed_anywhere_it_leaves_a_whole_event_or_none(tmp_path: Path) -> None:
    """`kill -9` between any two steps, in the middle of a write too: nothing that looks like an event and is none."""
    parts = whole = 0
    for steps in range(30):
        directory = tmp_path / str(steps)
        directory.mkdir()

        ended = subprocess.run([sys.executable, "-c", KILLED, str(directory), str(steps)], check=False).returncode

        events, left = list(directory.glob("*.event")), list(directory.glob("*.event-part"))
        assert len(events) + len(left) == len(list(directory.iterdir())) <= 1
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        assert events == []  # the rename is the last step
        parts += len(left)
        whole += any(part.read_bytes().endswith(b"}\n") for part in left)
        assert add(str(directory), "bus.events", MESSAGE, is_mandatory=False, now=3.0)
        assert ids(directory) == ["id"]
    assert ids(directory) == ["new"]
    assert parts >= 3
    assert whole >= 1


def test_what_a_killed_process_left_of_an_event_goes_when_it_is_old(tmp_path: Path) -> None:
    """Else a directory would fill with halves; but the half of a living process is not for us to remove."""
    loose = LooseEvents(OutboxDirectory(tmp_path, "bus.events"))
    old, young = tmp_path / "1-a.event-part", tmp_path / "2-b.event-part"
    for path, age_seconds in ((old, PART_SECONDS + 5), (young, PART_SECONDS - 60)):
        path.touch()
        os.utime(path, (time.time() - age_seconds,) * 2)

    assert loose.look() == []

    assert list(tmp_path.iterdir()) == [young]


def test_later_events_sort_behind_also_by_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """A script's second line must not overtake its first, whatever the clock does in between."""
    for number, now in enumerate([1000.0, 900.0, 950.0, 1.0, 1000.5]):
        message = ("a.b.c.d.e", b"{}", str(number), 1, "b", "e")
        assert add(str(tmp_path), "bus.events", message, is_mandatory=False, now=now)

    assert ids(tmp_path) == ["0", "1", "2", "3", "4"]


def test_a_directory_full_of_loose_events_is_for_the_command(tmp_path: Path) -> None:
    """Each append lists the directory: where nobody gathers, the command does, and looks at the caps as well."""
    for number in range(MAX_LOOSE):
        assert add(str(tmp_path), "bus.events", MESSAGE, is_mandatory=False, now=float(number))

    assert not add(str(tmp_path), "bus.events", MESSAGE, is_mandatory=False, now=1.0)

    assert len(list(tmp_path.iterdir())) == MAX_LOOSE


def test_a_directory_that_is_not_there_is_for_the_command_to_make(tmp_path: Path) -> None:
    """It also knows the mode, and what to say where that is not allowed."""
    (tmp_path / "file").touch()

    assert not add(str(tmp_path / "none"), "bus.events", MESSAGE, is_mandatory=False, now=1.0)
    assert not add(str(tmp_path / "file"), "bus.events", MESSAGE, is_mandatory=False, now=1.0)
    assert not add(str(tmp_path), "half a \udc80", MESSAGE, is_mandatory=False, now=1.0)

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class BadDisk:
    """The operating system, with a disk that fails at one step."""

    def __init__(self, step: str) -> None:
        self._step = step

    def __getattr__(self, name: str) -> object:
        return getattr(os, name) if name != self._step else getattr(self, f"_{name}")

    def _write(self, descriptor: int, line: bytes) -> int:
        return os.write(descriptor, line[:10])  # what still fits

    def _close(self, descriptor: int) -> None:
        os.close(descriptor)
        raise OSError(errno.EDQUOT, "quota exceeded")  # network file systems say so at the end

    def _rename(self, part: str, path: str) -> None:
        raise OSError(errno.ENOSPC, "no space left")


@pytest.mark.parametrize("step", ["write", "close", "rename"])
def test_what_cannot_be_written_leaves_nothing_behind(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: no half of an event; the command tries, and tells."""
    monkeypatch.setattr(loose_event, "os", BadDisk(step))

    assert not add(str(tmp_path), "bus.events", MESSAGE, is_mandatory=False, now=1.0)

    assert list(tmp_path.iterdir()) == []
