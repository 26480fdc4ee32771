"""``bus_amqp.source.state_machine``: who is told what, and when, around the caller's own store."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from bus_amqp.errors import IllegalTransitionError, InvalidArgumentError, TransitionConflictError
from bus_amqp.source.state_listener import StateChange, StateListener
from bus_amqp.source.state_machine import StateMachine

DOOR = StateMachine(
    "Door", [(None, "Build", "Shut"), ("Shut", "Push", "Open"), ("Open", "Push", "Open")], initial="Shut"
)


@dataclass(eq=False)
class Diary(StateListener):
    """Writes down what it hears, and what the store looked like then."""

    row: dict[str, str | None]
    lines: list[tuple[str, StateChange, str | None]] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def pre_state_transition(self, change: StateChange) -> None:
        self.lines.append(("pre", change, self.row["state"]))

    def post_state_transition(self, change: StateChange) -> None:
        self.lines.append(("post", change, self.row["state"]))

    def failed_state_transition(self, change: StateChange, error: BaseException) -> None:
        self.lines.append(("failed", change, self.row["state"]))
        self.errors.append(error)

    @property
    def heard(self) -> list[str]:
        return [line[0] for line in self.lines]


class Broken(StateListener):
    """A listener of which everything fails."""

    def pre_state_transition(self, change: StateChange) -> None:
        raise RuntimeError("no pre")

    def post_state_transition(self, change: StateChange) -> None:
        raise RuntimeError("no post")

    def failed_state_transition(self, change: StateChange, error: BaseException) -> None:
        raise RuntimeError("no failed")


@pytest.fixture
def row() -> dict[str, str | None]:
    return {"state": "Shut"}


@pytest.fixture
def diary(row: dict[str, str | None]) -> Diary:
    return Diary(row)


def test_listeners_hear_of_a_change_before_and_after_it_is_stored(row: dict[str, str | None], diary: Diary) -> None:
    """Pre means not yet and post means done; both tell the same story under the same id."""

    def save(old: str | None, new: str) -> bool:
        assert (old, new) == ("Shut", "Open")
        row["state"] = new
        return True

    new = DOOR.with_listeners(diary).transit("Push", "Shut", "door 7", save=save, correlation_id="job-1")

    assert new == "Open"
    assert [(word, state) for word, _, state in diary.lines] == [("pre", "Shut"), ("post", "Open")]
    first, last = diary.lines[0][1], diary.lines[1][1]
    assert first is last
    assert (first.machine, first.event, first.old_state, first.new_state) == ("Door", "Push", "Shut", "Open")
    assert (first.resource, first.correlation_id) == ("door 7", "job-1")


@pytest.mark.parametrize("answer", [False, 0])
def test_a_store_that_says_no_has_a_failed_and_no_phantom(diary: Diary, answer: bool | int) -> None:
    """Somebody else was quicker: the update of a row in the old state hit none, and who heard pre hears so."""
    with pytest.raises(TransitionConflictError, match="Door is no longer in state Shut") as caught:
        DOOR.with_listeners(diary).transit("Push", "Shut", save=lambda old, new: answer)

    assert diary.heard == ["pre", "failed"]
    assert diary.errors == [caught.value]
    assert caught.value.is_transient


@pytest.mark.parametrize("error", [ConnectionError("database"), KeyboardInterrupt(), SystemExit(1)])
def test_what_the_store_raises_goes_on_as_it_is_after_a_failed(diary: Diary, error: BaseException) -> None:
    """The caller handles its own database's errors; its listeners must not believe that the door is open."""

    def save(old: str | None, new: str) -> bool:
        raise error

    with pytest.raises(type(error)) as caught:
        DOOR.with_listeners(diary).transit("Push", "Shut", save=save)

    assert caught.value is error
    assert diary.heard == ["pre", "failed"]
    assert diary.errors == [error]


@pytest.mark.parametrize("answer", [None, True, 1, 2])
def test_a_store_that_does_not_say_no_has_stored(diary: Diary, answer: bool | int | None) -> None:
    """A function that raises when it cannot needs no return."""
    DOOR.with_listeners(diary).transit("Push", "Shut", save=lambda old, new: answer)

    assert diary.heard == ["pre", "post"]


def test_an_illegal_transition_stores_nothing_and_tells_nobody(diary: Diary) -> None:
    """It is a mistake of the caller and nothing that has happened."""
    stored: list[str] = []

    with pytest.raises(IllegalTransitionError, match="does not take Pull"):
        DOOR.with_listeners(diary).transit("Pull", "Shut", save=lambda old, new: stored.append(new))

    assert (stored, diary.lines) == ([], [])


def test_a_self_transition_is_one_like_others(diary: Diary) -> None:
    """That a machine still runs is news to some; who does not care compares old and new."""
    assert DOOR.with_listeners(diary).transit("Push", "Open", save=lambda old, new: True) == "Open"

    assert diary.heard == ["pre", "post"]


def test_a_resource_may_begin_with_an_event(diary: Diary) -> None:
    """There is no old state then, and the store inserts instead of updating."""
    saved: list[object] = []

    DOOR.with_listeners(diary).transit("Build", None, save=lambda *states: bool(saved.append(states)) or True)  # type: ignore[func-returns-value]  # it keeps them

    assert saved == [(None, "Shut")]
    assert diary.lines[0][1].old_state is None


