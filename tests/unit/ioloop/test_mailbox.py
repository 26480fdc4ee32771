"""``bus_amqp.ioloop.mailbox``: letters to the thread that owns a connection."""

import pytest

from bus_amqp.errors import ConnectionLostError
from bus_amqp.ioloop.mailbox import Mailbox
from tests.unit.fakes import Running


def test_letters_come_out_in_order_and_each_wakes_the_reader() -> None:
    """A settlement must not overtake the one before it, nor wait for something else to happen."""
    wakes: list[int] = []
    mailbox: Mailbox[int] = Mailbox(lambda: wakes.append(1))

    for number in range(3):
        mailbox.put(number)

    assert list(mailbox.drain()) == [0, 1, 2]
    assert list(mailbox.drain()) == []
    assert len(wakes) == 3


def test_the_wake_comes_after_the_letter() -> None:
    """Woken before it, the reader would look, find nothing and sleep."""
    seen: list[list[str]] = []
    mailbox: Mailbox[str] = Mailbox(lambda: seen.append(list(mailbox.drain())))

    mailbox.put("letter")

    assert seen == [["letter"]]


def test_an_error_on_the_way_leaves_the_rest() -> None:
    """A connection that is lost over one letter must not take the others with it."""
    mailbox: Mailbox[int] = Mailbox(lambda: None)
    for number in range(4):
        mailbox.put(number)

    def work() -> None:
        for letter in mailbox.drain():
            if letter == 1:
                raise ConnectionLostError("cut")

    with pytest.raises(ConnectionLostError):
        work()

    assert list(mailbox.drain()) == [2, 3]


def test_letters_that_arrive_while_the_reader_works_wait_for_the_next_turn() -> None:
    """A writer that is faster than the reader must not keep it from its connection."""
    mailbox: Mailbox[int] = Mailbox(lambda: None)
    mailbox.put(0)

    for letter in mailbox.drain():
        mailbox.put(letter + 1)

    assert list(mailbox.drain()) == [1]


@pytest.mark.usefixtures("restless_threads")
def test_no_letter_is_lost_among_many_writers() -> None:
    """The mailbox has no lock; this is why it needs none."""
    mailbox: Mailbox[tuple[int, int]] = Mailbox(lambda: None)
    received: list[tuple[int, int]] = []

    def write(writer: int) -> None:
        for number in range(500):
            mailbox.put((writer, number))

    writers = [Running(lambda writer=writer: write(writer)) for writer in range(3)]  # type: ignore[misc]  # a default as a binding
    while any(one.thread.is_alive() for one in writers):
        received += mailbox.drain()
    received += mailbox.drain()

    for writer in range(3):
        assert [number for who, number in received if who == writer] == list(range(500))
