"""P2 where one script stores events by several ways: they are sent in the order in which they were stored."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bus_amqp import EventTopic, OutboxFullError, Settings, connect
from bus_amqp.cli import shortcut
from bus_amqp.cli.main import main
from bus_amqp.process.forwarder import forward
from bus_amqp.publish import loose_event
from bus_amqp.settings import PublisherSettings
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import an_event
from tests.promise.waiting import TIMEOUT_SECONDS
from tests.promise.world import MemoryWorld

_STEPS = st.lists(st.sampled_from(["shortcut", "shortcut", "command", "bus", "forward", "clock"]), max_size=12)


def arguments(directory: Path, number: int, exchange: str) -> list[str]:
    event = ["-c", "UsageEvent", "-t", "VM.START", "-s", "cron", "--details", f'{{"number": {number}}}']
    return ["publish", "--spool", str(directory), "--exchange", exchange, *event]


@given(_STEPS)
@example(["shortcut"] * 7 + ["clock", "shortcut", "command", "shortcut", "forward", "shortcut", "clock", "bus"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_p2_whichever_way_each_call_takes_the_order_is_that_of_the_calls(
    memory_world: MemoryWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[str]
) -> None:
    """Shortcut, command, a whole bus, `forward` in between, a clock set back: a script's lines keep their order."""
    shutil.rmtree(tmp_path / "spool", ignore_errors=True)
    (tmp_path / "spool").mkdir()
    directory, exchange = tmp_path / "spool", memory_world.exchange
    with_directory = Settings(
        url=memory_world.broker.address, exchange=exchange, publisher=PublisherSettings(outbox_directory=directory)
    )
    monkeypatch.setattr(loose_event, "MAX_LOOSE", 3)  # more of them go by the command
    now_ns = 1_800_000_000 * 10**9
    recorder = Recorder()
    with memory_world.connect() as watcher:
        watcher.subscribe(EventTopic(), recorder)
        count = 0
        for step in (*steps, "forward"):
            now_ns += 1_000_000_000 if step != "clock" else -3600 * 10**9
            monkeypatch.setattr(shortcut, "time", SimpleNamespace(time_ns=lambda: now_ns))  # noqa: B023 -- used at once
            line = arguments(directory, count, exchange)
            if step == "forward":
                forward(directory, with_directory, is_once=True, timeout_seconds=TIMEOUT_SECONDS)
            elif step == "bus":
                with connect(settings=with_directory) as bus:
                    bus.publish(an_event(count))
            elif step == "command" or (step == "shortcut" and not shortcut.stored(line)):
                assert main(line) == 0
            count += step not in ("forward", "clock")
        recorder.wait_for(count)
    assert [event.details["number"] for event in recorder.events] == list(range(count))
    assert [path.name for path in directory.iterdir()] == []


def test_p1_loose_events_count_for_the_cap_of_a_spool(memory_world: MemoryWorld, tmp_path: Path) -> None:
    """By the shortcut a cap is exceeded by 256 events at most: the command that comes then gathers none and says so."""
    small = Settings(exchange=memory_world.exchange, publisher=PublisherSettings(outbox_events=5))
    for number in range(3):
        assert shortcut.stored(arguments(tmp_path, number, memory_world.exchange))
    with connect(f"spool:{tmp_path}", settings=small) as spool:
        spool.publish(an_event(3))
        spool.publish(an_event(4))
        for number in range(5, 8):
            assert shortcut.stored(arguments(tmp_path, number, memory_world.exchange))
        with pytest.raises(OutboxFullError):
            spool.publish(an_event(8))
        health = spool.health().publisher.outbox
    assert health is not None
    assert health.adopted_files == 4
    assert len(list(tmp_path.glob("*.event"))) == 3

    recorder = Recorder()
    with memory_world.connect() as watcher:
        watcher.subscribe(EventTopic(), recorder)
        with memory_world.connect(publisher={"outbox_directory": tmp_path}):
            recorder.wait_for(8)
    assert [event.details["number"] for event in recorder.events] == list(range(8))
