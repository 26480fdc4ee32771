"""``bus_amqp.extension.cloudstack.dates``: local times with their zone, as moments in UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given

from bus_amqp.extension.cloudstack.dates import moment_of, text_of
from tests.unit.strategies import times


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-04 17:59:24 +0100", datetime(2026, 3, 4, 16, 59, 24, tzinfo=UTC)),
        ("2026-03-04 17:59:24 -0330", datetime(2026, 3, 4, 21, 29, 24, tzinfo=UTC)),
        ("2026-03-04 17:59:24 +0000", datetime(2026, 3, 4, 17, 59, 24, tzinfo=UTC)),
        ("2026-03-04T17:59:24+01:00", datetime(2026, 3, 4, 16, 59, 24, tzinfo=UTC)),
        ("2026-03-04 17:59:24 UTC", datetime(2026, 3, 4, 17, 59, 24, tzinfo=UTC)),
        (" 2024-02-29 00:30:00 +0100 ", datetime(2024, 2, 28, 23, 30, tzinfo=UTC)),
    ],
)
def test_a_time_with_its_zone_is_a_moment(text: str, moment: datetime):
    """Servers write in their own zone; events of two servers must be comparable."""
    assert moment_of(text) == moment


@pytest.mark.parametrize(
    "value",
    ["2026-03-04 17:59:24", "2026-02-30 00:00:00 +0000", "2026-03-04 25:00:00 +0000", "2026-03-04 17:59:24 +9900",
     "0001-01-01 00:00:00 +1400", "9999-12-31 23:59:59 -1400", "2026-03-04 17:59:24 CET", "", "now", None, 17, ["x"]],
)  # fmt: skip
def test_what_names_no_moment_is_no_time(value: object):
    """Guessed, it would be hours off, and nobody could tell."""
    assert moment_of(value) is None


@given(times)
def test_a_written_time_is_read_as_the_second_it_was(moment: datetime):
    """Consumers of CloudStack's exchange read our times as its own."""
    second = moment.astimezone(UTC).replace(microsecond=0)

    assert moment_of(text_of(moment)) == second


def test_a_time_is_written_in_utc_whatever_its_zone():
    """One form, as from a server that runs in UTC."""
    moment = datetime(2026, 3, 4, 17, 59, 24, 999_999, tzinfo=timezone(timedelta(hours=1)))

    assert text_of(moment) == "2026-03-04 16:59:24 +0000"
