"""The bridge and the look at a live cloud on real brokers, as processes.

What plays CloudStack here is a bus of ours with an encoder: its exchange, keys and bodies, without ids.
"""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import amqp
import pytest

from bus_amqp import Event, EventBus, EventTopic, ForeignMessage, connect
from bus_amqp.extension.cloudstack.publisher import CloudStackPublisher, cloudstack_message
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.broker.amqp_workbench import with_login
from tests.broker.test_rights import opened
from tests.demo.processes import SECONDS, bus_amqp, read_until, started
from tests.promise.waiting import wait_until

EVENTS, KILLS = 3000, 3


def as_cloudstack(event: Event) -> ForeignMessage:
    """Encode as CloudStack itself does: the body says nothing of us, and no property has an id."""
    message = cloudstack_message(event)
    body = {name: value for name, value in json.loads(message.body).items() if name != "busEvent"}
    return ForeignMessage(routing_key=message.routing_key, body=json.dumps(body).encode(), content_type="text/plain")


def an_action(number: int) -> Event:
    return Event(
        event_category="ActionEvent", event_type="VM.START", event_source="management-server",
        resource_type="com.cloud.vm.VirtualMachine", resource_uuid=f"u-{number % 7}", description=f"vm {number}",
        details={"account": "a", "status": "Started"},
    )  # fmt: skip


@pytest.fixture
def theirs(exchange: str) -> str:
    """The name of CloudStack's exchange."""
    return f"{exchange}-cloudstack"


@pytest.fixture
def cloud(rabbitmq_url: str, theirs: str) -> Iterator[EventBus]:
    """What plays CloudStack."""
    with connect(rabbitmq_url, exchange=theirs, client_name="cloudstack", encoder=as_cloudstack) as bus:
        yield bus


@pytest.fixture
def ours(rabbitmq_url: str, exchange: str) -> Iterator[Recorder]:
    """Who listens to our bus."""
    recorder = Recorder()
    with connect(rabbitmq_url, exchange=exchange, client_name="ours") as bus:
        bus.subscribe(EventTopic(), recorder, group="everything")
        yield recorder


