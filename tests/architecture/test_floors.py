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
    shutil.copytree(PACKAGE, tmp_path / "bus_amqp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    with (tmp_path / "bus_amqp/wire/message.py").open("a") as file:
        file.write("\nfrom bus_amqp.publish import outbox\n")

    told = lint(tmp_path)

    assert told.returncode == 1
    assert "bus_amqp.wire.message -> bus_amqp.publish.outbox" in told.stdout


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package of that folder."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
