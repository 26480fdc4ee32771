"""What an operator may give a consumer process wrongly; it is told before or instead of serving."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus_amqp.bus import EventBus
from bus_amqp.engine.brokered_bus import BrokeredBus
from bus_amqp.errors import EventBusException, InvalidArgumentError
from bus_amqp.process.runner import Consumer, run_consumer
from bus_amqp.settings import Settings

MEMORY = Settings(url="memory://runner")
MODULE = """
from bus_amqp import EventTopic, Subscribers

subscribers = Subscribers()
subscribers.on(EventTopic())(print)
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "served.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("served", None)


def test_the_ready_file_of_an_earlier_run_does_not_tell_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed process leaves its file: whoever waits for it would go on before anything consumes."""
    ready = tmp_path / "ready"
    ready.touch()

    with pytest.raises(EventBusException):
        run_consumer(Consumer("served:subscribers", ready_file=ready), Settings(url="nowhere://"))

    assert not ready.exists()

    def serve(bus: EventBus) -> None:
        assert ready.exists()

    monkeypatch.setattr(BrokeredBus, "run_until_signal", serve)
    run_consumer(Consumer("served:subscribers", ready_file=ready), MEMORY)


@pytest.mark.parametrize(
    ("consumer", "fault"),
    [
        (Consumer("served:subscribers", ready_file=Path("gone/ready")), "ready file gone/ready: No such file"),
        (Consumer("served:subscribers", ledger=Path("gone/books")), "ledger gone/books: No such file"),
    ],
)
def test_a_file_that_cannot_be_made_is_named(consumer: Consumer, fault: str) -> None:
    """A traceback out of `touch` names everything but the option at fault."""
    with pytest.raises(InvalidArgumentError, match=fault):
        run_consumer(consumer, MEMORY)