def test_a_bridge_that_is_killed_again_and_again_loses_nothing(
    rabbitmq_url: str, exchange: str, theirs: str, cloud: EventBus, ours: Recorder, tmp_path: Path
) -> None:
    """At least once, across SIGKILL: every message of CloudStack's becomes an event of ours, some of them twice."""
    arguments = ("bridge", "cloudstack", "--from", theirs, "--ready-file", str(tmp_path / "ready"))
    published = 0
    for _ in range(KILLS):
        (tmp_path / "ready").unlink(missing_ok=True)
        with started(*arguments, url=rabbitmq_url, exchange=exchange) as bridge:
            wait_until((tmp_path / "ready").exists, "the bridge")
            part = [an_action(number) for number in range(published, published + EVENTS // KILLS)]
            published += len(part)
            cloud.publish_many(part)
            seen = len(ours.ids_without_duplicates())
            ours.wait_for(seen + 50, timeout_seconds=SECONDS)
            bridge.kill()  # in the middle of it
            bridge.wait(SECONDS)
    cloud.flush(SECONDS)

    with started(*arguments, url=rabbitmq_url, exchange=exchange) as bridge:
        ours.wait_for(published, timeout_seconds=SECONDS)
        bridge.send_signal(signal.SIGTERM)
        assert bridge.wait(SECONDS) == 0

    first_of_each = {event.event_id: event for event in reversed(ours.events)}
    assert sorted(event.description for event in first_of_each.values()) == sorted(f"vm {n}" for n in range(published))
    with opened(rabbitmq_url) as connection:
        left = connection.channel().queue_declare(names.group_queue(exchange, "cloudstack"), passive=True)
        assert left.message_count == 0


def test_a_live_cloud_is_looked_at_with_no_right_but_to_read_its_exchange(
    rabbitmq: RealBroker, exchange: str, theirs: str, cloud: EventBus
) -> None:
    """Nothing of it is changed: the user may declare one queue of its own, and after the look there is none."""
    user, own = f"{exchange}-looker", rf"^{exchange}\.tmp\."
    rabbitmq.rabbitmqctl("add_user", user, "s3cret")
    rabbitmq.rabbitmqctl("set_permissions", user, own, own, rf"{own}|^{theirs}$")
    url = with_login(rabbitmq.url, user, "s3cret")
    try:
        with started(
            "tail",
            "--cloudstack",
            url,
            "--from",
            theirs,
            "-n",
            "2",
            "--json",
            "--type",
            "VM.#",
            url="",
            exchange=exchange,
        ) as tail:
            read_until(tail, "subscribed")
            with opened(rabbitmq.url) as connection:
                connection.channel().basic_publish(amqp.Message(b"no json"), theirs, "m.ActionEvent.VM-START.*.*")
            for event in (an_action(1), an_action(2).model_copy(update={"event_type": "USER.LOGIN"}), an_action(3)):
                cloud.publish(event)
            out, err = tail.communicate(timeout=SECONDS)
    finally:
        rabbitmq.rabbitmqctl("delete_user", user)

    assert tail.returncode == 0, err
    assert [json.loads(line)["description"] for line in out.splitlines()] == ["vm 1", "vm 3"]
    assert "not understood (not-json)" in err
    assert exchange not in rabbitmq.rabbitmqctl("list_queues", "name")
    found = rabbitmq.rabbitmqctl("list_exchanges", "name").split()
    assert [name for name in found if name.startswith(exchange)] == [theirs]


def test_a_bridge_works_with_the_rights_that_the_command_prints(
    rabbitmq: RealBroker, exchange: str, theirs: str, cloud: EventBus, ours: Recorder, tmp_path: Path
) -> None:
    """It sits between two systems: whoever breaks into it must get at neither."""
    user, ready = f"{exchange}-bridge", tmp_path / "ready"
    rabbitmq.rabbitmqctl("add_user", user, "s3cret")
    printed = bus_amqp(
        "permissions", "--publisher", "management-server", "--group", "cloudstack", "--reads", theirs, "--user", user,
        exchange=exchange,
    ).stdout  # fmt: skip
    for command in printed.splitlines():
        rabbitmq.rabbitmqctl(*shlex.split(command)[1:])
    url = with_login(rabbitmq.url, user, "s3cret")
    try:
        options = ("--from", theirs, "--ready-file", str(ready))
        with started("bridge", "cloudstack", *options, url=url, exchange=exchange) as bridge:
            wait_until(ready.exists, "the bridge")
            cloud.publish(an_action(1))
            [event] = ours.wait_for(1, timeout_seconds=SECONDS).events
            with opened(url) as connection, pytest.raises(amqp.AccessRefused):
                connection.channel().basic_publish_confirm(amqp.Message(b"{}"), theirs, "a.b.c.d.e")
            bridge.send_signal(signal.SIGTERM)
            assert bridge.wait(SECONDS) == 0
    finally:
        rabbitmq.rabbitmqctl("delete_user", user)
    assert event.description == "vm 1"


def test_a_bridge_without_cloudstacks_exchange_says_so(rabbitmq_url: str, exchange: str, theirs: str) -> None:
    """A misspelt exchange must not look like a quiet cloud."""
    done = bus_amqp("bridge", "cloudstack", "--from", theirs, url=rabbitmq_url, exchange=exchange)

    assert done.returncode == 1
    assert f"no exchange '{theirs}'" in done.stderr


def test_consumers_of_cloudstacks_exchange_are_served_by_our_publisher(
    rabbitmq_url: str, exchange: str, theirs: str
) -> None:
    """A consumer that was written for CloudStack, with its own binding, reads our event as CloudStack's."""
    event = an_action(1)
    with opened(rabbitmq_url) as connection, CloudStackPublisher(rabbitmq_url, exchange=theirs) as publisher:
        channel = connection.channel()
        queue = channel.queue_declare(exclusive=True).queue
        channel.queue_bind(queue, theirs, "*.ActionEvent.VM-START.*.*")

        publisher.publish(event, mandatory=True).result(SECONDS)

        message = channel.basic_get(queue)
    assert (
        message.delivery_info["routing_key"] == "management-server.ActionEvent.VM-START.com-cloud-vm-VirtualMachine.u-1"
    )
    assert (message.properties["content_type"], message.properties["delivery_mode"]) == ("text/plain", 2)
    body = json.loads(message.body)
    assert body["event"] == "VM.START"
    assert body["entityuuid"] == "u-1"
    assert body["account"] == "a"
