"""`bus-amqp groups` on both real brokers."""

from __future__ import annotations

import itertools
import json
from urllib.parse import urlsplit

import pytest

from bus_amqp import EventTopic, Settings, connect
from bus_amqp.admin.groups import Groups
from bus_amqp.errors import BrokerRefusedError, TopologyMismatchError
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.free_port import free_port
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.broker.amqp_workbench import with_login
from tests.broker.dead_letters import SECONDS, Scene
from tests.demo.processes import bus_amqp
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until

_users = itertools.count()


@pytest.fixture
def scene(rabbitmq_url: str, exchange: str) -> Scene:
    """A broker and an exchange of the test's own."""
    return Scene(rabbitmq_url, exchange)


@pytest.mark.parametrize("ordered", [True, False])
def test_early_events_wait_for_the_first_consumer(scene: Scene, ordered: bool) -> None:
    """The subscription finds the group as it would have made it, with what was published before."""
    recorder = Recorder()
    with scene.connection() as connection:
        state = Groups(connection, scene.exchange).create("early", [EventTopic(event_type="VM.#")], ordered=ordered)
        assert (state.ready, state.is_ordered) == (0, ordered)

    with connect(scene.url, settings=Settings(exchange=scene.exchange)) as bus:
        bus.publish_many([an_event(number) for number in range(10)])
        bus.flush(SECONDS)
        bus.subscribe(EventTopic(event_type="VM.#"), recorder, group="early", ordered=ordered)
        recorder.wait_for(10, timeout_seconds=SECONDS)

        with scene.connection() as connection:
            groups = Groups(connection, scene.exchange)
            assert groups.show("early").consumers == 1
            with pytest.raises(TopologyMismatchError):
                groups.create("early", [EventTopic()], ordered=not ordered)
            with pytest.raises(BrokerRefusedError, match="has 1 consumers"):
                groups.delete("early", force=False, with_dead_letters=True)


def test_a_deleted_group_is_gone_with_what_waited(scene: Scene) -> None:
    """And says what that was; its dead letters stay."""
    scene.fail_many(3)
    with scene.connection() as connection:
        groups = Groups(connection, scene.exchange)
        wait_until(lambda: groups.show("billing").dead_letters == 3, "the letters to be counted", SECONDS)
        assert groups.delete("billing", force=False, with_dead_letters=False).dead_letters == 3
        after = groups.show("billing")
        assert (after.exists, after.dead_letters) == (False, 3)
        groups.delete("billing", force=False, with_dead_letters=True)
        assert connection.queue_state(names.dead_queue(scene.exchange, "billing")) is None


def test_without_the_right_to_declare_the_kind_is_not_guessed(rabbitmq: RealBroker, scene: Scene) -> None:
    """Both declarations are then accepted as what is there: neither says anything."""
    scene.make_group(ordered=True)
    user = f"watcher-{next(_users)}-{urlsplit(rabbitmq.url).port}"
    rabbitmq.rabbitmqctl("add_user", user, "secret")
    rabbitmq.rabbitmqctl("set_permissions", user, "^$", "^$", ".*")
    theirs = Scene(with_login(rabbitmq.url, user, "secret"), scene.exchange)

    with theirs.connection() as connection:
        state = Groups(connection, scene.exchange).show("billing")

    assert (state.ready, state.is_ordered) == (0, None)


@pytest.mark.slow
def test_groups_are_listed_through_the_management_api(rabbitmq_3_10: RealBroker, exchange: str) -> None:
    """The plug-in as Debian ships it: names and bindings from there, numbers from the broker itself."""
    port = free_port()
    listener = f'[{{port, {port}}}, {{ip, "127.0.0.1"}}]'
    rabbitmq_3_10.rabbitmqctl(
        "eval", f"application:set_env(rabbitmq_management, tcp_config, {listener}, [{{persistent, true}}])."
    )
    enabled = rabbitmq_3_10.rabbitmqctl(
        "eval",
        "{ok, File} = application:get_env(rabbit, enabled_plugins_file), "
        'ok = file:write_file(File, "[rabbitmq_management].\\n"), rabbit_plugins:ensure(File).',
    )
    assert "rabbitmq_management" in enabled
    scene = Scene(rabbitmq_3_10.url, exchange)
    scene.make_group("billing", ordered=True)
    with scene.connection() as connection:
        Groups(connection, exchange).create("audit", [EventTopic(event_category="UsageEvent")], ordered=False)

    ended = bus_amqp(
        "groups", "list", "--json", "--management-url", f"http://127.0.0.1:{port}", url=scene.url, exchange=exchange
    )

    assert ended.returncode == 0, ended.stderr
    audit, billing = map(json.loads, ended.stdout.splitlines())
    assert (audit["group"], audit["bindings"], audit["ordered"]) == ("audit", ["UsageEvent.*.*.*.*"], False)
    assert (billing["group"], billing["ordered"], billing["ready"]) == ("billing", True, 0)
