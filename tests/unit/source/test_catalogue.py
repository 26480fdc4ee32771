"""``bus_amqp.source.catalogue``: the known types, what is added to them, and who is told of a slip."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source import catalogue as under_test
from bus_amqp.source.catalogue import Catalogue, known_event_types

KUBERNETES = {"KUBERNETES.CLUSTER.HIBERNATE": "KubernetesCluster"}
AddedBy = Callable[..., Catalogue]


def types_of_a_function() -> list[str]:
    return ["LOTTERY.DRAW"]


def types_of_a_broken_function() -> list[str]:
    raise RuntimeError("no database")


def types_of_a_function_that_exits() -> list[str]:
    raise SystemExit("lottery needs a licence")


TWO_OF_WHICH_ONE_IS_WRONG = ["LOTTERY.WIN", "LOTTERY..LOSE"]


@pytest.fixture
def added_by(monkeypatch: pytest.MonkeyPatch) -> Iterator[AddedBy]:
    """Return a function that gives the catalogue as it is when packages with these entry points are installed."""

    def catalogue_with(*objects: str) -> Catalogue:
        points = [EntryPoint(name, f"{__name__}:{name}", under_test.ENTRY_POINT_GROUP) for name in objects]
        monkeypatch.setattr(under_test, "entry_points", lambda group: points)
        known_event_types.cache_clear()
        return known_event_types()

    yield catalogue_with
    known_event_types.cache_clear()


def test_the_known_types_are_there_with_their_resource_types() -> None:
    """What the catalogue is for: one place that knows which types there are and what they are about."""
    catalogue = known_event_types()

    assert len(catalogue) > 600
    assert "VM.START" in catalogue
    assert "ALERT.MEMORY" in catalogue
    assert catalogue.resource_type("VM.START") == "VirtualMachine"
    assert catalogue.resource_type("ALERT.MEMORY") == ""
    assert catalogue.resource_type("LOTTERY.DRAW") == ""


@pytest.mark.parametrize(
    ("event_type", "resource_type"),
    [("LB.DELETE", "LoadBalancer"), ("MAINT.PREPARE.PS", "StoragePool"), ("HOST.ROLLING.MAINTENANCE", "Host")],
)
def test_resource_types_are_those_of_the_resource(event_type: str, resource_type: str) -> None:
    """The original list names FirewallRule, Host and HostResponse: who subscribes by resource type would miss them."""
    assert known_event_types().resource_type(event_type) == resource_type


def test_no_resource_type_has_a_dot_or_a_package() -> None:
    """Subscribers compare them word for word: an oddity of one type would be theirs to know."""
    catalogue = known_event_types()

    assert {kind for word in catalogue if not (kind := catalogue.resource_type(word)).isalnum() and kind} == set()
    assert {kind for word in catalogue if (kind := catalogue.resource_type(word)).endswith("Response")} == set()


def test_a_slip_is_suggested_and_a_known_type_is_not() -> None:
    """`suggest` answers one question: did you mean another one?"""
    catalogue = known_event_types()

    assert catalogue.suggest("VM.STRAT") == "VM.START"
    assert catalogue.suggest("VM.START") is None
    assert catalogue.suggest("LOTTERY.DRAW") is None


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [("VMM.#", "VM.#"), ("*.STRAT", "*.START"), ("#.delete", "#.DELETE"), ("VM.STRAT", "VM.START"),
     ("VM.#", None), ("#", None), ("LOTTERY.#", None), ("VM.START.#", None)],
)  # fmt: skip
def test_a_slip_in_a_pattern_is_suggested(pattern: str, meant: str | None) -> None:
    """A mistyped pattern waits for events that never come, and silence looks like peace."""
    assert known_event_types().suggest_pattern(pattern) == meant


def test_an_installed_package_adds_its_types(added_by: AddedBy) -> None:
    """A plug-in's types are as known as ours, with no code in the management server."""
    catalogue = added_by("KUBERNETES", "types_of_a_function")

    assert catalogue.resource_type("KUBERNETES.CLUSTER.HIBERNATE") == "KubernetesCluster"
    assert "LOTTERY.DRAW" in catalogue
    assert catalogue.suggest("LOTTREY.DRAW") == "LOTTERY.DRAW"


