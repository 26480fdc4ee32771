"""``bus_amqp.source.performing``: the events of one action, in which order, with which ids."""

import asyncio
import contextvars
import queue
from typing import Any

import pytest

from bus_amqp import EventTopic, connect
from bus_amqp.cause import current_event
from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.source.action import ActionEvents
from bus_amqp.source.action_details import ActionDetails, ActionStatus
from bus_amqp.source.actor import Actor
from bus_amqp.source.performing import MAX_ERROR_MESSAGE_LENGTH
from tests.unit.source.recording import REFUSAL, RecordingPublisher


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def actions(publisher: RecordingPublisher, clock: Clock) -> ActionEvents:
    return ActionEvents(publisher, clock=clock)


def told(publisher: RecordingPublisher) -> list[ActionDetails]:
    return [ActionDetails.from_wire(event.details) for event in publisher.events]


def test_an_action_says_how_far_it_has_come(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """A workflow waits for Scheduled or Started, and must get them in that order."""
    with actions.performing("VM.CREATE", begins_with=None) as action:
        action.created()
        action.scheduled()
        action.started()

    assert [one.status for one in told(publisher)] == ["Created", "Scheduled", "Started", "Completed"]


def test_the_duration_counts_from_the_start_of_the_work(
    actions: ActionEvents, publisher: RecordingPublisher, clock: Clock
) -> None:
    """Time in a queue is not time of work."""
    with actions.performing("VM.CREATE", begins_with=ActionStatus.SCHEDULED) as action:
        clock.now += 60
        action.started()
        clock.now += 2.5

    assert [one.duration_seconds for one in told(publisher)] == [None, None, 2.5]


def test_a_step_back_or_a_repetition_is_not_said(
    actions: ActionEvents, publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """A loop that says `started` again must neither confuse the listeners nor break the action."""
    with actions.performing("VM.START") as action:
        action.started()
        action.scheduled()
    action.started()

    assert [one.status for one in told(publisher)] == ["Started", "Completed"]
    assert len([record for record in caplog.records if "is not said again" in record.message]) == 3


@pytest.mark.parametrize("outcome", [ActionStatus.COMPLETED, "Begun"])
def test_no_action_begins_with_its_outcome(outcome: ActionStatus, actions: ActionEvents) -> None:
    """There is one outcome, and it is told when it is certain."""
    with pytest.raises(InvalidArgumentError, match="use one of Created, Scheduled, Started, or None"):
        actions.performing("VM.START", begins_with=outcome)


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), ValueError("no")])
def test_whatever_ends_the_block_is_a_failure_and_goes_on(
    fault: BaseException, actions: ActionEvents, publisher: RecordingPublisher
) -> None:
    """Ctrl-C in the middle of an action: it has not completed, and the program must still end."""
    with pytest.raises(type(fault)) as caught, actions.performing("VM.START"):
        raise fault

    assert caught.value is fault
    assert [one.status for one in told(publisher)] == ["Started", "Failed"]
    assert told(publisher)[1].error_class == type(fault).__name__


