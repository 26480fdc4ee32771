"""``bus_amqp.topology.names``: what objects on the broker are called."""

from typing import Any
from uuid import UUID

import pytest

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.topology import names


@pytest.mark.parametrize("group", ["billing", "B", "a-b_c-9", "x" * 64, "_", "temporary", "Dead"])
def test_a_group_name_may_be_part_of_a_queue_name(group: str) -> None:
    """Names that work on every broker, in a url and in a shell."""
    assert names.check_group(group) == group


@pytest.mark.parametrize("group", ["", "a.b", "a b", "x" * 65, "größe", "a*", "a#", "billing\n", None, 5, ["billing"]])
def test_a_group_name_of_other_signs_is_refused(group: Any) -> None:
    """Bad input: a dot would let one group's queue be another group's dead-letter queue."""
    with pytest.raises(InvalidArgumentError, match="A-Z a-z 0-9"):
        names.check_group(group)


@pytest.mark.parametrize("group", ["tmp", "wait", "dead", "return"])
def test_a_reserved_word_is_no_group_name(group: str) -> None:
    """Design, section 5: these are the bus's own queues and exchanges."""
    with pytest.raises(InvalidArgumentError, match="reserved"):
        names.check_group(group)


def test_the_names_are_those_of_the_design() -> None:
    """Names are for life: another spelling would leave the old queues behind with what is in them."""
    subscription_id = UUID(int=7)

    assert names.group_queue("bus.events", "billing") == "bus.events.billing"
    assert names.temporary_queue("bus.events", subscription_id) == f"bus.events.tmp.{subscription_id}"
    assert names.dead_exchange("bus.events") == "bus.events.dead"
    assert names.dead_queue("bus.events", "billing") == "bus.events.billing.dead"
    assert names.dead_queue("bus.events", None) == "bus.events.tmp.dead"
    assert (names.dead_key("billing"), names.dead_key(None)) == ("billing", "tmp")
