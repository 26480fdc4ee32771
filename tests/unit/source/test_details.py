"""``bus_amqp.source.details``: typed details, strict when written and forgiving when read."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import Field, ValidationError

from bus_amqp.source.details import Details, OwnedDetails, WireTime, does_not_fit

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


class DiskDetails(OwnedDetails):
    """Details of a source that somebody writes."""

    size_bytes: int = Field(ge=0)
    checked_time: WireTime | None = None
    used_share: float | None = None


def test_names_are_camel_case_on_the_wire_and_absent_values_are_left_out() -> None:
    """Readers in other languages know the fields by these names."""
    details = DiskDetails(account="acme", size_bytes=7, checked_time=NOON)

    assert details.to_wire() == {
        "detailsVersion": 1, "account": "acme", "sizeBytes": 7, "checkedTime": "2026-03-04T12:00:00+00:00",
    }  # fmt: skip


def test_what_was_written_is_read_back() -> None:
    """A subscriber gets what the source meant."""
    details = DiskDetails(account="acme", domain="/", size_bytes=7, checked_time=NOON, used_share=0.5)

    assert DiskDetails.from_wire(details.to_wire()) == details


def test_times_are_utc_on_the_wire() -> None:
    """Two zones for one moment would make texts unequal that mean the same."""
    noon_in_berlin = NOON.astimezone(timezone(timedelta(hours=1)))

    assert DiskDetails(size_bytes=7, checked_time=noon_in_berlin).to_wire()["checkedTime"] == NOON.isoformat()


def test_a_field_that_the_model_does_not_have_is_refused_when_constructed() -> None:
    """A misspelt field would otherwise be missing on every bill, without a word."""
    with pytest.raises(ValidationError, match="sise_bytes"):
        DiskDetails.model_validate({"size_bytes": 7, "sise_bytes": 8})


def test_a_field_of_a_newer_program_is_ignored_when_read() -> None:
    """A rolling upgrade has publishers that know more than subscribers."""
    details = DiskDetails.from_wire({"sizeBytes": 7, "colour": "red"})

    assert details == DiskDetails(size_bytes=7)


def test_python_names_mean_nothing_on_the_wire() -> None:
    """One spelling only: two would sooner or later disagree."""
    with pytest.raises(ValidationError, match="sizeBytes"):
        DiskDetails.from_wire({"size_bytes": 7})


@pytest.mark.parametrize("version", [2, 0, "one", None])
def test_another_version_is_refused(version: object) -> None:
    """Details of another version may mean something else by the same names."""
    with pytest.raises(ValidationError, match="detailsVersion"):
        DiskDetails.from_wire({"detailsVersion": version, "sizeBytes": 7})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("used_share", float("nan")),
        ("used_share", float("inf")),
        ("checked_time", datetime(2026, 3, 4)),  # noqa: DTZ001 -- a naive time is what must be refused
        ("checked_time", 1_772_625_600),
        ("size_bytes", -1),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    """Whoever publishes learns at once which field is wrong, and nobody downstream has to guess."""
    with pytest.raises(ValidationError, match=field) as caught:
        DiskDetails.model_validate({"size_bytes": 7, field: value})

    assert str(does_not_fit(caught.value)).startswith(f"DiskDetails refused: {field}: ")


def test_details_cannot_be_changed() -> None:
    """What was checked stays as it was checked."""
    details = DiskDetails(size_bytes=7)

    with pytest.raises(ValidationError, match="frozen"):
        details.size_bytes = -1  # type: ignore[misc]  # mypy knows it too


def test_the_version_is_always_told() -> None:
    """A reader of next year's details must be able to tell them from this year's."""
    assert Details().to_wire() == {"detailsVersion": 1}