def test_an_operation_that_returns_its_error_can_say_so(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """Not every fault is an exception; a Completed for it would be the original's mistake again."""
    with actions.performing("VM.START") as action:
        action.fail("the host answered 507", error_class="HostError")

    outcome = told(publisher)[-1]
    assert (outcome.status, outcome.error_class, outcome.error_message) == (
        "Failed", "HostError", "the host answered 507",
    )  # fmt: skip


def test_a_long_error_message_is_bounded(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """Some exceptions carry whole responses; the bus is no log."""
    with pytest.raises(ValueError, match="x"), actions.performing("VM.START"):
        raise ValueError("x" * 10_000)

    message = told(publisher)[-1].error_message
    assert message is not None
    assert len(message) == MAX_ERROR_MESSAGE_LENGTH
    assert message.endswith("x…")


def test_an_exception_whose_text_cannot_be_read_is_passed_on(
    actions: ActionEvents, publisher: RecordingPublisher
) -> None:
    """The caller's exception is the caller's, however odd."""

    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(OddError), actions.performing("VM.START"):
        raise OddError

    assert told(publisher)[-1].status == "Failed"
    assert str(told(publisher)[-1].error_class).endswith(".OddError")


def test_an_interrupt_while_the_start_is_published_still_has_an_outcome(
    actions: ActionEvents, publisher: RecordingPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between Started and the first line of the block: nobody else would ever tell the outcome."""
    publish = publisher.publish

    def interrupted(event: Event, /) -> Event:
        publish(event)
        monkeypatch.setattr(publisher, "publish", publish)
        raise KeyboardInterrupt

    monkeypatch.setattr(publisher, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt), actions.performing("VM.START"):
        pytest.fail("the block runs after an interrupt")

    assert [one.status for one in told(publisher)] == ["Started", "Failed"]
    assert current_event.get() is None


def test_a_switch_turned_in_between_leaves_no_action_without_its_outcome(
    actions: ActionEvents, publisher: RecordingPublisher
) -> None:
    """A workflow that has seen Started waits for the outcome; one that has not must not be given one."""
    with actions.performing("VM.START"):
        actions.is_enabled = False
    with actions.performing("VM.STOP"):
        actions.is_enabled = True

    assert [(event.event_type, one.status) for event, one in zip(publisher.events, told(publisher), strict=True)] == [
        ("VM.START", "Started"), ("VM.START", "Completed"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "kind", "uuid"),
    [
        ("6f2d", "VirtualMachine", "6f2d"),
        (("Volume", "6f2d"), "Volume", "6f2d"),
        (("Zone", None), "Zone", ""),
        (("a", "b", "c"), "", ""),
        (7, "", ""),
    ],
)
def test_a_resource_is_a_uuid_or_a_pair(
    resource: object, kind: str, uuid: str, actions: ActionEvents, publisher: RecordingPublisher
) -> None:
    """The catalogue knows what VM.START is about; what is no resource is logged, and the action goes on."""
    with actions.performing("VM.START", resource=resource):  # type: ignore[arg-type]  # some on purpose
        pass

    assert {(event.resource_type, event.resource_uuid) for event in publisher.events} == {(kind, uuid)}


def test_an_action_whose_start_was_refused_still_tells_its_outcome(
    actions: ActionEvents, publisher: RecordingPublisher
) -> None:
    """The bus was full for a moment: the outcome is what matters most."""
    publisher.error = REFUSAL
    with actions.performing("VM.START"):
        publisher.error = None

    assert [one.status for one in told(publisher)] == ["Completed"]
    assert actions.failed == 1


def test_it_is_an_asynchronous_context_manager_too(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """In a coroutine people write `async with`."""

    async def perform() -> None:
        async with actions.performing("VM.START"):
            await asyncio.sleep(0)

    asyncio.run(perform())

    assert [one.status for one in told(publisher)] == ["Started", "Completed"]


def test_an_action_that_ends_in_another_context_raises_nothing(
    actions: ActionEvents, publisher: RecordingPublisher
) -> None:
    """An asynchronous generator may be closed by another task than began it."""
    action = actions.performing("VM.START")

    contextvars.copy_context().run(action.__enter__)
    action.__exit__(None, None, None)

    assert [one.status for one in told(publisher)] == ["Started", "Completed"]


def test_what_travels_is_the_wire_form_of_the_model(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """It is written without the model, which is too slow for each event; readers have the model only."""
    actor = Actor(user="ada", account="acme", domain="/eu", project="apollo")
    with pytest.raises(ValueError, match="no"), actions.performing("VM.START", actor=actor):
        raise ValueError("no")
    with actions.performing("VM.START") as action:
        action.fail("507")

    for event in publisher.events:
        assert ActionDetails.from_wire(event.details).to_wire() == event.details


def test_each_action_begins_once(actions: ActionEvents) -> None:
    """Two outcomes of one action would be two truths."""
    action = actions.performing("VM.START")
    with pytest.raises(InvalidArgumentError, match="has not begun"):
        action.started()

    with action:
        pass

    with pytest.raises(InvalidArgumentError, match="has begun already"):
        action.__enter__()
    assert "VM.START" in repr(action)
    assert "Completed" in repr(action)


def test_a_failure_whose_text_is_no_unicode_is_told_on_a_real_bus() -> None:
    """A file of a name that is no UTF-8: the bus would refuse the outcome, and everybody wait for it for ever."""
    seen: queue.Queue[Event] = queue.Queue()
    with connect("memory://half-a-pair") as bus:
        bus.subscribe(EventTopic(), seen.put)
        actions = ActionEvents(bus)
        with pytest.raises(FileNotFoundError), actions.performing("TEMPLATE.CREATE", resource="6f2d"):
            raise FileNotFoundError("/images/\udce9t\udce9.qcow2")

        outcomes = [ActionDetails.from_wire(seen.get(timeout=5).details) for _ in range(2)]

    assert [one.status for one in outcomes] == ["Started", "Failed"]
    assert outcomes[1].error_message == "/images/?t?.qcow2"
    assert actions.failed == 0


@pytest.mark.parametrize("told", [None, 507, LookupError("507")])
def test_a_failure_may_be_told_by_anything(told: Any, actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """An answer of a host passed on as it is must not raise into the action, nor cost it its outcome."""
    with actions.performing("VM.START") as action:
        action.fail(told)

    assert [event.details["status"] for event in publisher.events] == ["Started", "Failed"]
