"""``bus_amqp.extension.cloudstack.twins``: the second of two that say the same, and nothing but that."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from bus_amqp import InvalidArgumentError
from bus_amqp.extension.cloudstack.twins import WINDOW_SECONDS, Sight, Twin, Twins


class Clock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def state(resource: str = "Volume", **changes: object) -> dict[str, object]:
    return {"resource": resource, "id": "u-1", "old-state": "Creating", "new-state": "Ready",
            "eventDateTime": "2026-03-04 17:59:24 +0100", **changes}  # fmt: skip


def of_state(twins: Twins, body: dict[str, object], type_word: str = "OperationSucceeded") -> Twin | None:
    return twins.look(uuid4(), "ResourceStateEvent", type_word, body).twin


def of_action(twins: Twins, body: dict[str, object], type_word: str = "VM-START") -> Twin | None:
    return twins.look(uuid4(), "ActionEvent", type_word, body).twin


RICH: dict[str, object] = {"event": "VM.START", "status": "Completed", "account": "a", "entityuuid": "u-1"}
POOR: dict[str, object] = {"event": "VM.START", "status": "Completed", "details": "Vm Id: 41"}


@pytest.mark.parametrize("resource", ["Volume", "Network", "Snapshot", "com.cloud.storage.Volume"])
def test_before_and_after_a_transition_are_twins(clock: Clock, resource: str):
    """They are published with one body; a count of transitions would be twice what happened."""
    twins = Twins(clock)

    assert of_state(twins, state(resource)) is None
    assert of_state(twins, state(resource)) is Twin.STATE


def test_twins_may_be_written_in_two_seconds(clock: Clock):
    """The update of the database lies between them."""
    twins = Twins(clock)

    of_state(twins, state())

    assert of_state(twins, state(eventDateTime="2026-03-04 17:59:25 +0100")) is Twin.STATE


def test_a_transition_that_is_made_twice_has_two_pairs(clock: Clock):
    """The third message is a new first: a transition of its own must not be swallowed by the one before."""
    twins = Twins(clock)

    assert [of_state(twins, state()) for _ in range(4)] == [None, Twin.STATE, None, Twin.STATE]


@pytest.mark.parametrize(
    "other",
    [state(id="u-2"), state(**{"old-state": "Ready"}), state(**{"new-state": "Destroy"}), state("Network")],
    ids=["another volume", "from another state", "to another state", "another resource"],
)
def test_what_says_something_else_is_no_twin(clock: Clock, other: dict[str, object]):
    """With `drop`, everything that is taken for a twin is lost."""
    twins = Twins(clock)

    of_state(twins, state())

    assert of_state(twins, other) is None
    assert of_state(twins, state(), "OperationFailed") is None


def test_virtual_machines_say_themselves_which_is_which(clock: Clock):
    """Their messages have a status, before and after; and so has every resource of which that is said one day."""
    twins = Twins(clock)

    for resource in ("VirtualMachine", "Volume"):
        body = state(resource, status="preStateTransitionEvent")
        assert [of_state(twins, body), of_state(twins, body)] == [None, None]


def test_the_second_of_a_pair_names_the_first(clock: Clock):
    """So that a listener can tell which transition has come about, of twins and of those who say which they are."""
    twins = Twins(clock)
    before, after = state("VirtualMachine"), state("VirtualMachine")
    before["status"], after["status"] = "preStateTransitionEvent", "postStateTransitionEvent"

    def first_of(number: int, body: dict[str, object]) -> UUID | None:
        return twins.look(UUID(int=number), "ResourceStateEvent", "OperationSucceeded", body).first

    assert [first_of(1, state()), first_of(2, state())] == [UUID(int=1), UUID(int=1)]
    assert [first_of(3, before), first_of(4, before), first_of(5, after)] == [UUID(int=3), UUID(int=4), UUID(int=3)]
    assert first_of(6, after) == UUID(int=4)
    assert first_of(7, after) is None, "its first has not been seen"


def test_what_comes_much_later_is_no_twin(clock: Clock):
    """A volume that is resized once a day says the same every day."""
    twins = Twins(clock)

    of_state(twins, state())
    clock.now += WINDOW_SECONDS + 0.1

    assert of_state(twins, state()) is None
    assert of_state(twins, state()) is Twin.STATE


def test_the_plug_ins_second_action_is_known_once_the_first_has_come(clock: Clock):
    """It has no account, no resource and no time; the fuller one has said all that it says."""
    twins = Twins(clock)

    assert of_action(twins, RICH) is None
    assert of_action(twins, POOR) is Twin.PLUG_IN
    assert of_action(twins, POOR) is Twin.PLUG_IN_ALONE


def test_the_plug_ins_action_alone_is_told_apart(clock: Clock):
    """CloudStack leaves the fuller one out where the account was deleted: then this is all there will be."""
    twins = Twins(clock)

    assert of_action(twins, POOR) is Twin.PLUG_IN_ALONE
    assert of_action(twins, {"event": "VM.START", "status": "Completed"}) is Twin.PLUG_IN_ALONE
    of_action(twins, RICH, "VM-STOP")
    assert of_action(twins, POOR) is Twin.PLUG_IN_ALONE


@pytest.mark.parametrize(
    "body",
    [{**POOR, "status": "Started"}, {**POOR, "account": "a"}, {"event": "VM.START"}, {"status": ["Completed"]}, {}],
)
def test_other_actions_are_no_twins(clock: Clock, body: dict[str, object]):
    """Only completed ones are doubled, and only poor ones are doubles."""
    twins = Twins(clock)

    of_action(twins, RICH)

    assert of_action(twins, body) is None


def test_usage_alerts_and_jobs_have_no_twins(clock: Clock):
    """A bill that leaves out the second of two equal records is wrong."""
    twins = Twins(clock)

    for category in ("UsageEvent", "AlertEvent", "AsyncJobEvent", "BackupEvent"):
        assert [twins.look(uuid4(), category, "X", state()) for _ in range(2)] == [Sight(), Sight()]


def test_the_memory_is_bounded_and_forgets_the_oldest(clock: Clock):
    """A cloud that starts ten thousand volumes at once must not take the bridge's memory."""
    twins = Twins(clock, capacity=100)

    for number in range(1000):
        of_state(twins, state(id=f"u-{number}"))

    assert repr(twins) == "<Twins 100 wait for a second>"
    assert of_state(twins, state(id="u-999")) is Twin.STATE
    assert of_state(twins, state(id="u-0")) is None


