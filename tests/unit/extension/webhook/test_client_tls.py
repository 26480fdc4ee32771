"""``Client`` over TLS: it is verified, against the name, at the address that was checked."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bus_amqp import SettingsError
from tests.certificates import DAY, Authority
from tests.receiver import Receiver
from tests.unit.extension.webhook.test_client import a_client


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_tls_is_verified_against_the_name_and_made_with_the_pinned_address(authority: Authority) -> None:
    """The connection goes to an address, the certificate and SNI are the name's: both must be so at once."""
    with Receiver(certificate=authority.issue("hooks.example", ["hooks.example"])) as receiver:
        client = a_client(
            f"https://hooks.example:{receiver.port}/",
            ca_file=authority.file,
            resolve=lambda host, port: ["127.0.0.1"],
        )
        answer = client.post({"Host": "hooks.example"}, b"{}")
        client.close()

        assert (answer.status, answer.error, answer.address) == (200, None, "127.0.0.1")
        assert receiver.server_names == ["hooks.example"]


@pytest.mark.parametrize(
    ("hosts", "validity", "is_trusted", "told"),
    [
        (["other.example"], DAY, True, "Hostname mismatch"),
        (["127.0.0.1"], DAY, True, "Hostname mismatch"),
        (["hooks.example"], timedelta(hours=-1), True, "expired"),
        (["hooks.example"], DAY, False, "unable to get local issuer"),
    ],
)
def test_a_certificate_that_proves_nothing_is_not_accepted(
    authority: Authority, hosts: list[str], validity: timedelta, is_trusted: bool, told: str
) -> None:
    """Whoever answers at that address could read the events, and there is no switch that lets him."""
    with Receiver(certificate=authority.issue("wrong", hosts, ends=validity)) as receiver:
        client = a_client(
            f"https://hooks.example:{receiver.port}/",
            ca_file=authority.file if is_trusted else None,
            resolve=lambda host, port: ["127.0.0.1"],
        )
        answer = client.post({"Host": "hooks.example"}, b"{}")
        client.close()

        assert answer.status is None
        assert told in str(answer.error)
        assert receiver.received == []


def test_an_authority_file_without_a_certificate_is_named(tmp_path: Path) -> None:
    """It must not fall back to anything."""
    file = tmp_path / "ca.pem"
    file.write_text("nothing")

    with pytest.raises(SettingsError, match=r"ca\.pem"):
        a_client("https://hooks.example/", ca_file=file)
