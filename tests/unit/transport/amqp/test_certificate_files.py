"""Certificate files that cannot be used: named before the first connect, and refused at each one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from bus_amqp.errors import AccessRefusedError, SettingsError
from bus_amqp.sections import ConnectionSettings
from bus_amqp.transport.amqp.connector import AmqpConnector
from bus_amqp.transport.amqp.tls import client_context
from tests.certificates import Authority
from tests.unit.transport.amqp.fake_broker import FakeBroker


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_certificate_files_that_cannot_be_used_are_named(authority, tmp_path):
    """Before the first connect, and for a file that goes missing later: at the next one, tried again."""
    ours, other = authority.issue("ours"), authority.issue("other")
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")

    def fault(**options: object) -> str:
        with pytest.raises(SettingsError) as caught:
            client_context(ConnectionSettings(**options))
        return str(caught.value)

    assert re.search(r"connection\.ca_file .*absent.*No such file", fault(ca_file=tmp_path / "absent"))
    assert re.search(r"connection\.ca_file .*junk\.pem: no certificate in PEM", fault(ca_file=junk))
    assert "connection.certificate_file" in fault(certificate_file=tmp_path / "absent")
    assert re.search(
        r"connection\.key_file .*absent", fault(certificate_file=ours.both_file, key_file=tmp_path / "absent")
    )
    assert "not the certificate's" in fault(certificate_file=ours.certificate_file, key_file=other.key_file)


def test_a_certificate_that_goes_missing_is_refused_at_the_next_connect(authority):
    """A renewal that went wrong: health says why, and the loop tries again."""
    ours = authority.issue("ours")
    with FakeBroker(lambda peer: None) as broker:
        url = f"amqps://me:s3cret@127.0.0.1:{broker.port}/"
        settings = ConnectionSettings(certificate_file=ours.both_file)
        connector = AmqpConnector(url, settings, client_name="t", max_body_bytes=1000, exchange="e")
        ours.both_file.unlink()

        with pytest.raises(AccessRefusedError, match=r"connection\.certificate_file .*No such file"):
            connector.connect("publisher")


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(authority, tmp_path):
    """OpenSSL would ask on the terminal, and a service would wait for ever."""
    ours = authority.issue("locked")
    key = serialization.load_pem_private_key(ours.key_file.read_bytes(), None)
    ours.key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"s3cret"),
        )
    )

    with pytest.raises(SettingsError, match=r"connection\.key_file is encrypted"):
        client_context(ConnectionSettings(certificate_file=ours.certificate_file, key_file=ours.key_file))


def test_certificates_without_tls_are_a_mistake_and_told(authority):
    """amqp:// with a certificate would go in the clear, and look safe."""
    with pytest.raises(SettingsError, match=r"connection\.ca_file is set.*write amqps://"):
        AmqpConnector(
            "amqp://me:s3cret@127.0.0.1/",
            ConnectionSettings(ca_file=authority.file),
            client_name="t",
            max_body_bytes=1,
            exchange="e",
        )
    with pytest.raises(ValidationError, match=r"login = 'external' needs connection\.certificate_file"):
        ConnectionSettings(login="external")
    with pytest.raises(ValidationError, match=r"key_file needs connection\.certificate_file"):
        ConnectionSettings(key_file=authority.file)
