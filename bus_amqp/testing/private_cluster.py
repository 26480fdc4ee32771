"""``PrivateCluster``: three private nodes on loopback that form one RabbitMQ, and what may befall one of them.

Needs the ``rabbitmq-server`` of this machine; about 40 seconds to start on two cores.  Used by one thread at a time.
"""

import json
import secrets
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from bus_amqp.errors import InvalidArgumentError, TransportError
from bus_amqp.testing.free_port import free_port
from bus_amqp.testing.private_node import ClusterPlace, PrivateNode

_FORM_SECONDS = 120.0
_POLL_SECONDS = 0.25


class PrivateCluster:
    """``nodes`` in the order of their making; ``configuration``: more lines for each node's ``rabbitmq.conf``.

    ``partition_handling``: RabbitMQ's setting.  ``pause_minority``: a node that sees no majority closes its
    connections; ``ignore``: it keeps them, and its quorum queues confirm nothing.
    """

    def __init__(
        self, size: int = 3, *, partition_handling: str = "pause_minority", configuration: Sequence[str] = ()
    ) -> None:
        mark, cookie, mapper_port = secrets.token_hex(3), secrets.token_hex(20), free_port()
        names = [f"bus-{mark}-{number}@localhost" for number in range(1, size + 1)]
        lines = [
            "cluster_formation.peer_discovery_backend = rabbit_peer_discovery_classic_config",
            *(f"cluster_formation.classic_config.nodes.{number} = {name}" for number, name in enumerate(names, 1)),
            f"cluster_partition_handling = {partition_handling}",
            *configuration,
        ]
        self.nodes: list[PrivateNode] = []
        self._cut_off: set[str] = set()  # names
        try:
            for name in names:
                place = ClusterPlace(name, cookie, mapper_port, owns_mapper=not self.nodes)
                self.nodes.append(PrivateNode(configuration=lines, place=place))
            for node in self.nodes:
                node.wait_until_it_greets()
            self.wait_until_whole()
        except BaseException:  # Ctrl-C above all: the nodes that run would go on running
            self.stop()
            raise

    def __repr__(self) -> str:
        running = sum(node.is_running for node in self.nodes)
        return f"<PrivateCluster {running} of {len(self.nodes)} nodes run, {len(self._cut_off)} cut off>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def urls(self) -> list[str]:
        """One for each node."""
        return [node.url for node in self.nodes]

    def wait_until_whole(self, timeout_seconds: float = _FORM_SECONDS) -> None:
        """Wait until every node runs and sees all the others."""
        deadline = time.monotonic() + timeout_seconds
        for node in self.nodes:
            while (seen := self._seen_by(node)) < len(self.nodes):
                if time.monotonic() >= deadline:
                    raise TransportError(f"{node.name} sees {seen} of {len(self.nodes)} nodes: no whole cluster")
                time.sleep(_POLL_SECONDS)

    def start(self) -> None:
        """Start every node that does not run, all at once, as after a power cut, and wait until they are one."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_until_it_greets()
        self.wait_until_whole()

    def leader_of(self, queue: str) -> PrivateNode:
        """Return the node where a quorum queue has its leader.  Raises ``InvalidArgumentError``: no such queue."""
        asked = next(node for node in self.nodes if node.is_running and node.name not in self._cut_off)
        for line in asked.rabbitmqctl("list_queues", "name", "leader").splitlines():
            name, _, leader = line.partition("\t")
            if name == queue:
                return next(node for node in self.nodes if node.name == leader.strip())
        raise InvalidArgumentError(f"the cluster has no queue {queue!r}")

    def cut_off(self, node: PrivateNode) -> None:
        """Have the others and the node lose sight of each other; its clients are not touched."""
        # With another cookie for each other: disconnected alone, Erlang's nodes would find each other again at once.
        # From all in one go: a node that has lost sight of this one while the third still sees it takes that for a
        # partial partition, and pauses as well.
        peers = ",".join(f"'{other.name}'" for other in self.nodes if other is not node)
        self._cut_off.add(node.name)
        node.rabbitmqctl(
            "eval",
            f"Peers = [{peers}], lists:foreach(fun(N) -> erlang:set_cookie(N, 'cut_off') end, Peers), "
            "process_flag(priority, max), lists:foreach(fun erlang:disconnect_node/1, Peers).",
        )

    def heal(self, node: PrivateNode) -> None:
        """Undo ``cut_off``, and wait until the cluster is whole."""
        peers = ",".join(f"'{other.name}'" for other in self.nodes if other is not node)
        node.rabbitmqctl(
            "eval",
            f"lists:foreach(fun(N) -> erlang:set_cookie(N, erlang:get_cookie()), net_adm:ping(N) end, [{peers}]).",
        )
        self._cut_off.discard(node.name)
        self.wait_until_whole()

    def stop(self) -> None:
        """Kill all nodes and remove their directories; the first one, whose port mapper all share, last."""
        for node in reversed(self.nodes):
            node.stop()

    def _seen_by(self, node: PrivateNode) -> int:
        try:
            status = json.loads(node.rabbitmqctl("cluster_status", "--formatter", "json"))
        except (TransportError, ValueError):  # it is starting, or paused for want of a majority
            return 0
        return len(status.get("running_nodes", []))