def test_a_listener_that_raises_harms_neither_the_change_nor_the_others(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    """A notification must never stop a machine from starting; that it fails is logged and counted."""
    machine = DOOR.with_listeners(Broken(), diary)

    machine.transit("Push", "Shut", "row with a password", save=lambda old, new: True)
    with pytest.raises(TransitionConflictError):
        machine.transit("Push", "Shut", save=lambda old, new: False)

    assert diary.heard == ["pre", "post", "pre", "failed"]
    assert machine.listener_failures == 4
    assert "no post" in caplog.text
    assert "password" not in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def test_a_listener_writes_only_the_methods_that_it_needs(diary: Diary) -> None:
    """The others do nothing."""
    heard: list[StateChange] = []

    class OnlyPost(StateListener):
        def post_state_transition(self, change: StateChange) -> None:
            heard.append(change)

    machine = DOOR.with_listeners(OnlyPost())
    machine.transit("Push", "Shut", save=lambda old, new: True)
    with pytest.raises(TransitionConflictError):
        machine.transit("Push", "Shut", save=lambda old, new: False)

    assert len(heard) == 1
    assert machine.listener_failures == 0


def test_a_machine_with_listeners_is_another_one(diary: Diary) -> None:
    """The ready-made machines are shared by the whole process: nobody may listen in on somebody else's."""
    machine = DOOR.with_listeners(diary)

    assert DOOR.listeners == ()
    assert machine.listeners == (diary,)
    assert machine.with_listeners(Broken()).listeners[0] is diary
    assert machine.table is DOOR.table
    assert "1 listeners" in repr(machine)


@pytest.mark.parametrize("listener", [object(), Diary, lambda change: None, None])
def test_what_cannot_listen_is_refused(listener: StateListener) -> None:
    """Not at the first change, where it would only be logged."""
    with pytest.raises(InvalidArgumentError, match="is no listener"):
        DOOR.with_listeners(listener)


def test_a_listener_made_for_another_resource_is_refused(diary: Diary) -> None:
    """It would publish volumes under the name of doors."""
    diary.resource_type = "Volume"  # type: ignore[attr-defined]  # as the publishing listeners have it

    with pytest.raises(InvalidArgumentError, match="made for Volume and cannot listen to Door"):
        DOOR.with_listeners(diary)


def test_an_awaited_store_is_told_of_in_the_same_way(diary: Diary) -> None:
    """An asynchronous control plane has the same machines."""
    machine = DOOR.with_listeners(diary)

    async def save(old: str | None, new: str) -> bool:
        await asyncio.sleep(0)
        return old == "Shut"

    assert asyncio.run(machine.transit_async("Push", "Shut", save=save)) == "Open"
    with pytest.raises(TransitionConflictError):
        asyncio.run(machine.transit_async("Push", "Open", save=save))

    assert diary.heard == ["pre", "post", "pre", "failed"]


def test_a_cancelled_store_has_failed(diary: Diary) -> None:
    """Nobody knows whether the row was written; a pre without an end would be worse."""

    async def save(old: str | None, new: str) -> bool:
        await asyncio.Event().wait()
        return True

    async def cancelled() -> None:
        task = asyncio.create_task(DOOR.with_listeners(diary).transit_async("Push", "Shut", save=save))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())

    assert diary.heard == ["pre", "failed"]


def test_a_store_that_ought_to_be_awaited_has_stored_nothing(diary: Diary) -> None:
    """Its coroutine is as true as any object: the change would be told as done, and the row be as it was."""

    async def save(old: str, new: str) -> bool:
        return True

    with pytest.raises(InvalidArgumentError, match="transit_async"):
        DOOR.with_listeners(diary).transit("Push", "Shut", save=save)  # type: ignore[arg-type]  # on purpose

    assert diary.heard == ["pre", "failed"]


@pytest.mark.parametrize(
    ("answer", "heard"), [(True, ["pre", "post"]), (None, ["pre", "post"]), (0, ["pre", "failed"])]
)
def test_a_store_that_need_not_be_awaited_is_believed(
    answer: bool | int | None, heard: list[str], diary: Diary
) -> None:
    """It has stored when it returns: to fail on the await would tell a change as failed that has happened."""
    change = DOOR.with_listeners(diary).transit_async(
        "Push",
        "Shut",
        save=lambda old, new: answer,  # type: ignore[arg-type, return-value]  # on purpose
    )

    with suppress(TransitionConflictError):
        assert asyncio.run(change) == "Open"
    assert diary.heard == heard


@pytest.mark.parametrize(("at", "heard"), [("pre", ["pre", "failed"]), ("post", ["pre", "post"])])
def test_an_interrupt_in_one_listener_leaves_no_other_with_half_a_change(
    at: str, heard: list[str], diary: Diary
) -> None:
    """Ctrl-C while one publishes: the others have heard pre, and are owed how it ends."""

    class Interrupted(StateListener):
        def pre_state_transition(self, change: StateChange) -> None:
            if at == "pre":
                raise KeyboardInterrupt

        def post_state_transition(self, change: StateChange) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DOOR.with_listeners(Interrupted(), diary).transit("Push", "Shut", save=lambda old, new: True)

    assert diary.heard == heard
