"""Scenarios of one broker: what happens to the node, and what its operator does to connections and resources."""

from __future__ import annotations

from tests.chaos.scenario import CONFIRM_WINDOW, HEARTBEAT_SECONDS, Scenario, bitten, register
from tests.chaos.scene import Scene

AWAY_SECONDS = 1.0
ALARM_SECONDS = 3 * HEARTBEAT_SECONDS
NO_DISK, SOME_DISK = "900GB", "50MB"
NO_MEMORY, SOME_MEMORY = "0", "0.6"
# A broker killed within a moment of the declaration of a quorum queue can come back with a queue that answers nothing
# (seen with 4.0.5): the first phase of the traffic is longer than that moment.


def broker_killed(scene: Scene) -> str:
    """SIGKILL, a second of nothing, and a start on the same data."""
    before = scene.operator.boot_stamp()
    scene.broker.kill()
    scene.let_pass(AWAY_SECONDS)
    scene.broker.start()
    scene.heal()
    return bitten(scene.operator.boot_stamp() != before, "another life of the broker")


def broker_restarted(scene: Scene) -> str:
    """An orderly stop and start."""
    before = scene.operator.boot_stamp()
    scene.broker.restart()
    scene.heal()
    return bitten(scene.operator.boot_stamp() != before, "another life of the broker")


def connections_closed(scene: Scene) -> str:
    """The operator closes all connections, with a word."""
    made = sum(path.accepted for path in scene.paths)
    had = sum(path.connections for path in scene.paths)
    scene.operator.close_connections()
    scene.heal()
    scene.wait_until(lambda: sum(path.accepted for path in scene.paths) - made >= had, "connections made again")
    return f"{bitten(had >= 4, 'connections closed')}: {had}"


def memory_alarm(scene: Scene) -> str:
    """No memory: the broker blocks publishers."""
    return _alarm(scene, "memory", "set_vm_memory_high_watermark", NO_MEMORY, SOME_MEMORY)


def disk_alarm(scene: Scene) -> str:
    """No disk."""
    return _alarm(scene, "disk", "set_disk_free_limit", NO_DISK, SOME_DISK)


def _alarm(scene: Scene, resource: str, command: str, bad: str, good: str) -> str:
    before = scene.operator.lasting_connections()
    scene.broker.rabbitmqctl(command, bad)
    try:
        scene.wait_until(lambda: resource in scene.operator.alarms(), f"the {resource} alarm", 15)
        confirmed = len(scene.books.confirmed)
        scene.let_pass(ALARM_SECONDS)
        taken = len(scene.books.confirmed) - confirmed
    finally:
        scene.broker.rabbitmqctl(command, good)
    scene.wait_until(lambda: resource not in scene.operator.alarms(), f"the {resource} alarm over", 15)
    scene.heal()
    # What was on the way when the alarm came is still confirmed.
    bitten(taken <= len(scene.publishers) * CONFIRM_WINDOW, "publishers blocked")
    bitten(len(before) >= len(scene.publishers), "connections of publishers")
    bitten(scene.operator.lasting_connections() == before, "the same connections kept")
    return f"{resource} alarm listed by the broker for {ALARM_SECONDS} s, {taken} confirms in it, same connections kept"


register(Scenario("broker-killed", "broker: kill -9, start", broker_killed))
register(Scenario("broker-restarted", "broker: orderly restart", broker_restarted))
register(Scenario("connections-closed", "operator closes all connections", connections_closed))
register(Scenario("memory-alarm", "memory alarm", memory_alarm, interruptions=0))
register(Scenario("disk-alarm", "disk alarm", disk_alarm, interruptions=0))
