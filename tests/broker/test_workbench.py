"""The dead-letter workbench on both real brokers, over both kinds of channel."""

from __future__ import annotations

import itertools
from urllib.parse import urlsplit

import pytest

from bus_amqp import NO_RETRY, Event, EventTopic, connect
from bus_amqp.admin.letter_filter import LetterFilter
from bus_amqp.errors import AccessRefusedError, NotFoundOnBrokerError
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from bus_amqp.wire.message import Message
from tests.broker.amqp_workbench import with_login
from tests.broker.dead_letters import GROUP, SECONDS, Scene, publish
from tests.promise.subscribers import an_event, number_of
from tests.promise.waiting import wait_until

LOOKS = 25  # more than RabbitMQ 4's own limit of deliveries
_users = itertools.count()


@pytest.fixture
def scene(rabbitmq_url: str, exchange: str, is_bulk: bool) -> Scene:
    """A broker and an exchange of the test's own."""
    return Scene(rabbitmq_url, exchange, is_bulk)


def never() -> bool:
    return False


def numbers(scene: Scene, limit: int | None = None) -> list[int]:
    with scene.workbench() as workbench:
        return [number_of(one.event) for one in workbench.look(limit=limit) if one.event]


def test_looking_costs_a_dead_letter_nothing(scene: Scene) -> None:
    """Looked at more often than a queue of the broker's default lets a message be delivered: all there, in order."""
    scene.fail_many(5)

    for _ in range(LOOKS):
        assert numbers(scene) == [0, 1, 2, 3, 4]

    scene.wait_ready(scene.dead, 5)


def test_more_than_a_page_is_read_in_order_and_given_back_in_order(scene: Scene) -> None:
    """Several channels of one connection hold the letters: closing them must not shuffle the queue."""
    scene.fail_many(2500)

    assert numbers(scene) == list(range(2500))
    assert numbers(scene, limit=1200) == list(range(1200))

    scene.wait_ready(scene.dead, 2500)
    assert scene.read(scene.dead) == list(range(2500))


def test_events_are_put_back_once_and_in_order(scene: Scene) -> None:
    """The usual end of a repair: all of them, and none twice."""
    scene.fail_many(1500)
    with scene.workbench() as workbench:
        outcome = workbench.putting_back(LetterFilter(), limit=None, should_stop=never).run()

    assert (outcome.done, outcome.stay_count) == (1500, 0)
    scene.wait_ready(scene.dead, 0)
    assert scene.read(scene.home) == list(range(1500))


def test_a_queue_that_is_gone_costs_nothing(scene: Scene) -> None:
    """The broker confirms what it could not route: only the return before it tells."""
    events = scene.fail_many(3)
    with scene.workbench() as workbench:
        run = workbench.putting_back(LetterFilter(), limit=None, should_stop=never)
        run._exists[scene.home] = True  # as it was a moment before the queue was deleted
        with scene.connection() as other:
            other.delete_queue(scene.home)
        outcome = run.run()

    assert (outcome.done, [name for name, _ in outcome.stays]) == (0, [str(event.event_id) for event in events])
    scene.wait_ready(scene.dead, 3)
    assert scene.ready(scene.home) == -1


def test_a_consumer_that_runs_gets_what_is_put_back(scene: Scene) -> None:
    """The whole way round: handled wrongly, dead-lettered with its story, put back, handled well."""
    is_broken = [True]
    recorder = Recorder()

    def charge(event: Event) -> None:
        if is_broken:
            raise ValueError("no price")
        recorder.on_event(event)

    with connect(scene.url, settings=scene.settings) as bus:
        bus.subscribe(EventTopic(), charge, group=GROUP, retry=NO_RETRY)
        bus.publish_many([an_event(number) for number in range(20)])
        scene.wait_ready(scene.dead, 20)
        with scene.workbench() as workbench:
            [letter] = workbench.look(limit=1)
            assert (letter.exception, letter.queue) == ("ValueError: no price", scene.home)
            assert letter.routing_key == "ResourceStateEvent.VM-START.VirtualMachine.r-0.management-server"
            is_broken.clear()
            assert workbench.putting_back(LetterFilter(), limit=None, should_stop=never).run().done == 20
        recorder.wait_for(20, timeout_seconds=SECONDS)

    assert sorted(number_of(event) for event in recorder.events) == list(range(20))
    scene.wait_ready(scene.dead, 0)


