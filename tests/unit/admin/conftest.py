"""A desk with dead letters, for the tests of the operator's tools."""

from collections.abc import Iterator

import pytest

from tests.unit.admin.desk import Desk, a_desk


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A broker in memory with one group."""
    with a_desk() as desk:
        yield desk
