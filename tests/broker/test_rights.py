"""Broker users with the least rights: exactly the commands that `bus-amqp permissions` prints, on both brokers."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import amqp
import pytest

from bus_amqp import EventBus, EventTopic, Settings, connect
from bus_amqp.cli.main import main
from bus_amqp.errors import AccessRefusedError
from bus_amqp.sections import ConnectionSettings, PublisherSettings
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from bus_amqp.wire.key_words import plain_word
from tests.broker.amqp_workbench import WAIT_SECONDS, with_login
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until

Grant = Callable[..., str]
SOURCE, OTHER_SOURCE = "management.server", "somebody-else"
TOPIC = EventTopic(event_category="ResourceStateEvent")


@pytest.fixture
def grant(rabbitmq: RealBroker, exchange: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Grant]:
    """Make a user, give it what the command prints for these arguments, and return its url."""
    made: list[str] = []

    def make(*arguments: str) -> str:
        user = f"{exchange}-{len(made)}"
        rabbitmq.rabbitmqctl("add_user", user, "s3cret")
        made.append(user)
        assert main(["permissions", *arguments, "--exchange", exchange, "--user", user]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert len(printed) == 2
        for command in printed:
            program, *rest = shlex.split(command)
            assert program == "rabbitmqctl"
            rabbitmq.rabbitmqctl(*rest)
        return with_login(rabbitmq.url, user, "s3cret")

    yield make
    for user in made:
        rabbitmq.rabbitmqctl("delete_user", user)


@pytest.fixture
def bus(exchange: str) -> Iterator[Callable[..., EventBus]]:
    """Connect buses that are closed at the end."""
    buses: list[EventBus] = []

    def make(url: str, *, declare: bool = True) -> EventBus:
        settings = Settings(
            exchange=exchange, declare=declare, connection=ConnectionSettings(connect_timeout_seconds=WAIT_SECONDS)
        )
        buses.append(connect(url, client_name="rights", settings=settings))
        return buses[-1]

    yield make
    for one in buses:
        one.close(10)


@pytest.fixture
def everything(rabbitmq_url: str, exchange: str, bus: Callable[..., EventBus]) -> EventBus:
    """An administrator's bus, which has made the exchange and the group ``billing`` with its binding."""
    admin = bus(rabbitmq_url)
    for group in ("billing", "others"):
        admin.unsubscribe(admin.subscribe(TOPIC, Recorder(), group=group))
    return admin


def opened(url: str) -> amqp.Connection:
    """Return py-amqp's own connection, for what a bus would never do; use it in a ``with``."""
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port}"
    return amqp.Connection(host, userid=parts.username or "", password=parts.password or "")


def refused(url: str, act: Callable[[amqp.Channel], object]) -> None:
    """Assert that the broker refuses the user this act."""
    with opened(url) as connection:
        channel = connection.channel()
        with pytest.raises(amqp.AccessRefused):
            act(channel)


def publish_as(exchange: str, source: str) -> Callable[[amqp.Channel], object]:
    def act(channel: amqp.Channel) -> None:
        channel.confirm_select()
        key = f"A.B.C.D.{source}"
        channel.basic_publish_confirm(amqp.Message(b"{}"), exchange, key)

    return act


@pytest.mark.parametrize("declare", [True, False])
def test_a_publisher_publishes_as_its_source_and_can_do_nothing_else(
    grant: Grant, bus: Callable[..., EventBus], everything: EventBus, exchange: str, declare: bool
):
    """A component that was broken into must not speak for the others, nor read what they say."""
    url = grant("--publisher", SOURCE, "--declare" if declare else "--no-declare")
    recorder = Recorder()
    everything.subscribe(TOPIC, recorder)

    bus(url, declare=declare).publish(an_event(1, event_source=SOURCE)).result(WAIT_SECONDS)

    assert recorder.wait_for(1, timeout_seconds=WAIT_SECONDS)
    refused(url, publish_as(exchange, OTHER_SOURCE))
    refused(url, publish_as(exchange, f"x.{SOURCE}"))
    refused(url, publish_as(names.dead_exchange(exchange), SOURCE))
    refused(url, lambda channel: channel.basic_get(names.group_queue(exchange, "billing")))
    refused(url, lambda channel: channel.queue_declare("mine"))
    refused(url, lambda channel: channel.queue_bind(names.group_queue(exchange, "billing"), exchange, "#"))
    if not declare:
        refused(url, lambda channel: channel.exchange_delete(exchange))


def test_a_publisher_may_be_the_first(grant: Grant, bus: Callable[..., EventBus]):
    """With the default settings, on a broker that nobody has prepared."""
    url = grant("--publisher", SOURCE)

    bus(url).publish(an_event(1, event_source=SOURCE)).result(WAIT_SECONDS)


@pytest.mark.parametrize("is_prepared", [True, False], ids=["prepared", "fresh"])
def test_a_group_makes_what_it_needs_consumes_and_dead_letters(
    grant: Grant,
    bus: Callable[..., EventBus],
    rabbitmq_url: str,
    exchange: str,
    request: pytest.FixtureRequest,
    is_prepared: bool,
):
    """The default settings, on a broker that nobody has prepared and on one that somebody has."""
    if is_prepared:
        request.getfixturevalue("everything")
    check_group(bus(grant("--group", "billing")), bus(rabbitmq_url), rabbitmq_url, exchange)


