"""What the unit tests share: a hypothesis profile, and a scheduler that changes threads as often as it can."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A loaded machine is slow now and then; how long one example takes says nothing about the code.
settings.register_profile("unit", deadline=None, max_examples=40)
settings.load_profile("unit")


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Change threads every few bytecodes, so that races show."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    yield

    sys.setswitchinterval(interval)
