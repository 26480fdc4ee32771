import sys
import tomllib
from pathlib import Path

import pytest

import bus_amqp
from bus_amqp.cli.demo import parties
from bus_amqp.errors import EventBusException

TOP = Path(__file__).parents[4]


def test_the_parties_are_the_examples_of_the_documentation() -> None:
    """There is one copy of their code, in a checkout and in a wheel."""
    assert parties.reference_of("billing") == "docs.examples.billing:subscribers"
    assert Path(str(parties.module_of("workflow").__file__)).parts[-3:] == ("docs", "examples", "workflow.py")


def test_a_wheel_carries_them_under_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed, there is no folder `docs`; and one that its user has beside is none of ours."""
    build = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    [(source, target)] = [pair for pair in build["force-include"].items() if pair[1].endswith("examples")]
    (tmp_path / target).parent.mkdir()
    (tmp_path / target).symlink_to(TOP / source)
    monkeypatch.setattr(bus_amqp, "__path__", [*bus_amqp.__path__, str(tmp_path / "bus_amqp")])
    try:
        assert parties.reference_of("monitoring") == "bus_amqp.examples.monitoring:subscribers"
        assert parties.module_of("workflow").__file__ == str(tmp_path / "bus_amqp/examples/workflow.py")
    finally:
        for name in ("bus_amqp.examples", "bus_amqp.examples.workflow"):
            sys.modules.pop(name, None)
        vars(bus_amqp).pop("examples", None)


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pip install bus-amqp` leaves SQLAlchemy out: the demo must say how to get it, before a broker is started."""
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    monkeypatch.delitem(sys.modules, "docs.examples.billing", raising=False)

    with pytest.raises(EventBusException, match=r"billing .* needs sqlalchemy, .* pip install 'bus-amqp\[examples\]'"):
        parties.module_of("billing")


def test_where_there_are_no_examples_it_says_where_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that leaves them out must not end in an ImportError of a name that its user has never heard."""
    monkeypatch.setattr(parties, "_PACKAGES", ("bus_amqp.nowhere", "no_docs.examples"))

    with pytest.raises(EventBusException, match=r"bus_amqp\.nowhere and no_docs\.examples"):
        parties.module_of("billing")
