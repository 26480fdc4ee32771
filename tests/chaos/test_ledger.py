"""The ledger and its reader: what a process knew is in the file, whatever became of the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.architecture.source_files import TOP
from tests.chaos.books import Books, GapTold, Handling, Key
from tests.chaos.ledger import Ledger, LedgerFile
from tests.promise.waiting import wait_until

ENDLESS = """
import sys
from pathlib import Path
from tests.chaos.ledger import Ledger

ledger = Ledger(Path(sys.argv[1]))
number = 0
while True:
    ledger.write_event("o", number)
    print(number, flush=True)  # now the world may know
    number += 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "p1.ledger"


def read(path: Path, process: str = "p1") -> Books:
    books = Books()
    books.read(process, LedgerFile(path))
    return books


def test_what_was_written_is_read(path: Path):
    """Each kind of line finds its place in the books."""
    ledger = Ledger(path)
    for number in range(4):
        ledger.write_event("o", number)
    ledger.write_event("a", 0)
    ledger.write_event("c", 0)
    ledger.write("x", 1, "OutboxFullError")
    ledger.write_event("a", 2)
    ledger.write("f", 2, "UnroutableError")
    ledger.write_handled("work", "p9 7")
    ledger.write_sample()
    ledger.write("g", "work", 12.5, 13.25)
    ledger.write("z", "hung", "p9 7")

    books = read(path)

    assert list(books.offered) == [Key("p1", number) for number in range(4)]
    assert set(books.accepted) == {Key("p1", 0), Key("p1", 2)}
    assert set(books.confirmed) == {Key("p1", 0)}
    assert books.refused == {Key("p1", 1): "OutboxFullError"}
    assert books.failed == {Key("p1", 2): "UnroutableError"}
    assert [one.key for one in books.handled["work"]] == [Key("p9", 7)]
    assert books.handled_keys["work"] == {Key("p9", 7)}
    assert books.gaps == [GapTold("work", 12.5, 13.25)]
    assert [note.text for note in books.noted("hung")] == ["hung p9 7"]
    (sample,) = books.samples["p1"]
    assert sample.threads >= 1
    assert sample.resident_kb > 1000
    assert abs(sample.wall - time.time()) < 60
    assert 0 < books.longest_call_ns < 60_000_000_000


def test_a_line_that_is_half_written_waits_for_its_other_half(path: Path):
    """The reader looks while processes write."""
    path.write_bytes(b"h 5 work p1 1\nh 6 wo")
    ledger, books = LedgerFile(path), Books()

    books.read("c1", ledger)
    assert books.handled["work"] == [Handling(5, "c1", Key("p1", 1))]
    with path.open("ab") as file:
        file.write(b"rk p1 2\n")
    books.read("c1", ledger)
    books.read("c1", ledger)

    assert books.handled["work"] == [Handling(5, "c1", Key("p1", 1)), Handling(6, "c1", Key("p1", 2))]


def test_a_process_without_a_ledger_yet_has_done_nothing(path: Path):
    """It is still starting."""
    assert read(path) == Books()


def test_a_killed_process_leaves_every_line_that_it_had_written(path: Path):
    """kill -9 is one of the faults: a ledger that forgets would call a lost event never offered."""
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(path)], cwd=TOP, stdout=subprocess.PIPE, env={**os.environ}
    )  # fmt: skip
    assert process.stdout is not None
    try:
        wait_until(lambda: path.exists() and path.stat().st_size > 20_000, "a thousand lines")
    finally:
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().split(b"\n")
        process.stdout.close()
        process.wait(10)

    last_told = int(told[-2])
    assert Key("p1", last_told) in read(path).offered
