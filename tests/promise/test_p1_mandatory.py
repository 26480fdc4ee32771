"""P1: ``mandatory`` among many: each event that no queue takes fails, and no other, whatever confirms come together."""

from bus_amqp import EventTopic, Receipt, ReceiptState, UnroutableError
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import an_event
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World

COUNT = 600


def test_p1_of_a_batch_exactly_the_unroutable_fail(world: World) -> None:
    """One confirm speaks of many messages: it must not count as stored for those that came back."""
    recorder = Recorder()
    consumer = world.connect()
    consumer.subscribe(EventTopic(resource_uuid="wanted"), recorder)
    bus = world.connect()
    told: list[Receipt] = []
    bus.on_failed(told.append)
    events = [an_event(number, "unwanted" if number % 3 == 0 else "wanted") for number in range(COUNT)]

    receipts = bus.publish_many(events, mandatory=True)
    bus.flush(TIMEOUT_SECONDS)

    failed = [receipt for receipt in receipts if receipt.state is ReceiptState.FAILED]
    assert [receipt.event_id for receipt in failed] == [event.event_id for event in events[::3]]
    assert all(isinstance(receipt.exception(0), UnroutableError) for receipt in failed)
    wait_until(lambda: told == failed, "on_failed for each")
    recorder.wait_for(COUNT - len(failed), TIMEOUT_SECONDS)
    assert [event.details["number"] for event in recorder.events] == [n for n in range(COUNT) if n % 3]


def test_p1_the_unroutable_fail_through_lost_connections(world: World) -> None:
    """A return that is lost with its connection comes again with the resend, and so does the failure."""
    recorder = Recorder()
    consumer = world.connect()
    consumer.subscribe(EventTopic(resource_uuid="wanted"), recorder)
    bus = world.connect(publisher={"confirm_window": 20})
    receipts: list[Receipt] = []

    for times in range(1, 4):
        events = [an_event(number, "unwanted" if number % 3 == 0 else "wanted") for number in range(COUNT)]
        receipts += bus.publish_many(events, mandatory=True)
        world.cut_connections()
        wait_until(lambda times=times: bus.stats().reconnects >= times, "the connection to be back")  # type: ignore[misc]
    bus.flush(3 * TIMEOUT_SECONDS)

    states = [receipt.state for receipt in receipts]
    # While its subscription is away, an event for it is still routed to its queue, which stays.
    assert states == [ReceiptState.CONFIRMED if n % COUNT % 3 else ReceiptState.FAILED for n in range(3 * COUNT)]
    wanted = {receipt.event_id for receipt in receipts if receipt.state is ReceiptState.CONFIRMED}
    wait_until(lambda: set(recorder.ids) == wanted, "every event that is wanted, and no other")
