"""``Stages``: the brokers of a run, each started when first needed, all ended with it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from bus_amqp.errors import EventBusException
from bus_amqp.testing.broker import RealBroker
from tests.chaos.scenario import CLUSTER, DOCKER, LOCAL
from tests.real_brokers import DOCKER as DOCKER_BROKER
from tests.real_brokers import LOCAL as LOCAL_BROKER
from tests.real_brokers import RealBrokers


class Stages:
    """A stage that cannot be had is named, with the reason, and is no stage for the rest of the run."""

    def __init__(self) -> None:
        self._brokers = RealBrokers()
        self._cluster: Any = None
        self.reasons: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._brokers.stop()
        if self._cluster is not None:
            self._cluster.stop()

    def broker(self, stage: str) -> tuple[RealBroker, Any] | None:
        """Return the broker of a stage, and the cluster if it is one; None if it cannot be had."""
        if stage in self.reasons:
            return None
        try:
            match stage:
                case "local":
                    return self._brokers.get(LOCAL_BROKER), None
                case "docker":
                    return self._brokers.get(DOCKER_BROKER), None
                case _:
                    return self._start_cluster()
        except (EventBusException, ImportError) as exc:
            self.reasons[stage] = str(exc)
            return None

    def _start_cluster(self) -> tuple[RealBroker, Any]:
        from bus_amqp.testing.private_cluster import PrivateCluster

        if self._cluster is None:
            self._cluster = PrivateCluster()
        return self._cluster.nodes[0], self._cluster


__all__ = ["CLUSTER", "DOCKER", "LOCAL", "Stages"]
