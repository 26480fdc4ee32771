"""What the unit tests share: a scheduler that changes threads as often as it can."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Change threads every few bytecodes, so that races show."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    yield

    sys.setswitchinterval(interval)