def test_firsts_that_have_their_second_leave_no_trace(clock: Clock):
    """A bridge runs for months."""
    twins = Twins(clock)

    for number in range(50):
        of_state(twins, state(id=f"u-{number}"))
        of_state(twins, state(id=f"u-{number}"))
    clock.now += WINDOW_SECONDS + 1
    of_state(twins, state(id="last"))

    assert repr(twins) == "<Twins 1 wait for a second>"
    assert (len(twins._open), len(twins._used), len(twins._firsts)) == (1, 0, 1)


def test_a_megabyte_is_not_remembered(clock: Clock):
    """Ten thousand firsts have room because each is short; a strange body must not change that."""
    twins = Twins(clock)

    for name in ("id", "old-state", "new-state"):
        assert of_state(twins, state(**{name: "x" * 1_000_000})) is None

    assert repr(twins) == "<Twins 0 wait for a second>"


def test_an_action_that_comes_again_lets_no_other_be_dropped(clock: Clock):
    """Of the fuller one that came twice, one poor is the second; the next poor one may be all there is of another."""
    twins = Twins(clock)

    def look(body: dict[str, object], *, is_repeated: bool) -> Twin | None:
        return twins.look(UUID(int=1), "ActionEvent", "VM-START", body, is_repeated=is_repeated).twin

    assert look(RICH, is_repeated=False) is None
    assert look(RICH, is_repeated=True) is None
    assert look(POOR, is_repeated=True) is Twin.PLUG_IN
    assert look(POOR, is_repeated=False) is Twin.PLUG_IN_ALONE


def test_a_pair_that_says_which_is_which_is_one_also_when_it_comes_again(clock: Clock):
    """After a crash both messages of a machine come to a new process: its listener finds the post of that pre."""
    twins = Twins(clock)
    before, after = state("VirtualMachine"), state("VirtualMachine")
    before["status"], after["status"] = "preStateTransitionEvent", "postStateTransitionEvent"

    def first_of(number: int, body: dict[str, object]) -> UUID | None:
        return twins.look(UUID(int=number), "ResourceStateEvent", "OperationSucceeded", body, is_repeated=True).first

    assert [first_of(1, before), first_of(1, before), first_of(2, after)] == [UUID(int=1)] * 3
    assert first_of(2, after) is None


@pytest.mark.parametrize("wrong", [{"window_seconds": 0}, {"capacity": 0}])
def test_a_memory_of_nothing_is_refused(clock: Clock, wrong: dict[str, float]):
    """It would recognise nothing, and nobody would be told."""
    with pytest.raises(InvalidArgumentError):
        Twins(clock, **wrong)  # type: ignore[arg-type]  # wrong on purpose
