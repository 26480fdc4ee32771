"""``Authority``: certificates for tests, good ones and bad ones of every kind, in files."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """The files of one certificate, and both in one."""

    certificate_file: Path
    key_file: Path
    both_file: Path


class Authority:
    """Signs what it is asked to.  ``file``: its own certificate, for those who shall trust it."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"{name} of the tests")
        self._certificate = self._sign(self._name, self._key, (), -DAY, DAY, is_authority=True)
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str,
        hosts: Sequence[str] = (),
        *,
        begins: timedelta = -DAY,
        ends: timedelta = DAY,
        signs_itself: bool = False,
    ) -> Certificate:
        """Return a certificate for the common name and the hosts; ``begins`` and ``ends`` count from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_name(name), key, hosts, begins, ends, signs_itself=signs_itself)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        made = Certificate(*(self._directory / f"{name}.{kind}" for kind in ("crt", "key", "pem")))
        made.certificate_file.write_bytes(pem)
        made.key_file.write_bytes(key_pem)
        made.both_file.write_bytes(key_pem + pem)
        for file in (made.certificate_file, made.key_file, made.both_file):
            file.chmod(0o644)  # a broker in a container reads it as another user
        return made

    def _sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        hosts: Sequence[str],
        begins: timedelta,
        ends: timedelta,
        *,
        is_authority: bool = False,
        signs_itself: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        signing_key = key if is_authority or signs_itself else self._key
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name if is_authority or signs_itself else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
        )
        if is_authority:
            usage = x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            )  # fmt: skip
            builder = builder.add_extension(usage, critical=True)
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        return builder.sign(signing_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
