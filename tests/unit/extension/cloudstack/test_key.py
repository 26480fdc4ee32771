"""``bus_amqp.extension.cloudstack.key``: five words, dashes for dots, a star for what is absent."""

import pytest

from bus_amqp import Event, UndecodableError
from bus_amqp.extension.cloudstack.key import CloudStackKey, key_of, read_key


def test_a_key_is_read_in_cloudstacks_own_order():
    """The source comes first there and last with us: read in our order, each event would be another's."""
    assert read_key("management-server.ActionEvent.VM-START.VirtualMachine.u-1") == CloudStackKey(
        "management-server", "ActionEvent", "VM-START", "VirtualMachine", "u-1"
    )


def test_a_star_in_a_key_is_no_value():
    """Kept, it would be the resource of all alerts."""
    assert read_key("*.AlertEvent.ALERT-MEMORY.*.*") == CloudStackKey("", "AlertEvent", "ALERT-MEMORY", "", "")


@pytest.mark.parametrize("key", ["", "a.b.c.d", "a.b.c.d.e.f", "m.*.VM-START.*.*", "m.ActionEvent.*.*.*"])
def test_what_is_no_key_of_cloudstacks_is_refused(key: str):
    """Somebody else's message on that exchange must not become an event that nobody meant."""
    with pytest.raises(UndecodableError) as refused:
        read_key(key)

    assert refused.value.reason == "cloudstack-key"


def test_a_key_is_written_as_cloudstack_does():
    """Its consumers bind by these words."""
    event = Event(event_category="UsageEvent", event_type="VM.START", event_source="management-server")

    assert (
        key_of(event, event_type=event.event_type, resource_type="com.cloud.vm.VirtualMachine")
        == "management-server.UsageEvent.VM-START.com-cloud-vm-VirtualMachine.*"
    )
