"""A cluster of three nodes: the bus goes on, whichever of them is lost, and loses nothing that was confirmed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from bus_amqp import BusState, EventBus, EventTopic, Settings, connect
from bus_amqp.sections import ConnectionSettings, PublisherSettings
from bus_amqp.testing.private_cluster import PrivateCluster
from bus_amqp.testing.private_node import PrivateNode
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until

TOPIC = EventTopic(event_category="ResourceStateEvent")
GROUP = "billing"
WAIT_SECONDS = 60.0
BACK_SECONDS = 15.0  # a connection cut off is found after two heartbeats, a leader is chosen within five seconds


@pytest.fixture(scope="module")
def cluster(rabbitmq_3_10: object) -> Iterator[PrivateCluster]:
    """Three nodes; each test leaves them whole.  (The single node is asked for so that a missing server is told.)"""
    with PrivateCluster() as made:
        yield made


@pytest.fixture
def bus(exchange: str) -> Iterator[Callable[..., EventBus]]:
    """Connect buses that are closed at the end."""
    buses: list[EventBus] = []

    def make(urls: list[str]) -> EventBus:
        connection = ConnectionSettings(heartbeat_seconds=2, connect_timeout_seconds=10, reconnect_pause_seconds=0.5)
        settings = Settings(exchange=exchange, connection=connection, publisher=PublisherSettings())
        buses.append(connect(urls, client_name="cluster", settings=settings))
        return buses[-1]

    yield make
    for one in buses:
        one.close(20)


class Stream:
    """Publishes without end from a thread of its own until told to stop; keeps the numbers of confirmed events."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._is_over = threading.Event()
        self.accepted = 0
        self._thread = threading.Thread(target=self._run, name="test-stream")
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.wait(0.01):
            self._bus.publish(an_event(self.accepted))
            self.accepted += 1

    def stop(self) -> int:
        """Return how many were accepted, all of which are confirmed."""
        self._is_over.set()
        self._thread.join()
        self._bus.flush(timeout_seconds=WAIT_SECONDS)
        return self.accepted


@pytest.mark.parametrize("victim", ["leader", "follower"])
@pytest.mark.parametrize("fault", ["killed", "cut off"])
def test_any_node_may_be_lost(
    cluster: PrivateCluster, bus: Callable[..., EventBus], exchange: str, victim: str, fault: str
):
    """Publisher and consumer both sit on it; within seconds both are on another node, and nothing is lost."""
    recorder = Recorder()
    first = bus(cluster.urls)
    queue = names.group_queue(exchange, GROUP)
    first.unsubscribe(first.subscribe(TOPIC, Recorder(), group=GROUP))
    leader = cluster.leader_of(queue)
    lost = leader if victim == "leader" else next(node for node in cluster.nodes if node is not leader)
    consumer, publisher = on_node(bus, cluster, lost), on_node(bus, cluster, lost)
    consumer.subscribe(TOPIC, recorder, group=GROUP)
    stream = Stream(publisher)
    assert recorder.wait_for(50, timeout_seconds=WAIT_SECONDS)

    if fault == "killed":
        lost.kill()
    else:
        cluster.cut_off(lost)
    started = time.monotonic()
    wait_until(lambda: port_of(lost) not in publisher.health().broker, "the publisher on another node", BACK_SECONDS)
    wait_until(lambda: publisher.health().is_healthy and consumer.health().is_healthy, "both well", BACK_SECONDS)
    so_far = len(recorder.events)
    wait_until(lambda: len(recorder.events) > so_far + 50, "consuming again", BACK_SECONDS)
    took_seconds = time.monotonic() - started
    if fault == "killed":
        cluster.start()
    else:
        cluster.heal(lost)
    accepted = stream.stop()

    assert accepted > 100
    wait_until(lambda: numbers(recorder) == set(range(accepted)), "every confirmed event", WAIT_SECONDS)
    assert took_seconds < BACK_SECONDS


