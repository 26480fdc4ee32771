"""``bus_amqp.source.actor``: on whose behalf something is done, wherever that is known."""

import asyncio

import pytest

from bus_amqp.event import Event
from bus_amqp.source.action import ActionEvents
from bus_amqp.source.action_details import ActionDetails
from bus_amqp.source.actor import Actor
from tests.unit.source.recording import RecordingPublisher


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def actions(publisher: RecordingPublisher) -> ActionEvents:
    return ActionEvents(publisher)


def details_of(event: Event) -> ActionDetails:
    return ActionDetails.from_wire(event.details)


def start(actions: ActionEvents) -> int:
    return actions.performs("VM.START")(lambda: 1)()


def test_who_acts_is_named_around_the_actions(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """A request knows its caller once; the functions deep inside do not."""
    with actions.on_behalf_of(user="ada", account="acme", domain="/eu", project="apollo"):
        start(actions)

    for event in publisher.events:
        told = details_of(event)
        assert (told.user, told.account, told.domain, told.project) == ("ada", "acme", "/eu", "apollo")


def test_an_inner_identity_replaces_the_outer_one_whole(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """The account of one user with the project of another would name nobody."""
    with actions.on_behalf_of(user="ada", account="acme", project="apollo"):
        with actions.on_behalf_of(user="system"):
            start(actions)
        start(actions)

    told = [details_of(event) for event in publisher.events]
    assert [(one.user, one.account, one.project) for one in told] == [("system", None, None)] * 2 + [
        ("ada", "acme", "apollo")
    ] * 2


def test_tasks_act_for_who_began_them(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """One event loop serves many users at once: none may act in another's name."""

    @actions.performs("VM.START", resource=lambda uuid: uuid)
    async def start_slowly(uuid: str) -> None:
        await asyncio.sleep(0)

    async def serve(user: str) -> None:
        with actions.on_behalf_of(user=user):
            await start_slowly(f"vm-of-{user}")

    async def serve_all() -> None:
        await asyncio.gather(*(serve(user) for user in ("ada", "bob", "eve")))

    asyncio.run(serve_all())

    assert len(publisher.events) == 6
    for event in publisher.events:
        assert event.resource_uuid == f"vm-of-{details_of(event).user}"


def test_the_nearest_word_on_who_acts_counts(publisher: RecordingPublisher) -> None:
    """The call over the surrounding request, the request over the control plane's own idea."""
    actions = ActionEvents(publisher, actor=lambda: Actor(user="of the control plane"))

    actions.performs("VM.START")(lambda: None)()
    with actions.on_behalf_of(user="of the request"):
        actions.performs("VM.START")(lambda: None)()
        actions.performs("VM.START", actor=Actor(user="of the call"))(lambda: None)()

    assert [details_of(event).user for event in publisher.events[::2]] == [
        "of the control plane", "of the request", "of the call",
    ]  # fmt: skip


def test_a_control_plane_that_cannot_say_who_acts_stops_nothing(publisher: RecordingPublisher) -> None:
    """Who acts is told for the record; the machine starts without it."""

    def unknown() -> Actor:
        raise LookupError("no request")

    start(ActionEvents(publisher, actor=unknown))

    assert [details_of(event).status for event in publisher.events] == ["Started", "Completed"]


def test_an_identity_that_is_no_text_is_refused_and_breaks_nothing(
    actions: ActionEvents, publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """An internal number for a user means nothing to a subscriber: refused by the name of the field."""
    with actions.on_behalf_of(user=7):  # type: ignore[arg-type]  # on purpose
        assert start(actions) == 1

    assert publisher.events == []
    assert actions.failed == 2
    assert "user" in caplog.text
