"""``bus_amqp.source.job``: jobs told from submission to outcome, and none of their secrets."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus_amqp.errors import EventTooLargeError, InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.source.job import TOO_LARGE, AsyncJob, AsyncJobEvents
from bus_amqp.source.job_details import AsyncJobDetails, AsyncJobStatus
from bus_amqp.source.secret_names import SECRET_NAMES
from tests.unit.source.recording import REFUSAL, RecordingPublisher
from tests.unit.source.test_redaction import TOKEN, carriers, odd_values

JOB = AsyncJob(
    "j-1", "startVirtualMachine", instance_type="VirtualMachine", instance_uuid="6f2d", user="u-1", account="acme",
    domain="root", command_event_type="VM.START",
)  # fmt: skip


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def jobs(publisher: RecordingPublisher) -> AsyncJobEvents:
    return AsyncJobEvents(publisher)


def details_of(publisher: RecordingPublisher) -> AsyncJobDetails:
    """Return the details of the only event as a subscriber would read them."""
    return AsyncJobDetails.from_wire(publisher.only.details)


def test_a_job_is_told_from_its_submission_to_its_outcome(jobs: AsyncJobEvents, publisher: RecordingPublisher) -> None:
    """Who waits for a job need not ask for it again and again; all its events have one correlation id."""
    jobs.submitted(JOB, parameters={"id": "6f2d"})
    jobs.progress(JOB, processed=3, total=4)
    jobs.completed(JOB, result={"state": "Running", "note": None})
    jobs.failed(JOB, RuntimeError("no host"), code=530)

    assert [event.event_type for event in publisher.events] == ["submitted", "progress", "completed", "failed"]
    for event in publisher.events:
        assert (event.event_category, event.resource_type, event.resource_uuid) == (
            "AsyncJobEvent", "VirtualMachine", "6f2d",
        )  # fmt: skip
        assert event.correlation_id == "j-1"
        assert event.details["status"] == event.event_type
    about = {
        "detailsVersion": 1, "jobId": "j-1", "command": "startVirtualMachine", "commandEventType": "VM.START",
        "user": "u-1", "account": "acme", "domain": "root",
    }  # fmt: skip
    assert [event.details for event in publisher.events] == [
        about | {"status": "submitted", "parameters": {"id": "6f2d"}},
        about | {"status": "progress", "percent": 75.0, "processed": 3, "total": 4},
        about | {"status": "completed", "result": {"state": "Running", "note": None}},
        about | {"status": "failed", "errorCode": 530, "errorClass": "RuntimeError", "errorMessage": "no host"},
    ]


@pytest.mark.parametrize(
    ("given_progress", "percent", "processed"),
    [
        ({"percent": 12.3456}, 12.346, None),
        ({"percent": -1}, 0, None),
        ({"percent": 10**400}, 100, None),
        ({"processed": 7, "total": 5}, 100, 5),
        ({"processed": -7, "total": 5}, 0, 0),
        ({"processed": 0, "total": 0}, 100, 0),
        ({"processed": 1, "total": -1}, 100, 0),
        ({"percent": 50, "processed": 1, "total": 3}, 50, 1),
        ({"percent": 50, "processed": 7}, 50, 7),
    ],
)
def test_progress_stays_within_its_bounds(
    jobs: AsyncJobEvents,
    publisher: RecordingPublisher,
    given_progress: dict[str, Any],
    percent: float,
    processed: int | None,
) -> None:
    """A count that ran over must not make a bar of 140 percent."""
    jobs.progress(JOB, **given_progress)

    assert details_of(publisher).percent == percent
    assert details_of(publisher).processed == processed


@pytest.mark.parametrize(
    ("given_progress", "named"),
    [
        ({}, "percent, or processed and total"),
        ({"processed": 7}, "percent, or processed and total"),
        ({"percent": "half"}, "percent must be a number"),
        ({"percent": math.nan}, "percent must be a number"),
        ({"processed": True, "total": 2}, "processed must be a number"),
        ({"processed": 1, "total": math.inf}, "total must be a number"),
    ],
)
def test_what_is_no_progress_is_refused(jobs: AsyncJobEvents, given_progress: dict[str, Any], named: str) -> None:
    """A mistake of the program, found the first time that the line runs."""
    with pytest.raises(InvalidArgumentError, match=named):
        jobs.progress(JOB, **given_progress)


@settings(max_examples=200)
@given(carriers(), st.sampled_from(["parameters", "result", "error", "message", "command"]))
def test_no_secret_of_a_job_is_in_any_part_of_its_event(value: object, place: str) -> None:
    """The original's cmdInfo carries the session key and the raw parameters of the call."""
    publisher = RecordingPublisher()
    jobs = AsyncJobEvents(publisher)
    text = value if isinstance(value, str) else json.dumps(value, default=bytes.decode)
    match place:
        case "parameters":
            jobs.submitted(JOB, parameters=value)
        case "result":
            jobs.completed(JOB, result=value)
        case "error":
            jobs.failed(JOB, RuntimeError(value), result=value)
        case "message":
            jobs.failed(JOB, text)
        case _:
            jobs.submitted(AsyncJob("j-1", text))

    assert TOKEN not in publisher.only.model_dump_json()
    assert jobs.unpublished == 0


