"""What the bodies of CloudStack's five categories say, under our names.  Pure.

The bodies have been opened and their secrets withheld.  Nothing is dropped: what a category does not know is ``rest``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from bus_amqp.extension.cloudstack.key import CloudStackKey
from bus_amqp.extension.cloudstack.naming import is_entity, resource_type_of

Body = Mapping[str, JsonValue]
Details = dict[str, JsonValue]

_OF_ACTIONS = ("user", "account", "project", "status", "event", "description", "eventDateTime", "entityuuid")
_COMPLETED, _FAILED = "Completed", "Failed"
_FAILURE_BEGINS = "Error while"  # all that tells a failure from a success; the status is Completed for both
# Theirs of a job and ours; what the numbers of the others mean, only CloudStack knows.
_OF_JOBS = {"cmdInfo": "parameters", "jobResult": "result", "username": "userName", "accountname": "accountName",
            "domainname": "domain"}  # fmt: skip
_STATUS_OF_JOBS: Mapping[tuple[str, str], JsonValue] = {
    ("submit", ""): "submitted",
    ("update", ""): "progress",
    ("complete", "SUCCEEDED"): "completed",
    ("complete", "FAILED"): "failed",
    ("complete", "CANCELLED"): "failed",
}
PHASE_UNKNOWN = "unknown"  # of a body that does not say which of the two it is: typed readers want one all the same
_PHASES: Mapping[str, JsonValue] = {"preStateTransitionEvent": "pre", "postStateTransitionEvent": "post"}


@dataclass(frozen=True, slots=True)
class Told:
    """What a body says.  ``rest``: what has gone into none of the other fields."""

    details: Details
    rest: Details
    resource_type: str = ""
    resource_uuid: str = ""
    description: str = ""
    correlation_id: str | None = None


def told_by(key: CloudStackKey, body: Body) -> Told:
    """Return what the body of this category says; of an unknown one, all of it as the rest."""
    return _READERS.get(key.category, _unknown)(key, body)


def _action(key: CloudStackKey, body: Body) -> Told:
    known = _picked(body, ("user", "account", "project", "status"))
    description = _text(body, "description") or _text(body, "details")
    rest_of_status: Details = {}
    if known.get("status") == _COMPLETED and description.startswith(_FAILURE_BEGINS):
        known["status"], rest_of_status = _FAILED, {"status": _COMPLETED}
    entities = {name: uuid for name, uuid in body.items() if is_entity(name) and isinstance(uuid, str)}
    context: Details = {}
    for name, uuid in entities.items():
        simple = resource_type_of(name)
        context[simple if simple not in context and (simple == name or simple not in entities) else name] = uuid
    if context:
        known["context"] = context
    entity = _text(body, "entity")
    resource_type = resource_type_of(entity or key.resource_type)
    named = context.get(resource_type, "")
    understood = {*entities, *_OF_ACTIONS}
    if not _text(body, "description"):
        understood.add("details")
    if entity == resource_type:  # else the class, which is more than our name for it, is kept
        understood.add("entity")
    return Told(
        known,
        {**_without(body, understood, known), **rest_of_status},
        resource_type=entity,
        resource_uuid=_text(body, "entityuuid") or (named if isinstance(named, str) else ""),
        description=description,
    )


def _usage(key: CloudStackKey, body: Body) -> Told:
    known = _picked(body, ("account", "zone"))
    resource = _text(body, "resource")
    understood = {"account", "zone", "event", "id", "eventDateTime"}
    understood |= {"resource"} if resource == resource_type_of(resource) else set()
    return Told(
        known, _without(body, understood, known),
        resource_type=resource, resource_uuid=_text(body, "id"),
    )  # fmt: skip


def _alert(key: CloudStackKey, body: Body) -> Told:
    names = ("subject", "body", "dataCenterId", "podId")
    known = _picked(body, names)
    understood = frozenset({*names, "event", "eventDateTime"})
    return Told(
        {"status": "Raised", **known}, _without(body, understood, known),
        description=_text(body, "subject"),
    )  # fmt: skip


def _state(key: CloudStackKey, body: Body) -> Told:
    known: Details = {"event": key.type, "phase": PHASE_UNKNOWN}
    understood = {"resource", "id", "old-state", "new-state", "eventDateTime"}
    for theirs, ours in (("old-state", "oldState"), ("new-state", "newState")):
        if body.get(theirs) is not None:
            known[ours] = body[theirs]
    if (phase := _PHASES.get(_text(body, "status"))) is not None:
        known["phase"] = phase
        understood.add("status")
    states = [state for name in ("oldState", "newState") if isinstance(state := known.get(name), str)]
    return Told(
        known, _without(body, understood, ("old-state", "new-state")),
        resource_type=_text(body, "resource"), resource_uuid=_text(body, "id"), description=" -> ".join(states),
    )  # fmt: skip


def _job(key: CloudStackKey, body: Body) -> Told:
    names = ("jobId", "command", "commandEventType", "user", "account")
    known = _picked(body, names)
    for theirs, ours in _OF_JOBS.items():
        if body.get(theirs) is not None:
            known[ours] = body[theirs]
    understood = {*names, *_OF_JOBS, "instanceType", "instanceUuid", "eventDateTime"}
    rest = _without(body, understood, {*known, *_OF_JOBS})
    if (
        status := _STATUS_OF_JOBS.get((key.type, _text(body, "status")), _STATUS_OF_JOBS.get((key.type, "")))
    ) is not None:
        known["status"] = status
    return Told(
        known, rest,
        resource_type=_text(body, "instanceType"), resource_uuid=_text(body, "instanceUuid"),
        description=" ".join(word for name in ("commandEventType", "status") if (word := _text(body, name))),
        correlation_id=_text(body, "jobId") or None,
    )  # fmt: skip


def _unknown(key: CloudStackKey, body: Body) -> Told:
    understood = frozenset({"event", "eventDateTime"})
    return Told({}, _without(body, understood, {}), description=_text(body, "description"))


_READERS: Mapping[str, Callable[[CloudStackKey, Body], Told]] = {
    "ActionEvent": _action,
    "UsageEvent": _usage,
    "AlertEvent": _alert,
    "ResourceStateEvent": _state,
    "AsyncJobEvent": _job,
}


def _picked(body: Body, names: tuple[str, ...]) -> Details:
    return {name: body[name] for name in names if body.get(name) is not None}


def _without(body: Body, understood: Collection[str], taken: Collection[str]) -> Details:
    """Return what is left of a body; also what has a known name and not the text that belongs there."""
    return {
        name: value
        for name, value in body.items()
        if name not in understood or (name not in taken and not isinstance(value, str) and value is not None)
    }


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
