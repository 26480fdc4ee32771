"""``Throttle``: how many in which time, and how many not."""

import pytest

from bus_amqp.extension.notify import throttle
from bus_amqp.extension.notify.throttle import Limit, Throttle


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def send(one: Throttle, key: str = "") -> bool:
    """Send one if there is room, as a notifier does."""
    if not one.has_room(key):
        one.count_held_back(key)
        return False
    one.count_sent(key, one.held_back(key))
    return True


def test_the_window_slides() -> None:
    """Two in ten seconds are two in any ten seconds: a burst on the border of a fixed window would be four."""
    clock = Clock()
    one = Throttle(Limit(2, 10), clock)
    sent = []
    for second in range(0, 30, 3):
        clock.now = 1000 + second
        if send(one):
            sent.append(second)

    assert sent == [0, 3, 12, 15, 24, 27]


def test_what_is_held_back_is_counted_until_a_message_tells_of_it() -> None:
    """The reader of the next message learns what he has not read."""
    clock = Clock()
    one = Throttle(Limit(1, 10), clock)
    assert [send(one) for _ in range(4)] == [True, False, False, False]
    assert one.held_back("") == 3

    clock.now += 10
    assert one.has_room("")
    one.count_held_back("")  # another came while the message was on its way
    one.count_sent("", told=3)

    assert one.held_back("") == 1
    assert one.held_back_now() == 1


def test_a_message_that_was_not_sent_uses_no_room() -> None:
    """A mail server that refuses must not have the rest held back as if it had taken them."""
    one = Throttle(Limit(1, 10), Clock())

    assert one.has_room("")
    assert one.has_room("")


def test_keys_are_counted_apart() -> None:
    """One machine that flaps must not silence the others."""
    one = Throttle(Limit(1, 10), Clock())

    assert [send(one, key) for key in "abab"] == [True, True, False, False]
    assert (one.held_back("a"), one.held_back("c"), one.held_back_now()) == (1, 0, 2)


def test_without_a_limit_there_is_always_room() -> None:
    """A rule without throttling sends everything, and remembers nothing."""
    one = Throttle(None, Clock())

    assert all(send(one, str(number)) for number in range(100))
    assert repr(one) == "<Throttle without a limit, 0 held back>"


def test_the_memory_for_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of a new value in each event, an id say, must not fill the memory of a process that runs for months."""
    monkeypatch.setattr(throttle, "MAX_KEYS", 3)
    one = Throttle(Limit(1, 10), Clock())

    for key in "abca" + "d":  # b was used least recently
        send(one, key)

    assert [one.has_room(key) for key in "acd"] == [False, False, False]
    assert one.has_room("b")
