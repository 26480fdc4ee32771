"""A user's mypy --strict accepts the design document's own examples, and refuses the usual mistakes."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def test_mypy_strict_accepts_what_users_write_and_refuses_their_mistakes(tmp_path: Path) -> None:
    """Design, section 3: the surface has types for people who have no plug-in and no stubs of ours."""
    # An empty configuration: a user has neither ours nor pydantic's plug-in.  What we import ourselves is not
    # the user's business, as with any installed package.
    configuration = tmp_path / "mypy.ini"
    configuration.write_text("[mypy]\n")
    command = [
        sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", f"--config-file={configuration}",
        f"--cache-dir={ROOT / '.mypy_cache' / 'user_code'}", *map(str, sorted(HERE.glob("user_*.py"))),
    ]  # fmt: skip

    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr
