"""Events that RabbitMQ refuses for good: the one at fault fails, with the reason, and the others are stored."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import amqp
import pytest

from bus_amqp import (
    AccessRefusedError,
    BrokerRefusedError,
    EventBus,
    EventTopic,
    NotFoundOnBrokerError,
    Receipt,
    ReceiptState,
    Settings,
    connect,
)
from bus_amqp.sections import PublisherSettings
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.recorder import Recorder
from tests.broker.amqp_workbench import with_login
from tests.promise.subscribers import an_event, events_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until

PASSWORD = "s3cret"
LIMIT_BYTES = 3000
KEPT_BYTES = 16 * 1024 * 1024


@contextmanager
def user_of(
    broker: RealBroker, exchange: str, configure: str, write: str, *, topic: str | None = None
) -> Iterator[str]:
    """Add a user with these rights; yields the url to log in with."""
    name = f"user-of-{exchange}"
    broker.rabbitmqctl("add_user", name, PASSWORD)
    broker.rabbitmqctl("set_permissions", name, configure, write, "")
    if topic is not None:
        broker.rabbitmqctl("set_topic_permissions", name, exchange, topic, ".*")
    try:
        yield with_login(broker.url, name, PASSWORD)
    finally:
        broker.rabbitmqctl("delete_user", name)


@contextmanager
def message_limit(broker: RealBroker, size_bytes: int) -> Iterator[None]:
    """Have the broker refuse larger messages.  3.10 keeps the limit in one place, 4 in another."""
    broker.rabbitmqctl("eval", _set_limit(size_bytes))
    try:
        yield
    finally:
        broker.rabbitmqctl("eval", _set_limit(KEPT_BYTES))


def _set_limit(size_bytes: int) -> str:
    limit = f"max_message_size, {size_bytes}"
    return f"application:set_env(rabbit, {limit}), persistent_term:put({limit})."


@contextmanager
def foreign_channel(broker: RealBroker) -> Iterator[amqp.Channel]:
    """What an operator does goes past the bus."""
    parts = urlsplit(broker.url)
    with amqp.Connection(
        f"{parts.hostname}:{parts.port}", userid=parts.username, password=parts.password
    ) as connection:
        yield connection.channel()


@pytest.fixture
def recorder(rabbitmq: RealBroker, exchange: str) -> Iterator[Recorder]:
    """A subscriber for everything, on a bus with all rights."""
    made = Recorder()
    with connect(rabbitmq.url, exchange=exchange) as bus:
        bus.subscribe(EventTopic(), made)
        yield made


def settings_of(exchange: str, *, declare: bool = True, confirm_timeout_seconds: float = 30) -> Settings:
    publisher = PublisherSettings(confirm_timeout_seconds=confirm_timeout_seconds)
    return Settings(exchange=exchange, declare=declare, publisher=publisher)


def told_by(bus: EventBus) -> list[Receipt]:
    """What ``on_failed`` hears."""
    told: list[Receipt] = []
    bus.on_failed(told.append)
    return told


def test_a_forbidden_topic_fails_its_event_and_no_other(rabbitmq: RealBroker, exchange: str, recorder: Recorder):
    """Topic rights: sent again for ever, one forbidden event would hold up all that a process has to say."""
    events = [an_event(number, "allowed") for number in range(300)]
    forbidden = [an_event(number, "forbidden") for number in (1, 2, 3)]
    for position, event in zip((10, 11, 200), forbidden, strict=True):
        events.insert(position, event)

    with (
        user_of(rabbitmq, exchange, "", ".*", topic=r"\.allowed\.") as url,
        connect(url, settings=settings_of(exchange)) as bus,
    ):
        told = told_by(bus)
        receipts = bus.publish_many(events)
        bus.flush(TIMEOUT_SECONDS)

        failed = [receipt for receipt in receipts if receipt.state is ReceiptState.FAILED]
        assert [receipt.event_id for receipt in failed] == [event.event_id for event in forbidden]
        with pytest.raises(AccessRefusedError, match=r"\.forbidden\."):
            failed[0].result(0)
        wait_until(lambda: told == failed, "on_failed for each of the three")
        assert "3 events refused" in bus.health().publisher.reason
        assert not bus.health()
        assert bus.stats().reconnects == 0
    recorder.wait_for(300, TIMEOUT_SECONDS)
    assert list(dict.fromkeys(event.event_id for event in recorder.events)) == [
        event.event_id for event in events if event not in forbidden
    ]


def test_without_the_right_to_write_every_event_fails(rabbitmq: RealBroker, exchange: str, recorder: Recorder):
    """Each caller hears it; none waits for a right that nobody has given."""
    with user_of(rabbitmq, exchange, "", "") as url, connect(url, settings=settings_of(exchange)) as bus:
        receipts = bus.publish_many(events_of(40))
        bus.flush(TIMEOUT_SECONDS)

        assert {receipt.state for receipt in receipts} == {ReceiptState.FAILED}
        with pytest.raises(AccessRefusedError, match=f"write access.*|'{exchange}'"):
            receipts[0].result(0)
        assert bus.stats().failed == 40


def test_a_message_over_the_brokers_limit_fails_alone(rabbitmq: RealBroker, exchange: str, recorder: Recorder):
    """The broker closes the channel over it; before, it came again on each new one."""
    events = [an_event(number) for number in range(500)]
    large = an_event(1000, description="x" * 2 * LIMIT_BYTES)
    events.insert(400, large)

    with message_limit(rabbitmq, LIMIT_BYTES), connect(rabbitmq.url, settings=settings_of(exchange)) as bus:
        receipts = bus.publish_many(events)
        bus.flush(TIMEOUT_SECONDS)

        assert [receipt.event_id for receipt in receipts if receipt.exception(0)] == [large.event_id]
        with pytest.raises(BrokerRefusedError, match="larger than"):
            receipts[400].result(0)
        assert bus.publish(an_event(1001)).result(TIMEOUT_SECONDS) is None
    recorder.wait_for(501, TIMEOUT_SECONDS)
    numbers = list(dict.fromkeys(event.details["number"] for event in recorder.events))
    assert numbers == [*range(500), 1001]


@pytest.mark.parametrize("right", ["declare=False", "no configure right"])
def test_an_exchange_that_stays_away_fails_events_in_time(rabbitmq: RealBroker, exchange: str, right: str):
    """Nobody makes it again and we may not: the receipt says so instead of waiting for ever."""
    with foreign_channel(rabbitmq) as channel:
        channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
    settings = settings_of(exchange, declare=right != "declare=False", confirm_timeout_seconds=1)

    with user_of(rabbitmq, exchange, "", ".*") as url, connect(url, settings=settings) as bus:
        bus.publish(an_event(0)).result(TIMEOUT_SECONDS)
        with foreign_channel(rabbitmq) as channel:
            channel.exchange_delete(exchange)
        receipts = bus.publish_many(events_of(20))

        with pytest.raises(NotFoundOnBrokerError, match=exchange):
            receipts[0].result(TIMEOUT_SECONDS)
        bus.flush(TIMEOUT_SECONDS)
        assert {receipt.state for receipt in receipts} == {ReceiptState.FAILED}
        assert not bus.health()

        with foreign_channel(rabbitmq) as channel:
            channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
        wait_until(lambda: bus.publish(an_event(1)).exception(TIMEOUT_SECONDS) is None, "an event is stored again")


def test_an_exchange_that_comes_back_in_time_costs_no_event(
    rabbitmq: RealBroker, exchange: str, caplog: pytest.LogCaptureFixture
):
    """An operator who recreates it within half a minute has lost nothing."""
    caplog.set_level(logging.WARNING, "bus_amqp")
    with foreign_channel(rabbitmq) as channel:
        channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)

    with connect(rabbitmq.url, settings=settings_of(exchange, declare=False)) as bus:
        with foreign_channel(rabbitmq) as channel:
            channel.exchange_delete(exchange)
        receipts = bus.publish_many(events_of(20))
        wait_until(lambda: "no exchange" in caplog.text, "the publisher meets it")
        with foreign_channel(rabbitmq) as channel:
            channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
            channel.queue_declare(f"{exchange}.q", durable=True, auto_delete=False)
            channel.queue_bind(f"{exchange}.q", exchange, "#")

        bus.flush(TIMEOUT_SECONDS)
        assert {receipt.state for receipt in receipts} == {ReceiptState.CONFIRMED}
