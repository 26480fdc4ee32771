"""``bus_amqp.source.action``: whose action it is, and functions whose every call is one."""

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.source.action import ActionEvents
from bus_amqp.source.action_details import ActionDetails, ActionStatus
from bus_amqp.source.actor import Actor
from tests.unit.source.recording import REFUSAL, RecordingPublisher


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def actions(publisher: RecordingPublisher) -> ActionEvents:
    return ActionEvents(publisher)


def details_of(event: Event) -> ActionDetails:
    return ActionDetails.from_wire(event.details)


def statuses(publisher: RecordingPublisher) -> list[str]:
    return [details_of(event).status for event in publisher.events]


class Machine:
    uuid = "6f2d"

    def __init__(self, actions: ActionEvents) -> None:
        self.starts = 0
        self.start = actions.performs("VM.START", resource=self.uuid)(self._start)

    def _start(self) -> int:
        self.starts += 1
        return self.starts


def test_a_decorated_function_starts_and_completes(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """The design document's action event, with no line in the function that does the work."""

    @actions.performs("VM.START", resource=lambda uuid, *, force: ("VirtualMachine", uuid), description="starts it")
    def start(uuid: str, *, force: bool = False) -> str:
        """Start a machine."""
        return f"{uuid} {force}"

    assert start("6f2d", force=True) == "6f2d True"
    assert statuses(publisher) == ["Started", "Completed"]
    for event in publisher.events:
        assert (event.event_category, event.event_type, event.event_source) == (
            "ActionEvent", "VM.START", "management-server",
        )  # fmt: skip
        assert (event.resource_type, event.resource_uuid, event.description) == ("VirtualMachine", "6f2d", "starts it")


def test_a_decorated_function_keeps_its_face(actions: ActionEvents) -> None:
    """Frameworks read names, docstrings and signatures."""

    @actions.performs("VM.START")
    def start(uuid: str, *, force: bool = False) -> str:
        """Start a machine."""
        return f"{uuid} {force}"

    assert (start.__name__, start.__doc__) == ("start", "Start a machine.")
    assert list(inspect.signature(start).parameters) == ["uuid", "force"]


def test_a_failure_is_told_and_goes_on_unchanged(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """The original calls a failure Completed; and whoever called the action must get its own exception."""
    fault = LookupError("no host with enough memory")

    @actions.performs("VM.START")
    def start() -> None:
        raise fault

    with pytest.raises(LookupError) as caught:
        start()

    assert caught.value is fault
    assert statuses(publisher) == ["Started", "Failed"]
    outcome = details_of(publisher.events[-1])
    assert (outcome.error_class, outcome.error_message) == ("LookupError", "no host with enough memory")


def test_a_method_is_an_action_of_its_object(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """Control planes are made of classes: the resource is told from `self`."""

    class Machines:
        zone = "zone-1"

        @actions.performs("VM.START", resource=lambda self, name: f"{self.zone}/{name}")
        def start(self, name: str) -> str:
            return name

    assert Machines().start("vm-7") == "vm-7"
    assert {event.resource_uuid for event in publisher.events} == {"zone-1/vm-7"}
    assert {event.resource_type for event in publisher.events} == {"VirtualMachine"}


def test_a_coroutine_function_is_an_action_until_it_returns(
    actions: ActionEvents, publisher: RecordingPublisher
) -> None:
    """An outcome that is told when the coroutine is made would be told before the work."""

    @actions.performs("VM.START")
    async def start(uuid: str) -> str:
        await asyncio.sleep(0)
        assert statuses(publisher) == ["Started"]
        return uuid

    assert inspect.iscoroutinefunction(start)
    assert asyncio.run(start("6f2d")) == "6f2d"
    assert statuses(publisher) == ["Started", "Completed"]


def test_a_cancelled_coroutine_has_failed(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """Cancelling is no error, so no `except Exception` sees it; the machine is not running all the same."""

    @actions.performs("VM.START")
    async def start() -> None:
        await asyncio.Event().wait()

    async def cancel() -> None:
        task = asyncio.create_task(start())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())

    assert statuses(publisher) == ["Started", "Failed"]
    assert details_of(publisher.events[-1]).error_class == "asyncio.exceptions.CancelledError"


@pytest.mark.parametrize("error", [REFUSAL, OSError("no route to host")])
def test_a_bus_that_fails_breaks_no_action(
    error: Exception, actions: ActionEvents, publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine must start though nobody can be told; and somebody must be able to find out that nobody was."""
    publisher.error = error
    machine = Machine(actions)

    assert machine.start() == 1

    assert actions.failed == 2
    assert "ActionEvent VM.START was not published" in caplog.text


@pytest.mark.parametrize("argument", ["resource", "description", "actor", "resource_of_result"])
def test_a_function_that_tells_about_the_action_cannot_break_it(
    argument: str, actions: ActionEvents, publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """A lambda that does not know of the new argument would otherwise stop all machines from starting."""

    def broken(*args: object) -> str:
        raise AttributeError("no such field")

    decorate = actions.performs("VM.START", **{argument: broken})

    assert decorate(lambda: 7)() == 7
    assert statuses(publisher) == ["Started", "Completed"]
    assert "VM.START: a function that tells about the action raised" in caplog.text


def test_what_is_created_is_known_by_its_result(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """A machine has no uuid before it exists; the outcome, at least, must name it."""
    uuid = uuid4()

    @actions.performs("VM.CREATE", resource_of_result=lambda created: created, begins_with=ActionStatus.CREATED)
    def create() -> UUID:
        return uuid

    create()

    assert [event.resource_uuid for event in publisher.events] == ["", str(uuid)]
    assert statuses(publisher) == ["Created", "Completed"]


def test_the_switch_turns_actions_off_and_on(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """An operator decides at run time what is told."""
    machine = Machine(actions)

    actions.is_enabled = False
    machine.start()
    actions.is_enabled = True
    machine.start()

    assert machine.starts == 2
    assert statuses(publisher) == ["Started", "Completed"]


def test_what_is_announced_here_is_performed_elsewhere(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """The interface schedules, a worker of another process performs: one action to whoever listens."""
    start_event_id = actions.announce("VM.START", resource="6f2d", actor=Actor(user="ada"))
    worker = ActionEvents(publisher, source="worker-3")
    with worker.performing("VM.START", resource="6f2d", start_event_id=start_event_id):
        pass

    scheduled, started, completed = publisher.events
    assert statuses(publisher) == ["Scheduled", "Started", "Completed"]
    assert scheduled.event_id == start_event_id
    for later in (started, completed):
        assert details_of(later).start_event_id == start_event_id
        assert later.correlation_id == str(start_event_id)
    assert started.event_source == "worker-3"


def test_an_announcement_that_is_switched_off_has_no_id(actions: ActionEvents) -> None:
    """An id of an event that nobody has would lead every reader astray."""
    actions.is_enabled = False

    assert actions.announce("VM.START") is None


def a_generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("wrong", [a_generator, int, classmethod(a_generator), 7])
def test_what_cannot_be_decorated_is_refused(wrong: object, actions: ActionEvents) -> None:
    """Told when the module is imported, not at the first call of an operator."""
    with pytest.raises(InvalidArgumentError, match=r"generator|class|not callable"):
        actions.performs("VM.START")(wrong)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("told", ["ada", {"user": "ada"}, ("ada", None, None, None)])
def test_who_acts_is_an_actor_or_nobody(
    told: Any, actions: ActionEvents, publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """A function that returns a name instead of an Actor would otherwise stop all machines from starting."""
    asking = ActionEvents(publisher, actor=lambda: told)

    assert actions.performs("VM.START", actor=lambda: told)(lambda: 7)() == 7
    assert asking.performs("VM.START")(lambda: 8)() == 8

    assert statuses(publisher) == ["Started", "Completed"] * 2
    assert all(details_of(event).user is None for event in publisher.events)
    assert "is no Actor" in caplog.text


def test_an_object_whose_call_is_awaited_is_an_action_until_it_returns(
    actions: ActionEvents, publisher: RecordingPublisher
) -> None:
    """Completed before the work has begun, and of a work that fails, is the lie of the original."""

    class Start:
        async def __call__(self) -> None:
            raise LookupError("no host")

    with pytest.raises(LookupError):
        asyncio.run(actions.performs("VM.START")(Start())())

    assert statuses(publisher) == ["Started", "Failed"]


@pytest.mark.parametrize("event_type", ["", None, 7])
def test_an_action_without_a_type_is_refused_where_it_is_written(event_type: Any, actions: ActionEvents) -> None:
    """Each call would only be logged, and nobody would hear of any of them."""
    with pytest.raises(InvalidArgumentError, match="event_type"):
        actions.performs(event_type)


def test_a_beginning_may_be_a_text_and_is_checked_where_it_is_written(
    actions: ActionEvents, publisher: RecordingPublisher
) -> None:
    """A slip must be told when the module is imported, and a text that is right must not break the action."""
    actions.performs("VM.START", begins_with="Scheduled")(lambda: 7)()  # type: ignore[arg-type]  # on purpose

    assert statuses(publisher) == ["Scheduled", "Completed"]
    with pytest.raises(InvalidArgumentError, match="begins_with"):
        actions.performs("VM.START", begins_with="Begun")  # type: ignore[arg-type]  # on purpose
