"""``AlertDetails``: what an AlertEvent tells beside its envelope."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from bus_amqp.source.details import OwnedDetails, WireTime


class AlertStatus(StrEnum):
    """Whether something is wrong, or right again."""

    RAISED = "Raised"
    CLEARED = "Cleared"


class AlertDetails(OwnedDetails, frozen=True, title="AlertDetails"):
    """The details of an AlertEvent: what is wrong, where, how often, and by which measurement."""

    status: AlertStatus = Field(description="Raised: something is wrong.  Cleared: it is right again.")
    subject: str = Field(min_length=1, description="In one line, for people.")
    body: str | None = Field(default=None, description="More of it, for people.")
    zone: str | None = Field(default=None, description="Where: the zone's uuid or name.")
    pod: str | None = Field(default=None, description="Where: the pod's uuid or name.")
    cluster: str | None = Field(default=None, description="Where: the cluster's uuid or name.")
    host: str | None = Field(default=None, description="Where: the host's uuid or name.")
    alert_id: UUID | None = Field(
        default=None, description="The eventId of the event that raised this alert; in its repetitions and its end."
    )
    count: int = Field(
        default=1,
        ge=0,
        description="How many times it was raised that no earlier event tells of: repeated alerts are folded into one.",
    )
    first_time: WireTime | None = Field(default=None, description="When the first of the folded alerts was.")
    last_time: WireTime | None = Field(default=None, description="When the last of the folded alerts was.")
    value: float | None = Field(default=None, description="The measurement that crossed the threshold.")
    threshold: float | None = Field(default=None, description="The threshold that it crossed.")