def test_a_group_without_declaring_needs_no_configure_right_at_all(
    grant: Grant, bus: Callable[..., EventBus], everything: EventBus, rabbitmq_url: str, exchange: str
):
    """``declare=False``: what is there is used, and can be neither made nor deleted nor bound by the user."""
    url = grant("--group", "billing", "--no-declare")

    check_group(bus(url, declare=False), everything, rabbitmq_url, exchange)

    queue = names.group_queue(exchange, "billing")
    refused(url, lambda channel: channel.queue_delete(queue))
    refused(url, lambda channel: channel.exchange_delete(exchange))
    refused(url, lambda channel: channel.queue_bind(queue, exchange, "#"))
    refused(url, lambda channel: channel.queue_purge(names.group_queue(exchange, "others")))


def check_group(consumer: EventBus, publisher: EventBus, url: str, exchange: str) -> None:
    recorder = Recorder()
    consumer.subscribe(TOPIC, recorder, group="billing")
    publisher.publish(an_event(1)).result(WAIT_SECONDS)
    assert recorder.wait_for(1, timeout_seconds=WAIT_SECONDS)
    assert consumer.health().subscriptions[0].is_consuming

    with opened(url) as connection:
        connection.channel().basic_publish(amqp.Message(b"no event"), exchange, "ResourceStateEvent.B.C.D.E")
    wait_until(
        lambda: next(iter(consumer.stats().subscriptions.values())).dead_lettered == 1, "one dead letter", WAIT_SECONDS
    )


def test_a_group_reads_no_other_groups_queue_and_publishes_nothing(grant: Grant, everything: EventBus, exchange: str):
    """Least means least: the events of the others are theirs, and a consumer speaks for nobody."""
    url = grant("--group", "billing")

    refused(url, lambda channel: channel.basic_get(names.group_queue(exchange, "others")))
    refused(url, lambda channel: channel.queue_delete(names.group_queue(exchange, "others")))
    refused(url, lambda channel: channel.queue_declare("mine"))
    refused(url, publish_as(exchange, SOURCE))
    refused(url, publish_as("", SOURCE))


def test_a_temporary_subscriber_makes_only_its_own_queues(
    grant: Grant, bus: Callable[..., EventBus], everything: EventBus, exchange: str
):
    """``bus-amqp tail`` for somebody who may look and not touch."""
    url = grant("--temporary", "--no-declare")
    recorder = Recorder()
    watcher = bus(url)

    # Its dead-letter queue is one for all: an administrator has made it, here with a subscription of his own.
    everything.subscribe(TOPIC, Recorder())
    watcher.subscribe(TOPIC, recorder)
    everything.publish(an_event(1)).result(WAIT_SECONDS)

    assert recorder.wait_for(1, timeout_seconds=WAIT_SECONDS)
    refused(url, lambda channel: channel.queue_declare(f"{exchange}.tmp.of-another-kind"))
    refused(url, lambda channel: channel.basic_get(names.group_queue(exchange, "billing")))


def test_a_publisher_that_is_also_a_group_is_one_user(grant: Grant, bus: Callable[..., EventBus], everything: EventBus):
    """Handlers publish, too."""
    both = bus(grant("--publisher", SOURCE, "--group", "workflow"))
    recorder = Recorder()

    both.subscribe(TOPIC, recorder, group="workflow")
    both.publish(an_event(1, event_source=SOURCE)).result(WAIT_SECONDS)

    assert recorder.wait_for(1, timeout_seconds=WAIT_SECONDS)


@pytest.mark.parametrize("use_bulk_frames", [True, False], ids=["bulk", "plain"])
def test_messages_say_which_user_they_are_from_and_nobody_can_say_another(
    grant: Grant, rabbitmq_url: str, everything: EventBus, exchange: str, use_bulk_frames: bool
):
    """``publisher.set_user_id``: the broker itself vouches for the sender of each message in a queue."""
    url = grant("--publisher", SOURCE)
    settings = Settings(
        exchange=exchange,
        connection=ConnectionSettings(use_bulk_frames=use_bulk_frames),
        publisher=PublisherSettings(set_user_id=True),
    )
    with connect(url, settings=settings) as publisher:
        publisher.publish(an_event(1, event_source=SOURCE)).result(WAIT_SECONDS)

    with opened(rabbitmq_url) as connection:
        message = connection.channel().basic_get(names.group_queue(exchange, "billing"))
        assert message.properties["user_id"] == urlsplit(url).username

    def forge(channel: amqp.Channel) -> None:
        channel.confirm_select()
        forged = amqp.Message(b"{}", user_id="guest")
        channel.basic_publish_confirm(forged, exchange, f"A.B.C.D.{plain_word(SOURCE)}")

    with opened(url) as connection, pytest.raises(amqp.PreconditionFailed, match="user_id"):
        forge(connection.channel())


def test_a_right_that_is_missing_is_named(grant: Grant, bus: Callable[..., EventBus], everything: EventBus):
    """The operator's move: which user, which object, which right."""
    consumer = bus(grant("--group", "billing"))

    with pytest.raises(AccessRefusedError, match=r"configure access.*others-too|others-too.*configure access"):
        consumer.subscribe(TOPIC, Recorder(), group="others-too")
