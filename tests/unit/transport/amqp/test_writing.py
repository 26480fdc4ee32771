"""The byte stream: nothing lost, doubled or out of order when the socket takes only a part."""

from __future__ import annotations

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.transport.amqp.writing import TURN_BYTES, SocketStream


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    stream = SocketStream(ours)
    yield stream, theirs
    stream.close()
    theirs.close()


@given(steps=st.lists(st.tuples(st.sampled_from(["write", "append", "flush"]), st.integers(0, 60_000)), max_size=12))
def test_the_peer_reads_what_was_written_in_that_order(steps):
    """Half a frame followed by anything but its other half costs the connection."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stream = SocketStream(ours)
    written, read = bytearray(), bytearray()
    for number, (step, size) in enumerate(steps):
        data = bytes([number]) * size
        if step == "flush":
            stream.flush()
        else:
            written += data
            (stream.write if step == "write" else stream.append)(data)
    stream.flush()
    while stream.unsent_bytes:
        read += theirs.recv(1 << 20)
        stream.flush()
    theirs.setblocking(True)
    while len(read) < len(written):
        read += theirs.recv(1 << 20)

    assert read == written
    stream.close()
    theirs.close()


def test_one_turn_reads_a_bounded_part_of_a_flood(pair):
    """A broker that sends without end must not keep acknowledgements and heartbeats from going out."""
    stream, theirs = pair
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * TURN_BYTES)
    theirs.setblocking(False)
    sent = 0
    received = []
    for _ in range(100):
        with contextlib.suppress(BlockingIOError):
            sent += theirs.send(b"x" * TURN_BYTES)
        received.append(sum(len(piece) for piece in stream.receive()))

    assert max(received) < 2 * TURN_BYTES
    assert sum(received) <= sent


def test_the_last_words_are_read_before_a_broken_pipe_is_told(pair):
    """connection.close says why; EPIPE says nothing."""
    stream, theirs = pair
    theirs.sendall(b"because")
    theirs.close()

    stream.write(b"anything")

    assert stream.has_failed
    assert stream.receive() == [b"because"]
    with pytest.raises(OSError, match=r".+"):
        stream.receive()


def test_an_end_is_an_error(pair):
    """An empty read must not look like silence."""
    stream, theirs = pair
    theirs.close()

    with pytest.raises(ConnectionResetError):
        stream.receive()