def test_all_nodes_may_be_restarted(cluster: PrivateCluster, bus: Callable[..., EventBus], exchange: str):
    """A power cut: what was accepted before and during it arrives after it."""
    recorder = Recorder()
    consumer, publisher = bus(cluster.urls), bus(cluster.urls)
    consumer.subscribe(TOPIC, recorder, group=GROUP)
    stream = Stream(publisher)
    # Not sooner: a node killed within a second of a queue's declaration may come back with a queue that never answers.
    assert recorder.wait_for(500, timeout_seconds=WAIT_SECONDS)

    for node in cluster.nodes:
        node.kill()
    wait_until(lambda: publisher.health().state is BusState.RECONNECTING, "the loss noticed", WAIT_SECONDS)
    cluster.start()
    accepted = stream.stop()

    wait_until(lambda: numbers(recorder) == set(range(accepted)), "every accepted event", WAIT_SECONDS)
    wait_until(lambda: consumer.health().is_healthy, "consuming", WAIT_SECONDS)


def test_a_temporary_subscription_outlives_the_node_of_its_queue(cluster: PrivateCluster, bus: Callable[..., EventBus]):
    """P2, P7: a classic queue cannot be declared again while its node is down: it is made anew, and the gap told."""
    recorder = Recorder()
    home = cluster.nodes[0]
    consumer, publisher = on_node(bus, cluster, home), bus([node.url for node in cluster.nodes[1:]])
    subscription_id = consumer.subscribe(TOPIC, recorder)
    queue = consumer.health().subscriptions[0].queue
    publisher.publish(an_event(0)).result(WAIT_SECONDS)
    recorder.wait_for(1, timeout_seconds=WAIT_SECONDS)

    home.kill()
    wait_until(lambda: consumer.health().is_healthy and consumer.health().subscriptions[0].gaps, "a gap", WAIT_SECONDS)
    publisher.publish(an_event(1)).result(WAIT_SECONDS)
    recorder.wait_for(2, timeout_seconds=WAIT_SECONDS)
    assert consumer.health().subscriptions[0].queue != queue
    cluster.start()

    consumer.unsubscribe(subscription_id)
    assert numbers(recorder) == {0, 1}


def test_the_first_connections_are_spread_over_the_nodes(cluster: PrivateCluster, bus: Callable[..., EventBus]):
    """A fleet with one and the same list of urls must not sit on its first node."""
    brokers = {bus(cluster.urls).health().broker for _ in range(12)}

    assert len(brokers) > 1


def test_a_queue_without_a_majority_is_named_and_loses_nothing(
    rabbitmq_3_10: object, bus: Callable[..., EventBus], exchange: str
):
    """Connected and confirmed nothing: health must say so, and the events wait until there is a majority again."""
    with PrivateCluster(partition_handling="ignore") as cluster:
        survivor, *others = cluster.nodes
        alone = bus([survivor.url])
        recorder = Recorder()
        alone.subscribe(TOPIC, recorder, group=GROUP)
        for number in range(200):
            alone.publish(an_event(number)).result(WAIT_SECONDS)

        for node in others:
            node.kill()
        receipt = alone.publish(an_event(200))
        wait_until(lambda: "majority" in alone.health().publisher.reason, "the reason in health", WAIT_SECONDS)
        assert not alone.health().is_healthy
        assert not receipt.done()
        cluster.start()

        receipt.result(2 * WAIT_SECONDS)
        wait_until(lambda: numbers(recorder) == set(range(201)), "every event", WAIT_SECONDS)


def on_node(bus: Callable[..., EventBus], cluster: PrivateCluster, node: PrivateNode) -> EventBus:
    """Return a bus that sits on this node: which one it begins with is a matter of chance."""
    deadline = time.monotonic() + WAIT_SECONDS
    while port_of(node) not in (made := bus(cluster.urls)).health().broker:
        made.close(5)
        assert time.monotonic() < deadline, f"{WAIT_SECONDS:g} s of new connections, and none to {node.name}: {cluster}"
    return made


def port_of(node: PrivateNode) -> str:
    return node.url.rpartition(":")[2].rstrip("/")


def numbers(recorder: Recorder) -> set[object]:
    return {event.details["number"] for event in recorder.events}
