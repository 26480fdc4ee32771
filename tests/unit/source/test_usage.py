"""``bus_amqp.source.usage``: usage with all that billing needs, or none at all."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from bus_amqp.errors import EventBusException, InvalidArgumentError
from bus_amqp.source.usage import UsageEvents
from bus_amqp.source.usage_details import UsageDetails
from tests.unit.source.recording import REFUSAL, RecordingPublisher

VM: dict[str, Any] = {"resource_type": "VirtualMachine", "resource_uuid": "6f2d", "account": "acme"}
BEGAN = datetime(2026, 3, 4, 17, tzinfo=UTC)


def test_an_event_tells_billing_all_that_it_needs() -> None:
    """The original drops size, offering and template: when billing asks for them the resource may be gone."""
    publisher, cause = RecordingPublisher(), uuid4()

    returned = UsageEvents(publisher, source="cloud-7").publish(
        "VOLUME.CREATE", resource_type="Volume", resource_uuid="v-1", account="acme", domain="root", zone="z1",
        offering="gold", template="t-1", size_bytes=5 * 2**30, resource_name="data", more={"tier": 1},
        start_time=BEGAN, event_time=BEGAN, causation_id=cause, correlation_id="job", description="made",
    )  # fmt: skip

    event = publisher.only
    assert returned is event
    assert (event.event_category, event.event_source, event.event_type) == ("UsageEvent", "cloud-7", "VOLUME.CREATE")
    assert (event.resource_type, event.resource_uuid, event.event_time) == ("Volume", "v-1", BEGAN)
    assert (event.causation_id, event.correlation_id, event.description) == (cause, "job", "made")
    assert event.details == {
        "detailsVersion": 1, "account": "acme", "domain": "root", "zone": "z1", "offering": "gold", "template": "t-1",
        "sizeBytes": 5368709120, "resourceName": "data", "more": {"tier": 1}, "startTime": "2026-03-04T17:00:00+00:00",
    }  # fmt: skip
    assert UsageDetails.from_wire(event.details).start_time == BEGAN


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"account": ""}, "account"),
        ({"account": None}, "account"),
        ({"size_bytes": -1}, "size_bytes"),
        ({"size_bytes": "much"}, "size_bytes"),
        ({"start_time": datetime(2026, 1, 1)}, "start_time"),  # noqa: DTZ001 -- the fault under test
        ({"more": {"x": object()}}, "more"),
        ({"ofering": "gold"}, "ofering"),
        ({"resource_uuid": ""}, "resource_uuid"),
        ({"event_time": "now"}, "event_time"),
    ],
)
def test_usage_that_cannot_be_billed_is_refused_with_the_field(fields: dict[str, Any], named: str) -> None:
    """An event without an account would be found at the end of the month."""
    publisher = RecordingPublisher()

    with pytest.raises(InvalidArgumentError, match=named):
        UsageEvents(publisher).publish("VM.START", **{**VM, **fields})

    assert publisher.events == []


def test_a_bus_that_refuses_is_the_caller_s_to_know() -> None:
    """Usage that nobody hears of is money."""
    usage = UsageEvents(RecordingPublisher(REFUSAL))

    with pytest.raises(EventBusException, match="outbox is full"):
        usage.publish("VM.START", **VM)

    assert usage.failed == 0


def test_work_that_must_go_on_has_its_failures_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Whether the bus refuses or the details do not fit: the machine starts, and the log says what is missing."""
    usage = UsageEvents(RecordingPublisher(REFUSAL))

    assert usage.try_publish("VM.START", **VM) is None
    assert usage.try_publish("VM.START", **{**VM, "account": ""}) is None

    assert usage.failed == 2
    assert "account" in caplog.text
    assert "2 failed" in repr(usage)


def test_the_switch_may_be_turned_while_running() -> None:
    """A cloud that bills by other means turns it off."""
    publisher = RecordingPublisher()
    usage = UsageEvents(publisher, is_enabled=False)

    assert usage.publish("VM.START", **VM) is None
    usage.is_enabled = True
    assert usage.try_publish("VM.STOP", **VM) is publisher.only
    assert usage.is_enabled is True


def test_a_type_that_is_probably_mistyped_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Usage under VM.STRAT is usage that no billing asks for."""
    UsageEvents(RecordingPublisher()).publish("VM.STRAT", **VM)

    assert "did you mean VM.START?" in caplog.text


def test_a_publisher_of_another_kind_cannot_break_the_work_either() -> None:
    """Anything with ``publish`` will do, and what that raises is no error of ours."""
    usage = UsageEvents(RecordingPublisher(OSError("the disk is full")))

    assert usage.try_publish("VM.START", **VM) is None
    assert usage.failed == 1
    with pytest.raises(OSError, match="disk is full"):
        usage.publish("VM.START", **VM)
