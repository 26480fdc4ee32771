"""The workflow example: a failed action opens a follow-up, its completion closes it, and others hear of both once."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus_amqp import DeadlineExceededError, Event, EventBus, EventTopic, Receipt, connect
from bus_amqp.testing.recorder import Recorder
from docs.examples import workflow
from docs.examples.workflow import CLOSED, OPENED, FollowUps, Workflow
from tests.promise.waiting import wait_until

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_action(status: str, minute: int, *, action: str = "VM.START", resource: str = "vm-1") -> Event:
    return Event(
        event_category="ActionEvent",
        event_type=action,
        event_source="management-server",
        resource_type="VirtualMachine",
        resource_uuid=resource,
        event_time=NOON + timedelta(minutes=minute),
        description=f"start of {resource}",
        details={"status": status, "account": "acme"},
    )


class Party:
    """One process's workflow, and what others heard of it."""

    def __init__(self, file: Path, bus: EventBus) -> None:
        self.follow_ups = FollowUps(file)
        self.told = Recorder()
        bus.subscribe(EventTopic(event_category=workflow.CATEGORY), self.told)
        self.workflow = Workflow(bus.publish, self.follow_ups)

    def take(self, *events: Event) -> None:
        for event in events:
            self.workflow.on_event(event)

    def heard(self, count: int) -> list[tuple[str, str]]:
        """Return the types, and the failures that they are about, of so many events."""
        self.told.wait_for(count)
        return [(event.event_type, str(event.details["failedEventId"])) for event in self.told.events]

    def open(self) -> list[UUID]:
        return [one.failure_id for one in self.follow_ups.open()]


@pytest.fixture
def bus(exchange: str) -> Iterator[EventBus]:
    with connect(f"memory://{exchange}") as opened:
        yield opened


@pytest.fixture
def party(tmp_path: Path, bus: EventBus) -> Iterator[Party]:
    made = Party(tmp_path / "workflow.sqlite", bus)
    with closing(made.follow_ups):
        yield made


def test_a_failed_action_opens_a_follow_up_and_its_completion_closes_it(party: Party) -> None:
    """What the design document calls a workflow: nobody polls, and nobody forgets."""
    failure = an_action("Failed", 0)

    party.take(an_action("Started", 0), failure)

    assert party.heard(1) == [(OPENED, str(failure.event_id))]
    assert party.open() == [failure.event_id]
    (told,) = party.told.events
    assert (told.resource_type, told.resource_uuid) == ("VirtualMachine", "vm-1")
    assert told.details["account"] == "acme"

    party.take(an_action("Completed", 5))

    assert party.heard(2) == [(OPENED, str(failure.event_id)), (CLOSED, str(failure.event_id))]
    assert party.open() == []


def test_another_action_or_resource_closes_nothing(party: Party) -> None:
    """A volume that could be attached says nothing of the machine that could not be started."""
    failure = an_action("Failed", 0)

    party.take(failure, an_action("Completed", 1, resource="vm-2"), an_action("Completed", 2, action="VM.STOP"))

    assert party.open() == [failure.event_id]


def test_what_failed_without_a_resource_stays_open_until_a_person_closes_it(party: Party) -> None:
    """A machine that could not be made has no uuid: another one that was made is no comfort to its owner."""
    failure = an_action("Failed", 0, action="VM.CREATE", resource="")

    party.take(failure, an_action("Completed", 5, action="VM.CREATE", resource=""))

    assert party.open() == [failure.event_id]

    assert party.workflow.close(failure.event_id)
    assert not party.workflow.close(failure.event_id)

    assert [event_type for event_type, _ in party.heard(2)] == [OPENED, CLOSED]
    assert party.open() == []


def test_the_reason_of_a_failure_is_in_its_follow_up(party: Party) -> None:
    """Our own source of actions tells it in the details, others in the description."""
    failure = an_action("Failed", 0)

    party.take(failure.model_copy(update={"description": "", "details": {"status": "Failed", "errorMessage": "full"}}))

    (told,) = party.told.wait_for(1).events
    assert told.description == "look after: VM.START: full"


def test_an_event_that_comes_twice_is_told_once(party: Party) -> None:
    """At least once: a second delivery opens no second follow-up, and reopens none that was closed."""
    failure, completion = an_action("Failed", 0), an_action("Completed", 5)

    party.take(failure, failure, completion, completion, failure)
    party.take(an_action("Failed", 9))  # told last: what came before it has arrived

    assert [event_type for event_type, _ in party.heard(3)] == [OPENED, CLOSED, OPENED]


def test_a_completion_that_comes_before_its_failure_still_closes_it(party: Party) -> None:
    """Processes share the events, so the later one may be handled first: a follow-up would stay open for ever."""
    party.take(an_action("Completed", 5), an_action("Failed", 0))

    assert party.open() == []


def test_a_failure_after_the_completion_stays_open(party: Party) -> None:
    """It failed again: the completion before it mends nothing, in whatever order the two come."""
    failure, completion = an_action("Failed", 7), an_action("Completed", 5)

    party.take(failure, completion)

    assert party.open() == [failure.event_id]


