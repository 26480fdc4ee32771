"""``ResourceStateDetails``: what a ResourceStateEvent tells beside its envelope."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from bus_amqp.source.usage_details import UsageFacts


class StatePhase(StrEnum):
    """When an event was published: before its change was stored, after, or after the store has refused it.

    ``unknown``: before or after, nobody says which; of what a bridge to CloudStack brings, never of a source of ours.
    """

    PRE = "pre"
    POST = "post"
    FAILED = "failed"
    UNKNOWN = "unknown"


_OF_PHASE = "pre: about to be stored; post: stored; failed: the pre did not come true; unknown: pre or post."


class ResourceStateDetails(UsageFacts, title="ResourceStateDetails"):
    """The details of a ResourceStateEvent: from which state to which, how far it has come, and whose resource it is."""

    phase: StatePhase = Field(description=_OF_PHASE)
    event: str = Field(min_length=1, description="The state machine's event; the eventType too.")
    old_state: str | None = Field(default=None, description="The state before.  Absent: the resource begins with this.")
    new_state: str = Field(min_length=1, description="The state after; of a failed change the one not reached.")
    transition_id: UUID = Field(description="One for the pre of a change and its post or failed.")
    error_class: str | None = Field(default=None, description="When it failed: the class of the store's exception.")
    error_message: str | None = Field(default=None, description="When it failed: what the exception says, at most 500.")
