"""``AsyncJobEvents``: tells of asynchronous jobs, from their submission to their outcome, without their secrets.

    job = AsyncJob("0b6a...", "startVirtualMachine", instance_type="VirtualMachine", instance_uuid=vm.uuid)
    jobs.submitted(job, parameters=request)
    jobs.progress(job, processed=3, total=10)
    jobs.completed(job, result=response)        # or jobs.failed(job, error)

Nothing is remembered between the calls: they may be made in different processes.  Called in the middle of a job,
so what the bus refuses is logged and counted, and the job goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import JsonValue

from bus_amqp.errors import EventTooLargeError, InvalidArgumentError
from bus_amqp.event import EventCategory
from bus_amqp.source.emitter import DEFAULT_SOURCE, Emitter, EventFields, EventPublisher, IsEnabled
from bus_amqp.source.job_details import AsyncJobStatus
from bus_amqp.source.redaction import redacted
from bus_amqp.source.secret_names import SECRET_NAMES, checked_names
from bus_amqp.source.switched import Switched

MAX_ERROR_LENGTH: Final = 500  # characters
TOO_LARGE: Final = "[left out: too large for an event]"
_LOOKED_THROUGH = ("parameters", "result")
_TEXTS = ("job_id", "command", "instance_type", "instance_uuid", "user", "account", "domain", "command_event_type",
          "correlation_id")  # fmt: skip
_SUBMITTED, _PROGRESS = AsyncJobStatus.SUBMITTED, AsyncJobStatus.PROGRESS
_COMPLETED, _FAILED = AsyncJobStatus.COMPLETED, AsyncJobStatus.FAILED


@dataclass(frozen=True, slots=True)
class AsyncJob:
    """Which job it is: what all its events have in common.

    ``instance_type`` and ``instance_uuid``: what the job works on, the resource of its events.  ``correlation_id``:
    the job's id, if not given.  Raises ``InvalidArgumentError`` for a job without id or command, and names the field
    that is no text.
    """

    job_id: str
    command: str
    instance_type: str = ""
    instance_uuid: str = ""
    user: str | None = None
    account: str | None = None
    domain: str | None = None
    command_event_type: str | None = None
    correlation_id: str | None = None

    def __post_init__(self) -> None:
        if not self.job_id or not self.command:
            raise InvalidArgumentError(f"a job needs an id and a command, not {self.job_id!r} and {self.command!r}")
        for name in _TEXTS:
            if (text := getattr(self, name)) is not None and not isinstance(text, str):
                raise InvalidArgumentError(f"{name} of a job must be a text, not {text!r}")


class AsyncJobEvents(Switched):
    """``is_enabled`` may be changed while running, or be a function that is asked for each event.

    ``names``: of secrets; ``SECRET_NAMES | {"licence"}`` adds one.  ``unpublished`` counts what the bus refused,
    ``left_out`` the parameters and results that were too large for an event, which goes out without them.
    """

    def __init__(
        self,
        publisher: EventPublisher,
        *,
        source: str = DEFAULT_SOURCE,
        is_enabled: IsEnabled = True,
        names: Iterable[str] = SECRET_NAMES,
    ) -> None:
        category = EventCategory.ASYNC_JOB.value  # a plain text is validated in half the time
        self._emitter = Emitter(publisher, category=category, source=source, is_enabled=is_enabled)
        self._names = checked_names(names)
        self.left_out = 0

    def __repr__(self) -> str:
        return f"<AsyncJobEvents {self._emitter!r}>"

    @property
    def unpublished(self) -> int:
        """How many events could not be published."""
        return self._emitter.failed

    def submitted(self, job: AsyncJob, *, parameters: object = None) -> object | None:
        """Tell that a job waits to be done.  Call it once the job is stored."""
        return self._emit(job, _SUBMITTED, {"parameters": parameters})

    def progress(
        self, job: AsyncJob, *, percent: float | None = None, processed: int | None = None, total: int | None = None
    ) -> object | None:
        """Tell how far a job has come, in percent or in pieces of work.  What is beyond the bounds is put on them.

        Raises ``InvalidArgumentError`` for what is no number, or no progress.
        """
        return self._emit(job, _PROGRESS, _bounded(percent, processed, total))

    def completed(self, job: AsyncJob, *, result: object = None) -> object | None:
        """Tell that a job has done what it was asked for."""
        return self._emit(job, _COMPLETED, {"result": result})

    def failed(
        self, job: AsyncJob, error: BaseException | str, *, code: int | None = None, result: object = None
    ) -> object | None:
        """Tell that a job has failed, and why.  It is an outcome of its own, not a completion."""
        if code is not None and (isinstance(code, bool) or not isinstance(code, int)):
            raise InvalidArgumentError(f"error_code of a job must be a whole number, not {code!r}")
        message = self._text(error)[:MAX_ERROR_LENGTH]
        error_class = type(error).__name__ if isinstance(error, BaseException) else None
        why = {"errorCode": None if code is None else int(code), "errorClass": error_class, "errorMessage": message}
        return self._emit(job, _FAILED, {**why, "result": result})

    def _text(self, value: object) -> str:
        return str(redacted(value, names=self._names))

    def _emit(self, job: AsyncJob, status: AsyncJobStatus, told: dict[str, Any]) -> object | None:
        if self._emitter.is_enabled is not True and not self._emitter.is_on():  # before the cost of looking for secrets
            return None
        for name in _LOOKED_THROUGH:
            if (value := told.get(name)) is not None:
                told[name] = redacted(value, names=self._names)
        try:
            try:
                return self._publish(job, status, told)
            except EventTooLargeError:
                large = {name: TOO_LARGE for name in _LOOKED_THROUGH if told.get(name) is not None}
                receipt = self._publish(job, status, told | large)  # that the job has ended matters more
                self.left_out += len(large)
                return receipt
        except Exception as exc:  # noqa: BLE001 -- whatever a publisher raises: the job matters more
            self._emitter.note_failure(status, exc)
            return None

    def _publish(self, job: AsyncJob, status: AsyncJobStatus, told: dict[str, Any]) -> object | None:
        command = job.command
        if not command.replace(".", "").isidentifier():  # a call with its parameters, perhaps
            command = self._text(command)
        # What AsyncJobDetails would make of it, at a fifth of the time: all of it was checked on its way here, and a
        # test holds it to the model.
        details: dict[str, JsonValue] = {
            "detailsVersion": 1, "status": status.value, "jobId": job.job_id, "command": command,
        }  # fmt: skip
        if job.command_event_type is not None:
            details["commandEventType"] = job.command_event_type
        if job.user is not None:
            details["user"] = job.user
        if job.account is not None:
            details["account"] = job.account
        if job.domain is not None:
            details["domain"] = job.domain
        details.update({name: value for name, value in told.items() if value is not None})
        about: EventFields = {
            "resource_type": job.instance_type,
            "resource_uuid": job.instance_uuid,
            "correlation_id": job.correlation_id or job.job_id,
        }
        return self._emitter.publisher.publish(self._emitter.build_from_wire(status.value, details, about))


def _bounded(percent: float | None, processed: int | None, total: int | None) -> dict[str, Any]:
    """Return the progress within its bounds; percent is worked out where only pieces are told."""
    if processed is not None:
        processed = max(0, int(_number("processed", processed)))
    if total is not None:
        total = max(0, int(_number("total", total)))
        processed = None if processed is None else min(processed, total)
    if percent is None:
        if processed is None or total is None:
            raise InvalidArgumentError("progress needs percent, or processed and total")
        percent = 100 * processed / total if total else 100.0
    bounded = min(100.0, max(0.0, _number("percent", percent)))
    return {"percent": round(bounded, 3), "processed": processed, "total": total}


def _number(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise InvalidArgumentError(f"{name} must be a number, not {value!r}")
    return value
