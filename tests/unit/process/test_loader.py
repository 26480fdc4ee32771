import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from bus_amqp.bus import EventBus
from bus_amqp.errors import EventBusException, InvalidArgumentError
from bus_amqp.process.loader import load_subscribers

MODULE = """
from contextlib import contextmanager
from bus_amqp import EventTopic, Subscribers

steps = []
plain = Subscribers()
plain.on(EventTopic())(print)
empty = Subscribers()
number = 41

def made(bus):
    steps.append(bus)
    return plain

def wrong(bus):
    return [plain]

def failing(bus):
    raise OSError("no database")

@contextmanager
def opened(bus):
    steps.append("open")
    yield plain
    steps.append("closed")
"""
NO_BUS = cast(EventBus, object())  # the loader hands it on and does nothing with it


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "parties.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "parties"
    sys.modules.pop("parties", None)


def test_a_module_of_the_current_directory_is_found(module: str) -> None:
    """`bus-amqp run billing:subscribers` is typed beside billing.py; a console script does not look there."""
    with load_subscribers(f"{module}:plain")(NO_BUS) as subscribers:
        assert len(subscribers) == 1


def test_a_function_gets_the_bus(module: str) -> None:
    """A subscriber that publishes needs the bus it is subscribed on."""
    with load_subscribers(f"{module}:made")(NO_BUS) as subscribers:
        assert len(subscribers) == 1
    assert sys.modules[module].steps == [NO_BUS]


def test_a_context_manager_is_closed_at_the_end(module: str) -> None:
    """A database that the subscribers opened must be closed when the process ends."""
    with load_subscribers(f"{module}:opened")(NO_BUS) as subscribers:
        assert len(subscribers) == 1
        assert sys.modules[module].steps == ["open"]
    assert sys.modules[module].steps == ["open", "closed"]


@pytest.mark.parametrize(
    ("reference", "fault"),
    [
        ("parties", "not of the form package.module:name"),
        ("parties:", "not of the form"),
        ("./parties.py:plain", "not of the form"),
        ("partys:plain", "there is no module 'partys'"),
        ("parties.inner:plain", "there is no module 'parties.inner'"),
        ("parties:plane", r"no name 'plane': did you mean plain\?"),
        ("parties:number", "is a int, not a Subscribers or a function"),
    ],
)
def test_what_cannot_be_found_is_named(module: str, reference: str, fault: str) -> None:
    """An operator must be able to correct a unit file from the message alone."""
    with pytest.raises(InvalidArgumentError, match=fault):
        load_subscribers(reference)


@pytest.mark.parametrize(("name", "fault"), [("wrong", "returned a list"), ("empty", "declares no subscription")])
def test_what_is_no_list_of_subscriptions_is_refused(module: str, name: str, fault: str) -> None:
    """A process that waits for nothing would look well for ever."""
    with (
        pytest.raises(InvalidArgumentError, match=fault),
        load_subscribers(f"{module}:{name}")(NO_BUS),
    ):
        pytest.fail("the subscribers were accepted")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import nowhere_to_be_found", "imports 'nowhere_to_be_found', which is not there"),
        ("x = 1\n1 / 0", r"ZeroDivisionError: division by zero \(.*broken\.py, line 2\)"),
        ("raise SystemExit('needs numpy')", r"SystemExit: needs numpy \(.*broken\.py, line 1\)"),
    ],
)
def test_a_module_that_fails_is_told_with_its_own_fault(module: str, tmp_path: Path, text: str, fault: str) -> None:
    """'No such module' for a module that is there would send people looking in the wrong place."""
    (tmp_path / "broken.py").write_text(text)

    with pytest.raises(InvalidArgumentError, match=fault):
        load_subscribers("broken:subscribers")


def test_a_function_that_fails_is_told_with_its_own_fault(module: str) -> None:
    """A database that is not there is the usual reason; the place is in the user's file, not in ours."""
    with (
        pytest.raises(EventBusException, match=r"parties:failing .* OSError: no database \(.*parties\.py, line \d+\)"),
        load_subscribers(f"{module}:failing")(NO_BUS),
    ):
        pytest.fail("there are no subscribers")


def test_the_loader_passes_errors_of_the_block_through(module: str) -> None:
    """A failing subscribe must not be swallowed by the subscribers' own context manager."""

    @contextmanager
    def failing() -> Iterator[None]:
        with load_subscribers(f"{module}:opened")(NO_BUS):
            yield

    with pytest.raises(RuntimeError, match="subscribe"), failing():
        raise RuntimeError("subscribe")
