"""What installed distributions announce, and which of it is run."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.process.plug_ins import Choice, PlugIn, chosen, described, installed_plug_ins
from bus_amqp.topic import EventTopic
from tests.distributions import write_distribution

BILLING = PlugIn("billing", "acme_billing:subscribers", "acme-billing", "1.0")
AUDIT = PlugIn("audit", "auditors:subscribers", "auditors", "2.1")
OTHER_BILLING = PlugIn("billing", "books:subscribers", "books", "0.3")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed distributions."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


def announced() -> tuple[PlugIn, ...]:
    """Return what these tests have installed, whatever the environment has besides."""
    return tuple(one for one in installed_plug_ins() if one.distribution.startswith("acme-"))


def test_what_an_installed_distribution_announces_is_found(site: Path) -> None:
    """An extension is a hook that needs no code in the management server: installing it is enough."""
    write_distribution(site, "acme-billing", {"billing": "acme_billing:subscribers"}, version="1.4")
    write_distribution(site, "acme-audit", {"audit": "acme_audit:opened [extra]"})

    assert announced() == (
        PlugIn("audit", "acme_audit:opened", "acme-audit", "1.0"),
        PlugIn("billing", "acme_billing:subscribers", "acme-billing", "1.4"),
    )
    assert str(announced()[1]) == "billing (of acme-billing 1.4)"


def test_finding_imports_nothing(site: Path) -> None:
    """A plug-in that is left out must not run a line of its code, least of all when it is broken."""
    name = write_distribution(site, "acme-broken", {"broken": "acme_broken:subscribers"}, module="1 / 0")

    assert chosen([*announced(), AUDIT], Choice(without=("broken",))) == (AUDIT,)
    assert name not in sys.modules


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (Choice(), ["audit", "billing"]),
        (Choice(only=("billing",)), ["billing"]),
        (Choice(only=("billing", "audit")), ["audit", "billing"]),
        (Choice(without=("audit",)), ["billing"]),
    ],
)
def test_all_run_or_those_that_were_named(choice: Choice, names: list[str]) -> None:
    """An operator splits plug-ins over processes: each runs in the process that names it, and in no other."""
    assert [one.name for one in chosen([AUDIT, BILLING], choice)] == names


@pytest.mark.parametrize(
    ("plug_ins", "choice", "fault"),
    [
        ([], Choice(), "no plug-in is installed: .* bus_amqp.subscribers"),
        ([BILLING], Choice(only=("biling",)), "named 'biling': did you mean billing"),
        ([BILLING], Choice(without=("zzz",)), "named 'zzz': installed are billing"),
        ([BILLING], Choice(without=("billing",)), "all 1 installed plug-ins are left out"),
        (
            [BILLING, OTHER_BILLING],
            Choice(),
            "2 plug-ins are named 'billing': acme_billing:subscribers of acme-billing and books:subscribers of books",
        ),
    ],
)
def test_a_choice_that_cannot_be_meant_is_refused(plug_ins: list[PlugIn], choice: Choice, fault: str) -> None:
    """Each is a slip in a unit file: a process that started all the same would do something else than it says."""
    with pytest.raises(InvalidArgumentError, match=fault):
        chosen(plug_ins, choice)


def test_two_of_one_name_hold_up_nobody_who_leaves_them_out() -> None:
    """The message says how to go on: that way must be open."""
    assert chosen([AUDIT, BILLING, OTHER_BILLING], Choice(without=("billing",))) == (AUDIT,)


def test_a_list_is_described_without_a_bus(site: Path) -> None:
    """An operator wants to know what a plug-in would subscribe to before it does."""
    write_distribution(site, "acme-billing", {"billing": "acme_billing:subscribers"})

    description = described(announced()[0])

    (declared,) = description.declared
    assert declared.topics == (EventTopic(event_category="UsageEvent", event_type="VM.#"),)
    assert declared.options.group == "acme-billing"
    assert (description.fault, description.needs_bus) == ("", False)


def test_a_function_of_the_bus_is_described_as_one_and_not_called(site: Path) -> None:
    """It may open a database: looking must do nothing."""
    name = write_distribution(site, "acme-billing", {"billing": "acme_billing:opened"})

    assert described(announced()[0]).needs_bus
    assert sys.modules[name].steps == []


@pytest.mark.parametrize(
    ("reference", "module", "fault"),
    [
        ("acme_billing:subscribers", "1 / 0", r"ZeroDivisionError: division by zero \(.*acme_billing.py, line 1\)"),
        ("acme_billing:subscribers", "import sys; sys.exit('needs numpy')", "SystemExit: needs numpy"),
        ("acme_billing:subscriber", "subscribers = 1", "did you mean subscribers"),
        ("acme_billing:empty", "from bus_amqp import Subscribers; empty = Subscribers()", "declares no subscription"),
        ("acme_billing", "", "not of the form package.module:name"),
        ("acme_gone:subscribers", "", r"there is no module 'acme_gone' \(looked"),
    ],
)
def test_why_a_plug_in_is_broken_is_told(site: Path, reference: str, module: str, fault: str) -> None:
    """Whoever reads the list has not written the plug-in: the reason goes to its author as it is."""
    write_distribution(site, "acme-billing", {"billing": reference}, module=module.replace("{", "{{"))

    (plug_in,) = announced()

    assert re.search(fault, described(plug_in).fault)


def test_plug_ins_are_not_looked_for_in_the_current_directory(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that lies where a service happens to start must not take the place of what is installed."""
    write_distribution(site, "acme-billing", {"billing": "acme_elsewhere:subscribers"})
    here = tmp_path / "here"
    here.mkdir()
    (here / "acme_elsewhere.py").write_text("subscribers = 1")
    monkeypatch.chdir(here)

    assert described(announced()[0]).fault == "there is no module 'acme_elsewhere' (looked on the path)"
