"""``bus_amqp.topic``: which events a topic wants."""

import inspect
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.topic import EventTopic, words_match
from tests.unit.fakes import an_event


def matches_by_definition(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Decide by trying everything that ``#`` could stand for: slow, and plain to see."""
    if not pattern:
        return not words
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(matches_by_definition(rest, words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and head in ("*", words[0]) and matches_by_definition(rest, words[1:])


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from(["a", "b", "*", "#", ""]), max_size=6).map(tuple),
    st.lists(st.sampled_from(["a", "b", "*", "#", ""]), max_size=7).map(tuple),
)
def test_words_match_as_amqp_defines_it(pattern: tuple[str, ...], words: tuple[str, ...]) -> None:
    """The consumer decides what the broker does not: a difference loses events or brings foreign ones."""
    assert words_match(pattern, words) == matches_by_definition(pattern, words)


def test_many_number_signs_do_not_take_for_ever() -> None:
    """A pattern is user input: the match must not try every split of every ``#``."""
    assert not words_match(("#", "a") * 30 + ("b",), ("a",) * 60)
    assert words_match(("#", "a") * 30, ("a",) * 60)


@pytest.mark.parametrize(
    ("pattern", "wanted", "unwanted"),
    [
        ("VM.#", ["VM", "VM.START", "VM.NIC.ADD"], ["VOLUME.CREATE", "VMX.START", "X.VM"]),
        ("*.START", ["VM.START", "JOB.START"], ["START", "A.VM.START", "VM.STOP", "VM.START.NOW"]),
        ("#.DELETE", ["DELETE", "VM.DELETE", "VM.NIC.DELETE"], ["VM.DELETED", "DELETE.VM"]),
        ("VM.*.ADD", ["VM.NIC.ADD"], ["VM.ADD", "VM.NIC.CARD.ADD"]),
        ("#", ["VM", "VM.START", "a.b.c.d"], []),
        ("*", ["VM"], ["VM.START"]),
    ],
)
def test_a_pattern_stands_for_whole_words(pattern: str, wanted: list[str], unwanted: list[str]) -> None:
    """Design, section 4: the signs mean what every AMQP user knows."""
    topic = EventTopic(event_type=pattern)

    assert topic.is_pattern
    assert [word for word in wanted if not topic.matches(an_event(event_type=word))] == []
    assert [word for word in unwanted if topic.matches(an_event(event_type=word))] == []


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("VM*", "stand for whole words"),
        ("VM.ST#RT", "stand for whole words"),
        ("VM.##", "stand for whole words"),
        ("VM..*", "empty word"),
        (".#", "empty word"),
        ("VM.#.", "empty word"),
        ("a..b", "empty word"),
        ("", "at least 1 character"),
    ],
)
def test_a_malformed_pattern_is_refused_and_the_error_says_how_to_write_it(pattern: str, says: str) -> None:
    """Bad input: a pattern that can match nothing is a subscription that is silent for ever."""
    with pytest.raises(InvalidArgumentError, match=says) as refused:
        EventTopic(event_type=pattern)

    assert isinstance(refused.value, ValueError)
    assert "event_type" in str(refused.value)
    if pattern:
        assert repr(pattern) in str(refused.value)


@pytest.mark.parametrize("field", ["event_category", "event_source"])
def test_a_required_field_of_events_cannot_be_asked_for_empty(field: str) -> None:
    """Bad input: no event has it empty, so the topic could match nothing."""
    with pytest.raises(InvalidArgumentError, match=field):
        EventTopic(**{field: ""})


@pytest.mark.parametrize("field", list(EventTopic.model_fields))
def test_a_field_that_is_no_text_is_refused_by_name(field: str) -> None:
    """Bad input: the caller learns which of the five it was."""
    with pytest.raises(InvalidArgumentError, match=f"{field}.*valid string"):
        EventTopic(**{field: 5})  # type: ignore[arg-type]  # the fault under test


def test_an_unknown_field_is_refused() -> None:
    """A typing error must not widen a topic to everything."""
    five = "event_category, event_type, resource_type, resource_uuid, event_source"
    with pytest.raises(InvalidArgumentError, match=f"unknown field eventtype; .*{five}"):
        EventTopic(eventtype="VM.START")  # type: ignore[call-arg]  # the fault under test
    with pytest.raises(InvalidArgumentError, match="unknown field foo"):
        EventTopic().model_copy(update={"foo": 1})
    with pytest.raises(InvalidArgumentError, match="name each field"):
        EventTopic("VM.START")  # type: ignore[call-arg]  # the fault under test


def test_a_topic_without_fields_is_everything() -> None:
    """Monitoring subscribes to ``EventTopic()``."""
    assert EventTopic().matches(an_event())
    assert EventTopic().matches(an_event(resource_type="", resource_uuid=""))


@pytest.mark.parametrize(
    ("field", "value", "other"),
    [
        ("event_category", "UsageEvent", "AlertEvent"),
        ("event_type", "VM.STOP", "VM"),
        ("resource_type", "Volume", "volume"),
        ("resource_uuid", "u-1", "u-10"),
        ("event_source", "agent", "agent-2"),
    ],
)
def test_a_field_must_be_equal_and_none_is_any(field: str, value: str, other: str) -> None:
    """Each of the five fields narrows the topic by itself, and only by exact equality."""
    topic = EventTopic(**{field: value})

    assert topic.matches(an_event(**{field: value}))
    assert not topic.matches(an_event(**{field: other}))
    assert EventTopic(**{field: None}).matches(an_event(**{field: other}))


@pytest.mark.parametrize("field", ["resource_type", "resource_uuid"])
def test_an_empty_text_asks_for_events_without_that_field(field: str) -> None:
    """``""`` means absent: it is not the same as not caring."""
    topic = EventTopic(**{field: ""})

    assert topic.matches(an_event(**{field: ""}))
    assert not topic.matches(an_event(**{field: "x"}))


def test_a_sign_in_the_event_is_an_ordinary_character() -> None:
    """Only topics hold patterns: an event of type ``*`` is one word and nothing more."""
    assert EventTopic(event_type="*").matches(an_event(event_type="#"))
    assert not EventTopic(event_type="VM.START").matches(an_event(event_type="VM.*"))


def test_topics_are_values() -> None:
    """The members of a group are compared by their topics."""
    one, same = EventTopic(event_type="VM.#"), EventTopic(event_type="VM.#")
    one.matches(an_event())

    assert one == same
    assert len({one, same}) == 1


def test_a_changed_copy_of_a_used_topic_matches_by_its_own_fields() -> None:
    """The consumer widens topics by copying them: what the first one has remembered must not stay behind."""
    topic = EventTopic(event_type="VM.#")
    assert not topic.matches(an_event(event_type="VOLUME.CREATE"))

    wider = topic.model_copy(update={"event_type": None})

    assert not wider.is_pattern
    assert wider.matches(an_event(event_type="VOLUME.CREATE"))
    with pytest.raises(InvalidArgumentError):
        topic.model_copy(update={"event_type": "VM*"})


def test_the_five_keywords_are_visible_to_tools() -> None:
    """Editors and ``help`` show what a topic takes."""
    assert list(inspect.signature(EventTopic).parameters) == list(EventTopic.model_fields)
