from collections.abc import Callable
from pathlib import Path

import pytest

from bus_amqp.cli.demo.failures import CLOSED, OPENED, follow_up_id
from bus_amqp.cli.demo.tally import PUBLISHER, GrowingFile, Outcome, Tally, together
from bus_amqp.event import Event
from bus_amqp.process.ledger import Ledger

USAGE = Event(event_category="UsageEvent", event_type="VM.START", event_source="s", resource_type="VirtualMachine")
FAILURE = Event(event_category="ActionEvent", event_type="VM.START", event_source="s", resource_type="VirtualMachine")
OPENING, CLOSING = (
    Event(
        event_id=follow_up_id(FAILURE.event_id, kind),
        event_category="WorkflowEvent",
        event_type=kind,
        event_source="workflow",
    )
    for kind in (OPENED, CLOSED)
)
Write = Callable[[str, str, Event], None]


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    names = (PUBLISHER, "monitoring", "billing", "workflow")
    return Tally({name: [tmp_path / f"{name}.jsonl"] for name in names})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(party: str, what: str, event: Event) -> None:
        with Ledger(tmp_path / f"{party}.jsonl") as ledger:
            ledger.write(what, event)

    return write


def _lost(tally: Tally) -> dict[str, int]:
    return {name: party.outcome().lost for name, party in tally.parties.items()}


def test_each_party_is_expected_to_handle_its_own_events(tally: Tally, write: Write) -> None:
    """An event that never reached a party must be missing, and one that it never wanted must not."""
    for event in (USAGE, FAILURE):
        write(PUBLISHER, "accepted", event)
    write(PUBLISHER, OPENED, FAILURE)

    tally.read(0)

    assert _lost(tally) == {"monitoring": 3, "billing": 1, "workflow": 1}  # monitoring sees the follow-up too
    assert tally.published == 2
    assert not tally.is_complete


def test_nothing_is_lost_once_all_is_handled_whoever_wrote_first(tally: Tally, write: Write) -> None:
    """The files are read one after another: a consumer's line may be seen before the publisher's."""
    for event in (USAGE, FAILURE, OPENING):
        write("monitoring", "handled", event)
    write("billing", "discarded", USAGE)
    write("workflow", "handled", FAILURE)
    assert tally.read(0)

    for event in (USAGE, FAILURE):
        write(PUBLISHER, "accepted", event)
        write(PUBLISHER, "confirmed", event)
    write(PUBLISHER, OPENED, FAILURE)
    assert tally.read(1)

    assert _lost(tally) == {"monitoring": 0, "billing": 0, "workflow": 0}
    assert tally.is_complete
    assert (tally.published, tally.confirmed, tally.follow_ups_seen) == (2, 2, 1)
    assert not tally.read(2)


def test_a_follow_up_that_the_workflow_never_closed_is_lost(tally: Tally, write: Write) -> None:
    """It handled the completion and told nobody: its own books would look complete."""
    for what in ("accepted", OPENED, CLOSED):
        write(PUBLISHER, what, FAILURE)
    write("workflow", "handled", FAILURE)
    for event in (FAILURE, OPENING):
        write("monitoring", "handled", event)
    tally.read(0)

    assert _lost(tally) == {"monitoring": 1, "billing": 0, "workflow": 0}

    write("monitoring", "handled", CLOSING)
    tally.read(1)

    assert tally.is_complete


def test_a_second_time_is_a_duplicate_and_an_earlier_runs_event_is_nothing(tally: Tally, write: Write) -> None:
    """What an earlier run left in a queue must neither hide a loss nor count as one."""
    write(PUBLISHER, "accepted", USAGE)
    write("billing", "handled", USAGE)
    write("billing", "handled", USAGE)
    write("billing", "handled", FAILURE)

    tally.read(0)

    outcome = tally.parties["billing"].outcome()
    assert (outcome.expected, outcome.handled, outcome.lost, outcome.duplicates) == (1, 1, 0, 1)
    assert len(outcome.latencies_seconds) == 1


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    """The file is read while another process writes it."""
    path = tmp_path / "ledger"
    file = GrowingFile(path)

    assert file.new_lines() == []
    path.write_bytes(b'{"a":1}\n{"b"')
    assert file.new_lines() == [b'{"a":1}']
    path.write_bytes(b'{"a":1}\n{"b":2}\n')
    assert file.new_lines() == [b'{"b":2}']


def test_rates_are_of_the_last_seconds(tally: Tally, write: Write) -> None:
    """A rate over the whole run would hide that nothing moves any more."""
    tally.read(0)
    write("monitoring", "handled", USAGE)
    write("monitoring", "handled", FAILURE)
    tally.read(2)
    assert tally.rates()["UsageEvent", "VM.START"] == pytest.approx(0.5)

    tally.read(4)
    tally.read(6)

    assert tally.rates()["UsageEvent", "VM.START"] == 0


def test_latencies_are_those_of_all_events() -> None:
    """p99 of parties must not be averaged: the sum of parties has a p99 of its own."""
    whole = together([Outcome(100, 99, 1, [0.001] * 99), Outcome(1, 1, 0, [5.0])])

    assert (whole.expected, whole.handled, whole.lost, whole.duplicates) == (101, 100, 1, 1)
    assert whole.latency_seconds(0.5) == 0.001
    assert whole.latency_seconds(0.99) == 5.0
    assert Outcome(0, 0, 0, []).latency_seconds(0.5) is None
