"""``UsageDetails``: what billing needs to know, in the event itself; ``UsageFacts``: the part that a resource has.

Apache CloudStack leaves size, offering and template out of its usage events, so that billing has to ask for them; by
then the resource may be gone, or another size.
"""

from __future__ import annotations

from pydantic import Field, JsonValue

from bus_amqp.source.details import OwnedDetails, WireTime


class UsageFacts(OwnedDetails, title="UsageFacts"):
    """What is known of a resource that somebody pays for.  All of it may be absent: a network has no template."""

    zone: str | None = Field(default=None, description="Where it is: the zone's uuid or name.")
    offering: str | None = Field(default=None, description="By which it is charged: the offering's uuid or name.")
    template: str | None = Field(default=None, description="What it was made from: a template's or an image's uuid.")
    size_bytes: int | None = Field(default=None, ge=0, description="How large a volume, a snapshot or an image is.")
    cpu_count: int | None = Field(default=None, ge=0, description="Processors, where the offering leaves it open.")
    memory_bytes: int | None = Field(default=None, ge=0, description="Memory, where the offering leaves it open.")
    network: str | None = Field(default=None, description="The network that it belongs to: its uuid or name.")
    resource_name: str | None = Field(default=None, description="What its owner calls it, for the invoice.")
    more: dict[str, JsonValue] | None = Field(default=None, description="What else your billing needs.")


class UsageDetails(UsageFacts, title="UsageDetails"):
    """The details of a UsageEvent: who pays, for what, and since when."""

    account: str = Field(min_length=1, description="Who pays: the account's uuid or name.")
    start_time: WireTime | None = Field(
        default=None, description="When the usage began that this event ends or changes, where the publisher knows."
    )
