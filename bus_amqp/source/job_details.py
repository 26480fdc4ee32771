"""``AsyncJobDetails``: what an AsyncJobEvent tells beside its envelope, in which the job's instance is the resource."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, JsonValue
from pydantic_core import CoreSchema, core_schema

from bus_amqp.source.details import OwnedDetails


class AsyncJobStatus(StrEnum):
    """How far a job has come; the ``eventType`` too.  The last two are its outcome."""

    SUBMITTED = "submitted"
    PROGRESS = "progress"
    COMPLETED = "completed"
    FAILED = "failed"


class _Unchecked:
    """Not looked at again: redacted() gives nothing but JSON, a body is nothing else, and Event checks it anyway."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.any_schema()


_Redacted = Annotated[JsonValue, _Unchecked()]


class AsyncJobDetails(OwnedDetails, title="AsyncJobDetails"):
    """The details of an AsyncJobEvent: which job, what it does, how far it has come, and what came of it.

    What stands under the name of a secret reads ``[redacted]``, at any depth and in JSON inside of strings.
    """

    status: AsyncJobStatus = Field(description="How far the job has come; completed and failed are its outcome.")
    job_id: str = Field(min_length=1, description="Which job: its uuid.")
    command: str = Field(min_length=1, description="What it does: the command's name, or its class.")
    command_event_type: str | None = Field(default=None, description="The type of the action's events: VM.START.")
    user: str | None = Field(default=None, description="Who asked for it: the user's uuid or name.")
    parameters: _Redacted = Field(default=None, description="What it was asked with, without secrets.")
    percent: float | None = Field(default=None, ge=0, le=100, description="How much of it is done.")
    processed: int | None = Field(default=None, ge=0, description="How many pieces of work are done.")
    total: int | None = Field(default=None, ge=0, description="How many pieces of work there are.")
    result: _Redacted = Field(default=None, description="What came of it, without secrets.")
    error_code: int | None = Field(default=None, description="When it failed: the code that its caller is given.")
    error_class: str | None = Field(default=None, description="When it failed: the class of the exception.")
    error_message: str | None = Field(default=None, description="When it failed: why, at most 500 characters.")
