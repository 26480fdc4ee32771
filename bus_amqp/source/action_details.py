"""``ActionDetails``: what an ActionEvent tells beside its envelope."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from bus_amqp.source.details import OwnedDetails


class ActionStatus(StrEnum):
    """How far an action has come.  The last two are its outcome, and one of them always comes."""

    CREATED = "Created"
    SCHEDULED = "Scheduled"
    STARTED = "Started"
    COMPLETED = "Completed"
    FAILED = "Failed"


class ActionDetails(OwnedDetails, frozen=True, title="ActionDetails"):
    """The details of an ActionEvent: who did it, how far it has come, and how it ended."""

    status: ActionStatus = Field(description="How far the action has come; Completed and Failed are its outcome.")
    user: str | None = Field(default=None, description="Who acts: the user's uuid or name.")
    project: str | None = Field(default=None, description="The project that the user acts for.")
    start_event_id: UUID | None = Field(
        default=None, description="The eventId of the first event of this action; in all later ones."
    )
    duration_seconds: float | None = Field(
        default=None, ge=0, description="From the beginning of the work to its outcome, by a clock that is never set."
    )
    error_class: str | None = Field(default=None, description="When it failed: the class of the exception.")
    error_message: str | None = Field(default=None, description="When it failed: what the exception says, at most 500.")
