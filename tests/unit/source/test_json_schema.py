"""``bus_amqp.source.json_schema``: which model a category's details have."""

import pytest

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.action_details import ActionDetails
from bus_amqp.source.json_schema import details_model, details_name


def test_a_category_leads_to_its_model() -> None:
    """Tools that read any event find the model of its details."""
    assert details_model("ActionEvent") is ActionDetails


@pytest.mark.parametrize(("category", "hint"), [("AktionEvent", "did you mean ActionEvent"), ("Weather", "use one of")])
def test_an_unknown_category_is_refused_with_a_hint(category: str, hint: str) -> None:
    """Here the set is closed: a category without a model has no typed details."""
    with pytest.raises(InvalidArgumentError, match=hint):
        details_model(category)


def test_a_schema_is_named_after_its_model() -> None:
    """The name is part of the contract: it stands in the file's name and in its $id."""
    assert details_name(ActionDetails) == "action-details"
