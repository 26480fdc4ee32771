"""`bus-amqp dead-letters` as processes that are interrupted and killed: nothing is lost, and little comes twice."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from bus_amqp.admin.put_back import WINDOW
from tests.broker.dead_letters import GROUP, SECONDS, Scene
from tests.demo.processes import bus_amqp, started
from tests.promise.waiting import wait_until

LETTERS = 4000


@pytest.fixture
def scene(rabbitmq_url: str, exchange: str) -> Scene:
    """A broker and an exchange of the test's own."""
    return Scene(rabbitmq_url, exchange)


@pytest.mark.slow
def test_retry_killed_in_the_middle_loses_nothing(scene: Scene) -> None:
    """P5: `kill -9` at any point. What was put back and not yet taken off is there twice: no more than a window."""
    scene.fail_many(LETTERS)
    with started("dead-letters", "retry", "--group", GROUP, url=scene.url, exchange=scene.exchange) as process:
        with scene.connection() as looking:

            def is_under_way() -> bool:
                state = looking.queue_state(scene.home)
                return state is not None and state.ready >= 5

            wait_until(is_under_way, "the first to be put back", SECONDS)
            os.kill(process.pid, signal.SIGKILL)
        process.wait(SECONDS)

    put_back, left = scene.read(scene.home), scene.read(scene.dead)

    assert put_back, "the kill came too early to prove anything"
    assert left, "the kill came too late to prove anything"
    assert set(put_back) | set(left) == set(range(LETTERS))
    assert len(put_back) + len(left) - LETTERS <= WINDOW
    assert max(Counter(put_back).values()) == max(Counter(left).values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_retry_interrupted_leaves_each_event_in_one_place(scene: Scene, number: int, status: int) -> None:
    """Ctrl-C: it settles what is under way, says how far it came, and the rest can be put back later."""
    scene.fail_many(LETTERS)
    with started("dead-letters", "retry", "--group", GROUP, url=scene.url, exchange=scene.exchange) as process:
        with scene.connection() as looking:
            wait_until(
                lambda: (state := looking.queue_state(scene.home)) is not None and state.ready >= 5, "a start", SECONDS
            )
            process.send_signal(number)
        out, err = process.communicate(timeout=SECONDS)

    assert (process.returncode, err) == (status, "")
    assert out.endswith(" put back, interrupted\n")
    done = int(out.split()[0])
    assert 0 < done < LETTERS
    assert scene.read(scene.home) == list(range(done))
    again = bus_amqp("dead-letters", "retry", "-g", GROUP, url=scene.url, exchange=scene.exchange)
    assert again.stdout == f"{LETTERS - done} put back\n"
    assert scene.read(scene.home) == list(range(done, LETTERS))


def test_the_commands_work_on_a_broker(scene: Scene, tmp_path: Path) -> None:
    """What the README shows, as processes: list, show, export, drop, retry."""
    events = scene.fail_many(5)

    def run(*arguments: str) -> str:
        ended = bus_amqp("dead-letters", *arguments, "--group", GROUP, url=scene.url, exchange=scene.exchange)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    listed = [json.loads(line) for line in run("list", "--json").splitlines()]
    assert [one["event_id"] for one in listed] == [str(event.event_id) for event in events]
    assert "ValueError: no" in run("show", "3")
    assert run("export", str(tmp_path / "letters.jsonl")) == "5 exported\n"
    assert run("drop", str(events[1].event_id), "--yes") == "1 dropped\n"
    assert run("retry", "--limit", "2") == "2 put back\n"
    assert scene.read(scene.home) == [0, 2]
    assert scene.read(scene.dead) == [3, 4]
