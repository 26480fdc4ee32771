"""The programs in the guides run as they stand, and print what the guide says that they print."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDES = Path(__file__).parents[2] / "docs" / "guide"
RUN = ["sources.md"]  # guides whose Python blocks are whole programs; what one prints stands in the text block after it
_BLOCK = re.compile(
    r"^```python\n(?P<program>.*?)^```\n(?:\n*^prints:?\n+^```text\n(?P<output>.*?)^```\n)?", re.M | re.S
)


def _programs() -> list[object]:
    return [
        pytest.param(found["program"], found["output"], id=f"{name}-{number}")
        for name in RUN
        for number, found in enumerate(_BLOCK.finditer((GUIDES / name).read_text()), 1)
    ]


@pytest.mark.parametrize(("program", "output"), _programs())
def test_a_program_of_a_guide_runs_as_it_stands(program: str, output: str | None, tmp_path: Path) -> None:
    """People copy from guides before they read them: an example that fails is the first thing they see of us."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    if output is not None:
        assert ended.stdout == output


def test_there_are_programs_to_run() -> None:
    """A fence that is spelt otherwise must not turn the above into tests of nothing."""
    assert len(_programs()) >= 5
