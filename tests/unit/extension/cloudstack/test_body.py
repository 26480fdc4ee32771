"""``bus_amqp.extension.cloudstack.body``: JSON in strings is opened, text for people is not."""

import json
from typing import Any

import pytest

from bus_amqp import UndecodableError
from bus_amqp.extension.cloudstack.body import MAX_DEPTH, opened, read_body


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (' [1, "[2]"] ', [1, [2]]),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"a": "{\\"b\\": \\"{}\\"}"}', {"a": {"b": {}}}),
        ('org.example.UserVmResponse/virtualmachine/{"id": 7}',
         {"class": "org.example.UserVmResponse", "name": "virtualmachine", "value": {"id": 7}}),
        ('org.example.SuccessResponse/null/[]',
         {"class": "org.example.SuccessResponse", "name": "null", "value": []}),
        ("org.example.UserVmResponse/virtualmachine/{broken", "org.example.UserVmResponse/virtualmachine/{broken"),
        ("{no json}", "{no json}"),
        ('"quoted"', '"quoted"'),
        ("a/b/c", "a/b/c"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_holds_json_is_opened(text: str, value: object):
    """Subscribers read fields; before 4.16 they had to parse two and three times over."""
    assert opened({"cmdInfo": text}) == {"cmdInfo": value}


def test_text_for_people_is_left_alone():
    """An alert's subject that begins with a bracket is still a subject."""
    body = {"description": "{}", "subject": "[i-2-VM]", "body": '{"a": 1}', "details": "{}"}

    assert opened(body) == body


def test_what_would_be_too_deep_stays_text():
    """An event holds 64 levels; strings in strings must not be a way past that."""
    allowed, too_deep = json.dumps(nested(MAX_DEPTH - 1)), json.dumps(nested(MAX_DEPTH))

    assert opened({"a": allowed, "b": too_deep}) == {"a": nested(MAX_DEPTH - 1), "b": too_deep}


def test_a_body_too_deep_for_an_event_is_refused():
    """Cut somewhere in the middle it would say something else."""
    with pytest.raises(UndecodableError, match="deeper than"):
        opened(nested(MAX_DEPTH + 1))


def test_a_mark_of_the_byte_order_is_no_fault():
    """Some writers put it in front of UTF-8."""
    assert read_body(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
