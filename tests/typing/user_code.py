"""What a user writes, as in section 3 of the design.  Never run: mypy --strict reads it.

A line with an ignore is one that mypy must refuse; if it does not, the ignore is unused and that is an error.
"""

from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from pydantic import BaseModel, JsonValue
from typing_extensions import TypedDict

from bus_amqp import (
    NO_RETRY,
    BusClosedError,
    BusState,
    Discard,
    Event,
    EventBus,
    EventBusException,
    EventCategory,
    EventSubscriber,
    EventTopic,
    ForeignMessage,
    ForeignSource,
    Health,
    OutboxFullError,
    Receipt,
    ReceiptState,
    RetryPolicy,
    Settings,
    Stats,
    Subscribers,
    UndeliveredError,
    connect,
)
from bus_amqp import Evnt as Misspelt  # type: ignore[attr-defined]  # noqa: F401 -- refused although names load late
from bus_amqp.source.fan_out import FanOut


class Billing:
    """Any object with ``on_event``."""

    def on_event(self, event: Event) -> None:
        if event.event_category == EventCategory.USAGE and not event.resource_uuid:
            raise Discard("usage of nothing")
        moment: datetime = event.event_time
        event_id: UUID = event.event_id
        details = event.details.get("cpu")
        print(moment, event_id, details, event.correlation_id or "", event.causation_id)


class Notifying:
    """The same as a coroutine."""

    async def on_event(self, event: Event) -> None:
        print(event.description)


class Called:
    def __call__(self, event: Event) -> None:
        print(event.event_type)


def plain(event: Event) -> None:
    print(event.event_source)


async def slow(event: Event) -> None:
    print(event.event_source)


def either(event: Event) -> Awaitable[None] | None:
    return slow(event) if event.description else None


class UsageDetails(BaseModel):
    account: str
    hours: float = 0


class AlertDetails(TypedDict):
    level: int


class TypedBilling:
    """Asks for details of its own type."""

    def on_event(self, event: Event[UsageDetails]) -> None:
        account: str = event.details.account
        print(account, event.details.hours + 1, event.event_id)
        print(as_plain_events_do(event), EventTopic(event_type="VM.#").matches(event))


class TypedNotifying:
    async def on_event(self, event: Event[AlertDetails]) -> None:
        level: int = event.details["level"]
        print(level)


def typed(event: Event[UsageDetails]) -> None:
    copied: Event[UsageDetails] = event.model_copy(update={"description": "copied"})
    print(copied.details.account)


def typed_either(event: Event[UsageDetails | AlertDetails]) -> None:
    print(event.details["level"] if isinstance(event.details, dict) else event.details.account)


def as_plain_events_do(event: Event[object]) -> str:
    """What looks at the envelope takes any event."""
    return event.event_type


def with_plain_details(event: Event) -> JsonValue:
    event.details["added"] = ["a", 1, {"deep": None}]
    return event.details.get("cpu")


subscribers = Subscribers()


@subscribers.on(EventTopic(event_category="UsageEvent"), group="billing")
def charge(event: Event[UsageDetails]) -> None:
    print(event.details.account)


subscribers.on(EventTopic(event_category="UsageEvent"))(TypedBilling())


@subscribers.on(EventTopic(event_type="VM.#"), group="workflow", ordered=True, workers=2, prefetch=10)
def react(event: Event) -> None:
    print(event)


@subscribers.on([EventTopic(event_type="VM.*"), EventTopic(event_source="agent")])
async def react_slowly(event: Event) -> None:
    print(event)


def publishing(bus: EventBus) -> None:
    event = Event(
        event_category="UsageEvent",
        event_type="VM.START",
        event_source="management-server",
        resource_type="VirtualMachine",
        resource_uuid="6f2d",
        description="started",
        event_time=datetime.now(UTC),
        details={"cpu": 4, "tags": ["a", None, {"deep": 1.5}]},
        correlation_id="job-1",
        causation_id=None,
    )
    receipt: Receipt = bus.publish(event, mandatory=True)
    receipt.result(timeout=5)
    error: EventBusException | None = receipt.exception()
    is_done: bool = receipt.done() and receipt.state is ReceiptState.CONFIRMED
    receipt.add_done_callback(lambda settled: print(settled.state))
    receipts: Sequence[Receipt] = bus.publish_many(
        Event(event_category=EventCategory.ALERT, event_type=f"ALERT.{n}", event_source="agent") for n in range(3)
    )
    bus.on_failed(lambda failed: print(failed.exception(0)))
    print(error, is_done, receipts)


def publishing_typed(bus: EventBus) -> None:
    details = UsageDetails(account="ada", hours=2)
    event = Event[UsageDetails](event_category="UsageEvent", event_type="VM", event_source="agent", details=details)
    bus.publish(event)
    bus.publish_many([event, Event(event_category="UsageEvent", event_type="VM", event_source="agent")])
    FanOut({"ours": bus}).publish(event)
    typed(event)
    bare = Event(event_category="UsageEvent", event_type="VM", event_source="agent", details={"cpu": 4, "tags": ["a"]})
    with_plain_details(bare)
    with_plain_details(Event(event_category="a", event_type="b", event_source="c"))
    read: Event[UsageDetails] = Event[UsageDetails].model_validate({})
    print(as_plain_events_do(bare), as_plain_events_do(read))


