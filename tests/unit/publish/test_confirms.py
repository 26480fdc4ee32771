"""``bus_amqp.publish.confirms``: which message a confirm speaks of."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bus_amqp.publish.confirms import ConfirmTracker
from bus_amqp.publish.outbox import Entry
from tests.unit.fakes import an_entry


class ConfirmsAgainstAPlainList(RuleBasedStateMachine):
    """The tracker beside a list of (sequence, entry) that is searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = ConfirmTracker()
        self.open: list[tuple[int, Entry]] = []
        self.next = 1
        self.made = 0
        self.given_back: list[Entry] = []

    @rule(count=st.integers(1, 4), mandatory=st.booleans())
    def register(self, count: int, mandatory: bool) -> None:
        entries = [an_entry(self.made + n, mandatory=mandatory) for n in range(count)]
        self.made += count
        self.tracker.register(entries)
        self.open += enumerate(entries, self.next)
        self.next += count

    @rule(count=st.integers(1, 4))
    def register_what_cannot_be_sent(self, count: int) -> None:
        entries = [an_entry(10_000 + n, mandatory=True) for n in range(count)]
        self.tracker.register(entries)
        self.tracker.withdraw(entries)

    @rule(data=st.data(), multiple=st.booleans())
    def settle(self, data: st.DataObject, multiple: bool) -> None:
        sequence = data.draw(st.integers(0, self.next - 1))

        settled = self.tracker.settle(sequence, multiple=multiple)

        expected = [pair for pair in self.open if (pair[0] <= sequence if multiple else pair[0] == sequence)]
        assert settled == [entry for _, entry in expected]
        self.open = [pair for pair in self.open if pair not in expected]
        self.given_back += settled

    @rule()
    def lose_the_channel(self) -> None:
        entries = self.tracker.reset()

        assert entries == [entry for _, entry in self.open], "order of registration"
        self.given_back += entries
        self.open, self.next = [], 1

    @invariant()
    def knows_what_is_open(self) -> None:
        assert len(self.tracker) == len(self.open)
        assert self.tracker.oldest_open is (self.open[0][1] if self.open else None)

    @invariant()
    def finds_what_may_come_back_and_nothing_else(self) -> None:
        for _, entry in self.open:
            message = entry.message
            found = self.tracker.find_returned("bus.events", message.routing_key, message.message_id)
            assert found == ([entry] if message.mandatory else [])
        for entry in self.given_back[-3:]:
            assert not self.tracker.find_returned("", entry.message.routing_key, entry.message.message_id)

    def teardown(self) -> None:
        """At least once: whatever the broker said, every entry came back exactly once."""
        self.lose_the_channel()
        assert len(self.given_back) == len(set(map(id, self.given_back))) == self.made


TestConfirmsAgainstAPlainList = ConfirmsAgainstAPlainList.TestCase
TestConfirmsAgainstAPlainList.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_confirm_of_something_unknown_is_ignored() -> None:
    """A broker that confirms twice must not end the publisher."""
    tracker = ConfirmTracker()
    tracker.register([an_entry(1)])

    assert len(tracker.settle(1, multiple=False)) == 1
    assert tracker.settle(1, multiple=False) == []
    assert tracker.settle(9, multiple=False) == []


def test_sequences_start_again_with_every_channel() -> None:
    """A confirm of the new channel must not settle what was sent on the old one."""
    tracker = ConfirmTracker()
    tracker.register([an_entry(1), an_entry(2)])
    tracker.reset()
    later = an_entry(3)
    tracker.register([later])

    assert tracker.settle(1, multiple=True) == [later]


def test_a_return_finds_its_entry_by_exchange_key_and_id() -> None:
    """``mandatory``: a return carries no sequence, and its confirm would otherwise count as stored."""
    tracker = ConfirmTracker()
    own, copy = an_entry(1, mandatory=True), an_entry(1, mandatory=True)
    copy.message.exchange = "bus.events.dead"
    tracker.register([own, copy])
    key, message_id = own.message.routing_key, own.message.message_id

    assert tracker.find_returned("bus.events.dead", key, message_id) == [copy]
    assert tracker.find_returned("bus.events", key, message_id) == [own]
    assert tracker.find_returned("bus.events", key, "another") == []


def test_copies_that_look_alike_all_count_as_returned() -> None:
    """P5: foreign messages have no id; taking one return for one of them only would acknowledge the other away."""
    tracker = ConfirmTracker()
    first, second = (an_entry(1, mandatory=True, message_id="") for _ in range(2))
    tracker.register([first, second])
    key = first.message.routing_key

    assert tracker.find_returned("bus.events", key, "") == [first, second]
    tracker.settle(1, multiple=False)
    assert tracker.find_returned("bus.events", key, "") == [second]
    tracker.settle(2, multiple=False)
    assert tracker.find_returned("bus.events", key, "") == []
