"""Foreign errors become ours, with the names that an operator needs."""

from __future__ import annotations

import socket
import ssl

import pytest
from amqp import exceptions

from bus_amqp.errors import (
    AccessRefusedError,
    BrokerRefusedError,
    ChannelLostError,
    ConnectionLostError,
    NotFoundOnBrokerError,
    TopologyMismatchError,
)
from bus_amqp.sections import ConnectionSettings
from bus_amqp.transport.amqp.address import parse_address
from bus_amqp.transport.amqp.errors import channel_error, translate, translate_connecting

ADDRESS = parse_address("amqp://me:s3cret@host:1/v")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'bus.events.billing' in vhost '/': "
            "received '20' but current is the value '10' of type 'signedint'",
            "queue 'bus.events.billing' exists with x-delivery-limit = '10', wanted is '20'",
        ),
        (
            "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': "
            "received none but current is the value 'quorum' of type 'longstr'",
            "queue 'q' exists with x-queue-type = 'quorum', wanted is none",
        ),
        (
            "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'bus.events' in vhost '/': "
            "received 'topic' but current is 'direct'",
            "exchange 'bus.events' exists with type = 'direct', wanted is 'topic'",
        ),
        (
            "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'q' in vhost 'v': "
            "received 'bus.events.dead' but current is the value 'an exchange whose name is cut o",
            "queue 'q' exists with x-dead-letter-exchange = the value 'an exchange whose name is cut o",
        ),
        ("PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'q'", "does not take this declaration"),
    ],
)
def test_a_mismatch_names_object_argument_both_values_and_the_way_out(text, words):
    """406 is for life: without those names nobody can act on it."""
    error = channel_error(exceptions.PreconditionFailed(text, (50, 10), reply_code=406))

    assert isinstance(error, TopologyMismatchError)
    assert words in str(error)
    assert "exists with" not in words or "delete" in str(error)


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (exceptions.AccessRefused("no", (50, 10), reply_code=403), AccessRefusedError),
        (exceptions.NotFound("no", (60, 40), reply_code=404), NotFoundOnBrokerError),
        (exceptions.PreconditionFailed("unknown delivery tag", (60, 80), reply_code=406), ChannelLostError),
        (exceptions.PreconditionFailed("message size", (60, 40), reply_code=406), BrokerRefusedError),
        (exceptions.ResourceLocked("no", (50, 10), reply_code=405), ChannelLostError),
        (exceptions.ChannelError("no", (0, 0), reply_code=599), ChannelLostError),
    ],
)
def test_errors_of_one_channel(exc, expected):
    """They must not look like a lost connection: the other channels work on."""
    assert type(channel_error(exc)) is expected


@pytest.mark.parametrize(
    ("text", "exchange"),
    [
        ("NOT_FOUND - no exchange 'bus.events.dead' in vhost '/'", "bus.events.dead"),
        ("NOT_FOUND - no exchange 'it's' in vhost 'v'", "it's"),
        ("NOT_FOUND - no exchange 'a name whose end was cut o", ""),
        ("NOT_FOUND - no queue 'bus.events.billing' in vhost '/'", ""),
    ],
)
def test_a_missing_exchange_is_named_if_the_broker_has_named_it(text, exchange):
    """P7: which one is gone decides whether events have passed anybody by."""
    error = channel_error(exceptions.NotFound(text, (60, 40), reply_code=404))

    assert isinstance(error, NotFoundOnBrokerError)
    assert error.exchange == exchange


@pytest.mark.parametrize(
    ("signature", "about", "right"),
    [
        ((40, 10), "exchange", "configure"),
        ((50, 10), "queue", "configure"),
        ((50, 10), "exchange", "write"),
        ((50, 20), "queue", "write"),
        ((50, 20), "exchange", "read"),
        ((60, 20), "queue", "read"),
        ((60, 40), "exchange", "write"),
    ],
)
def test_a_missing_right_is_named_also_where_the_broker_does_not(signature, about, right):
    """RabbitMQ 3.10 only says "access": an operator would grant everything."""
    old = exceptions.AccessRefused(f"ACCESS_REFUSED - access to {about} 'x' refused", signature, reply_code=403)
    new = exceptions.AccessRefused(f"ACCESS_REFUSED - {right} access to {about} 'x' refused", signature, reply_code=403)

    assert f"needs {right} access" in str(channel_error(old))
    assert str(channel_error(new)).count("access to") == 1
    assert "needs" not in str(channel_error(new))


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (exceptions.ConnectionError("ACCESS_REFUSED", reply_code=403), AccessRefusedError),
        (exceptions.ConnectionError("NOT_ALLOWED - vhost v not found", reply_code=530), AccessRefusedError),
        (exceptions.ConnectionError("INTERNAL_ERROR", reply_code=541), ConnectionLostError),
        (socket.gaierror(-2, "Name or service not known"), ConnectionLostError),
        (ConnectionRefusedError("refused"), ConnectionLostError),
        (TimeoutError(), ConnectionLostError),
        (ssl.SSLError(1, "wrong version number"), ConnectionLostError),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), BrokerRefusedError),
        (ConnectionLostError("silent"), ConnectionLostError),
    ],
)
def test_errors_of_connecting_name_the_place(exc, expected):
    """Transient or not decides between trying the next node and telling the operator."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        exc.verify_code, exc.verify_message = 18, "self-signed certificate"
    error = translate_connecting(exc, ADDRESS, ConnectionSettings(), b"")

    assert type(error) is expected
    assert "host:1" in str(error)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    "exc",
    [
        exceptions.ConnectionError("NOT_ALLOWED - reuse of consumer tag", reply_code=530),
        exceptions.FrameSyntaxError("odd"),
        BrokenPipeError("gone"),
    ],
)
def test_errors_of_an_open_connection(exc):
    """530 means the virtual host only while logging in."""
    error = translate(exc, ADDRESS, "testing")

    assert type(error) is ConnectionLostError
    assert "host:1 lost while testing" in str(error)
