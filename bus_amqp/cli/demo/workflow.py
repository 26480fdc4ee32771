"""Workflow: whenever a VM changes its state, have the inventory updated.  An ordinary subscriber: copy it.

    bus-amqp run bus_amqp.cli.demo.workflow:subscribers

It publishes from inside its handler; the bus fills in what the new event was caused by.
"""

from __future__ import annotations

from uuid import UUID, uuid5

from bus_amqp import Event, EventBus, EventTopic, Subscribers

SOURCE = "workflow"
VM_STATES = EventTopic(event_category="ResourceStateEvent", resource_type="VirtualMachine")


def follow_up_id(event_id: UUID) -> UUID:
    """Return the id of the follow-up.

    Made from the cause: when an event is delivered twice, its follow-up is published twice under one id, and
    receivers can tell.
    """
    return uuid5(event_id, "inventory")


def subscribers(bus: EventBus) -> Subscribers:
    """Subscribe to the states of VMs."""
    declared = Subscribers()

    @declared.on(VM_STATES, group="workflow")
    def update_inventory(event: Event) -> None:
        bus.publish(
            Event(
                event_id=follow_up_id(event.event_id),
                event_category="ActionEvent",
                event_type="INVENTORY.UPDATE",
                event_source=SOURCE,
                resource_type=event.resource_type,
                resource_uuid=event.resource_uuid,
                description=f"inventory: {event.description}",
                details={"state": event.details.get("new-state")},
            )
        )

    return declared
