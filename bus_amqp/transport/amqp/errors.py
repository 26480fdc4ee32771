"""The one place where foreign exceptions become errors of the bus.

Foreign are py-amqp's and kombu's, sockets' and TLS's.  Callers write ``raise translate(exc, ...) from exc``.  No text
made here holds a password: brokers never say one, and addresses are given without credentials.
"""

from __future__ import annotations

import re
import ssl

from amqp.exceptions import AMQPError, ChannelError
from kombu.exceptions import KombuError

from bus_amqp.errors import (
    AccessRefusedError,
    BrokerRefusedError,
    ChannelLostError,
    ConnectionLostError,
    NotFoundOnBrokerError,
    TopologyMismatchError,
    TransportError,
)
from bus_amqp.sections import ConnectionSettings
from bus_amqp.transport.amqp.address import Address
from bus_amqp.transport.amqp.tls import handshake_failure, is_tls_port, verification_failure

FOREIGN = (AMQPError, KombuError, OSError)

ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, INVALID_PATH, NOT_ALLOWED = 403, 404, 406, 402, 530
_PUBLISH = (60, 40)
_DECLARE_METHODS = frozenset({(40, 10), (50, 10)})

# RabbitMQ cuts its text at 255 bytes, so the tail may be missing.
_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>.*?)' for (?P<kind>queue|exchange) '(?P<name>.*?)'(?: in vhost '.*?')?"
    r": received (?P<wanted>.*?) but current is (?P<current>.*)",
    re.DOTALL,
)
_NO_EXCHANGE = re.compile(r"no exchange '(?P<name>.*)' in vhost '", re.DOTALL)
_RIGHT = re.compile(r"\b(?:configure|write|read) access\b")
_RIGHTS = {(40, 10): "configure", (50, 10): "configure", (50, 40): "configure", (60, 20): "read", (60, 40): "write"}
_VALUE = re.compile(r"(?:the value )?'(.*?)'(?: of type '.*')?", re.DOTALL)


def translate(exc: BaseException, address: Address, doing: str) -> ConnectionLostError:
    """Return the bus's error for what ended an open connection; ``doing`` completes "while ..."."""
    if isinstance(exc, ConnectionLostError):
        return exc
    return ConnectionLostError(f"{address} lost while {doing}: {_text(exc)}")


def translate_connecting(
    exc: BaseException, address: Address, settings: ConnectionSettings, greeting: bytes
) -> TransportError:
    """Return the bus's error for a connection that could not be opened; ``greeting``: what came and was no AMQP."""
    if is_tls_port(address, greeting):
        return BrokerRefusedError(f"{address}: that port speaks TLS: write amqps:// for it")
    if isinstance(exc, ConnectionLostError):
        return ConnectionLostError(f"{address} not reached: {exc}")
    if isinstance(exc, ssl.SSLCertVerificationError):
        return BrokerRefusedError(f"{address}: {verification_failure(exc)}")
    if isinstance(exc, ssl.SSLError) and (why := handshake_failure(exc, settings)):
        return BrokerRefusedError(f"{address}: {why}")
    if isinstance(exc, AMQPError):
        if settings.login == "external" and exc.reply_code == ACCESS_REFUSED:
            return AccessRefusedError(
                f"{address}: login by certificate refused: the broker needs a user of the certificate's name "
                f"(see its ssl_cert_login_from): {_text(exc)}"
            )
        if "auth mechanism" in _text(exc):
            return AccessRefusedError(
                f"{address}: the broker does not offer login {settings.login!r}: {_text(exc)}"
                "; for 'external' it needs the plug-in rabbitmq_auth_mechanism_ssl and auth_mechanisms with EXTERNAL"
            )
        if exc.reply_code in (NOT_ALLOWED, INVALID_PATH):
            return AccessRefusedError(
                f"{address}: user {address.user!r} cannot use virtual host {address.virtual_host!r}: {_text(exc)}"
            )
        if exc.reply_code == ACCESS_REFUSED:
            return AccessRefusedError(
                f"{address}: login as {address.user!r} refused, check user and password: {_text(exc)}"
            )
    return ConnectionLostError(f"{address} not reached: {_text(exc)}")


def channel_error(exc: ChannelError) -> TransportError:
    """Return the bus's error for a channel that the broker has closed."""
    text = _text(exc)
    match exc.reply_code:
        case 403:
            return AccessRefusedError(f"the broker refused: {text}{_missing_right(exc, text)}")
        case 404:
            missing = _NO_EXCHANGE.search(text)
            return NotFoundOnBrokerError(f"not on the broker: {text}", exchange=missing["name"] if missing else "")
        case 406 if found := _INEQUIVALENT.search(text):
            return TopologyMismatchError(_mismatch(found))
        case 406 if exc.method_sig in _DECLARE_METHODS:
            return TopologyMismatchError(f"the broker does not take this declaration: {text}")
        case 406 if exc.method_sig == _PUBLISH:
            return BrokerRefusedError(f"the broker does not take the message: {text}")
        case _:
            return ChannelLostError(f"the broker closed the channel: {text}")


def _missing_right(exc: ChannelError, text: str) -> str:
    """Name the right that is missing, where the broker does not (RabbitMQ 3.10)."""
    if _RIGHT.search(text) or "access to" not in text:
        return ""
    about_queue = "access to queue" in text
    match exc.method_sig:
        case (50, 10) if not about_queue:
            right = "write"  # on the exchange that the queue dead-letters to
        case (50, 20):
            right = "write" if about_queue else "read"  # a binding needs both, one on each side
        case signature:
            right = _RIGHTS.get(signature, "")
    return f"; the user needs {right} access" if right else ""


def _mismatch(found: re.Match[str]) -> str:
    kind, name, argument = found["kind"], found["name"], found["argument"]
    way_out = (
        f"delete queue {name!r} (and the messages in it) or use another group name"
        if kind == "queue"
        else f"delete exchange {name!r} or use another exchange name"
    )
    return (
        f"{kind} {name!r} exists with {argument} = {_value(found['current'])}, "
        f"wanted is {_value(found['wanted'])}: such arguments are for life; {way_out}"
    )


def _value(text: str) -> str:
    """Shorten ``the value '20' of type 'signedint'``; ``none`` stays."""
    found = _VALUE.fullmatch(text)
    return repr(found[1]) if found else text


def _text(exc: BaseException) -> str:
    if isinstance(exc, AMQPError):
        return exc.reply_text or str(exc)
    return str(exc) or type(exc).__name__
