"""``docs/guide/typed-events.md`` is run as it is printed."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "guide" / "typed-events.md"


def test_the_example_of_the_page_prints_what_the_page_says() -> None:
    """Whoever copies the example gets what stands below it."""
    text = PAGE.read_text(encoding="utf-8")
    [example] = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    [printed] = re.findall(r"^prints `(.*)`\.$", text, re.MULTILINE)

    ran = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=60, check=False)

    assert (ran.stdout, ran.stderr) == (f"{printed}\n", "")
