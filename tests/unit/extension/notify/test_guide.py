"""What the guide shows is what the code takes."""

import re
from pathlib import Path

import pytest

from bus_amqp.extension.notify.condition import COMPARISONS
from bus_amqp.extension.notify.field import EVENT_FIELDS
from bus_amqp.extension.notify.rule_file import _RuleTable, read_rules

GUIDE = (Path(__file__).parents[4] / "docs/guide/notify.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_each_snippet_of_the_guide_is_a_rule_file(snippet: str, tmp_path: Path) -> None:
    """A stranger starts by copying; what he copies has to work."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/oncall.url").write_text(f"twilio://AC{'0' * 32}:{'0' * 32}@15550100001/15550100002")
    file = tmp_path / "rules.toml"
    if "[rule." not in snippet:
        snippet += '[rule.a]\nchannels = ["operations", "relay", "oncall", "chat", "own"]\n'
    file.write_text(snippet)

    assert read_rules(file).rules


def test_the_guide_names_every_key() -> None:
    """A key that the guide leaves out is used by nobody."""
    keys = {*_RuleTable.model_fields, *COMPARISONS, *EVENT_FIELDS, "exists", "all", "any", "not", "url_file"}

    assert {key for key in keys if f"`{key}`" not in GUIDE} == set()
