"""``bus_amqp.source.redaction``: no secret leaves under its name, and no value is too odd."""

import json
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.source.redaction import MAX_VALUES, WITHHELD, redacted
from bus_amqp.source.secret_names import SECRET_NAMES
from tests.unit.strategies import characters, json_values

TOKEN = "hunter2HUNTER2hunter2"
NAMES_OF_SECRETS = ["password", "sessionKey", "session_key", "API-KEY", "userSecretKey", "access_token", "ipsecpsk"]
R = "[redacted]"


def encoded(value: object) -> str:
    """Return the value as it would travel."""
    event = Event(event_category="c", event_type="t", event_source="s", details={"value": value})
    return event.model_dump_json()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"sessionkey": "abc", "id": 7}, {"sessionkey": R, "id": 7}),
        ({"a": [{"b": ({"Password": "x"},)}]}, {"a": [{"b": [{"Password": R}]}]}),
        ({"credentials": {"user": "u", "key": ["k"]}}, {"credentials": R}),
        ({"pwd": None, "passwordEnabled": True, "token": ""}, {"pwd": None, "passwordEnabled": True, "token": ""}),
        ({"cmdInfo": '{"sessionkey":"abc","id":"7"}'}, {"cmdInfo": '{"sessionkey": "[redacted]", "id": "7"}'}),
        ('{"id" : 7}', '{"id" : 7}'),
        ('{"a":{"password":"x"},"a":1}', '{"a": 1, "a (0)": {"password": "[redacted]"}}'),
        ('Class/machine/{"password":"x"}', 'Class/machine/{"password": "[redacted]"}'),
        ('say password={"a": "b c"} twice', "say password=[redacted] twice"),
        ({"name": "vncPassword", "value": "x"}, {"name": "vncPassword", "value": R}),
        ({"name": "size", "value": 5}, {"name": "size", "value": 5}),
        ({"https://host/?token=x": 1, "a:b": 2}, {"https://host/?token=[redacted]": R, "a:b": 2}),
        (["mysql", "--db-password", "x", "--port", 3306], ["mysql", "--db-password", R, "--port", 3306]),
    ],
)  # fmt: skip
def test_what_stands_under_a_secret_name_is_withheld(value: object, told: object) -> None:
    """And nothing else: the rest of the job is what its readers want."""
    assert redacted(value) == told


def test_json_in_strings_in_strings_is_looked_through() -> None:
    """CloudStack before 4.16 wrote its jobs like that; JSON that is one string counts too."""
    inner = json.dumps({"apiKey": TOKEN, "id": 7})
    value = {"cmd": json.dumps({"result": json.dumps(f"Class/x/{inner}")})}

    told = redacted(value)

    assert TOKEN not in encoded(told)
    assert json.loads(json.loads(told["cmd"])["result"]) == 'Class/x/{"apiKey": "[redacted]", "id": 7}'  # type: ignore[index,call-overload,arg-type]  # the shape is as given


def test_a_name_is_known_however_json_has_written_it() -> None:
    """Gson writes signs as escapes, and any writer may; a look at the letters alone would let it pass."""
    value = {"cmd": json.dumps({"x": '{"\\u0070assword" \n : "x", "id": 7}'})}

    told = redacted(value)

    assert json.loads(json.loads(told["cmd"])["x"]) == {"password": R, "id": 7}  # type: ignore[index,call-overload,arg-type]  # as given


@st.composite
def carriers(draw: st.DrawFn) -> Any:
    """Draw a value that holds TOKEN under a secret's name, somewhere: beside other things, as JSON in strings."""
    name, secret = draw(st.sampled_from(NAMES_OF_SECRETS)), draw(st.sampled_from([TOKEN, [TOKEN], {"x": TOKEN}]))
    value: Any = {name: secret}
    for _ in range(draw(st.integers(0, 12))):
        match draw(st.integers(0, 6)):
            case 0:
                value = [draw(json_values), value]
            case 1:
                value = {draw(st.text(characters, max_size=5)): value, "other": draw(json_values)}
            case 2:
                value = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
            case 3 if isinstance(value, str):
                value = draw(st.sampled_from(["Class/name/", "result: ", " ", "\u2028"])) + value
            case 4:
                value = (value,)
            case 5 if isinstance(value, str):
                value = value + draw(st.sampled_from([" ", " done", "}", "\n{"]))
            case 6 if isinstance(value, str):
                value = value.encode()
            case _:
                value = {"value": value}
        if isinstance(value, bytes):
            break
    return value


