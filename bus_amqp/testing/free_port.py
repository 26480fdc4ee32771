"""Find a loopback port that nobody uses and that the operating system will not hand out by itself."""

import random
import socket

from bus_amqp.errors import TransportError

# Below the range of outgoing connections (Linux 32768, macOS 49152).  A client that keeps trying to reach a killed
# broker on a port inside that range ends up, once in some ten thousand tries, connected to itself; the port is then
# taken when the broker comes back.
_FIRST, _LAST = 21_000, 32_000
_TRIES = 200


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1."""
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise TransportError(f"no free port found on 127.0.0.1 between {_FIRST} and {_LAST}")


def is_free(port: int) -> bool:
    """Whether nobody listens on that port of 127.0.0.1."""
    with socket.socket() as probe:
        # Ports of connections that have just ended are as good as free: the broker's own listener reuses them too.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
