"""Conditions: which values pass which comparison."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from bus_amqp import Event
from bus_amqp.extension.notify.condition import COMPARISONS, LONGEST_SEARCHED, AllOf, AnyOf, Condition, FieldTest, Not
from bus_amqp.extension.notify.field import parse_field
from tests.unit.strategies import events

ABSENT = object()


def an_event(value: JsonValue | object) -> Event:
    details = {} if value is ABSENT else {"x": value}
    return Event(event_category="A", event_type="B", event_source="C", details=details)


def a_test(**comparisons: object) -> FieldTest:
    return FieldTest(parse_field("details.x"), comparisons)


@pytest.mark.parametrize(
    ("comparison", "operand", "passing", "failing"),
    [
        ("equals", "a", ["a"], ["A", 1, ["a"], ABSENT, None]),
        ("equals", 1, [1, 1.0], ["1", True, 2, [1]]),
        ("equals", True, [True], [1, "true", False]),
        ("equals", 0, [0], [False, "", ABSENT, None]),
        ("in", ["a", 2], ["a", 2], ["b", "2", ["a"], ABSENT]),
        ("above", 80, [80.5, "81", " 1e3 "], [80, "80", "abc", "", True, None, [99], ABSENT, "nan", "٩٩"]),
        ("at_least", 80, [80, "80.0"], [79.9]),
        ("below", 1, [0, -1, "-1e9"], [1, False, "inf", "-inf"]),
        ("at_most", 1, [1, "+1"], [1.01, "9" * 400]),
        ("contains", "fail", ["it failed", ["fail"]], ["FAIL", ["failed"], {"fail": 1}, 1]),
        ("contains", 1, [[1, 2]], ["1", [True], ["1"]]),
        ("matches", re.compile("(?i)^vm-[0-9]+$"), ["VM-12"], ["vm-", "x vm-1", 12, ["vm-1"]]),
        ("exists", True, ["", 0, False, [], {}], [ABSENT, None]),
        ("exists", False, [ABSENT, None], ["", 0]),
    ],
)
def test_a_comparison_is_of_values_and_their_types(
    comparison: str, operand: object, passing: list[object], failing: list[object]
) -> None:
    """A wrong comparison wakes people for nothing, or for nothing does not wake them."""
    condition = a_test(**{comparison: operand})

    assert [value for value in passing if not condition.holds(an_event(value))] == []
    assert [value for value in failing if condition.holds(an_event(value))] == []


def test_several_comparisons_of_a_field_are_a_range() -> None:
    """Alerts of one step must not be sent with those of the next."""
    between = a_test(at_least=80, below=95)

    assert [value for value in (79, 80, 94, 95) if between.holds(an_event(value))] == [80, 94]


def test_conditions_are_joined() -> None:
    """All, any, not, and nothing at all, which always holds."""
    high, low = a_test(above=80), a_test(below=20)

    assert AllOf(()).holds(an_event(1))
    assert AnyOf((high, low)).holds(an_event(10))
    assert not AllOf((high, low)).holds(an_event(90))
    assert Not(high).holds(an_event(ABSENT)), "what is absent is not high"
    assert AllOf((a_test(exists=True), Not(AnyOf((high, low))))).holds(an_event(50))


def test_a_condition_is_told_in_words() -> None:
    """The operator sees what the file says before it matters."""
    condition = AllOf((a_test(above=80, below=95), AnyOf((a_test(matches=re.compile("^a")), Not(a_test(exists=True))))))

    assert condition.in_words() == (
        "(details.x above 80 and details.x below 95) and ((details.x matches /^a/) or (not (details.x is there)))"
    )
    assert AllOf((a_test(equals="ü"),)).in_words() == 'details.x equals "ü"'
    assert AllOf(()).in_words() == "always"


def test_a_regular_expression_sees_a_bounded_part_of_a_value() -> None:
    """A description of a mebibyte must not hold the whole process up."""
    far = "x" * LONGEST_SEARCHED + "end"

    assert not a_test(matches=re.compile("end")).holds(an_event(far))
    assert a_test(contains="end").holds(an_event(far))


OPERANDS: dict[str, object] = {
    "equals": "a", "in": ["a", 1], "above": 1, "at_least": 1, "below": 1, "at_most": 1, "contains": "a",
    "matches": re.compile("a"),
}  # fmt: skip


@given(events(), st.sampled_from(sorted(COMPARISONS)), st.sampled_from(["details.a", "description", "resource_uuid"]))
def test_no_event_breaks_a_condition(event: Event, comparison: str, field: str) -> None:
    """Whatever somebody publishes, a rule answers yes or no."""
    condition: Condition = FieldTest(parse_field(field), {comparison: OPERANDS[comparison]})

    assert condition.holds(event) in (True, False)
