"""``bus_amqp.publish.publisher`` against a broker that does what it likes, as hypothesis likes."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bus_amqp.publish.outbox import Entry
from bus_amqp.publish.rejections import LONGEST_PAUSE_SECONDS
from bus_amqp.receipt import ReceiptState
from bus_amqp.transport.signals import Blocked, Unblocked
from tests.unit.publish.desk import CONFIRM_SECONDS, Desk


class PublishingThroughFaults(RuleBasedStateMachine):
    """A broker that confirms, rejects, cuts and alarms at will, and stores what it confirms."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(window=5)
        self.entries: list[Entry] = []
        self.stored: list[int] = []
        self.is_settled: list[bool] = []  # of this channel's sequences
        self.channel = self.desk.channel

    def note_sent(self) -> None:
        if self.desk.channel is not self.channel:  # its sequences begin anew
            self.channel, self.is_settled = self.desk.channel, []
        self.is_settled += [False] * (len(self.desk.sent) - len(self.is_settled))

    def settle_next(self, sequence: int, *, multiple: bool, is_confirmed: bool) -> None:
        first = 1 if multiple else sequence
        for number in range(first, sequence + 1):
            if not self.is_settled[number - 1]:
                self.is_settled[number - 1] = True
                if is_confirmed:
                    self.stored.append(self.desk.sent[number - 1])
        (self.desk.confirm if is_confirmed else self.desk.reject)(sequence, multiple=multiple)

    @rule(count=st.integers(1, 4))
    def publish(self, count: int) -> None:
        self.entries += self.desk.put(count)

    @rule()
    def turn(self) -> None:
        self.desk.publisher.prepare()
        self.note_sent()

    @precondition(lambda self: self.is_settled)
    @rule(data=st.data(), multiple=st.booleans(), is_confirmed=st.booleans())
    def answer(self, data: st.DataObject, multiple: bool, is_confirmed: bool) -> None:
        self.settle_next(data.draw(st.integers(1, len(self.is_settled))), multiple=multiple, is_confirmed=is_confirmed)

    @rule()
    def alarm(self) -> None:
        self.desk.publisher.handle([Blocked("memory")])

    @rule()
    def all_clear(self) -> None:
        self.desk.publisher.handle([Unblocked()])

    @rule()
    def cut(self) -> None:
        self.desk.reconnect()
        self.is_settled = []

    @rule()
    def wait_in_vain(self) -> None:
        channel = self.desk.channel
        self.turn()
        self.desk.now += 10 * CONFIRM_SECONDS
        self.desk.publisher.prepare()
        self.desk.publisher.prepare()
        if self.desk.channel is not channel:
            self.is_settled = []
        self.note_sent()

    def teardown(self) -> None:
        """P2: a broker that behaves at last has every event stored, confirmed and flushed."""
        self.all_clear()
        for _ in range(3 * len(self.entries) + 3):
            self.desk.now += LONGEST_PAUSE_SECONDS
            self.turn()
            for sequence in range(1, len(self.is_settled) + 1):
                self.settle_next(sequence, multiple=False, is_confirmed=True)

        numbers = [int(entry.message.routing_key.split(".")[3]) for entry in self.entries]
        assert set(self.stored) == set(numbers)
        assert all(entry.receipt.state is ReceiptState.CONFIRMED for entry in self.entries)
        assert self.desk.publisher.is_finished()
        assert self.desk.outbox.open_bytes == 0
        assert self.desk.outbox.wait_settled(0) == 0


TestPublishingThroughFaults = PublishingThroughFaults.TestCase
TestPublishingThroughFaults.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
