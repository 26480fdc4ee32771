"""``bus_amqp.publish.adoption``: what other processes left, in order, page by page, once."""

from pathlib import Path

from bus_amqp.errors import BusClosedError, NotFoundOnBrokerError
from bus_amqp.publish.adoption import PAGE_EVENTS
from bus_amqp.publish.disk_outbox import DiskOutbox
from bus_amqp.publish.outbox_directory import OutboxDirectory
from bus_amqp.publish.publisher import Publisher
from bus_amqp.receipt import ReceiptState
from bus_amqp.transport.signals import Confirmed
from tests.unit.fakes import FakeConnection
from tests.unit.publish.disk import Clock, Make, names, put, settle, take_all, words


def test_what_another_exchange_left_is_not_sent_to_ours(make: Make, tmp_path: Path, clock: Clock) -> None:
    """Two buses may share a directory by mistake; their events must not change sides."""
    other = DiskOutbox(10, 10**6, OutboxDirectory(tmp_path, "other.events", clock=clock), clock=clock)
    put(other, 1)
    other.close()

    outbox = make()
    put(outbox, 2)

    assert words(take_all(outbox)) == [2]
    outbox.close()
    assert len(names(tmp_path, ".outbox")) == 1


def test_adopted_events_come_in_pages_and_their_file_goes_when_all_are_settled(make: Make, tmp_path: Path) -> None:
    """A crash in the middle of a backlog must find what was not confirmed."""
    left = make()
    put(left, *range(2 * PAGE_EVENTS))
    left.close()

    outbox = make()
    put(outbox, 9999)
    first = outbox.take(10_000)
    assert words(first) == list(range(PAGE_EVENTS))
    second = outbox.take(10_000)
    assert words(second) == list(range(PAGE_EVENTS, 2 * PAGE_EVENTS))
    outbox.restore([*first[5:], *second])
    assert words(outbox.take(10_000)) == words([*first[5:], *second])
    assert words(outbox.take(10_000)) == [9999]
    settle(outbox, first)
    outbox.tend()
    assert len(names(tmp_path, ".outbox")) == 2
    settle(outbox, second)
    outbox.tend()

    assert len(names(tmp_path, ".outbox")) == 1
    assert outbox.health().adopted_files == 0


def test_a_file_that_one_outbox_is_sending_is_not_sent_by_another(make: Make) -> None:
    """Processes that start together look at the same files; each file's events must go out once."""
    left = make()
    put(left, 1, 2)
    left.close()

    first, second = make(), make()
    sending = first.take(10)

    assert words(sending) == [1, 2]
    assert second.take(10) == []
    settle(first, sending)
    first.tend()
    assert second.take(10) == []


def test_a_clock_that_was_set_back_does_not_put_new_events_before_old_ones(
    make: Make, clock: Clock, tmp_path: Path
) -> None:
    """Files go oldest first; an hour back, the newer one would look older."""
    for number in (1, 2):
        left = make()
        left._is_catching_up = False  # a process that ended before it could send
        put(left, number)
        left.close()
        clock.now -= 3600

    assert words(take_all(make())) == [1, 2]


def test_what_is_refused_for_good_goes_aside_only_if_nobody_was_told(make: Make, tmp_path: Path) -> None:
    """A caller has its receipt; of an adopted event only the aside file tells."""
    left = make()
    put(left, 1)
    left.close()
    outbox = make()
    put(outbox, 2)
    entries = [*outbox.take(10), *outbox.take(10)]
    assert words(entries) == [1, 2]

    for entry in entries:
        entry.receipt.settle(NotFoundOnBrokerError("no such exchange"))
        settle(outbox, [entry])
    outbox.tend()

    assert outbox.health().aside_files == 1
    assert outbox.health().moved_aside == 1


def test_closing_leaves_adopted_events_to_the_next_without_calling_them_refused(make: Make, tmp_path: Path) -> None:
    """They are neither lost nor failed: their file stays."""
    left = make()
    put(left, 1, 2)
    left.close()
    outbox = make()
    outbox.restore(outbox.take(1))
    put(outbox, 3)

    outbox.close()
    [own] = outbox.take(100)
    own.receipt.settle(BusClosedError(outbox.farewell))

    assert words([own]) == [3]
    assert outbox.open_events == 1
    assert names(tmp_path, ".aside") == []
    assert words(take_all(make())) == [1, 2, 3]


def test_too_old_events_in_a_journal_are_moved_aside_when_it_is_adopted(make: Make, clock: Clock) -> None:
    """The cap on age counts from acceptance, not from the restart."""
    left = make()
    put(left, 1)
    clock.now += 100
    put(left, 2)
    left.close()

    outbox = make(max_age_seconds=50)
    assert words(take_all(outbox)) == [2]
    outbox.tend()
    assert outbox.health().aside_files == 1


def test_events_that_expire_before_the_backlog_is_sent_do_not_count_it_as_settled(make: Make, clock: Clock) -> None:
    """Found in review: our own event had the higher number, and everything below it was taken for confirmed."""
    clock.now += 1000
    left = make()
    put(left, 1, 2)
    left.close()
    clock.now -= 1000
    outbox = make(max_age_seconds=50)
    publisher = Publisher(
        outbox,
        window=10,
        confirm_timeout_seconds=60,
        plan=None,
        on_failed=lambda entry: None,
        on_exchange_gone=lambda _: None,
    )
    [own] = put(outbox, 3)
    clock.now += 100

    publisher.offline()
    assert own.receipt.state is ReceiptState.FAILED
    connection = FakeConnection()
    publisher.opened(connection)
    publisher.prepare()
    assert [message.routing_key for message in connection.publish_channels[0].sent] == ["a.b.c.1.e", "a.b.c.2.e"]
    publisher.prepare()
    assert outbox.health().adopted_files == 1

    publisher.handle([Confirmed(connection.publish_channels[0], 2, multiple=True)])
    publisher.prepare()
    assert outbox.health().adopted_files == 0
