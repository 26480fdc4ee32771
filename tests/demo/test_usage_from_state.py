"""Usage from state as its users start it: consumer processes, one of which is killed."""

from pathlib import Path

from bus_amqp import EventTopic, connect
from bus_amqp.source.machines.volume import VOLUME
from bus_amqp.source.state import VolumeStateListener
from bus_amqp.source.stateful_resource import StatefulResource
from bus_amqp.source.usage_details import UsageDetails, UsageFacts
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.recorder import Recorder
from tests.demo.processes import SECONDS, started
from tests.demo.test_command_line import wait_for

DERIVE = ["run", "bus_amqp.source.usage_from_state:subscribers"]
COUNT = 1000


def test_a_killed_process_loses_no_usage(rabbitmq_4: RealBroker, exchange: str, tmp_path: Path) -> None:
    """The change is acknowledged after its usage is confirmed, so the next process derives what this one did not."""
    url, ledger = rabbitmq_4.url, Recorder()
    with (
        connect(url, exchange=exchange) as bus,
        started(*DERIVE, "--ready-file", "one", url=url, exchange=exchange, cwd=tmp_path) as doomed,
    ):
        bus.subscribe(EventTopic(event_category="UsageEvent"), ledger)
        wait_for(tmp_path / "one")
        machine = VOLUME.with_listeners(VolumeStateListener(bus))
        for number in range(COUNT):
            volume = StatefulResource(f"v-{number}", UsageFacts(account="acme", size_bytes=number))
            machine.transit("OperationSucceeded", "Creating", volume, save=lambda old, new: True)

        ledger.wait_for(COUNT // 10, SECONDS)
        doomed.kill()
        with started(*DERIVE, url=url, exchange=exchange, cwd=tmp_path):
            ledger.wait_for(COUNT, SECONDS)

    billed = {event.event_id: event for event in ledger.events}.values()
    assert sorted(event.resource_uuid for event in billed) == sorted(f"v-{number}" for number in range(COUNT))
    for event in billed:
        assert event.event_type == "VOLUME.CREATE"
        assert event.resource_uuid == f"v-{UsageDetails.from_wire(event.details).size_bytes}"
