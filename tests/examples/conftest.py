"""The databases that the examples are tried with."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.postgresql import PrivatePostgreSQL
from tests.real_brokers import POSTGRESQL


@pytest.fixture(params=["sqlite", POSTGRESQL])
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, real_server: Callable[[str], PrivatePostgreSQL]
) -> str:
    """An empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'billing.sqlite'}"
    return real_server(POSTGRESQL).new_database()
