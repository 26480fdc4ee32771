"""Scenarios of a cluster of three nodes.  No proxies: the processes know all three urls and choose among them.

Only groups: the queue of a temporary subscription lives on one node and is away with it (design, promise 2).
"""

from __future__ import annotations

from bus_amqp.testing.private_node import PrivateNode
from tests.chaos.scenario import CLUSTER, HEARTBEAT_SECONDS, ORDERED, WORK, Scenario, bitten, register
from tests.chaos.scene import Scene

AWAY_SECONDS = 2.0
PARTITION_SECONDS = 4.0 * HEARTBEAT_SECONDS
GROUPS = ("work", "ordered")


def leader_killed(scene: Scene) -> str:
    """Kill the node where the plain group's queue has its leader."""
    leader = scene.cluster.leader_of(scene.queue_of("work"))
    _kill(scene, leader)
    now = scene.cluster.leader_of(scene.queue_of("work"))
    proof = bitten(now is not leader, f"the queue's leader moved from {leader.name} to {now.name}")
    scene.cluster.start()
    return proof


def follower_killed(scene: Scene) -> str:
    """Kill a node that leads neither group's queue, if there is one, else one that does not lead the plain group's."""
    leaders = [scene.cluster.leader_of(scene.queue_of(name)) for name in GROUPS]
    followers = [node for node in scene.cluster.nodes if node not in leaders]
    followers += [node for node in scene.cluster.nodes if node is not leaders[0]]
    _kill(scene, followers[0])
    proof = bitten(not followers[0].is_running, f"{followers[0].name} dead")
    scene.cluster.start()
    return proof


def node_partitioned(scene: Scene) -> str:
    """The leader's node loses sight of the others; its clients still reach it."""
    leader = scene.cluster.leader_of(scene.queue_of("work"))
    scene.cluster.cut_off(leader)
    scene.let_pass(PARTITION_SECONDS)
    now = scene.cluster.leader_of(scene.queue_of("work"))
    proof = bitten(now is not leader, f"the queue's leader moved from {leader.name} to {now.name}")
    scene.cluster.heal(leader)
    scene.heal()
    return proof


def all_nodes_restarted(scene: Scene) -> str:
    """A power cut: all nodes die at once and come back together."""
    for node in scene.cluster.nodes:
        node.kill()
    dead = [node for node in scene.cluster.nodes if not node.is_running]
    scene.let_pass(1.0)
    scene.cluster.start()
    scene.heal()
    return bitten(len(dead) == len(scene.cluster.nodes), f"{len(dead)} nodes dead at once")


def _kill(scene: Scene, node: PrivateNode) -> None:
    node.kill()
    # The survivors are a broker that answers: from here the seconds count.
    scene.heal()
    scene.let_pass(AWAY_SECONDS)


_CAST = ((WORK, ORDERED), (WORK, ORDERED), (WORK, ORDERED))
for _name, _title, _inflict, _times in (
    ("cluster-leader-killed", "cluster: leader of a queue killed", leader_killed, 2),
    ("cluster-follower-killed", "cluster: follower killed", follower_killed, 2),
    ("cluster-partitioned", "cluster: node partitioned", node_partitioned, 3),
    ("cluster-restarted", "cluster: all nodes killed and started", all_nodes_restarted, 2),
):
    register(Scenario(_name, _title, _inflict, stages=(CLUSTER,), cast=_CAST, interruptions=_times))