@given(odd_values)
def test_no_job_is_too_odd_to_be_told(value: object) -> None:
    """Jobs are written by plug-ins: whatever they return, their outcome goes out."""
    publisher = RecordingPublisher()
    jobs = AsyncJobEvents(publisher)

    jobs.completed(JOB, result=value)
    jobs.failed(JOB, Exception(value), result=value)

    assert [event.event_type for event in publisher.events] == ["completed", "failed"]


def test_names_of_one_s_own_are_secrets_too(publisher: RecordingPublisher) -> None:
    """The list is open, and ours stays in it only if it is named."""
    jobs = AsyncJobEvents(publisher, names=SECRET_NAMES | {"licence"})

    jobs.submitted(JOB, parameters={"licence": "x", "password": "y"})

    assert publisher.only.details["parameters"] == {"licence": "[redacted]", "password": "[redacted]"}
    with pytest.raises(InvalidArgumentError, match="no name of a secret"):
        AsyncJobEvents(publisher, names=["-"])


@pytest.mark.parametrize("error", [REFUSAL, RuntimeError("a publisher of somebody's own")])
def test_a_bus_that_refuses_stops_no_job_and_is_counted(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    """The job is what matters; that nobody hears of it is logged."""
    jobs = AsyncJobEvents(RecordingPublisher(error))

    assert jobs.completed(JOB) is None

    assert jobs.unpublished == 1
    assert "completed was not published" in caplog.text
    assert "1 failed" in repr(jobs)


def test_a_result_that_is_too_large_is_left_out_and_the_outcome_told() -> None:
    """Who waits for the end of a job waits for ever, if its answer is a megabyte too long."""

    class Narrow(RecordingPublisher):
        def publish(self, event: Event, /) -> Event:
            if len(event.model_dump_json()) > 1000:
                raise EventTooLargeError("1000 bytes are all that fits")
            return super().publish(event)

    publisher = Narrow()
    jobs = AsyncJobEvents(publisher)

    jobs.completed(JOB, result=["x"] * 1000)

    assert publisher.only.details["result"] == TOO_LARGE
    assert (jobs.left_out, jobs.unpublished) == (1, 0)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"job_id": ""}, "needs an id and a command"),
        ({"command": ""}, "needs an id and a command"),
        ({"job_id": 7}, "job_id of a job must be a text, not 7"),
        ({"instance_uuid": 7}, "instance_uuid of a job"),
        ({"account": object()}, "account of a job"),
    ],
)
def test_a_job_that_does_not_fit_is_refused_with_the_field(fields: dict[str, Any], named: str) -> None:
    """Where the job is made: nobody could tell which job an event is about, or whose."""
    given_fields: dict[str, Any] = {"job_id": "j-1", "command": "x", **fields}

    with pytest.raises(InvalidArgumentError, match=named):
        AsyncJob(**given_fields)


@pytest.mark.parametrize("code", ["many", True, 5.5])
def test_a_code_that_is_no_number_is_refused(jobs: AsyncJobEvents, code: Any) -> None:
    """A mistake of the program, found the first time that the line runs."""
    with pytest.raises(InvalidArgumentError, match="error_code of a job"):
        jobs.failed(JOB, "no host", code=code)


texts = st.text(max_size=5)


@given(
    st.builds(
        AsyncJob, texts.filter(bool), texts.filter(bool), instance_type=texts, instance_uuid=texts,
        user=st.none() | texts, account=st.none() | texts, domain=st.none() | texts,
        command_event_type=st.none() | texts,
    ),
    odd_values,
    st.floats(-10, 110),
    st.none() | st.integers(),
)  # fmt: skip
def test_details_are_what_their_model_would_make(
    job: AsyncJob, value: object, percent: float, code: int | None
) -> None:
    """They are written without it, for speed; whoever reads them reads them by the model."""
    publisher = RecordingPublisher()
    jobs = AsyncJobEvents(publisher)

    jobs.submitted(job, parameters=value)
    jobs.progress(job, percent=percent, processed=code)
    jobs.completed(job, result=value)
    jobs.failed(job, RuntimeError(value), code=code, result=value)

    assert len(publisher.events) == 4
    for event in publisher.events:
        assert AsyncJobDetails.from_wire(event.details).to_wire() == event.details


def test_the_switch_may_be_turned_while_running(jobs: AsyncJobEvents, publisher: RecordingPublisher) -> None:
    """And while it is off nothing is looked through for secrets."""
    jobs.is_enabled = lambda: False
    assert jobs.submitted(JOB, parameters={"x": 1}) is None

    jobs.is_enabled = True
    jobs.submitted(JOB)

    assert jobs.is_enabled is True
    assert details_of(publisher).status is AsyncJobStatus.SUBMITTED


def test_an_undertaking_may_have_an_id_of_its_own(publisher: RecordingPublisher, jobs: AsyncJobEvents) -> None:
    """A job that is one step of several belongs to them."""
    jobs.submitted(AsyncJob("j-1", "x", correlation_id="deploy-9"))

    assert publisher.only.correlation_id == "deploy-9"
