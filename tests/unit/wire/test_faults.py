"""``bus_amqp.wire.faults``: the place and the fault, and nothing of the value."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from bus_amqp.wire.faults import MAX_FAULTS, told


class Card(BaseModel):
    kind: Literal["card"]
    number: str
    limit: int = Field(default=0, le=1000)

    @field_validator("number")
    @classmethod
    def _check(cls, value: str) -> str:
        if value.startswith("custom"):
            raise PydanticCustomError("no_card", "no such card: {number}", {"number": value})
        assert not value.startswith("assert"), f"{value} asserted"
        if not value.isdigit():
            raise ValueError(f"{value} is no number")
        return value


class Cash(BaseModel):
    kind: Literal["cash"]


def faults_of(values: Any, *, within: str = "details") -> str:
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[Card | Cash, Field(discriminator="kind")])
    with pytest.raises(ValidationError) as refused:
        adapter.validate_python(values)
    return told(refused.value, within=within, values=values)


@pytest.mark.parametrize("secret", ["hunter2-hunter2", "custom-hunter2", "assert-hunter2"])
def test_what_a_validator_quotes_is_left_out(secret: str) -> None:
    """P9: the text goes to logs and headers, and the value may be a secret."""
    says = faults_of({"kind": "card", "number": secret, "more": [{"deep": secret}]})

    assert says.startswith("details.card.number: ")
    assert "***" in says
    assert "hunter2" not in says


def test_a_tag_that_pydantic_quotes_is_left_out() -> None:
    """The one text of pydantic that holds a value."""
    says = faults_of({"kind": "hunter2-hunter2"})

    assert "does not match" in says
    assert "hunter2" not in says


def test_numbers_are_values_too() -> None:
    """Not every secret is text."""
    error = _error_of_number(40111222333)

    assert told(error, within="details", values={"a": [40111222333]}) == "details: Value error, *** is odd"


def _error_of_number(number: int) -> ValidationError:
    def refuse(value: int) -> int:
        raise ValueError(f"{value} is odd")

    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Annotated[int, AfterValidator(refuse)]).validate_python(number)
    return refused.value


def test_pydantics_own_words_are_left_alone() -> None:
    """A value that happens to be a word or a limit of the explanation must not cost the reader that word."""
    says = faults_of({"kind": "card", "number": "1000", "limit": 5000, "more": ["than", "1000", "equal"]})

    assert says == "details.card.limit: Input should be less than or equal to 1000"


def test_the_whole_has_a_name_too() -> None:
    """A fault of the body itself has no place inside it."""
    assert faults_of([], within="").startswith("body: Input should be")
    assert faults_of([]).startswith("details: Input should be")


def test_a_list_of_faults_is_cut() -> None:
    """A body of a million faults must not become a text of a million lines."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(list[int]).validate_python(["x"] * 100)

    assert told(refused.value).count(";") == MAX_FAULTS - 1
