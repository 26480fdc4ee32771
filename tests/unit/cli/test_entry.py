"""The installed command as a process: whichever way an event takes, what a shell sees of it is the same."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bus_amqp.engine.connect import connect
from bus_amqp.settings import Settings
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topic import EventTopic

COMMAND = Path(sys.executable).with_name("bus-amqp")
LONG_WAY = [sys.executable, "-m", "bus_amqp.cli.main"]
EVENT = ["-c", "UsageEvent", "-t", "VM.START", "-s", "cron"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("BUS_AMQP_")}


def run(command: list[str | Path], **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=ENVIRONMENT, text=True, stderr=subprocess.PIPE, timeout=60, check=False, **options
    )


def modules_of(*arguments: str) -> set[str]:
    program = (  # what the interpreter itself has loaded, or what is hooked into it, is not ours
        "import sys; before = set(sys.modules); from bus_amqp.cli.entry import main; status = main()\n"
        "print(status, *set(sys.modules) - before)"
    )
    told = run([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE)
    *_, last = told.stdout.splitlines()
    status, *modules = last.split()
    assert status == "0", told.stderr
    return set(modules)


def test_the_shortcut_loads_nothing_heavy(tmp_path: Path) -> None:
    """One import of pydantic here, by whatever way, and each cron job takes a third of a second again."""
    modules = modules_of("publish", "--spool", str(tmp_path), *EVENT, "--details", '{"a": 1}')

    heavy = {"pydantic", "typer", "click", "kombu", "_sqlite3", "json", "typing", "pathlib", "dataclasses", "logging"}
    heavy |= {"re", "enum", "functools", "collections"}
    assert modules & heavy == set()
    assert len({module for module in modules if module.partition(".")[0] == "bus_amqp"}) <= 11


@pytest.mark.parametrize(
    "options", [EVENT, [*EVENT, "-d", "-5 degrees"], EVENT[:4], [*EVENT, "--details", "{"], ["--help"]]
)
def test_both_ways_say_the_same_and_end_the_same(options: list[str], tmp_path: Path) -> None:
    """Whoever calls it from a script must not notice which way it was."""
    short = run([COMMAND, "publish", "--spool", tmp_path / "a", *options], stdout=subprocess.PIPE)
    again = run([COMMAND, "publish", "--spool", tmp_path / "a", *options], stdout=subprocess.PIPE)
    long = run([*LONG_WAY, "publish", "--spool", tmp_path / "b", *options], stdout=subprocess.PIPE)

    for one in (short, again):
        assert (one.returncode, one.stderr) == (long.returncode, long.stderr)
        assert one.stdout.replace("bus-amqp ", "") == long.stdout.replace("python -m bus_amqp.cli.main ", "")


def test_the_status_is_owed_even_if_nobody_reads(tmp_path: Path) -> None:
    """`publish ... | true` and `>&-` have stored the event; a full disk under stdout is told, once it is stored."""
    for name, way in (("short", [COMMAND]), ("long", LONG_WAY)):
        (tmp_path / name).mkdir()
        command = [*way, "publish", "--spool", tmp_path / name, *EVENT]
        reader, writer = os.pipe()
        os.close(reader)
        unread = run(command, stdout=writer)
        os.close(writer)
        closed = run([shutil.which("sh") or "sh", "-c", '"$@" >&-', "sh", *command])
        with Path("/dev/full").open("w") as full:
            failed = run(command, stdout=full)

        assert [(one.returncode, one.stderr) for one in (unread, closed, failed)] == [
            (0, ""), (0, ""), (1, "error: stdout: No space left on device\n")
        ], name  # fmt: skip
        assert len(list((tmp_path / name).glob("*.event"))) == (3 if name == "short" else 0)
        assert len(list((tmp_path / name).glob("*.outbox"))) == (0 if name == "short" else 1)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_shortcut_with_the_status_of_the_command(number: int, status: int, tmp_path: Path) -> None:
    """A supervisor that stops a script reads the status; and what was under way leaves no lock and no half."""
    program = (
        "import os, signal, sys; import bus_amqp.cli.shortcut as shortcut; from bus_amqp.cli import entry\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        f"shortcut.add = lambda *_, **__: os.kill(os.getpid(), {number})\n"
        "sys.exit(entry.main())"
    )

    ended = run([sys.executable, "-c", program, "publish", "--spool", tmp_path, *EVENT], stdout=subprocess.PIPE)

    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "", "")


def test_what_both_ways_stored_is_sent_in_order(tmp_path: Path) -> None:
    """One spool: `forward` knows nothing of two ways."""
    for number in range(4):
        way = [COMMAND] if number % 2 else LONG_WAY
        command = [*way, "publish", "--spool", tmp_path, *EVENT, "--details", f'{{"number": {number}}}']
        assert run(command, stdout=subprocess.PIPE).stdout == "1 stored, 0 refused\n"
    assert len(list(tmp_path.glob("*.outbox"))) == len(list(tmp_path.glob("*.event"))) == 1

    recorder = Recorder()
    with connect("memory://", settings=Settings()) as watcher:
        watcher.subscribe(EventTopic(), recorder)
        with connect("memory://", settings=Settings(publisher={"outbox_directory": tmp_path})):
            recorder.wait_for(4)
    assert [event.details["number"] for event in recorder.events] == [0, 1, 2, 3]


def test_the_other_commands_take_the_long_way() -> None:
    """`--version` and whatever does not store one event goes to typer, as ever."""
    told = run([COMMAND, "--version"], stdout=subprocess.PIPE)

    assert (told.returncode, told.stdout.split()[0]) == (0, "bus-amqp")
