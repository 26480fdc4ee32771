"""``bus_amqp.source.constants``: the constants that editors complete are those of the catalogue."""

from pathlib import Path

import pytest

import bus_amqp.source
from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.alert_type import AlertType
from bus_amqp.source.catalogue import known_event_types
from bus_amqp.source.constants import constant_files, constants, write_constants
from bus_amqp.source.event_type import EventType


def test_the_files_are_what_the_data_generates(tmp_path: Path) -> None:
    """A type in the data that no editor completes, or the other way round, would be two truths."""
    write_constants(tmp_path)

    (folder,) = map(Path, bus_amqp.source.__path__)
    for name, text in constant_files().items():
        assert (tmp_path / name).read_text() == text
        assert (folder / name).read_text() == text, f"{name} is stale: run `make schemas`"


def test_a_constant_is_the_type_itself() -> None:
    """It goes wherever a string goes: into events, topics, comparisons."""
    assert EventType.VM_START == "VM.START"
    assert AlertType.MEMORY == "ALERT.MEMORY"


def test_every_constant_is_known() -> None:
    """An editor must not complete what the bus then calls a slip."""
    offered = {value for kind in (EventType, AlertType) for name, value in vars(kind).items() if name.isupper()}

    assert len(offered) > 600
    assert offered <= set(known_event_types())


@pytest.mark.parametrize("event_types", [["VM.START", "VM_START"], ["VM START"], ["2FA.ENABLE"]])
def test_types_that_cannot_be_constants_are_refused(event_types: list[str]) -> None:
    """Two types with one name: the second would silently stand for the first."""
    with pytest.raises(InvalidArgumentError, match="cannot be the constant"):
        constants(event_types)
