"""The guide's page on CloudStack: its examples run, and its commands and reasons are the program's."""

import re
from pathlib import Path

from bus_amqp.cli.main import main
from bus_amqp.extension.cloudstack.twins import WINDOW_SECONDS, TwinPolicy

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs/guide/cloudstack.md").read_text()


def test_every_example_of_the_page_runs() -> None:
    """An example that does not run costs its reader an hour and us a user."""
    examples = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

    for example in examples:
        exec(compile(example, "cloudstack.md", "exec"), {"__name__": "guide"})

    assert len(examples) == 3


def test_the_page_names_every_reason_and_every_policy() -> None:
    """Who finds a dead letter looks its reason up here."""
    sources = [file.read_text() for file in (TOP / "bus_amqp/extension/cloudstack").glob("*.py")]
    reasons = {reason for text in sources for reason in re.findall(r'reason="([a-z-]+)"', text)}

    assert reasons == {"cloudstack-key", "cloudstack-body", "cloudstack-event", "not-json"}
    assert all(f"`{word}`" in PAGE for word in (*reasons, *TwinPolicy))
    assert f"within {WINDOW_SECONDS:.0f} seconds" in PAGE


def test_the_options_that_the_page_names_are_there(capsys) -> None:  # type: ignore[no-untyped-def]  # pytest's own
    """A command that was copied from here must not end with "no such option"."""
    for command, options in {
        ("tail",): ("--cloudstack", "--from", "--type", "--json"),
        ("bridge", "cloudstack"): ("--exchange", "--from", "--twins"),
        ("permissions",): ("--publisher", "--group", "--reads", "--user"),
    }.items():
        assert main([*command, "--help"]) == 0
        told = capsys.readouterr().out
        assert all(option in told and option in PAGE for option in options)