@settings(max_examples=400)
@given(carriers())
def test_no_secret_survives_anywhere_in_the_encoded_event(value: object) -> None:
    """The promise itself: a secret under its name does not travel, wherever it was put and however it was packed."""
    assert TOKEN not in encoded(redacted(value))


@settings(max_examples=300)
@given(carriers().filter(lambda value: isinstance(value, str)), st.data())
def test_json_that_was_cut_short_gives_nothing_away(value: str, data: st.DataObject) -> None:
    """A column of a database holds so many characters and no more; what is left is no JSON."""
    cut = value[: data.draw(st.integers(0, len(value)))]

    assert TOKEN not in encoded(redacted(cut))


@given(json_values)
def test_what_holds_no_secret_comes_back_as_it_was(value: object) -> None:
    """A job's readers get what the job had; hypothesis finds no name of a secret by chance."""
    assert redacted(value) == value


odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8)
    | st.datetimes() | st.uuids() | st.decimals() | st.complex_numbers() | st.timedeltas()
    | st.builds(object) | st.just(object) | st.just(5000).map(lambda digits: 10**digits)
    | st.text(st.sampled_from('{}[]"\\:=, a0'), max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner)
    | st.dictionaries(st.none() | st.integers() | st.floats() | st.binary(max_size=3), inner, max_size=3)
    | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(odd_values)
def test_no_value_is_too_odd_to_travel(value: object) -> None:
    """Jobs are written by plug-ins: whatever they hold, the event can be encoded and nothing is raised."""
    encoded(redacted(value))


class Hostile:
    """An object of which nothing works."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Account(BaseModel):
    """A caller's model."""

    name: str = "acme"
    api_key: str = TOKEN


@dataclass
class Login:
    """A caller's dataclass."""

    user: str = "u"
    password: str = TOKEN


class Level(Enum):
    """A caller's enumeration."""

    HIGH = "high"


Pair = namedtuple("Pair", ["id", "token"])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Account(), {"name": "acme", "api_key": R}),
        (Login(), {"user": "u", "password": R}),
        (Pair(1, TOKEN), {"id": 1, "token": R}),
        (Level.HIGH, "high"),
        (Hostile(), "<Hostile>"),
        ({Hostile(): 1}, {"<Hostile>": 1}),
        (b'{"password":"x"}', '{"password": "[redacted]"}'),
        (float("nan"), "nan"),
        pytest.param(10**5000, WITHHELD, id="a number that no reader takes"),
        ("\ud800", "?"),
        (UUID(int=0), str(UUID(int=0))),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01 00:00:00+00:00"),
        ({1: 2, None: 3}, {"1": 2, "None": 3}),
        ({7}, [7]),
        (ValueError("password=x"), f"password={R}"),
    ],
)
def test_what_json_does_not_know_becomes_what_comes_nearest(value: object, told: object) -> None:
    """A caller passes what it has; its secrets are looked for by the names that it gave them."""
    assert redacted(value) == told


def test_what_is_too_deep_or_without_end_is_withheld() -> None:
    """A list that holds itself must neither hang its caller nor fail the encoding; nothing unseen goes out."""
    endless: list[object] = ["x"]
    endless += [endless, endless]
    deep: object = {"password": TOKEN}
    for _ in range(100):
        deep = [deep]
    packed: object = {"x": TOKEN}
    for _ in range(9):
        packed = {"x": json.dumps(packed)}
    wide = [{"x": n, "password": TOKEN} for n in range(MAX_VALUES)]

    for value in (endless, deep, packed, wide, "[" * 200_000, '{"a":' * 5_000 + json.dumps({"password": TOKEN})):
        told = encoded(redacted(value))

        assert TOKEN not in told
        assert WITHHELD in told


def test_one_s_own_names_are_added() -> None:
    """A plug-in's secrets have names that we cannot know."""
    assert redacted({"licence": "x", "password": "y"}, names=SECRET_NAMES | {"licence"}) == {
        "licence": R,
        "password": R,
    }
    with pytest.raises(InvalidArgumentError, match="several"):
        redacted({}, names="licence")


def test_what_was_given_is_not_changed() -> None:
    """The management server goes on with its job, password and all."""
    value = {"password": TOKEN, "list": [{"value": TOKEN, "name": "token"}]}

    redacted(value)

    assert value == {"password": TOKEN, "list": [{"value": TOKEN, "name": "token"}]}