def test_two_workbenches_at_once_put_back_each_letter_once(scene: Scene) -> None:
    """Two operators after the same alarm: neither a loss nor an event twice."""
    scene.fail_many(600)
    with scene.workbench() as one, scene.workbench() as other:
        look = one.look()
        next(look)  # holds a page meanwhile
        assert other.putting_back(LetterFilter(), limit=200, should_stop=never).run().done == 200
        look.close()
        assert other.putting_back(LetterFilter(), limit=None, should_stop=never).run().done == 400

    scene.wait_ready(scene.dead, 0)
    assert sorted(scene.read(scene.home)) == list(range(600))


def test_letters_that_the_broker_made_are_told_from_its_own_account(scene: Scene) -> None:
    """Delivery limit: no header of ours, no key of ours; the account of the broker and the body are enough."""
    scene.make_group()
    event = an_event(7)
    body = event.model_dump_json(by_alias=True, exclude_none=True).encode()
    with scene.connection() as connection:
        publish(connection, [Message(scene.home, body, str(event.event_id), exchange="", mandatory=True)])
        for _ in range(25):  # over the limit of twenty
            channel = connection.consume_channel(scene.home, 1)
            wait_until(lambda: connection.turn(0.2) or scene.ready(scene.dead) == 1, "a delivery", SECONDS)
            channel.close()
            if scene.ready(scene.dead) == 1:
                break
    scene.wait_ready(scene.dead, 1)

    with scene.workbench() as workbench:
        [letter] = workbench.look()
        assert (letter.reason, letter.is_by_broker) == ("delivery_limit", True)
        assert letter.last_failure is not None
        assert letter.queue == scene.home
        assert letter.routing_key == "ResourceStateEvent.VM-START.VirtualMachine.r-0.management-server"
        assert workbench.putting_back(LetterFilter(), limit=None, should_stop=never).run().done == 1

    # A life of its own again: the broker's count must not go on where it was.
    with scene.connection() as connection:
        for _ in range(3):
            channel = connection.consume_channel(scene.home, 1)
            wait_until(lambda: connection.turn(0.2), "a delivery", SECONDS)
            channel.close()
    scene.wait_ready(scene.home, 1)
    assert scene.ready(scene.dead) == 0


def test_strange_messages_are_letters_like_others(scene: Scene) -> None:
    """Bytes, nested headers, a forged account of deaths: looked at, exported, put back."""
    scene.make_group()
    dead = names.dead_exchange(scene.exchange)
    strange: list[Message] = [
        Message(GROUP, b"\xff\x00", exchange=dead, content_type="application/octet-stream"),
        Message(GROUP, b"", exchange=dead, headers={"x-death": "forged", "x-bus-attempts": "many", "x": None}),
    ]
    with scene.connection() as connection:
        publish(connection, strange)

    with scene.workbench() as workbench:
        letters = list(workbench.look())
        assert [letter.reason for letter in letters] == ["unknown", "unknown"]
        assert [letter.delivery.body for letter in letters] == [b"\xff\x00", b""]
        assert workbench.putting_back(LetterFilter(), limit=None, should_stop=never).run().done == 2


def test_missing_rights_are_named(rabbitmq: RealBroker, scene: Scene) -> None:
    """Who may not read gets told; who may only read can look, and whoever cannot write loses nothing by trying."""
    scene.fail_many(2)
    user = f"reader-{next(_users)}-{urlsplit(rabbitmq.url).port}"
    rabbitmq.rabbitmqctl("add_user", user, "secret")
    rabbitmq.rabbitmqctl("set_permissions", user, "^$", "^$", "^$")
    theirs = Scene(with_login(rabbitmq.url, user, "secret"), scene.exchange, scene.is_bulk)
    with theirs.workbench() as workbench, pytest.raises(AccessRefusedError, match=r"(read|configure) access"):
        list(workbench.look())

    rabbitmq.rabbitmqctl("set_permissions", user, "^$", "^$", ".*")
    assert numbers(theirs) == [0, 1]
    with theirs.workbench() as workbench:
        run = workbench.putting_back(LetterFilter(), limit=None, should_stop=never)
        with pytest.raises(AccessRefusedError, match="write access"):
            run.run()
    assert run.outcome.done == 0
    scene.wait_ready(scene.dead, 2)


def test_a_queue_that_is_not_there_is_named(scene: Scene) -> None:
    """A misspelt group."""
    with scene.workbench("nobody") as workbench, pytest.raises(NotFoundOnBrokerError, match="group 'nobody'"):
        workbench.count()
