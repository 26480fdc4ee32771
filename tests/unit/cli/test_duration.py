"""Lengths of time as people type them."""

from datetime import timedelta

import pytest

from bus_amqp.cli.duration import parse_duration, rough
from bus_amqp.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        (" 7D ", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("0s", timedelta()),
    ],
)
def test_a_length_of_time_is_understood(text: str, length: timedelta) -> None:
    """As everybody writes them."""
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text", ["", "2", "h", "-2h", "2 h 5", "1.5h", "2y", "2h2h", "٣h", "2h\x00", "99999999999h", "999999999w"]
)
def test_anything_else_is_refused_with_the_way_to_write_it(text: str) -> None:
    """Guessed wrong, `drop --older-than` would drop what it should not."""
    with pytest.raises(InvalidArgumentError, match=r"is no length of time: write|longer than anything"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0s"), (59.9, "59s"), (60, "1m"), (7199, "1h"), (86400, "1d"), (9e6, "104d")]
)
def test_an_age_is_told_roughly(seconds: float, text: str) -> None:
    """Minutes do not matter after a day."""
    assert rough(timedelta(seconds=seconds)) == text
