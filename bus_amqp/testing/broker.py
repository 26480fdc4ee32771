"""``RealBroker``: a RabbitMQ that we started, or were given, and what a test or a demonstration may do to it.

Not a client: it publishes and consumes nothing.  Used by one thread at a time.
"""

import re
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from bus_amqp.errors import ConnectionLostError, InvalidArgumentError
from bus_amqp.testing.greeting import read_version
from bus_amqp.transport.amqp.address import parse_address

# Handed to every broker that we start.  A message whose time ran out while the broker was down is dead-lettered as soon
# as its queue is back, which may be before the exchanges are (300 queues are enough); nothing is lost, but the broker
# asks again only after this many milliseconds, by default after three minutes.
ARGUMENTS_VARIABLE = "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"
BROKER_ARGUMENTS = "-rabbit dead_letter_worker_publisher_confirm_timeout 10000"


class RealBroker(ABC):
    """A RabbitMQ.  As a context manager it is stopped, and all it holds is forgotten, at the end."""

    url: str
    version: str
    can_restart: bool = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind}>"  # the url would show the password

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    @abstractmethod
    def kind(self) -> str:
        """What it is, in words for people: ``RabbitMQ 4.0.5 in Docker``."""

    @abstractmethod
    def kill(self) -> None:
        """End it without warning, as a power cut would; what it has stored stays."""

    @abstractmethod
    def start(self) -> None:
        """Start it again on the same url, with what it has stored; return when it answers."""

    @abstractmethod
    def restart(self) -> None:
        """Shut it down in good order and start it again."""

    @abstractmethod
    def stop(self) -> None:
        """End it and remove every trace of it.  Harmless when done already."""

    @abstractmethod
    def rabbitmqctl(self, *arguments: str, timeout_seconds: float = 60) -> str:
        """Run an administrator's command on the node and return what it printed."""


class GivenBroker(RealBroker):
    """A broker somebody else runs: we may use it, and neither stop nor administer it.

    Of a cluster's urls, joined by commas, the first tells where it is.  Raises ``SettingsError`` for a malformed url.
    """

    can_restart = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.version = ""
        self._place = "memory"
        if not url.startswith("memory://"):
            address = parse_address(re.split(r",(?=amqps?://)", url)[0])
            self._place = str(address)
            if not address.is_tls:  # behind TLS the greeting is not ours to read
                self.version = _version_or_nothing(address.host, address.port)

    @property
    def kind(self) -> str:
        """Where it is, without user and password."""
        return f"{_product(self.version)} at {self._place}"

    def kill(self) -> None:
        """Refuse."""
        raise self._not_ours("killed")

    def start(self) -> None:
        """Refuse."""
        raise self._not_ours("started")

    def restart(self) -> None:
        """Refuse."""
        raise self._not_ours("restarted")

    def stop(self) -> None:
        """Leave it alone."""

    def rabbitmqctl(self, *arguments: str, timeout_seconds: float = 60) -> str:
        """Refuse."""
        raise self._not_ours("administered")

    def _not_ours(self, what: str) -> InvalidArgumentError:
        return InvalidArgumentError(f"the broker at {self._place} was given by its url: it cannot be {what} from here")


def _version_or_nothing(host: str, port: int) -> str:
    try:
        return read_version(host, port)
    except ConnectionLostError:
        return ""  # whoever connects hears of it, with the reason


def _product(version: str) -> str:
    return f"RabbitMQ {version}" if version else "a broker"
