"""``bus_amqp.source.folding``: what is folded is counted, and every count is told."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.source.alert_details import AlertDetails, AlertStatus
from bus_amqp.source.folding import RETRY_SECONDS, Alert, Folding, Outgoing

WINDOW = 300.0
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def an_alert(status: AlertStatus = AlertStatus.RAISED, key: str = "memory") -> Alert:
    details = AlertDetails(status=status, subject="low memory").to_wire()
    return Alert(key, status is AlertStatus.RAISED, details, "ALERT.MEMORY", "low memory")


RAISED, CLEARED = an_alert(), an_alert(AlertStatus.CLEARED)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def details_of(outgoing: Outgoing) -> AlertDetails:
    return AlertDetails.from_wire(outgoing.details)


def raised(folding: Folding, seconds: float, key: str = "memory") -> list[Outgoing]:
    return folding.raised(an_alert(key=key), seconds, lambda: at(seconds))


def told(outgoing: list[Outgoing]) -> list[tuple[str, int]]:
    return [(details_of(one).status, details_of(one).count) for one in outgoing]


def test_the_first_goes_out_at_once_and_the_next_with_the_count() -> None:
    """An operator hears at once, then seldom, and in the end of all of them."""
    folding = Folding(WINDOW)

    assert told(raised(folding, 0)) == [("Raised", 1)]
    assert [told(raised(folding, seconds)) for seconds in (1, 2, 299)] == [[], [], []]
    assert told(raised(folding, 301)) == [("Raised", 4)]
    assert folding.untold == 0


def test_a_count_says_from_when_to_when() -> None:
    """Four alerts in one second are another story than four in five minutes."""
    folding = Folding(WINDOW)
    raised(folding, 0)
    raised(folding, 10)
    raised(folding, 20)

    (summary,) = raised(folding, 301)

    assert (details_of(summary).first_time, details_of(summary).last_time) == (at(10), at(301))


def test_a_window_that_has_ended_is_due_without_another_alert() -> None:
    """A fault that stopped by itself still happened three times."""
    folding = Folding(WINDOW)
    raised(folding, 0)
    raised(folding, 10)
    raised(folding, 20)

    assert folding.due(299) == []
    assert told(folding.due(300)) == [("Raised", 2)]
    assert folding.due(1000) == []


def test_a_window_begins_with_what_is_told() -> None:
    """A fault that lasts is told of once in each window, not twice."""
    folding = Folding(WINDOW)
    for second in range(0, 3000, 10):
        raised(folding, second)
        folding.due(second)

    assert told(folding.due(3000)) in ([("Raised", 29)], [("Raised", 30)])


def test_the_end_tells_the_count_and_leads_back_to_the_beginning() -> None:
    """A monitor closes the alert that it has opened, with all that happened meanwhile."""
    folding = Folding(WINDOW)
    (first,) = raised(folding, 0)
    raised(folding, 10)

    (end,) = folding.cleared(CLEARED, 20)

    assert told([end]) == [("Cleared", 1)]
    assert details_of(end).alert_id == first.event_id
    assert folding.untold == 0


def test_the_end_is_said_once() -> None:
    """A control loop says `clear` every minute of a quiet year."""
    folding = Folding(WINDOW)

    assert told(folding.cleared(CLEARED, 0)) == [("Cleared", 0)]
    assert folding.cleared(CLEARED, 60) == []
    assert folding.due(1000) == []


def test_an_alert_after_the_end_is_a_new_one() -> None:
    """Folded into the window before, it would stay unseen while the monitor shows green."""
    folding = Folding(WINDOW)
    raised(folding, 0)
    folding.cleared(CLEARED, 1)

    (again,) = raised(folding, 2)

    assert told([again]) == [("Raised", 1)]
    assert details_of(again).alert_id is None


def test_places_are_apart() -> None:
    """Low memory in one cluster must not hide that of another."""
    folding = Folding(WINDOW)

    assert told(raised(folding, 0, "a")) == [("Raised", 1)]
    assert told(raised(folding, 1, "b")) == [("Raised", 1)]


def test_without_a_window_each_goes_out() -> None:
    """Who counts elsewhere wants them all."""
    folding = Folding(0)

    assert [told(raised(folding, 0)) for _ in range(3)] == [[("Raised", 1)]] * 3


def test_what_could_not_be_published_is_owed() -> None:
    """A full outbox at the moment of the fault: nobody would hear of it for a whole window."""
    folding = Folding(WINDOW)
    (first,) = raised(folding, 0)
    folding.failed(first, 0, at(0))
    raised(folding, 0.5)

    assert folding.due(RETRY_SECONDS - 0.1) == []
    assert told(folding.due(RETRY_SECONDS)) == [("Raised", 2)]


def test_an_end_that_could_not_be_published_is_owed() -> None:
    """A monitor would show red for ever."""
    folding = Folding(WINDOW)
    raised(folding, 0)
    (end,) = folding.cleared(CLEARED, 10)
    folding.failed(end, 10, at(10))

    assert told(folding.due(11)) == [("Cleared", 0)]
    assert folding.due(1000) == []


def test_an_alert_after_an_end_that_nobody_heard_of_has_just_gone_on() -> None:
    """To the monitor it has been red all the time: the end is no news any more, and must not come late."""
    folding = Folding(WINDOW)
    (first,) = raised(folding, 0)
    (end,) = folding.cleared(CLEARED, 10)
    folding.failed(end, 10, at(10))
    raised(folding, 10.5)

    (next_one,) = folding.due(11)

    assert told([next_one]) == [("Raised", 1)]
    assert details_of(next_one).alert_id == first.event_id


def test_all_of_it_can_be_asked_for_early() -> None:
    """At the end of a program no window ends any more."""
    folding = Folding(WINDOW)
    raised(folding, 0)
    raised(folding, 10)

    assert told(folding.due(10, is_early=True)) == [("Raised", 1)]
    assert folding.untold == 0


def test_places_are_bounded_and_the_forgotten_one_tells_its_count_first() -> None:
    """A hundred thousand failing machines must not fill the memory, nor lose a count."""
    folding = Folding(WINDOW, capacity=2)
    for key in ("a", "a", "b"):
        raised(folding, 0, key)

    outgoing = raised(folding, 1, "c")

    assert [(one.alert.key, details_of(one).count) for one in outgoing] == [("a", 1), ("c", 1)]
    assert told(raised(folding, 2, "a")) == [("Raised", 1)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["raise", "raise", "raise", "clear", "due", "flush"]),
        st.sampled_from("ab"),
        st.sampled_from([0, 0.5, 5, 100, 301]),
        st.booleans(),
    ),
    max_size=40,
)


@given(STEPS)
def test_every_alert_is_told_once_and_the_last_word_is_true(steps: list[tuple[str, str, float, bool]]) -> None:
    """Whatever fails in between: the counts add up, and a monitor ends with the state that things are in."""
    folding, now, said, heard = Folding(WINDOW), 0.0, 0, 0
    state: dict[object, str] = {}
    seen: dict[object, str] = {}

    def publish(outgoing: list[Outgoing], is_up: bool) -> None:
        nonlocal heard
        for one in outgoing:
            if not is_up:
                folding.failed(one, now, at(now))
                continue
            heard += details_of(one).count
            seen[one.alert.key] = details_of(one).status

    for step, key, seconds, is_up in steps:
        now += seconds
        match step:
            case "raise":
                said += 1
                state[key] = "Raised"
                publish(raised(folding, now, key), is_up)
            case "clear":
                state[key] = "Cleared"
                publish(folding.cleared(an_alert(AlertStatus.CLEARED, key), now), is_up)
            case "due":
                publish(folding.due(now), is_up)
            case "flush":
                publish(folding.due(now, is_early=True), is_up)
        assert heard + folding.untold == said

    publish(folding.due(now, is_early=True), True)
    assert (heard, folding.untold) == (said, 0)
    assert seen == state
