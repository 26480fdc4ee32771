"""``bus_amqp.admin.permissions``: which names and keys the patterns take, and which not."""

from __future__ import annotations

import re
import shlex
from uuid import uuid4

import pytest

from bus_amqp.admin.permissions import NOTHING, Rights, Role, commands, rights_of
from bus_amqp.errors import InvalidArgumentError
from bus_amqp.topology import names
from bus_amqp.wire.routing_key import routing_key
from tests.unit.fakes import an_event

E = "bus.events"
OBJECTS = [
    E, f"{E}.billing", f"{E}.billing.dead", f"{E}.workflow", f"{E}.workflow.dead", f"{E}.dead", f"{E}.tmp.dead",
    names.temporary_queue(E, uuid4()), f"{E}.wait.30s", f"{E}.wait.1h", f"{E}.return", f"{E}.astray",
    "busXevents", f"x{E}", f"{E}.billing2", f"{E}.wait.30s.x", "amq.default", "",
]  # fmt: skip
RUNGS, BACK = [f"{E}.wait.30s", f"{E}.wait.1h"], [f"{E}.return", f"{E}.astray"]


def taken(pattern: str) -> set[str]:
    """Return which of the objects RabbitMQ would let through: it searches, and does not anchor."""
    return {name for name in OBJECTS if re.search(pattern, name)} - {""}


def both(role: Role) -> tuple[set[str], set[str], set[str]]:
    rights = rights_of(role, E)
    return taken(rights.configure), taken(rights.write), taken(rights.read)


def test_a_publisher_writes_to_the_exchange_and_nowhere_else() -> None:
    """A publisher that could write to ``amq.default`` could put anything into any queue."""
    assert both(Role("billing", declares=False)) == (set(), {E}, set())
    assert both(Role("billing")) == ({E}, {E}, set())


def test_a_group_that_declares_nothing_reads_one_queue() -> None:
    """The copies of failed events are all that it writes."""
    assert both(Role(groups=("billing",), declares=False)) == (set(), {f"{E}.dead", *RUNGS}, {f"{E}.billing"})


def test_a_group_that_declares_touches_no_other_group() -> None:
    """With configure on another's queue it could delete it."""
    configure, write, read = both(Role(groups=("billing",)))

    own, shared = {f"{E}.billing", f"{E}.billing.dead"}, {f"{E}.dead", *RUNGS, *BACK}
    assert configure == {E, *own, *shared}
    assert write == {*own, *shared}
    assert read == {E, f"{E}.billing", *shared}


def test_a_temporary_subscriber_makes_its_own_kind_of_queue() -> None:
    """And none that anybody relies on; the exchanges are somebody else's."""
    temporary = OBJECTS[7]

    configure, write, read = both(Role(is_temporary=True, declares=False))

    assert configure == {temporary}
    assert write == {temporary, f"{E}.tmp.dead", f"{E}.dead", *RUNGS}
    assert read == {temporary, E, f"{E}.dead", *BACK}


@pytest.mark.parametrize("source", ["management-server", "a.b", "50%", "{username}", "x+y", "[a]"])
def test_the_topic_pattern_takes_the_source_and_no_other(source: str) -> None:
    """What a user may say is bound to who it is, also for names with signs that patterns give a meaning to."""
    pattern = rights_of(Role(source), E).topic_write

    def may_say(name: str) -> bool:
        return re.search(pattern, routing_key(an_event(event_source=name))) is not None

    assert may_say(source)
    assert not any(may_say(other) for other in (f"{source}x", f"x{source}", f"x.{source}", "other"))
    assert "{username}" not in pattern, "RabbitMQ would put the user's name there"


def test_topic_rights_follow_what_the_role_does() -> None:
    """Who has no topic rights at all may use every key: both are always set."""
    assert rights_of(Role("a"), E).topic_read == NOTHING
    assert rights_of(Role(groups=("b",)), E).topic_write == NOTHING
    assert rights_of(Role(groups=("b",)), E).topic_read == ".*"
    assert rights_of(Role(groups=("b",), declares=False), E).topic_read == NOTHING


def test_the_commands_survive_a_shell() -> None:
    """They are pasted into one: ``$`` and ``|`` must arrive."""
    role = Role("a b", ("billing",))
    rights: Rights = rights_of(role, E)

    first, second = commands(role, E, user="o'neill", virtual_host="/v h")

    place = ["-p", "/v h", "o'neill"]
    assert shlex.split(first) == [
        "rabbitmqctl", "set_permissions", *place, rights.configure, rights.write, rights.read,
    ]  # fmt: skip
    assert shlex.split(second) == [
        "rabbitmqctl", "set_topic_permissions", *place, E, rights.topic_write, rights.topic_read,
    ]  # fmt: skip


@pytest.mark.parametrize("fields", [{}, {"source": ""}, {"groups": ("dead",)}, {"groups": ("a.b",)}])
def test_a_role_that_is_none_is_refused(fields: dict[str, object]) -> None:
    """Rights for nothing, or for a queue that can never be, would be found out in production."""
    with pytest.raises(InvalidArgumentError):
        Role(**fields)  # type: ignore[arg-type]


def test_who_is_bound_to_an_exchange_of_others_may_read_it_and_no_more() -> None:
    """A bridge must not be able to speak there, nor to delete it."""
    with_it = rights_of(Role(groups=("bridge",), reads=("cloudstack-events",)), "bus.events")
    without = rights_of(Role(groups=("bridge",)), "bus.events")

    assert (with_it.configure, with_it.write) == (without.configure, without.write)
    assert re.fullmatch(with_it.read, "cloudstack-events")
    assert not re.fullmatch(with_it.read, "cloudstack-events-2")
    assert not re.fullmatch(without.read, "cloudstack-events")
