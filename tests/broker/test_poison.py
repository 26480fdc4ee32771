"""An event that ends its process, on a real RabbitMQ, with processes that are started again as a supervisor would.

What is prefetched behind it shares the crash in the broker's books; it must not share the sentence.
"""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bus_amqp import Settings, connect
from bus_amqp.sections import PublisherSettings
from bus_amqp.settings import child_environment
from bus_amqp.testing.broker import RealBroker
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import an_event

POISON = 12
COUNT = 40
LIMIT = 20  # deliveries: the queue's x-delivery-limit
DEADLINE_SECONDS = 150
CHILD_SECONDS = 30

MODULE = """
import json, os, sys, threading
from bus_amqp import EventTopic, Settings, connect

bus = connect(settings=Settings(url=os.environ["BUS_AMQP_URL"], exchange=os.environ["BUS_AMQP_EXCHANGE"]))

def work(event):
    number = event.details["number"]
    with open("handled.jsonl", "a") as file:
        file.write(json.dumps(number) + "\\n")
    if number == {poison}:
        os._exit(1)

bus.subscribe(EventTopic(), work, group="work", ordered={ordered}, workers={workers})
threading.Event().wait()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("ordered", "workers"), [(False, 4), (True, 2)])
def test_twenty_crashes_dead_letter_the_poison_and_no_other(
    rabbitmq: RealBroker, exchange: str, tmp_path: Path, ordered: bool, workers: int
) -> None:
    """P5: the innocent behind the poison are counted with it at first; twenty counts would dead-letter them all."""
    script = tmp_path / "work.py"
    script.write_text(MODULE.format(poison=POISON, ordered=ordered, workers=workers))
    environment = child_environment(url=rabbitmq.url, exchange=exchange)
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    settings = Settings(exchange=exchange, publisher=PublisherSettings(publish_timeout_seconds=10))
    world = AmqpWorld(exchange, rabbitmq, use_bulk_frames=True)
    crashes = 0
    deadline = time.monotonic() + DEADLINE_SECONDS
    is_over = False
    published = False
    pause = threading.Event()
    while not is_over:
        assert time.monotonic() < deadline, f"{crashes} crashes"
        child = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, env=environment)
        try:
            while child.poll() is None and not is_over:
                assert time.monotonic() < deadline, f"{crashes} crashes"
                if not published:
                    published = _publish_once_bound(world, rabbitmq, settings)
                is_over = published and _is_over(world, tmp_path)
                pause.wait(0.05)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait(CHILD_SECONDS)
        crashes += not is_over

    letters = world.dead_letters("work")
    assert [json.loads(letter.body)["details"]["number"] for letter in letters] == [POISON]
    assert crashes <= LIMIT + 1
    assert _handled(tmp_path) == set(range(COUNT))


def _publish_once_bound(world: AmqpWorld, rabbitmq: RealBroker, settings: Settings) -> bool:
    state = world.queue_state(f"{settings.exchange}.work")
    if state is None or not state.consumers:
        return False
    with connect(rabbitmq.url, settings=settings) as bus:
        bus.publish_many([an_event(number, f"r-{number % 5}") for number in range(COUNT)])
        bus.flush(CHILD_SECONDS)
    return True


def _is_over(world: AmqpWorld, directory: Path) -> bool:
    dead, work = world.queue_state(f"{world.exchange}.work.dead"), world.queue_state(f"{world.exchange}.work")
    assert dead is not None
    assert work is not None
    return dead.ready > 0 and work.ready == 0 and _handled(directory) == set(range(COUNT))


def _handled(directory: Path) -> set[int]:
    ledger = directory / "handled.jsonl"
    return set(map(json.loads, ledger.read_text().splitlines())) if ledger.exists() else set()
