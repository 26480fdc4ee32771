"""Installed plug-ins together on one bus: who runs, who is refused, and who is told."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bus_amqp import Event, EventTopic, Subscribers, connect
from bus_amqp.bus import EventBus
from bus_amqp.errors import EventBusException, GroupConflictError, TopologyMismatchError
from bus_amqp.process import installed
from bus_amqp.process.installed import Crew, check_apart
from bus_amqp.process.ledger import Ledger
from bus_amqp.process.plug_ins import Choice, PlugIn, installed_plug_ins
from tests.distributions import write_distribution
from tests.promise.waiting import wait_until

USAGE = Event(event_category="UsageEvent", event_type="VM.START", event_source="test", resource_uuid="vm-1")
SKIPPING = Choice(is_skipping_broken=True)
Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with one plug-in of its own name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    found = installed_plug_ins  # whatever else the environment has is none of these tests' business
    monkeypatch.setattr(
        installed, "installed_plug_ins", lambda: [one for one in found() if one.distribution.startswith("acme-")]
    )
    made = []

    def write(name: str, attribute: str = "subscribers", **more: str) -> str:
        made.append(name.replace("-", "_"))
        return write_distribution(tmp_path, name, {name: f"{made[-1]}:{attribute}"}, **more)

    yield write
    for name in made:
        sys.modules.pop(name, None)


@pytest.fixture
def bus(exchange: str) -> Iterator[EventBus]:
    with connect(f"memory://{exchange}") as opened:
        yield opened


def test_every_plug_in_gets_the_events_that_it_asked_for(install: Install, bus: EventBus, tmp_path: Path) -> None:
    """Two extensions of two authors are served side by side, and both are in the books."""
    one, other = install("acme-billing"), install("acme-audit", "opened")

    with ExitStack() as stack, Ledger(tmp_path / "books") as ledger:
        Crew(Choice()).subscribe(bus, stack, ledger)
        bus.publish(USAGE)
        wait_until(lambda: sys.modules[one].seen and sys.modules[other].seen, "both have seen it")
        wait_until(lambda: (tmp_path / "books").read_text().count("handled") == 2, "both are in the books")

        assert sys.modules[other].steps == ["opened"]
    assert sys.modules[other].steps == ["opened", "closed while the bus is closed"]


@pytest.mark.parametrize(
    ("attribute", "more", "fault"),
    [
        ("subscribers", {"module": "1 / 0"}, r"plug-in acme-b \(of acme-b 1.0\): .*ZeroDivisionError"),
        ("failing", {}, r"plug-in acme-b \(of acme-b 1.0\): .*cannot be opened: OSError: no database"),
        ("empty", {}, r"plug-in acme-b \(of acme-b 1.0\): .*declares no subscription"),
    ],
)
def test_a_broken_plug_in_keeps_the_process_from_starting(
    install: Install, bus: EventBus, attribute: str, more: dict[str, str], fault: str
) -> None:
    """By default nobody runs without billing because billing could not be imported."""
    whole = install("acme-a", "opened")
    install("acme-b", attribute, **more)

    with pytest.raises(EventBusException, match=fault), ExitStack() as stack:
        Crew(Choice()).subscribe(bus, stack, None)

    assert bus.health().subscriptions == ()
    assert len(getattr(sys.modules[whole], "steps", [])) in (0, 2), "what was opened is closed"


@pytest.mark.parametrize(("attribute", "more"), [("subscribers", {"module": "1 / 0"}), ("failing", {}), ("empty", {})])
def test_with_skip_broken_the_others_run_and_the_log_says_who_does_not(
    install: Install, bus: EventBus, caplog: pytest.LogCaptureFixture, attribute: str, more: dict[str, str]
) -> None:
    """Going on without a plug-in is the operator's choice, and must be seen without comparing lists."""
    install("acme-a")
    install("acme-b", attribute, **more)

    with caplog.at_level(logging.INFO, "bus_amqp.process"), ExitStack() as stack:
        Crew(SKIPPING).subscribe(bus, stack, None)
        assert len(bus.health().subscriptions) == 1

    skipped, serving = caplog.messages
    assert skipped.startswith("plug-in acme-b (of acme-b 1.0) is skipped: ")
    assert serving == "serving 1 of 2 plug-ins: acme-a (of acme-a 1.0)"


def test_a_process_with_nothing_left_to_run_does_not_start(install: Install) -> None:
    """It would look well for ever and wait for nothing."""
    install("acme-b", module="1 / 0")

    with pytest.raises(EventBusException, match="none of the 1 plug-ins can be run"):
        Crew(SKIPPING)


def test_one_that_the_broker_refuses_is_closed_and_skipped(
    install: Install, bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue with other arguments is one plug-in's affair; what it had opened must not stay open for nothing."""
    refused, served = install("acme-a", "opened"), install("acme-b")
    subscribe_all = bus.subscribe_all

    def refuse_the_first(subscribers: Subscribers) -> object:
        if subscribers is sys.modules[refused].subscribers:
            raise TopologyMismatchError("the queue has other arguments")
        return subscribe_all(subscribers)

    monkeypatch.setattr(bus, "subscribe_all", refuse_the_first)

    with ExitStack() as stack:
        Crew(SKIPPING).subscribe(bus, stack, None)

        assert sys.modules[refused].steps == ["opened", "closed while the bus is open"]
        bus.publish(USAGE)
        wait_until(lambda: sys.modules[served].seen, "the other is served")


def test_a_broker_that_is_away_is_no_plug_ins_fault(install: Install, bus: EventBus) -> None:
    """Skipping for it would start a process without any plug-in, for good."""
    install("acme-a", module="from bus_amqp import ConnectionLostError\ndef subscribers(bus):\n"
            "    raise ConnectionLostError('the broker is away')")  # fmt: skip

    with pytest.raises(EventBusException, match=r"plug-in acme-a .*the broker is away"), ExitStack() as stack:
        Crew(SKIPPING).subscribe(bus, stack, None)


@pytest.mark.parametrize(
    ("topic", "ordered", "fault"),
    [
        ("VM.#", False, "so that each would get only a part of the events"),
        ("VOLUME.#", False, "with different topics or options"),
        ("VM.#", True, "with different topics or options"),
    ],
)
def test_two_that_use_one_group_are_refused(topic: str, ordered: bool, fault: str) -> None:
    """The members of a group share its events: two plug-ins would each miss what the other gets."""
    one, other = Subscribers(), Subscribers()
    one.on(EventTopic(event_type="VM.#"), group="shared")(print)
    other.on(EventTopic(event_type=topic), group="shared", ordered=ordered)(print)

    with pytest.raises(GroupConflictError, match=fault) as refused:
        check_apart([(PlugIn("a", "a:b", "acme-a", "1.0"), one), (PlugIn("b", "b:c", "acme-b", "2.0"), other)])

    assert "a (of acme-a 1.0) and b (of acme-b 2.0) both use group 'shared'" in str(refused.value)
    assert "--except b" in str(refused.value)


def test_one_plug_in_may_share_a_group_with_itself() -> None:
    """Two handlers of one author on one group are his design; and no group is nobody's."""
    one, other = Subscribers(), Subscribers()
    for _ in range(2):
        one.on(EventTopic(), group="shared")(print)
        one.on(EventTopic())(print)
        other.on(EventTopic())(print)

    check_apart([(PlugIn("a", "a:b", "acme-a", "1.0"), one), (PlugIn("b", "b:c", "acme-b", "2.0"), other)])