async def awaiting(bus: EventBus, event: Event) -> None:
    await bus.publish(event)


def subscribing(bus: EventBus) -> None:
    billing = Billing()
    as_protocol: EventSubscriber = billing
    first: UUID = bus.subscribe(EventTopic(event_category="UsageEvent"), billing, group="billing", workers=4)
    bus.subscribe([EventTopic(), EventTopic(resource_uuid="")], as_protocol, prefetch=100)
    bus.subscribe(EventTopic(), Notifying())
    bus.subscribe(EventTopic(), Called())
    bus.subscribe(EventTopic(), plain, ordered=False)
    bus.subscribe(EventTopic(), plain, retry=NO_RETRY)
    bus.subscribe(EventTopic(), plain, retry=RetryPolicy(attempts=3, delays_seconds=(5, 30), no_retry_on=(ValueError,)))
    bus.subscribe(EventTopic(), slow)
    bus.subscribe(EventTopic(), either)
    bus.subscribe(EventTopic(), billing.on_event)
    bus.subscribe(EventTopic(), lambda event: print(event.event_type))
    as_protocol = TypedBilling()
    bus.subscribe(EventTopic(), as_protocol, group="billing")
    bus.subscribe(EventTopic(), TypedNotifying())
    bus.subscribe(EventTopic(), TypedBilling().on_event)
    bus.subscribe(EventTopic(), typed)
    bus.subscribe(EventTopic(), typed_either)
    many: Sequence[UUID] = bus.subscribe_all(subscribers)
    bus.unsubscribe(first, billing, timeout_seconds=5)
    print(many)


def from_others(message: ForeignMessage) -> Event:
    return Event(event_category="a", event_type="b", event_source=message.routing_key)


def typed_from_others(message: ForeignMessage) -> Event[UsageDetails]:
    return Event[UsageDetails](event_category="a", event_type="b", event_source="c", details=UsageDetails(account="a"))


def to_others(event: Event) -> ForeignMessage:
    return ForeignMessage(routing_key=event.event_type, body=b"{}")


def foreign(bus: EventBus) -> None:
    bus.subscribe(ForeignSource("theirs", from_others, binding_keys=["a.#"], lane=str.lower), plain, group="bridge")
    bus.subscribe(ForeignSource("theirs", typed_from_others, exclusive=True), typed)
    subscribers.on(ForeignSource("theirs", from_others), group="bridge", ordered=True)(plain)
    connect(exchange="theirs", encoder=to_others).publish(from_others(ForeignMessage(routing_key="a", body=b"")))


def watching(bus: EventBus) -> bool:
    health: Health = bus.health()
    stats: Stats = bus.stats()
    state: BusState = bus.state
    consuming = [one.is_consuming for one in health.subscriptions]
    print(state, consuming, stats.accepted - stats.confirmed, EventTopic(event_type="#.DELETE").matches)
    return bool(health)


def main() -> None:
    with connect("amqp://guest:guest@127.0.0.1:5672/", client_name="billing-1") as bus:
        try:
            publishing(bus)
            bus.flush(timeout_seconds=5)
        except OutboxFullError as exc:
            print(exc.is_transient)
        except UndeliveredError as exc:
            print(exc.count)
        except BusClosedError:
            raise
        bus.run_until_signal()
    connect(["amqp://one", "amqp://two"], exchange="bus.events", require_broker=False, settings=Settings()).close(5)
    connect().close(timeout_seconds=1)


def mistakes(bus: EventBus, event: Event) -> None:
    """What mypy must refuse: each of these is a row of the bad-input table or a typing error."""
    Event(event_category="a", event_type="b")  # type: ignore[call-arg]
    Event(event_category=5, event_type="b", event_source="c")  # type: ignore[arg-type]
    Event(event_category="a", event_type="b", event_source="c", resource_uid="d")  # type: ignore[call-arg]
    event.description = "changed"  # type: ignore[misc]
    event.details = {}  # type: ignore[misc]
    typed(event)  # type: ignore[arg-type]
    with_plain_details(Event[UsageDetails](event_category="a", event_type="b", event_source="c"))  # type: ignore[arg-type]
    print(Event[UsageDetails](event_category="a", event_type="b", event_source="c").details.acount)  # type: ignore[attr-defined]
    EventTopic(event_type=5)  # type: ignore[arg-type]
    EventTopic(eventtype="VM.START")  # type: ignore[call-arg]
    bus.publish("VM.START")  # type: ignore[arg-type]
    bus.publish(event, True)  # type: ignore[call-arg]
    bus.subscribe("VM.#", plain)  # type: ignore[arg-type]
    bus.subscribe(EventTopic(), object())  # type: ignore[arg-type]
    bus.subscribe(EventTopic(), lambda: None)  # type: ignore[arg-type,misc]
    bus.subscribe(EventTopic(), plain, workers="4")  # type: ignore[arg-type]
    bus.subscribe(EventTopic(), plain, retry=None)  # type: ignore[arg-type]
    bus.unsubscribe("6f2d")  # type: ignore[arg-type]
    subscribers.on("VM.#")  # type: ignore[arg-type]
    connect(5)  # type: ignore[arg-type]
    connect(encoder=from_others)  # type: ignore[arg-type]
    ForeignSource("theirs", to_others)  # type: ignore[arg-type]
