"""What the unit tests stand on instead of a broker: events, deliveries, channels, scripted connections."""

import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

from bus_amqp.errors import ConnectionLostError
from bus_amqp.event import Event
from bus_amqp.publish.outbox import Entry
from bus_amqp.receipt import Receipt
from bus_amqp.topology.plan import Plan
from bus_amqp.transport.base import QueueState
from bus_amqp.transport.signals import Signal
from bus_amqp.wire.message import Delivery, Message, Properties
from tests.patience import TIMEOUT_SECONDS

WAIT_SECONDS = TIMEOUT_SECONDS


def wait_until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Return when the condition holds; fail when it does not within the deadline."""
    deadline = time.monotonic() + WAIT_SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {WAIT_SECONDS} s"
        pause.wait(0.001)


def wait_until_blocked(thread: threading.Thread) -> None:
    """Return when the thread waits on a condition, an event or a lock of ``threading``."""

    def is_waiting() -> bool:
        frame = sys._current_frames().get(thread.ident or 0)
        return frame is not None and frame.f_code.co_name == "wait"

    wait_until(is_waiting, f"{thread.name} waiting")


class Running:
    """A call on a thread of its own; ``result`` gives what it returned or raises what it raised."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._outcome: object = None
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="unit-test-call", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._function()
        except BaseException as exc:
            self._error = exc

    def result(self) -> object:
        self.thread.join(WAIT_SECONDS)
        assert not self.thread.is_alive(), "the call did not return"
        if self._error is not None:
            raise self._error
        return self._outcome


def an_event(number: int = 0, **changes: object) -> Event:
    """Return a plain event; ``changes`` replace its fields."""
    fields: dict[str, object] = {
        "event_category": "ActionEvent",
        "event_type": "VM.START",
        "event_source": "management-server",
        "resource_type": "VirtualMachine",
        "resource_uuid": f"vm-{number}",
        "description": f"number {number}",
    }
    return Event(**{**fields, **changes})


class FakeDelivery(Delivery):
    """A delivery whose properties are given."""

    __slots__ = ("_properties",)

    def __init__(
        self,
        tag: int = 1,
        body: bytes | None = b"{}",
        *,
        routing_key: str = "ActionEvent.VM-START.VirtualMachine.vm-0.management-server",
        content_type: str = "application/json",
        body_bytes: int | None = None,
        properties: Properties | Exception | None = None,
        redelivered: bool = False,
    ) -> None:
        super().__init__(
            tag,
            body,
            routing_key=routing_key,
            exchange="bus.events",
            redelivered=redelivered,
            content_type=content_type,
            body_bytes=len(body or b"") if body_bytes is None else body_bytes,
        )
        self._properties = properties or Properties(content_type=content_type)

    @property
    def properties(self) -> Properties:
        if isinstance(self._properties, Exception):
            raise self._properties
        return self._properties


def an_entry(
    number: int = 0, *, size_bytes: int = 100, mandatory: bool = False, message_id: str | None = None
) -> Entry:
    """Return an outbox entry of a size."""
    message = Message(
        f"a.b.c.{number}.e",
        b"x" * size_bytes,
        message_id=str(UUID(int=number)) if message_id is None else message_id,
        mandatory=mandatory,
    )
    return Entry(message, Receipt(call_here))


def call_here(function: Callable[[], None]) -> None:
    """Stand in for the callback thread."""
    function()


