"""The floors of the design, section 6: the contracts of pyproject.toml hold for the files as they are."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.architecture.source_files import PACKAGE, TOP


def test_files_lean_only_on_the_floors_beneath_them():
    """A file that leans upwards turns the one-way flow into a knot; hidden imports are read too."""
    told = lint(TOP)

    assert told.returncode == 0, told.stdout + told.stderr


def test_a_file_that_leans_upwards_is_found(tmp_path: Path):
    """The contracts bite: with one import against the current added to a copy they fail."""
    told = lint(copied(tmp_path, {"wire/message.py": "\nfrom bus_amqp.publish import outbox\n"}))

    assert told.returncode == 1
    assert "bus_amqp.wire.message -> bus_amqp.publish.outbox" in told.stdout


def test_extensions_reach_through_the_front_door_whatever_it_shows(tmp_path: Path):
    """They stand above the sources, which the front door shows: a floor beside them would forbid the front door."""
    added = {
        "__init__.py": "\nfrom bus_amqp.source import new_source\n",
        "source/__init__.py": "",
        "source/new_source.py": "from bus_amqp.event import Event\n",
        "extension/__init__.py": "",
        "extension/new_extension.py": "from bus_amqp import connect\nfrom bus_amqp.source import new_source\n",
    }

    told = lint(copied(tmp_path, added))

    assert told.returncode == 0, told.stdout + told.stderr


def copied(folder: Path, added: dict[str, str]) -> Path:
    """Copy the package with its contracts into the folder, and add text to files of it, there or not."""
    shutil.copytree(PACKAGE, folder / "bus_amqp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOP / "pyproject.toml", folder)
    for name, text in added.items():
        file = folder / "bus_amqp" / name
        file.parent.mkdir(exist_ok=True)
        with file.open("a") as opened:
            opened.write(text)
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package of that folder."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