def at_once(told: list[Event]) -> Callable[[Event], Receipt]:
    """Publish to nobody, and be confirmed at once."""

    def publish(event: Event) -> Receipt:
        told.append(event)
        receipt = Receipt(lambda callback: callback(), event.event_id)
        receipt.settle()
        return receipt

    return publish


def unconfirmed(bus: EventBus) -> Callable[[Event], Receipt]:
    """Publish, and hear nothing: what was published may be at the broker all the same."""

    def publish(event: Event) -> Receipt:
        bus.publish(event)
        raise DeadlineExceededError("no confirm")

    return publish


STATUSES = ("Completed", "Failed", "Failed", "Completed", "Failed")
STREAM = [
    an_action(status, minute, resource=resource)
    for resource in ("vm-1", "vm-2")
    for minute, status in enumerate(STATUSES)
]


@settings(max_examples=100, deadline=None)
@given(order=st.permutations(STREAM), again=st.lists(st.sampled_from(STREAM), max_size=4))
def test_any_order_with_any_duplicates_leaves_the_same_open(order: list[Event], again: list[Event]) -> None:
    """Only what happened may decide what is open, not which process was faster; and all that is told is closed."""
    told: list[Event] = []
    with closing(FollowUps(Path(":memory:"))) as follow_ups:
        party = Workflow(at_once(told), follow_ups)
        for event in (*order, *again):
            party.on_event(event)
        still_open = {one.failure_id for one in follow_ups.open()}

    assert still_open == {event.event_id for event in STREAM if event.event_time == NOON + timedelta(minutes=4)}
    opened, closed = (
        {event.details["failedEventId"] for event in told if event.event_type == kind} for kind in (OPENED, CLOSED)
    )
    assert opened - closed == set(map(str, still_open))
    assert len({event.event_id for event in told}) == len(told)


def test_a_process_killed_while_it_tells_leaves_nothing_open(party: Party, bus: EventBus) -> None:
    """Told as open, then killed; mended meanwhile: whoever heard of the opening must hear of the end."""
    failure = an_action("Failed", 0)
    with pytest.raises(DeadlineExceededError):
        Workflow(unconfirmed(bus), party.follow_ups).on_event(failure)

    party.take(an_action("Completed", 5), failure)

    assert [event_type for event_type, _ in party.heard(2)] == [OPENED, OPENED, CLOSED]
    assert len(set(party.told.ids[:2])) == 1
    assert party.open() == []


def test_what_is_mended_while_it_is_told_of_is_closed_in_public(party: Party) -> None:
    """One process is telling of the failure while another handles the completion: one of them must tell the end."""
    told: list[Event] = []

    def publish(event: Event) -> Receipt:
        receipt = at_once(told)(event)
        if event.event_type == OPENED:
            party.take(an_action("Completed", 5))
        return receipt

    Workflow(publish, party.follow_ups).on_event(an_action("Failed", 0))

    assert [event_type for event_type, _ in party.heard(2)] == [OPENED, CLOSED], "nobody hears of the end first"
    assert [event.event_id for event in told] == party.told.ids[:1], "the opening was told twice, as one event"
    assert party.open() == []


def test_an_opening_that_was_not_confirmed_is_told_again_as_the_same_event(party: Party, bus: EventBus) -> None:
    """The bus gives the failure once more; receivers recognise what they may have by its id."""
    failure = an_action("Failed", 0)
    with pytest.raises(DeadlineExceededError):
        Workflow(unconfirmed(bus), party.follow_ups).on_event(failure)

    party.take(failure)

    wait_until(lambda: len(party.told.events) == 2, "it is told twice")
    assert len(party.told.ids_without_duplicates()) == 1


def test_two_processes_share_one_file(tmp_path: Path, bus: EventBus) -> None:
    """One member of the group hears of the failure, another of the completion."""
    parties = [Party(tmp_path / "workflow.sqlite", bus) for _ in range(2)]
    events = [an_action("Failed", 0), an_action("Completed", 5), an_action("Failed", 6)]
    for event, party in zip(events, itertools.cycle(parties), strict=False):
        party.take(event)

    assert parties[0].open() == parties[1].open() == [events[2].event_id]
    for party in parties:
        party.follow_ups.close()


def test_the_list_shows_what_is_open_and_close_closes_it(
    tmp_path: Path, bus: EventBus, exchange: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the person has who has to do something."""
    monkeypatch.setattr(workflow, "FILE", tmp_path / "workflow.sqlite")
    monkeypatch.setenv("BUS_AMQP_URL", f"memory://{exchange}")
    failure = an_action("Failed", 0)
    with workflow.subscribers(bus, workflow.FILE) as declared:
        (one,) = declared
        one.subscriber.on_event(failure)  # type: ignore[union-attr]  # a Workflow

        workflow.main(["list"])
        for _ in range(2):
            workflow.main(["close", str(failure.event_id)])
        workflow.main(["list"])

    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        f"{failure.event_id} VM.START VirtualMachine vm-1 of acme: start of vm-1",
        "closed",
        f"{failure.event_id} is not open",
    ]