class FakePublishChannel:
    """Writes down what is sent; ``on_send`` may answer early, or raise as a transport would."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.batches: list[int] = []
        self.unsent_bytes = 0
        self.is_closed = False
        self.on_send: Callable[[Sequence[Message]], None] = lambda messages: None

    def send(self, messages: Sequence[Message]) -> None:
        self.on_send(messages)
        self.sent += messages
        self.batches.append(len(messages))

    def close(self) -> None:
        self.is_closed = True


class FakeConsumeChannel:
    """Writes down settlements; ``error`` is raised by the next call."""

    def __init__(self, queue: str, prefetch: int) -> None:
        self.queue = queue
        self.prefetch = prefetch
        self.accepted: list[int] = []
        self.discarded: list[int] = []
        self.settled_at = 0.0
        self.is_closed = False
        self.error: Exception | None = None

    def accept(self, tags: Sequence[int]) -> None:
        self._check()
        self.accepted += tags

    def discard(self, tags: Sequence[int]) -> None:
        self._check()
        self.discarded += tags

    def close(self) -> None:
        self.is_closed = True
        self._check()

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


class FakeConnection:
    """A connection that does what the test tells it.  Asserts the seam's rule: one thread, and not after ``close``."""

    def __init__(self, broker: str = "Fake 1.0 at nowhere") -> None:
        self._broker = broker
        self._inbox: queue.SimpleQueue[Sequence[Signal] | Exception] = queue.SimpleQueue()
        self._owner = threading.get_ident()
        self.declared: list[Plan] = []
        self.publish_channels: list[FakePublishChannel] = []
        self.consume_channels: list[FakeConsumeChannel] = []
        self.consume_error: Exception | None = None
        self.declare_error: Exception | None = None
        self.is_closed = False
        self.turns = 0

    @property
    def broker(self) -> str:
        return self._broker

    def bring(self, *signals: Signal) -> None:
        """Have the next turn return these."""
        self._inbox.put(signals)

    def lose(self) -> None:
        """Have the next turn find the connection lost."""
        self._inbox.put(ConnectionLostError("cut by the test"))

    def check_owner(self) -> None:
        assert threading.get_ident() == self._owner, "used by a thread that did not open it"
        assert not self.is_closed, "used after close"

    def declare(self, plan: Plan) -> None:
        self.check_owner()
        if self.declare_error is not None:
            raise self.declare_error
        self.declared.append(plan)

    def delete_queue(self, queue: str) -> None:
        self.check_owner()

    def queue_state(self, queue: str) -> QueueState | None:
        self.check_owner()
        return QueueState(0, 0)

    def publish_channel(self) -> FakePublishChannel:
        self.check_owner()
        self.publish_channels.append(FakePublishChannel())
        return self.publish_channels[-1]

    def consume_channel(self, queue: str, prefetch: int, *, consumer_tag: str = "") -> FakeConsumeChannel:
        self.check_owner()
        if self.consume_error is not None:
            raise self.consume_error
        self.consume_channels.append(FakeConsumeChannel(queue, prefetch))
        return self.consume_channels[-1]

    def turn(self, timeout_seconds: float) -> Sequence[Signal]:
        self.check_owner()
        self.turns += 1
        try:
            brought = self._inbox.get(timeout=timeout_seconds)
        except queue.Empty:
            return ()
        if isinstance(brought, Exception):
            raise brought
        return brought

    def wake(self) -> None:
        self._inbox.put(())

    def close(self) -> None:
        assert threading.get_ident() == self._owner, "closed by a thread that did not open it"
        self.is_closed = True


class FakeConnector:
    """Follows its script, one outcome for each try (None: a fresh connection); after it, every try succeeds."""

    def __init__(self, *script: Exception | None, address: str = "fake:5672") -> None:
        self._script = list(script)
        self._address = address
        self.roles: list[str] = []
        self.aborted: list[str] = []
        self.connections: list[FakeConnection] = []
        self.on_connect: Callable[[FakeConnection], None] = lambda connection: None

    @property
    def address(self) -> str:
        return self._address

    def abort(self, role: str) -> None:
        self.aborted.append(role)

    def connect(self, role: str) -> FakeConnection:
        self.roles.append(role)
        outcome = self._script.pop(0) if self._script else None
        if outcome is not None:
            raise outcome
        connection = FakeConnection(f"Fake 1.0 at {self._address}")
        self.on_connect(connection)
        self.connections.append(connection)
        return connection


def a_subscription_id() -> UUID:
    """Return a fresh id."""
    return uuid4()
