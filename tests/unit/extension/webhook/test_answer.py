"""What follows from an answer."""

from datetime import UTC, datetime

import pytest

from bus_amqp.extension.webhook.answer import Answer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("status", "is_success"), [(200, True), (201, True), (202, True), (204, True), (299, True),
                                                    (199, False), (300, False), (302, False), (404, False),
                                                    (500, False), (None, False)])  # fmt: skip
def test_every_2xx_is_a_success_and_nothing_else(status: int | None, is_success: bool) -> None:
    """202 and 204 are what good receivers say: to take them for failures sends everything again and again."""
    assert Answer(status).is_success is is_success


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", 1),
        ("99999999999999999999", 3600),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 1),
        ("Sun, 01 Mar 2026 12:01:00 -0000", 60),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 3600),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_a_receiver_may_ask_for_time_within_bounds(retry_after: str | None, seconds: float | None) -> None:
    """Neither a second nor a century: both would be a way to harm the sender."""
    assert Answer(503, retry_after=retry_after).wait_seconds(NOW, longest_seconds=3600) == seconds


@pytest.mark.parametrize("status", [200, 410])
def test_after_a_final_answer_nothing_is_waited_for(status: int) -> None:
    """It has the event, or never wants it."""
    assert Answer(status, retry_after="30").wait_seconds(NOW, longest_seconds=3600) is None


def test_a_redirect_says_why_it_is_a_failure() -> None:
    """It is what people find first when they have forgotten a slash."""
    assert Answer(302).told == "status 302, a redirect, and none is followed"
