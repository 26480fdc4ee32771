"""A password that changes while the process runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus_amqp.errors import AccessRefusedError, ConnectionLostError
from bus_amqp.sections import ConnectionSettings
from bus_amqp.settings import Settings, url_with_password
from bus_amqp.transport.amqp.connector import AmqpConnector

URL = "amqp://user@127.0.0.1:1/"  # nobody listens there


@pytest.fixture
def asked() -> list[str]:
    """The urls that were asked for."""
    return []


@pytest.fixture
def connector(tmp_path: Path, asked: list[str]) -> AmqpConnector:
    """A connector whose password stands in a file."""
    settings = Settings(password_file=tmp_path / "password")

    def current_url() -> str:
        asked.append(url_with_password(URL, settings))
        return asked[-1]

    return AmqpConnector(
        URL, ConnectionSettings(), client_name="t", max_body_bytes=1024, exchange="e", current_url=current_url
    )


def test_the_password_is_read_again_at_each_connect(connector: AmqpConnector, tmp_path: Path, asked: list[str]):
    """A rotated password must take effect at the next reconnect, without a restart."""
    for password in ("first", "second"):
        (tmp_path / "password").write_text(f"{password}\n")

        with pytest.raises(ConnectionLostError) as caught:
            connector.connect("publisher")

        assert password not in f"{caught.value!r}{caught.value}"

    assert asked == ["amqp://user:first@127.0.0.1:1/", "amqp://user:second@127.0.0.1:1/"]


def test_a_password_file_that_is_gone_is_refused_access(connector: AmqpConnector):
    """The loop tries again slowly and health says why; a foreign error would look like a fault of ours."""
    with pytest.raises(AccessRefusedError, match="password_file"):
        connector.connect("publisher")
