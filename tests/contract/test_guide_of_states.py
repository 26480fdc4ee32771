"""The guide's page on states, usage and jobs: its examples run, and its table is the code's."""

import re
from pathlib import Path

from bus_amqp.source.usage_details import UsageFacts
from bus_amqp.source.usage_meter import DEFAULT_RULES, Meter

PAGE = (Path(__file__).parents[2] / "docs/guide/states-usage-jobs.md").read_text()


def test_every_example_of_the_page_runs() -> None:
    """An example that does not run costs its reader an hour and us a user."""
    examples = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {"__name__": "guide"}

    for example in examples:
        exec(compile(example, "states-usage-jobs.md", "exec"), names)

    assert len(examples) >= 8


def test_the_table_of_meters_is_the_code_s() -> None:
    """Who bills by this page must not find other states in the code."""
    rows = {
        (cells[0], cells[2].strip("`"), cells[3].strip("`")): cells[1]
        for line in re.findall(r"^\| (?:VirtualMachine|Volume|Snapshot|Network) \|.*$", PAGE, re.MULTILINE)
        for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
    }

    assert len(rows) == len(DEFAULT_RULES)
    for rule in DEFAULT_RULES:
        if isinstance(rule, Meter):
            told = rows[rule.resource_type, rule.begins, rule.ends]
            if not told.startswith("all states but"):
                assert set(told.split(", ")) == rule.states
        else:
            assert (rule.resource_type, rule.usage_type, "") in rows


def test_the_page_names_every_fact() -> None:
    """A fact that the page leaves out is one that nobody gives, and that is missing on the bill."""
    told = re.findall(r"`([a-z_]+)`", PAGE)

    assert set(UsageFacts.model_fields) - {"version"} <= set(told)
