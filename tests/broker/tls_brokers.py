"""Brokers with a TLS listener, and what signs for them: RabbitMQ 3.10 as a private node, RabbitMQ 4 in Docker."""

from __future__ import annotations

import socket
import ssl
import uuid
from dataclasses import dataclass
from pathlib import Path

from bus_amqp.settings import rabbitmq_image
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.docker_broker import DEFAULT_IMAGE, DockerBroker
from bus_amqp.testing.free_port import free_port
from bus_amqp.testing.private_node import PrivateNode
from tests.certificates import Authority, Certificate
from tests.promise.waiting import wait_until
from tests.real_brokers import LOCAL

PLUGIN = "rabbitmq_auth_mechanism_ssl"


@dataclass(frozen=True)
class TlsBroker:
    """``url``: amqps://, by address; ``port`` and ``strict_port``: TLS, of which the second demands a certificate."""

    broker: RealBroker
    authority: Authority
    port: int

    def url(self, host: str = "127.0.0.1", login: str = "guest:guest@") -> str:
        return f"amqps://{login}{host}:{self.port}/"


def start(kind: str, directory: Path, *, hosts: tuple[str, ...], demands_certificate: bool = False) -> TlsBroker:
    """Start a broker whose certificate is for these hosts."""
    authority = Authority(directory)
    certificate = authority.issue("broker", hosts)
    port = free_port()
    if kind == LOCAL:
        lines = listener(f"127.0.0.1:{port}", authority.file, certificate, demands_certificate)
        broker: RealBroker = PrivateNode(configuration=lines, plugins=[PLUGIN])
    else:
        inside = Certificate(*(Path("/etc/rabbitmq", file.name) for file in vars(certificate).values()))
        broker = DockerBroker.launch_configured(
            rabbitmq_image() or DEFAULT_IMAGE,
            name=f"bus-amqp-tls-{uuid.uuid4().hex[:8]}",
            ports={5672: free_port(), 5671: port},
            configuration=listener("5671", Path("/etc/rabbitmq", authority.file.name), inside, demands_certificate),
            plugins=[PLUGIN],
            files=[authority.file, certificate.certificate_file, certificate.key_file],
        )
    # The plain port has greeted; this one may need a moment more, and Docker takes connections for it already.
    wait_until(lambda: _shakes_hands(port), f"a TLS handshake on port {port}")
    return TlsBroker(broker, authority, port)


def _shakes_hands(port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock, context.wrap_socket(sock):
            return True
    except OSError:
        return False


def listener(place: str, authority: Path, certificate: Certificate, demands_certificate: bool) -> list[str]:
    """Return the lines of a TLS listener; who shows a certificate may log in with its common name."""
    return [
        f"listeners.ssl.1 = {place}",
        f"ssl_options.cacertfile = {authority}",
        f"ssl_options.certfile = {certificate.certificate_file}",
        f"ssl_options.keyfile = {certificate.key_file}",
        "ssl_options.verify = verify_peer",
        f"ssl_options.fail_if_no_peer_cert = {str(demands_certificate).lower()}",
        "auth_mechanisms.1 = PLAIN",
        "auth_mechanisms.2 = EXTERNAL",
        "ssl_cert_login_from = common_name",
    ]
