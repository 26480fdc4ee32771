"""The schemas that other languages read say what our own decoder does."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import AwareDatetime, BaseModel, JsonValue

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.source.details import Details
from bus_amqp.source.json_schema import DETAILS, all_schemas, details_name, write_schemas
from bus_amqp.topic import EventTopic
from bus_amqp.wire.json_schema import EVENT_TYPE_PATTERN, topic_from_json

SCHEMAS = Path(__file__).parents[2] / "schemas"
SAMPLES = SCHEMAS / "samples"


def _decode_event(text: str) -> BaseModel:
    return Event.model_validate_json(text, by_alias=True, by_name=False, extra="ignore")


DECODE: dict[str, Callable[[str], BaseModel]] = {"event": _decode_event, "topic": topic_from_json}


def _schema(model: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / "v1" / f"{model}.schema.json").read_text())
    return schema


def _samples(kind: str) -> list[Any]:
    files = sorted(SAMPLES.glob(f"*/{kind}/*.json"))
    return [pytest.param(file, id=f"{file.parts[-3]}-{file.stem}") for file in files]


def test_the_schema_files_are_what_the_models_generate(tmp_path: Path) -> None:
    """A field changed without `make schemas` would leave other languages with an old contract."""
    write_schemas(tmp_path)

    for name, text in all_schemas().items():
        assert (tmp_path / name).read_text() == text
        assert (SCHEMAS / name).read_text() == text, f"schemas/{name} is stale: run `make schemas`"
    assert {file.name for file in (SCHEMAS / "v1").iterdir()} == {Path(name).name for name in all_schemas()}


@pytest.mark.parametrize("model", ["event", "topic", *map(details_name, DETAILS.values())])
def test_a_schema_is_valid_and_described(model: str) -> None:
    """A schema that is no schema validates nothing, and a field without a word is no documentation."""
    schema = _schema(model)

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:bus-amqp:schema:v1:{model}"
    for rule in schema["properties"].values():
        assert rule["title"]
        assert rule["description"]


def test_the_wire_names_are_those_of_the_design_document() -> None:
    """Renaming a key on the wire would break every consumer in another language."""
    design = {"eventCategory", "eventType", "eventSource", "resourceType", "resourceUUID"}

    assert set(_schema("topic")["properties"]) == design
    assert set(_schema("event")["properties"]) == design | {
        "description", "eventId", "eventTime", "details", "correlationId", "causationId",
    }  # fmt: skip
    assert set(_schema("event")["required"]) == {"eventCategory", "eventType", "eventSource"}


def test_there_are_samples_to_agree_on() -> None:
    """A moved folder must not turn the agreement tests into none."""
    assert len(_samples("valid")) >= 10
    assert len(_samples("invalid")) >= 15


@pytest.mark.parametrize("file", _samples("valid"))
def test_a_valid_sample_passes_schema_and_decoder(file: Path) -> None:
    """What the contract allows, the bus must take."""
    model = file.parts[-3]

    Draft202012Validator(_schema(model)).validate(json.loads(file.read_text()))
    DECODE[model](file.read_text())


@pytest.mark.parametrize("file", _samples("invalid"))
def test_an_invalid_sample_passes_neither(file: Path) -> None:
    """What the bus dead-letters, the contract must forbid."""
    model = file.parts[-3]

    assert not Draft202012Validator(_schema(model)).is_valid(json.loads(file.read_text()))
    with pytest.raises(ValueError, match=r"."):  # pydantic's ValidationError, or our InvalidArgumentError
        DECODE[model](file.read_text())


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=5,
)
_PLAIN: dict[object, st.SearchStrategy[Any]] = {
    str: st.text(min_size=1, max_size=20, alphabet=st.characters(codec="utf-8")),
    int: st.integers(1, 10**12),
    float: st.floats(0, 10**12),
    AwareDatetime: st.datetimes(datetime(1971, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 -- hypothesis adds it
    # Recursive, and without the numbers that are none.
    JsonValue: _json,
    dict[str, JsonValue]: st.dictionaries(st.text("ab"), _json),
}


def _values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return values that fit most fields: hypothesis on its own draws naive times and numbers that are none."""
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return st.one_of(*map(_values_of, get_args(hint)))
    return _PLAIN[hint] if hint in _PLAIN else st.from_type(hint)


_category = st.sampled_from(["ActionEvent", "x", "Ü ber"])


@settings(max_examples=40)
@given(
    st.builds(
        Event,
        event_category=_category,
        event_type=st.text(min_size=1, alphabet=st.characters(codec="utf-8")),
        event_source=_category,
        resource_uuid=st.text(alphabet=st.characters(codec="utf-8")),
        details=st.dictionaries(_category, st.none() | st.booleans() | st.integers() | st.lists(_category)),
        correlation_id=st.none() | st.text(alphabet="ab"),
        causation_id=st.none() | st.uuids(),
    )
)
def test_whatever_we_publish_fulfils_the_schema(event: Event) -> None:
    """An event of ours that a schema-checking consumer refuses would be a broken contract."""
    body = event.model_dump_json(by_alias=True, exclude_none=True)

    Draft202012Validator(_schema("event")).validate(json.loads(body))


@pytest.mark.parametrize("model", DETAILS.values(), ids=details_name)
@settings(max_examples=40)
@given(st.data())
def test_whatever_a_source_writes_into_details_fulfils_their_schema(model: type[Details], data: st.DataObject) -> None:
    """Billing in another language checks details against these files; what we publish must pass, and be read back."""
    hints = get_type_hints(model)
    values = {name: data.draw(_values_of(hints[name])) for name in model.model_fields}
    try:
        details = model(**values)
    except ValueError:  # refused, so never published
        reject()

    wire = json.loads(json.dumps(details.to_wire()))

    Draft202012Validator(_schema(details_name(model))).validate(wire)
    assert model.from_wire(wire) == details


@given(st.text(alphabet="VM.*#-", min_size=1, max_size=8))
def test_the_pattern_of_event_types_is_the_models_own_rule(event_type: str) -> None:
    """A consumer that checks its filter against the schema must not be surprised at subscribe."""
    try:
        EventTopic(event_type=event_type)
        is_accepted = True
    except InvalidArgumentError:
        is_accepted = False

    assert bool(re.search(EVENT_TYPE_PATTERN, event_type)) is is_accepted
