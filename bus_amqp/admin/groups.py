"""``Groups``: makes, looks at and deletes the queues of groups, over one connection.

Works over the seam: everything but the list of all names can be had from any broker.  Used by one thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid4

from bus_amqp.errors import BrokerRefusedError, NotFoundOnBrokerError, TopologyMismatchError
from bus_amqp.topic import EventTopic
from bus_amqp.topology import names
from bus_amqp.topology.plan import Plan, subscription_plan, subscription_queue
from bus_amqp.transport.base import Connection
from bus_amqp.wire.routing_key import binding_key


@dataclass(frozen=True, slots=True)
class GroupState:
    """``ready``, ``consumers`` None: it has no queue.  ``dead_letters`` None: no queue for those.

    ``is_ordered`` None: not to be found out without the right to configure.  Letters and events that somebody holds
    at the moment are not counted.
    """

    name: str
    queue: str
    ready: int | None
    consumers: int | None
    dead_letters: int | None
    is_ordered: bool | None

    @property
    def exists(self) -> bool:
        """Whether the group has a queue, so that events reach it."""
        return self.ready is not None


class Groups:
    """``may_declare`` False: for users without configure rights, as in the settings."""

    def __init__(self, connection: Connection, exchange: str, *, may_declare: bool = True) -> None:
        self._connection = connection
        self._exchange = exchange
        self._may_declare = may_declare

    def __repr__(self) -> str:
        return f"<Groups of {self._exchange!r} over {self._connection!r}>"

    def create(self, group: str, topics: Iterable[EventTopic], *, ordered: bool) -> GroupState:
        """Make a group as its first subscription would; events of the topics wait in it from now on.

        For a group that is there: its topics are added.  Raises ``TopologyMismatchError`` when it is there with
        another ``ordered``, ``AccessRefusedError``, ``InvalidArgumentError`` for the name.
        """
        names.check_group(group)
        queue = subscription_queue(self._exchange, group, uuid4(), ordered=ordered)
        self._connection.declare(subscription_plan(self._exchange, group, queue, map(binding_key, topics)))
        return self.show(group)

    def show(self, group: str) -> GroupState:
        """Look at one group.  Raises ``InvalidArgumentError`` for the name; one that is not there is no error."""
        queue = names.group_queue(self._exchange, names.check_group(group))
        state = self._connection.queue_state(queue)
        dead = self._connection.queue_state(names.dead_queue(self._exchange, group))
        return GroupState(
            group,
            queue,
            ready=None if state is None else state.ready,
            consumers=None if state is None else state.consumers,
            dead_letters=None if dead is None else dead.ready,
            is_ordered=None if state is None else self._is_ordered(group),
        )

    def existing(self, group: str) -> GroupState:
        """Look at a group that has to be there.  Raises ``NotFoundOnBrokerError``."""
        state = self.show(group)
        if not state.exists:
            raise NotFoundOnBrokerError(f"group {group!r} is not there: no queue {state.queue!r}")
        return state

    def delete(self, group: str, *, force: bool, with_dead_letters: bool) -> GroupState:
        """Delete a group's queue with what waits in it; return what it was.

        Its dead letters stay unless they are meant too.  Raises ``BrokerRefusedError`` while it has consumers, unless
        forced (a consumer that goes on running makes the queue again), ``NotFoundOnBrokerError``.
        """
        state = self.show(group)
        if not state.exists and (state.dead_letters is None or not with_dead_letters):
            raise NotFoundOnBrokerError(f"group {group!r} is not there: no queue {state.queue!r}")
        if state.consumers and not force:
            raise BrokerRefusedError(
                f"group {group!r} has {state.consumers} consumers: end them first (or --force: those that go on "
                "running make the queue again, and miss what is published until then)"
            )
        self._connection.delete_queue(state.queue)
        if with_dead_letters:
            self._connection.delete_queue(names.dead_queue(self._exchange, group))
        return state

    def _is_ordered(self, group: str) -> bool | None:
        """Find out what AMQP does not tell: the broker refuses a declaration that differs from what is there."""
        if not self._may_declare:
            return None
        takes = {ordered: self._takes(group, ordered=ordered) for ordered in (True, False)}
        # Both: the user may not declare, and what exists was accepted as it is.  None: somebody else's queue.
        return takes[True] if takes[True] is not takes[False] else None

    def _takes(self, group: str, *, ordered: bool) -> bool:
        queue = subscription_queue(self._exchange, group, uuid4(), ordered=ordered)
        try:
            self._connection.declare(Plan(queues=(queue,)))
        except TopologyMismatchError:
            return False
        return True


def group_names(exchange: str, queues: Iterable[str]) -> list[str]:
    """Return the groups whose queue, or dead-letter queue, is among these queues of a broker.  Pure."""
    found = set()
    for queue in queues:
        if not queue.startswith(f"{exchange}."):
            continue
        name = queue.removeprefix(f"{exchange}.").removesuffix(".dead")
        try:
            found.add(names.check_group(name))
        except ValueError:  # tmp.<uuid>, wait.<rung>, or of another exchange whose name begins alike
            continue
    return sorted(found)
