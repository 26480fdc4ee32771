"""``bus_amqp.source.stateful_resource``: what of a caller's resource belongs into the event."""

from dataclasses import dataclass
from uuid import UUID

import pytest
from pydantic import ValidationError

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.stateful_resource import StatefulResource, described
from bus_amqp.source.usage_details import UsageFacts


@dataclass
class Row:
    """A row of a database, as an object-relational mapper gives it."""

    uuid: object = "6f2d"
    account: object = "acme"
    size_bytes: int | None = None
    password: str = "secret"


def test_a_uuid_is_enough() -> None:
    """What nobody bills needs no more."""
    assert described("6f2d") == StatefulResource("6f2d")
    assert described(UUID(int=7)) == StatefulResource(str(UUID(int=7)))


def test_what_is_described_already_is_taken_as_it_is() -> None:
    """Who wants to say it all says it all."""
    resource = StatefulResource("6f2d", UsageFacts(account="acme", zone="z1"))

    assert described(resource) is resource


def test_the_attributes_of_a_row_that_are_facts_are_taken_and_no_others() -> None:
    """A row needs no adapter; what of it is no fact stays where it is."""
    assert described(Row()) == StatefulResource("6f2d", UsageFacts(account="acme"))
    assert described(Row(account=None)) == StatefulResource("6f2d")


@pytest.mark.parametrize("resource", [None, 7, Row(uuid=None), Row(uuid=7), object()])
def test_what_has_no_uuid_is_refused_with_the_ways_out(resource: object) -> None:
    """A number of a database is no uuid: whoever hears it could do nothing with it."""
    with pytest.raises(InvalidArgumentError, match="has no uuid: give transit a uuid, a StatefulResource"):
        described(resource)


def test_a_fact_that_does_not_fit_is_refused_by_its_name() -> None:
    """A mapper's related object under ``account`` is no name of an account."""
    with pytest.raises(ValidationError, match="account"):
        described(Row(account=object()))