def test_a_package_is_found_by_its_metadata_alone(tmp_path: Path) -> None:
    """As pip leaves a package behind: a module, and a line in its entry points."""
    (tmp_path / "lottery.py").write_text('EVENT_TYPES = {"LOTTERY.DRAW": "Lottery"}')
    metadata = tmp_path / "lottery-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lottery\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[bus_amqp.event_types]\nlottery = lottery:EVENT_TYPES\n")
    program = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "from bus_amqp.source.catalogue import known_event_types\n"
        "print(known_event_types().resource_type('LOTTERY.DRAW'))"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout == "Lottery\n"


@pytest.mark.parametrize(
    "broken",
    [
        "nothing_of_that_name",
        "types_of_a_broken_function",
        "types_of_a_function_that_exits",
        "TWO_OF_WHICH_ONE_IS_WRONG",
    ],
)
def test_a_broken_package_is_told_and_left_out(
    broken: str, added_by: AddedBy, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody's broken plug-in must not keep a management server from publishing."""
    catalogue = added_by(broken, "KUBERNETES")

    assert "VM.START" in catalogue
    assert "KUBERNETES.CLUSTER.HIBERNATE" in catalogue
    assert "LOTTERY.WIN" not in catalogue
    assert f"event types of entry point {broken}" in caplog.text


@pytest.mark.parametrize("event_type", ["", "VM..START", ".START", "VM.*", "VM.#", 7])
def test_what_cannot_be_a_type_is_refused(event_type: object) -> None:
    """A pattern in the catalogue would be offered as a type to publish."""
    with pytest.raises(InvalidArgumentError, match="event type"):
        Catalogue().add(event_type)  # type: ignore[arg-type]  # on purpose


def test_a_resource_type_must_be_a_word() -> None:
    """Told to who adds it, not to who publishes."""
    with pytest.raises(InvalidArgumentError, match=r"resource type of LOTTERY\.DRAW"):
        Catalogue({"LOTTERY.DRAW": None})  # type: ignore[dict-item]  # on purpose


def test_a_slip_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A source publishes thousands of an hour: one line says it all."""
    catalogue = Catalogue({"VM.START": "VirtualMachine"})

    for _ in range(3):
        catalogue.look_at("VM.STRAT")
        catalogue.look_at("VM.START")
        catalogue.look_at("LOTTERY.DRAW")

    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_types_that_are_made_up_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that puts an id into the type would otherwise search and remember without end."""
    catalogue = Catalogue({"VM.START": "VirtualMachine"})
    searched: list[str] = []
    monkeypatch.setattr(under_test, "nearest", lambda given, known: searched.append(given))

    for number in range(2000):
        catalogue.look_at(f"VM.{number}")

    assert len(searched) == 256


def test_a_type_that_becomes_known_is_no_longer_unknown(caplog: pytest.LogCaptureFixture) -> None:
    """A plug-in that is loaded later may bring the types that were asked for before."""
    catalogue = Catalogue({"VM.START": "VirtualMachine"})
    catalogue.look_at("LOTTERY.DRAW")

    catalogue.add("LOTTERY.DRAW", "Lottery")

    assert list(catalogue) == ["VM.START", "LOTTERY.DRAW"]
    assert caplog.records == []


@pytest.mark.parametrize("text", ["LOTTERY", b"LOTTERY"])
def test_one_text_is_not_several_types(text: object) -> None:
    """An entry point that names one would make L, O and T known types, and offer them on the command line."""
    catalogue = Catalogue()

    with pytest.raises(InvalidArgumentError, match="several, not one text"):
        catalogue.update(text)  # type: ignore[arg-type]  # on purpose

    assert list(catalogue) == []
